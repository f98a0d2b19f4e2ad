"""The next token from a row of logits. Each row is worked on alone, so its token cannot depend on the batch.

Order, as in the field: penalties, temperature, top_k, top_p, then the draw. The draw is Gumbel-max with noise that is
a pure function of (seed, choice, position, token id): no generator state, equal on every device, and equal when an
interrupted answer is continued at the same position by another process.

Shapes: V vocabulary, U tokens seen, K candidates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.sequence import Sequence, TokenLogprob

_MASK64 = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # splitmix64's constants
_MIX1 = 0xBF58476D1CE4E5B9
_MIX2 = 0x94D049BB133111EB

# top_p is decided among the best 256 tokens where they hold enough of the probability, which is nearly always (0.15 ms
# of a 49152-token row on one core); then among 4096, then among all, which takes a sort (33 ms).
NUCLEUS_CANDIDATES = (256, 4096)


class SamplingError(ValueError):
    """This row cannot be sampled; the sequence it belongs to fails, no other."""


@dataclass(frozen=True, slots=True)
class Sample:
    token_id: int
    logprob: TokenLogprob | None


class Sampler:
    def __init__(self) -> None:
        # Kept as long as the sequence itself: counting 8192 tokens anew for each step would cost more than the draw.
        self._counts: WeakKeyDictionary[Sequence, _TokenCounts] = WeakKeyDictionary()

    def sample(
        self, logits_V: Tensor, sequence: Sequence, allowed_ids: list[int] | NDArray[np.int64] | None = None
    ) -> Sample:
        """The next token of `sequence`, one of `allowed_ids` where they are given. Raises SamplingError."""
        token_id = self.choose(logits_V, sequence, allowed_ids)
        if sequence.params.num_logprobs is None:
            return Sample(token_id, None)
        return Sample(token_id, token_logprob(logits_V, token_id, sequence.params.num_logprobs))

    def choose(
        self, logits_V: Tensor, sequence: Sequence, allowed_ids: list[int] | NDArray[np.int64] | None = None
    ) -> int:
        """The same token without its probability. Changes nothing: asked again, it answers the same."""
        params = sequence.params
        if not math.isfinite(float(logits_V.sum())):  # 8 times faster than looking at each
            raise SamplingError("the model gave logits that are not finite")
        penalised_V = self._penalise(logits_V, sequence)
        if allowed_ids is not None:
            if len(allowed_ids) == 0:
                raise SamplingError("no token may come next")
            allowed_K = torch.as_tensor(allowed_ids, dtype=torch.int64, device=logits_V.device)
            penalised_V = torch.full_like(logits_V, -1e9).index_copy(0, allowed_K, penalised_V[allowed_K])
        key = noise_key(params.seed, sequence.choice, sequence.num_output_tokens)
        return draw(penalised_V, params.temperature, params.top_k, params.top_p, key)

    def _penalise(self, logits_V: Tensor, sequence: Sequence) -> Tensor:
        """Only the tokens seen are touched: operations over the whole row cost ten times as much."""
        params = sequence.params
        if not params.has_penalties:
            return logits_V
        counts = self._counts.get(sequence)
        if counts is None:
            counts = self._counts[sequence] = _TokenCounts(logits_V.shape[0], logits_V.device)
        counts.catch_up(sequence)
        logits_U, output_U = logits_V[counts.ids_U], counts.output_V[counts.ids_U]
        if params.repetition_penalty != 1.0:
            p = params.repetition_penalty
            logits_U = torch.where(logits_U > 0, logits_U / p, logits_U * p)
        logits_U = logits_U - params.frequency_penalty * output_U - params.presence_penalty * (output_U > 0)
        return logits_V.index_copy(0, counts.ids_U, logits_U)


def draw(logits_V: Tensor, temperature: float, top_k: int, top_p: float, key: int) -> int:
    """The token of a row that has been penalised; `key` is noise_key's."""
    if temperature == 0.0:
        return _argmax(logits_V)
    ids_K, logits_K = _candidates(logits_V / temperature, top_k, top_p)
    return int(ids_K[_argmax(logits_K + gumbel_noise(key, ids_K))])


