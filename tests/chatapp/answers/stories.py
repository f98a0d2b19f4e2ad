"""What the tests of the runner share: asking, running, crashing, and a reader who follows the log."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from django.db.models.functions import Now

from chatapp.accounts.models import User
from chatapp.answers import doorbell
from chatapp.answers.events import AnswerEnded, Delta, Event, Position, TitleChanged
from chatapp.answers.log import LOST, EventLog
from chatapp.answers.models import ENDED, Answer
from chatapp.answers.patience import Patience
from chatapp.answers.runner import Runner
from chatapp.answers.services import Accepted, cancel_answer, send_message
from chatapp.endpoints.models import Endpoint
from chatapp.threads import in_thread
from tests.scripted_endpoint import ScriptedEndpoint

QUICK = Patience(unreachable_s=1.0, local_s=3.0, rate_limited_s=1.0, first_wait_s=0.05, longest_wait_s=0.2)


@asynccontextmanager
async def running(patience: Patience = QUICK, concurrency: int = 8) -> AsyncIterator[Runner]:
    """A runner for the time of the block; it stops as by SIGTERM."""
    runner = Runner(concurrency, patience)
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        runner.stop()
        await task


@asynccontextmanager
async def crashing(patience: Patience = QUICK) -> AsyncIterator[Callable[[], None]]:
    """A runner that the yielded function ends as kill -9 would: it writes and releases nothing more."""
    task = asyncio.create_task(Runner(8, patience).run())
    try:
        yield task.cancel  # type: ignore[misc]
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def play(endpoint: Endpoint, scripted: ScriptedEndpoint, model: str, **facts: object) -> None:
    """The endpoint of the story plays this part."""
    values = {"base_url": scripted.base_url, "model": model, **facts}
    await in_thread(Endpoint.objects.filter(pk=endpoint.pk).update, **values)


async def ask(
    person: User,
    conversation_id: UUID | None = None,
    parent_id: UUID | None = None,
    text: str = "What is the tide?",
) -> Accepted:
    return await in_thread(
        send_message,
        person,
        client_id=uuid4(),
        text=text,
        conversation_id=conversation_id,
        parent_id=parent_id,
    )


async def cancel(person: User, answer_id: UUID) -> None:
    await in_thread(cancel_answer, person, answer_id=answer_id)


async def row(answer_id: UUID) -> Answer:
    return await in_thread(Answer.objects.select_related("message__conversation", "endpoint").get, pk=answer_id)


async def until(answer_id: UUID, is_so: Callable[[Answer], bool], timeout_s: float = 30.0) -> Answer:
    give_up = time.monotonic() + timeout_s
    while time.monotonic() < give_up:
        answer = await row(answer_id)
        if is_so(answer):
            return answer
        await asyncio.sleep(0.03)
    raise AssertionError(f"still {answer.status} {answer.error_code} {answer.error_detail}")


async def ended(answer_id: UUID) -> Answer:
    """The answer once its end is told."""
    return await until(answer_id, lambda answer: answer.status in ENDED and answer.ended_event_at is not None)


async def shown(accepted: Accepted, words: int) -> "Reader":
    """A reader who has seen at least so many words."""
    reader = Reader(accepted)
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        await reader.catch_up()
        if reader.text.count(" ") >= words:
            return reader
        await asyncio.sleep(0.02)
    raise AssertionError(f"only {reader.text!r}")


async def expire_lease(answer_id: UUID) -> None:
    """As ten seconds without a renewal would; other runners hear of it at once."""
    await in_thread(Answer.objects.filter(pk=answer_id).update, lease_expires_at=Now())
    await in_thread(doorbell.ring_runner, "queued", answer_id)


@dataclass
class Reader:
    """Follows one answer as a browser does. A gap fails the test; a lost log is answered from the rows."""

    accepted: Accepted
    text: str = ""
    reasoning: str = ""
    events: list[Event] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    position: Position | None = None
    snapshots: int = 0

    async def catch_up(self) -> "Reader":
        log, conversation = EventLog(), self.accepted.conversation_id
        self.position = self.position or Position((await log.head(conversation)).epoch, 0)
        while True:
            entries = await log.read_after(conversation, self.position)
            if entries is LOST:
                await self._snapshot()
                continue
            for self.position, event in entries:
                self._apply(event)
            if not entries:
                return self

    async def _snapshot(self) -> None:
        bounds = await EventLog().bounds(self.accepted.conversation_id)
        answer = await row(self.accepted.answer_id)
        self.text, self.reasoning = answer.message.text, answer.reasoning
        saved = Position(answer.snapshot_epoch, answer.snapshot_seq)
        self.position = bounds.clamp(saved if answer.snapshot_epoch else None)
        self.snapshots += 1

    def _apply(self, event: Event) -> None:
        if isinstance(event, TitleChanged):
            self.titles.append(event.title)
        if getattr(event, "answer", None) == self.accepted.answer_id:
            self.events.append(event)
        if not isinstance(event, Delta) or event.message != self.accepted.reply_id:
            return
        held = self.text if event.part == "text" else self.reasoning
        assert event.at <= len(held), f"gap: {event.at} beyond {len(held)}"
        held += event.text[len(held) - event.at :]
        if event.part == "text":
            self.text = held
        else:
            self.reasoning = held

    @property
    def ends(self) -> list[AnswerEnded]:
        return [event for event in self.events if isinstance(event, AnswerEnded)]

    def notices(self) -> list[str]:
        return [event.code for event in self.events if event.kind == "notice"]  # type: ignore[attr-defined]


async def check_story(accepted: Accepted) -> Reader:
    """Exactly one end, and the text of the log is the stored text."""
    answer = await row(accepted.answer_id)
    reader = await Reader(accepted).catch_up()
    assert answer.status in ENDED
    assert len(reader.ends) == 1, reader.ends
    end = reader.ends[0]
    assert (end.status, end.error_code, end.finish_reason) == (answer.status, answer.error_code, answer.finish_reason)
    assert reader.text == answer.message.text
    assert reader.reasoning == answer.reasoning
    assert (end.length_text, end.length_reasoning) == (len(reader.text), len(reader.reasoning))
    return reader
