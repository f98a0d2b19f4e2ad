"""Which messages and titles match a question, out of those that a viewer may read. Knows no snippet.

The scope, allowed(viewer), is a condition inside every query. What matches comes in the order of time, the newest
first: the limit counts after the scope, so that nobody's matches hide another's.

There are three ways to the newest matches, and which is short depends on how common the question is and how much of
all there is may be read:
- `word`: the index says which messages match; those of the scope are put in order. Short for rare words.
- `newest`: from the newest message backwards until there are enough. Short for common words in a large scope.
- `chat`: every message of the scope is looked at. Short for a small scope, whatever is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection

from chatapp.accounts.models import User
from chatapp.conversations.access import allowed
from chatapp.finding.question import Asked, all_of

_MOST_WORDS = 3  # of a question that nothing holds as a whole: its rarest
# Of one row, in the same measure: fetched by the index of words or of its chat and matched; fetched in order; matched.
_FETCHED, _PASSED, _MATCHED = 4.0, 1.0, 3.0


@dataclass(frozen=True, slots=True)
class Scope:
    """A query of the conversations that may be read, as it goes into others."""

    sql: str
    params: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Match:
    message_id: UUID
    conversation_id: UUID
    said_at: datetime


def scope_of(viewer: User) -> Scope | None:
    """None for whoever may read nothing at all."""
    try:
        sql, params = allowed(viewer).order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return None
    return Scope(sql, tuple(params))


def messages_with_all(asked: Sequence[Asked], scope: Scope, limit: int) -> list[Match]:
    """Messages that hold every word, the newest first."""
    query = all_of(asked)
    return _messages(query, _expected(query), scope, limit)


def messages_with_some(asked: Sequence[Asked], scope: Scope, limit: int) -> list[Match]:
    """Messages that hold some of the words: most of them first, then the newest."""
    rarest = sorted((_expected(each.query), each.query) for each in asked)[:_MOST_WORDS]
    pool: dict[Match, int] = {}
    for expected, query in rarest:
        for match in _messages(query, expected, scope, limit):
            pool[match] = pool.get(match, 0) + 1
    newest = sorted(pool, key=lambda match: match.said_at, reverse=True)
    return sorted(newest, key=lambda match: -pool[match])[:limit]


def titles_with_all(asked: Sequence[Asked], scope: Scope, limit: int) -> list[UUID]:
    """Conversations whose title holds every word, the last used first."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH matching AS MATERIALIZED (SELECT conversation_id FROM finding_named WHERE terms @@ %s::tsquery)
            SELECT id FROM ({scope.sql}) AS scope (id) JOIN conversations_conversation USING (id)
            WHERE id IN (SELECT conversation_id FROM matching) ORDER BY updated_at DESC, id LIMIT %s
            """,
            [all_of(asked), *scope.params, limit],
        )
        return [conversation_id for (conversation_id,) in cursor.fetchall()]


def _expected(query: str) -> int:
    """How many messages there are that match, as the planner sees it."""
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (FORMAT JSON) SELECT FROM finding_said WHERE terms @@ %s::tsquery", [query])
        [[plan]] = cursor.fetchone()
    return int(plan["Plan"]["Plan Rows"])


def _messages(query: str, expected: int, scope: Scope, limit: int) -> list[Match]:
    columns = "message_id, conversation_id, said_at"
    # OFFSET 0 keeps a condition where it stands. `newest` has no order of its own outside: with one, its rows would all
    # be read and sorted, and as it is they come in the order of the index.
    sql = f"""
        WITH scope (id) AS MATERIALIZED ({scope.sql}),
        sizes AS (
            SELECT count(*) AS chats,
                (SELECT greatest(reltuples, 1) FROM pg_class WHERE oid = 'finding_said'::regclass) AS messages,
                (SELECT greatest(reltuples, 1) FROM pg_class WHERE oid = 'conversations_conversation'::regclass)
                AS every
            FROM scope
        ), costs AS (
            SELECT {_FETCHED * expected} AS word, {_FETCHED} * messages * least(chats / every, 1) AS chat,
                {limit / expected} * messages * ({_MATCHED} + {_PASSED} * greatest(every / greatest(chats, 1), 1))
                AS newest
            FROM sizes
        ), way (way) AS MATERIALIZED (
            SELECT CASE least(word, chat, newest) WHEN word THEN 'word' WHEN chat THEN 'chat' ELSE 'newest' END
            FROM costs
        ), by_word AS (
            SELECT {columns} FROM finding_said
            WHERE (SELECT way FROM way) = 'word' AND terms @@ %s::tsquery AND conversation_id IN (SELECT id FROM scope)
        ), by_chat AS (
            SELECT {columns} FROM scope, LATERAL (
                SELECT {columns}, terms FROM finding_said WHERE conversation_id = scope.id OFFSET 0
            ) AS said WHERE (SELECT way FROM way) = 'chat' AND terms @@ %s::tsquery
        ), newest AS (
            SELECT {columns} FROM (
                SELECT {columns}, terms FROM finding_said
                WHERE (SELECT way FROM way) = 'newest' AND (conversation_id IN (SELECT id FROM scope)) IS TRUE
                ORDER BY said_at DESC OFFSET 0
            ) AS said WHERE terms @@ %s::tsquery LIMIT {limit}
        )
        SELECT {columns} FROM (TABLE by_word UNION ALL TABLE by_chat UNION ALL TABLE newest) AS found
        ORDER BY said_at DESC, message_id LIMIT {limit}
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [*scope.params, query, query, query])
        return [Match(*row) for row in cursor.fetchall()]
