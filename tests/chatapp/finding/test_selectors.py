"""What people find: their languages, their slips, and only what they may read."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chatapp.accounts.models import Group, Role, User
from chatapp.conversations.models import Conversation, Grant
from chatapp.conversations.selectors import read_thread
from chatapp.conversations.services import delete, restore
from chatapp.finding.selectors import find, recent
from tests.chatapp.finding.conftest import found, found_messages, line, say

pytestmark = pytest.mark.django_db

SAID = {
    "en": "Replacing the cast iron mains will cost four million.",
    "de": "Die Krankenversicherungsbeiträge der Größe nach übertragen.",
    "fr": "L'été dernier, les marées étaient très hautes à Saint-Malo.",
    "zh": "水质监测系统每小时报告一次硝酸盐浓度。",
    "ja": "浄水場のポンプは毎年点検されます。",
    "ru": "Расписание приливов лежит в капитанской рубке.",
    "ar": "جدول المد والجزر معلق في المدرسة القديمة.",
}


@pytest.fixture
def languages(member: User) -> dict[str, Conversation]:
    chats = {}
    for language, text in SAID.items():
        chats[language] = Conversation.objects.create(owner=member, title=language)
        say(chats[language], text)
    return chats


@pytest.mark.parametrize(
    ("language", "question", "marked"),
    [
        ("en", "replace cost", "[Replacing]"),
        ("en", "iron mai", "[iron] [mains]"),
        ("en", "replasing", "[Replacing]"),
        ("de", "übertragene", "[übertragen]"),
        ("de", "ubertr", "[übertragen]"),
        ("de", "groesse", "[Größe]"),
        ("de", "versicherung", "[Krankenversicherungsbeiträge]"),
        ("fr", "marees ete", "[marées]"),
        ("fr", "saint malo", "[Saint]-[Malo]"),
        ("zh", "硝酸盐", "[硝酸盐]"),
        ("zh", "质监", "[质监]"),
        ("zh", "度", "[度]"),
        ("ja", "ポンプ 点検", "[ポンプ]"),
        ("ru", "прилив", "[приливов]"),
        ("ru", "капитанскую", "[капитанской]"),
        ("ru", "расписанеи", "[Расписание]"),
        ("ar", "مدرسة", "[المدرسة]"),
        ("ar", "الجزر", "[والجزر]"),
    ],
)
def test_every_language_is_found(
    member: User, languages: dict[str, Conversation], language: str, question: str, marked: str
) -> None:
    hits = [each for each in found(member, question) if each.message_id]
    assert [each.conversation_id for each in hits] == [languages[language].pk]
    assert marked in line(hits[0])


def test_slips_are_forgiven_and_told(member: User, languages: dict[str, Conversation]) -> None:
    assert find(member, "replacing").is_exact
    near = find(member, "replacign")
    assert [each.conversation_id for each in near.found] == [languages["en"].pk]
    assert not near.is_exact
    assert find(member, "zzzzzzzz").found == []


def test_a_message_with_some_of_the_words_is_better_than_none(member: User, languages: dict[str, Conversation]) -> None:
    findings = find(member, "iron dragons of the mains")
    assert [each.conversation_id for each in findings.found] == [languages["en"].pk]
    assert not findings.is_exact


def test_titles_come_first_then_the_newest(member: User, conversation: Conversation) -> None:
    old, new = (Conversation.objects.create(owner=member, title=title) for title in ("Old", "New"))
    [first] = say(old, "tides of old")
    [second] = say(new, "tides of today")
    assert found_messages(member, "tides") == [None, second.pk, first.pk]
    assert found(member, "tides")[0].conversation_id == conversation.pk


def test_who_said_it(member: User, outsider: User, conversation: Conversation) -> None:
    say(conversation, "How deep is the sound?", "The sound is deep.")
    Grant.objects.create(conversation=conversation, everyone=True, access="read")
    assert [each.said_by for each in found(member, "sound")] == ["Answer", "You"]
    assert [each.said_by for each in found(outsider, "sound")] == ["Answer", "Mario"]


def test_one_chat_leaves_room_for_others(member: User, conversation: Conversation) -> None:
    other = Conversation.objects.create(owner=member, title="Other")
    say(other, "tern")
    say(conversation, *["tern"] * 30)
    hits = found(member, "tern")
    assert [each.conversation_id for each in hits].count(conversation.pk) == 3
    assert other.pk in {each.conversation_id for each in hits}


def test_matches_of_others_do_not_use_up_the_limit(member: User, outsider: User, conversation: Conversation) -> None:
    [mine] = say(conversation, "tern")
    for number in range(10):
        say(Conversation.objects.create(owner=outsider, title=str(number)), *["tern"] * 30)
    assert found_messages(member, "tern") == [mine.pk]


def reaches(viewer: User, conversation: Conversation) -> bool:
    """By a message and by the title alike."""
    reached = [[each.conversation_id for each in found(viewer, word)] for word in ("cormorant", "tides", "cormorent")]
    assert len({bool(each) for each in reached}) == 1, "one way in, all ways in"
    return [conversation.pk] in reached


@pytest.fixture
def shared(conversation: Conversation) -> Conversation:
    say(conversation, "A cormorant sits on the pile.")
    return conversation


def test_only_its_owner_finds_what_is_not_shared(
    member: User, owner: User, outsider: User, shared: Conversation
) -> None:
    [own] = say(Conversation.objects.create(owner=outsider), "A guillemot.")
    assert found_messages(outsider, "guillemot") == [own.pk], "the outsider exists, and finds"
    assert reaches(member, shared)
    assert not reaches(outsider, shared)
    assert not reaches(owner, shared)


@pytest.mark.parametrize("principal", ["person", "group", "everyone"])
def test_a_grant_lets_find_until_it_ends(outsider: User, shared: Conversation, principal: str) -> None:
    group = Group.objects.create(name="Harbour")
    group.members.add(outsider)
    grant = Grant.objects.create(
        conversation=shared,
        access="read",
        user=outsider if principal == "person" else None,
        group=group if principal == "group" else None,
        everyone=principal == "everyone",
    )
    assert reaches(outsider, shared)
    if principal == "group":
        group.members.remove(outsider)
        assert not reaches(outsider, shared)
        group.members.add(outsider)
    grant.delete()
    assert not reaches(outsider, shared)


def test_guests_find_what_is_theirs_and_not_what_is_everyones(outsider: User, shared: Conversation) -> None:
    Grant.objects.create(conversation=shared, everyone=True, access="read")
    assert reaches(outsider, shared)
    outsider.role = Role.GUEST
    assert not reaches(outsider, shared)
    Grant.objects.create(conversation=shared, user=outsider, access="read")
    assert reaches(outsider, shared)


def test_the_suspended_find_nothing(member: User, shared: Conversation) -> None:
    assert reaches(member, shared)
    member.is_active = False
    assert not reaches(member, shared)
    assert recent(member) == []


@pytest.mark.django_db(transaction=True)
def test_a_deleted_chat_is_gone_at_once_and_back_when_restored(member: User, shared: Conversation) -> None:
    delete(member, shared.pk)
    assert not reaches(member, shared)
    restore(member, shared.pk)
    assert reaches(member, shared)


def test_versions_that_are_not_shown_are_found_and_opened_at_their_branch(
    member: User, conversation: Conversation
) -> None:
    first = say(conversation, "Where does the puffin nest?", "In a burrow.")
    edited = say(conversation, "Where does the razorbill nest?", "On a ledge.")
    assert [item.message.pk for item in read_thread(member, conversation.pk).items] == [each.pk for each in edited]
    for versions, word in ((first, "puffin"), (edited, "razorbill")):
        assert found_messages(member, word) == [versions[0].pk]
        thread = read_thread(member, conversation.pk, leaf=versions[0].pk)
        assert [item.message.pk for item in thread.items] == [each.pk for each in versions]


def test_snippet_is_cut_from_far_back_in_a_long_message(member: User, conversation: Conversation) -> None:
    say(conversation, f"{'Nothing of note. ' * 20_000} The gannet dives. {'And so on. ' * 20_000}")
    [hit] = found(member, "gannet")
    assert "The [gannet] dives." in line(hit)


def test_recent_chats_are_the_viewers_last_used(member: User, outsider: User, conversation: Conversation) -> None:
    for number in range(12):
        listed = Conversation.objects.create(owner=member, title=str(number))
        Conversation.objects.filter(pk=listed.pk).update(updated_at=timezone.now() - timedelta(days=number + 1))
    Conversation.objects.create(owner=member)
    assert [each.title for each in recent(member)] == ["Tides", *"0123456"]
    assert recent(outsider) == []


def test_nothing_but_signs_finds_nothing(member: User, conversation: Conversation) -> None:
    say(conversation, "tide")
    assert len(found(member, "tide")) == 2
    for query in ("", "  ", "?!", "%", "_" * 10, "' | '", "\0"):
        assert found(member, query) == []
    assert len(found(member, "' | tide:* & !(")) == 2, "signs of the query language are only signs"
