"""The chat page, its partials, and the small writes on a conversation."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chatapp.conversations import selectors, services, temporary
from chatapp.conversations.forms import BeforeForm, LeafForm, NewChatForm, PresenceForm, RenameForm, SelectForm
from chatapp.conversations.selectors import Thread
from chatapp.endpoints.selectors import list_choices
from chatapp.folders.access import folders
from chatapp.http import read_fields, valid, viewer, wants_page
from chatapp.presets.access import presets
from chatapp.searches.setting import web_setting


@never_cache
@require_GET
def new_chat(request: HttpRequest) -> HttpResponse:
    asked = valid(NewChatForm(request.GET))
    folder = folders(viewer(request)).filter(pk=asked["folder"]).first() if asked["folder"] else None
    context = {**_page(request, None), "folder": folder, "is_temporary": asked["temporary"]}
    return render(request, "chat/page.html", context)


@never_cache
@require_GET
def show_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    return render(request, "chat/page.html", _page(request, _thread(request, conversation_id)))


@never_cache
@require_GET
def show_thread(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    thread = _thread(request, conversation_id)
    context = {"conversation": thread.conversation, "thread": thread, "can_write": thread.can_write}
    return render(request, "chat/_thread.html", context)


@never_cache
@require_GET
def show_message(request: HttpRequest, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    item = selectors.read_item(viewer(request), conversation_id, message_id)
    return render(request, "chat/_message.html", {"item": item, "can_write": item.can_write})


@never_cache
@require_GET
def show_sidebar(request: HttpRequest) -> HttpResponse:
    before = valid(BeforeForm(request.GET))["before"]
    return render(request, "chat/_sidebar.html", {"sidebar": selectors.sidebar(viewer(request), before)})


@require_POST
def select_branch(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    leaf = valid(SelectForm(read_fields(request)))["leaf"]
    shown = services.select_leaf(viewer(request), conversation_id, leaf)
    return redirect("conversation", conversation_id) if wants_page(request) else JsonResponse({"leaf": str(shown)})


@require_POST
def rename_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    title = valid(RenameForm(read_fields(request)))["title"]
    conversation = services.rename(viewer(request), conversation_id, title)
    return _done(request, {"title": conversation.title})


@require_POST
def delete_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    services.delete(viewer(request), conversation_id)
    return _done(request, {})


@require_POST
def restore_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    services.restore(viewer(request), conversation_id)
    return _done(request, {})


@require_POST
def note_presence(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """The page of a temporary chat says now and then that it is open, and when it is left."""
    is_open = valid(PresenceForm(read_fields(request)))["open"]
    (temporary.come_back if is_open else temporary.close)(viewer(request), conversation_id)
    return _done(request, {})


def _thread(request: HttpRequest, conversation_id: UUID) -> Thread:
    leaf = valid(LeafForm(request.GET))["leaf"]
    return selectors.read_thread(viewer(request), conversation_id, leaf)


def _page(request: HttpRequest, thread: Thread | None) -> dict[str, Any]:
    endpoints = list_choices()
    return {
        "conversation": thread.conversation if thread else None,
        "thread": thread,
        "sidebar": selectors.sidebar(viewer(request)),
        "endpoint": endpoints[0] if endpoints else None,
        "endpoints": endpoints,
        "can_write": thread.can_write if thread else True,
        "presets": list(presets(viewer(request))),
        "preset_id": thread.preset_id if thread else None,
        "is_temporary": thread.conversation.is_temporary if thread else False,
        "web_is_on": web_setting().is_on,
        "upload_limits": {
            "max_mb": settings.CONFIG.upload_max_mb,
            "max_files": settings.CONFIG.uploads_per_message,
        },
        "context_used": thread.context_used if thread else 0,
    }


def _done(request: HttpRequest, fields: dict[str, str]) -> HttpResponse:
    return redirect("new_chat") if wants_page(request) else JsonResponse({"ok": True, **fields})
