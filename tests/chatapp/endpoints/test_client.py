"""The HTTP client against endpoints that differ in every documented way."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from chatapp.context.messages import ChatMessage
from chatapp.endpoints.client import EndpointClient, Timeouts
from chatapp.endpoints.deltas import Completed, Delta
from chatapp.endpoints.dialects import Key, Prefix, Question, Target, Tool
from chatapp.endpoints.faults import ContextFull, Dropped, EndpointError, RateLimited, Rejected, Unreachable
from tests.scripted_endpoint import TEXT, ScriptedEndpoint

QUESTION = Question((ChatMessage("user", "hello"),), max_tokens=100, seed=7)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as served:
        yield served


@pytest.fixture
async def client() -> AsyncIterator[EndpointClient]:
    async with EndpointClient(Timeouts(headers=2, between_bytes=0.5, first_token=2)) as http:
        yield http


def target(endpoint: ScriptedEndpoint, model: str, **more: object) -> Target:
    return replace(Target(endpoint.base_url, model, Key("sk-secret")), **more)  # type: ignore[arg-type]


async def ask(client: EndpointClient, target: Target, question: Question = QUESTION) -> tuple[str, str, Completed]:
    text = reasoning = ""
    async with aclosing(client.stream(target, question)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Completed):
                return text, reasoning, piece
            text, reasoning = (text + piece.text, reasoning) if piece.part == "text" else (text, reasoning + piece.text)
    raise AssertionError("no end")


async def test_plain_answer_with_usage(client: EndpointClient, endpoint: ScriptedEndpoint) -> None:
    text, reasoning, end = await ask(client, target(endpoint, "plain"))
    assert (text, reasoning, end.finish_reason) == (TEXT, "", "stop")
    assert end.usage is not None and end.usage.cached_tokens == 64
    assert endpoint.authorizations[-1] == "Bearer sk-secret"
    assert endpoint.requests[-1]["seed"] == 7


@pytest.mark.parametrize(("is_ours", "told"), [(True, "Mira"), (False, None)])
async def test_only_our_own_worker_is_told_who_asks(
    client: EndpointClient, endpoint: ScriptedEndpoint, is_ours: bool, told: str | None
) -> None:
    await ask(client, target(endpoint, "plain", takes_token_ids=is_ours), replace(QUESTION, user="Mira"))
    assert endpoint.requests[-1].get("user") == told


@pytest.mark.parametrize("model", ["no-usage", "no-done", "whole", "slow:2+no-usage"])
async def test_an_answer_without_what_others_send_is_whole(
    client: EndpointClient, endpoint: ScriptedEndpoint, model: str
) -> None:
    text, _, end = await ask(client, target(endpoint, model))
    assert (text, end.finish_reason) == (TEXT, "stop")


@pytest.mark.parametrize("model", ["strict", "no-seed"])
async def test_a_refused_field_is_left_out_once_and_remembered(
    client: EndpointClient, endpoint: ScriptedEndpoint, model: str
) -> None:
    asked = target(endpoint, model)
    await ask(client, asked)
    assert "seed" in client.refused_fields(asked)
    before = len(endpoint.requests)
    text, _, _ = await ask(client, asked)
    assert text == TEXT and len(endpoint.requests) == before + 1


async def test_what_somebody_wishes_is_sent_or_refused_and_never_left_out(
    client: EndpointClient, endpoint: ScriptedEndpoint
) -> None:
    wishes = {"seed": 7, "tools": [{"type": "function", "function": {"name": "f"}}]}
    question = Question((ChatMessage("user", "hello"),), 50, options=wishes)
    for model in ("no-seed", "no-tools"):
        with pytest.raises(Rejected) as refused:
            await ask(client, target(endpoint, model), question)
        assert refused.value.is_askers
    assert (await ask(client, target(endpoint, "plain"), question))[0] == TEXT
    assert endpoint.requests[-1]["seed"] == 7 and endpoint.requests[-1]["tools"] == wishes["tools"]


async def test_a_prompt_is_continued_without_messages(client: EndpointClient, endpoint: ScriptedEndpoint) -> None:
    text, _, end = await ask(client, target(endpoint, "plain"), Question((), 50, prompt="def f(", seed=3))
    assert (text, end.finish_reason) == (TEXT, "stop")
    assert endpoint.requests[-1]["prompt"] == "def f(" and "messages" not in endpoint.requests[-1]


@pytest.mark.parametrize("model", ["think", "reasoning", "reasoning-content"])
async def test_thinking_is_found_wherever_it_is(client: EndpointClient, endpoint: ScriptedEndpoint, model: str) -> None:
    text, reasoning, end = await ask(client, target(endpoint, model))
    assert (text, reasoning) == (TEXT, "let me see")
    assert end.reasoning_in == ("tags" if model == "think" else "field")


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("error-string", Rejected, "the string shape"),
        ("error-html", Unreachable, "Bad gateway"),
        ("bad-key", Rejected, "[key]"),
        ("no-model", Rejected, "no such model"),
        ("too-long", ContextFull, "8 tokens"),
        ("unavailable:99", Unreachable, "503"),
        ("rate-limit:99", RateLimited, "slow down"),
        ("drop:3", Dropped, "broke off"),
        ("no-finish+no-done", Dropped, "broke off"),
        ("error-at:3", Dropped, "engine died"),
        ("silent:3000", Dropped, "did not answer"),
        ("gate:2", Dropped, "broke off"),
    ],
)
async def test_each_failure_has_its_type_and_words(
    client: EndpointClient, endpoint: ScriptedEndpoint, model: str, kind: type[EndpointError], words: str
) -> None:
    if model.startswith("gate"):
        model = "slow:700"
    with pytest.raises(EndpointError) as caught:
        await ask(client, target(endpoint, model))
    assert type(caught.value) is kind
    assert words in caught.value.detail and "sk-secret" not in caught.value.detail


async def test_keep_alive_comments_count_as_life(client: EndpointClient, endpoint: ScriptedEndpoint) -> None:
    endpoint.gate.clear()
    pieces = client.stream(target(endpoint, "gate:2"), QUESTION)
    assert isinstance(await anext(pieces), Delta)
    import asyncio

    loop = asyncio.get_running_loop()
    loop.call_later(0.8, endpoint.gate.set)  # longer than between_bytes
    rest = [piece async for piece in pieces]
    assert isinstance(rest[-1], Completed)


async def test_closing_the_iterator_closes_the_connection(client: EndpointClient, endpoint: ScriptedEndpoint) -> None:
    import asyncio

    before = endpoint.closed_early
    async with aclosing(client.stream(target(endpoint, "slow:20"), QUESTION)) as pieces:
        await anext(pieces)
    for _ in range(100):
        if endpoint.closed_early > before and endpoint.open_streams == 0:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the endpoint went on streaming")


async def test_nobody_there(client: EndpointClient) -> None:
    with pytest.raises(Unreachable):
        await ask(client, Target("http://127.0.0.1:9/v1", "x", Key("")))


@pytest.mark.parametrize(("model", "way"), [("prefix", "prefix_true"), ("final", "continue_final_message")])
async def test_a_prefix_is_continued(client: EndpointClient, endpoint: ScriptedEndpoint, model: str, way: str) -> None:
    shown = TEXT[:33]
    question = replace(QUESTION, prefix=Prefix(shown))
    text, _, _ = await ask(client, target(endpoint, model, continuation=way), question)
    assert shown + text == TEXT


def test_a_key_does_not_print_itself() -> None:
    assert "sk-secret" not in repr(Target("http://x", "m", Key("sk-secret")))


SUM = Tool("add_up", "Adds up.", {"type": "object", "properties": {"of": {"type": "string"}}, "required": ["of"]})
ASKS = replace(QUESTION, tools=(SUM,))


@pytest.mark.parametrize("model", ["tools", "tools+at-once"])
async def test_a_call_is_gathered_however_it_comes(
    client: EndpointClient, endpoint: ScriptedEndpoint, model: str
) -> None:
    text, _, end = await ask(client, target(endpoint, model), ASKS)
    [call] = end.calls
    assert text == "" and (call.name, json.loads(call.arguments)) == ("add_up", {"of": "blue chair"})
    assert end.finish_reason == ("stop" if "at-once" in model else "tool_calls")
    [offered] = endpoint.requests[-1]["tools"]
    assert offered["type"] == "function" and offered["function"]["parameters"]["required"] == ["of"]
    assert "tool_choice" not in endpoint.requests[-1]


async def test_what_a_tool_gave_goes_back_under_the_id_of_its_call(
    client: EndpointClient, endpoint: ScriptedEndpoint
) -> None:
    asked = target(endpoint, "tools+repeats")
    _, _, end = await ask(client, asked, ASKS)
    [call] = end.calls
    answered = (*ASKS.messages, ChatMessage("assistant", "", (call,)), ChatMessage("tool", "42", tool_call_id=call.id))
    text, _, end = await ask(client, asked, replace(ASKS, messages=answered))
    assert (text, end.calls) == ("The tool said: 42", ())
    _, called, given = endpoint.requests[-1]["messages"]
    assert called["content"] is None and called["tool_calls"][0]["function"]["name"] == "add_up"
    assert given == {"role": "tool", "tool_call_id": call.id, "content": "42"}


async def test_a_call_that_was_cut_is_none(client: EndpointClient, endpoint: ScriptedEndpoint) -> None:
    _, _, end = await ask(client, target(endpoint, "tools+length"), ASKS)
    assert (end.finish_reason, end.calls) == ("length", ())


@pytest.mark.parametrize("model", ["no-tools", "no-tool-parser", "strict"])
async def test_an_endpoint_without_tools_is_asked_without_them_from_then_on(
    client: EndpointClient, endpoint: ScriptedEndpoint, model: str
) -> None:
    asked = target(endpoint, model, base_url=endpoint.base_url)
    text, _, end = await ask(client, asked, replace(ASKS, tool_choice="required"))
    assert (text, end.calls) == (TEXT, ()) and "tools" in client.refused_fields(asked)
    before = len(endpoint.requests)
    await ask(client, asked, replace(ASKS, tool_choice="required"))
    assert len(endpoint.requests) == before + 1 and not {"tools", "tool_choice"} & endpoint.requests[-1].keys()
