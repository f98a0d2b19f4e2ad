"""Questions to collections: each answer reads what its asker may read then, and says what it had to leave out."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from chatapp.accounts.grants import Access
from chatapp.accounts.models import Group, User
from chatapp.answers.foresight import Asked, foresee
from chatapp.answers.models import Answer
from chatapp.answers.services import Accepted, continue_answer, regenerate, replay_answer, send_message
from chatapp.conversations.models import Grant
from chatapp.endpoints.models import Endpoint
from chatapp.evidence.models import Evidence
from chatapp.files import collecting
from chatapp.files.models import Collection
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import ended, play, running
from tests.chatapp.answers.test_files import FILLING, PIER, make_file
from tests.file_fixtures import collect, make_collection
from tests.scripted_endpoint import ScriptedEndpoint
from tests.site_fixtures import signed_in
from uploads.models import ReadingState, Upload

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "The pier is 40 m long."


def make_harbour(person: User, *uploads: Upload) -> Collection:
    harbour: Collection = make_collection(person, "Harbour")
    collect(harbour, *uploads)
    return harbour


async def ask(person: User, asked: Sequence[Collection] = (), **facts: Any) -> Accepted:
    fields = {"client_id": uuid4(), "text": "How long is the pier?", "collection_ids": [each.pk for each in asked]}
    return await in_thread(send_message, person, **{**fields, **facts})


def codes(answer: Answer) -> list[str]:
    return [notice["code"] for notice in answer.notices]


def share_conversation(accepted: Accepted, person: User) -> None:
    Grant.objects.create(conversation_id=accepted.conversation_id, user=person, access="write")


def texts(answer_id: UUID) -> list[str]:
    return [row.text for row in Evidence.objects.filter(answer=answer_id).select_related("excerpt")]


async def test_answer_reads_the_collection_that_it_is_asked_of(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    other = await in_thread(make_file, member, "other.pdf", ["It is not asked for."])
    harbour = await in_thread(make_harbour, member, upload)
    await in_thread(make_harbour, member, other)
    async with running():
        accepted = await ask(member, [harbour])
        answer = await ended(accepted.answer_id)
        again = await ask(
            member, conversation_id=accepted.conversation_id, parent_id=accepted.reply_id, text="And the bell?"
        )
        await ended(again.answer_id)
    first, second = scripted.requests
    assert SECRET in first["messages"][0]["content"] and SECRET in second["messages"][0]["content"]
    assert "not asked for" not in str(scripted.requests)
    assert codes(answer) == ["files_whole"]


async def test_outsiders_answer_never_reads_a_collection_that_is_not_shared_with_them(
    member: User, outsider: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    own = await in_thread(make_file, outsider, "own.pdf", ["The quay is 70 m long."])
    harbour = await in_thread(make_harbour, member, upload)
    quay = await in_thread(make_harbour, outsider, own)
    below = {}
    async with running():
        accepted = await ask(member, [harbour])
        await ended(accepted.answer_id)
        await in_thread(share_conversation, accepted, outsider)
        below = {"conversation_id": accepted.conversation_id, "parent_id": accepted.reply_id}
        theirs = await ask(outsider, [quay], **below)
        answer = await ended(theirs.answer_id)
        other_try = await in_thread(regenerate, outsider, client_id=uuid4(), message_id=accepted.reply_id)
        tried = await ended(other_try.answer_id)
        replayed = await in_thread(replay_answer, outsider, client_id=uuid4(), answer_id=accepted.answer_id)
        await ended(replayed.answer_id)
    first, *others = scripted.requests
    assert SECRET in str(first), "its owner's answer has read it"
    assert "The quay is 70 m long." in str(others[0]), "the outsider's own is read"
    assert len(others) == 3 and all(SECRET not in str(body) for body in others)
    assert "collection_closed" in codes(answer) and "collection_closed" in codes(tried)
    closed = next(notice for notice in answer.notices if notice["code"] == "collection_closed")
    assert closed["params"] == {"name": "Harbour"}
    for answer_id in (theirs.answer_id, other_try.answer_id, replayed.answer_id):
        assert SECRET not in str(await in_thread(texts, answer_id))


async def test_going_on_with_anothers_answer_reads_only_what_the_asker_may(
    member: User, outsider: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain", max_output_tokens=500)
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    harbour = await in_thread(make_harbour, member, upload)
    async with running():
        accepted = await ask(member, [harbour])
        await ended(accepted.answer_id)
        await in_thread(Answer.objects.filter(pk=accepted.answer_id).update, finish_reason="length")
        await in_thread(share_conversation, accepted, outsider)
        going_on = await in_thread(continue_answer, outsider, client_id=uuid4(), message_id=accepted.reply_id)
        await ended(going_on.answer_id)
    first, second = scripted.requests
    assert SECRET in str(first) and SECRET not in str(second)
    numbers = [await in_thread(lambda id=id: len(texts(id))) for id in (accepted.answer_id, going_on.answer_id)]
    assert numbers[0] == numbers[1] > 0, "the marks keep their numbers"


async def test_member_who_left_the_group_before_the_answer_reads_nothing(
    member: User, outsider: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    harbour = await in_thread(make_harbour, member, upload)
    group = await in_thread(Group.objects.create, name="Pilots")
    await in_thread(group.members.add, outsider)
    await in_thread(collecting.share, member, harbour.pk, group, Access.READ)
    async with running():
        allowed = await ask(outsider, [harbour])
        await ended(allowed.answer_id)
    accepted = await ask(outsider, [harbour])
    await in_thread(group.members.remove, outsider)
    async with running():
        answer = await ended(accepted.answer_id)
    first, second = scripted.requests
    assert SECRET in str(first) and SECRET not in str(second)
    assert codes(answer) == ["collection_closed"]


async def test_what_of_a_collection_cannot_be_read_is_counted_and_not_waited_for(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    ready = await in_thread(make_file, member, "pier.pdf", PIER)
    moving = await in_thread(make_file, member, "late.pdf", ["late"], ReadingState.PARSING)
    broken = await in_thread(make_file, member, "broken.pdf", ["broken"], ReadingState.FAILED)
    harbour = await in_thread(make_harbour, member, ready, moving, broken)
    gone = await in_thread(make_harbour, member)
    async with running():
        answer = await ended((await ask(member, [harbour])).answer_id)
        asked = await ask(member, [gone])
        await ended(asked.answer_id)
        await in_thread(collecting.delete, member, gone.pk)
        again = await in_thread(regenerate, member, client_id=uuid4(), message_id=asked.reply_id)
        without = await ended(again.answer_id)
    partly = {"code": "collection_partly", "params": {"name": "Harbour", "unread": 2, "total": 3}}
    assert partly in answer.notices and "waiting_for_files" not in codes(answer)
    assert without.notices == [{"code": "collection_deleted", "params": {"name": "Harbour"}}]


async def test_of_a_large_collection_only_passages_are_fetched(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chatapp.answers import sources

    await play(endpoint, scripted, "plain")
    files = [await in_thread(make_file, member, f"{n}.pdf", [f"Day {n}. {FILLING * 40}"]) for n in range(4)]
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    harbour = await in_thread(make_harbour, member, *files, upload)
    monkeypatch.setattr(sources, "MOST_CHARACTERS_IN_PARTS", 1000)
    async with running():
        accepted = await ask(member, [harbour], read_all=True)
        answer = await ended(accepted.answer_id)
    [body] = scripted.requests
    assert SECRET in body["messages"][-1]["content"]
    assert codes(answer) == ["files_passages"]
    assert len(await in_thread(texts, accepted.answer_id)) <= sources.MOST_PASSAGES


def test_what_would_be_read_counts_collections_that_the_viewer_may_read(
    member: User, outsider: User, endpoint: Endpoint
) -> None:
    harbour = make_harbour(member, make_file(member, "pier.pdf", PIER))
    asked = Asked([], [harbour.pk], None, None, "How long is the pier?")
    assert foresee(member, asked)["total"] == 3
    assert foresee(outsider, asked)["total"] == 0


async def test_panel_shows_who_may_not_read_the_file_the_quoted_text_alone(
    member: User, outsider: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    harbour = await in_thread(make_harbour, member, upload)
    async with running():
        accepted = await ask(member, [harbour])
        await ended(accepted.answer_id)
    await in_thread(share_conversation, accepted, outsider)
    evidence = await in_thread(Evidence.objects.filter(answer=accepted.answer_id).select_related("excerpt").first)

    def seen(person: User) -> tuple[str, int]:
        client = signed_in(person)
        page = client.get(f"/sources/{evidence.pk}").content.decode()
        return page, client.get(f"/files/{upload.pk}/view").status_code

    page, status = await in_thread(seen, member)
    assert f"/files/{upload.pk}/content" in page and status == 200
    page, status = await in_thread(seen, outsider)
    assert "not shared with you" in page and "/content" not in page and status == 404
    assert evidence.text[:20] in page
