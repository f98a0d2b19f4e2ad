"""Addresses in a question: read as sources without the toggle, whole where that fits, and beside a search."""

import pytest

from chatapp.accounts.models import User
from chatapp.answers.services import Accepted
from chatapp.endpoints.models import Endpoint
from chatapp.searches.models import WebPage, WebSetting
from chatapp.threads import in_thread
from tests.chatapp.answers.stories import ended, play, running
from tests.chatapp.answers.test_web import ask, asked, evidence, rows
from tests.chatapp.searches.test_running import paper_of
from tests.scripted_endpoint import TEXT, ScriptedEndpoint
from tests.search.web.small_web import SITE, TRAPS
from tests.web_fixtures import SearchedWeb, searching

pytestmark = pytest.mark.django_db(transaction=True)


async def ask_about(person: User, text: str, **fields: object) -> Accepted:
    return await ask(person, text, **{"search": False, **fields})


async def test_an_address_is_read_without_being_asked_to_search(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    await play(endpoint, scripted, "plain")
    [url] = searched.articles(1)
    with searching():
        async with running():
            accepted = await ask_about(member, f"Sum this up, please: {url}")
            answer = await ended(accepted.answer_id)
    [search] = await rows(answer.pk)
    assert (search.queries, search.urls, search.question) == ([], [url], "Sum this up, please:")
    [question] = asked(scripted)
    assert question.endswith(f"\n\nSum this up, please: {url}") and searched.queries == []
    for words in ("built in 1801", "In 1951 a flood", "people visit it every year"):
        assert words in question, "all of it, though no word of the question stands in it"
    assert answer.notices == [{"code": "search_done", "params": {"pages": 1, "queries": 0}}]
    assert {row.name for row in await evidence(answer.pk)} == {"harbour station | Talmar"}


async def test_with_a_search_the_pages_that_were_named_come_first(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    await play(endpoint, scripted, "plain")
    named = searched.articles(5)[4]
    with searching():
        async with running():
            accepted = await ask_about(member, f"Compare {named} with the harbour station of Talmar", search=True)
            answer = await ended(accepted.answer_id)
    first, second = await rows(answer.pk)
    assert (first.urls, second.urls) == ([named], []) and "http" not in second.queries[0]
    found = await evidence(answer.pk)
    assert found[0].page is not None and found[0].page.url == named
    texts = [row.text for row in found]
    assert len(texts) == len(set(texts)), "a page that both have read is told once"
    assert any("harbour station" in text for text in texts)


async def test_a_pdf_is_read_with_its_pages(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    await play(endpoint, scripted, "plain")
    paper = paper_of("The harbour station was drawn by Clara Voss.", "It cost two million crowns of silver.")
    searched.web.add(SITE, "/paper.pdf", paper, "application/pdf")
    with searching():
        async with running():
            accepted = await ask_about(member, f"What did it cost? {searched.web.url(SITE, '/paper.pdf')}")
            answer = await ended(accepted.answer_id)
    [question] = asked(scripted)
    assert "(page 2)\nIt cost two million crowns of silver." in question and 'title="paper.pdf"' in question
    assert {row.place["page"] for row in await evidence(answer.pk)} == {1, 2}


@pytest.mark.parametrize("change", [{"is_on": False}, {"reads_pasted_urls": False}], ids=["off", "not these"])
async def test_what_the_owner_has_switched_off_is_not_read(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb, change: dict[str, bool]
) -> None:
    await play(endpoint, scripted, "plain")
    await in_thread(lambda: WebSetting.objects.update(**change))
    async with running():
        accepted = await ask_about(member, f"Sum up {searched.articles(1)[0]}")
        answer = await ended(accepted.answer_id)
    assert await rows(answer.pk) == [] and searched.web.asked == [] and answer.message.text == TEXT


async def test_an_address_that_may_not_be_asked_leaves_a_notice(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    await play(endpoint, scripted, "plain")
    await in_thread(lambda: WebSetting.objects.update(confirms_queries=True))
    urls = f"http://127.0.0.1:80/admin {searched.web.url(TRAPS, '/to-metadata')}"
    with searching():
        async with running():
            accepted = await ask_about(member, f"What does it say? {urls}")
            answer = await ended(accepted.answer_id)
    [search] = await rows(answer.pk)
    assert [page["fault"] for page in search.progress["pages"]] == ["address", "address"]
    assert answer.notices == [{"code": "search_nothing", "params": {}}]
    assert not await in_thread(WebPage.objects.exists) and "nothing readable" in asked(scripted)[0]


async def test_a_message_that_is_nothing_but_an_address_is_not_searched_for(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint, searched: SearchedWeb
) -> None:
    await play(endpoint, scripted, "plain")
    with searching():
        async with running():
            accepted = await ask_about(member, searched.articles(1)[0], search=True)
            await ended(accepted.answer_id)
    [search] = await rows(accepted.answer_id)
    assert search.urls and "built in 1801" in asked(scripted)[0] and searched.queries == []
