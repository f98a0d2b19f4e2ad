"""Bodies unpacked bit by bit, so that a small bomb never becomes a large one in memory. Knows no HTTP client.

gzip and deflate pack up to 1,032 to 1, brotli and zstandard far more: the limit must count what comes out, and what
comes out of one step must be small.
"""

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import brotli
import zstandard

from search.web.unread import Unread

ACCEPTED = "gzip, br, zstd, deflate"
_STEP = 64 * 1024  # bytes unpacked at a time
# A zstandard block may unpack 4 bytes to 128 KiB, and its library knows no limit for the output: feed it little.
_ZSTD_INPUT = 64
_ZSTD_WINDOW = 8 * 1024 * 1024  # what RFC 9659 lets a server ask of us
_ERRORS = (zlib.error, brotli.error, zstandard.ZstdError)


class _Unpacker(Protocol):
    def unpack(self, data: bytes) -> Iterator[bytes]: ...


async def unpacked(chunks: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """The body without its content encoding, in pieces of 128 KiB at most or so. Raises Unread("broken")."""
    unpacker = _unpacker(encoding)
    async for chunk in chunks:
        if unpacker is None:
            yield chunk
            continue
        try:
            for piece in unpacker.unpack(chunk):
                yield piece
        except _ERRORS as error:
            raise Unread("broken") from error


def _unpacker(encoding: str) -> _Unpacker | None:
    match [name for name in encoding.lower().replace(" ", "").split(",") if name not in ("", "identity")]:
        case []:
            return None
        case ["gzip" | "x-gzip"]:
            return _Zlib(zlib.MAX_WBITS | 16)
        case ["deflate"]:
            return _Deflate()
        case ["br"]:
            return _Brotli()
        case ["zstd"]:
            return _Zstd()
        case _:
            raise Unread("broken")  # packed twice, or in a way we never said we take


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)

    def unpack(self, data: bytes) -> Iterator[bytes]:
        while data and not self._stream.eof:
            yield self._stream.decompress(data, _STEP)
            data = self._stream.unconsumed_tail


class _Deflate:
    """With or without zlib's header: servers disagree on what the word means."""

    def __init__(self) -> None:
        self._stream: _Zlib | None = None

    def unpack(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None and data:
            is_zlib = data[0] & 0x0F == 8 and (len(data) < 2 or (data[0] << 8 | data[1]) % 31 == 0)
            self._stream = _Zlib(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        if self._stream:
            yield from self._stream.unpack(data)


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def unpack(self, data: bytes) -> Iterator[bytes]:
        piece: bytes = self._stream.process(data, output_buffer_limit=_STEP)
        # It may hold output back even where it takes more input already.
        while piece or not (self._stream.is_finished() or self._stream.can_accept_more_data()):
            yield piece
            piece = self._stream.process(b"", output_buffer_limit=_STEP)


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()

    def unpack(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_INPUT):
            if self._stream.eof:
                return
            yield self._stream.decompress(data[start : start + _ZSTD_INPUT])
