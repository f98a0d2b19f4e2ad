"""Results of several queries or engines made one list, each page once. Pure."""

from collections.abc import Iterable

from search.web.canonical import page_key
from search.web.providers.provider import Failure, Result, Results

FLAT = 60  # a place in one list is worth 1 / (FLAT + rank)


def merged(several: Iterable[Results], limit: int) -> Results:
    """By reciprocal rank: a page that two lists name early comes before one that a single list names first."""
    scores: dict[str, float] = {}
    first: dict[str, Result] = {}
    failures: dict[tuple[str, str], Failure] = {}
    for results in several:
        seen: set[str] = set()
        for rank, result in enumerate(results.results, 1):
            key = page_key(result.url)
            if key not in seen:
                scores[key] = scores.get(key, 0.0) + 1 / (FLAT + rank)
                first.setdefault(key, result)
            seen.add(key)
        for failure in results.failures:
            failures.setdefault((failure.engine, failure.code), failure)
    best = sorted(scores, key=lambda key: -scores[key])[:limit]  # sorting is stable: of equals, the first found
    return Results(tuple(first[key] for key in best), tuple(failures.values()))
