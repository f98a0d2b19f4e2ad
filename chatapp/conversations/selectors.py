"""What a viewer sees of conversations. Every selector takes the viewer first; what is not theirs is NotFound."""

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.answers.events import Position
from chatapp.answers.log import BlockingEventLog, Bounds
from chatapp.answers.models import Answer, Status
from chatapp.conversations.access import allowed, may
from chatapp.conversations.models import Conversation, Message
from chatapp.conversations.tree import Node, Tree
from chatapp.errors import NotFound
from chatapp.evidence.computed import Step, steps_of
from chatapp.evidence.selectors import AnswerSources, sources_of
from chatapp.files.shown import ShownCollection, ShownFile, collections_of, files_of
from chatapp.folders.access import folders
from chatapp.ordering.listing import listed, not_pinned, pinned
from chatapp.searches.selectors import searches_of
from chatapp.searches.shown import BudgetShown, SearchShown, budget_of

logger = logging.getLogger(__name__)

SIDEBAR_PAGE = 50


@dataclass(frozen=True, slots=True)
class ThreadItem:
    """A message in its place: `index` counts from 1 among `siblings`; `answer` is its newest attempt."""

    message: Message
    siblings: list[UUID]
    index: int
    answer: Answer | None
    is_last: bool
    can_write: bool
    files: list[ShownFile]
    collections: list[ShownCollection]
    sources: AnswerSources | None
    computed: list[Step]
    searches: list[SearchShown]
    budget: BudgetShown | None  # of a deep search

    @property
    def links_json(self) -> str:
        """Of an answer for which pages were looked for: the only addresses that its text may link to.

        A page can talk a model into writing one that carries away what stands in the chat.
        """
        return json.dumps(sorted({url for search in self.searches for url in search.addresses}))


@dataclass(frozen=True, slots=True)
class Thread:
    """A branch from its root to its end. Following the log from `position` misses nothing that the items lack.

    `position` is empty while the log cannot be reached: a subscription without one begins with a snapshot.
    """

    conversation: Conversation
    position: str
    items: list[ThreadItem]
    can_write: bool

    @property
    def leaf(self) -> UUID | None:
        return self.items[-1].message.id if self.items else None

    @property
    def preset_id(self) -> UUID | None:
        """What the last answer was asked with."""
        return next((item.answer.preset_id for item in reversed(self.items) if item.answer), None)

    @property
    def context_used(self) -> int:
        """Tokens of the last answer that reported them, prompt and completion together."""
        for item in reversed(self.items):
            if item.answer and item.answer.prompt_tokens is not None:
                return item.answer.prompt_tokens + (item.answer.completion_tokens or 0)
        return 0


class SidebarGroup(NamedTuple):
    label: str
    conversations: list[Conversation]


def visible_conversations(viewer: User) -> QuerySet[Conversation]:
    """Without temporary ones, which are in no list."""
    return allowed(viewer).filter(is_temporary=False).order_by("-updated_at")


def listed_conversations(viewer: User) -> QuerySet[Conversation]:
    """Those of the viewer's list, newest first: begun, and not archived."""
    return listed(visible_conversations(viewer).exclude(active_leaf=None, title=""), viewer)


def get_conversation(viewer: User, conversation_id: UUID, access: Access = Access.READ) -> Conversation:
    """Raises NotFound."""
    conversation = allowed(viewer, access).filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound
    return conversation


def get_message(viewer: User, message_id: UUID, access: Access = Access.READ) -> Message:
    """With its conversation. Raises NotFound."""
    messages = Message.objects.select_related("conversation")
    message = messages.filter(pk=message_id, conversation__in=allowed(viewer, access)).first()
    if message is None:
        raise NotFound
    return message


def get_answer(viewer: User, answer_id: UUID, access: Access = Access.READ) -> Answer:
    """With its message and conversation. Raises NotFound."""
    answers = Answer.objects.select_related("message__conversation", "endpoint")
    answer = answers.filter(pk=answer_id, message__conversation__in=allowed(viewer, access)).first()
    if answer is None:
        raise NotFound
    return answer


def read_thread(viewer: User, conversation_id: UUID, leaf: UUID | None = None) -> Thread:
    """The active branch, or another one that `leaf` is on. Raises NotFound."""
    conversation = get_conversation(viewer, conversation_id)
    bounds = _log_bounds(conversation_id)  # before any row: what is written meanwhile comes twice, never not at all
    tree = read_tree(conversation_id)
    if leaf is not None and leaf not in tree:
        raise NotFound
    path = _branch(tree, conversation.active_leaf_id)
    if leaf is not None and leaf not in path:
        path = _branch(tree, leaf)
    can_write = may(viewer, conversation_id, Access.WRITE)
    attempts = _attempts(path)  # before the texts: a text newer than its snapshot's seq is only an overlap
    items = _items(viewer, path, tree, attempts, can_write)
    return Thread(conversation, _position(bounds, attempts), items, can_write)


