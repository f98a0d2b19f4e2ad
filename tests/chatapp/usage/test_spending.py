"""What a request to a model leaves in the rows, held against what the endpoint itself has reported."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from chatapp.accounts.models import User
from chatapp.answers.models import Status
from chatapp.conversations.models import Conversation
from chatapp.conversations.tasks import refine_title
from chatapp.endpoints.models import Endpoint
from chatapp.threads import in_thread
from chatapp.usage.models import Spending
from tests.chatapp.answers.stories import QUICK, ask, cancel, crashing, ended, expire_lease, play, running, until
from tests.chatapp.answers.test_computing import SUM, computing, read_in, sql
from tests.chatapp.answers.test_files import ask as ask_about
from tests.file_fixtures import give
from tests.scripted_endpoint import TEXT, ScriptedEndpoint
from tests.uploads.computing.workbooks import write_sales

pytestmark = pytest.mark.django_db(transaction=True)

PRICES = {"price_cache_hit": Decimal("0.028"), "price_cache_miss": Decimal("0.28"), "price_output": Decimal("0.42")}
DENSE = {
    "dense_price_cache_hit": Decimal("0.07"),
    "dense_price_cache_miss": Decimal("0.56"),
    "dense_price_output": Decimal("1.68"),
}
OF_ONE = (64 * Decimal("0.028") + 36 * Decimal("0.28") + 40 * Decimal("0.42")) / 1_000_000


async def spendings() -> list[Spending]:
    return await in_thread(lambda: list(Spending.objects.order_by("began_at", "id")))


async def test_an_answer_costs_to_the_token_and_the_cent_what_was_reported(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain", **PRICES, **DENSE)
    async with running():
        accepted = await ask(member)
        await ended(accepted.answer_id)
    [spent] = await spendings()
    assert (spent.cache_hit_tokens, spent.cache_miss_tokens, spent.output_tokens) == (64, 36, 40)
    assert spent.cost == OF_ONE == Decimal("0.0000286720")
    assert spent.cost_uncached == (100 * Decimal("0.28") + 40 * Decimal("0.42")) / 1_000_000
    assert spent.cost_dense == (64 * Decimal("0.07") + 36 * Decimal("0.56") + 40 * Decimal("1.68")) / 1_000_000
    assert not spent.is_estimated and spent.ended_at and spent.user_id == member.pk and spent.model == "plain"


async def test_every_question_of_an_answer_that_computes_is_a_row(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, tmp_path: Path, file_store: object
) -> None:
    await play(endpoint, scripted, "tools+repeats", tools=True, **PRICES)
    scripted.tool_calls = sql(SUM)
    await in_thread(write_sales, tmp_path / "sales.xlsx")
    sales = await in_thread(lambda: read_in(give(member, (tmp_path / "sales.xlsx").read_bytes(), "sales.xlsx")))
    with computing():
        async with running():
            accepted = await ask_about(member, [sales], "How many?")
            answer = await ended(accepted.answer_id)
    rows = await spendings()
    assert len(rows) == len(scripted.requests) == 2
    prompt = sum(row.cache_hit_tokens + row.cache_miss_tokens for row in rows)
    assert (prompt, sum(row.output_tokens for row in rows)) == (answer.prompt_tokens, answer.completion_tokens)


async def test_what_nobody_reported_is_counted_and_said_to_be(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "no-usage", **PRICES)
    async with running():
        accepted = await ask(member)
        await ended(accepted.answer_id)
    [spent] = await spendings()
    assert spent.is_estimated and spent.ended_at and spent.cost > 0
    assert spent.cache_miss_tokens > 0 and spent.output_tokens == pytest.approx(len(TEXT) / 3, rel=0.5)


async def test_a_refused_request_costs_nothing(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "rate-limit:1+plain", **PRICES)
    async with running(replace(QUICK, rate_limited_s=30.0)):
        accepted = await ask(member)
        await ended(accepted.answer_id)
    assert len(scripted.requests) == 2
    [spent] = await spendings()
    assert spent.cost == OF_ONE


async def test_a_broken_stream_costs_what_came_of_it_and_so_does_its_continuation(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "prefix+drop:9+drops:1", continuation="prefix_true", **PRICES)
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    assert answer.message.text == TEXT
    broken, whole = await spendings()
    assert broken.is_estimated and 0 < broken.output_tokens < whole.output_tokens + 9
    assert not whole.is_estimated and whole.output_tokens == 31


async def test_a_stopped_answer_costs_what_was_written(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "slow:150", **PRICES)
    async with running():
        accepted = await ask(member)
        await until(accepted.answer_id, lambda answer: len(answer.message.text) > 10)
        await cancel(member, accepted.answer_id)
        await ended(accepted.answer_id)
    [spent] = await spendings()
    assert spent.is_estimated and spent.ended_at is not None and 0 < spent.output_tokens < len(TEXT) / 5


async def test_a_crash_leaves_the_row_of_what_was_asked(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "prefix+slow:150", continuation="prefix_true", **PRICES)
    async with crashing() as crash:
        accepted = await ask(member)
        await until(accepted.answer_id, lambda answer: len(answer.message.text) > 10)
        await in_thread(Spending.objects.update, ended_at=None)
        crash()
    await expire_lease(accepted.answer_id)
    async with running():
        answer = await ended(accepted.answer_id)
    assert answer.status == Status.FINISHED
    left, whole = await spendings()
    assert left.ended_at is not None and left.is_estimated and left.cost > 0
    assert not whole.is_estimated


async def test_a_title_is_a_row_of_its_own(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "plain", **PRICES)
    async with running():
        accepted = await ask(member)
        await ended(accepted.answer_id)
    await in_thread(refine_title, str(accepted.conversation_id))
    _answer, title = await spendings()
    assert title.kind == Spending.Kind.TITLE and title.user_id == member.pk and not title.is_estimated


async def test_sums_stay_when_chat_person_and_endpoint_go(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain", **PRICES)
    async with running():
        accepted = await ask(member)
        await ended(accepted.answer_id)
    await in_thread(Conversation.objects.filter(pk=accepted.conversation_id).delete)
    await in_thread(Endpoint.objects.all().delete)
    await in_thread(User.objects.filter(pk=member.pk).delete)
    [spent] = await spendings()
    assert (spent.cost, spent.endpoint_name, spent.user_id) == (OF_ONE, "Scripted", None)


def test_a_second_end_changes_nothing(endpoint: Endpoint, member: User) -> None:
    from chatapp.endpoints.deltas import Usage
    from chatapp.usage.recording import Asked, begin, end, forget

    spending = begin(Asked(Spending.Kind.ANSWER, member.pk, endpoint, uuid4()), 7)
    end(spending, endpoint, Usage(10, 5, 4), 0)
    end(spending, endpoint, Usage(99, 99, 99), 0)
    forget(spending)
    row = Spending.objects.get()
    assert (row.cache_hit_tokens, row.cache_miss_tokens, row.output_tokens) == (4, 6, 5)
