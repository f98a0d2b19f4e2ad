"""What a viewer finds in the chats that they may read: titles first, then messages, the newest first."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Left
from django.utils.translation import gettext as _

from chatapp.accounts.models import User
from chatapp.conversations.models import Conversation, Message
from chatapp.conversations.selectors import listed_conversations
from chatapp.finding.matching import (
    Match,
    messages_with_all,
    messages_with_some,
    scope_of,
    titles_with_all,
)
from chatapp.finding.near import with_near
from chatapp.finding.question import Asked, asked_words
from chatapp.finding.snippets import Piece, marked, shows, snippet

Thing = TypeVar("Thing")

MAX_QUERY = 200  # characters
LIMIT = 20  # results
RECENT = 8  # chats, while nothing is asked
FEW = 8  # with fewer results, other spellings and parts of words are looked up too
_MOST_TITLES = 5
_MOST_OF_ONE = 3  # messages of one chat
_POOL = 120  # matches, of which so many may be of one chat
_READ = 100_000  # characters of a message in which its snippet is looked for
_TIMEOUT_MS = 3_000  # of one query: nobody waits longer, and nobody keeps the database


@dataclass(frozen=True, slots=True)
class Found:
    """A message, or a title where `message_id` is None: nobody has said it."""

    conversation_id: UUID
    message_id: UUID | None
    title: list[Piece]
    said_by: str
    said_at: datetime
    snippet: list[Piece]


@dataclass(frozen=True, slots=True)
class Findings:
    """`is_exact` is False where other spellings, or only some of the words, were found."""

    query: str
    found: list[Found]
    is_exact: bool


def recent(viewer: User) -> list[Conversation]:
    return list(listed_conversations(viewer)[:RECENT])


def find(viewer: User, query: str) -> Findings:
    """Every word must be in the message; where that is found too seldom: as it may have been meant, then some of them.

    Raises OperationalError for a query that takes the database too long.
    """
    asked, scope = asked_words(query), scope_of(viewer)
    if not asked or scope is None:
        return Findings(query, [], is_exact=True)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(_TIMEOUT_MS)])
        titles = titles_with_all(asked, scope, _MOST_TITLES)
        matches = messages_with_all(asked, scope, _POOL)
        num_exact = len(titles) + len(matches)
        if num_exact < FEW:
            asked = with_near(asked)
            titles = _added(titles, titles_with_all(asked, scope, _MOST_TITLES))
            matches = _added(matches, messages_with_all(asked, scope, _POOL))
        if not titles and not matches and len(asked) > 1:
            matches = messages_with_some(asked, scope, _POOL)
        few = _few_of_each(matches)[: LIMIT - len(titles)]
        found = [*_found_titles(titles, asked), *_found_messages(viewer, few, asked)]
    return Findings(query, found, is_exact=num_exact > 0 or not found)


def _added(first: Iterable[Thing], more: Iterable[Thing]) -> list[Thing]:
    return list(dict.fromkeys([*first, *more]))


def _few_of_each(matches: Iterable[Match]) -> list[Match]:
    """Of one chat a few: one that is all about a word leaves room for others."""
    num_of: dict[UUID, int] = defaultdict(int)
    few = []
    for match in matches:
        num_of[match.conversation_id] += 1
        if num_of[match.conversation_id] <= _MOST_OF_ONE:
            few.append(match)
    return few


def _found_titles(conversation_ids: Sequence[UUID], asked: Sequence[Asked]) -> list[Found]:
    rows = Conversation.objects.in_bulk(conversation_ids)
    conversations = [rows[each] for each in conversation_ids if each in rows]
    return [Found(each.pk, None, _title(each, asked), "", each.updated_at, []) for each in conversations]


def _found_messages(viewer: User, matches: Sequence[Match], asked: Sequence[Asked]) -> list[Found]:
    messages = Message.objects.select_related("conversation", "author")
    read = messages.defer("text").annotate(beginning=Left("text", _READ))
    rows = read.in_bulk([match.message_id for match in matches])
    return [
        Found(
            message.conversation_id,
            message.pk,
            _title(message.conversation, asked),
            _speaker(viewer, message),
            message.created_at,
            _snippet(message, asked),
        )
        for match in matches
        if (message := rows.get(match.message_id))  # purged since it was found
    ]


def _title(conversation: Conversation, asked: Sequence[Asked]) -> list[Piece]:
    return marked(conversation.title or _("New chat"), asked)


def _speaker(viewer: User, message: Message) -> str:
    if message.role == Message.Role.ASSISTANT:
        return _("Answer")
    if message.author_id == viewer.pk:
        return _("You")
    return message.author.name if message.author else _("Question")


def _snippet(message: Any, asked: Sequence[Asked]) -> list[Piece]:
    """Of its beginning, or of all of it where the words stand further back."""
    pieces = snippet(message.beginning, asked)
    if shows(pieces) or len(message.beginning) < _READ:
        return pieces
    return snippet(message.text, asked)
