from __future__ import annotations

import json
import random

import pytest

from inference.grammar import GrammarCompiler, GrammarState, json_rule, text_literal
from inference.tokenizer import Tokenizer
from tests.inference.conftest import write_tokenizer

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 8}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(path)
    return Tokenizer(path)


@pytest.fixture(scope="module")
def compiler(tokenizer: Tokenizer) -> GrammarCompiler:
    return GrammarCompiler(tokenizer, tokenizer.encode("<|end|>"))


def allowed_texts(tokenizer: Tokenizer, state: GrammarState) -> set[bytes]:
    return {tokenizer.raw_bytes(int(token_id)) for token_id in state.allowed_ids()}


def test_only_tokens_that_keep_to_the_grammar_are_allowed(tokenizer: Tokenizer, compiler: GrammarCompiler) -> None:
    state = compiler.compile("start: " + json_rule(SCHEMA)).start()
    assert allowed_texts(tokenizer, state) == {b"{"}
    for token_id in tokenizer.encode('{"city": "th"'):
        assert token_id in state.allowed_ids()
        state.advance(token_id)
    assert b"}" in allowed_texts(tokenizer, state) and b'"' not in allowed_texts(tokenizer, state)
    state.advance(*tokenizer.encode("}"))
    assert allowed_texts(tokenizer, state) == {b"<|end|>"}, "and then the text must end"


def test_random_walks_end_in_json_of_the_schema(tokenizer: Tokenizer, compiler: GrammarCompiler) -> None:
    grammar = compiler.compile("start: " + json_rule(SCHEMA))
    (end,) = tokenizer.encode("<|end|>")
    for seed in range(20):
        state, rng = grammar.start(), random.Random(seed)
        token_ids: list[int] = []
        while len(token_ids) < 400:
            token_id = rng.choice(state.allowed_ids().tolist())
            if token_id == end:
                break
            state.advance(token_id)
            token_ids.append(token_id)
        else:
            continue  # a very long number
        value = json.loads(tokenizer.decode(token_ids))
        assert isinstance(value["city"], str) and value.keys() <= {"city", "days"}


def test_a_state_after_existing_tokens_is_the_state_they_led_to(
    tokenizer: Tokenizer, compiler: GrammarCompiler
) -> None:
    grammar = compiler.compile("start: " + json_rule(SCHEMA))
    token_ids = tokenizer.encode('{"city": "the cat"}')
    state = grammar.start()
    for i, token_id in enumerate(token_ids):
        assert (grammar.start(token_ids[:i]).allowed_ids() == state.allowed_ids()).all()
        state.advance(token_id)
    with pytest.raises(ValueError, match="leaves the format at its token 0"):
        grammar.start(tokenizer.encode("the cat"))


def test_one_sequence_does_not_move_another(tokenizer: Tokenizer, compiler: GrammarCompiler) -> None:
    grammar = compiler.compile("start: " + json_rule(SCHEMA))
    one, other = grammar.start(), grammar.start()
    one.advance(*tokenizer.encode("{"))
    assert allowed_texts(tokenizer, other) == {b"{"}


def test_what_cannot_be_a_grammar_says_why(compiler: GrammarCompiler) -> None:
    schemas = {"not": {"not": {"const": 1}}, "text": {"type": "text"}, "look-ahead": {"pattern": "(?=x)"}}
    for named, schema in schemas.items():
        with pytest.raises(ValueError, match=named):
            compiler.compile("start: " + json_rule(schema))


def test_literals_are_written_as_they_are(tokenizer: Tokenizer, compiler: GrammarCompiler) -> None:
    for text in ('a "b" \\ \n', "<｜tool▁sep｜>", "%json {}", "naïve\t中"):
        state = compiler.compile(f"start: {text_literal(text)}").start(tokenizer.encode(text))
        assert allowed_texts(tokenizer, state) == {b"<|end|>"}


def test_special_tokens_are_never_text(tokenizer: Tokenizer, compiler: GrammarCompiler) -> None:
    allowed = allowed_texts(tokenizer, compiler.compile("start: /(?s:.*)/").start())
    assert b"<|end|>" in allowed and b"the" in allowed
    assert not allowed & {b"<|system|>", b"<|user|>", b"<|assistant|>"}
