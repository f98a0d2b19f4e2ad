"""What may be searched: ids of sources, or a query of them, as a piece of SQL that filters inside the query."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

Scope = Iterable[UUID] | QuerySet[Any, Any]

# Counted no further: what lies beyond is searched as a large scope, whatever its size.
LARGE = 20_000


@dataclass(frozen=True, slots=True)
class Filter:
    """`sql` is a condition on a column `source_id`, with its parameters."""

    sql: str
    params: tuple[Any, ...]


def filter_of(scope: Scope) -> Filter:
    """A queryset of one column of source ids is run where it stands, as a subquery."""
    if isinstance(scope, QuerySet):
        try:
            sql, params = scope.order_by().query.sql_with_params()
        except EmptyResultSet:
            return Filter("false", ())
        return Filter(f"source_id IN ({sql})", tuple(params))
    return Filter("source_id = ANY(%s::uuid[])", ([str(source_id) for source_id in scope],))


def num_passages(scope: Filter) -> int:
    """How many there are in it, LARGE at most."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM search_passage WHERE {scope.sql} LIMIT %s) AS counted",
            [*scope.params, LARGE],
        )
        (count,) = cursor.fetchone()
    return int(count)
