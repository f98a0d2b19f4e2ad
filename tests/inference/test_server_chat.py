"""Chat completions as a client sees them: through the real openai package, and on the wire."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from inference.server.reasoning import ReasoningSplitter
from inference.tokenizer import Tokenizer
from tests.inference.asking import QUESTION, post, stream
from tests.inference.conftest import RunningServer, ServerStarter, write_tokenizer


def test_a_chat_completion(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=QUESTION, max_tokens=12, seed=4)
    assert answer.model == "tiny" and answer.object == "chat.completion"
    assert abs(answer.created - time.time()) < 60, "when it was asked, not when the worker started"
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].message.content
    assert answer.usage is not None and answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12


def test_a_stream_says_the_same_as_the_whole(client: OpenAI) -> None:
    args: dict[str, Any] = {"model": "tiny", "messages": QUESTION, "max_tokens": 12, "seed": 4}
    whole = client.chat.completions.create(**args)
    chunks = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **args))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage


def test_usage_is_only_streamed_when_asked_for(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="tiny", messages=QUESTION, max_tokens=3, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_a_seed_makes_it_repeatable_and_its_absence_does_not(client: OpenAI) -> None:
    def ask(**more: Any) -> str | None:
        args: dict[str, Any] = {"model": "tiny", "messages": QUESTION, "max_tokens": 16} | more
        return client.chat.completions.create(**args).choices[0].message.content

    assert ask(seed=1) == ask(seed=1) != ask(seed=2)
    assert ask() != ask()
    assert ask(temperature=0) == ask(temperature=0)


def test_choices_are_independent_and_counted(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=QUESTION, max_tokens=6, seed=1, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) == 3
    assert answer.usage is not None and answer.usage.completion_tokens == 18


def test_logprobs_fit_the_tokens(client: OpenAI, tokenizer: Tokenizer) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=QUESTION, max_tokens=10, seed=1, logprobs=True, top_logprobs=3
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None and logprobs.content
    said = b"".join(bytes(entry.bytes or ()) for entry in logprobs.content)
    assert said.decode("utf-8", "replace") == answer.choices[0].message.content
    for entry in logprobs.content:
        best = [top.logprob for top in entry.top_logprobs]
        assert len(best) == 3 and best == sorted(best, reverse=True) and entry.logprob <= best[0] <= 0


@pytest.mark.parametrize("top_logprobs", [None, 0, 20])
def test_streamed_logprobs_are_those_of_the_whole(client: OpenAI, top_logprobs: int | None) -> None:
    more = {} if top_logprobs is None else {"top_logprobs": top_logprobs}
    args: dict[str, Any] = {
        "model": "tiny",
        "messages": QUESTION,
        "max_tokens": 20,
        "seed": 2,
        "logprobs": True,
        "n": 2,
    }
    whole = client.chat.completions.create(**args, **more)
    streamed: dict[int, list[Any]] = {0: [], 1: []}
    for chunk in client.chat.completions.create(stream=True, **args, **more):
        for choice in chunk.choices:
            streamed[choice.index] += (choice.logprobs and choice.logprobs.content) or []
    for choice in whole.choices:
        assert choice.logprobs is not None and choice.logprobs.content and choice.logprobs.refusal is None
        assert {len(entry.top_logprobs) for entry in choice.logprobs.content} == {top_logprobs or 0}
        for entry, other in zip(choice.logprobs.content, streamed[choice.index], strict=True):
            assert entry.token == other.token and entry.bytes == other.bytes
            assert entry.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_the_most_stops_and_choices_are_taken(client: OpenAI) -> None:
    stops: list[str] = [f"never said {i}" for i in range(16)]
    args: dict[str, Any] = {"model": "tiny", "messages": QUESTION, "max_tokens": 2, "seed": 1}
    assert len(client.chat.completions.create(n=8, stop=stops, **args).choices) == 8
    for wrong in ({"n": 0}, {"n": 9}, {"stop": [*stops, "one more"]}):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**(args | wrong))
        assert caught.value.param == next(iter(wrong)) and caught.value.code == "invalid_value"


def test_a_stop_string_ends_the_answer(server: RunningServer) -> None:
    text = post(server, seed=3, max_tokens=40).json()["choices"][0]["message"]["content"]
    stop = text[5:8]
    choice = post(server, seed=3, max_tokens=40, stop=["never said", stop]).json()["choices"][0]
    assert choice["finish_reason"] == "stop" and choice["message"]["content"] == text[: text.index(stop)]


def test_ids_and_text_agree_wherever_a_stream_is_cut(server: RunningServer, tokenizer: Tokenizer) -> None:
    for seed in range(4):
        ids: list[int] = []
        text = ""
        for choice in stream(server, max_tokens=60, seed=seed, return_token_ids=True, stop=["th", "no such text"]):
            ids += choice.get("token_ids", [])
            text += choice["delta"].get("content", "")
            assert tokenizer.decode(ids) == text
        assert text


def test_a_cut_answer_goes_on_without_a_seam(server: RunningServer) -> None:
    body = {"max_tokens": 40, "seed": 8, "return_token_ids": True, "repetition_penalty": 1.2, "stop": ["zzz"]}
    chunks = stream(server, **body)
    whole = "".join(choice["delta"].get("content", "") for choice in chunks)
    ids: list[int] = []
    text = ""
    for choice in chunks[:-1:4]:
        position = chunks.index(choice)
        ids = [i for c in chunks[: position + 1] for i in c.get("token_ids", [])]
        text = "".join(c["delta"].get("content", "") for c in chunks[: position + 1])
        if not ids:
            continue
        last = {"role": "assistant", "content": text, "prefix": True, "token_ids": ids}
        rest = stream(server, messages=[*QUESTION, last], **body)
        assert text + "".join(c["delta"].get("content", "") for c in rest) == whole
        assert ids + [i for c in rest for i in c.get("token_ids", [])] == [
            i for c in chunks for i in c.get("token_ids", [])
        ]
        assert rest[-1]["finish_reason"] == chunks[-1]["finish_reason"]
    assert ids and text


def test_a_text_prefix_is_continued_and_counts(server: RunningServer, tokenizer: Tokenizer) -> None:
    prefix = {"role": "assistant", "content": "the cat sat", "prefix": True}
    num_prefix = len(tokenizer.encode("the cat sat"))
    body = post(server, messages=[*QUESTION, prefix], max_tokens=num_prefix + 5, seed=1).json()
    num_healed = num_prefix - len(tokenizer.encode("the cat"))  # the last word is written again
    assert body["usage"]["completion_tokens"] == 5 + num_healed
    assert body["usage"]["prompt_tokens"] == len(tokenizer.encode_chat(QUESTION)) + num_prefix - num_healed
    full = post(server, messages=[*QUESTION, prefix], max_tokens=num_prefix).json()
    assert full["choices"][0]["finish_reason"] == "length" and full["choices"][0]["message"]["content"] == ""


@pytest.mark.parametrize("cut", ["the cat s", "the c", "th", "na\u00efve \u4e2d", "the cat ", "a\n"])
def test_text_cut_inside_a_word_goes_on_inside_it(server: RunningServer, tokenizer: Tokenizer, cut: str) -> None:
    prefix = {"role": "assistant", "content": cut, "prefix": True}
    for seed in range(3):
        body = {"messages": [*QUESTION, prefix], "seed": seed, "max_tokens": 40, "return_token_ids": True}
        text, ids = "", []
        for choice in stream(server, **body):
            text += choice["delta"].get("content", "")
            ids += choice.get("token_ids", [])
            assert tokenizer.decode(ids) == text, "what the reader has is not told again"
        assert text


def test_text_that_is_not_what_the_ids_say_is_refused(server: RunningServer, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("the cat")
    last = {"role": "assistant", "content": "the dog", "prefix": True, "token_ids": ids}
    response = post(server, messages=[*QUESTION, last])
    assert response.status_code == 400 and response.json()["error"]["param"] == "token_ids"
    assert post(server, messages=[*QUESTION, last | {"content": "the cat"}]).status_code == 200
    assert post(server, messages=[*QUESTION, {"role": "assistant", "token_ids": ids}]).status_code == 200


@pytest.fixture(scope="module")
def thinker(
    start_server: ServerStarter, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunningServer:
    """The same model without a chat template of its own, so that DeepSeek's is used."""
    path = tmp_path_factory.mktemp("thinker") / "tiny"
    shutil.copytree(tiny_checkpoint, path)
    write_tokenizer(path, chat_template=None)
    return start_server(model=path)


