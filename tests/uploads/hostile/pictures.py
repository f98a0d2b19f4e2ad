"""Pictures that say they are huge, have no end of frames, or point out of themselves."""

import struct
import zlib

from PIL import Image

from tests.uploads.building import chunk, png
from tests.uploads.hostile import plain
from tests.uploads.hostile.corpus import PARTLY, READ, Bait, hostile


@hostile("a-hundred-thousand-wide.png", "bomb", "too_large", "broken")
def _(bait: Bait) -> bytes:
    return png(100_000, 100_000, bytes(1000))


@hostile("two-billion-wide.png", "bomb", "too_large", "broken")
def _(bait: Bait) -> bytes:
    return png(2**31 - 1, 2**31 - 1, bytes(1000))


@hostile("whole-and-huge.png", "bomb", "too_large")
def _(bait: Bait) -> bytes:
    """Every pixel is there: 225 million of them in a quarter of a megabyte."""
    side = 15_000
    squeeze = zlib.compressobj(1)
    rows = b"".join(squeeze.compress(bytes(side + 1)) for _ in range(side)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@hostile("no-rows.png", "broken", "empty")
def _(bait: Bait) -> bytes:
    return png(800, 800)


@hostile("nothing-wide.png", "broken", "empty")
def _(bait: Bait) -> bytes:
    return png(0, 0)


@hostile("words-that-unpack.png", "broken", "bomb", "empty", READ)
def _(bait: Bait) -> bytes:
    """Text and colour chunks of a hundred megabytes each, a few kilobytes packed."""
    whole = plain.picture("PNG")
    squeezed = zlib.compress(bytes(100 * 1024**2), 1)
    chunks = chunk(b"iCCP", b"icc\x00\x00" + squeezed) + chunk(b"zTXt", b"Comment\x00\x00" + squeezed)
    return whole[:33] + chunks + whole[33:]


@hostile("endless-animation.png", "broken", "bomb", "too_many_pages", READ)
def _(bait: Bait) -> bytes:
    whole = plain.picture("PNG")
    return whole[:33] + chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) + whole[33:]


@hostile("ten-thousand-frames.gif", READ, PARTLY, "empty", "bomb", "too_many_pages")
def _(bait: Bait) -> bytes:
    frame = b"\x21\xf9\x04\x00\x01\x00\x00\x00\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    return head + frame * 10_000 + b";"


@hostile("large-screen-small-frame.gif", "bomb", "too_large", "broken")
def _(bait: Bait) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    return head + b"\x2c" + struct.pack("<HHHHB", 65_000, 65_000, 65_535, 65_535, 0) + b"\x02\x02\x44\x01\x00;"


@hostile("gif-and-script.gif", "broken", "empty", "bomb", "too_large", READ)
def _(bait: Bait) -> bytes:
    """A picture to one reader, a program to another."""
    return b"GIF89a/*" + bytes(10) + f"*/=1;fetch('{bait.url}')//;".encode()


@hostile("largest.jpg", "bomb", "too_large")
def _(bait: Bait) -> bytes:
    whole = bytearray(plain.picture("JPEG"))
    at = whole.find(b"\xff\xc0")
    whole[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(whole)


@hostile("largest.bmp", "bomb", "too_large", "broken")
def _(bait: Bait) -> bytes:
    whole = bytearray(plain.picture("BMP"))
    whole[18:26] = struct.pack("<ii", 2**31 - 1, -(2**31 - 1))
    return bytes(whole)


@hostile("largest.webp", "bomb", "too_large", "broken")
def _(bait: Bait) -> bytes:
    canvas = struct.pack("<I", 16_383)[:3] * 2
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x00\x00\x00\x00" + canvas + plain.picture("WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


@hostile("largest.heic", "bomb", "too_large", "broken")
def _(bait: Bait) -> bytes:
    """The item's extent claims 60,000 to a side."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    whole = bytearray(plain.written(lambda file: Image.new("RGB", (640, 640), "white").save(file, "HEIF")))
    at = whole.find(b"ispe")
    whole[at + 8 : at + 16] = struct.pack(">II", 60_000, 60_000)
    return bytes(whole)


def tiff(*tags: tuple[int, int, int, int], following: int = 0, data: bytes = b"") -> bytes:
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", following) + data


WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, ROWS, COUNTS = 256, 257, 258, 259, 262, 273, 278, 279


def grey(width: int, height: int, *others: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    return [(WIDTH, 4, 1, width), (HEIGHT, 4, 1, height), (BITS, 3, 1, 8), (PHOTOMETRIC, 3, 1, 1), *others]


@hostile("strips-of-four-gigabytes.tif", "broken", "empty", "memory", "bomb")
def _(bait: Bait) -> bytes:
    strips = [(COMPRESSION, 3, 1, 1), (OFFSETS, 4, 1, 8), (ROWS, 4, 1, 2**32 - 1), (COUNTS, 4, 1, 2**32 - 1)]
    return tiff(*grey(800, 800, *strips), data=bytes(100))


@hostile("strips-beyond-the-end.tif", "broken", "empty", "memory", "bomb")
def _(bait: Bait) -> bytes:
    strips = [(COMPRESSION, 3, 1, 5), (OFFSETS, 4, 2**28, 2**31), (ROWS, 4, 1, 1), (COUNTS, 4, 2**28, 2**31)]
    return tiff(*grey(800, 800, *strips), data=bytes(100))


@hostile("largest.tif", "bomb", "too_large", "broken")
def _(bait: Bait) -> bytes:
    strips = [(COMPRESSION, 3, 1, 8), (OFFSETS, 4, 1, 8), (COUNTS, 4, 1, 100)]
    return tiff(*grey(2**31 - 1, 2**31 - 1, *strips), data=bytes(200))


@hostile("page-that-follows-itself.tif", "broken", "empty", READ, PARTLY, "too_many_pages")
def _(bait: Bait) -> bytes:
    strips = [(COMPRESSION, 3, 1, 1), (OFFSETS, 4, 1, 200), (ROWS, 4, 1, 8), (COUNTS, 4, 1, 64)]
    return tiff(*grey(8, 8, *strips), following=8, data=bytes(400))


@hostile("five-thousand-pages.tif", "too_many_pages")
def _(bait: Bait) -> bytes:
    """Each with a directory of its own, all with the same eight rows."""
    strips = [(COMPRESSION, 3, 1, 1), (OFFSETS, 4, 1, 8), (ROWS, 4, 1, 8), (COUNTS, 4, 1, 64)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(grey(8, 8, *strips)))
    size, first = 2 + len(entries) + 4, 8 + 64
    pages = [struct.pack("<H", 8) + entries + struct.pack("<I", first + n * size) for n in range(1, 5_000)]
    return (
        b"II*\x00" + struct.pack("<I", first) + bytes(64) + b"".join(pages) + struct.pack("<H", 8) + entries + bytes(4)
    )


@hostile("picture-and-archive.png", READ)
def _(bait: Bait) -> bytes:
    return plain.picture("PNG") + plain.zipped({"../escaped.txt": b"escaped"})


@hostile("picture-named.docx", READ)
def _(bait: Bait) -> bytes:
    return plain.picture("PNG")
