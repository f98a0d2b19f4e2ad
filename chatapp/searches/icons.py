"""Small pictures of sites, fetched once a month by workers and drawn anew, so that no browser asks a site for one.

Only formats made of points are opened, by Pillow, and only small ones: what a site sends never reaches a browser.
"""

import asyncio
import io
import logging
import warnings
from collections.abc import Sequence
from datetime import timedelta

from django.db.models.functions import Now
from PIL import Image

from chatapp.searches.found import host_of
from chatapp.searches.models import SiteIcon
from chatapp.threads import in_thread
from search.web.fetching import Fetcher
from search.web.page import Page
from search.web.unread import Unread

logger = logging.getLogger(__name__)

SIZE = 32
ALL_S = 4.0
KEPT = timedelta(days=30)
_FORMATS = ("PNG", "ICO", "GIF", "JPEG", "WEBP")
_MAX_SIDE = 1024


async def fetch_icons(fetcher: Fetcher, pages: Sequence[Page]) -> None:
    """Those of the pages' sites that are not known yet. Best effort: whatever goes wrong, the search has ended well."""
    wanted = {host_of(page.url): page for page in reversed(pages)}
    try:
        known = await in_thread(_known, list(wanted))
        async with asyncio.timeout(ALL_S), asyncio.TaskGroup() as group:
            for host, page in wanted.items():
                if host not in known:
                    group.create_task(_fetch_one(fetcher, host, page))
    except TimeoutError:
        pass  # the next search of that site tries again
    except Exception as error:
        logger.warning("icons not fetched: %s", type(error).__name__)


def drawn(content: bytes) -> bytes:
    """The picture as PNG of SIZE x SIZE; empty for what is none, or not a small one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as sent:
                if max(sent.size) > _MAX_SIDE:
                    return b""
                picture = sent.convert("RGBA")
    except Exception:  # a decoder, on bytes that somebody made to break it
        return b""
    picture.thumbnail((SIZE, SIZE))
    canvas = Image.new("RGBA", (SIZE, SIZE))
    canvas.paste(picture, ((SIZE - picture.width) // 2, (SIZE - picture.height) // 2))
    out = io.BytesIO()
    canvas.save(out, "PNG")
    return out.getvalue()


async def _fetch_one(fetcher: Fetcher, host: str, page: Page) -> None:
    try:
        content = await fetcher.fetch_icon(page.about.icon or _usual(page.url))
    except Unread:
        content = b""
    png = await asyncio.to_thread(drawn, content) if content else b""
    await in_thread(_keep, host, png)


def _usual(url: str) -> str:
    """Where a browser looks."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/favicon.ico"


def _known(hosts: Sequence[str]) -> set[str]:
    fresh = SiteIcon.objects.filter(host__in=hosts, fetched_at__gt=Now() - KEPT)
    return set(fresh.values_list("host", flat=True))


def _keep(host: str, png: bytes) -> None:
    SiteIcon.objects.update_or_create(host=host, defaults={"png": png, "fetched_at": Now()})
