"""The worker as it is served: how long it takes to start, and what one client gets of it over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from inference.bench.side import ROOT, SideFailed, Written
from inference.serve import ServeSettings

START_TIMEOUT_S = 600.0
POLL_S = 0.01
# The checkpoint's own generation settings would penalise repetition.
GREEDY_STREAM = {
    "temperature": 0,
    "repetition_penalty": 1,
    "stream": True,
    "stream_options": {"include_usage": True},
}


class Server:
    """`python -m inference serve` on a free port; `start_s` is the time to the first healthy answer."""

    def __init__(self, settings: ServeSettings, environ: Mapping[str, str] = os.environ) -> None:
        self._port = _free_port()
        arguments = ["--model", str(settings.model.resolve()), "--port", str(self._port), "--dtype", settings.dtype]
        arguments += ["--device", settings.device, "--threads", str(settings.threads), "--weights", settings.weights]
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inference", "serve", *arguments],
            cwd=ROOT,
            env=dict(environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not self._is_healthy():
            if self._process.poll() is not None or time.perf_counter() - started > START_TIMEOUT_S:
                raise SideFailed("the server did not start")
            time.sleep(POLL_S)
        self.start_s = time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.resume()
        self._process.terminate()
        self._process.wait()

    def pause(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def stream(self, prompt: Sequence[int], max_tokens: int) -> Written:
        """One greedy completion, read as it comes; the time is that from the first piece of text to the last."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        body = {"prompt": list(prompt), "max_tokens": max_tokens, **GREEDY_STREAM}
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        times: list[float] = []
        num_tokens = 0
        for event in _events(connection.getresponse()):
            if event.get("choices") and event["choices"][0]["text"]:
                times.append(time.perf_counter())
            if event.get("usage"):
                num_tokens = event["usage"]["completion_tokens"]
        connection.close()
        if len(times) < 2:
            raise SideFailed(f"the server streamed {len(times)} pieces of text")
        return Written(num_tokens - 1, times[-1] - times[0])

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    if response.status != 200:
        raise SideFailed(f"the server answered {response.status}: {response.read(300).decode(errors='replace')}")
    for line in response:
        if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
            yield json.loads(line.removeprefix(b"data: "))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
