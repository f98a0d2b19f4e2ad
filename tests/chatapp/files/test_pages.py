"""Who is answered what on the routes of collections, and what the pages say."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from chatapp.accounts.models import Group, Role, User
from chatapp.answers.services import send_message
from chatapp.files.models import Collection, CollectionFile, CollectionGrant
from search.index import put
from tests.file_fixtures import collect, give, make_collection
from tests.site_fixtures import make_person, signed_in
from uploads.models import Block, Reading, Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]

PAGE = {"Accept": "text/html"}


@pytest.fixture
def collection(member: User) -> Collection:
    """The member's, with a file in it."""
    made: Collection = make_collection(member, "Harbour")
    collect(made, give(member))
    return made


def people(member: User, outsider: User, collection: Collection) -> dict[str, User]:
    """Of every kind; all of them exist and can sign in."""
    reader, writer, guest = make_person("Rita"), make_person("Wim"), make_person("Gast", Role.GUEST)
    CollectionGrant.objects.create(collection=collection, user=reader, access="read")
    CollectionGrant.objects.create(collection=collection, user=writer, access="write")
    return {"owner": member, "reader": reader, "writer": writer, "outsider": outsider, "guest": guest}


def announced(client: Client, collection: Collection) -> int:
    from tests.chatapp.files.test_tus import encoded

    metadata = f"filename {encoded('more.txt')},collection {encoded(str(collection.pk))}"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "4", "Upload-Metadata": metadata}
    return client.post("/files/uploads", headers=headers).status_code


def statuses(person: User, collection: Collection, upload_id: object) -> dict[str, int]:
    client, base = signed_in(person), f"/files/collections/{collection.pk}"
    answers: dict[str, int] = {
        "show": client.get(base).status_code,
        "search": client.get(f"{base}?q=tide").status_code,
        "view": client.get(f"/files/{upload_id}/view").status_code,
        "content": client.get(f"/files/{upload_id}/content").status_code,
        "states": 200 if client.get(f"/files/states?ids={upload_id}").json() else 404,
        "listed": 200 if client.get("/files/collections").json() else 404,
        "rename": client.post(f"{base}/rename", {"name": "Renamed"}).status_code,
        "add": announced(client, collection),
        "grant": client.post(f"{base}/share", {"principal": "nobody", "access": "read"}).status_code,
        "end": client.post(f"{base}/end-share", {"grant": 10**9}).status_code,
        "ask to delete": client.get(f"{base}/delete").status_code,
        "remove": client.get(f"/files/{upload_id}/delete").status_code,
        "take out": client.post(f"{base}/{uuid4()}/take-out").status_code,
    }
    return answers


READ = {"show", "search", "view", "content", "states", "listed"}
WRITE = READ | {"rename", "add"}
# Refused for what they say, not for who says it: an unknown principal, a grant and a file that are not there.
OWN = WRITE | {"ask to delete", "remove"}


def test_every_route_asks_for_the_right_it_needs(member: User, outsider: User, collection: Collection) -> None:
    [file] = CollectionFile.objects.filter(collection=collection)
    granted = {"owner": OWN, "reader": READ, "writer": WRITE, "outsider": set(), "guest": set()}
    for name, person in people(member, outsider, collection).items():
        found = statuses(person, collection, file.upload_id)
        assert {route for route, status in found.items() if status < 300} == granted[name], name
        assert found["grant"] == (400 if name == "owner" else 404), "the owner's share is refused for its principal"
        refused = {status for route, status in found.items() if status >= 300 and route != "grant"}
        assert refused <= {404}, (name, found)


def test_suspended_person_is_signed_out_of_all_of_it(member: User, collection: Collection) -> None:
    client = signed_in(member)
    assert client.get(f"/files/collections/{collection.pk}").status_code == 200
    User.objects.filter(pk=member.pk).update(is_active=False)
    for path in (f"/files/collections/{collection.pk}", "/files", "/files/collections"):
        assert client.get(path).status_code in (302, 401), path


def test_member_who_leaves_the_group_gets_404_with_the_next_request(
    member: User, outsider: User, collection: Collection
) -> None:
    group = Group.objects.create(name="Pilots")
    group.members.add(outsider)
    client, path = signed_in(outsider), f"/files/collections/{collection.pk}"
    signed_in(member).post(f"{path}/share", {"principal": f"group:{group.pk}", "access": "read"})
    assert client.get(path).status_code == 200
    group.members.remove(outsider)
    assert client.get(path).status_code == 404


def test_guest_shares_with_own_groups_only(collection: Collection) -> None:
    guest = make_person("Gast", Role.GUEST)
    own, other = Group.objects.create(name="Own"), Group.objects.create(name="Other")
    own.members.add(guest)
    theirs = make_collection(guest, "Theirs")
    client, path = signed_in(guest), f"/files/collections/{theirs.pk}"
    assert "mario@example.org" not in client.get(path).content.decode()
    for principal in ("everyone", f"group:{other.pk}", f"person:{collection.owner_id}"):
        assert client.post(f"{path}/share", {"principal": principal, "access": "read"}).status_code == 400
    assert client.post(f"{path}/share", {"principal": f"group:{own.pk}", "access": "read"}).status_code == 200
    assert theirs.grants.get().group == own


