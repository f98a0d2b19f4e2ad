"""A program that has to wait: proxies between are kept awake, and an error that comes late is told all the same."""

from collections.abc import Callable

import httpx
import openai
import pytest

from chatapp.programs import answering
from tests.chatapp.programs.conftest import QUESTION
from tests.live_site import LiveSite
from tests.scripted_endpoint import TEXT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("runner")]


@pytest.fixture(autouse=True)
def impatient_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STREAM_BEGINS_S", "WHOLE_BEGINS_S", "ALIVE_EVERY_S"):
        monkeypatch.setattr(answering, name, 0.3)


def ask(site: LiveSite, secret: str, model: str, **more: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret}"}
    body = {"model": model, "messages": QUESTION, **more}
    return httpx.post(f"{site.url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def test_a_stream_is_kept_alive_by_comments(
    live_site: LiveSite, secret: str, program: openai.OpenAI, plays: Callable[..., None]
) -> None:
    plays("silent:1500")
    lines = ask(live_site, secret, "silent:1500", stream=True).text.split("\n\n")
    assert lines.count(": keep-alive") >= 2 and lines.index(": keep-alive") < 3
    stream = program.chat.completions.create(model="silent:1500", messages=QUESTION, stream=True)  # type: ignore
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == TEXT


def test_a_whole_answer_is_kept_alive_by_blank_lines(
    live_site: LiveSite, secret: str, program: openai.OpenAI, plays: Callable[..., None]
) -> None:
    plays("silent:1500")
    response = ask(live_site, secret, "silent:1500")
    assert response.text.startswith("\n\n") and response.json()["usage"]["total_tokens"] == 140
    answer = program.chat.completions.create(model="silent:1500", messages=QUESTION)  # type: ignore
    assert answer.choices[0].message.content == TEXT


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_error_that_comes_late_is_in_the_body(
    live_site: LiveSite, secret: str, plays: Callable[..., None], is_stream: bool
) -> None:
    plays("silent:1200+drop:0")
    response = ask(live_site, secret, "silent:1200+drop:0", stream=is_stream)
    assert response.status_code == 200 and "endpoint_dropped" in response.text and "[DONE]" not in response.text
    if not is_stream:
        assert response.json()["error"]["type"] == "server_error"
