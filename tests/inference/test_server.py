"""The worker as its clients see it: over HTTP, through the real openai package."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from openai import OpenAI

from inference.server import streaming
from inference.server import worker as worker_module
from inference.server.metrics import Gauges, Histogram, Metrics, render
from inference.server.reasoning import ReasoningSplitter
from inference.server.worker import Worker
from inference.tokenizer import Tokenizer
from tests.inference.conftest import TINY_CONTEXT, RunningServer, ServerStarter, write_tokenizer

QUESTION: list[Any] = [{"role": "user", "content": "what is the name of this cat?"}]


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint: Path) -> Tokenizer:
    return Tokenizer(tiny_checkpoint)


def post(server: RunningServer, path: str = "/v1/chat/completions", **body: object) -> httpx.Response:
    if path.endswith("chat/completions"):
        body = {"messages": QUESTION, "max_tokens": 8} | body
    return httpx.post(server.url + path, json=body, timeout=60)


def stream(server: RunningServer, **body: object) -> list[dict[str, Any]]:
    """The chunks' only choices, in order; checks the frame around them."""
    text = post(server, stream=True, **body).text
    lines = [line for line in text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines[:-1]]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 10 s"
        time.sleep(0.01)


# Chat


def test_a_chat_completion(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="tiny", messages=QUESTION, max_tokens=12, seed=4)
    assert answer.model == "tiny" and answer.object == "chat.completion"
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


# Continuation


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


# What is refused


@pytest.mark.parametrize(
    ("option", "param"),
    [
        ({"tools": []}, "tools"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"user": "x" * 257}, "user"),
        ({"min_p": 0.1}, "min_p"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 5}}},
            "response_format.json_schema.schema",
        ),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"chunk": 1}}, "stream_options.chunk"),
        ({"thinking": {"type": "enabled"}}, "thinking"),
        ({"thinking": {"type": "maybe"}}, "thinking.type"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 4, "max_completion_tokens": 5}, "max_tokens"),
        ({"n": 9}, "n"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": 2}, "logprobs"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "name": "n"}]}, "messages[0].name"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": "x", "prefix": True}]}, "messages[0].prefix"),
        ({"messages": [{"role": "assistant", "token_ids": [400]}]}, "messages[0].token_ids"),
        ({"messages": [{"role": "assistant", "content": "x", "prefix": True}, *QUESTION]}, "messages[0].prefix"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(server: RunningServer, option: dict[str, Any], param: str) -> None:
    content = json.dumps({"messages": QUESTION, "max_tokens": 8} | option)
    response = httpx.post(f"{server.url}/v1/chat/completions", content=content)
    error = response.json()["error"]
    assert response.status_code == 400 and error["param"] == param and error["message"]
    assert error["type"] == "invalid_request_error" and error["code"]


def test_nulls_are_absent_options(server: RunningServer) -> None:
    assert post(server, tools=None, stop=None, temperature=None, seed=None).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"prompt": "\\ud800"}'])
def test_a_body_that_is_no_json_is_refused(server: RunningServer, body: bytes) -> None:
    response = httpx.post(f"{server.url}/v1/chat/completions", content=body)
    assert response.status_code == 400 and response.json()["error"]["code"] == "invalid_json"


def test_a_prompt_that_is_too_long_names_both_numbers(client: OpenAI, tokenizer: Tokenizer) -> None:
    messages: list[Any] = [{"role": "user", "content": "cat " * 600}]
    num_tokens = len(tokenizer.encode_chat(messages))
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=messages)
    assert caught.value.code == "context_length_exceeded"
    assert str(TINY_CONTEXT) in caught.value.message and str(num_tokens) in caught.value.message


def test_another_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert caught.value.code == "model_not_found"


# Completions


def test_text_and_its_token_ids_are_the_same_prompt(client: OpenAI, tokenizer: Tokenizer) -> None:
    text = "the cat sat on"
    args: dict[str, Any] = {"model": "tiny", "max_tokens": 8, "seed": 2}
    by_text = client.completions.create(prompt=text, **args)
    by_ids = client.completions.create(prompt=tokenizer.encode(text), **args)
    assert by_text.choices[0].text == by_ids.choices[0].text
    assert by_text.usage == by_ids.usage


def test_several_prompts_are_numbered_in_order(client: OpenAI, tokenizer: Tokenizer) -> None:
    prompts = ["the cat", "the dog"]
    args: dict[str, Any] = {"model": "tiny", "max_tokens": 5, "seed": 2}
    together = client.completions.create(prompt=prompts, n=2, **args)
    assert [choice.index for choice in together.choices] == [0, 1, 2, 3]
    for number, prompt in enumerate(prompts):
        alone = client.completions.create(prompt=[tokenizer.encode(prompt)], n=2, **args)
        assert [c.text for c in alone.choices] == [c.text for c in together.choices[2 * number : 2 * number + 2]]
    chunks = list(client.completions.create(prompt=prompts, n=2, stream=True, **args))
    streamed = {i: "".join(c.choices[0].text for c in chunks if c.choices[0].index == i) for i in range(4)}
    assert streamed == {choice.index: choice.text for choice in together.choices}


