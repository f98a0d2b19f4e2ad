"""What is configured of an engine that answers with JSON: its URL template and paths, and if they are usable. Pure."""

import re
from dataclasses import dataclass

_PATH = re.compile(r"(?:[\w@$-]+(?:\.[\w@$-]+)*)?")
_NAME = re.compile(r"\{(\w*)\}")
_NAMES = frozenset({"query", "limit", "language"})


@dataclass(frozen=True, slots=True)
class Fields:
    """Dotted paths; a number is a place in a list. `results` from the top, where "" is the answer itself; the others
    from one result."""

    results: str = "results"
    url: str = "url"
    title: str = "title"
    snippet: str = "snippet"

    def __post_init__(self) -> None:
        for name in ("results", "url", "title", "snippet"):
            if not _PATH.fullmatch(path := getattr(self, name)):
                raise ValueError(f"{name}={path!r} must be names with dots between them")


def check_template(url_template: str) -> None:
    """Raises ValueError: the query has its place in the path or after it, never in the host's name."""
    names = set(_NAME.findall(url_template))
    if "query" not in names or not names <= _NAMES:
        raise ValueError(f"url_template={url_template!r} must hold {{query}}, and of others {{limit}}, {{language}}")
    host = re.split(r"[/?#]", url_template.partition("://")[2], maxsplit=1)[0]
    if _NAME.search(host) or not host:
        raise ValueError(f"url_template={url_template!r} must name its host without braces")
