"""JSON, schemas and calls of tools from a model of random weights: whatever it would rather say, the form is right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from chatapp.context.messages import ChatMessage
from chatapp.endpoints.client import EndpointClient
from chatapp.endpoints.deltas import Completed
from chatapp.endpoints.dialects import Key, Question, Target, Tool
from inference.markup import (
    CALL_BEGIN,
    CALL_END,
    CALL_SEPARATOR,
    CALLS_BEGIN,
    CALLS_END,
    FILL_BEGIN,
    FILL_END,
    FILL_HOLE,
    MARKUP,
)
from tests.inference.conftest import RunningServer, ServerStarter, write_tokenizer

QUESTION: list[Any] = [{"role": "user", "content": "what is the name of this cat?"}]
PLACE: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"enum": ["the mat", "there"]}, "cold": {"type": "boolean"}},
    "required": ["city", "cold"],
    "additionalProperties": False,
}
EMPTY: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "get_weather", "description": "of a place", "parameters": PLACE}},
    {"type": "function", "function": {"name": "get_time", "parameters": EMPTY}},
]


@pytest.fixture(scope="module")
def family(
    start_server: ServerStarter, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunningServer:
    """The tiny model with DeepSeek's own template, so that it thinks and calls tools."""
    path = tmp_path_factory.mktemp("family") / "tiny"
    shutil.copytree(tiny_checkpoint, path)
    write_tokenizer(path, chat_template=None, words=[*MARKUP, FILL_BEGIN, FILL_HOLE, FILL_END])
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 2048}))  # tools are long
    return start_server(model=path, num_blocks=128)


@pytest.fixture(scope="module")
def client(family: RunningServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{family.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(client: OpenAI, **more: Any) -> Any:
    args: dict[str, Any] = {"model": "tiny", "messages": QUESTION, "seed": 1, "max_tokens": 200}
    return client.chat.completions.create(**(args | more)).choices[0]


def schema(of: dict[str, Any], strict: bool = True) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "place", "schema": of, "strict": strict}}


# JSON


def test_an_answer_keeps_to_its_schema(client: OpenAI) -> None:
    for seed in range(5):
        choice = ask(client, response_format=schema(PLACE), seed=seed)
        place = json.loads(choice.message.content)
        assert choice.finish_reason == "stop"
        assert place["city"] in ("the mat", "there") and isinstance(place["cold"], bool) and len(place) == 2


def test_json_object_is_an_object(client: OpenAI) -> None:
    ends = set()
    for seed in range(6):
        choice = ask(client, response_format={"type": "json_object"}, seed=seed, max_tokens=60)
        assert choice.message.content.startswith("{")
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content), dict)
        ends.add(choice.finish_reason)
    assert ends <= {"stop", "length"}


def test_greedy_penalised_and_narrow_sampling_keep_to_the_schema_too(client: OpenAI) -> None:
    for more in ({"temperature": 0}, {"frequency_penalty": 2}, {"top_p": 0.01}, {"extra_body": {"top_k": 1}}):
        json.loads(ask(client, response_format=schema(PLACE), **more).message.content)


def test_every_choice_has_a_state_of_its_own(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=QUESTION, seed=1, n=4, max_tokens=200, response_format=schema(PLACE)
    )
    assert all(json.loads(choice.message.content or "")["city"] for choice in answer.choices)


def test_the_format_begins_after_the_thinking(client: OpenAI) -> None:
    """Thinking that is never ended is no JSON; ended by the prefix, the answer is."""
    last = {"role": "assistant", "prefix": True, "reasoning_content": "hm, ", "content": '{"ci'}
    thinking = {"thinking": {"type": "enabled"}}
    choice = ask(client, response_format=schema(PLACE), extra_body=thinking, max_tokens=30)
    assert choice.message.reasoning_content and not choice.message.content and choice.finish_reason == "length"
    choice = ask(client, messages=[*QUESTION, last], response_format=schema(PLACE), extra_body=thinking)
    assert json.loads('{"ci' + choice.message.content).keys() == {"city", "cold"}