@pytest.mark.usefixtures("endpoint")
def test_own_page_says_where_each_file_is_used_and_names_no_place_that_is_closed(
    member: User, outsider: User, collection: Collection
) -> None:
    [file] = CollectionFile.objects.filter(collection=collection)
    foreign = make_collection(outsider, "Secret place")
    CollectionFile.objects.create(collection=foreign, upload=file.upload)
    send_message(member, client_id=uuid4(), text="What about the tides?", upload_ids=[file.upload_id])
    page = signed_in(member).get("/files").content.decode()
    assert "What about the tides?" in page and "Harbour" in page
    assert "1 place that you cannot open" in page and "Secret place" not in page


def readable_file(person: User, text: str, name: str) -> Upload:
    upload: Upload = give(person, text.encode(), name)
    assert upload.reading is not None
    Reading.objects.filter(pk=upload.reading.pk).update(state="ready", ended_at="2026-01-01T00:00Z", unit="line")
    place = {"kind": "lines", "first": 1, "last": 1}
    Block.objects.create(reading=upload.reading, index=0, kind="text", text=text, place=place)
    put(upload.reading.pk, Block.objects.filter(reading=upload.reading))
    return upload


def test_search_finds_only_inside_and_opens_at_its_place(member: User, outsider: User, collection: Collection) -> None:
    inside = readable_file(member, "The lighthouse keeper sleeps.", "inside.txt")
    readable_file(member, "Another lighthouse stands elsewhere.", "elsewhere.txt")
    readable_file(outsider, "The outsider's lighthouse.", "theirs.txt")
    collect(collection, inside)
    client = signed_in(member)
    found: Any = client.get(f"/files/collections/{collection.pk}?q=lighthouse").context["found"]
    [hit] = found.passages
    assert (hit.name, hit.place) == ("inside.txt", "line 1")
    view = client.get(f"/files/{inside.pk}/view?passage={hit.passage_id}").content.decode()
    assert "The lighthouse keeper sleeps." in view and "source__hit" in view
    own = client.get("/files?q=lighthouse").context["found"]
    assert {hit.name for hit in own.passages} == {"inside.txt", "elsewhere.txt"}
    foreign: Any = signed_in(outsider).get("/files?q=lighthouse").context["found"].passages[0]
    assert client.get(f"/files/{inside.pk}/view?passage={foreign.passage_id}").status_code == 404


def test_file_that_failed_is_tried_again_from_its_row(member: User, outsider: User, collection: Collection) -> None:
    [file] = CollectionFile.objects.filter(collection=collection)
    Reading.objects.update(state="failed", code="broken", ended_at="2026-01-01T00:00Z")
    CollectionGrant.objects.create(collection=collection, user=outsider, access="write")
    path, button = f"/files/collections/{collection.pk}", f"/files/{file.upload_id}/retry"
    assert button in signed_in(member).get(path).content.decode()
    assert button not in signed_in(outsider).get(path).content.decode(), "it is its owner's to try"
    answer = signed_in(member).post(button, {"collection": collection.pk}, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (302, path)
    assert Reading.objects.get().state == "queued"


@pytest.mark.usefixtures("endpoint")
def test_search_finds_names_too(member: User, outsider: User, collection: Collection) -> None:
    give(member, b"Nothing of note.", "lighthouse.txt")
    give(outsider, b"Of the outsider.", "lighthouse keys.txt")
    found = signed_in(member).get("/files?q=LIGHT").context["found"]
    assert [row.state["name"] for row in found.named] == ["lighthouse.txt"]
    assert not signed_in(member).get(f"/files/collections/{collection.pk}?q=light").context["found"].named


def test_outsider_deletes_nothing(member: User, outsider: User, collection: Collection) -> None:
    [file] = CollectionFile.objects.filter(collection=collection)
    assert signed_in(outsider).get("/files").status_code == 200
    assert signed_in(outsider).post(f"/files/{file.upload_id}/remove", headers=PAGE).status_code == 404
    assert Upload.objects.filter(pk=file.upload_id).exists()


@pytest.mark.parametrize(
    "act",
    [
        lambda client, path, upload: client.post(f"/files/{upload}/remove", headers=PAGE),
        lambda client, path, upload: client.post(f"{path}/delete", headers=PAGE),
    ],
)
def test_page_leads_on_after_something_was_deleted(
    member: User, collection: Collection, act: Callable[[Client, str, object], Any]
) -> None:
    [file] = CollectionFile.objects.filter(collection=collection)
    answer = act(signed_in(member), f"/files/collections/{collection.pk}", file.upload_id)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/files")
    assert not Upload.objects.exists()
