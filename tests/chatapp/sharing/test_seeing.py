"""The page that says who can see a thing: those whom the rights let in, each with their reasons, and nobody else."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from chatapp.accounts.models import Group, Role, User
from chatapp.conversations import access as chats
from chatapp.conversations.models import Conversation
from chatapp.files import access as files
from chatapp.folders import access as folders
from chatapp.folders.models import Folder
from chatapp.presets import access as presets
from chatapp.presets.models import Preset
from chatapp.sharing import links, seeing
from chatapp.sharing.models import PublicLink
from tests.file_fixtures import make_collection
from tests.site_fixtures import make_person, signed_in

pytestmark = pytest.mark.django_db

ALLOWED: dict[str, Callable[[User], Any]] = {
    "conversation": chats.allowed,
    "collection": files.collections,
    "folder": folders.folders,
    "preset": presets.presets,
}


def make(kind: str, owner: User) -> Any:
    match kind:
        case "conversation":
            return Conversation.objects.create(owner=owner, title="Tides")
        case "collection":
            return make_collection(owner, "Tides")
        case "folder":
            return Folder.objects.create(owner=owner, name="Tides")
        case _:
            return Preset.objects.create(owner=owner, name="Tides")


@pytest.fixture
def everybody(member: User, owner: User, admin: User, outsider: User) -> dict[str, User]:
    people = {"member": member, "owner": owner, "admin": admin, "outsider": outsider}
    people |= {"guest": make_person("Greta", Role.GUEST), "pilot": make_person("Petra")}
    people |= {"suspended": make_person("Sven")}
    User.objects.filter(pk=people["suspended"].pk).update(is_active=False)
    pilots = Group.objects.create(name="Pilots")
    pilots.members.add(people["pilot"], people["guest"], people["suspended"])
    return people


def names_of(viewer: User, kind: str, thing_id: UUID) -> set[str]:
    return {seer.person.name for seer in seeing.seen_by(viewer, kind, thing_id).seers}


def let_in(kind: str, thing: Any) -> set[str]:
    return {person.name for person in User.objects.all() if ALLOWED[kind](person).filter(pk=thing.pk).exists()}


@pytest.mark.parametrize("kind", seeing.KINDS)
def test_those_named_are_those_whom_the_rights_let_in(kind: str, member: User, everybody: dict[str, User]) -> None:
    thing = make(kind, member)
    assert names_of(member, kind, thing.pk) == let_in(kind, thing) == {"Mario"}
    thing.grants.create(user=everybody["suspended"], access="read")
    thing.grants.create(user=everybody["guest"], access="read")
    assert names_of(member, kind, thing.pk) == let_in(kind, thing) == {"Mario", "Greta"}
    thing.grants.create(group=Group.objects.get(), access="write")
    assert names_of(member, kind, thing.pk) == let_in(kind, thing) == {"Mario", "Greta", "Petra"}
    thing.grants.create(everyone=True, access="read")
    everyone = {"Mario", "Greta", "Petra", "Olga", "Ada", "Oskar"}
    assert names_of(member, kind, thing.pk) == let_in(kind, thing) == everyone


def test_page_gives_every_reason_of_a_person(member: User, everybody: dict[str, User]) -> None:
    chat = make("conversation", member)
    chat.grants.create(user=everybody["pilot"], access="read")
    chat.grants.create(group=Group.objects.get(), access="write")
    page = signed_in(member).get(f"/c/{chat.pk}/who").content.decode()
    row = page.split(f'data-seer="{everybody["pilot"].pk}"')[1].split("</li>")[0]
    assert "shared with them" in row and "is in the group “Pilots”" in row and "may change it" in row
    owner_row = page.split(f'data-seer="{member.pk}"')[1].split("</li>")[0]
    assert "owns it" in owner_row
    assert "their role opens nothing to them" in page


def test_only_links_that_work_are_named(member: User, everybody: dict[str, User]) -> None:
    chat = make("conversation", member)
    fields = {"conversation": chat, "made_by": member, "messages": []}
    working = PublicLink.objects.create(token_hash="a", expires_at=timezone.now() + timedelta(days=1), **fields)
    PublicLink.objects.create(token_hash="b", expires_at=timezone.now() - timedelta(days=1), **fields)
    assert seeing.seen_by(member, "conversation", chat.pk).links == [working]
    assert links.links_of(chat).count() == 1
