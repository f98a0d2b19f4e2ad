"""Chat and text completions as the real `openai` package asks for them, over HTTP, by a real runner."""

from collections.abc import Callable
from decimal import Decimal

import openai
import pytest

from chatapp.programs.models import Call
from chatapp.usage.models import Spending
from tests.chatapp.programs.conftest import QUESTION, RunnerThread
from tests.crash.waiting import wait_until
from tests.scripted_endpoint import TEXT, ScriptedEndpoint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("runner")]
OF_ONE = (64 * Decimal("0.028") + 36 * Decimal("0.28") + 40 * Decimal("0.42")) / 1_000_000


def test_a_whole_answer_costs_to_the_token_and_the_cent_what_it_says(program: openai.OpenAI) -> None:
    answer = program.chat.completions.create(model="plain", messages=QUESTION)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop" and answer.model == "plain" and answer.id.startswith("chatcmpl-")
    usage = answer.usage
    assert usage is not None and usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 40, 140)
    assert usage.prompt_tokens_details.cached_tokens == 64
    assert (usage.prompt_cache_hit_tokens, usage.prompt_cache_miss_tokens) == (64, 36)  # type: ignore[attr-defined]
    spent = Spending.objects.get()
    assert (spent.cache_hit_tokens, spent.cache_miss_tokens, spent.output_tokens) == (64, 36, 40)
    assert spent.cost == OF_ONE and spent.kind == "call" and spent.key is not None and spent.key.name == "Reports"
    assert not Call.objects.exists(), "a call is kept only as usage"


