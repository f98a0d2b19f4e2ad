"""The details of an answer, and the state of health."""

import uuid

import pytest
import redis
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.answers import health
from chatapp.answers.doorbell import RUNNER_CHANNEL
from chatapp.answers.models import Answer, Status
from chatapp.conversations.models import Conversation, Message
from tests.site_fixtures import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def answer(conversation: Conversation, member: User) -> Answer:
    reply = Message.objects.create(conversation=conversation, role="assistant", text="At noon.")
    return Answer.objects.create(
        message=reply,
        asked_by=member,
        client_id=uuid.uuid4(),
        seed=4711,
        status=Status.FINISHED,
        ended_at=timezone.now(),
        model_name="deepseek-chat",
        prompt_tokens=900,
        cached_tokens=640,
        completion_tokens=50,
        generation_ms=2000,
    )


def test_details_tell_counts_speed_model_and_seed(answer: Answer, member: User) -> None:
    page = signed_in(member).get(f"/answers/{answer.pk}/details").content.decode()
    for words in ("deepseek-chat", "900 tokens", "640 tokens", "50 tokens", "25.0 tokens a second", "4711"):
        assert words in page


def test_details_of_an_answer_whose_model_is_gone(answer: Answer, member: User) -> None:
    Answer.objects.update(model_name="", endpoint=None, completion_tokens=None)
    assert signed_in(member).get(f"/answers/{answer.pk}/details").status_code == 200


def test_details_are_nobody_elses(answer: Answer, owner: User, outsider: User) -> None:
    for person in (owner, outsider):
        assert signed_in(person).get(f"/answers/{answer.pk}/details").status_code == 404


def test_a_reader_sees_the_details_but_cannot_replay(answer: Answer, member: User, outsider: User) -> None:
    answer.message.conversation.grants.create(user=outsider, access="read")
    assert "data-action" in signed_in(member).get(f"/answers/{answer.pk}/details").content.decode()
    page = signed_in(outsider).get(f"/answers/{answer.pk}/details").content.decode()
    assert "4711" in page
    assert "data-action" not in page


def test_health_without_a_runner_still_takes_questions() -> None:
    response = Client().get("/health")
    assert response.status_code == 200
    assert response.json() == {"status": "waiting", "database": "ok", "broker": "ok", "runner": "away"}


def test_health_with_a_listening_runner_is_ok() -> None:
    bell = redis.Redis.from_url(django_settings.CONFIG.redis_url).pubsub()
    bell.subscribe(RUNNER_CHANNEL)
    bell.get_message(timeout=5)
    assert Client().get("/health").json()["status"] == "ok"
    bell.close()


def test_health_without_its_broker_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    away = redis.Redis.from_url("redis://127.0.0.1:1/0")
    monkeypatch.setattr(health, "blocking_client", lambda: away)
    response = Client().get("/health")
    assert response.status_code == 503
    assert response.json() == {"status": "down", "database": "ok", "broker": "away", "runner": "away"}
