"""What was fetched, read as a page: HTML and plain text here, PDF by whoever can."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import unquote, urlsplit

from search.passages import Located
from search.web.charsets import decoded
from search.web.fetching import Fetched
from search.web.html import read_html
from search.web.page import About, Page
from search.web.plain import read_plain
from search.web.unread import Unread

logger = logging.getLogger(__name__)

# The bytes of a PDF and where they come from, to its blocks; raises Unread for what cannot be read.
ReadPdf = Callable[[bytes, str], Awaitable[Sequence[Located]]]

# Threads of their own: asyncio's are waited for at the end of its loop, and a page may take longer than its search.
_threads = ThreadPoolExecutor(4, "page-reader")


async def read_page(fetched: Fetched, read_pdf: ReadPdf | None = None) -> Page:
    """The page. Raises Unread."""
    try:
        if fetched.media_type == "application/pdf":
            return await _read_pdf(fetched, read_pdf)
        return await asyncio.get_running_loop().run_in_executor(_threads, partial(read_text, fetched))
    except (Unread, asyncio.CancelledError, TimeoutError):
        raise
    except (
        Exception
    ) as error:  # libraries on a page that somebody made to break them: it ends that page, not the search
        logger.warning("page broken: %s", type(error).__name__)
        raise Unread("broken") from error


def read_text(fetched: Fetched) -> Page:
    """Of HTML or plain text. Raises Unread."""
    is_html = fetched.media_type == "text/html"
    text = decoded(fetched.content, fetched.charset, is_html)
    return (read_html if is_html else read_plain)(text, fetched.url, fetched.is_cut)


async def _read_pdf(fetched: Fetched, read_pdf: ReadPdf | None) -> Page:
    if read_pdf is None:
        raise Unread("media_type")
    blocks = await read_pdf(fetched.content, fetched.url)
    if not blocks:
        raise Unread("empty")
    name = unquote(urlsplit(fetched.url).path.rpartition("/")[2])
    return Page(fetched.url, About(title=name), blocks)