def test_echo_with_logprobs_scores_the_prompt(client: OpenAI, tokenizer: Tokenizer) -> None:
    text = "the cat sat on the mat and the dog was not there"
    scored = client.completions.create(model="tiny", prompt=text, max_tokens=0, echo=True, logprobs=2).choices[0]
    logprobs = scored.logprobs
    assert scored.text == text and scored.finish_reason == "length" and logprobs is not None
    num_tokens = len(tokenizer.encode(text))
    assert logprobs.tokens is not None and "".join(logprobs.tokens) == text
    assert logprobs.token_logprobs is not None and len(logprobs.token_logprobs) == num_tokens
    assert logprobs.token_logprobs[0] is None and all(p is not None and p <= 0 for p in logprobs.token_logprobs[1:])
    assert logprobs.text_offset == [len("".join(logprobs.tokens[:i])) for i in range(num_tokens)]
    longer = client.completions.create(model="tiny", prompt=text, max_tokens=4, echo=True, logprobs=2, seed=1)
    assert longer.choices[0].text.startswith(text) and longer.choices[0].logprobs is not None
    assert longer.choices[0].logprobs.token_logprobs is not None
    assert longer.choices[0].logprobs.token_logprobs[1:num_tokens] == pytest.approx(
        logprobs.token_logprobs[1:], abs=1e-4
    )


def test_echo_without_logprobs(server: RunningServer) -> None:
    body = post(server, "/v1/completions", prompt="the cat", max_tokens=0, echo=True).json()
    assert body["choices"][0]["text"] == "the cat" and body["usage"]["completion_tokens"] == 0


@pytest.mark.parametrize("prompt", ["", [], [[]], [1.5], [["x"]], [400], [-1], None, {"a": 1}, ["x"] * 65])
def test_prompts_that_are_none_are_refused(server: RunningServer, prompt: object) -> None:
    response = post(server, "/v1/completions", prompt=prompt, max_tokens=1)
    assert response.status_code == 400 and response.json()["error"]["param"] == "prompt"


@pytest.mark.parametrize("option", [{"suffix": "x"}, {"best_of": 2}, {"messages": QUESTION}])
def test_completions_refuse_by_name_too(server: RunningServer, option: dict[str, Any]) -> None:
    response = post(server, "/v1/completions", prompt="x", **option)
    assert response.status_code == 400 and response.json()["error"]["param"] == next(iter(option))


# Thinking


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


# Around it


def test_models_health_and_counting(server: RunningServer, client: OpenAI, tokenizer: Tokenizer) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    health = httpx.get(f"{server.url}/health")
    assert health.status_code == 200 and health.json()["status"] == "ready"
    counted = post(server, "/tokenize", messages=QUESTION).json()
    assert counted == {"count": len(tokenizer.encode_chat(QUESTION))}
    assert post(server, "/tokenize", prompt="the cat").json() == {"count": len(tokenizer.encode("the cat"))}
    assert post(server, "/tokenize").status_code == 400


def read_metrics(server: RunningServer) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def test_metrics_count_requests_and_tokens(server: RunningServer) -> None:
    finished = 'sonde_requests_total{endpoint="chat",outcome="finished"}'
    before = read_metrics(server)
    post(server, max_tokens=7, seed=1)
    after = read_metrics(server)
    assert after[finished] == before.get(finished, 0) + 1
    assert after["sonde_generated_tokens_total"] == before["sonde_generated_tokens_total"] + 7
    assert after["sonde_free_blocks"] == after["sonde_total_blocks"] == 32
    for name in ("request_seconds", "first_token_seconds"):
        assert after[f"sonde_{name}_count"] == before[f"sonde_{name}_count"] + 1
    tokens = "sonde_between_tokens_seconds_count"
    assert before[tokens] < after[tokens] < before[tokens] + 7, "the first has none before it"
    assert after['sonde_first_token_seconds_bucket{le="+Inf"}'] == after["sonde_first_token_seconds_count"]


def test_buckets_of_a_histogram_count_everything_below_them() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds, times in ((0.05, 1), (0.1, 2), (0.5, 1), (7.0, 3)):
        histogram.observe(seconds, times)
    lines = render(Metrics(first_token=histogram), Gauges()).splitlines()
    shown = [line for line in lines if line.startswith("sonde_first_token_seconds")]
    assert [line.split()[1] for line in shown] == ["3", "4", "7", "21.750000", "7"]


