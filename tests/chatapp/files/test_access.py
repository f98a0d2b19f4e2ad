"""Who may do what with a collection and its files, as a table."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from chatapp.accounts.grants import Access
from chatapp.accounts.models import Group, Role, User
from chatapp.errors import Invalid, NotFound
from chatapp.files import collecting
from chatapp.files.access import collections, get_own, get_own_collection, readable
from chatapp.files.models import Collection, CollectionFile, CollectionGrant, MessageCollection
from tests.file_fixtures import collect, give, make_collection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]


@pytest.fixture
def collection(member: User) -> Collection:
    made: Collection = make_collection(member, "Harbour")
    collect(made, give(member))
    return made


def rights(viewer: User, collection: Collection) -> tuple[bool, bool]:
    return tuple(collections(viewer, access).filter(pk=collection.pk).exists() for access in Access)  # type: ignore[return-value]


def reads(viewer: User, collection: Collection) -> bool:
    [file] = CollectionFile.objects.filter(collection=collection)
    return readable(viewer).filter(pk=file.upload_id).exists()


def test_owner_may_everything_and_nobody_else_anything(
    owner: User, member: User, outsider: User, collection: Collection
) -> None:
    assert rights(member, collection) == (True, True) and reads(member, collection)
    assert rights(outsider, make_collection(outsider, "Own")) == (True, True), "the outsider exists"
    for person in (owner, outsider):
        assert rights(person, collection) == (False, False) and not reads(person, collection)


@pytest.mark.parametrize(("access", "expected"), [("read", (True, False)), ("write", (True, True))])
@pytest.mark.parametrize("principal", ["person", "group", "everyone"])
def test_grant_gives_what_it_says(
    outsider: User, owner: User, collection: Collection, principal: str, access: str, expected: tuple[bool, bool]
) -> None:
    group = Group.objects.create(name="Pilots")
    group.members.add(outsider)
    CollectionGrant.objects.create(
        collection=collection,
        access=access,
        user=outsider if principal == "person" else None,
        group=group if principal == "group" else None,
        everyone=principal == "everyone",
    )
    assert rights(outsider, collection) == expected and reads(outsider, collection)
    assert reads(owner, collection) == (principal == "everyone")
    if principal == "group":
        group.members.remove(outsider)
        assert rights(outsider, collection) == (False, False) and not reads(outsider, collection)


def test_everyone_leaves_guests_out_and_suspended_people_have_no_rights(
    member: User, outsider: User, collection: Collection
) -> None:
    CollectionGrant.objects.create(collection=collection, everyone=True, access="read")
    assert reads(outsider, collection)
    outsider.role = Role.GUEST
    assert rights(outsider, collection) == (False, False) and not reads(outsider, collection)
    CollectionGrant.objects.create(collection=collection, user=outsider, access="read")
    assert reads(outsider, collection)
    for person in (outsider, member):
        person.is_active = False
        assert rights(person, collection) == (False, False) and not reads(person, collection)


def test_reader_may_not_write_and_writer_may_neither_share_nor_delete(
    member: User, outsider: User, collection: Collection
) -> None:
    [file] = CollectionFile.objects.filter(collection=collection)
    writes: list[Callable[[User], object]] = [
        lambda person: collecting.rename(person, collection.pk, "Renamed"),
        lambda person: collecting.begin_in(person, collection.pk, "more.txt", 4),
        lambda person: collecting.take_out(person, collection.pk, file.upload_id),
    ]
    grant = collecting.share(member, collection.pk, outsider, Access.READ)
    for write in writes:
        with pytest.raises(NotFound):
            write(outsider)
    assert grant == collecting.share(member, collection.pk, outsider, Access.WRITE), "one right for each"
    for write in writes:
        write(outsider)
    owners: list[Callable[[], object]] = [
        lambda: collecting.share(outsider, collection.pk, None, Access.READ),
        lambda: collecting.end_share(outsider, collection.pk, grant.pk),
        lambda: collecting.delete(outsider, collection.pk),
        lambda: get_own_collection(outsider, collection.pk),
        lambda: get_own(outsider, file.upload_id),
    ]
    for act in owners:
        with pytest.raises(NotFound):
            act()
    collecting.end_share(member, collection.pk, grant.pk)
    assert rights(outsider, collection) == (False, False)


def test_one_grant_for_each_of_person_group_and_everyone(member: User, collection: Collection) -> None:
    for principal in (member, Group.objects.create(name="Pilots"), None):
        first = collecting.share(member, collection.pk, principal, Access.READ)
        assert collecting.share(member, collection.pk, principal, Access.WRITE) == first
    assert sorted(collection.grants.values_list("access", flat=True)) == ["write"] * 3


@pytest.mark.parametrize("name", ["", "   ", "x" * 101])
def test_name_of_a_collection_is_neither_empty_nor_long(member: User, name: str) -> None:
    with pytest.raises(Invalid):
        collecting.create(member, name)


@pytest.mark.usefixtures("endpoint")
def test_question_asks_only_collections_that_its_author_may_read(
    member: User, outsider: User, collection: Collection
) -> None:
    from chatapp.answers.services import send_message

    def ask(person: User, *asked: Collection) -> None:
        ids = [each.pk for each in asked]
        send_message(person, client_id=uuid4(), text="When is high tide?", collection_ids=ids)

    own = make_collection(outsider, "Own")
    ask(outsider, own)
    with pytest.raises(Invalid) as refused:
        ask(outsider, own, collection)
    assert (refused.value.field, refused.value.code) == ("collections", "not_found")
    assert [row.name for row in MessageCollection.objects.all()] == ["Own"]
    ask(member, collection, collection)
    assert MessageCollection.objects.filter(collection=collection).count() == 1
