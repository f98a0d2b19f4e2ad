"""The frozen copy of a page of the web: the passage in its place, what is left out, and who may open it."""

import uuid
from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chatapp.accounts.models import User
from chatapp.answers.models import Answer
from chatapp.conversations.models import Conversation, Message
from chatapp.evidence.copies import AROUND, copy_of, pages_of_answer
from chatapp.evidence.models import Evidence, Excerpt
from chatapp.evidence.selectors import sources_of
from chatapp.searches.models import Search, SiteIcon, WebPage
from search.web.html import read_html
from search.web.ranking import WebPassage, best, by_words, passages_of
from tests.search.web.articles import articles
from tests.site_fixtures import signed_in

URL = "https://www.talmar.test/en/0?x=1#top"
TABLE = """<table><tr><th>year</th><th>depth</th></tr><tr><td>1801</td><td>12</td></tr>
    <tr><td>1802</td><td>14</td></tr></table>"""


def blocks_of(html: str) -> list[dict[str, Any]]:
    page = read_html(html, URL)
    return [
        {"kind": block.kind, "text": block.text, "headings": list(block.headings), "place": block.place}
        for block in page.blocks
    ]


def passage_for(question: str, html: str) -> WebPassage:
    """The best one of a page, as a search finds it."""
    page = read_html(html, URL)
    passages = passages_of(page, 0)
    return best(passages, by_words(question, passages, [page.about.title], 5), [], 1)[0]


def page_of(html: str) -> WebPage:
    search = Search(answer_id=uuid.uuid4())
    return WebPage(search=search, url=URL, site="Talmar", blocks=blocks_of(html), read_at=timezone.now())


def article() -> str:
    return articles()[0].html().decode()


@pytest.mark.django_db
def test_passage_is_marked_where_it_stands_and_nowhere_else() -> None:
    passage = passage_for("When did a flood break the eastern wall?", article())
    _copy, parts = copy_of(page_of(article()), passage.place, passage.text)
    marked = [part.hit for part in parts if part.is_hit]
    assert marked and "flood broke the eastern wall" in " ".join(marked)
    assert all(hit in passage.text for hit in marked)
    around = " ".join(part.before for part in parts)
    assert "History" in around and len(parts) > len(marked)


@pytest.mark.django_db
def test_words_of_the_passage_elsewhere_on_the_page_are_not_marked() -> None:
    html = f"<main><p>Tides.</p><h1>Tides</h1><p>Tides. {'High water is at four in Talmar harbour. ' * 6}</p></main>"
    page = page_of(html)
    text = page.blocks[-1]["text"]
    _copy, parts = copy_of(page, page.blocks[-1]["place"], text)
    assert [part.is_hit for part in parts] == [False] * (len(parts) - 1) + [True]


@pytest.mark.django_db
def test_rows_of_a_table_are_marked() -> None:
    html = f"<main><h1>Depths</h1><p>{'The harbour was sounded every year by its master. ' * 5}</p>{TABLE}</main>"
    page = page_of(html)
    table = next(block for block in page.blocks if block["kind"] == "table")
    _copy, parts = copy_of(page, table["place"], "year\tdepth\n1802\t14")
    rows = next(part.rows for part in parts if part.rows)
    assert [row.is_hit for row in rows] == [True, False, True]


@pytest.mark.django_db
def test_page_of_a_pdf_is_found_by_its_number() -> None:
    page = page_of(article())
    page.blocks = [
        {"kind": "text", "text": text, "headings": [], "place": {"kind": "page", "page": number, "boxes": []}}
        for number, text in ((1, "The tide turns."), (2, "Bring a lamp."), (2, "The tide turns at four."))
    ]
    _copy, parts = copy_of(page, {"kind": "page", "page": 2, "boxes": []}, "The tide turns at four.")
    assert [part.hit for part in parts] == ["", "", "The tide turns at four."]


