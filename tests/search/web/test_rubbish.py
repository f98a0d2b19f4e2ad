"""Servers that speak no proper HTTP: whatever they send, the answer is Unread, and nothing hangs."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from search.web.fetching import Fetcher, Limits
from search.web.guard import Guard
from search.web.unread import FAULTS, Unread

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
REPLIES = {
    "nothing": b"",
    "noise": bytes(range(256)) * 40,
    "no status": b"hello\r\n\r\n",
    "half a line": b"HTTP/1.1 200",
    "odd status": b"HTTP/1.1 999 Odd\r\n\r\n",
    "bare switch": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "negative length": OK + b"Content-Length: -5\r\n\r\n<p>x</p>",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 9\r\n\r\n<p>x</p>",
    "short body": OK + b"Content-Length: 500\r\n\r\n<p>x</p>",
    "bad chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n<p>x</p>\r\n",
    "cut chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n500\r\n<p>x</p>",
    "long header": OK + b"X: " + b"a" * 500_000 + b"\r\n\r\n",
    "many headers": OK + b"X: a\r\n" * 50_000 + b"\r\n",
    "zero in header": OK + b"X: a\x00b\r\n\r\n",
    "bytes in type": b"HTTP/1.1 200 OK\r\nContent-Type: \xff\xfe; charset=\xff\r\nContent-Length: 3\r\n\r\na\0c",
    "quoted charset": b'HTTP/1.1 200 OK\r\nContent-Type: image/x; charset="\r\nContent-Length: 3\r\n\r\nabc',
    "bytes in target": b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n",
    "empty target": b"HTTP/1.1 302 Found\r\nLocation: \r\nContent-Length: 0\r\n\r\n",
    "target of brackets": b"HTTP/1.1 302 Found\r\nLocation: http://[[[/\r\nContent-Length: 0\r\n\r\n",
    "packed noise": OK + b"Content-Encoding: zstd\r\nContent-Length: 9\r\n\r\n(\xb5/\xfdnoise",
    "preface of http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Answers `/0`, `/1` ... with the replies in their order, and has no rules."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        if line == b"/robots.txt":
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            writer.write(list(REPLIES.values())[int(line[1:])])
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("name", REPLIES)
async def test_rubbish_is_unread(name: str, port: int) -> None:
    guard = Guard(exceptions=frozenset({("127.0.0.1", port)}))
    async with Fetcher(guard, Limits(page_s=4)) as fetcher:
        with pytest.raises(Unread) as unread:
            await fetcher.fetch(f"http://127.0.0.1:{port}/{list(REPLIES).index(name)}")
    assert unread.value.fault in FAULTS
    assert unread.value.fault != "timeout"
