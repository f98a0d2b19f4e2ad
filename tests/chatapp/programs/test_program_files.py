"""Files of programs: given, listed, fetched and removed by the real `openai` package; read and cited in calls."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from django.db.models.functions import Now

from chatapp.accounts.models import User
from chatapp.files.removal import remove_unsent
from chatapp.programs.models import ApiKey, Call, ProgramFile
from chatapp.programs.request import file_id
from chatapp.usage.models import Spending
from tests.chatapp.answers.test_files import PIER, fill, make_file
from tests.chatapp.programs.conftest import RunnerThread, client_of, new_secret
from tests.crash.waiting import wait_until
from tests.file_fixtures import give
from tests.live_site import LiveSite
from tests.scripted_endpoint import ScriptedEndpoint
from uploads.models import Reading, ReadingState, Upload

pytestmark = pytest.mark.django_db(transaction=True)
ASKED = "How long is the pier?"


def program_file(person: User, name: str = "pier.pdf", state: str = ReadingState.READY) -> Upload:
    upload = make_file(person, name, PIER, state)
    ProgramFile.objects.create(upload=upload, purpose="user_data")
    return upload


def asking(*uploads: Upload) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "file", "file": {"file_id": file_id(upload.pk)}} for upload in uploads]
    return [{"role": "user", "content": [{"type": "text", "text": ASKED}, *parts]}]


def test_a_file_is_given_listed_fetched_and_removed(program: openai.OpenAI, file_store: Path, member: User) -> None:
    given = program.files.create(file=("tides.txt", b"The tide turns at noon.\n"), purpose="user_data")
    assert (given.filename, given.bytes, given.purpose, given.status) == ("tides.txt", 24, "user_data", "uploaded")
    other = program.files.create(file=("ebb.txt", b"It ebbs at six.\n"), purpose="assistants")
    assert [each.id for each in program.files.list()] == [other.id, given.id]
    assert [each.id for each in program.files.list(limit=1)] == [other.id, given.id], "page by page"
    assert [each.id for each in program.files.list(order="asc", purpose="user_data")] == [given.id]
    assert program.files.retrieve(given.id) == given
    assert program.files.content(given.id).read() == b"The tide turns at noon.\n"
    assert program.files.delete(given.id).deleted
    with pytest.raises(openai.NotFoundError):
        program.files.retrieve(given.id)
    assert [each.owner for each in Upload.objects.all()] == [member]


def test_what_is_no_file_is_refused_by_name(
    live_site: LiveSite, program: openai.OpenAI, secret: str, file_store: Path, settings: Any
) -> None:
    for file, purpose, code in (
        (("noise.bin", bytes(range(256)) * 10), "user_data", "file_unsupported"),
        (("empty.txt", b""), "user_data", "file_empty"),
        (("a.txt", b"a"), "secret", "invalid_parameter"),
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            program.files.create(file=file, purpose=purpose)  # type: ignore[arg-type]
        assert refused.value.code == code
    settings.UPLOADS = replace(settings.UPLOADS, max_bytes=100)
    with pytest.raises(openai.APIStatusError) as refused:
        program.files.create(file=("long.txt", b"a" * 101), purpose="user_data")
    assert (refused.value.status_code, refused.value.code) == (413, "file_too_large")
    headers = {"Authorization": f"Bearer {secret}"}
    nothing = httpx.post(f"{live_site.url}/v1/files", data={"purpose": "user_data"}, headers=headers)
    assert (nothing.status_code, nothing.json()["error"]["param"]) == (400, "file")
    assert not Upload.objects.exists()


def test_only_who_has_a_key_for_files_may_send_so_much(
    live_site: LiveSite, secret: str, member: User, file_store: Path
) -> None:
    """More than any page sends: nobody without a key makes the site store it."""
    large = b"The tide turns at noon.\n" * 400_000  # 9.6 MB
    with client_of(live_site, secret) as program:
        assert program.files.create(file=("tides.txt", large), purpose="user_data").bytes == len(large)
    for other in (secret + "x", new_secret(member, "Chat", abilities=["chat"])):
        files = {"file": ("tides.txt", large)}
        response = httpx.post(f"{live_site.url}/v1/files", files=files, headers={"Authorization": f"Bearer {other}"})
        assert response.status_code == 413


def test_no_key_sees_other_peoples_files_nor_those_of_chats(
    program: openai.OpenAI, member: User, outsider: User, file_store: Path, plays: Callable[..., None]
) -> None:
    own = program.files.create(file=("tides.txt", b"The tide turns at noon.\n"), purpose="user_data")
    foreign, of_chats = program_file(outsider), give(member, b"A secret of the chat.\n", "chat.txt")
    assert [each.id for each in program.files.list()] == [own.id]
    for upload in (foreign, of_chats):
        for look in (program.files.retrieve, program.files.content, program.files.delete):
            with pytest.raises(openai.NotFoundError):
                look(file_id(upload.pk))
        with pytest.raises(openai.NotFoundError, match="There is no file"):
            program.chat.completions.create(model="plain", messages=asking(upload))  # type: ignore[arg-type]
    assert Upload.objects.count() == 3


def test_a_key_for_chat_alone_refers_to_no_file(live_site: LiveSite, member: User, plays: Callable[..., None]) -> None:
    upload = program_file(member)
    with (
        client_of(live_site, new_secret(member, abilities=["chat"])) as program,
        pytest.raises(openai.PermissionDeniedError),
    ):
        program.chat.completions.create(model="plain", messages=asking(upload))  # type: ignore[arg-type]


def test_an_answer_cites_the_place_in_the_file(
    program: openai.OpenAI, plays: Callable[..., None], member: User, scripted: ScriptedEndpoint, runner: RunnerThread
) -> None:
    plays("cites", context_length=8192)
    upload = program_file(member)
    answer = program.chat.completions.create(model="cites", messages=asking(upload))  # type: ignore[arg-type]
    [system, question] = scripted.requests[0]["messages"]
    assert '<document name="pier.pdf">' in system["content"] and PIER[1] in system["content"]
    assert question == {"role": "user", "content": ASKED}
    message = answer.choices[0].message
    text = message.content or ""
    found: list[Any] = list(message.annotations or [])
    first, second = found
    assert text[first.start_index : first.end_index] == first.text == "[1]" == second.text
    assert second.start_index > first.end_index
    cited = first.file_citation
    assert (cited["file_id"], cited["filename"], cited["number"]) == (file_id(upload.pk), "pier.pdf", 1)
    assert cited["quote"] == PIER[0] and cited["where"] == "page 1" and cited["place"]["page"] == 1
    assert Spending.objects.get().key == ApiKey.objects.get()


def test_a_stream_ends_with_what_it_cites(
    program: openai.OpenAI, plays: Callable[..., None], member: User, runner: RunnerThread
) -> None:
    plays("cites", context_length=8192)
    messages = asking(program_file(member))
    chunks = list(program.chat.completions.create(model="cites", messages=messages, stream=True))  # type: ignore
    told = [chunk.choices[0].delta.model_dump().get("annotations") for chunk in chunks]
    [annotations] = [each for each in told if each]
    assert [each["text"] for each in annotations] == ["[1]", "[1]"] and chunks[-1].choices[0].finish_reason == "stop"


def test_of_a_file_that_is_too_long_the_passages_found_are_read(
    program: openai.OpenAI, plays: Callable[..., None], member: User, scripted: ScriptedEndpoint, runner: RunnerThread
) -> None:
    plays("cites", context_length=2000, max_output_tokens=500)
    filling = ["Nothing of note happened in the harbour on that day, and the log says so at length. " * 8] * 40
    upload = make_file(member, "log.pdf", [*filling, PIER[0]])
    ProgramFile.objects.create(upload=upload, purpose="user_data")
    messages = [{"role": "system", "content": "Be short."}, *asking(upload)]
    program.chat.completions.create(model="cites", messages=messages)  # type: ignore[arg-type]
    system, question = scripted.requests[0]["messages"]
    assert system["content"] == "Be short." and question["content"].endswith(ASKED)
    assert PIER[0] in question["content"] and len(question["content"]) < 8000


def test_a_call_waits_until_its_file_is_read(
    program: openai.OpenAI, plays: Callable[..., None], member: User, scripted: ScriptedEndpoint, runner: RunnerThread
) -> None:
    plays("cites", context_length=8192)
    upload = program_file(member, state=ReadingState.PARSING)
    Reading.objects.filter(pk=upload.reading_id).update(fence=1)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(program.chat.completions.create, model="cites", messages=asking(upload))  # type: ignore
        wait_until("a runner has it", lambda: Call.objects.filter(status="running").exists(), 5)
        time.sleep(0.8)  # two looks of the runner
        assert not call.done() and not scripted.requests
        reading = Reading.objects.get(pk=upload.reading_id)
        reading.blocks.all().delete()
        reading.state, reading.ended_at = ReadingState.READY, Now()
        reading.save()
        fill(reading, PIER)
        assert call.result(15).choices[0].message.annotations


def test_a_file_that_cannot_be_read_fails_the_call_and_says_which(
    program: openai.OpenAI, plays: Callable[..., None], member: User, scripted: ScriptedEndpoint, runner: RunnerThread
) -> None:
    upload = program_file(member, "torn.pdf", ReadingState.FAILED)
    with pytest.raises(openai.UnprocessableEntityError, match="torn.pdf.*broken") as refused:
        program.chat.completions.create(model="plain", messages=asking(upload))  # type: ignore[arg-type]
    assert refused.value.code == "files_unread" and not scripted.requests and not Spending.objects.exists()


def test_files_of_programs_stay_until_they_are_removed(member: User, file_store: Path) -> None:
    kept, unsent = give(member, b"a b\n", "a.txt"), give(member, b"b c\n", "b.txt")
    ProgramFile.objects.create(upload=kept, purpose="user_data")
    Upload.objects.update(created_at="2020-01-01T00:00Z")
    assert remove_unsent() == 1
    assert list(Upload.objects.all()) == [kept] and unsent.pk != kept.pk
