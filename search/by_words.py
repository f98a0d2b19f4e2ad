"""The text half: passages that hold the words of a question, the rare ones counting most."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from search.ranking import Ranked
from search.scope import Filter
from search.terms import asked_terms, is_word

MAX_TERMS = 48
# Words are looked up from the rarest on until about so many passages hold one; commoner ones only add to the score.
CANDIDATES = 1000
_PREFIX_LENGTH = 6  # a word this long also finds the longer ones that begin with it
_WEIGHTS = "{0.6,0.6,0.6,1.0}"  # of D, C, B, A: headings are A
_RANKED = 200
_ONCE = 0.6 / 1.6449  # what ts_rank says of a word that stands in the text once
_STATISTICS_S = 600.0
_SIMILAR = 0.45  # trigram similarity of a misspelt word; instalation ~ installation 0.69, recieve ~ receive 0.45
_MAX_SIMILAR = 6
_MAX_MISSING = 4  # words looked up so, the longest
_PART_LENGTH = 5  # a shorter one is a part of too many


@dataclass(frozen=True, slots=True)
class Term:
    """One word of the question, as a tsquery; `expected` is the share of all passages that hold it."""

    text: str
    query: str
    expected: float


def find_by_words(question: str, scope: Filter, size: int, limit: int) -> list[Ranked]:
    """The best passages, best first; `size` is how many there are in the scope.

    A score is the share of the question that the passage holds, its words weighted by their rarity: 1 where each stands
    in the text once, more where some stand in the headings.
    """
    asked = [_term(text) for text in asked_terms(question)[:MAX_TERMS]]
    if not asked:
        return []
    found, missing = _search(asked, scope, size, limit)
    near = _near_terms([term.text for term in missing if is_word(term.text)])
    if not near:
        return found
    known = [near.get(term.text, term) for term in asked]
    return _search(known, scope, size, limit)[0]


def _term(text: str) -> Term:
    prefix = ":*" if len(text) >= _PREFIX_LENGTH and is_word(text) else ""
    return Term(text, f"'{text}'{prefix}", _shares().get(text, 0.0))


def _search(asked: Sequence[Term], scope: Filter, size: int, limit: int) -> tuple[list[Ranked], list[Term]]:
    """The best passages, and which of the words none of the scope's passages holds."""
    narrow = " | ".join(term.query for term in _narrowing(asked, size))
    numbers = range(len(asked))
    # Robertson's inverse document frequency, in this scope.
    rarity = [f"ln(1 + (%s + 0.5) / (greatest(n{n}, %s) + 0.5))::float8" for n in numbers]
    # Whether a word is there is told ten times as fast as its rank: only the best have their ranks looked at.
    sql = f"""
        WITH hit AS MATERIALIZED (
            SELECT id, {", ".join(f"(terms @@ %s::tsquery)::int AS h{n}" for n in numbers)}
            FROM search_passage WHERE terms @@ %s::tsquery AND {scope.sql}
        ), counted AS MATERIALIZED (
            SELECT {", ".join(f"n{n}, {rare} AS i{n}" for n, rare in enumerate(rarity))}
            FROM (SELECT {", ".join(f"sum(h{n}) AS n{n}" for n in numbers)} FROM hit) AS sums
        ), best AS MATERIALIZED (
            SELECT id FROM hit, counted ORDER BY {" + ".join(f"h{n} * i{n}" for n in numbers)} DESC, id LIMIT {_RANKED}
        )
        SELECT id,
            ({" + ".join(f"ts_rank(%s, terms, %s::tsquery) * i{n}" for n in numbers)})
            / ({_ONCE} * ({" + ".join(f"i{n}" for n in numbers)})) AS share,
            {", ".join(f"n{n}" for n in numbers)}
        FROM best JOIN search_passage USING (id), counted ORDER BY share DESC, id LIMIT %s
    """
    params: list[Any] = [term.query for term in asked]
    params += [narrow, *scope.params]
    params += [value for term in asked for value in (size, size * term.expected)]
    params += [value for term in asked for value in (_WEIGHTS, term.query)]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, limit])
        rows = cursor.fetchall()
    if not rows:
        return [], list(asked)
    counted = rows[0][2:]
    return [Ranked(row[0], float(row[1])) for row in rows], [t for t, n in zip(asked, counted, strict=True) if not n]


def _narrowing(asked: Sequence[Term], size: int) -> list[Term]:
    chosen: list[Term] = []
    held = 0.0
    for term in sorted(asked, key=lambda term: term.expected):
        held += term.expected * size
        if chosen and held > CANDIDATES:
            break
        chosen.append(term)
    return chosen


def _near_terms(missing: Sequence[str]) -> dict[str, Term]:
    """For words that stand nowhere in the scope: words spelt alike, and compounds that hold them."""
    if not missing:
        return {}
    longest = sorted(missing, key=len)[-_MAX_MISSING:]
    # A query for each word, with the word written in it: joined to a list of words, the trigram index is not used.
    one = "SELECT %s AS asked, term, similarity(term, %s) AS alike FROM search_word WHERE term"
    sql, params = [], list[str]()
    for word in longest:
        sql.append(f"({one} %% %s)")
        params += [word, word, word]
        if len(word) >= _PART_LENGTH:
            sql.append(f"({one} LIKE %s)")
            params += [word, word, f"%{word}%"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pg_trgm.similarity_threshold', %s, true)", [str(_SIMILAR)])
        cursor.execute(f"{' UNION '.join(sql)} ORDER BY asked, alike DESC, term", params)
        near = [(asked, term) for asked, term, _ in cursor.fetchall()]
    found = {word: [term for asked, term in near if asked == word][:_MAX_SIMILAR] for word in longest}
    return {word: _any_of(word, terms) for word, terms in found.items() if terms}


def _any_of(word: str, terms: Sequence[str]) -> Term:
    """Held by at most as many passages as all of these together."""
    return Term(word, " | ".join(f"'{term}'" for term in terms), sum(_shares().get(term, 0.0) for term in terms))


class _Shares:
    """How common the commonest words are, as ANALYZE last found it; empty for a table that is young and small."""

    def __init__(self) -> None:
        self._read_at = -_STATISTICS_S
        self._shares: dict[str, float] = {}

    def __call__(self) -> dict[str, float]:
        now = time.monotonic()
        if now - self._read_at > _STATISTICS_S:
            self._shares, self._read_at = _read_shares(), now
        return self._shares

    def forget(self) -> None:
        self._read_at = -_STATISTICS_S


def _read_shares() -> dict[str, float]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT most_common_elems::text::text[], most_common_elem_freqs FROM pg_stats"
            " WHERE schemaname = current_schema() AND tablename = 'search_passage' AND attname = 'terms'"
        )
        row = cursor.fetchone()
    return dict(zip(row[0], row[1], strict=False)) if row and row[0] else {}


_shares = _Shares()
