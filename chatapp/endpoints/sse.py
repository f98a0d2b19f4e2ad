"""Server-sent events out of bytes. Lines end at line feeds only: an answer may hold U+2028 and its like unescaped."""

from collections.abc import AsyncGenerator, AsyncIterator

# One event holds a few tokens; a megabyte without a line end is not a stream of ours.
MAX_LINE_BYTES = 4 * 1024 * 1024


class NotAStream(ValueError):
    """The bytes are no event stream."""


async def data_of_events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """The data of each event; a comment with its colon, as it came; an empty string for another sign of life."""
    data: list[bytes] = []
    async for line in _lines(chunks):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data).decode("utf-8", "replace")
            data.clear()
        else:
            yield line.decode("utf-8", "replace") if line.startswith(b":") else ""
    if data:
        yield b"\n".join(data).decode("utf-8", "replace")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(rest) > MAX_LINE_BYTES:
            raise NotAStream(f"a line of more than {MAX_LINE_BYTES} bytes")
    if rest:
        yield rest.removesuffix(b"\r")