class _TokenCounts:
    """Which tokens a sequence has seen (prompt and output), and how often it has put each out."""

    def __init__(self, vocab_size: int, device: torch.device) -> None:
        self.ids_U = torch.empty(0, dtype=torch.int64, device=device)  # each once
        self.output_V = torch.zeros(vocab_size, dtype=torch.float32, device=device)
        self._num_counted = 0

    def catch_up(self, sequence: Sequence) -> None:
        device = self.ids_U.device
        new_ids = torch.tensor(sequence.token_ids[self._num_counted :], dtype=torch.int64, device=device)
        num_new_prompt = max(0, sequence.num_prompt_tokens - self._num_counted)
        self.ids_U = torch.unique(torch.cat([self.ids_U, new_ids]))
        output_ids = new_ids[num_new_prompt:]
        self.output_V.index_add_(0, output_ids, torch.ones_like(output_ids, dtype=torch.float32))
        self._num_counted = sequence.num_tokens


def token_logprob(logits_V: Tensor, token_id: int, num_top: int) -> TokenLogprob:
    """Raises SamplingError for a row that is not finite: JSON has no word for that."""
    logprobs_V = torch.log_softmax(logits_V.float(), dim=-1)
    logprob = float(logprobs_V[token_id])
    if not math.isfinite(logprob):
        raise SamplingError("the model gave logits that are not finite")
    top: list[tuple[int, float]] = []
    if num_top > 0:
        values, ids = logprobs_V.topk(num_top)
        top = list(zip(ids.tolist(), values.tolist(), strict=True))
    return TokenLogprob(token_id, logprob, tuple(top))


def _argmax(values_V: Tensor) -> int:
    """The first of the largest. On a CPU numpy's: of 49152 logits torch takes 44 us, this 5."""
    if values_V.device.type != "cpu":
        return int(values_V.argmax())
    return int(values_V.numpy().argmax())


def _candidates(logits_V: Tensor, top_k: int, top_p: float) -> tuple[Tensor, Tensor]:
    """Ids and logits of the tokens that may be drawn, best first where either limit is set."""
    vocab_size = logits_V.shape[0]
    if 0 < top_k < vocab_size:
        logits_K, ids_K = logits_V.topk(top_k)
        before_K = _mass_before(logits_K, torch.logsumexp(logits_K, dim=-1))
    elif top_p < 1.0:
        total = _log_total(logits_V)
        for num_candidates in (*NUCLEUS_CANDIDATES, vocab_size):
            logits_K, ids_K = logits_V.topk(min(num_candidates, vocab_size))
            before_K = _mass_before(logits_K, total)
            if float(before_K[-1]) >= top_p:
                break
    else:
        return torch.arange(vocab_size, device=logits_V.device), logits_V
    num_kept = max(1, int((before_K < top_p).sum())) if top_p < 1.0 else len(ids_K)
    return ids_K[:num_kept], logits_K[:num_kept]


def _log_total(logits_V: Tensor) -> Tensor:
    """logsumexp without denormal numbers: e^-88 and less takes a CPU 40 times as long, and adds nothing."""
    return torch.logsumexp(logits_V.clamp(min=float(logits_V.max()) - 80.0), dim=-1)


def _mass_before(logits_K: Tensor, total: Tensor) -> Tensor:
    """Probability of everything that ranks above each candidate."""
    probs_K = (logits_K - total).exp().double()
    return probs_K.cumsum(0) - probs_K


def noise_key(seed: int, choice: int, position: int) -> int:
    """64 well-mixed bits; neighbouring seeds, choices and positions give unrelated keys."""
    key = 0
    for part in (seed, choice, position):
        key = _splitmix64(key ^ (part & _MASK64))
    return key


def gumbel_noise(key: int, token_ids_K: Tensor) -> Tensor:
    """Gumbel noise for each token, float64 (K,), by hashing (key, token id) with splitmix64 in wrapping int64."""
    state_K = token_ids_K.to(torch.int64) * _signed(_GOLDEN) + _signed(key)
    state_K = (state_K ^ _shift_right(state_K, 30)) * _signed(_MIX1)
    state_K = (state_K ^ _shift_right(state_K, 27)) * _signed(_MIX2)
    state_K = state_K ^ _shift_right(state_K, 31)
    uniform_K = (_shift_right(state_K, 11).double() + 0.5) * 2.0**-53  # never 0 nor 1
    return -torch.log(-torch.log(uniform_K))


def _splitmix64(value: int) -> int:
    value = (value + _GOLDEN) & _MASK64
    value = ((value ^ (value >> 30)) * _MIX1) & _MASK64
    value = ((value ^ (value >> 27)) * _MIX2) & _MASK64
    return value ^ (value >> 31)


def _shift_right(bits: Tensor, count: int) -> Tensor:
    """Logical shift: torch's shift of int64 drags the sign along."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >> 63 else bits
