"""Our side: the engine as the server has it, step by step, without the server."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F

from inference.bench.side import Tokens, Written
from inference.engine import Delta, Engine, build_batch
from inference.scheduler import Chunk
from inference.sequence import GenerationRequest, SamplingParams
from inference.sequence import Sequence as EngineSequence
from inference.serve import ServeSettings, load


class OurSide:
    def __init__(self, engine: Engine, settings: ServeSettings, load_s: float) -> None:
        self._engine = engine
        self._settings = settings
        self._load_s = load_s

    @classmethod
    def from_settings(cls, values: dict[str, Any]) -> Self:
        """`values` are those of ServeSettings."""
        settings = ServeSettings(**values | {"model": Path(values["model"])})
        torch.set_num_threads(settings.threads)
        started = time.perf_counter()
        loaded = load(settings, lambda stage: None)
        return cls(loaded.engine, settings, time.perf_counter() - started)

    def about(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "torch": torch.__version__,
            "device": settings.device,
            "dtype": settings.dtype,
            "weights": settings.weights,
            "computed_by": type(self._engine.model).__name__,
            "threads": settings.threads,
            "max_num_batched_tokens": settings.max_num_batched_tokens,
            "load_s": round(self._load_s, 2),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }

    def prefill(self, prompt: Tokens) -> float:
        started = time.perf_counter()
        self._begin([prompt])
        seconds = time.perf_counter() - started
        self._end()
        return seconds

    def decode(self, prompts: Sequence[Tokens], num_tokens: int) -> Written:
        sequences = self._begin(prompts)
        before = [sequence.num_new_tokens for sequence in sequences]
        started = time.perf_counter()
        while any(s.num_new_tokens < known + num_tokens for s, known in zip(sequences, before, strict=True)):
            self._step()
        seconds = time.perf_counter() - started
        written = sum(sequence.num_new_tokens for sequence in sequences) - sum(before)
        self._end()
        return Written(written, seconds)

    def perplexity(self, texts: Sequence[Tokens], rows: int) -> float:
        """As the engine computes: `rows` of 64 is a prompt that is read, 1 is an answer that is written."""
        blocks = self._engine.scheduler.blocks
        params = SamplingParams(max_tokens=0, prompt_logprobs=True)  # wants every row's logits, and no prefix cache
        sequences = [EngineSequence.from_request(GenerationRequest("", tuple(text), params), 0) for text in texts]
        for sequence in sequences:
            blocks.allocate(sequence)
        loss = math.fsum(self._losses(sequences, start, rows) for start in range(0, len(texts[0]), rows))
        for sequence in sequences:
            blocks.free(sequence)
        return math.exp(loss / (len(texts) * (len(texts[0]) - 1)))

    def _losses(self, sequences: list[EngineSequence], start: int, rows: int) -> float:
        """Summed over the tokens that rows [start, start + rows) of every sequence predict."""
        end = min(start + rows, sequences[0].num_tokens)
        batch = build_batch(
            [Chunk(s, start, end) for s in sequences], self._engine.cache.block_size, self._engine.device
        )
        with torch.inference_mode():
            logits_LV = self._engine.model.forward(batch, self._engine.cache)
            logits_SRV = torch.unflatten(logits_LV, 0, (len(sequences), -1))
            next_ids = [s.token_ids[start + 1 : end + 1] for s in sequences]  # one fewer in the last step
            targets = torch.tensor(next_ids, dtype=torch.int64, device=logits_SRV.device)
            predicted_SRV = logits_SRV[:, : targets.shape[1]]
            return float(F.cross_entropy(predicted_SRV.flatten(0, 1), targets.flatten(), reduction="sum"))

    def _begin(self, prompts: Sequence[Tokens]) -> list[EngineSequence]:
        """Every prompt has been read and has its first token."""
        params = SamplingParams(max_tokens=self._engine.max_model_len, temperature=0.0)
        for number, prompt in enumerate(prompts):
            self._check(self._engine.add(GenerationRequest(f"bench-{number}", tuple(prompt), params)))
        scheduler = self._engine.scheduler
        while scheduler.waiting or not all(sequence.num_new_tokens for sequence in scheduler.running):
            self._step()
        return list(scheduler.running)

    def _step(self) -> None:
        self._check(self._engine.step())

    def _check(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            if delta.finish_reason is not None:
                raise RuntimeError(f"a sequence ended early: {delta.error or delta.finish_reason}")

    def _end(self) -> None:
        self._engine.abort_all()
        self._engine.check_integrity()


def settings_of(settings: ServeSettings) -> dict[str, Any]:
    """What `from_settings` reads, as JSON can carry it."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return values | {"model": str(settings.model.resolve())}
