"""Questions with files: waited for, read whole or in passages, frozen as evidence, checked, and forgotten on demand."""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from django.db.models.functions import Now
from PIL import Image

from chatapp.accounts.models import User
from chatapp.answers.claims import Claim, claim_answers
from chatapp.answers.foresight import Asked, foresee
from chatapp.answers.gathering import read_files
from chatapp.answers.log import FencedOut
from chatapp.answers.models import Status
from chatapp.answers.services import Accepted, regenerate, send_message
from chatapp.context.counting import RatioCounter
from chatapp.conversations.models import Message
from chatapp.endpoints.models import Endpoint
from chatapp.evidence.models import Evidence, Excerpt, Note
from chatapp.evidence.selectors import sources_of
from chatapp.evidence.tasks import check_answer
from chatapp.threads import in_thread
from search.index import put
from tests.chatapp.answers.stories import cancel, check_story, ended, play, row, running, until
from tests.scripted_endpoint import ScriptedEndpoint
from uploads import services
from uploads.models import Blob, Block, Reading, ReadingState, Upload

pytestmark = pytest.mark.django_db(transaction=True)

PIER = ["The pier is 40 m long. It was built in 1911.", "The tower has a bell of bronze.", "Fish is sold on Fridays."]
FILLING = "Nothing of note happened in the harbour on that day, and the log says so at length. "


def make_file(person: User, name: str, pages: Sequence[str], state: str = ReadingState.READY) -> Upload:
    """A file as reading leaves it: one block a page, filed under its words once it is readable."""
    digest = hashlib.sha256("\f".join(pages).encode()).hexdigest()
    blob = Blob.objects.create(sha256=digest, size_bytes=1000, media_type="application/pdf")
    is_open = state in (ReadingState.QUEUED, ReadingState.PARSING)
    reading = Reading.objects.create(
        blob=blob,
        media_type=blob.media_type,
        version=1,
        name=name,
        state=state,
        unit="page",
        total=len(pages),
        done=0 if is_open else len(pages),
        characters=sum(map(len, pages)),
        ended_at=None if is_open else Now(),
        code="broken" if state == ReadingState.FAILED else "",
    )
    fill(reading, pages)
    return Upload.objects.create(
        owner=person, name=name, size_bytes=1000, offset=1000, state="whole", blob=blob, reading=reading
    )


def fill(reading: Reading, pages: Sequence[str]) -> None:
    for index, text in enumerate(pages):
        place = {"kind": "page", "page": index + 1, "boxes": [[0.1, 0.1, 0.9, 0.2]]}
        Block.objects.create(reading=reading, index=index, kind="text", text=text, headings=[], place=place)
    if reading.state in (ReadingState.READY, ReadingState.PARTLY):
        put(reading.pk, Block.objects.filter(reading=reading).order_by("index"))


async def ask(
    person: User,
    uploads: Sequence[Upload],
    text: str = "How long is the pier?",
    conversation_id: UUID | None = None,
    parent_id: UUID | None = None,
    read_all: bool = False,
) -> Accepted:
    return await in_thread(
        send_message,
        person,
        client_id=uuid4(),
        text=text,
        conversation_id=conversation_id,
        parent_id=parent_id,
        upload_ids=[upload.pk for upload in uploads],
        read_all=read_all,
    )


def evidence_of(answer_id: UUID) -> list[Evidence]:
    return list(Evidence.objects.filter(answer=answer_id).select_related("excerpt"))


