"""Questions over spreadsheets, computed: real workbooks, real queries in fenced children, a model that calls tools."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from chatapp.accounts.models import User
from chatapp.answers.rounds import MAX_QUERIES
from chatapp.answers.services import Accepted, continue_answer, replay_answer, send_message
from chatapp.context.tables import NO_MORE, QUERY_TABLE
from chatapp.conversations.models import Grant
from chatapp.conversations.selectors import read_item
from chatapp.endpoints.models import Endpoint
from chatapp.evidence.computed import Step
from chatapp.evidence.models import Evidence
from chatapp.files.indexing import index
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import cancel, check_story, crashing, ended, expire_lease, play, row, running, until
from tests.chatapp.answers.test_files import ask
from tests.file_fixtures import collect, give, make_collection
from tests.scripted_endpoint import TEXT, ScriptedEndpoint
from tests.site_fixtures import signed_in
from tests.uploads.computing.workbooks import write_sales
from tests.working import working
from uploads.models import Computation, Upload
from uploads.services import remove
from uploads.tasks import compute, parse

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("file_store")]

SUM = "SELECT sum(pieces) AS pieces FROM sales_2024 WHERE region = 'North'"
FOREVER = "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r"
QUESTION = "How many pieces were sold in the north?"


@pytest.fixture
def sales(member: User, tmp_path: Path) -> Upload:
    """Read by its real parser, and filed under its words."""
    write_sales(tmp_path / "sales.xlsx")
    return read_in(give(member, (tmp_path / "sales.xlsx").read_bytes(), "sales.xlsx"))


def read_in(upload: Upload) -> Upload:
    parse(str(upload.reading_id))
    assert upload.reading_id is not None
    index(upload.reading_id)
    upload.refresh_from_db()
    return upload


@contextmanager
def computing(only: str = "") -> Iterator[None]:
    """A worker of queue `parse` for the time of the block; it may be one that dies after a certain query."""

    def step() -> None:
        queued = Computation.objects.filter(state="queued")
        for computation in queued.filter(sql__in=["", only]) if only else queued:
            compute(str(computation.pk))

    with working(step):
        yield


def sql(*queries: str) -> list[tuple[str, dict[str, Any]]]:
    return [(QUERY_TABLE, {"sql": query}) for query in queries]


async def steps(person: User, accepted: Accepted) -> list[Step]:
    item = await in_thread(read_item, person, accepted.conversation_id, accepted.reply_id)
    return item.computed


async def evidence(answer_id: UUID) -> list[Evidence]:
    rows = Evidence.objects.filter(answer=answer_id, computed__isnull=False).select_related("excerpt")
    return await in_thread(list, rows)


async def test_a_sum_is_computed_and_shows_its_query_and_its_cells(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools+repeats", tools=True)
    scripted.tool_calls = sql(SUM)
    with computing():
        async with running():
            accepted = await ask(member, [sales], QUESTION)
            answer = await ended(accepted.answer_id)
    first, second = scripted.requests
    [tool] = first["tools"]
    told = tool["function"]["description"]
    assert "- sales_2024 of sheet Sales 2024, titled Sales by region, 13 rows: region VARCHAR" in told
    assert "rows with _row in (16) hold totals" in told and "one of: East | North | South | Total" in told
    assert second["messages"][: len(first["messages"])] == first["messages"] and second["tools"] == first["tools"]
    called, given = second["messages"][len(first["messages"]) :]
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"sql": SUM}
    [found] = await evidence(answer.pk)
    cells = ", ".join(f"B{row}, D{row}" for row in (4, 7, 10, 13))
    assert given["content"] == f"[{found.number}] from Sales 2024!{cells}\npieces\n18"
    assert (found.text, found.name, found.place["kind"], found.place["sheet"]) == (
        "pieces\n18",
        "sales.xlsx",
        "cells",
        "Sales 2024",
    )
    assert "18" in answer.message.text and answer.finish_reason == "stop"
    assert answer.prompt_tokens == 200 and not answer.usage_estimated, "both questions were asked and read"
    reader = await check_story(accepted)
    assert [code for code in reader.notices() if code.startswith("comput")] == ["computing", "computed"]
    [step] = await steps(member, accepted)
    assert (step.sql, step.columns, step.rows, step.is_exact) == (SUM, ("pieces",), (("18",),), True)
    assert step.words.startswith("Sales 2024!B4")


async def test_the_page_shows_the_result_and_opens_the_sheet_with_its_cells_marked(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools", tools=True)
    scripted.tool_calls = sql(SUM, "SELECT nothing FROM sales_2024")
    with computing():
        async with running():
            accepted = await ask(member, [sales], QUESTION)
            await ended(accepted.answer_id)
    [found] = await evidence(accepted.answer_id)

    def look() -> tuple[str, str]:
        browser = signed_in(member)
        page = browser.get(f"/c/{accepted.conversation_id}/messages/{accepted.reply_id}").content.decode()
        return page, browser.get(f"/sources/{found.pk}").content.decode()

    page, panel = await in_thread(look)
    assert "Computed: 2 queries" in page and "region = &#x27;North&#x27;" in page and '<td dir="auto">18</td>' in page
    assert f'data-evidence="{found.pk}"' in page and "The query was refused:" in page
    assert panel.count("source__hit") == 8, "four rows of two columns"
    assert "North" in panel and "<h1>" not in panel


async def test_a_refused_query_is_told_to_the_model_which_may_ask_better(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools", tools=True)
    calls = sql("SELECT sum(piece) FROM sales_2024", SUM)
    scripted.tool_calls = [*calls[:1], ("other", {}), (QUERY_TABLE, {"query": "x"}), calls[1]]
    with computing():
        async with running():
            accepted = await ask(member, [sales], QUESTION)
            answer = await ended(accepted.answer_id)
    told = [message["content"] for message in scripted.requests[-1]["messages"] if message["role"] == "tool"]
    assert "pieces" in told[0] and "no function 'other'" in told[1] and "sql is missing" in told[2]
    assert told[3].endswith("pieces\n18") and answer.message.text == TEXT
    assert [bool(step.refusal) for step in await steps(member, accepted)] == [True, True, True, False]


async def test_a_model_that_never_has_enough_is_told_to_answer(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools", tools=True)
    scripted.tool_calls = sql(*["SELECT 1"] * 9)
    with computing():
        async with running():
            accepted = await ask(member, [sales], QUESTION)
            answer = await ended(accepted.answer_id)
    assert await in_thread(Computation.objects.filter(sql="SELECT 1").count) == MAX_QUERIES
    assert [request.get("tool_choice") for request in scripted.requests] == [None] * 5 + ["none"] * 2
    assert scripted.requests[-1]["messages"][-1]["content"] == NO_MORE
    assert answer.status == "finished"


async def test_an_endpoint_without_tools_reads_passages_as_ever(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools")
    async with running():
        accepted = await ask(member, [sales], QUESTION)
        answer = await ended(accepted.answer_id)
    [request] = scripted.requests
    assert "tools" not in request and "North" in request["messages"][0]["content"]
    assert answer.message.text == TEXT and await steps(member, accepted) == []
    assert not await in_thread(Computation.objects.exists)


async def test_another_runner_goes_on_behind_the_last_finished_round(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    """An endpoint that cannot continue, and is paid for: nothing is asked or computed twice."""
    await play(endpoint, scripted, "tools+repeats", tools=True)
    scripted.tool_calls = sql(SUM, "SELECT 7 AS seven")
    with computing(SUM):
        async with crashing() as crash:
            accepted = await ask(member, [sales], QUESTION)
            await until(accepted.answer_id, lambda answer: len(answer.request.get("rounds", [])) == 2)
            crash()
    assert [step.is_running for step in await steps(member, accepted)] == [False, True]
    await expire_lease(accepted.answer_id)
    with computing():
        async with running():
            answer = await ended(accepted.answer_id)
    assert answer.fence == 2 and answer.message.text.endswith("seven\n7")
    assert len(scripted.requests) == 3 and await in_thread(Computation.objects.filter(sql=SUM).count) == 1
    await check_story(accepted)


async def test_a_call_that_nobody_has_computed_is_computed_by_the_next_runner(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools+repeats", tools=True)
    scripted.tool_calls = sql(SUM)
    with computing():
        await in_thread(_look_at, sales)
    async with crashing() as crash:
        accepted = await ask(member, [sales], QUESTION)
        await until(accepted.answer_id, lambda answer: bool(answer.request.get("rounds")))
        [step] = await steps(member, accepted)
        assert step.is_running and step.sql == SUM
        crash()
    await expire_lease(accepted.answer_id)
    with computing():
        async with running():
            answer = await ended(accepted.answer_id)
    assert len(scripted.requests) == 2, "the model was not asked for its call again"
    assert answer.status == "finished" and "18" in answer.message.text
    await check_story(accepted)


async def test_cancelling_while_it_computes_calls_the_query_off(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools", tools=True)
    scripted.tool_calls = sql(FOREVER)
    with computing():
        async with running():
            accepted = await ask(member, [sales], QUESTION)
            await until(accepted.answer_id, lambda answer: bool(answer.request.get("rounds")))
            await _until_computing(FOREVER)
            await cancel(member, accepted.answer_id)
            answer = await ended(accepted.answer_id)
    assert (answer.status, answer.finish_reason) == ("cancelled", "cancelled")
    assert answer.prompt_tokens == 100, "what the first round has cost"
    states = await in_thread(list, Computation.objects.filter(sql=FOREVER).values_list("state", flat=True))
    assert states == ["cancelled"] and await steps(member, accepted) == []
    await check_story(accepted)


async def test_a_worker_that_does_not_come_leaves_the_answer_without_the_tables(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools", tools=True)
    async with running():
        accepted = await ask(member, [sales], QUESTION)
        await _until_computing("")
        await in_thread(lambda: Computation.objects.update(deadline="2020-01-01T00:00Z"))
        answer = await ended(accepted.answer_id)
    assert answer.message.text == TEXT and "tools" not in scripted.requests[0]
    assert "tables_left_out" in [notice["code"] for notice in answer.notices]


async def test_what_is_said_before_a_call_stays_a_paragraph_of_its_own(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools+repeats+talks", tools=True)
    scripted.tool_calls = sql(SUM)
    with computing():
        async with running():
            accepted = await ask(member, [sales], QUESTION)
            answer = await ended(accepted.answer_id)
    assert answer.message.text.startswith("Let me compute that.\n\nThe tool said: [")
    called = scripted.requests[1]["messages"][-2]
    assert called["content"] == "Let me compute that." and called["tool_calls"]
    await check_story(accepted)


@pytest.mark.parametrize("continuation", ["prefix_true", "continue_final_message"])
async def test_an_answer_that_broke_off_behind_its_calls_goes_on_without_a_seam(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload, continuation: str
) -> None:
    part = "prefix" if continuation == "prefix_true" else "final"
    model = f"tools+talks+{part}+drop:9+drops:2"
    await play(endpoint, scripted, model, tools=True, continuation=continuation)
    scripted.tool_calls = sql(SUM)
    with computing():
        async with running():
            accepted = await ask(member, [sales], QUESTION)
            answer = await ended(accepted.answer_id)
    assert answer.message.text == "Let me compute that.\n\n" + TEXT
    *_, given, begun = scripted.requests[-1]["messages"]
    assert given["role"] == "tool" and TEXT.startswith(begun["content"]) and begun["content"]
    await check_story(accepted)


async def test_a_cut_answer_is_continued_with_what_was_computed_for_it(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools+prefix+drop:9", tools=True, continuation="none")
    scripted.tool_calls = sql(SUM)
    with computing():
        async with running():
            accepted = await ask(member, [sales], QUESTION)
            cut = await ended(accepted.answer_id)
            assert (cut.status, cut.message.text) == ("failed", TEXT[: len(cut.message.text)])
            await play(endpoint, scripted, "tools+prefix", tools=True, continuation="prefix_true")
            again = await in_thread(continue_answer, member, client_id=uuid4(), message_id=accepted.reply_id)
            answer = await ended(again.answer_id)
    assert answer.message.text == TEXT
    *_, called, given, begun = scripted.requests[-1]["messages"]
    assert called["tool_calls"] and given["content"].endswith("pieces\n18") and begun["content"] == cut.message.text
    assert len(await steps(member, accepted)) == 1


async def test_a_replay_computes_anew(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools+repeats", tools=True)
    scripted.tool_calls = sql(SUM)
    with computing():
        async with running():
            accepted = await ask(member, [sales], QUESTION)
            first = await ended(accepted.answer_id)
            again = await in_thread(replay_answer, member, client_id=uuid4(), answer_id=first.pk)
            replay = await ended(again.answer_id)
    one, two, three, four = scripted.requests
    assert (one, two) == (three, four)
    assert replay.replay_equal and replay.message.text == first.message.text
    assert await in_thread(Computation.objects.filter(sql=SUM).count) == 2


async def test_a_deleted_file_takes_its_results_with_it(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools", tools=True)
    scripted.tool_calls = sql("SELECT region, sum(pieces) AS n FROM sales_2024 GROUP BY ALL ORDER BY n DESC")
    with computing():
        async with running():
            accepted = await ask(member, [sales], QUESTION)
            await ended(accepted.answer_id)
    [before] = await steps(member, accepted)
    assert before.rows[1] == ("East", "26")
    await in_thread(remove, sales)
    [step] = await steps(member, accepted)
    assert step.columns == () and step.rows == ()
    answer = await row(accepted.answer_id)
    assert "East" in json.dumps(scripted.requests) and "East" not in json.dumps(answer.request)
    assert not await in_thread(Computation.objects.exists)


async def test_of_several_spreadsheets_the_model_names_the_one_it_means(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools", tools=True)
    costs = await in_thread(lambda: read_in(give(member, b"what,euros\nrope,12\nsail,30\n", "costs.csv")))
    query = "SELECT what FROM data WHERE euros > 20"
    scripted.tool_calls = [(QUERY_TABLE, {"sql": query}), (QUERY_TABLE, {"sql": query, "file": "costs.csv"})]
    with computing():
        async with running():
            accepted = await ask(member, [sales, costs], QUESTION)
            await ended(accepted.answer_id)
    function = scripted.requests[0]["tools"][0]["function"]
    assert function["parameters"]["properties"]["file"]["enum"] == ["sales.xlsx", "costs.csv"]
    refused, step = await steps(member, accepted)
    assert "costs.csv" in refused.refusal
    assert (step.name, step.rows, step.words) == ("costs.csv", (("sail",),), "lines 3")
    [found] = await evidence(accepted.answer_id)
    assert found.place == {"kind": "lines", "first": 3, "last": 3}


def _look_at(upload: Upload) -> None:
    """What its tables are is known beforehand."""
    from uploads import computations

    assert upload.reading_id is not None
    compute(str(computations.begin_tables(upload.reading_id)))


async def _until_computing(sql: str) -> None:
    states = ["running"] if sql else ["queued", "running"]
    for _ in range(400):
        if await in_thread(Computation.objects.filter(sql=sql, state__in=states).exists):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nobody computes")


async def test_spreadsheets_of_a_collection_are_computed_with_by_those_alone_who_may_read_it(
    member: User, outsider: User, endpoint: Endpoint, scripted: ScriptedEndpoint, sales: Upload
) -> None:
    await play(endpoint, scripted, "tools", tools=True)
    scripted.tool_calls = sql(SUM)
    harbour = await in_thread(make_collection, member, "Harbour")
    await in_thread(collect, harbour, sales)
    fields = {"client_id": uuid4(), "text": QUESTION, "collection_ids": [harbour.pk]}
    with computing():
        async with running():
            accepted = await in_thread(lambda: send_message(member, **fields))
            await ended(accepted.answer_id)
            assert [found.text for found in await evidence(accepted.answer_id)] == ["pieces\n18"]
            own = len(scripted.requests)
            grant = {"conversation_id": accepted.conversation_id, "user": outsider, "access": "write"}
            await in_thread(lambda: Grant.objects.create(**grant))
            again = await in_thread(lambda: replay_answer(outsider, client_id=uuid4(), answer_id=accepted.answer_id))
            await ended(again.answer_id)
            below = {"conversation_id": accepted.conversation_id, "parent_id": accepted.reply_id}
            theirs = await in_thread(lambda: send_message(outsider, client_id=uuid4(), text=QUESTION, **below))
            await ended(theirs.answer_id)
    assert all("tools" in body for body in scripted.requests[:own])
    others = scripted.requests[own:]
    assert len(others) == 2 and not any("tools" in body for body in others)
    assert await evidence(again.answer_id) == await evidence(theirs.answer_id) == []
