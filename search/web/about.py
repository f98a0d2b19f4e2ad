"""What a page says of itself in its head: title, site, date, language, canonical address."""

import json
import re
from collections.abc import Iterator
from typing import Any

from bs4 import BeautifulSoup, Tag
from bs4.filter import SoupStrainer
from httpx import URL

from search.web.page import About
from search.web.refused import Refused
from search.web.untrusted import visible
from search.web.urls import redirect_target

_PARTS = SoupStrainer(["html", "title", "meta", "link", "time", "script"])
_TITLES = ("og:title", "twitter:title", "dc.title")
_SITES = ("og:site_name", "application-name")
_DATES = (
    "article:modified_time",
    "article:published_time",
    "og:updated_time",
    "date",
    "dc.date",
    "dc.date.issued",
    "dcterms.modified",
    "dcterms.created",
    "pubdate",
    "publish_date",
    "last-modified",
    "datemodified",
    "datepublished",
)
_JSON_DATES = ("dateModified", "datePublished", "dateCreated")
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/.年](0?[1-9]|1[0-2])[-/.月](0?[1-9]|[12]\d|3[01])(?!\d)")
_MAX_TITLE = 300
_BEGINNING = 40_000  # characters; a date far down a page is that of something else
_MAX_JSON = 100_000


def read_about(html: str, url: str) -> About:
    soup = BeautifulSoup(html[: max(html.find("</head>"), _BEGINNING)], "lxml", parse_only=_PARTS)
    meta = _meta(soup)
    return About(
        title=_line(next((meta[name] for name in _TITLES if name in meta), "") or _text_of(soup.title)),
        site=_line(next((meta[name] for name in _SITES if name in meta), "")),
        date=next(filter(None, map(_date, _said_dates(soup, meta))), None),
        language=_language(soup),
        canonical=_canonical(soup, URL(url)),
        icon=_icon(soup, URL(url)),
    )


def _meta(soup: BeautifulSoup) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in soup.find_all("meta"):
        name = tag.get("property") or tag.get("name") or tag.get("itemprop")
        content = tag.get("content")
        if isinstance(name, str) and isinstance(content, str) and content.strip():
            found.setdefault(name.lower(), content)
    return found


def _said_dates(soup: BeautifulSoup, meta: dict[str, str]) -> Iterator[str]:
    yield from (meta[name] for name in _DATES if name in meta)
    for script in soup.find_all("script", type="application/ld+json"):
        yield from _dates_in(_loaded(script))
    for tag in soup.find_all("time"):
        yield str(tag.get("datetime") or "")


def _loaded(script: Tag) -> Any:
    try:
        return json.loads((script.string or "")[:_MAX_JSON])
    except (ValueError, RecursionError):
        return None


def _dates_in(value: Any) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield from (item[name] for name in _JSON_DATES if isinstance(item.get(name), str))
            if isinstance(item.get("@graph"), list):
                yield from (date for part in item["@graph"] for date in _dates_in(part) if not isinstance(part, list))


def _date(text: str) -> str | None:
    match = _DATE.search(text)
    return f"{match[1]}-{int(match[2]):02}-{int(match[3]):02}" if match else None


def _language(soup: BeautifulSoup) -> str | None:
    tag = soup.html.get("lang") if soup.html else None
    return tag.lower() if isinstance(tag, str) and re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}", tag) else None


def _canonical(soup: BeautifulSoup, url: URL) -> str | None:
    """Only on the page's own site: another's would put that site's name under this text."""
    for tag in soup.find_all("link", rel="canonical"):
        try:
            target = redirect_target(url, str(tag.get("href") or ""))
        except Refused:
            continue
        if target.host.removeprefix("www.") == url.host.removeprefix("www."):
            return str(target)
    return None


def _icon(soup: BeautifulSoup, url: URL) -> str | None:
    """The first that is made of points: drawings are programs."""
    for tag in soup.find_all("link", rel="icon", href=True):
        try:
            target = redirect_target(url, str(tag.get("href") or ""))
        except Refused:
            continue
        if "svg" not in str(tag.get("type") or "") and not target.path.lower().endswith(".svg"):
            return str(target)
    return None


def _text_of(tag: Tag | None) -> str:
    return tag.get_text(" ") if tag else ""


def _line(text: str) -> str:
    return " ".join(visible(text).split())[:_MAX_TITLE]
