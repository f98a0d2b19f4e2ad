"""Every route and method as everybody: what the table says they get, and that refusals neither write nor tell."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from chatapp.accounts.models import User
from tests.chatapp.everybody.contents import contents
from tests.chatapp.everybody.people import ANONYMOUS, EVERYBODY, OWNER, READERS, SIGNED_IN, SUSPENDED
from tests.chatapp.everybody.programs import PROGRAMS
from tests.chatapp.everybody.routes import ROWS, SIGN_IN, TUS, Row
from tests.chatapp.everybody.things import SECRET, Things, make_things
from tests.file_fixtures import stored_in
from tests.site_fixtures import make_person

pytestmark = pytest.mark.django_db

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def named_routes(resolver: URLResolver | None = None) -> Iterator[URLPattern]:
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            yield from named_routes(pattern)
        else:
            yield pattern


PATTERNS = {str(pattern.name): pattern for pattern in named_routes()}


class _RolledBack(Exception):
    pass


@contextmanager
def undone() -> Iterator[None]:
    """What happens in it has not happened."""
    try:
        with transaction.atomic():
            yield
            raise _RolledBack
    except _RolledBack:
        pass


@pytest.fixture(scope="module")
def things(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Things]:
    """Made once, and untouched by every test: each undoes what it does, and at the end all of it has not happened."""
    folder = tmp_path_factory.mktemp("everybody")
    with django_db_blocker.unblock(), override_settings(**stored_in(folder)), undone():
        yield make_things(make_person("Mario"))


def browser_of(person: str, things: Things, *, strict: bool = False) -> Client:
    """Of the suspended one it still has the session; the row of the person says that they are out."""
    client = Client(enforce_csrf_checks=strict)
    key = things.sessions.get(OWNER if person == SUSPENDED else person)
    if key is not None:
        client.cookies[settings.SESSION_COOKIE_NAME] = key
    if person == SUSPENDED:
        User.objects.filter(pk=things.people[OWNER].pk).update(is_active=False)
    return client


def url_of(name: str, things: Things) -> str:
    places = next((row.kwargs for row in ROWS if row.name == name), {})
    arguments = {key: things.values[places.get(key, key)] for key in PATTERNS[name].pattern.converters}
    return reverse(name, kwargs=arguments)


def ask(client: Client, row: Row, things: Things, *, as_page: bool = True) -> HttpResponseBase:
    filled = replace(things, values={**things.values, "collection_b64": _b64(things.values["collection_id"])})
    headers = {name: filled.fill(value) for name, value in row.headers.items()}
    # By its name: a bare address has no passkeys.
    headers |= {"accept": "text/html" if as_page else "application/json", "host": "localhost"}
    data: Any = {key: filled.fill(value) for key, value in row.data.items()}
    url = url_of(row.name, things)
    match row.method:
        case "GET":
            return client.get(url, data, headers=headers)
        case "POST" if not row.body:
            return client.post(url, data, headers=headers)
        case _:
            return client.generic(row.method, url, row.body, row.content_type or "text/plain", headers=headers)


def _b64(value: object) -> str:
    return b64encode(str(value).encode()).decode()


def got(response: HttpResponseBase) -> int | str:
    if response.status_code == 302 and response.headers["Location"].partition("?")[0] == "/sign-in":
        return SIGN_IN
    return response.status_code


def told(response: HttpResponseBase) -> str:
    if isinstance(response, StreamingHttpResponse):
        return ""  # bytes of a file, whose status has been looked at
    content: bytes = getattr(response, "content", b"")
    return content.decode(errors="replace") + str(response.headers)


@cache
def contents_seen_by(person: str) -> dict[str, tuple[int, int]]:
    """Before they ask: the same for every test, as each undoes what it does."""
    return contents()


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert {row.name for row in ROWS} | set(PROGRAMS) == set(PATTERNS)
    assert not {row.name for row in ROWS} & set(PROGRAMS)
    assert len({row.id for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_route_gives_everybody_what_its_row_says(row: Row, things: Things) -> None:
    found: dict[str, int | str] = {}
    for person in EVERYBODY:
        with undone():
            client = browser_of(person, things)
            before = contents_seen_by(person)
            response = ask(client, row, things)
            found[person] = got(response)
            if person not in row.let_in:
                changed = {table for table, sums in contents().items() if sums != before[table]}
                assert not changed, f"{person} is refused, and yet something was written"
            if person not in READERS and not row.shows_secrets:
                assert SECRET not in told(response), person
    assert found == {person: row.expected(person) for person in EVERYBODY}


@pytest.mark.parametrize("row", [row for row in ROWS if not row.shows_secrets], ids=lambda row: row.id)
def test_javascript_is_told_nothing_of_what_is_not_shared(row: Row, things: Things) -> None:
    for person in ("outsider", "keeper", "admin"):
        with undone():
            assert SECRET not in told(ask(browser_of(person, things), row, things, as_page=False)), person


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_no_session_opens_a_route_of_programs(name: str, things: Things) -> None:
    for method in PROGRAMS[name]:
        for person in EVERYBODY:
            with undone():
                client = browser_of(person, things, strict=True)
                response: Any = client.generic(method, url_of(name, things), "{}", "application/json")
                assert response.status_code == 401, f"{method} as {person}"
                assert response.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("name", PATTERNS)
def test_route_takes_no_method_without_a_row(name: str, things: Things) -> None:
    listed = {row.method for row in ROWS if row.name == name} | set(PROGRAMS.get(name, ()))
    rows = [row for row in ROWS if row.name == name]
    most = max(rows, key=lambda row: len(row.let_in)) if rows else None
    person = next((each for each in EVERYBODY if most and each in most.let_in), OWNER)
    for method in METHODS:
        if method in listed:
            continue
        with undone():
            client = browser_of(person, things)
            response = client.generic(method, url_of(name, things), headers={**TUS, "host": "localhost"})
            assert response.status_code == 405, f"{method} {name}"


@pytest.mark.parametrize("row", [row for row in ROWS if ANONYMOUS not in row.let_in], ids=lambda row: row.id)
def test_javascript_of_a_signed_out_page_gets_json(row: Row, things: Things) -> None:
    for person in (ANONYMOUS, SUSPENDED):
        with undone():
            response: Any = ask(browser_of(person, things), row, things, as_page=False)
            assert response.status_code == 401
            if row.method != "HEAD":
                assert response.json()["error"]["code"] == "signed_out"


@pytest.mark.parametrize("row", [row for row in ROWS if row.method in WRITES], ids=lambda row: row.id)
def test_write_is_not_taken_without_its_token(row: Row, things: Things) -> None:
    """A page of another site can send a form with our cookies, and knows no token."""
    person = next((each for each in SIGNED_IN if each in row.let_in), OWNER)
    with undone():
        response: Any = ask(browser_of(person, things, strict=True), row, things, as_page=False)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "csrf"


def test_what_a_row_says_can_be_wrong(things: Things) -> None:
    """The table is held against the site, not against itself: one that lets the outsider in does not pass."""
    row = next(row for row in ROWS if row.name == "conversation")
    with undone():
        response = ask(browser_of("outsider", things), row, things)
    assert got(response) != replace(row, let_in=row.let_in | {"outsider"}).expected("outsider")
