"""How much of a page's main text is kept: token F1 against the source that the page was made of.

    python -m tests.search.web.documentation [FOLDER]

npm's own pages are always there. FOLDER holds unpacked Debian packages (`apt-get download python-flask-doc
debian-policy developers-reference git-doc`, then `dpkg -x PACKAGE FOLDER` each), whose pages come with their sources.
"""

import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from search.web.html import read_html
from search.web.unread import Unread

_TOKEN = re.compile(r"\w+")
Pair = tuple[str, str]


def likeness(text: str, source: str) -> float:
    """F1 of the words of both, each counted as often as it occurs."""
    one, other = (Counter(_TOKEN.findall(each.lower())) for each in (text, source))
    same = sum((one & other).values())
    return 2 * same / max(1, one.total() + other.total())


def npm_pages() -> list[Pair]:
    """Every page of npm's documentation, and its markdown without head, comments and link targets."""
    root = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=True).stdout.strip()
    docs = Path(root) / "npm" / "docs"
    return [
        (page.read_text("utf-8"), _markdown(source.read_text("utf-8")))
        for source in sorted((docs / "content").rglob("*.md"))
        if (page := docs / "output" / source.relative_to(docs / "content").with_suffix(".html")).exists()
    ]


def debian_pages(folder: Path) -> Iterator[tuple[str, list[Pair]]]:
    """By package. Pages that are put together from several sources are left out."""
    for sources in sorted(folder.rglob("_sources")):
        pairs = ((sources.parent / _page_of(path, sources), path) for path in sorted(sources.rglob("*.rst.txt")))
        yield _package(sources), [(p.read_text("utf-8"), _rst(s.read_text("utf-8"))) for p, s in pairs if _is_one(p, s)]
    texts = [path for path in sorted(folder.rglob("git-doc/git*.txt")) if _is_one(path.with_suffix(".html"), path)]
    yield "git-doc", [(path.with_suffix(".html").read_text("utf-8"), path.read_text("utf-8")) for path in texts]


def _package(sources: Path) -> str:
    return next(part for part in reversed(sources.parts[:-1]) if part not in ("html", "policy.html"))


def _page_of(source: Path, sources: Path) -> str:
    return str(source.relative_to(sources)).removesuffix(".rst.txt") + ".html"


def _is_one(page: Path, source: Path) -> bool:
    text = source.read_text("utf-8")
    return (
        page.is_file()
        and len(text) > 500
        and not re.search(r"include::|auto\w+::|toctree::|^\.\. \w*module::", text, re.M)
    )


def _markdown(text: str) -> str:
    text = re.sub(r"^---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))


def _rst(text: str) -> str:
    text = re.sub(r"^\.\. [\w:-]+::|^\.\. _.*$|^\s+:[\w-]+:.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`([^`<]*?)\s*<[^`>]*>`_*", r"\1", text)
    return re.sub(r":[\w:+-]+:`~?([^`]*)`", r"\1", text)


def _measure(name: str, pairs: list[Pair]) -> None:
    began, scores = time.process_time(), []
    for html, source in pairs:
        try:
            page = read_html(html, "http://docs.test/page")
        except Unread:
            scores.append(0.0)
        else:
            scores.append(likeness("\n".join(block.text for block in page.blocks), source))
    seconds, size = time.process_time() - began, sum(len(html) for html, _ in pairs)
    print(
        f"{name:22} {len(pairs):4} pages  F1 mean {statistics.mean(scores):.3f}  median {statistics.median(scores):.3f}"
        f"  worst {min(scores):.2f}  CPU {1000 * seconds / len(pairs):.0f} ms a page, {size / seconds / 1e6:.2f} MB/s"
    )


def main() -> None:
    _measure("npm", npm_pages())
    for folder in sys.argv[1:]:
        for name, pairs in debian_pages(Path(folder)):
            if pairs:
                _measure(name, pairs)


if __name__ == "__main__":
    main()
