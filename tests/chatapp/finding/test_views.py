"""The search as browsers ask for it: a partial for the dialog, a page without JavaScript, refusals in words."""

import re

import pytest
from django.db import connection
from django.test import Client

from chatapp.accounts.models import User
from chatapp.conversations.models import Conversation, Message
from chatapp.finding import pace, selectors
from tests.chatapp.finding.conftest import say
from tests.site_fixtures import signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("services")]
PAGE = {"accept": "text/html"}


@pytest.fixture
def client(member: User) -> Client:
    return signed_in(member)


def partial(client: Client, query: str) -> str:
    response = client.get("/search", {"q": query})
    assert response.status_code == 200
    assert response.headers["Cache-Control"].count("no-store") == 1
    return response.content.decode()


def test_partial_leads_to_the_message_and_marks_the_words(client: Client, conversation: Conversation) -> None:
    [message] = say(conversation, "When is high water?")
    body = partial(client, "high wat")
    assert "<html" not in body
    assert f'href="/c/{conversation.pk}?leaf={message.pk}"' in body
    assert "When is <mark>high</mark> <mark>water</mark>?" in body
    assert body.count('role="option"') == 1


def test_nothing_of_a_message_becomes_markup(client: Client, conversation: Conversation) -> None:
    text = (
        '<img src=x onerror=alert(1)> water </mark><script>high()</script> **bold** &amp; "quotes" <mark>water</mark>'
    )
    say(conversation, text)
    Conversation.objects.filter(pk=conversation.pk).update(title="<b>water</b>")
    say(conversation)
    body = partial(client, "water high img")
    body += partial(client, "water")
    assert set(re.findall(r"<(\w+)", body)) == {"div", "a", "span", "time", "mark", "b"}
    assert body.count("<b ") == body.count("<b") == body.count('<b class="found__speaker">')
    assert "&lt;script&gt;" in body and "&amp;amp;" in body
    assert all(re.fullmatch(r"\w+", word) for word in re.findall(r"<mark>(.*?)</mark>", body))


def test_without_a_question_the_recent_chats_are_there(client: Client, conversation: Conversation) -> None:
    for query in ("", "   "):
        body = partial(client, query)
        assert "Recent chats" in body
        assert f'href="/c/{conversation.pk}"' in body


def test_nothing_found_and_something_near_are_said(client: Client, conversation: Conversation) -> None:
    say(conversation, "When is high water?")
    assert 'data-words="Nothing was found."' in partial(client, "xylophone")
    assert "this comes near" in partial(client, "hihg watre")
    assert 'data-words=""' in partial(client, "high water")


def test_page_works_without_javascript(client: Client, conversation: Conversation) -> None:
    say(conversation, "When is high water?")
    page = client.get("/search", {"q": "<water"}, headers=PAGE).content.decode()
    assert "<html" in page and "<mark>water</mark>" in page
    assert 'value="&lt;water"' in page
    assert 'role="option"' not in page and 'tabindex="-1" href' not in page
    assert "Tides" in client.get("/search", headers=PAGE).content.decode()


def test_length_is_bounded(client: Client) -> None:
    assert client.get("/search", {"q": "x" * selectors.MAX_QUERY}).status_code == 200
    response = client.get("/search", {"q": "x" * (selectors.MAX_QUERY + 1)})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["field"] == "q" and "200 characters" in error["message"]


def test_number_of_results_is_bounded(client: Client, member: User) -> None:
    for number in range(selectors.LIMIT + 5):
        say(Conversation.objects.create(owner=member, title=f"tern {number}"), "tern")
    assert partial(client, "tern").count('role="option"') == selectors.LIMIT


def test_too_many_searches_are_refused_for_a_while_and_each_person_has_their_own(
    client: Client, outsider: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "MOST", 3)
    assert [client.get("/search", {"q": "tide"}).status_code for _ in range(4)] == [200, 200, 200, 429]
    refusal = client.get("/search", {"q": "tide"}, headers={"accept-language": "de"}).json()["error"]
    assert refusal["code"] == "too_many" and "Suchen" in refusal["message"]
    assert signed_in(outsider).get("/search", {"q": "tide"}).status_code == 200


def test_a_search_that_takes_too_long_is_ended_and_told(
    client: Client, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(selectors, "_TIMEOUT_MS", 50)
    monkeypatch.setattr(selectors, "messages_with_all", slow)
    response = client.get("/search", {"q": "tide"})
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "too_slow"


@pytest.mark.django_db(transaction=True)
def test_time_limit_of_a_search_ends_with_it(client: Client, conversation: Conversation) -> None:
    partial(client, "tide")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_outsider_gets_an_empty_answer(client: Client, outsider: User, conversation: Conversation) -> None:
    say(conversation, "When is high water?")
    assert "high" in partial(client, "water")
    assert Message.objects.exists()
    assert 'role="option"' not in partial(signed_in(outsider), "water")
