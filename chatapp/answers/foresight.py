"""What would be read if the question were sent now: told before it is sent, by the plan that is then carried out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict
from uuid import UUID

from django.utils.translation import ngettext

from chatapp.accounts.models import User
from chatapp.answers.given import Given, given_on
from chatapp.answers.questions import room_for_sources, system_of
from chatapp.answers.sources import Plan, count_moving_of, plan_for
from chatapp.answers.web import room_for_web
from chatapp.context.counting import counter_for
from chatapp.conversations.selectors import get_conversation, read_tree
from chatapp.endpoints.models import Endpoint
from chatapp.files.access import readable
from chatapp.folders.access import folders
from chatapp.folders.given import collections_for
from chatapp.presets.access import preset_for


class Fit(TypedDict):
    """`words` for people; `mode` is whole, passages, waiting (files are still being read) or empty (nothing to say)."""

    mode: str
    words: str
    fits: bool
    read: int
    total: int
    used_tokens: int
    room_tokens: int


@dataclass(frozen=True, slots=True)
class Asked:
    upload_ids: Sequence[UUID]
    collection_ids: Sequence[UUID]
    conversation_id: UUID | None
    endpoint_id: UUID | None
    text: str
    search: bool = False
    folder_id: UUID | None = None  # of a chat that is not begun yet
    preset_id: UUID | None = None


def foresee(viewer: User, asked: Asked) -> Fit:
    """Raises NotFound for a conversation that is not the viewer's. Files that are not are left out."""
    given = _given(viewer, asked)
    endpoint = _endpoint(asked.endpoint_id)
    if given.is_empty or endpoint is None:
        return _fit("", "", Plan())
    num_moving = count_moving_of(given.uploads)
    if num_moving:
        words = ngettext("%(count)d file is still being read.", "%(count)d files are still being read.", num_moving)
        return _fit("waiting", words % {"count": num_moving}, Plan())
    counter = counter_for(endpoint.tokenizer_path, endpoint.characters_per_token)
    preset = preset_for(asked.preset_id, viewer)
    system = system_of(endpoint, asked.conversation_id, viewer, preset)
    room = room_for_sources(endpoint, system, asked.text, counter)
    if asked.search:
        room -= room_for_web(endpoint, room)
    plan = plan_for(given, asked.text, room, counter, is_demo=endpoint.is_local)
    return _fit(plan.mode, plan_words(plan), plan)


def plan_words(plan: Plan) -> str:
    if plan.mode == "whole":
        words = ngettext(
            "%(total)d page fits whole: %(used)s of %(room)s tokens.",
            "All %(total)d pages fit: %(used)s of %(room)s tokens.",
            plan.total,
        )
        return words % {"total": plan.total, "used": _short(plan.tokens), "room": _short(plan.room_tokens)}
    if plan.mode == "passages":
        words = ngettext(
            "%(read)d of %(total)d page will be read.", "%(read)d of %(total)d pages will be read.", plan.total
        )
        return words % {"read": plan.read, "total": plan.total}
    return ""


def _given(viewer: User, asked: Asked) -> Given:
    """By the branch that is shown, and by the question that is not sent yet."""
    path: Sequence[UUID] = ()
    if asked.conversation_id is not None:
        conversation = get_conversation(viewer, asked.conversation_id)
        tree = read_tree(conversation.pk)
        leaf = tree.end_of(conversation.active_leaf_id)
        path = tree.path(leaf) if leaf else ()
    found = readable(viewer).select_related("reading", "blob").in_bulk(list(asked.upload_ids))
    new = [found[id] for id in asked.upload_ids if id in found]
    return given_on(path, viewer, new, [*asked.collection_ids, *_more_collections(viewer, asked)])


def _more_collections(viewer: User, asked: Asked) -> list[UUID]:
    """Of the folder and the preset; which of them the viewer may read is asked of the collections."""
    found: list[UUID] = []
    if asked.conversation_id is not None:
        found += collections_for(asked.conversation_id, viewer)
    elif asked.folder_id is not None:
        folder = folders(viewer).filter(pk=asked.folder_id).first()
        found += folder.collections.values_list("collection_id", flat=True) if folder else []
    preset = preset_for(asked.preset_id, viewer)
    return [*found, *(preset.collections.values_list("pk", flat=True) if preset else [])]


def _endpoint(endpoint_id: UUID | None) -> Endpoint | None:
    enabled = Endpoint.objects.filter(is_enabled=True)
    return enabled.filter(pk=endpoint_id).first() if endpoint_id else enabled.filter(is_default=True).first()


def _fit(mode: str, words: str, plan: Plan) -> Fit:
    return Fit(
        mode=mode,
        words=words,
        fits=mode != "passages",
        read=plan.read,
        total=plan.total,
        used_tokens=plan.tokens,
        room_tokens=plan.room_tokens,
    )


def _short(tokens: int) -> str:
    return f"{tokens / 1000:.0f}k" if tokens >= 10_000 else f"{tokens / 1000:.1f}k" if tokens >= 1000 else str(tokens)
