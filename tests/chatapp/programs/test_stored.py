"""Calls that were asked to be stored, and only those."""

from collections.abc import Callable

import openai
import pytest

from chatapp.accounts.models import User
from chatapp.programs.claiming import remove_ended
from chatapp.programs.models import Call
from tests.chatapp.programs.conftest import QUESTION, RunnerThread, client_of, new_secret
from tests.live_site import LiveSite
from tests.scripted_endpoint import TEXT

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_stored_answer_is_listed_read_and_deleted_by_its_own_key(
    live_site: LiveSite, program: openai.OpenAI, member: User, plays: Callable[..., None], runner: RunnerThread
) -> None:
    program.chat.completions.create(model="plain", messages=QUESTION)  # type: ignore[call-overload]
    kept = program.chat.completions.create(model="plain", messages=QUESTION, store=True)  # type: ignore[call-overload]
    streamed = list(program.chat.completions.create(model="plain", messages=QUESTION, store=True, stream=True))  # type: ignore
    remove_ended()
    assert [each.id for each in program.chat.completions.list()] == [kept.id, streamed[0].id]
    assert [each.id for each in program.chat.completions.list(limit=1, order="desc")] == [streamed[0].id, kept.id]
    again = program.chat.completions.retrieve(kept.id)
    assert again.choices[0].message.content == TEXT and again.usage == kept.usage
    with client_of(live_site, new_secret(member, "Another")) as other:
        assert list(other.chat.completions.list()) == []
        with pytest.raises(openai.NotFoundError):
            other.chat.completions.retrieve(kept.id)
    assert program.chat.completions.delete(kept.id).deleted
    with pytest.raises(openai.NotFoundError):
        program.chat.completions.retrieve(kept.id)
    Call.objects.update(ended_at="2020-01-01T00:00Z")
    remove_ended()
    assert list(program.chat.completions.list()) == []
