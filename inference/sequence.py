"""One request's choice on its way through the engine: its tokens, its blocks and how it ended.

Knows token ids and numbers; knows nothing of tensors, text or HTTP (torch is never imported here).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # a library of its own, which no answer needs that keeps to no grammar
    from inference.grammar import Grammar, GrammarState

FinishReason = Literal["stop", "length", "cancelled", "expired", "error"]


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen and when to stop. `max_tokens` counts a continued prefix too."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: every token
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    stop_token_ids: frozenset[int] = frozenset()
    num_logprobs: int | None = None  # alternatives listed beside each chosen token; None: no logprobs
    prompt_logprobs: bool = False

    @property
    def has_penalties(self) -> bool:
        return self.repetition_penalty != 1.0 or self.presence_penalty != 0.0 or self.frequency_penalty != 0.0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Log probability of one token under the model itself, before temperature and penalties."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()  # (token id, logprob), best first


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What the server hands to the engine. `prefix_token_ids` is output that exists already and is continued."""

    id: str
    prompt_token_ids: tuple[int, ...]
    params: SamplingParams
    prefix_token_ids: tuple[int, ...] = ()
    # The end of a prefix that was given as text: written again by the model, since text may be cut inside a token.
    heal: bytes = b""
    num_choices: int = 1
    user: str = ""  # users share the engine fairly; those without a name are one user
    grammar: Grammar | None = None  # what the whole output must keep to, a prefix included


class SequenceStatus(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(eq=False, slots=True, weakref_slot=True)
class Sequence:
    """Tokens of one choice. The scheduler sets its status and what it has cached; nobody else does."""

    request_id: str
    choice: int
    params: SamplingParams
    token_ids: list[int]  # prompt, then output
    num_prompt_tokens: int
    num_prefix_tokens: int = 0  # output that came with the request
    status: SequenceStatus = SequenceStatus.WAITING
    finish_reason: FinishReason | None = None
    block_table: list[int] = field(default_factory=list)
    block_hashes: list[bytes] = field(default_factory=list)  # of full blocks, as far as anybody has asked (blocks.py)
    num_cached_tokens: int = 0
    num_hit_tokens: int | None = None  # found in the cache when it was first admitted; None: still waiting for that
    num_preemptions: int = 0
    user: str = ""
    deadline: float | None = None  # by the engine's clock: ends here if it has not been admitted
    draft_ids: tuple[int, ...] = ()  # guesses at what follows, verified by the next step (speculation.py)
    prompt_logprobs: list[TokenLogprob | None] = field(default_factory=list)
    heal: bytes = b""  # bytes that the next tokens must begin with
    grammar: GrammarState | None = None  # where the output stands in its grammar

    @classmethod
    def from_request(cls, request: GenerationRequest, choice: int) -> Sequence:
        return cls(
            request_id=request.id,
            choice=choice,
            params=request.params,
            token_ids=[*request.prompt_token_ids, *request.prefix_token_ids],
            num_prompt_tokens=len(request.prompt_token_ids),
            num_prefix_tokens=len(request.prefix_token_ids),
            heal=request.heal,
            user=request.user,
            grammar=request.grammar.start(request.prefix_token_ids) if request.grammar is not None else None,
        )

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)

    @property
    def num_output_tokens(self) -> int:
        """Counts the continued prefix: it is the position that keys the sampling noise."""
        return len(self.token_ids) - self.num_prompt_tokens

    @property
    def num_new_tokens(self) -> int:
        return self.num_output_tokens - self.num_prefix_tokens

    @property
    def num_uncached_tokens(self) -> int:
        return len(self.token_ids) - self.num_cached_tokens

    @property
    def is_decoding(self) -> bool:
        """Only the newest token lacks its cache entry."""
        return self.num_cached_tokens > 0 and self.num_uncached_tokens == 1

    @property
    def is_finished(self) -> bool:
        return self.status is SequenceStatus.FINISHED

    @property
    def output_token_ids(self) -> list[int]:
        return self.token_ids[self.num_prompt_tokens :]

    def append(self, token_id: int, max_model_len: int) -> FinishReason | None:
        """Takes the sampled token; returns why the sequence ends with it, if it does."""
        self.token_ids.append(token_id)
        if token_id in self.params.stop_token_ids:
            return "stop"
        return self.length_reached(max_model_len)

    def length_reached(self, max_model_len: int, num_more: int = 0) -> FinishReason | None:
        """`num_more` tokens from now."""
        if self.num_output_tokens + num_more >= self.params.max_tokens or self.num_tokens + num_more >= max_model_len:
            return "length"
        return None
