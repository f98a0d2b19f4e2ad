"""The vector half: passages nearest to a question in meaning."""

from collections.abc import Collection, Sequence

from django.db import connection, transaction

from search.models import Vector
from search.ranking import Ranked
from search.scope import LARGE, Filter

_MOST_DIMENSIONS = 4000  # of an index over half precision


def literal(vector: Sequence[float]) -> str:
    """As pgvector writes it."""
    return f"[{','.join(f'{value:.6g}' for value in vector)}]"


def has_vectors(model: str, scope: Filter) -> bool:
    """Whether this encoder has made any vector of the scope."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT FROM search_vector WHERE {scope.sql} AND model = %s)", [*scope.params, model]
        )
        (found,) = cursor.fetchone()
    return bool(found)


def find_by_meaning(question: Sequence[float], model: str, scope: Filter, size: int, limit: int) -> list[Ranked]:
    """The nearest passages with their cosines, nearest first.

    A scope of fewer than LARGE passages is compared whole, so that nothing is missed in it however much lies around it;
    a larger one goes through the index, which looks on until it has found enough within the scope.
    """
    vector, dimensions = literal(question), len(question)
    is_large = size >= LARGE and dimensions <= _MOST_DIMENSIONS
    # Only the cast expression is indexed.
    value = f"value::halfvec({dimensions})" if is_large else "value"
    with transaction.atomic(), connection.cursor() as cursor:
        if is_large:
            cursor.execute("SET LOCAL hnsw.iterative_scan = relaxed_order")
            cursor.execute("SET LOCAL hnsw.ef_search = 100")
        cursor.execute(
            f"SELECT passage_id, -({value} <#> %s::halfvec({dimensions})) AS cosine FROM search_vector"
            f" WHERE {scope.sql} AND model = %s AND vector_dims(value) = {dimensions}"
            f" ORDER BY {value} <#> %s::halfvec({dimensions}) LIMIT %s",
            [vector, *scope.params, model, vector, limit],
        )
        found = [Ranked(passage_id, float(cosine)) for passage_id, cosine in cursor.fetchall()]
    return sorted(found, key=lambda ranked: -ranked.score)


def cosines_of(question: Sequence[float], model: str, passage_ids: Collection[int]) -> dict[int, float]:
    """How near these passages are; those without a vector are missing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT passage_id, -(value <#> %s::halfvec) FROM search_vector"
            " WHERE passage_id = ANY(%s) AND model = %s AND vector_dims(value) = %s",
            [literal(question), list(passage_ids), model, len(question)],
        )
        return {passage_id: float(cosine) for passage_id, cosine in cursor.fetchall()}


def make_near_index(dimensions: int) -> None:
    """The index for vectors of this length, unless it is there. Quick while there are none of them."""
    name = f"vector_near_{dimensions}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [name])
        if dimensions > _MOST_DIMENSIONS or cursor.fetchone() != (None,):
            return
        cursor.execute(
            f"CREATE INDEX IF NOT EXISTS {name} ON {Vector._meta.db_table}"
            f" USING hnsw ((value::halfvec({dimensions})) halfvec_ip_ops) WHERE vector_dims(value) = {dimensions}"
        )
