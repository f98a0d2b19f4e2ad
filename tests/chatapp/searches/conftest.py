"""A question that is being answered: what searches belong to."""

from uuid import uuid4

import pytest

from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.answers.services import send_message
from chatapp.endpoints.models import Endpoint
from chatapp.searches import life


@pytest.fixture
def answer(member: User, endpoint: Endpoint) -> Answer:
    accepted = send_message(member, client_id=uuid4(), text="Who built the harbour station of Talmar?")
    return Answer.objects.get(pk=accepted.answer_id)


@pytest.fixture
def celery_sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the broker is given to search, in place of the broker: the first argument of each task."""
    sent: list[str] = []
    monkeypatch.setattr(life.current_app, "send_task", lambda name, args, **options: sent.append(args[0]))
    return sent