def test_thinking_is_told_apart(thinker: RunningServer) -> None:
    body = {"seed": 1, "max_tokens": 10, "thinking": {"type": "enabled"}}
    message = post(thinker, **body).json()["choices"][0]["message"]
    assert message["reasoning_content"] and message["content"] == ""
    streamed = stream(thinker, **body)
    assert "".join(c["delta"].get("reasoning_content", "") for c in streamed) == message["reasoning_content"]
    without = post(thinker, seed=1, thinking={"type": "disabled"}).json()["choices"][0]["message"]
    assert without["content"] and "reasoning_content" not in without


def test_an_answer_is_continued_after_its_thinking(thinker: RunningServer) -> None:
    tokenizer = thinker.worker.loaded.tokenizer
    ids = tokenizer.encode("hm</think>the cat")
    last = {"role": "assistant", "prefix": True, "reasoning_content": "hm", "content": "the cat"}
    body = {"thinking": {"type": "enabled"}, "seed": 1, "max_tokens": len(ids) + 6}
    by_text = post(thinker, messages=[*QUESTION, last], **body).json()["choices"][0]["message"]
    by_ids = post(thinker, messages=[*QUESTION, last | {"token_ids": ids}], **body).json()["choices"][0]["message"]
    assert by_text["content"] and by_text["reasoning_content"] == "" and by_ids == by_text
    wrong = post(thinker, messages=[*QUESTION, last | {"token_ids": ids, "reasoning_content": "oh"}], **body)
    assert wrong.status_code == 400 and wrong.json()["error"]["param"] == "token_ids"


def test_thinking_is_parted_from_the_answer_wherever_the_text_is_cut() -> None:
    text = "let me < think </ th</think>the answer </think> is"
    for size in range(1, 12):
        splitter = ReasoningSplitter(thinking=True)
        parts = [splitter.push(text[i : i + size]) for i in range(0, len(text), size)]
        assert "".join(part[0] for part in parts) + splitter.finish() == "let me < think </ th"
        assert "".join(part[1] for part in parts) == "the answer </think> is"
    continued = ReasoningSplitter(thinking=True, prefix="hm</th")
    assert continued.push("ink>yes") == ("", "yes")
    cut = ReasoningSplitter(thinking=True)
    assert cut.push("hm</th") == ("hm", "") and cut.finish() == "</th"
