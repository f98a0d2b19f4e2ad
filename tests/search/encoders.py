"""Encoders for tests: ours as a real process, and a foreign one that keeps what it was asked."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from ops.data import ROOT
from ops.environment import free_ports

KEY = "a key of the tests"


@contextmanager
def our_encoder(folder: Path) -> Iterator[str]:
    """`python -m search.encoder`, answering; gives its /v1."""
    key_file = folder / "key"
    key_file.write_text(KEY)
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "search.encoder", "--port", str(port), "--key-file", str(key_file)]
    process = subprocess.Popen(argv, cwd=ROOT)
    try:
        _wait(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(20)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the encoder has ended"
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer in 60 s")


@dataclass
class ForeignEncoder:
    """Answers every request with `answer`, or with as many copies of `vector` as there are texts."""

    url: str = ""
    vector: list[float] = field(default_factory=lambda: [3.0, 4.0])
    status: int = 200
    answer: bytes | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def foreign_encoder() -> Iterator[ForeignEncoder]:
    encoder = ForeignEncoder()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            encoder.bodies.append(body)
            encoder.headers.append({name.lower(): value for name, value in self.headers.items()})
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            # Out of order, as an endpoint may answer.
            data = [{"index": n, "embedding": encoder.vector} for n in reversed(range(len(texts)))]
            answer = encoder.answer if encoder.answer is not None else json.dumps({"data": data}).encode()
            self.send_response(encoder.status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    encoder.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield encoder
    finally:
        server.shutdown()
        server.server_close()
