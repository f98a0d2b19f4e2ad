"""A tab without a page: reads one conversation over a real websocket, comes back after every break, keeps its place.

It does what the browser does: subscribes again with the last id it has seen, asks for a snapshot at a gap, and sends a
request that was not answered again with the same client_id.
"""

import json
import socket
import threading
from collections.abc import Callable
from typing import Any, Self
from uuid import uuid4

from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.crash.shown import Message, Shown
from tests.crash.waiting import wait_until

ANSWERED_S = 15.0
AGAIN_S = 0.2


class Reader:
    """`with Reader(url, session_key) as tab:`; a thread of its own reads until the block ends."""

    def __init__(
        self, url: str, session_key: str, conversation: str | None = None, position: str | None = None
    ) -> None:
        self._url, self._session_key = url.rstrip("/"), session_key
        self.conversation = conversation
        self.shown = Shown(position)
        self.errors: list[dict[str, Any]] = []
        self.num_connections = 0
        self._asked: dict[str, dict[str, Any]] = {}  # not answered yet, by client_id
        self._answers: dict[str, dict[str, Any]] = {}
        self._lock = threading.RLock()
        self._connection: ClientConnection | None = None
        self._closing = threading.Event()
        self._network = threading.Event()
        self._network.set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until("a tab connects", lambda: self.num_connections, ANSWERED_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._network.set()
        self._thread.join(10)

    # What a person does

    def ask(self, text: str, *, endpoint: str | None = None, parent: str | None = None) -> dict[str, Any]:
        """Sends a question and returns its `accepted` frame; follows the conversation that it began."""
        frame = {"conversation": self.conversation, "parent": parent, "text": text, "endpoint": endpoint}
        accepted = self.request("send_message", **frame)
        assert accepted["type"] == "accepted", accepted
        self.follow(accepted["conversation"])
        return accepted

    def follow(self, conversation: str) -> None:
        if self.conversation == conversation:
            return
        self.conversation = conversation
        self._subscribe(self.shown.position)

    def request(self, type: str, **fields: Any) -> dict[str, Any]:
        """The frame that answers this one, `accepted` or `error`, however often it had to be sent."""
        return self.wait_answered(self.send(type, **fields))

    def send(self, type: str, *, client_id: str | None = None, **fields: Any) -> str:
        """Returns the client_id at once; `wait_answered` waits for its frame."""
        client_id = client_id or str(uuid4())
        with self._lock:
            self._answers.pop(client_id, None)
            self._asked[client_id] = {"type": type, "client_id": client_id, **fields}
            self._send_now(self._asked[client_id])
        return client_id

    def wait_answered(self, client_id: str) -> dict[str, Any]:
        what = f"frame {client_id} is answered"
        return wait_until(what, lambda: self._answers.get(client_id), ANSWERED_S, self.describe)

    def cancel(self, answer: str) -> dict[str, Any]:
        return self.request("cancel_answer", answer=answer)

    def lose_network(self) -> None:
        """Nothing is read any more, and nobody is told: the socket stays open on the other side."""
        self._network.clear()

    def regain_network(self) -> None:
        self._network.set()

    # What a person sees

    def message(self, id: str) -> Message | None:
        with self._lock:
            return self.shown.messages.get(id)

    def text(self, id: str) -> str:
        message = self.message(id)
        return message.text if message else ""

    def wait_for_text(self, id: str, wanted: int | str, timeout_s: float) -> str:
        """At least so many characters, or exactly this text."""
        holds: Callable[[str], bool] = (
            (lambda text: text == wanted) if isinstance(wanted, str) else (lambda text: len(text) >= wanted)
        )
        what = f"message {id} shows {wanted if isinstance(wanted, int) else len(wanted)} characters"
        wait_until(what, lambda: holds(self.text(id)), timeout_s, self.describe)
        return self.text(id)

    def wait_for_end(self, accepted: dict[str, Any], timeout_s: float) -> Message:
        """The message once this answer of it has ended."""

        def look() -> Message | None:
            message = self.message(accepted["reply"])
            return message if message and message.answer == accepted["answer"] and message.is_ended else None

        return wait_until(f"answer {accepted['answer']} ends", look, timeout_s, self.describe)

    def describe(self) -> str:
        with self._lock:
            messages = [
                f"{m.role}:{m.status}{m.error_code and '(' + m.error_code + ')'}:{len(m.text)}"
                for m in self.shown.messages.values()
            ]
            codes = [error["code"] for error in self.errors]
            return (
                f"[{' '.join(messages)}; position={self.shown.position} connections={self.num_connections} "
                f"snapshots={self.shown.num_snapshots} errors={codes}]"
            )

    # The socket

    def _run(self) -> None:
        while not self._closing.is_set():
            self._network.wait()
            try:
                self._read_one_connection()
            except (OSError, WebSocketException, InvalidHandshake, TimeoutError):
                pass
            self._closing.wait(AGAIN_S)

    def _read_one_connection(self) -> None:
        host = self._url.removeprefix("http://")
        headers = {"Cookie": f"sessionid={self._session_key}"}
        with connect(
            f"ws://{host}/ws",
            origin=self._url,  # type: ignore[arg-type]  # a NewType of str
            additional_headers=headers,
            max_size=None,
            open_timeout=5,
            close_timeout=1,
            ping_interval=None,
        ) as connection:
            with self._lock:
                self._connection, self.num_connections = connection, self.num_connections + 1
                self._subscribe(self.shown.position)
                for frame in list(self._asked.values()):
                    self._send_now(frame)
            try:
                self._read(connection)
            finally:
                with self._lock:
                    self._connection = None

    def _read(self, connection: ClientConnection) -> None:
        while not self._closing.is_set():
            try:
                raw = connection.recv(timeout=0.05)
            except TimeoutError:
                raw = None
            if not self._network.is_set():
                self._network.wait()
                connection.socket.shutdown(socket.SHUT_RDWR)  # what was on its way is lost with the network
                return
            if raw is not None:
                with self._lock:
                    self._receive(json.loads(raw))

    def _receive(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "event" if frame["conversation"] == self.conversation:
                if not self.shown.apply(frame):
                    self._subscribe(None)
            case "snapshot" if frame["conversation"] == self.conversation:
                self.shown.apply_snapshot(frame)
            case "error":
                self.errors.append(frame)
        client_id = frame.get("client_id")
        if client_id in self._asked and frame["type"] in {"accepted", "error"}:
            del self._asked[client_id]
            self._answers[client_id] = frame

    def _subscribe(self, after: str | None) -> None:
        if self.conversation is not None:
            with self._lock:
                self._send_now({"type": "subscribe", "conversation": self.conversation, "after": after})

    def _send_now(self, frame: dict[str, Any]) -> None:
        """On the connection there is; without one, the next connection sends it."""
        if self._connection is not None:
            try:
                self._connection.send(json.dumps(frame))
            except (OSError, WebSocketException):
                pass
