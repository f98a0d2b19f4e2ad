"""The pages of files: one's own, and those of a collection. They work before JavaScript, except for uploading."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Page
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.accounts.principals import rows_of
from chatapp.accounts.share_forms import GrantForm
from chatapp.conversations.selectors import sidebar
from chatapp.errors import Invalid
from chatapp.files import collecting, shelf
from chatapp.files.access import get_collection, get_own_collection
from chatapp.files.forms import CollectionShareForm, NameForm, ShelfForm
from chatapp.http import read_fields, valid, viewer, wants_page
from uploads.models import Upload


@never_cache
@require_GET
def show_files(request: HttpRequest) -> HttpResponse:
    person, asked = viewer(request), valid(ShelfForm(request.GET))
    uploads = shelf.list_own(person, asked["page"] or 1)
    context = {
        "collections": shelf.list_collections(person),
        "quota": shelf.quota_of(person),
        "found": shelf.search_own(person, asked["q"]) if asked["q"] else None,
    }
    return render(request, "files/shelf.html", {**_frame(person), **context, **_listed(person, uploads)})


@never_cache
@require_GET
def confirm_removal(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    person = viewer(request)
    return render(request, "files/remove.html", {**_frame(person), "file": shelf.own_file(person, upload_id)})


@never_cache
@require_http_methods(["GET", "POST"])
def collections(request: HttpRequest) -> HttpResponse:
    """JSON of those that a question may ask; POST makes one."""
    person = viewer(request)
    if request.method == "GET":
        return JsonResponse(shelf.collection_choices(person), safe=False)
    made = _told(request, lambda name: collecting.create(person, name))
    if made is None:
        return redirect("files")
    return redirect("collection", made.pk) if wants_page(request) else JsonResponse({"id": str(made.pk)})


@never_cache
@require_GET
def show_collection(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    person, asked = viewer(request), valid(ShelfForm(request.GET))
    collection = get_collection(person, collection_id)
    uploads = shelf.list_collected(person, collection_id, asked["page"] or 1)
    is_owner = collection.owner_id == person.pk
    num_vectors, num_passages = shelf.vectors_made(collection)
    context = {
        "collection": collection,
        "is_owner": is_owner,
        "may_write": shelf.may_write(person, collection),
        "found": shelf.search_collection(person, collection_id, asked["q"]) if asked["q"] else None,
        "grants": rows_of(collection.grants.all()) if is_owner else [],
        "share": CollectionShareForm(person) if is_owner else None,
        "num_vectors": num_vectors,
        "num_passages": num_passages,
        "max_mb": settings.CONFIG.upload_max_mb,
    }
    return render(request, "files/collection.html", {**_frame(person), **context, **_listed(person, uploads)})


@require_POST
def rename_collection(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    person = viewer(request)
    _told(request, lambda name: collecting.rename(person, collection_id, name))
    return _back(request, collection_id)


@never_cache
@require_http_methods(["GET", "POST"])
def delete_collection(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """GET asks whether that is meant."""
    person = viewer(request)
    if request.method == "GET":
        collection = get_own_collection(person, collection_id)
        context = {"collection": collection, "num_files": collection.files.count()}
        return render(request, "files/delete_collection.html", {**_frame(person), **context})
    collecting.delete(person, collection_id)
    return redirect("files") if wants_page(request) else JsonResponse({"ok": True})


@require_POST
def take_out(request: HttpRequest, collection_id: UUID, upload_id: UUID) -> HttpResponse:
    collecting.take_out(viewer(request), collection_id, upload_id)
    return _back(request, collection_id)


@require_POST
def share_collection(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    person = viewer(request)
    get_own_collection(person, collection_id)  # before the form says anything of people and groups
    form = CollectionShareForm(person, read_fields(request))
    access = Access(valid(form)["access"])
    collecting.share(person, collection_id, form.chosen(), access)
    return _back(request, collection_id)


@require_POST
def end_share(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    person = viewer(request)
    get_own_collection(person, collection_id)
    collecting.end_share(person, collection_id, valid(GrantForm(read_fields(request)))["grant"])
    return _back(request, collection_id)


def _frame(person: User) -> dict[str, Any]:
    return {"sidebar": sidebar(person), "conversation": None}


def _listed(person: User, uploads: "Page[Upload]") -> dict[str, Any]:
    return {"page": uploads, "files": shelf.file_rows(person, uploads)}


def _back(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    return redirect("collection", collection_id) if wants_page(request) else JsonResponse({"ok": True})


def _told(request: HttpRequest, act: Any) -> Any:
    """What `act` makes of the name that was given; on a page its refusal is said there, and None returned."""
    try:
        return act(valid(NameForm(read_fields(request)))["name"])
    except Invalid as refused:
        if not wants_page(request):
            raise
        messages.error(request, refused.message)
        return None