def test_metrics_of_a_worker_that_is_loading_are_zeros() -> None:
    assert "sonde_total_blocks 0" in render(Metrics(), Gauges())


def test_a_key_is_asked_for_except_of_health(start_server: ServerStarter) -> None:
    server = start_server(api_key="sesame", name="guarded")
    assert httpx.get(f"{server.url}/health").status_code == 200
    for path in ("/v1/models", "/metrics"):
        assert httpx.get(server.url + path).status_code == 401
    with OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    with OpenAI(base_url=f"{server.url}/v1", api_key="sesame", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["guarded"]


@pytest.mark.parametrize("streaming", [True, False])
def test_a_client_that_goes_away_frees_its_blocks(server: RunningServer, streaming: bool) -> None:
    blocks = server.worker.loaded.engine.scheduler.blocks
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    body = json.dumps({"messages": QUESTION, "max_tokens": 450, "stream": streaming, "n": 2, "seed": 1})
    connection.request("POST", "/v1/chat/completions", body)
    eventually(lambda: blocks.num_free_blocks < blocks.num_blocks)
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    eventually(lambda: blocks.num_free_blocks == blocks.num_blocks)
    assert 'outcome="cancelled"' in httpx.get(f"{server.url}/metrics").text


def test_a_request_in_the_queue_is_kept_alive(start_server: ServerStarter, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_server(max_num_seqs=1)
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.05)
    long = {"messages": QUESTION, "max_tokens": 400, "stream": True, "seed": 1}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long, timeout=60) as first:
        chunks = first.iter_raw()
        next(chunks)
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long, timeout=60) as second:
            assert next(second.iter_lines()) == ": keep-alive queue_position=1"


def test_a_crowd_that_comes_and_goes_leaves_nothing_behind(server: RunningServer) -> None:
    """More than there is room for: some wait, some are preempted, a third goes away in the middle."""

    def visit(number: int) -> str:
        body = {"messages": QUESTION, "max_tokens": 20 + 17 * (number % 20), "stream": True, "seed": number}
        said = []
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as response:
            for line in filter(None, response.iter_lines()):
                said.append(line)
                if number % 3 == 0:
                    return "gone"
        return said[-1]

    with ThreadPoolExecutor(24) as pool:
        ends = list(pool.map(visit, range(48)))
    assert set(ends) == {"gone", "data: [DONE]"}
    blocks = server.worker.loaded.engine.scheduler.blocks
    eventually(lambda: blocks.num_free_blocks == blocks.num_blocks)
    server.worker.loaded.engine.scheduler.check()