def test_a_stream_has_every_word_once_and_ends_with_usage(program: openai.OpenAI) -> None:
    stream = program.chat.completions.create(
        model="plain", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    last = chunks[-1]
    assert last.choices == [] and last.usage is not None and last.usage.total_tokens == 140
    assert len({chunk.id for chunk in chunks}) == 1
    wait_until("the call is gone", lambda: not Call.objects.exists(), 10)


def test_words_come_while_they_are_written(
    program: openai.OpenAI, plays: Callable[..., None], scripted: ScriptedEndpoint
) -> None:
    plays("gate:5")
    scripted.gate.clear()
    stream = iter(program.chat.completions.create(model="gate:5", messages=QUESTION, stream=True))
    said = ""
    while "word4" not in said:
        said += next(stream).choices[0].delta.content or ""
    assert "word5" not in said
    scripted.gate.set()
    assert said + "".join(chunk.choices[0].delta.content or "" for chunk in stream) == TEXT


def test_thinking_stands_apart_from_the_text(program: openai.OpenAI, plays: Callable[..., None]) -> None:
    plays("reasoning-content", thinking="switched")
    answer = program.chat.completions.create(
        model="reasoning-content", messages=QUESTION, extra_body={"thinking": {"type": "enabled"}}
    )
    message = answer.choices[0].message
    assert message.reasoning_content == "let me see" and message.content == TEXT  # type: ignore[attr-defined]


def test_what_the_program_wishes_reaches_the_model_as_it_is(program: openai.OpenAI, scripted: ScriptedEndpoint) -> None:
    schema = {"name": "tide", "schema": {"type": "object"}}
    wishes = {
        "temperature": 0.3,
        "top_p": 0.9,
        "presence_penalty": -1,
        "seed": 7,
        "stop": ["END"],
        "max_tokens": 77,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    told = [{"role": "developer", "content": "Be short."}, *QUESTION]
    program.chat.completions.create(model="plain", messages=told, **wishes)  # type: ignore[call-overload]
    [asked] = scripted.requests
    assert asked["messages"] == [{"role": "system", "content": "Be short."}, *QUESTION]
    assert {name: asked[name] for name in wishes} == {**wishes, "stop": ["END"]}


def test_a_tool_is_called_and_answered(program: openai.OpenAI, plays: Callable[..., None]) -> None:
    plays("tools+repeats")
    parameters = {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]}
    tools = [{"type": "function", "function": {"name": "stock", "description": "", "parameters": parameters}}]
    first = program.chat.completions.create(model="tools+repeats", messages=QUESTION, tools=tools)  # type: ignore
    assert first.choices[0].finish_reason == "tool_calls"
    [call] = first.choices[0].message.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("stock", '{"item": "blue chair"}')  # type: ignore
    said = first.choices[0].message.model_dump(exclude_none=True)
    result = {"role": "tool", "tool_call_id": call.id, "content": "4 left"}
    messages = [*QUESTION, said, result]
    answer = program.chat.completions.create(model="tools+repeats", messages=messages, tools=tools)  # type: ignore
    assert answer.choices[0].message.content == "The tool said: 4 left"


def test_a_tool_call_streams(program: openai.OpenAI, plays: Callable[..., None]) -> None:
    plays("tools")
    parameters = {"type": "object", "properties": {}, "required": ["item"]}
    tools = [{"type": "function", "function": {"name": "stock", "parameters": parameters}}]
    with program.chat.completions.stream(model="tools", messages=QUESTION, tools=tools) as stream:  # type: ignore
        final = stream.get_final_completion()
    [call] = final.choices[0].message.tool_calls or []
    assert call.function.name == "stock" and "blue chair" in call.function.arguments
    assert final.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("is_stream", [False, True])
def test_how_likely_each_token_was_is_told(program: openai.OpenAI, is_stream: bool) -> None:
    wishes = {"model": "plain", "messages": QUESTION, "logprobs": True, "top_logprobs": 2}
    if is_stream:
        chunks = list(program.chat.completions.create(**wishes, stream=True))  # type: ignore[call-overload]
        found = [each for chunk in chunks if chunk.choices[0].logprobs for each in chunk.choices[0].logprobs.content]
    else:
        found = program.chat.completions.create(**wishes).choices[0].logprobs.content  # type: ignore[call-overload]
    assert "".join(each.token for each in found) == TEXT
    assert found[0].logprob == -0.5 and [top.token for top in found[0].top_logprobs] == ["word0 0", "word0 1"]


def test_an_answer_that_was_begun_is_continued(
    program: openai.OpenAI, plays: Callable[..., None], scripted: ScriptedEndpoint
) -> None:
    plays("prefix", continuation="prefix_true")
    begun = {"role": "assistant", "content": "word0 word1 ", "prefix": True}
    answer = program.chat.completions.create(model="prefix", messages=[*QUESTION, begun])  # type: ignore[list-item]
    assert answer.choices[0].message.content == TEXT.removeprefix("word0 word1 ")
    assert scripted.requests[0]["messages"][-1] == begun


def test_a_prompt_is_continued(program: openai.OpenAI, scripted: ScriptedEndpoint) -> None:
    answer = program.completions.create(model="plain", prompt="def tide(", suffix="return height", max_tokens=9)
    assert answer.choices[0].text == TEXT and answer.usage is not None and answer.usage.total_tokens == 140
    assert answer.object == "text_completion"
    [asked] = scripted.requests
    assert (asked["prompt"], asked["suffix"], asked["max_tokens"]) == ("def tide(", "return height", 9)
    stream = program.completions.create(model="plain", prompt="def tide(", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == TEXT


def test_models_are_listed_with_what_they_can(program: openai.OpenAI, plays: Callable[..., None]) -> None:
    plays("plain", tools=True)
    model, encoder = program.models.list().data
    assert (model.id, model.owned_by, model.object) == ("plain", "Scripted", "model")
    assert encoder.owned_by == "embeddings"
    assert (model.context_length, model.tools) == (4096, True)  # type: ignore[attr-defined]
    assert program.models.retrieve("plain") == model


async def test_the_asynchronous_client_is_answered_too(live_site: object, secret: str, runner: RunnerThread) -> None:
    url = f"{live_site.url}/v1"  # type: ignore[attr-defined]
    async with openai.AsyncOpenAI(base_url=url, api_key=secret, max_retries=0) as program:
        stream = await program.chat.completions.create(model="plain", messages=QUESTION, stream=True)  # type: ignore
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == TEXT
