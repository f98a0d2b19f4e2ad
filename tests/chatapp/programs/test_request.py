"""A request as it is read: what cannot be is named, with its value and what is allowed."""

import json
from typing import Any

import pytest

from chatapp.programs.errors import ApiError
from chatapp.programs.request import Asking, read_chat, read_text
from tests.chatapp.programs.conftest import QUESTION

CHAT = {"model": "plain", "messages": QUESTION}
BEGUN = {"role": "assistant", "content": "a", "prefix": True}


@pytest.mark.parametrize(
    ("change", "status", "param", "said"),
    [
        ({"model": None}, 400, "model", "model is missing"),
        ({"messages": []}, 400, "messages", "messages is empty"),
        ({"messages": "hello"}, 400, "messages", 'messages="hello" must be a list'),
        ({"messages": [{"role": "robot", "content": ""}]}, 422, "messages[0].role", '"robot" must be one of system'),
        ({"messages": [{"role": "tool", "content": ""}]}, 400, "messages[0].tool_call_id", "is missing"),
        ({"messages": [{"role": "user", "content": 7}]}, 400, "messages[0].content", "content=7 must be a list"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, 400, "messages[0].content[0].type", "video"),
        ({"messages": [{"role": "user", "content": "", "mood": 1}]}, 400, "messages[0].mood", "is not supported"),
        ({"temperature": 3}, 422, "temperature", "temperature=3 must be from 0 to 2"),
        ({"temperature": "hot"}, 400, "temperature", 'temperature="hot" must be a number'),
        ({"top_p": -0.1}, 422, "top_p", "top_p=-0.1 must be from 0 to 1"),
        ({"presence_penalty": 2.5}, 422, "presence_penalty", "must be from -2 to 2"),
        ({"max_tokens": 0}, 422, "max_tokens", "max_tokens=0 must be from 1 to"),
        ({"max_tokens": 1.5}, 400, "max_tokens", "must be a whole number"),
        ({"n": 2}, 400, "n", "n=2 is not supported"),
        ({"logprobs": 3}, 400, "logprobs", "logprobs=3 must be true or false"),
        ({"logprobs": True, "top_logprobs": 21}, 422, "top_logprobs", "top_logprobs=21 must be from 0 to 20"),
        ({"top_logprobs": 2}, 400, "top_logprobs", "top_logprobs=2 is not supported"),
        ({"stream": "yes"}, 400, "stream", 'stream="yes" must be true or false'),
        ({"stop": [""]}, 400, "stop", "none of them empty"),
        ({"stop": ["a"] * 17}, 422, "stop", "stop has 17 strings; at most 16"),
        ({"response_format": {"type": "xml"}}, 422, "response_format.type", "must be one of text, json_object"),
        ({"response_format": {"type": "json_schema"}}, 400, "response_format.json_schema", "must be an object"),
        ({"tools": [{"type": "browser"}]}, 400, "tools[0]", "must be of type function"),
        ({"tool_choice": "maybe"}, 422, "tool_choice", "must be none, auto, required"),
        ({"thinking": {"type": "deep"}}, 422, "thinking.type", "must be one of enabled, disabled"),
        ({"colour": "blue"}, 400, "colour", "colour is not supported; leave it out"),
        ({"messages": [BEGUN, *QUESTION]}, 400, "messages[0].prefix", "only the last message can be continued"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_named_with_what_is_allowed(
    change: dict[str, Any], status: int, param: str, said: str
) -> None:
    assert read_chat(CHAT)[1].model == "plain"
    with pytest.raises(ApiError) as refused:
        read_chat({**CHAT, **change})
    error = refused.value
    assert (error.status, error.param) == (status, param)
    assert said in error.message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://example.org/cat.png", "nothing is fetched from elsewhere"),
        ("data:text/html;base64,AAAA", "PNG, JPEG, GIF or WebP"),
        ("data:image/png;base64,%%%", "is not base64"),
    ],
)
def test_a_picture_is_taken_only_as_data(url: str, said: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(ApiError, match="invalid_parameter") as refused:
        read_chat({**CHAT, "messages": [{"role": "user", "content": [part]}]})
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("change", "param"), [({"prompt": None}, "prompt"), ({"prompt": ["a", "b"]}, "prompt"), ({"echo": True}, "echo")]
)
def test_a_text_completion_refuses_as_well(change: dict[str, Any], param: str) -> None:
    assert read_text({"model": "plain", "prompt": ["a"]})[0].prompt == "a"
    with pytest.raises(ApiError) as refused:
        read_text({"model": "plain", "prompt": "a", **change})
    assert refused.value.param == param


def test_a_request_is_kept_as_it_was_read() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    file = {"type": "file", "file": {"file_id": f"file-{'0' * 31}1"}}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, picture, file]},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "1", "content": "b"},
        {"role": "assistant", "content": "so", "prefix": True},
    ]
    asking, _ = read_chat({**CHAT, "messages": messages, "temperature": 1, "thinking": {"type": "enabled"}})
    assert asking.num_pictures == 1 and len(asking.file_ids) == 1 and asking.begun is not None
    assert Asking.from_json(json.loads(json.dumps(asking.to_json()))) == asking
