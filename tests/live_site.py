"""The real site in a thread, on a free port, and tabs that open a real websocket to it."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
import uvicorn
from django.conf import settings
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from chatapp.accounts.models import User
from tests.site_fixtures import signed_in

PATIENCE_S = 8.0


class LiveSite:
    """`with LiveSite() as site:` serves at `site.url` until the block ends."""

    def __init__(self) -> None:
        from chatapp.asgi import application

        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"http://{self.host}"
        config = uvicorn.Config(application, lifespan="off", log_level="warning")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> "LiveSite":
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    @contextmanager
    def tab(self, person: User | None, origin: str | None = None) -> Iterator["Tab"]:
        """A tab of this person's browser, in which they have signed in; None has not."""
        cookie = signed_in(person).cookies[settings.SESSION_COOKIE_NAME].value if person else ""
        with self.tab_of_session(cookie, origin) as tab:
            yield tab

    @contextmanager
    def tab_of_session(self, session_key: str, origin: str | None = None) -> Iterator["Tab"]:
        headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session_key}"}
        with connect(
            f"ws://{self.host}/ws",
            origin=origin or self.url,
            additional_headers=headers,
            max_size=None,
            close_timeout=1,
        ) as connection:
            yield Tab(connection)


class Tab:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, type: str, **fields: Any) -> None:
        wire = {name: str(value) if isinstance(value, UUID) else value for name, value in fields.items()}
        self.connection.send(json.dumps({"type": type, **wire}))

    def ask(self, text: str, client_id: UUID | None = None, **fields: Any) -> dict[str, Any]:
        """Sends a question and returns the frame that answers it."""
        client_id = client_id or uuid4()
        self.send("send_message", client_id=client_id, text=text, **fields)
        return self.receive_until(lambda frame: frame.get("client_id") == str(client_id))

    def follow(self, conversation: Any, after: str | None = None) -> None:
        self.send("subscribe", conversation=str(conversation), after=after)

    def receive(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self.connection.recv(timeout=timeout_s))
        return frame

    def receive_until(self, wanted: Any, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """The first frame for which `wanted` holds (a type's name will do); others are passed over."""
        deadline = time.monotonic() + timeout_s
        matches = wanted if callable(wanted) else lambda frame: frame["type"] == wanted
        while True:
            frame = self.receive(max(0.0, deadline - time.monotonic()))
            if matches(frame):
                return frame

    def receive_events(self, count: int) -> list[dict[str, Any]]:
        return [self.receive_until("event") for _ in range(count)]

    def is_silent(self, for_s: float = 0.3) -> bool:
        """True when no frame arrives for so long; bells of the list aside."""
        deadline = time.monotonic() + for_s
        while True:
            try:
                if self.receive(max(0.0, deadline - time.monotonic()))["type"] != "list_changed":
                    return False
            except TimeoutError:
                return True

    def close_code(self, timeout_s: float = PATIENCE_S) -> int | None:
        """Waits until the site closes the socket."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self.connection.recv(timeout=max(0.0, deadline - time.monotonic()))
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None


@pytest.fixture(scope="session")
def live_site(django_db_setup: None) -> Iterator[LiveSite]:
    with LiveSite() as site:
        yield site