def _branch(tree: Tree, start: UUID | None) -> list[UUID]:
    """From its root through `start` to its end."""
    end = tree.end_of(start if start is not None and start in tree else None)
    return tree.path(end) if end else []


def read_item(viewer: User, conversation_id: UUID, message_id: UUID) -> ThreadItem:
    """One message as the thread shows it. Raises NotFound."""
    get_conversation(viewer, conversation_id)
    tree = read_tree(conversation_id)
    if message_id not in tree:
        raise NotFound
    can_write = may(viewer, conversation_id, Access.WRITE)
    return _items(viewer, [message_id], tree, _attempts([message_id]), can_write)[0]


def read_tree(conversation_id: UUID) -> Tree:
    rows = Message.objects.filter(conversation=conversation_id).order_by("created_at", "id")
    return Tree(Node(id, parent) for id, parent in rows.values_list("id", "parent_id"))


def sidebar(viewer: User, before: datetime | None = None, now: datetime | None = None) -> list[SidebarGroup]:
    """A page of the list, newest first, grouped by time; `before` is the `updated_at` of the last one shown.

    The first page begins with what the viewer has pinned. Other chats in folders that the viewer sees stand there.
    """
    conversations = listed_conversations(viewer)
    groups: dict[str, list[Conversation]] = defaultdict(list)
    if before is not None:
        conversations = conversations.filter(updated_at__lt=before)
    elif on_top := list(pinned(conversations, viewer)):
        groups[_("Pinned")] = on_top
    loose = not_pinned(conversations, viewer).exclude(folder__in=folders(viewer))
    for conversation in loose[:SIDEBAR_PAGE]:
        groups[_time_label(conversation.updated_at, now or timezone.now())].append(conversation)
    return [SidebarGroup(label, listed) for label, listed in groups.items()]


def _time_label(moment: datetime, now: datetime) -> str:
    day = timezone.localtime(moment).date()
    age = timezone.localtime(now).date() - day
    if age <= timedelta(0):
        return _("Today")
    if age == timedelta(days=1):
        return _("Yesterday")
    if age <= timedelta(days=7):
        return _("Last 7 days")
    if age <= timedelta(days=30):
        return _("Last 30 days")
    return date_format(day, "YEAR_MONTH_FORMAT")


def _items(
    viewer: User, path: Sequence[UUID], tree: Tree, attempts: dict[UUID, list[Answer]], can_write: bool
) -> list[ThreadItem]:
    messages = Message.objects.in_bulk(path)
    files = files_of(path)
    collections = collections_of(viewer, path)
    newest = [attempts[id][-1] for id in path if id in attempts]
    sources, computed, searches = sources_of(newest), steps_of(newest), searches_of(newest)
    return [
        ThreadItem(
            message=messages[id],
            siblings=(siblings := tree.siblings(id)),
            index=siblings.index(id) + 1,
            answer=attempts[id][-1] if id in attempts else None,
            is_last=not tree.children(id),
            can_write=can_write,
            files=files.get(id, []),
            collections=collections.get(id, []),
            sources=sources.get(attempts[id][-1].pk) if id in attempts else None,
            computed=computed.get(attempts[id][-1].pk, []) if id in attempts else [],
            searches=(found := searches.get(attempts[id][-1].pk, []) if id in attempts else []),
            budget=budget_of(attempts[id][-1], found) if id in attempts else None,
        )
        for id in path
        if id in messages  # purged since the tree was read
    ]


def _attempts(message_ids: Sequence[UUID]) -> dict[UUID, list[Answer]]:
    """The answers of each message, oldest first; token ids stay in the database, no page shows them."""
    answers = Answer.objects.filter(message__in=message_ids).select_related("endpoint", "message").defer("token_ids")
    attempts: dict[UUID, list[Answer]] = defaultdict(list)
    for answer in answers.order_by("created_at", "id"):
        attempts[answer.message_id].append(answer)
    return dict(attempts)


def _log_bounds(conversation_id: UUID) -> Bounds | None:
    try:
        return BlockingEventLog().bounds(conversation_id)
    except RedisError as error:
        logger.warning("log of conversation %s not reachable: %s", conversation_id, type(error).__name__)
        return None


def _position(bounds: Bounds | None, attempts: dict[UUID, list[Answer]]) -> str:
    """The head, or the oldest snapshot of a running answer: its text in the rows is as old as that."""
    if bounds is None:
        return ""
    running = [answer for answers in attempts.values() for answer in answers if answer.status == Status.RUNNING]
    places = [bounds.head, *(bounds.clamp(_snapshot(answer)) for answer in running)]
    return str(min(places, key=lambda place: place.seq))


def _snapshot(answer: Answer) -> Position | None:
    return Position(answer.snapshot_epoch, answer.snapshot_seq) if answer.snapshot_epoch else None