def test_an_answer_that_is_cut_goes_on_in_its_schema(family: RunningServer) -> None:
    body = {"messages": QUESTION, "seed": 3, "max_tokens": 200, "response_format": schema(PLACE)}
    whole = chunks_of(family, body)
    text = "".join(choice["delta"].get("content", "") for choice in whole)
    assert json.loads(text)
    for number in range(2, len(whole) - 1, 4):
        said = "".join(choice["delta"].get("content", "") for choice in whole[:number])
        ids = [token_id for choice in whole[:number] for token_id in choice.get("token_ids", [])]
        last = {"role": "assistant", "content": said, "prefix": True}
        exact = chunks_of(family, body | {"messages": [*QUESTION, last | {"token_ids": ids}]})
        assert said + "".join(choice["delta"].get("content", "") for choice in exact) == text
        by_text = chunks_of(family, body | {"messages": [*QUESTION, last]})
        assert json.loads(said + "".join(choice["delta"].get("content", "") for choice in by_text))


def test_a_format_outlives_preemption_and_company(start_server: ServerStarter) -> None:
    """Eight at once in a cache that holds half of them: each says what it says alone."""
    many = {"type": "array", "items": {"enum": ["the mat", "there", 7]}, "minItems": 30, "maxItems": 34}
    body = {"messages": QUESTION, "max_tokens": 450, "response_format": schema(many)}

    def say(server: RunningServer, seed: int) -> str:
        response = httpx.post(f"{server.url}/v1/chat/completions", json=body | {"seed": seed}, timeout=120)
        return str(response.json()["choices"][0]["message"]["content"])

    small = start_server(num_blocks=20)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: say(small, seed), range(8)))
    assert small.worker.loaded.engine.scheduler.num_preemptions > 0
    assert all(30 <= len(json.loads(text)) <= 34 for text in together)
    assert together[:2] == [say(small, seed) for seed in range(2)]


def test_a_prefix_that_breaks_the_format_is_refused(client: OpenAI) -> None:
    last = {"role": "assistant", "content": "the cat", "prefix": True}
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        ask(client, messages=[*QUESTION, last], response_format=schema(PLACE))
    assert caught.value.code == "contradiction"


def test_a_schema_that_cannot_be_enforced_is_refused_with_the_reason(client: OpenAI) -> None:
    difficult = {"type": "object", "properties": {"n": {"type": "string", "not": {"const": "x"}}}, "required": ["n"]}
    with pytest.raises(openai.UnprocessableEntityError, match="not") as caught:
        ask(client, response_format=schema(difficult))
    assert caught.value.param == "response_format" and caught.value.code == "unsupported_schema"
    choice = ask(client, response_format=schema(difficult, strict=False), max_tokens=300)
    assert choice.message.content.startswith("{"), "what was not said to be strict is kept to as far as can be"


class Place(BaseModel):
    city: Literal["the mat", "there"]
    cold: bool


def test_the_clients_own_parser_gets_its_model(client: OpenAI) -> None:
    completion = client.chat.completions.parse(model="tiny", messages=QUESTION, response_format=Place, max_tokens=200)
    assert isinstance(completion.choices[0].message.parsed, Place)
    called = client.chat.completions.parse(
        model="tiny",
        messages=QUESTION,
        tools=[openai.pydantic_function_tool(Place)],
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=200,
    )
    (call,) = called.choices[0].message.tool_calls or ()
    assert isinstance(call.function.parsed_arguments, Place)


# Tools


def test_a_required_call_is_one_of_the_tools(client: OpenAI) -> None:
    names = set()
    for seed in range(8):
        choice = ask(client, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, seed=seed)
        (call,) = choice.message.tool_calls
        assert choice.finish_reason == "tool_calls" and choice.message.content == ""
        arguments = json.loads(call.function.arguments)
        assert set(arguments) == ({"city", "cold"} if call.function.name == "get_weather" else set())
        names.add(call.function.name)
    assert names == {"get_weather", "get_time"}


def test_a_named_tool_is_the_one_called(client: OpenAI) -> None:
    for name in ("get_weather", "get_time"):
        choice = ask(client, tools=TOOLS, tool_choice={"type": "function", "function": {"name": name}})
        assert [call.function.name for call in choice.message.tool_calls] == [name]


