"""Server-sent events: what is on the wire when an answer fails in the middle of its stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import pytest

from inference.server import streaming
from inference.server.errors import Unavailable
from inference.server.streaming import EventStream, event


async def events_that_fail(error: Exception) -> AsyncGenerator[bytes, None]:
    yield event({"text": "the"})
    raise error


async def send_all(stream: EventStream) -> tuple[list[MutableMapping[str, Any]], Exception | None]:
    """What the client gets, and what the log gets."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    try:
        await stream({"type": "http"}, receive, send)
    except Exception as error:
        return sent, error
    return sent, None


async def test_a_client_that_stops_reading_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "STALLED_S", 0.05)
    closed = asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield event({"text": "the"})
        finally:
            closed.set()

    async def wait_for_ever() -> MutableMapping[str, Any]:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await wait_for_ever()

    await EventStream(events())({"type": "http"}, wait_for_ever, send)
    assert closed.is_set()


@pytest.mark.parametrize(
    ("error", "code"), [(Unavailable("stopping", "shutting_down"), "shutting_down"), (KeyError("x"), "internal_error")]
)
async def test_an_answer_that_fails_in_its_stream_says_so_and_ends(error: Exception, code: str) -> None:
    sent, raised = await send_all(EventStream(events_that_fail(error)))
    last = json.loads(sent[-1]["body"].removeprefix(b"data: "))
    assert last["error"]["code"] == code and sent[-1]["more_body"] is False
    assert raised is (error if code == "internal_error" else None)
