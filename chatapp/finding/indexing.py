"""What was written into what it is found by: messages and titles that wait, in batches, each safe to repeat.

The database notes every text that is written in the transaction that writes it (migration 0001), whoever writes it:
nothing is forgotten, and a writer pays for one small row. Reading them is asked for when an answer was queued or has
ended, and every minute. What was noted twice is read once.
"""

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from celery import current_app
from django.db import connection, transaction
from kombu.exceptions import OperationalError

from chatapp.conversations.models import Conversation, Message
from chatapp.finding.lexemes import lexemes, may_be_misspelt, written_words
from chatapp.finding.models import Named, Said, Waiting, Word

logger = logging.getLogger(__name__)

INDEX = "chatapp.finding.tasks.index_waiting"
SECONDS = 20.0  # of one task: then the next takes its place, so that a stop need not wait
BATCH = 50  # messages a transaction; each may have a million characters
_LOCK = 5_003  # pg_advisory_lock: two that read the same message could write its texts in the wrong order
_WORDS_LOCK = 5_004  # adding words shares it, forgetting has it alone


def ask_for_index() -> None:
    """Beat asks every minute too: a lost request is a late one."""
    try:
        current_app.send_task(INDEX, expires=60, retry=False)
    except OperationalError as error:
        logger.warning("reading of messages not asked for: %s", type(error).__name__)


def index_waiting() -> int:
    """Reads what waits, for a while. Returns how many; asks for more of itself where some are left."""
    give_up = time.monotonic() + SECONDS
    num_read = 0
    while num := index_batch():
        num_read += num
        if time.monotonic() > give_up:
            ask_for_index()
            break
    return num_read


@transaction.atomic
def index_batch() -> int:
    """Reads the longest waiting. Returns how many notes it has done with; 0 also where another one is at it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if cursor.fetchone() != (True,):
            return 0
    notes = list(Waiting.objects.order_by("pk")[:BATCH])
    # A text that is written at this moment has a note of its own, which is not seen yet.
    _read_messages({note.message_id for note in notes if note.message_id})
    _read_titles({note.conversation_id for note in notes if note.conversation_id})
    Waiting.objects.filter(pk__in=[note.pk for note in notes]).delete()
    return len(notes)


def forget_unused_words() -> int:
    """Words that stand in no message any more: their chats were purged."""
    num_gone, last = 0, ""
    while words := list(Word.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:5_000]):
        num_gone += _forget_unused(words)
        last = words[-1]
    return num_gone


def _read_messages(message_ids: Collection[UUID]) -> None:
    texts = dict(Message.objects.filter(pk__in=message_ids).exclude(text="").values_list("pk", "text"))
    Said.objects.filter(pk__in=set(message_ids) - set(texts)).delete()
    written = {message_id: list(written_words(text)) for message_id, text in texts.items()}
    _add_words(written.values())
    with connection.cursor() as cursor:
        # Purged since it was read: then there is no row to select.
        cursor.executemany(
            "INSERT INTO finding_said (message_id, conversation_id, said_at, terms)"
            " SELECT id, conversation_id, created_at, array_to_tsvector(%s::text[]) FROM conversations_message"
            " WHERE id = %s FOR KEY SHARE"
            " ON CONFLICT (message_id) DO UPDATE SET terms = excluded.terms",
            [(lexemes(words), message_id) for message_id, words in sorted(written.items())],
        )


def _read_titles(conversation_ids: Collection[UUID]) -> None:
    titles = dict(Conversation.objects.filter(pk__in=conversation_ids).exclude(title="").values_list("pk", "title"))
    Named.objects.filter(pk__in=set(conversation_ids) - set(titles)).delete()
    written = {conversation_id: list(written_words(title)) for conversation_id, title in titles.items()}
    _add_words(written.values())
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO finding_named (conversation_id, terms)"
            " SELECT id, array_to_tsvector(%s::text[]) FROM conversations_conversation WHERE id = %s FOR KEY SHARE"
            " ON CONFLICT (conversation_id) DO UPDATE SET terms = excluded.terms",
            [(lexemes(words), conversation_id) for conversation_id, words in sorted(written.items())],
        )


def _add_words(written: Iterable[Iterable[str]]) -> None:
    words = {word for each in written for word in each if may_be_misspelt(word)}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_WORDS_LOCK])
        cursor.execute(
            "INSERT INTO finding_word (word) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [sorted(words)]
        )


@transaction.atomic
def _forget_unused(words: Sequence[str]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_WORDS_LOCK])
        cursor.execute(
            "DELETE FROM finding_word WHERE word = ANY(%s)"
            " AND NOT EXISTS (SELECT FROM finding_said WHERE terms @@ quote_literal(word)::tsquery)"
            " AND NOT EXISTS (SELECT FROM finding_named WHERE terms @@ quote_literal(word)::tsquery)",
            [list(words)],
        )
        return int(cursor.rowcount)