def test_a_streamed_call_is_the_call(client: OpenAI, family: RunningServer) -> None:
    more: dict[str, Any] = {"tools": TOOLS, "tool_choice": "required", "seed": 4, "max_tokens": 400}
    whole = ask(client, **more)
    calls: list[list[str]] = []
    for choice in chunks_of(family, more | {"messages": QUESTION}):
        for piece in choice["delta"].get("tool_calls", []):
            if "id" in piece:
                assert piece["index"] == len(calls) and piece["type"] == "function"
                calls.append([piece["function"]["name"], ""])
            calls[piece["index"]][1] += piece["function"]["arguments"]
        end = choice["finish_reason"]
    assert calls == [[call.function.name, call.function.arguments] for call in whole.message.tool_calls]
    assert end == whole.finish_reason


def test_left_to_itself_it_may_answer_in_words(client: OpenAI) -> None:
    choice = ask(client, tools=TOOLS, max_tokens=20)
    assert choice.message.content and choice.message.tool_calls is None


def test_a_call_begun_by_the_model_is_ended_in_form(client: OpenAI, family: RunningServer) -> None:
    """With tool_choice auto nothing is forced, until the model begins a call."""
    last = {"role": "assistant", "prefix": True, "content": "so: " + CALLS_BEGIN + CALL_BEGIN + "get_wea"}
    tokenizer = family.worker.loaded.tokenizer
    last["token_ids"] = tokenizer.encode(last.pop("content"))  # type: ignore[arg-type]  # as ids: a call is no content
    choice = ask(client, messages=[*QUESTION, last], tools=TOOLS, parallel_tool_calls=False)
    (call,) = choice.message.tool_calls
    assert call.function.name == "get_weather" and json.loads(call.function.arguments)["city"]
    assert choice.finish_reason == "tool_calls"


def test_a_call_and_its_output_are_told_to_the_model(family: RunningServer) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    messages = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "noon " + CALLS_BEGIN},
    ]
    body = {"messages": messages, "tools": TOOLS, "max_tokens": 5, "thinking": {"type": "enabled"}}
    answer = httpx.post(f"{family.url}/v1/chat/completions", json=body, timeout=60).json()
    assert answer["choices"][0]["message"]["reasoning_content"] == "", "after an output it goes on at once"
    given = [message | {"content": message["content"] or ""} for message in messages]
    text, _ = family.worker.loaded.tokenizer.chat_template.render(given, [], thinking=True)
    made = f"{CALLS_BEGIN}{CALL_BEGIN}get_time{CALL_SEPARATOR}{{}}{CALL_END}{CALLS_END}"
    assert made in text and text.endswith("<｜tool▁output▁begin｜>noon " + CALLS_BEGIN + "<｜tool▁output▁end｜>")


def test_what_the_client_was_told_can_be_sent_back(client: OpenAI) -> None:
    message = ask(client, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "get_time"}}).message
    (call,) = message.tool_calls
    messages = [*QUESTION, message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "noon"}]
    assert ask(client, messages=messages, tools=TOOLS, max_tokens=4).finish_reason in ("length", "stop")


async def test_the_chats_own_client_hears_the_call_and_may_answer_it(family: RunningServer) -> None:
    """With token ids, as it speaks to this worker: a call has ids too, and no words."""
    target = Target(f"{family.url}/v1", "tiny", Key("none"), takes_token_ids=True)
    tool = Tool("get_weather", "of a place", PLACE)
    asked = ChatMessage("user", QUESTION[0]["content"])
    question = Question((asked,), 400, seed=4, tools=(tool,), tool_choice="required")
    async with EndpointClient() as client:
        *shown, end = [piece async for piece in client.stream(target, question)]
        assert isinstance(end, Completed) and end.finish_reason == "tool_calls"
        assert not shown and all(call.name == "get_weather" for call in end.calls)
        assert set(json.loads(end.calls[0].arguments)) == {"city", "cold"}
        told = (ChatMessage("assistant", "", end.calls[:1]), ChatMessage("tool", "cold", tool_call_id=end.calls[0].id))
        again = replace(question, messages=(asked, *told), max_tokens=5, tool_choice="none")
        *words, end = [piece async for piece in client.stream(target, again)]
    assert isinstance(end, Completed) and not end.calls and words


def test_thinking_comes_before_a_required_call(client: OpenAI) -> None:
    last = {"role": "assistant", "prefix": True, "reasoning_content": "hm"}
    more = {"thinking": {"type": "enabled"}}
    choice = ask(client, messages=[*QUESTION, last], tools=TOOLS, tool_choice="required", extra_body=more)
    assert choice.message.reasoning_content and choice.finish_reason in ("length", "tool_calls")


