"""Presets: what a question asked with one is answered by, and who may use it."""

from typing import Any
from uuid import uuid4

import pytest

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.answers.services import Accepted, regenerate, replay_answer, send_message
from chatapp.conversations.models import Conversation
from chatapp.endpoints.models import Endpoint
from chatapp.errors import Invalid
from chatapp.files import collecting
from chatapp.files.models import MessageCollection
from chatapp.presets import services
from chatapp.presets.forms import PresetForm
from chatapp.presets.models import Preset
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import ended, play, running
from tests.scripted_endpoint import ScriptedEndpoint
from tests.site_fixtures import signed_in

PROMPT = "You are a harbour master."


def make_preset(person: User, **fields: Any) -> Preset:
    form = PresetForm(person, {"name": "Harbour master", "system_prompt": PROMPT, **fields})
    assert form.is_valid(), form.errors
    return services.create(person, form.preset_fields())


async def ask(person: User, preset: Preset | None, **fields: Any) -> Accepted:
    given = {"client_id": uuid4(), "text": "Where may I moor?", "preset_id": preset.pk if preset else None}
    return await in_thread(send_message, person, **{**given, **fields})


@pytest.mark.django_db(transaction=True)
async def test_question_is_asked_with_prompt_and_parameters_of_its_preset(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    preset = await in_thread(make_preset, member, temperature="0.3", max_tokens="77")
    async with running():
        asked = await ask(member, preset)
        await ended(asked.answer_id)
        again = await in_thread(replay_answer, member, client_id=uuid4(), answer_id=asked.answer_id)
        await ended(again.answer_id)
        other = await in_thread(regenerate, member, client_id=uuid4(), message_id=asked.reply_id)
        await ended(other.answer_id)
    first, replayed, plain = scripted.requests
    for body in (first, replayed):
        assert PROMPT in body["messages"][0]["content"]
        assert (body["temperature"], body["max_tokens"]) == (0.3, 77)
    assert PROMPT not in str(plain) and "temperature" not in plain and plain["max_tokens"] > 77


@pytest.mark.django_db(transaction=True)
async def test_preset_that_is_shared_no_more_says_nothing_to_the_next_answer(
    member: User, outsider: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    preset = await in_thread(make_preset, member)
    await in_thread(services.share, member, preset.pk, outsider, Access.READ)
    asked = await ask(outsider, preset)
    await in_thread(lambda: services.end_share(member, preset.pk, preset.grants.get().pk))
    async with running():
        await ended(asked.answer_id)
    [body] = scripted.requests
    assert PROMPT not in str(body)


@pytest.mark.django_db
def test_preset_of_somebody_else_is_refused_and_begins_no_chat(
    member: User, outsider: User, endpoint: Endpoint
) -> None:
    preset = make_preset(member)
    with pytest.raises(Invalid) as refused:
        send_message(outsider, client_id=uuid4(), text="Where?", preset_id=preset.pk)
    assert (refused.value.code, refused.value.field) == ("not_found", "preset")
    assert not Conversation.objects.filter(owner=outsider).exists()


@pytest.mark.django_db
def test_question_asks_those_collections_of_a_preset_that_the_asker_may_read(
    member: User, outsider: User, endpoint: Endpoint
) -> None:
    shared, private = collecting.create(member, "Shared"), collecting.create(member, "Private")
    collecting.share(member, shared.pk, None, Access.READ)
    preset = make_preset(member, collections=[str(shared.pk), str(private.pk)])
    services.share(member, preset.pk, None, Access.READ)
    send_message(outsider, client_id=uuid4(), text="Where?", preset_id=preset.pk)
    assert [each.name for each in MessageCollection.objects.all()] == ["Shared"]


@pytest.mark.django_db
def test_writer_who_does_not_see_a_collection_of_it_does_not_take_it_away(member: User, outsider: User) -> None:
    private = collecting.create(member, "Private")
    preset = make_preset(member, collections=[str(private.pk)])
    services.share(member, preset.pk, outsider, Access.WRITE)
    client = signed_in(outsider)
    assert "Private" not in client.get(f"/presets/{preset.pk}").content.decode()
    client.post(f"/presets/{preset.pk}", {"name": "Renamed"})
    preset.refresh_from_db()
    assert preset.name == "Renamed" and list(preset.collections.all()) == [private]


@pytest.mark.django_db
def test_reader_sees_what_it_says_and_cannot_change_it(member: User, outsider: User) -> None:
    preset = make_preset(member)
    services.share(member, preset.pk, outsider, Access.READ)
    client = signed_in(outsider)
    assert PROMPT in client.get(f"/presets/{preset.pk}").content.decode()
    assert client.post(f"/presets/{preset.pk}", {"name": "Mine"}).status_code == 404
    assert "Harbour master" in client.get("/presets").content.decode()
    assert "data-preset" in client.get("/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [{"temperature": "2.1"}, {"temperature": "-1"}, {"max_tokens": "0"}, {"name": ""}])
def test_value_out_of_its_range_makes_no_preset(member: User, wrong: dict[str, str]) -> None:
    refused = signed_in(member).post("/presets/new", {"name": "Harbour master", **wrong})
    assert refused.status_code == 422
    assert not Preset.objects.exists()


@pytest.mark.django_db
def test_answers_outlive_their_preset(member: User, endpoint: Endpoint) -> None:
    preset = make_preset(member)
    asked = send_message(member, client_id=uuid4(), text="Where?", preset_id=preset.pk)
    services.delete(member, preset.pk)
    assert Answer.objects.get(pk=asked.answer_id).preset_id is None
