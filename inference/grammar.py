"""Constrained decoding: which tokens may come next for the text to keep to a grammar.

llguidance parses; this is the little that the engine and the server see of it. Knows bytes and token ids; knows no
tensors, no sequences and no HTTP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

# Enough for a list indented four levels deep; without a bound a small model writes blanks until max_tokens.
_JSON_OPTIONS: dict[str, Any] = {"whitespace_pattern": "[ \\n\\t]{1,17}"}


class GrammarVocabulary(Protocol):
    @property
    def vocab_size(self) -> int: ...

    @property
    def special_ids(self) -> frozenset[int]: ...

    def encode(self, text: str) -> list[int]: ...

    def raw_bytes(self, token_id: int) -> bytes: ...


class GrammarCompiler:
    """Grammars for one vocabulary. The first one takes 0.3 s for 49152 tokens, which are put into a tree then."""

    def __init__(self, vocabulary: GrammarVocabulary, eos_token_ids: Iterable[int]) -> None:
        self._vocabulary = vocabulary
        self._eos_token_ids = sorted(eos_token_ids)
        self.compile = lru_cache(maxsize=32)(self._compile)  # an agent sends the same tools again and again

    def _compile(self, lark: str) -> Grammar:
        """Raises ValueError with llguidance's words. A large schema takes up to a second: not for an event loop."""
        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(lark), log_level=0)
        if matcher.is_error():
            raise ValueError(_reason(matcher.get_error()))
        return Grammar(matcher)

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        if not self._eos_token_ids:
            raise ValueError("the checkpoint names no end token, so a constrained answer could never end")
        wrapper: Any = _Wrapper(self._vocabulary, self._eos_token_ids[0])
        return LLTokenizer(wrapper, n_vocab=self._vocabulary.vocab_size, eos_token=self._eos_token_ids)


class Grammar:
    """A compiled grammar, shared by the choices of a request and never changed."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def start(self, token_ids: Sequence[int] = ()) -> GrammarState:
        """The state after an output that exists already. Raises ValueError when that breaks the grammar."""
        matcher = self._matcher.deep_copy()
        num_kept = matcher.try_consume_tokens(list(token_ids))
        if num_kept < len(token_ids):
            raise ValueError(f"the answer that is to be continued leaves the format at its token {num_kept}")
        return GrammarState(matcher)


class GrammarState:
    """Where one sequence stands in its grammar."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def allowed_ids(self) -> NDArray[np.int64]:
        """Tokens that may come next, sorted; end tokens among them where the text may end. 0.05 to 0.7 ms."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return np.flatnonzero(np.unpackbits(bits, bitorder="little"))

    def advance(self, token_id: int) -> None:
        if not self._matcher.consume_token(token_id):
            raise ValueError(f"token {token_id} leaves the grammar: {self._matcher.get_error()}")


def json_rule(schema: dict[str, Any], lenient: bool = False) -> str:
    """The right side of a Lark rule for JSON of this schema; `lenient` passes over keywords that are not supported."""
    return "%json " + json.dumps(schema | {"x-guidance": _JSON_OPTIONS | {"lenient": lenient}})


def text_literal(text: str) -> str:
    """Exactly this text, as a Lark string."""
    return json.dumps(text, ensure_ascii=False)


def _reason(error: str) -> str:
    """llguidance's words without the place and the picture of it: the grammar around a schema is ours."""
    words = re.split(r"\n +\d+ \|", error)[0]
    return " ".join(re.sub(r"^at \d+\(\d+\): ", "", words).split())[
        -300:
    ]  # a pattern may be quoted whole before the cause


class _Wrapper:
    """The tokenizer as llguidance wants to see it."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, vocabulary: GrammarVocabulary, eos_token_id: int) -> None:
        self._vocabulary = vocabulary
        self.eos_token_id = eos_token_id
        self.tokens = [vocabulary.raw_bytes(token_id) for token_id in range(vocabulary.vocab_size)]
        self.special_token_ids = sorted(vocabulary.special_ids)

    def __call__(self, text: bytes | str) -> list[int]:
        return self._vocabulary.encode(text if isinstance(text, str) else text.decode())