async def test_a_file_that_fits_is_read_whole_and_stands_first(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    async with running():
        accepted = await ask(member, [upload])
        answer = await ended(accepted.answer_id)
        again = await ask(member, [], "And the bell?", accepted.conversation_id, accepted.reply_id)
        await ended(again.answer_id)
    first, second = scripted.requests
    assert first["messages"][0]["role"] == "system"
    assert '<document name="pier.pdf">\n[1] (page 1)\nThe pier is 40 m long.' in first["messages"][0]["content"]
    assert first["messages"][1]["content"] == "How long is the pier?"
    assert second["messages"][: len(first["messages"])] == first["messages"], "the prefix of the cache is the same"
    [notice] = answer.notices
    assert (notice["code"], notice["params"]["pages"]) == ("files_whole", 3)
    rows = await in_thread(evidence_of, accepted.answer_id)
    assert [r.number for r in rows] == list(range(1, len(rows) + 1))
    assert rows[0].text.startswith("The pier is 40 m long.") and rows[0].place["page"] == 1
    listed = (await in_thread(sources_of, [answer]))[answer.pk].rows
    assert listed[0].number == 1 and not listed[0].is_cited, "what fits the question is there to open, cited or not"


async def test_of_a_file_that_does_not_fit_the_best_passages_come_with_the_question(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    pages = [FILLING * 40] * 9 + PIER
    upload = await in_thread(make_file, member, "log.pdf", pages)
    async with running():
        accepted = await ask(member, [upload])
        answer = await ended(accepted.answer_id)
        again = await ask(
            member, [], "What is the bell of the tower made of?", accepted.conversation_id, accepted.reply_id
        )
        await ended(again.answer_id)
    first, second = scripted.requests
    question = first["messages"][-1]["content"]
    assert question.endswith("\n\nHow long is the pier?") and "The pier is 40 m long." in question
    assert "<document" not in first["messages"][0]["content"]
    assert second["messages"][1]["content"] == "How long is the pier?", "found passages leave with their question"
    assert "bell of bronze" in second["messages"][-1]["content"]
    [notice] = answer.notices
    assert notice["code"] == "files_passages" and notice["params"]["pages"] == 12
    assert 1 <= notice["params"]["read"] < 12
    rows = await in_thread(evidence_of, accepted.answer_id)
    assert any(r.place["page"] == 10 and r.score is not None for r in rows)


async def test_an_answer_waits_for_its_file_and_says_so(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    upload = await in_thread(make_file, member, "pier.pdf", [], ReadingState.PARSING)

    def finish_reading() -> None:
        readings = Reading.objects.filter(pk=upload.reading_id)
        readings.update(state=ReadingState.READY, total=3, characters=100, ended_at=Now())
        fill(readings.get(), PIER)

    async with running():
        accepted = await ask(member, [upload])
        await until(accepted.answer_id, lambda a: any(n["code"] == "waiting_for_files" for n in a.notices))
        assert scripted.requests == []
        await in_thread(finish_reading)
        answer = await ended(accepted.answer_id)
    assert answer.status == Status.FINISHED and len(scripted.requests) == 1
    assert "The pier is 40 m long." in scripted.requests[0]["messages"][0]["content"]


async def test_an_answer_that_waits_for_its_file_can_be_cancelled(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    upload = await in_thread(make_file, member, "pier.pdf", [], ReadingState.PARSING)
    async with running():
        accepted = await ask(member, [upload])
        await until(accepted.answer_id, lambda a: bool(a.notices))
        await cancel(member, accepted.answer_id)
        answer = await ended(accepted.answer_id)
    assert answer.status == Status.CANCELLED and scripted.requests == []


async def test_a_file_that_cannot_be_read_is_named_and_the_answer_goes_on(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    upload = await in_thread(make_file, member, "broken.pdf", [], ReadingState.FAILED)
    async with running():
        answer = await ended((await ask(member, [upload])).answer_id)
    assert answer.status == Status.FINISHED
    assert answer.notices == [
        {"code": "file_unreadable", "params": {"name": "broken.pdf", "code": "broken", "is_picture": False}}
    ]


async def test_a_long_file_is_read_in_parts_when_a_person_wants_all_of_it(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain", max_output_tokens=500)
    pages = [f"Day {page}. {FILLING * 20}" for page in range(1, 21)]
    upload = await in_thread(make_file, member, "log.pdf", pages)
    async with running():
        accepted = await ask(member, [upload], "What happened?", read_all=True)
        answer = await ended(accepted.answer_id)
    *parts, last = scripted.requests
    asked = "\n".join(body["messages"][-1]["content"] for body in parts)
    assert len(parts) > 1 and all(f"Day {page}." in asked for page in range(1, 21)), "every page was read"
    assert "These notes were taken of all their parts" in last["messages"][-1]["content"]
    assert last["messages"][-1]["content"].endswith("What happened?")
    assert answer.status == Status.FINISHED and answer.prompt_tokens == 100 * len(scripted.requests)
    assert {"code": "files_in_parts", "params": {"parts": answer.notices[-1]["params"]["parts"]}} == answer.notices[-1]


async def test_evidence_is_checked_when_the_answer_has_ended(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "cites")
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    async with running():
        accepted = await ask(member, [upload])
        await ended(accepted.answer_id)
    await in_thread(check_answer, str(accepted.answer_id))
    story = await check_story(accepted)
    assert [type(event).__name__ for event in story.events][-1] == "AnswerChecked"
    answer = await row(accepted.answer_id)
    checks = await in_thread(lambda: list(answer.checks.all()))
    text = answer.message.text
    assert [(text[c.start : c.end], c.verdict) for c in checks] == [
        ("The pier is 40 m long [1].", "supported"),
        ("It was built in 1925 [1].", "not_found"),
    ]


async def test_another_try_and_its_replay_keep_to_what_was_read(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    async with running():
        accepted = await ask(member, [upload])
        await ended(accepted.answer_id)
        other = await in_thread(regenerate, member, client_id=uuid4(), message_id=accepted.reply_id)
        await ended(other.answer_id)
    first, second = scripted.requests
    assert first["messages"] == second["messages"]
    texts = [[r.text for r in await in_thread(evidence_of, id)] for id in (accepted.answer_id, other.answer_id)]
    assert texts[0] == texts[1] != []
    assert await in_thread(Excerpt.objects.count) == len(texts[0]), "the same texts are kept once"


async def test_a_deleted_file_leaves_its_marks_and_none_of_its_text(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "cites")
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    async with running():
        accepted = await ask(member, [upload])
        await ended(accepted.answer_id)
    await in_thread(services.remove, upload)
    rows = await in_thread(evidence_of, accepted.answer_id)
    assert rows and all(r.excerpt is None and r.name == "pier.pdf" for r in rows)
    assert await in_thread(Excerpt.objects.count) == 0
    assert await in_thread(Message.objects.filter(pk=accepted.message_id).exists)


async def test_a_deleted_file_takes_the_notes_of_it_along(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain", max_output_tokens=500)
    pages = [f"Day {page}. {FILLING * 20}" for page in range(1, 21)]
    upload = await in_thread(make_file, member, "log.pdf", pages)
    async with running():
        answer = await ended((await ask(member, [upload], "What happened?", read_all=True)).answer_id)
    assert await in_thread(Note.objects.filter(answer=answer).exists) and answer.request["notes"]
    await in_thread(services.remove, upload)
    assert not await in_thread(Note.objects.exists)
    assert (await row(answer.pk)).request["notes"] == []


def test_what_would_be_read_is_told_before_sending(member: User, outsider: User, endpoint: Endpoint) -> None:
    short = make_file(member, "pier.pdf", PIER)
    long = make_file(member, "log.pdf", [FILLING * 40] * 9)

    def told(person: User, *uploads: Upload) -> tuple[str, int, int]:
        asked = Asked([upload.pk for upload in uploads], [], None, None, "How long is the pier?")
        fit = foresee(person, asked)
        return fit["mode"], fit["read"], fit["total"]

    assert told(member, short) == ("whole", 3, 3)
    mode, read, total = told(member, short, long)
    assert (mode, total) == ("passages", 12) and 0 < read < 12
    assert told(outsider, short) == ("", 0, 0), "another person's file is not there"
    asked = Asked([short.pk], [], None, None, "How long is the pier?")
    beside_pages = foresee(member, replace(asked, search=True))
    assert foresee(member, asked)["room_tokens"] - beside_pages["room_tokens"] == endpoint.context_length // 4


async def test_a_model_that_sees_gets_the_picture_itself(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain", vision=True)
    data = png()
    upload = await in_thread(make_picture, member, data)
    async with running():
        accepted = await ask(member, [upload], "What is this?")
        answer = await ended(accepted.answer_id)
        await play(endpoint, scripted, "plain", vision=False)
        await ended((await ask(member, [upload], "What is this?")).answer_id)
    seeing, blind = (body["messages"][-1]["content"] for body in scripted.requests)
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    assert seeing == [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    assert answer.notices == [], "a picture without text was not left out"
    assert blind == "What is this?"


def png() -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(picture, "PNG")
    return picture.getvalue()


def make_picture(person: User, data: bytes) -> Upload:
    """As an upload brings it; there is no text in it."""
    upload = services.begin(person.pk, "sea.png", len(data), Upload.Origin.COMPOSER)
    services.append(upload, 0, iter([data]))
    upload.refresh_from_db()
    Reading.objects.filter(pk=upload.reading_id).update(state=ReadingState.FAILED, code="empty", ended_at=Now())
    return upload


async def test_two_runners_cannot_freeze_for_one_answer(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    """A runner that lost the answer while it read finds out before it writes."""
    upload = await in_thread(make_file, member, "pier.pdf", PIER)
    accepted = await ask(member, [upload])
    [claim] = await in_thread(claim_answers, 1)
    answer = await row(accepted.answer_id)
    late = Claim(claim.answer_id, claim.message_id, claim.conversation_id, claim.fence - 1)
    with pytest.raises(FencedOut):
        await in_thread(read_files, late, answer, "pier", 1000, RatioCounter(3.0), is_demo=False)
    assert await in_thread(evidence_of, accepted.answer_id) == []
