"""Every frame as everybody, through a real socket: who is served, and that refusals neither write nor tell."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed

from chatapp.accounts.models import User
from chatapp.answers.frames import TYPES
from tests.chatapp.everybody.contents import contents
from tests.chatapp.everybody.frames import FRAMES, SILENCE, FrameRow
from tests.chatapp.everybody.people import OWNER, SIGNED_IN
from tests.chatapp.everybody.things import SECRET, Things, make_things
from tests.live_site import LiveSite, Tab

pytestmark = pytest.mark.django_db(transaction=True)

OF_THE_SOCKET = ("list_changed",)
CLOSED_SIGNED_OUT = 4401


@pytest.fixture
def things(member: User, file_store: Path) -> Things:
    return make_things(member)


def fields_of(row: FrameRow, things: Things) -> dict[str, Any]:
    values = {**things.values, "new": uuid4()}
    filled: dict[str, Any] = json.loads(Things(values, {}, {}).fill(json.dumps(row.fields)))
    return filled


def answer_to(tab: Tab, row: FrameRow, things: Things) -> dict[str, Any]:
    """A ping behind it ends the wait for a frame that is answered by nothing."""
    tab.send(row.type, **fields_of(row, things))
    if row.reply == SILENCE:
        tab.send("ping")
    frame = tab.receive_until(lambda frame: frame["type"] not in OF_THE_SOCKET)
    return {"type": SILENCE} if frame["type"] == "pong" and row.reply == SILENCE else frame


def test_every_frame_has_a_row_and_every_row_a_frame() -> None:
    assert {row.type for row in FRAMES} == TYPES
    assert len({row.id for row in FRAMES}) == len(FRAMES)


@pytest.mark.parametrize("row", FRAMES, ids=lambda row: row.id)
def test_frame_is_refused_to_who_is_not_let_in(row: FrameRow, things: Things, live_site: LiveSite) -> None:
    before = contents()
    for person in filter(row.is_refused, SIGNED_IN):
        with live_site.tab_of_session(things.sessions[person]) as tab:
            frame = answer_to(tab, row, things)
        assert (person, frame["type"], frame.get("code")) == (person, "error", row.refused)
        assert SECRET not in json.dumps(frame)
    assert contents() == before


@pytest.mark.parametrize(
    ("row", "person"),
    [
        pytest.param(row, person, id=f"{row.id} {person}")
        for row in FRAMES
        for person in SIGNED_IN
        if person in row.let_in
    ],
)
def test_frame_is_served_to_who_is_let_in(row: FrameRow, person: str, things: Things, live_site: LiveSite) -> None:
    with live_site.tab_of_session(things.sessions[person]) as tab:
        assert answer_to(tab, row, things)["type"] == row.reply


def test_socket_of_a_suspended_person_closes_before_any_frame_is_served(things: Things, live_site: LiveSite) -> None:
    with live_site.tab_of_session(things.sessions[OWNER]) as tab:
        assert answer_to(tab, FRAMES[0], things)["type"] == "pong"
    User.objects.filter(pk=things.people[OWNER].pk).update(is_active=False)
    _served_nothing(things, live_site, things.sessions[OWNER])


def test_socket_without_a_session_closes_before_any_frame_is_served(things: Things, live_site: LiveSite) -> None:
    _served_nothing(things, live_site, "")


def _served_nothing(things: Things, live_site: LiveSite, session: str) -> None:
    before = contents()
    for row in FRAMES:
        with live_site.tab_of_session(session) as tab:
            with suppress(ConnectionClosed):  # it may be closed already
                tab.send(row.type, **fields_of(row, things))
            assert tab.close_code() == CLOSED_SIGNED_OUT
    assert contents() == before
