"""Every route of the site, as everybody. A route that is not in the table fails the test."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from chatapp.accounts.models import Group, Passkey, Role, User
from chatapp.answers.models import Answer, Status
from chatapp.conversations.models import Conversation, Message
from chatapp.endpoints.models import Endpoint
from chatapp.evidence.models import Evidence
from chatapp.files.models import Attachment
from chatapp.people.models import Invitation
from chatapp.programs.models import ApiKey
from chatapp.searches.models import Search, WebPage
from chatapp.sharing.models import PublicLink
from tests.file_fixtures import collect, give, make_collection
from tests.site_fixtures import make_person, signed_in

PAGE = {"headers": {"accept": "text/html"}}
SIGN_IN = "sign-in"  # a redirect to the door


@dataclass(frozen=True)
class Route:
    """What each gets: a status, or SIGN_IN. Where `member` is not said it is as for the owner."""

    method: str
    owner: int
    member: int
    outsider: int
    anonymous: int | str = SIGN_IN
    data: tuple[tuple[str, str], ...] = ()


# The conversation is the member's: neither the owner of the site nor the outsider may know of it.
ROUTES = {
    "sign_in": Route("GET", 302, 302, 302, 200),
    "enter_code": Route("GET", 302, 302, 302, 302),  # to the first step
    "begin_passkey_sign_in": Route("POST", 200, 200, 200, 200),
    "passkey_sign_in": Route("POST", 400, 400, 400, 400),
    "set_up_codes": Route("GET", 200, 200, 200),
    "renew_recovery_codes": Route("POST", 302, 302, 302),
    "switch_off_codes": Route("POST", 302, 302, 302),
    "begin_passkey": Route("POST", 400, 400, 400),
    "add_passkey": Route("POST", 400, 400, 400),
    "delete_passkey": Route("POST", 404, 302, 404),
    # Without a provider of OpenID Connect none of it is there: tests/chatapp/accounts/test_oidc.py has one.
    "oidc": Route("GET", 404, 404, 404, 404),
    "oidc_callback": Route("GET", 404, 404, 404, 404),
    "connect_oidc": Route("POST", 404, 404, 404),
    "disconnect_oidc": Route("POST", 404, 404, 404),
    "sign_out": Route("POST", 302, 302, 302),
    "welcome": Route("GET", 404, 404, 404, 404),
    "account": Route("GET", 200, 200, 200),
    "change_password": Route("POST", 422, 422, 422),
    "change_profile": Route("POST", 422, 422, 422),
    "end_session": Route("POST", 404, 404, 404),
    "preferences": Route("POST", 302, 302, 302, 302),
    "javascript_strings": Route("GET", 200, 200, 200, 200),
    "new_chat": Route("GET", 200, 200, 200),
    "search": Route("GET", 200, 200, 200),
    "archive": Route("GET", 200, 200, 200),
    "order_chats": Route("POST", 404, 302, 404, data=(("deed", "archive"), ("ids", "{conversation}"))),
    "sidebar": Route("GET", 200, 200, 200),
    "conversation": Route("GET", 404, 200, 404),
    "thread": Route("GET", 404, 200, 404),
    "message": Route("GET", 404, 200, 404),
    "select_branch": Route("POST", 404, 302, 404, data=(("leaf", "{message}"),)),
    "rename_conversation": Route("POST", 404, 302, 404, data=(("title", "Ebb"),)),
    "delete_conversation": Route("POST", 404, 302, 404),
    "restore_conversation": Route("POST", 404, 302, 404),
    "answer_details": Route("GET", 404, 200, 404),
    "health": Route("GET", 200, 200, 200, 200),
    "endpoints": Route("GET", 200, 404, 404),
    "new_endpoint": Route("GET", 200, 404, 404),
    "endpoint": Route("GET", 200, 404, 404),
    "try_endpoint": Route("GET", 200, 404, 404),
    "default_endpoint": Route("POST", 302, 404, 404),
    "delete_endpoint": Route("POST", 302, 404, 404),
    # The search is proposed to the member, and has read a page.
    "web_search": Route("GET", 404, 200, 404),
    "confirm_search": Route("POST", 404, 302, 404, data=(("queries", "tides"),)),
    "skip_search": Route("POST", 404, 302, 404),
    "answer_pages": Route("GET", 404, 200, 404),
    "page_copy": Route("GET", 404, 200, 404),
    "site_icon": Route("GET", 404, 404, 404),  # there is none
    "web_setting": Route("GET", 200, 404, 404),
    "try_engine": Route("GET", 200, 404, 404),
    "usage": Route("GET", 200, 200, 200),
    "usage_csv": Route("GET", 200, 200, 200),
    "team_usage": Route("GET", 200, 404, 404),
    "team_usage_csv": Route("GET", 200, 404, 404),
    "quotas": Route("GET", 200, 404, 404),
    # The file and the collection are the member's too, and the evidence is of the member's answer.
    "fit": Route("POST", 200, 200, 200),
    "files": Route("GET", 200, 200, 200),
    "confirm_removal": Route("GET", 404, 200, 404),
    "uploads": Route("GET", 412, 412, 412),  # tus says so to whoever does not say that he speaks it
    "upload": Route("GET", 412, 412, 412),
    "upload_states": Route("GET", 200, 200, 200),
    "retry_upload": Route("POST", 404, 409, 404),
    "cancel_upload": Route("POST", 404, 200, 404),
    "remove_upload": Route("POST", 404, 302, 404),
    "upload_content": Route("GET", 404, 200, 404),
    "file": Route("GET", 404, 200, 404),
    "source": Route("GET", 404, 200, 404),
    "collections": Route("GET", 200, 200, 200),
    "collection": Route("GET", 404, 200, 404),
    "rename_collection": Route("POST", 404, 302, 404, data=(("name", "Ebb"),)),
    "delete_collection": Route("GET", 404, 200, 404),
    "share_collection": Route("POST", 404, 400, 404),  # with whom is not said
    "end_share": Route("POST", 404, 400, 404),
    "take_out": Route("POST", 404, 302, 404),
    "share_conversation": Route("GET", 404, 200, 404),
    "end_conversation_share": Route("POST", 404, 400, 404),
    "fork_conversation": Route("POST", 404, 302, 404),
    "make_link": Route("POST", 404, 200, 404, data=(("days", "7"),)),
    "revoke_link": Route("POST", 404, 302, 404),
    "shared": Route("GET", 200, 200, 200, 200),
    # The team's pages are there for its keepers alone; the person and the member of the group is the outsider.
    "team": Route("GET", 200, 404, 404),
    "person": Route("GET", 200, 404, 404),
    "change_role": Route("POST", 302, 404, 404, data=(("role", "guest"),)),
    "suspend_person": Route("POST", 302, 404, 404),
    "reactivate_person": Route("POST", 302, 404, 404),
    "reset_codes": Route("POST", 302, 404, 404),
    "reset_password": Route("POST", 200, 404, 404),
    "choose_password": Route("GET", 404, 404, 404, 404),
    "remove_person": Route("GET", 200, 404, 404),
    "leave": Route("GET", 200, 200, 200),
    "make_invitation": Route("POST", 422, 404, 404),
    "revoke_invitation": Route("POST", 302, 404, 404),
    "join": Route("GET", 200, 200, 200, 200),
    "make_group": Route("POST", 302, 404, 404, data=(("name", "Deck"),)),
    "group": Route("GET", 200, 404, 404),
    "rename_group": Route("POST", 302, 404, 404, data=(("name", "Deck"),)),
    "add_member": Route("POST", 302, 404, 404, data=(("person", "{person}"),)),
    "remove_member": Route("POST", 302, 404, 404, data=(("person", "{person}"),)),
    "delete_group": Route("POST", 302, 404, 404),
    # The key is the outsider's; a keeper of the team may end it.
    "keys": Route("GET", 200, 200, 200),
    "key": Route("GET", 200, 404, 200),
    "end_key": Route("POST", 302, 404, 302),
    "team_keys": Route("GET", 200, 404, 404),
}
# For programs: no session opens any of them, nor is one asked for. What a key opens: tests/chatapp/programs.
PROGRAMS = {
    "api_chat": "POST",
    "api_stored": "GET",
    "api_completions": "POST",
    "api_embeddings": "POST",
    "api_files": "POST",
    "api_file": "DELETE",
    "api_file_content": "GET",
    "api_models": "GET",
    "api_model": "GET",
    "api_balance": "GET",
    "api_balance_deepseek": "GET",
    "api_unknown": "POST",
}
PEOPLE = ("owner", "member", "outsider", "anonymous")


def named_routes(resolver: URLResolver | None = None) -> Iterator[URLPattern]:
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            yield from named_routes(pattern)
        else:
            yield pattern


@pytest.fixture
def things(
    conversation: Conversation, endpoint: Endpoint, member: User, outsider: User, file_store: Path
) -> dict[str, object]:
    question = Message.objects.create(conversation=conversation, role="user", author=member, text="High tide?")
    reply = Message.objects.create(conversation=conversation, role="assistant", parent=question, text="At noon.")
    answer = Answer.objects.create(
        message=reply, asked_by=member, client_id=uuid4(), seed=1, status=Status.FINISHED, ended_at=timezone.now()
    )
    values = {"conversation_id": conversation.pk, "message_id": reply.pk, "answer_id": answer.pk}
    upload, collection = give(member), make_collection(member, "Tides")
    Attachment.objects.create(message=question, upload=upload, position=0, name=upload.name)
    collect(collection, upload)
    place = {"kind": "lines", "first": 1, "last": 1}
    source = {"source_id": upload.reading_id, "source_sha256": upload.blob_id, "name": upload.name, "place": place}
    evidence = Evidence.objects.create(answer=answer, number=1, upload=upload, **source)
    values |= {"upload_id": upload.pk, "collection_id": collection.pk, "evidence_id": evidence.pk}
    search = Search.objects.create(
        answer=answer, ordinal=1, question="High tide?", queries=["tide"], state="proposed", deadline=_in_an_hour()
    )
    page = WebPage.objects.create(search=search, ordinal=1, url="https://tides.example/", sha256="0" * 64, blocks=[])
    values |= {"search_id": search.pk, "page_id": page.pk, "host": "tides.example"}
    group = Group.objects.create(name="Pilots")
    group.members.add(outsider)
    values |= {"person_id": outsider.pk, "group_id": group.pk}
    keeper = make_person("Ada", Role.ADMIN)
    invitation = Invitation.objects.create(
        token_hash=sha256(b"guess").hexdigest(),
        role=Role.MEMBER,
        made_by=keeper,
        max_uses=1,
        expires_at=timezone.now() + timedelta(days=1),
    )
    passkey = Passkey.objects.create(user=member, name="Phone", credential_id=b"1", public_data=b"", sign_count=0)
    link = PublicLink.objects.create(
        token_hash=sha256(b"guess").hexdigest(),
        conversation=conversation,
        made_by=member,
        messages=[],
        expires_at=timezone.now() + timedelta(days=1),
    )
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=reply)
    values |= {"link_id": link.pk}
    values |= {"invitation_id": invitation.pk, "passkey_id": passkey.pk}
    key = ApiKey.objects.create(owner=outsider, name="Reports", prefix="sk-sonde-1", key_hash="0" * 64, abilities=[])
    values |= {"key_id": key.pk, "name": "scripted", "rest": "images"}
    return values | {"endpoint_id": endpoint.pk, "token": "guess", "language": "de"}


def _in_an_hour() -> datetime:
    return timezone.now() + timedelta(hours=1)


def ask(client: Client, name: str, things: dict[str, object]) -> HttpResponse:
    route = ROUTES[name]
    pattern = next(pattern for pattern in named_routes() if pattern.name == name)
    arguments = {key: things[key] for key in pattern.pattern.converters}
    url = reverse(name, kwargs=arguments)
    named = {each: things[f"{each}_id"] for each in ("message", "conversation", "person")}
    data = {key: value.format(**named) for key, value in route.data}
    # By its name: a bare address has no passkeys.
    page = {"headers": {"accept": "text/html", "host": "localhost"}}
    return client.get(url, **page) if route.method == "GET" else client.post(url, data, **page)


def test_every_route_is_in_the_table() -> None:
    assert {pattern.name for pattern in named_routes()} == {*ROUTES, *PROGRAMS}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("person", PEOPLE)
def test_no_session_opens_a_route_of_programs(
    name: str, person: str, things: dict[str, object], request: pytest.FixtureRequest
) -> None:
    users = {each: request.getfixturevalue(each) for each in PEOPLE[:3]}
    client = signed_in(users[person]) if person in users else Client()
    pattern = next(pattern for pattern in named_routes() if pattern.name == name)
    url = reverse(name, kwargs={key: things[key] for key in pattern.pattern.converters})
    response = client.generic(PROGRAMS[name], url, "{}", content_type="application/json")
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.django_db
@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("person", PEOPLE)
def test_route_answers_each_person_as_the_table_says(
    name: str, person: str, things: dict[str, object], request: pytest.FixtureRequest
) -> None:
    users = {each: request.getfixturevalue(each) for each in PEOPLE[:3]}
    client = signed_in(users[person]) if person in users else Client()
    response = ask(client, name, things)
    expected = getattr(ROUTES[name], person)
    if expected == SIGN_IN:
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/sign-in")
    else:
        assert response.status_code == expected


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.anonymous == SIGN_IN])
def test_javascript_of_a_signed_out_page_gets_json(name: str, things: dict[str, object]) -> None:
    pattern = next(pattern for pattern in named_routes() if pattern.name == name)
    url = reverse(name, kwargs={key: things[key] for key in pattern.pattern.converters})
    response = Client().generic(ROUTES[name].method, url)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "signed_out"


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.method == "POST"])
def test_write_takes_neither_get_nor_a_post_without_its_token(
    name: str, things: dict[str, object], owner: User, member: User
) -> None:
    pattern = next(pattern for pattern in named_routes() if pattern.name == name)
    url = reverse(name, kwargs={key: things[key] for key in pattern.pattern.converters})
    person = owner if ROUTES[name].member == 404 and ROUTES[name].owner != 404 else member
    assert signed_in(person).get(url).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person)
    response = strict.post(url, {})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "csrf"


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["sign_in", "welcome", "join", "new_endpoint", "endpoint", "try_endpoint"])
def test_form_pages_take_no_post_without_their_token(name: str, things: dict[str, object], owner: User) -> None:
    pattern = next(pattern for pattern in named_routes() if pattern.name == name)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    url = reverse(name, kwargs={key: things[key] for key in pattern.pattern.converters})
    assert strict.post(url, {"email": "a@example.org"}, **PAGE).status_code == 403


@pytest.mark.django_db
def test_a_reader_may_not_write(conversation: Conversation, outsider: User, things: dict[str, object]) -> None:
    conversation.grants.create(user=outsider, access="read")
    client = signed_in(outsider)
    assert ask(client, "conversation", things).status_code == 200
    for name in ("select_branch", "rename_conversation", "delete_conversation", "restore_conversation"):
        assert ask(client, name, things).status_code == 404, name


@pytest.mark.django_db
def test_a_writer_may_rename_but_not_delete(
    conversation: Conversation, outsider: User, things: dict[str, object]
) -> None:
    conversation.grants.create(user=outsider, access="write")
    client = signed_in(outsider)
    assert ask(client, "rename_conversation", things).status_code == 302
    assert ask(client, "delete_conversation", things).status_code == 404
