"""The transport: TLS and HTTP/2 to a checked address, with the name still in the handshake and in the request."""

import httpx
import pytest

from search.web.guard import Guard
from search.web.transport import GuardedTransport
from tests.search.web.speaking_h2 import H2Server


async def _here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def test_http2_with_the_name_in_handshake_and_request() -> None:
    async with H2Server("pages.test") as server:
        guard = Guard(_here, frozenset({("127.0.0.1", server.port)}))
        transport = GuardedTransport(guard, tls=server.client_context())
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            first = await client.get(f"https://pages.test:{server.port}/a")
            second = await client.get(f"https://pages.test:{server.port}/b")
    assert (first.http_version, first.text, second.text) == ("HTTP/2", "/a", "/b")
    assert server.names == ["pages.test"]  # one connection for both
    assert server.authorities == [f"pages.test:{server.port}"] * 2


async def test_a_certificate_for_another_name_is_not_taken() -> None:
    async with H2Server("pages.test") as server:
        guard = Guard(_here, frozenset({("127.0.0.1", server.port)}))
        transport = GuardedTransport(guard, tls=server.client_context())
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"https://other.test:{server.port}/")


async def test_a_server_that_is_away_is_an_error_of_httpx() -> None:
    async with H2Server("pages.test") as server:
        port = server.port
    guard = Guard(_here, frozenset({("127.0.0.1", port)}))
    async with httpx.AsyncClient(transport=GuardedTransport(guard), trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://pages.test:{port}/")
