"""Unpacking: every encoding we ask for, in any cut, and never more than a step at a time."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import brotli
import pytest
import zstandard

from search.web.unpacking import unpacked
from search.web.unread import Unread

TEXT = "Größe, 漢字, and a good deal of plain text besides. ".encode() * 400


def _raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate, identity": _raw_deflate,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "": bytes,
}


async def _pieces(data: bytes, encoding: str, size: int) -> list[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return [piece async for piece in unpacked(chunks(), encoding)]


@pytest.mark.parametrize("size", [3, 1000, 1_000_000])
@pytest.mark.parametrize("encoding", PACKERS)
async def test_a_body_comes_out_as_it_went_in(encoding: str, size: int) -> None:
    assert b"".join(await _pieces(PACKERS[encoding](TEXT), encoding, size)) == TEXT


@pytest.mark.parametrize("encoding", [name for name in PACKERS if name])
async def test_a_bomb_comes_out_in_small_pieces(encoding: str) -> None:
    bomb = PACKERS[encoding](bytes(50_000_000))
    assert len(bomb) < 60_000
    pieces = await _pieces(bomb, encoding, 1_000_000)
    assert sum(map(len, pieces)) == 50_000_000
    assert max(map(len, pieces)) <= 4_000_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_rubbish_is_broken(encoding: str) -> None:
    with pytest.raises(Unread, match="broken"):
        await _pieces(b"\xff\x00 this was never packed" * 40, encoding, 100)


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br, gzip", "lzw", "x"])
async def test_what_was_never_asked_for_is_broken(encoding: str) -> None:
    with pytest.raises(Unread, match="broken"):
        await _pieces(b"data", encoding, 100)
