"""Every route of `/v1` with every kind of key: what the table says, and that refusals neither write nor tell."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models.functions import Now
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import reverse

from chatapp.accounts.models import User
from chatapp.answers.models import Status
from chatapp.endpoints.models import Endpoint
from chatapp.programs.keys import Scope, end, make
from chatapp.programs.models import Call, ProgramFile
from chatapp.programs.replies import public_id
from chatapp.programs.request import Asking, file_id
from chatapp.programs.result import Result, Tokens
from tests.chatapp.everybody.contents import contents
from tests.chatapp.everybody.programs import BEARERS, ENDED, OWNER, PROGRAM_ROWS, SESSION, SUSPENDED, ProgramRow
from tests.chatapp.everybody.test_routes import PATTERNS, told
from tests.chatapp.everybody.things import SECRET
from tests.file_fixtures import give
from tests.site_fixtures import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def secrets(member: User, outsider: User) -> dict[str, str]:
    """By who bears them. The suspended one's is the owner's own."""
    own, ended = make(member, "Reports", Scope()), make(member, "Old", Scope())
    end(member, ended.key.pk)
    narrow, other = make(member, "Narrow", Scope(abilities=())), make(outsider, "Other", Scope())
    found = {"owner": own, "other": other, "narrow": narrow, "ended": ended, "suspended": own}
    return {name: made.secret for name, made in found.items()}


@pytest.fixture
def values(member: User, endpoint: Endpoint, secrets: dict[str, str], file_store: Path) -> dict[str, str]:
    """What the routes name: a file that a program gave, and a completion that was stored."""
    upload = give(member, b"The Kraken sleeps below.\n", f"{SECRET}.txt")
    ProgramFile.objects.create(upload=upload, purpose="user_data")
    call = Call.objects.create(
        id=uuid4(),
        key=member.api_keys.get(name="Reports"),
        kind=Call.Kind.CHAT,
        endpoint=endpoint,
        model_id="scripted",
        request=Asking().to_json(),
        is_stored=True,
        status=Status.FINISHED,
        ended_at=Now(),
        result=Result(f"The {SECRET} sleeps.", "", (), "stop", Tokens(1, 0, 1)).to_json(),
    )
    return {
        "file_name": file_id(upload.pk),
        "call_name": public_id(call.kind, call.pk),
        "model_name": "scripted",
        "name": "nothing",
        "rest": "images",
    }


def ask(
    name: str, method: str, bearer: str, secrets: dict[str, str], values: dict[str, str], owner: User
) -> HttpResponseBase:
    row = next((row for row in PROGRAM_ROWS if (row.name, row.method) == (name, method)), None)
    places = row.kwargs if row else {}
    url = reverse(name, kwargs={key: values[places.get(key, key)] for key in PATTERNS[name].pattern.converters})
    client = signed_in(owner) if bearer == SESSION else Client()
    headers = {"authorization": f"Bearer {secrets[bearer]}"} if bearer in secrets else {}
    if row is not None and row.sends_file:
        sent: Any = {"purpose": "user_data", "file": SimpleUploadedFile("tides.txt", b"High at noon.\n")}
        return client.post(url, sent, headers=headers)
    return client.generic(method, url, b"{}", "application/json", headers=headers)


@pytest.mark.parametrize("row", PROGRAM_ROWS, ids=lambda row: row.id)
def test_route_gives_every_bearer_what_its_row_says(
    row: ProgramRow, member: User, secrets: dict[str, str], values: dict[str, str]
) -> None:
    """Those who are refused come first: nothing may have changed when the owner asks."""
    refused = [bearer for bearer in BEARERS if bearer not in row.let_in]
    for bearer in refused:
        User.objects.filter(pk=member.pk).update(is_active=bearer != SUSPENDED)
        session_of = signed_in(member) if bearer == SESSION else None
        assert session_of is None or session_of.session.session_key, "it has a session, which counts for nothing"
        before = _without_use(contents())
        response = ask(row.name, row.method, bearer, secrets, values, member)
        assert response.status_code == row.expected(bearer), bearer
        assert SECRET not in told(response), bearer
        assert _without_use(contents()) == before, f"{bearer} is refused, and yet something was written"
    User.objects.filter(pk=member.pk).update(is_active=True)
    for bearer in sorted(row.let_in, reverse=True):
        response = ask(row.name, row.method, bearer, secrets, values, member)
        assert response.status_code == row.expected(bearer), bearer
        if bearer != OWNER:
            assert SECRET not in told(response), bearer


def _without_use(sums: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """That a key was used is noted with it, and that a person has signed in."""
    return {table: each for table, each in sums.items() if table not in ("programs_apikey", "accounts_user")}


def test_ended_key_was_one(secrets: dict[str, str], member: User) -> None:
    assert secrets[ENDED].startswith("sk-sonde-") and member.api_keys.get(name="Old").revoked_at is not None
