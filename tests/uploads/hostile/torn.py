"""Whole files of every kind cut in the middle, and with bits turned: what lines and disks do to them."""

import random
from collections.abc import Callable

from tests.uploads.hostile import plain
from tests.uploads.hostile.corpus import PARTLY, READ, REFUSED, hostile

ENDS = (READ, PARTLY, "broken", "empty", "bomb", "encrypted", "too_large", "too_many_pages", REFUSED)
WHOLES: dict[str, Callable[[], bytes]] = {
    "docx": plain.document,
    "xlsx": plain.sheet,
    "pptx": plain.slides,
    "odt": plain.open_text,
    "epub": plain.book,
    "pdf": plain.page,
    "eml": plain.mail,
    "png": lambda: plain.picture("PNG"),
    "jpg": lambda: plain.picture("JPEG"),
    "gif": lambda: plain.picture("GIF"),
    "tif": lambda: plain.picture("TIFF"),
    "webp": lambda: plain.picture("WEBP"),
    "rtf": lambda: b"{\\rtf1\\ansi{\\fonttbl{\\f0 Arial;}} " + plain.TEXT.encode() * 20 + b"\\par}",
    "html": lambda: b"<!doctype html><html><body>" + b"<p>" + plain.TEXT.encode() * 20 + b"</p></body></html>",
}


def cut(whole: bytes) -> bytes:
    return whole[: len(whole) * 6 // 10]


def turned(whole: bytes, seed: str) -> bytes:
    """A bit in every thousand bytes, but none of the first sixteen bytes: it is to be opened, after all."""
    chance = random.Random(seed)
    bent = bytearray(whole)
    for _ in range(max(8, len(bent) // 1000)):
        bent[chance.randrange(16, len(bent))] ^= 1 << chance.randrange(8)
    return bytes(bent)


for _ending, _whole in WHOLES.items():
    hostile(f"cut.{_ending}", *ENDS)(lambda bait, whole=_whole: cut(whole()))  # type: ignore[misc]
    hostile(f"bits-turned.{_ending}", *ENDS)(
        lambda bait, whole=_whole, ending=_ending: turned(whole(), ending)  # type: ignore[misc]
    )
