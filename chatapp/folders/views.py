"""The page of a folder, and what is done with it. All of it works before JavaScript, except for dragging."""

from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatapp.accounts.grants import Access
from chatapp.accounts.principals import rows_of
from chatapp.accounts.share_forms import GrantForm
from chatapp.conversations.selectors import sidebar, visible_conversations
from chatapp.files.access import collections
from chatapp.folders import services
from chatapp.folders.access import folders, get_folder, get_own_folder
from chatapp.folders.forms import AddCollectionForm, ChatsForm, FolderForm, FolderShareForm, NewFolderForm, PageForm
from chatapp.folders.models import Folder
from chatapp.http import read_fields, valid, viewer, wants_page

PAGE = 50


@never_cache
@require_http_methods(["GET", "POST"])
def list_folders(request: HttpRequest) -> HttpResponse:
    """JSON of those that the viewer may use; POST makes one."""
    person = viewer(request)
    if request.method == "GET":
        return JsonResponse([{"id": str(each.pk), "name": each.name} for each in folders(person)], safe=False)
    made = services.create(person, valid(NewFolderForm(read_fields(request)))["name"])
    return redirect("folder", made.pk) if wants_page(request) else JsonResponse({"id": str(made.pk)})


@never_cache
@require_GET
def show_folder(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    return _page(request, get_folder(viewer(request), folder_id))


@require_POST
def change_folder(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    person = viewer(request)
    folder = get_folder(person, folder_id, Access.WRITE)
    form = FolderForm(read_fields(request))
    if not form.is_valid() and wants_page(request):
        return _page(request, folder, form)
    fields = valid(form)
    services.change(person, folder_id, fields["name"], fields["instructions"])
    return _back(request, folder_id)


@require_POST
def add_collection(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    person = viewer(request)
    get_folder(person, folder_id, Access.WRITE)
    services.add_collection(person, folder_id, valid(AddCollectionForm(read_fields(request)))["collection"])
    return _back(request, folder_id)


@require_POST
def take_collection_out(request: HttpRequest, folder_id: UUID, collection_id: UUID) -> HttpResponse:
    services.take_collection_out(viewer(request), folder_id, collection_id)
    return _back(request, folder_id)


@require_POST
def share_folder(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    person = viewer(request)
    get_own_folder(person, folder_id)  # before the form says anything of people and groups
    form = FolderShareForm(person, read_fields(request))
    access = Access(valid(form)["access"])
    services.share(person, folder_id, form.chosen(), access)
    return _back(request, folder_id)


@require_POST
def end_folder_share(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    person = viewer(request)
    get_own_folder(person, folder_id)
    services.end_share(person, folder_id, valid(GrantForm(read_fields(request)))["grant"])
    return _back(request, folder_id)


@require_POST
def delete_folder(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    services.delete(viewer(request), folder_id)
    return redirect("new_chat") if wants_page(request) else JsonResponse({"ok": True})


@require_POST
def put_into_folder(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    services.put(viewer(request), valid(ChatsForm(read_fields(request)))["ids"], folder_id)
    return _back(request, folder_id)


@require_POST
def take_out_of_folders(request: HttpRequest) -> HttpResponse:
    services.put(viewer(request), valid(ChatsForm(read_fields(request)))["ids"], None)
    return redirect("new_chat") if wants_page(request) else JsonResponse({"ok": True})


def _page(request: HttpRequest, folder: Folder, form: FolderForm | None = None) -> HttpResponse:
    person = viewer(request)
    is_owner, may_write = folder.owner_id == person.pk, folders(person, Access.WRITE).filter(pk=folder.pk).exists()
    chats = visible_conversations(person).filter(folder=folder).exclude(active_leaf=None, title="")
    held = folder.collections.select_related("collection")
    open_to_viewer = collections(person)
    may_open = set(open_to_viewer.filter(folders__folder=folder).values_list("pk", flat=True))
    context = {
        "sidebar": sidebar(person),
        "conversation": None,
        "folder": folder,
        "is_owner": is_owner,
        "may_write": may_write,
        "form": form or FolderForm(initial={"name": folder.name, "instructions": folder.instructions}),
        "page": Paginator(chats, PAGE).get_page(valid(PageForm(request.GET))["page"] or 1),
        "collections": [{"collection": each.collection, "may_open": each.collection_id in may_open} for each in held],
        "addable": open_to_viewer.exclude(folders__folder=folder).order_by("name") if may_write else [],
        "grants": rows_of(folder.grants.all()) if is_owner else [],
        "share": FolderShareForm(person) if is_owner else None,
    }
    return render(request, "folders/folder.html", context, status=422 if form else 200)


def _back(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    return redirect("folder", folder_id) if wants_page(request) else JsonResponse({"ok": True})
