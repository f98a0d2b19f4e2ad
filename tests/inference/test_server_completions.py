"""Completions as a client sees them: prompts as text or token ids, echo, scores."""

from __future__ import annotations

from typing import Any

import pytest
from openai import OpenAI

from inference.tokenizer import Tokenizer
from tests.inference.asking import post
from tests.inference.conftest import RunningServer


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


@pytest.mark.parametrize(("echo", "logprobs"), [(False, 0), (False, 3), (True, 0), (True, 3)])
def test_streamed_scores_are_those_of_the_whole(client: OpenAI, echo: bool, logprobs: int) -> None:
    args: dict[str, Any] = {"model": "tiny", "prompt": ["the cat sat", "on the mat"], "max_tokens": 12, "seed": 2}
    args |= {"echo": echo, "logprobs": logprobs, "n": 2}
    whole = client.completions.create(**args)
    chunks = list(client.completions.create(stream=True, stream_options={"include_usage": True}, **args))
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    for choice in whole.choices:
        pieces = [piece for chunk in chunks for piece in chunk.choices if piece.index == choice.index]
        assert "".join(piece.text for piece in pieces) == choice.text
        assert [piece.finish_reason for piece in pieces][-1] == choice.finish_reason
        told = choice.logprobs
        assert told is not None and told.tokens and told.token_logprobs and told.text_offset
        assert len(told.tokens) == len(told.token_logprobs) == len(told.text_offset)
        assert told.text_offset == [len("".join(told.tokens[:i])) for i in range(len(told.tokens))]
        assert (told.token_logprobs[0] is None) == echo, "nothing predicts the first token of a prompt"
        for name in ("tokens", "text_offset"):
            assert getattr(told, name) == [x for p in pieces if p.logprobs for x in getattr(p.logprobs, name) or []]
        if logprobs == 0:
            assert told.top_logprobs is None
        else:
            assert told.top_logprobs and len(told.top_logprobs) == len(told.tokens)
            for top, own in zip(told.top_logprobs, told.token_logprobs, strict=True):
                assert (top is None) == (own is None)
                assert top is None or own is None or (len(top) <= 4 and own <= max(top.values()))


def test_echo_without_logprobs(server: RunningServer) -> None:
    body = post(server, "/v1/completions", prompt="the cat", max_tokens=0, echo=True).json()
    assert body["choices"][0]["text"] == "the cat" and body["usage"]["completion_tokens"] == 0
