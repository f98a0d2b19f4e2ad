"""What requests may say: every refusal names its field, and nothing is accepted and ignored."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from inference.tokenizer import Tokenizer
from tests.inference.asking import QUESTION, post
from tests.inference.conftest import TINY_CONTEXT, RunningServer


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


NUMBERS = "temperature top_p repetition_penalty presence_penalty frequency_penalty".split()
COUNTS = "max_tokens max_completion_tokens top_k seed n".split()
SWITCHES = ["stream", "return_token_ids"]
WRONG = [("a string", str), (3, int), (1.25, float), (True, bool), ([[]], list), ({"a": 1}, dict)]
KINDS: dict[str, tuple[type, ...]] = {
    **{name: (int, float) for name in NUMBERS},
    **{name: (int,) for name in COUNTS},
    **{name: (bool,) for name in SWITCHES},
    **{name: (str,) for name in ("model", "user")},
    "stop": (str,),
    "stream_options": (),
}


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/chat/completions", {"messages": (), "logprobs": (bool,), "thinking": (), "response_format": ()}),
        ("/v1/completions", {"prompt": (str,), "logprobs": (int,), "echo": (bool,), "suffix": ()}),
    ],
)
def test_every_field_refuses_every_wrong_type(
    server: RunningServer, path: str, more: dict[str, tuple[type, ...]]
) -> None:
    good: dict[str, Any] = {"prompt": "the cat"} if "prompt" in more else {"messages": QUESTION}
    with httpx.Client(base_url=server.url) as client:
        for name, kinds in (KINDS | more).items():
            for value, kind in WRONG:
                if kind in kinds:
                    continue
                response = client.post(path, json=good | {"max_tokens": 1, name: value})
                assert response.status_code == 400, (name, value)
                assert response.json()["error"]["param"].startswith(name), (name, value)


def test_nulls_are_absent_options(server: RunningServer) -> None:
    assert post(server, tools=None, stop=None, temperature=None, seed=None).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "\xed\xa0\x80"}',
        '{"prompt": "\\ud800"}'.encode("utf-16"),
        b'{"seed": 1' + b"0" * 5000 + b"}",
    ],
)
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


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_text_that_cannot_fit_is_refused_before_it_is_tokenised(server: RunningServer, path: str) -> None:
    text = "cat " * 500_000
    field = {"prompt": text} if path == "/v1/completions" else {"messages": [{"role": "user", "content": text}]}
    error = post(server, path, **field).json()["error"]
    assert error["code"] == "context_length_exceeded" and "has at least" in error["message"]
    assert error["param"] == next(iter(field))


def test_another_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-9")
    assert caught.value.code == "model_not_found"
    assert client.models.retrieve("tiny").id == "tiny"


@pytest.mark.parametrize("prompt", ["", [], [[]], [1.5], [["x"]], [400], [-1], None, {"a": 1}, ["x"] * 65])
def test_prompts_that_are_none_are_refused(server: RunningServer, prompt: object) -> None:
    response = post(server, "/v1/completions", prompt=prompt, max_tokens=1)
    assert response.status_code == 400 and response.json()["error"]["param"] == "prompt"


@pytest.mark.parametrize("option", [{"suffix": "x"}, {"best_of": 2}, {"messages": QUESTION}])
def test_completions_refuse_by_name_too(server: RunningServer, option: dict[str, Any]) -> None:
    response = post(server, "/v1/completions", prompt="x", **option)
    assert response.status_code == 400 and response.json()["error"]["param"] == next(iter(option))
