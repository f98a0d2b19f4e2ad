"""How tests ask a running server over HTTP, and read what it says of itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.inference.conftest import RunningServer

QUESTION: list[Any] = [{"role": "user", "content": "what is the name of this cat?"}]


def post(server: RunningServer, path: str = "/v1/chat/completions", **body: object) -> httpx.Response:
    if path.endswith("chat/completions"):
        body = {"messages": QUESTION, "max_tokens": 8} | body
    return httpx.post(server.url + path, json=body, timeout=60)


def stream(server: RunningServer, **body: object) -> list[dict[str, Any]]:
    """The chunks' only choices, in order; checks the frame around them."""
    text = post(server, stream=True, **body).text
    lines = [line for line in text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines[:-1]]


def read_metrics(server: RunningServer) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 10 s"
        time.sleep(0.01)
