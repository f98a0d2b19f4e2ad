"""Other chat programs at the site, asking as they do: Open WebUI, LibreChat, and whoever speaks DeepSeek's dialect."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chatapp.usage.models import Spending
from tests.chatapp.programs.conftest import QUESTION
from tests.live_site import LiveSite
from tests.scripted_endpoint import TEXT, ScriptedEndpoint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("runner")]


@pytest.fixture
def chat(live_site: LiveSite, secret: str) -> Any:
    """As aiohttp and axios are used there: plain requests with a key, and headers that say who is asking."""
    headers = {
        "Authorization": f"Bearer {secret}",
        "Content-Type": "application/json",
        "X-OpenWebUI-User-Name": "Mario",
        "X-OpenWebUI-User-Email": "mario@example.org",
        "HTTP-Referer": "https://openwebui.com/",
    }
    with httpx.Client(base_url=live_site.url, headers=headers, timeout=30) as client:
        yield client


def words_of(response: httpx.Response) -> tuple[str, list[dict[str, Any]]]:
    events = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas), chunks


def test_open_webui_verifies_lists_chats_and_names_its_chats(
    chat: httpx.Client, plays: Callable[..., None], scripted: ScriptedEndpoint
) -> None:
    plays("title")
    assert chat.get("/v1/models").json()["data"][0]["id"] == "title"
    body = {
        "model": "title",
        "messages": [{"role": "system", "content": "Today is a day."}, *QUESTION],
        "stream": True,
        "stream_options": {"include_usage": True},
        "params": {},
        "tool_servers": [],
        "features": {"image_generation": False, "code_interpreter": False, "web_search": False},
        "variables": {"{{USER_NAME}}": "Mario"},
        "model_item": {"id": "title", "object": "model"},
        "session_id": "s",
        "chat_id": "c",
        "id": "i",
        "background_tasks": {"title_generation": True, "tags_generation": True, "follow_up_generation": True},
        "metadata": {"user_id": "u", "chat_id": "c"},
        "user": {"name": "Mario", "id": "u", "email": "mario@example.org", "role": "user"},
    }
    text, chunks = words_of(chat.post("/v1/chat/completions", json=body))
    assert text == TEXT and chunks[-1]["usage"]["total_tokens"] == 140
    asked = scripted.requests[-1]
    assert not {"params", "features", "chat_id", "metadata", "background_tasks", "model_item"} & asked.keys()
    for task, max_tokens in (
        ("Write a title for this chat.", {"max_tokens": 50}),
        ("Tags?", {"max_completion_tokens": 50}),
    ):
        task_body = {"model": "title", "messages": [{"role": "user", "content": task}], "stream": False, **max_tokens}
        answer = chat.post("/v1/chat/completions", json={**task_body, "metadata": {"task": "title_generation"}})
        assert answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"]
        assert scripted.requests[-1]["max_tokens"] == 50
    assert Spending.objects.count() == 3


def test_librechat_fetches_models_and_chats_with_its_own_fields(
    chat: httpx.Client, plays: Callable[..., None], scripted: ScriptedEndpoint
) -> None:
    assert "plain" in [model["id"] for model in chat.get("/v1/models").json()["data"]]
    body = {
        "model": "plain",
        "messages": QUESTION,
        "stream": True,
        "user": "64f0c0ffee",
        "temperature": 1,
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "conversationId": "c",
        "parentMessageId": "00000000-0000-0000-0000-000000000000",
        "endpoint": "custom",
        "promptPrefix": None,
    }
    assert words_of(chat.post("/v1/chat/completions", json=body))[0] == TEXT
    assert scripted.requests[-1]["temperature"] == 1 and "conversationId" not in scripted.requests[-1]


def test_deepseeks_dialect_is_understood(
    chat: httpx.Client, plays: Callable[..., None], scripted: ScriptedEndpoint
) -> None:
    plays("reasoning-content", thinking="switched")
    told = [*QUESTION, {"role": "assistant", "content": "Noon.", "reasoning_content": "hm"}, *QUESTION]
    body = {"model": "reasoning-content", "messages": told, "thinking": {"type": "enabled"}, "logprobs": False, "n": 1}
    answer = chat.post("/v1/chat/completions", json={**body, "response_format": {"type": "text"}, "tools": []}).json()
    assert answer["choices"][0]["message"]["reasoning_content"] == "let me see"
    assert answer["usage"]["prompt_cache_hit_tokens"] + answer["usage"]["prompt_cache_miss_tokens"] == 100
    assert scripted.requests[-1]["thinking"] == {"type": "enabled"} and "response_format" not in scripted.requests[-1]
    assert chat.get("/user/balance").json()["is_available"] is True
