"""A PDF of the web, read like an uploaded one: by a fenced child. Joins search/ and uploads/, strangers to each other.

What the child has read until its time is up is kept.
"""

import asyncio
import logging
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from search.passages import Located
from search.web.unread import Fault, Unread
from search.web.untrusted import visible
from uploads.document import Block, Limits, Source, Unparsable
from uploads.fence import FenceLimits, ReadingCancelled, read_file

logger = logging.getLogger(__name__)

READ_S = 3.0  # of the six that a search has for all of its pages; starting the child is half a second
MOST_PAGES = 1000
MEMORY_BYTES = 1024**3
# Scans are left to those who upload them: OCR takes two seconds a page.
_LIMITS = Limits(max_pages=MOST_PAGES, max_characters=2_000_000, page_seconds=1.0)
_FENCE = FenceLimits(seconds=READ_S + 2, cpu_seconds=10, memory_bytes=MEMORY_BYTES)
_FAULTS: dict[str, Fault] = {
    "empty": "empty",
    "timeout": "timeout",
    **dict.fromkeys(("too_large", "too_many_pages", "bomb", "memory"), "too_large"),
}


async def read_pdf(content: bytes, url: str) -> Sequence[Located]:
    """Its blocks with their pages. Raises Unread."""
    is_over = threading.Event()
    try:
        return await asyncio.to_thread(_read, content, is_over)
    finally:
        is_over.set()  # of whoever waits no longer: the thread ends its child


def _read(content: bytes, is_over: threading.Event) -> list[Block]:
    blocks: list[Block] = []
    with tempfile.TemporaryDirectory(prefix="page-") as folder:
        path = Path(folder) / "page.pdf"
        path.write_bytes(content)
        source = Source(path, "application/pdf", path.name, _LIMITS)
        give_up = time.monotonic() + READ_S
        try:
            with closing(read_file(source, _FENCE, is_cancelled=is_over.is_set)) as events:
                for event in events:
                    if isinstance(event, Block):
                        blocks.append(replace(event, text=visible(event.text)))
                    if time.monotonic() > give_up:
                        break
        except ReadingCancelled:
            return []
        except Unparsable as error:
            if not blocks:
                raise Unread(_FAULTS.get(error.fault, "broken")) from error
            logger.info("pdf read in part: %s blocks=%d", error.fault, len(blocks))
    return blocks