@pytest.mark.django_db
def test_long_page_is_shown_around_its_passage() -> None:
    page = page_of(article())
    page.blocks = [
        {
            "kind": "text",
            "text": f"{number} " + "x" * 998,
            "headings": [],
            "place": {"kind": "text", "paragraph": number},
        }
        for number in range(1, 201)
    ]
    copy, parts = copy_of(page, page.blocks[99]["place"], page.blocks[99]["text"])
    assert (copy.begins_late, copy.ends_early) == (True, True)
    assert sum(len(part.before + part.hit) for part in parts) <= 2 * AROUND + 1000
    assert parts[len(parts) // 2].hit.startswith("100 ")
    copy, parts = copy_of(page, {}, "")
    assert (copy.begins_late, copy.ends_early) == (False, True) and parts[0].before.startswith("1 ")


@pytest.mark.django_db
def test_live_link_leads_to_the_passage() -> None:
    passage = passage_for("When did a flood break the eastern wall?", article())
    copy, _parts = copy_of(page_of(article()), passage.place, passage.text)
    assert copy.live_url.startswith("https://www.talmar.test/en/0?x=1#:~:text=")


@pytest.fixture
def answer(conversation: Conversation, member: User) -> Answer:
    question = conversation.messages.create(role=Message.Role.USER, text="Which wall?", author=member)
    reply = conversation.messages.create(role=Message.Role.ASSISTANT, parent=question, text="The eastern one [2].")
    ended = {"status": "finished", "ended_at": timezone.now()}
    return Answer.objects.create(message=reply, asked_by=member, client_id=uuid.uuid4(), seed=1, **ended)


@pytest.fixture
def evidence(answer: Answer) -> Evidence:
    """The second of two passages, of the second of two pages."""
    search = Search.objects.create(
        answer=answer, ordinal=1, question="q", state="done", deadline=timezone.now(), ended_at=timezone.now()
    )
    for number, url in enumerate(("https://other.test/", URL), start=1):
        passage = passage_for("When did a flood break the eastern wall?", article())
        page = WebPage.objects.create(
            search=search, ordinal=number, url=url, title=f"Page {number}", site=f"Site {number}",
            date=date(2024, 3, number), sha256="0" * 64, blocks=blocks_of(article()),
        )  # fmt: skip
        excerpt, _ = Excerpt.objects.get_or_create(sha256=f"{number}" * 64, text=passage.text)
        row = Evidence.objects.create(
            answer=answer, number=number, page=page, source_id=page.pk, source_sha256=page.sha256, name=page.title,
            headings=["History"], place=passage.place, excerpt=excerpt, score=0.5,
        )  # fmt: skip
    return row


def test_mark_opens_the_copy(member: User, evidence: Evidence) -> None:
    page = signed_in(member).get(f"/sources/{evidence.pk}").content.decode()
    assert '<mark class="source__hit">' in page
    assert 'data-title="Page 2"' in page and "Site 2" in page and "March 2, 2024" in page
    assert 'rel="noopener noreferrer nofollow"' in page and 'target="_blank"' in page
    assert 'href="https://www.talmar.test/en/0?x=1#:~:text=' in page
    assert f'data-action="pages" data-answer="{evidence.answer_id}"' in page


def test_icon_is_ours_and_only_where_there_is_one(member: User, evidence: Evidence) -> None:
    client = signed_in(member)
    SiteIcon.objects.create(host="talmar.test", png=b"")
    assert "<img" not in client.get(f"/sources/{evidence.pk}").content.decode()
    SiteIcon.objects.update(png=b"\x89PNG")
    assert 'src="/sources/icons/talmar.test"' in client.get(f"/sources/{evidence.pk}").content.decode()


def test_all_pages_read_the_cited_first(member: User, evidence: Evidence) -> None:
    rows = pages_of_answer(evidence.answer)
    assert [(row.title, row.numbers, row.evidence) for row in rows] == [
        ("Page 2", (1,), evidence.pk),
        ("Page 1", (), None),
    ]
    page = signed_in(member).get(f"/answers/{evidence.answer_id}/pages").content.decode()
    assert 'data-title="2 pages read"' in page
    assert f'data-evidence="{evidence.pk}"' in page and f'data-page="{rows[1].id}"' in page
    copy = signed_in(member).get(f"/sources/pages/{rows[1].id}").content.decode()
    assert 'data-title="Page 1"' in copy and "flood broke" in copy and "<mark" not in copy


def test_page_that_two_searches_have_read_is_listed_once(evidence: Evidence) -> None:
    assert evidence.page
    again = Search.objects.create(
        answer=evidence.answer, ordinal=2, question="q", state="done", deadline=timezone.now(), ended_at=timezone.now()
    )
    WebPage.objects.create(search=again, ordinal=1, url=evidence.page.url, title="Again", sha256="1" * 64, blocks=[])
    WebPage.objects.create(
        search=again, ordinal=2, url="https://third.test/", title="Page 3", sha256="2" * 64, blocks=[]
    )
    assert [row.title for row in pages_of_answer(evidence.answer)] == ["Page 2", "Page 1", "Page 3"]


def test_page_in_the_list_below_says_whose_it_is(member: User, evidence: Evidence) -> None:
    page = signed_in(member).get(f"/c/{evidence.answer.message.conversation_id}").content.decode()
    assert "Site 2" in page and "March 2, 2024" in page
    assert "&quot;words&quot;: &quot;Site 2&quot;" in page


def test_for_an_outsider_no_page_is_there(outsider: User, evidence: Evidence) -> None:
    client: Client = signed_in(outsider)
    assert client.get("/").status_code == 200
    for path in (f"sources/{evidence.pk}", f"sources/pages/{evidence.page_id}", f"answers/{evidence.answer_id}/pages"):
        assert client.get(f"/{path}").status_code == 404


def test_excerpt_of_a_page_is_about_the_question(answer: Answer, evidence: Evidence) -> None:
    assert evidence.excerpt is not None and evidence.page is not None
    long = f"{'The harbour master writes down every ship. ' * 20}In 1951 a flood broke the eastern wall. "
    Excerpt.objects.filter(pk=evidence.excerpt_id).update(text=long + "Sailors mend their nets on the quay. " * 20)
    Search.objects.filter(pk=evidence.page.search_id).update(question="When did a flood break the wall?")
    rows = sources_of([answer])[answer.pk].rows
    [shown] = [row.excerpt for row in rows if row.evidence == evidence.pk]
    assert "In 1951 a flood broke the eastern wall." in shown and shown.startswith("… ")
