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


def test_echo_without_logprobs(server: RunningServer) -> None:
    body = post(server, "/v1/completions", prompt="the cat", max_tokens=0, echo=True).json()
    assert body["choices"][0]["text"] == "the cat" and body["usage"]["completion_tokens"] == 0