def test_tools_of_a_model_without_them_are_refused_by_its_name(server: RunningServer) -> None:
    body = {"messages": QUESTION, "tools": TOOLS}
    response = httpx.post(f"{server.url}/v1/chat/completions", json=body)
    error = response.json()["error"]
    assert response.status_code == 400 and error["param"] == "tools" and "tiny cannot call tools" in error["message"]


@pytest.mark.parametrize(
    ("option", "param"),
    [
        ({"tools": []}, "tools"),
        ({"tools": [{"type": "retrieval"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "a", "parameters": 1}}]}, "tools[0].function.parameters"),
        ({"tools": [{"function": {"name": "a", "secret": 1}}]}, "tools[0].function.secret"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "tools"),
        ({"tools": TOOLS, "tool_choice": "perhaps"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"messages": [{"role": "assistant", "tool_calls": []}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "tool", "content": None}]}, "messages[0].content"),
    ],
)
def test_what_is_wrong_with_tools_is_named(family: RunningServer, option: dict[str, Any], param: str) -> None:
    response = httpx.post(f"{family.url}/v1/chat/completions", json={"messages": QUESTION} | option)
    assert response.status_code == 400 and response.json()["error"]["param"] == param


def test_without_a_choice_tools_are_not_told_to_the_model(family: RunningServer) -> None:
    def prompt_tokens(**more: Any) -> int:
        body = {"messages": QUESTION, "max_tokens": 1} | more
        response = httpx.post(f"{family.url}/v1/chat/completions", json=body, timeout=60)
        return int(response.json()["usage"]["prompt_tokens"])

    assert prompt_tokens(tools=TOOLS, tool_choice="none") == prompt_tokens() < prompt_tokens(tools=TOOLS)


def chunks_of(server: RunningServer, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The only choices of a stream's chunks, after the one that names the role."""
    body = body | {"stream": True, "return_token_ids": True}
    text = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).text
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line)["choices"][0] for line in lines[1:-1]]


def test_schemas_nested_too_deeply_are_refused(family: RunningServer) -> None:
    """Written as text: the test's own JSON encoder would not do it either."""
    deep = '{"properties": {"a": ' * 450 + '{"type": "string"}' + "}}" * 450
    question = json.dumps(QUESTION)
    tools = f'{{"messages": {question}, "tools": [{{"function": {{"name": "f", "parameters": {deep}}}}}]}}'
    form = f'{{"type": "json_schema", "json_schema": {{"schema": {deep}}}}}'
    for body in (tools, f'{{"messages": {question}, "response_format": {form}}}'):
        response = httpx.post(f"{family.url}/v1/chat/completions", content=body)
        assert response.status_code in (400, 422) and response.json()["error"]["message"]


# Filling in the middle


def test_the_middle_is_filled_between_prompt_and_suffix(client: OpenAI, family: RunningServer) -> None:
    tokenizer = family.worker.loaded.tokenizer
    args: dict[str, Any] = {"model": "tiny", "max_tokens": 8, "seed": 1}
    filled = client.completions.create(prompt="the cat", suffix=" on the mat", **args)
    written = FILL_BEGIN + "the cat" + FILL_HOLE + " on the mat" + FILL_END
    assert len(tokenizer.encode(written)) == 3 + len(tokenizer.encode("the cat")) + len(tokenizer.encode(" on the mat"))
    same = client.completions.create(prompt=tokenizer.encode(written), **args)
    assert filled.choices[0].text == same.choices[0].text and filled.usage == same.usage
    by_ids = client.completions.create(prompt=tokenizer.encode("the cat"), suffix=" on the mat", **args)
    assert by_ids.choices[0].text == same.choices[0].text
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(prompt="the cat", suffix="x", echo=True, **args)
    assert caught.value.param == "echo"


def test_a_vocabulary_without_the_tokens_refuses_a_suffix(server: RunningServer) -> None:
    response = httpx.post(f"{server.url}/v1/completions", json={"prompt": "the cat", "suffix": "mat"})
    error = response.json()["error"]
    assert (
        response.status_code == 400 and error["param"] == "suffix" and "cannot fill in the middle" in error["message"]
    )