def test_every_request_ends_exactly_once_whatever_happens(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users with common beginnings, some answers at once and some as streams; many are refused, many go away."""
    monkeypatch.setattr(worker_module, "MAX_REQUESTS", 16)
    monkeypatch.setattr(worker_module, "KEPT_FOR_NEWCOMERS", 2)

    def visit(number: int) -> str:
        dice = random.Random(number)
        length, leaves, streams = dice.randrange(4, 300), dice.random() < 0.4, dice.random() < 0.7
        text = "the cat sat on the mat and the dog was not there " * dice.randrange(1, 10)
        body: dict[str, Any] = {"messages": [{"role": "user", "content": text}], "max_tokens": length, "seed": number}
        body |= {"stream": streams, "n": dice.randrange(1, 4), "user": f"user {number % 4}"}
        url, timeout = f"{server.url}/v1/chat/completions", 0.05 if leaves and not streams else 60
        try:
            with httpx.stream("POST", url, json=body, timeout=timeout) as response:
                if response.status_code == 429:
                    return "refused"
                assert response.status_code == 200
                last = ""
                for line in filter(None, response.iter_lines()):
                    last = line
                    if leaves and streams and dice.random() < 0.1:
                        return "gone"
                assert not streams or last == "data: [DONE]"
                return "finished"
        except httpx.ReadTimeout:  # nobody knows how far it had come
            return "gone early"

    def ended() -> float:
        return sum(n for name, n in read_metrics(server).items() if name.startswith("sonde_requests_total"))

    ended_before, refused_before = ended(), read_metrics(server)["sonde_refused_total"]
    with ThreadPoolExecutor(18) as pool:
        ends = list(pool.map(visit, range(60)))
    assert {"finished", "gone"} <= set(ends)
    engine = server.worker.loaded.engine
    eventually(lambda: not engine.has_work and server.worker.num_requests == 0)
    num_ended, num_refused = ended() - ended_before, read_metrics(server)["sonde_refused_total"] - refused_before
    early = ends.count("gone early")
    assert 0 <= num_ended - ends.count("finished") - ends.count("gone") <= early
    assert 0 <= num_refused - ends.count("refused") <= early
    assert num_ended + num_refused <= len(ends)
    engine.check_integrity()
    assert engine.scheduler.blocks.num_free_blocks == 32


def test_too_many_at_once_are_told_to_come_back(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "MAX_REQUESTS", 0)
    for stream_it in (True, False):
        response = post(server, stream=stream_it)
        assert response.status_code == 429 and response.json()["error"]["code"] == "too_many_requests"
        assert int(response.headers["retry-after"]) >= 1


def test_one_user_cannot_take_every_place(start_server: ServerStarter, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_server(max_num_seqs=1)
    monkeypatch.setattr(worker_module, "MAX_REQUESTS", 2)
    monkeypatch.setattr(worker_module, "KEPT_FOR_NEWCOMERS", 1)
    long = {"messages": QUESTION, "max_tokens": 450, "stream": True, "user": "busy", "seed": 1}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long, timeout=60) as first:
        chunks = first.iter_raw()
        next(chunks)
        assert post(server, user="busy").status_code == 429
        assert post(server, user="other").status_code == 200


def test_who_waits_too_long_is_sent_away(start_server: ServerStarter) -> None:
    server = start_server(max_num_seqs=1, max_wait_s=0.05)
    long = {"messages": QUESTION, "max_tokens": 450, "stream": True, "seed": 1}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long, timeout=60) as first:
        chunks = first.iter_raw()
        next(chunks)
        response = post(server)
        assert response.status_code == 503 and response.json()["error"]["code"] == "waited_too_long"
    assert 'outcome="expired"} 1' in httpx.get(f"{server.url}/metrics").text


def test_a_next_turn_finds_the_conversation_in_the_cache(server: RunningServer) -> None:
    messages = [{"role": "user", "content": "and then this other thing was not on the mat there " * 16}]
    first = post(server, messages=messages, max_tokens=70, seed=1).json()
    usage = first["usage"]
    assert usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"] > 128
    said = {"role": "assistant", "content": first["choices"][0]["message"]["content"]}
    metrics = read_metrics(server)
    again = post(server, messages=[*messages, said, *QUESTION], n=2).json()["usage"]
    assert again["prompt_cache_hit_tokens"] >= usage["prompt_tokens"] // 64 * 64
    assert again["prompt_cache_hit_tokens"] + again["prompt_cache_miss_tokens"] == again["prompt_tokens"]
    hits = "sonde_prompt_cache_hit_tokens_total"
    assert read_metrics(server)[hits] == metrics[hits] + again["prompt_cache_hit_tokens"]


def test_before_the_model_is_loaded_requests_are_told_to_wait() -> None:
    from starlette.testclient import TestClient

    from inference.server.app import create_app

    def never(report: object) -> Any:
        raise ValueError("no such weights")

    worker = Worker(never)
    with TestClient(create_app(worker)) as client:
        eventually(lambda: worker.stage == "failed")
        health = client.get("/health")
        assert health.status_code == 503 and health.json()["stage"] == "failed"
        response = client.post("/v1/chat/completions", json={"messages": QUESTION})
        assert response.status_code == 503 and response.json()["error"]["code"] == "model_loading"
        assert response.headers["retry-after"] == "1"
    assert str(worker.failure) == "no such weights"


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


# The process


@pytest.fixture
def process(tiny_checkpoint: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "inference", "serve", "--model", str(tiny_checkpoint), "--port", str(port)]
    command += ["--dtype", "float32", "--threads", "1", "--grace-s", "0.5", "--num-blocks", "16"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        yield process, f"http://127.0.0.1:{port}"
        process.kill()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_sigterm_ends_running_requests_with_a_word_and_exits_with_0(
    process: tuple[subprocess.Popen[bytes], str],
) -> None:
    worker, url = process
    deadline = time.monotonic() + 60
    while not is_ready(url):
        assert time.monotonic() < deadline and worker.poll() is None
        time.sleep(0.05)
    body = {"messages": QUESTION, "max_tokens": 450, "stream": True, "n": 8, "seed": 1}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        worker.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    assert "[DONE]" in rest[-1] or json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert worker.wait(timeout=10) == 0
    assert worker.stderr is not None
    log = worker.stderr.read().decode()
    assert "Traceback" not in log and QUESTION[0]["content"] not in log, "and the log never holds text"


def test_a_directory_without_a_model_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inference", "serve", "--model", str(tmp_path), "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert str(tmp_path) in result.stderr.splitlines()[-1]
    missing = subprocess.run(command[:-3] + [str(tmp_path / "no")], capture_output=True, text=True, timeout=60)
    assert missing.returncode == 2 and "is no directory" in missing.stderr
