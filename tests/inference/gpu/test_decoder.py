"""Decoding in static shapes, one step ahead: the same tokens as the engine's own loop, and every end told once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.blocks import BlockPool
from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.engine import Delta, Engine
from inference.gpu.attention import keep_best
from inference.gpu.decoder import RowDecoder
from inference.grammar import GrammarCompiler
from inference.model import Model, load_model
from inference.model.indexer import keep_topk
from inference.scheduler import Scheduler
from inference.sequence import GenerationRequest, SamplingParams
from inference.tokenizer import Tokenizer
from tests.inference.plain_reference import random_tensors, with_equal_experts
from tests.inference.test_engine import POISON, ids_of, request_of, run, text_of
from tests.inference.test_extended_family import GROUPED, VARIANTS
from tests.inference.test_parallel import RELEASED_LIKE


def engines_of(model: Model, tokenizer: Tokenizer, num_blocks: int = 64, **options: Any) -> tuple[Engine, Engine]:
    """The engine as it is, and one with a decoder. Memory that nobody has written is NaN."""
    engines = []
    for decodes in (False, True):
        cache = PagedCache(model.config, num_blocks + 1, 8, "cpu", torch.float32)
        cache.latent_LNBGW.fill_(torch.nan)
        cache.index_LNBJ.fill_(torch.nan)
        seqs = options.get("max_num_seqs", 8)
        scheduler = Scheduler(BlockPool(num_blocks, 8), seqs, 32)
        length = model.config.max_position_embeddings
        decoder = RowDecoder(model, cache, num_blocks, seqs, length) if decodes else None
        engines.append(Engine(model, cache, scheduler, tokenizer, length, decoder=decoder))
    return engines[0], engines[1]


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Model:
    return load_model(tiny_checkpoint, "cpu", torch.float32)


def answers(deltas: dict[str, list[Delta]], requests: list[GenerationRequest]) -> list[list[int]]:
    return [ids_of(deltas[r.id], choice) for r in requests for choice in range(r.num_choices)]


def test_ahead_the_tokens_are_the_same(model: Model, tokenizer: Tokenizer) -> None:
    """Prompts below and above index_topk, read in chunks beside answers; greedy, drawn, and more than fit at once."""
    requests = [request_of(f"r{i}", length=12 + 17 * i, temperature=0.9 * (i % 3)) for i in range(10)]
    requests[3] = replace(requests[3], num_choices=2)
    plain, ahead = engines_of(model, tokenizer)
    right = answers(run(plain, *requests), requests)
    assert answers(run(ahead, *requests), requests) == right
    assert sum(map(len, right)) > 150


CONFIGS = {
    **VARIANTS,
    "as released": RELEASED_LIKE,
    "equal experts": replace(GROUPED, num_latent_groups=1),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_member_of_the_family_decodes_alike(name: str, tokenizer: Tokenizer) -> None:
    config: ModelConfig = replace(CONFIGS[name], vocab_size=400)
    tensors = random_tensors(config)
    if name == "equal experts":
        tensors = with_equal_experts(tensors, 4)
    model = Model(config, tensors.__getitem__)
    requests = [request_of(f"r{i}", length=3 + 4 * i, temperature=0.0) for i in range(3)]
    plain, ahead = engines_of(model, tokenizer)
    assert answers(run(ahead, *requests), requests) == answers(run(plain, *requests), requests)
    counted = model.expert_counts.clone()
    model.expert_counts.zero_()
    run(engines_of(model, tokenizer)[1], *requests)
    wasted = counted.sum() / 2 - model.expert_counts.sum()
    assert wasted == 0, "only real rows are counted, and none of these ended unexpectedly"


def test_ends_that_are_found_late_waste_one_token_and_no_block(model: Model, tokenizer: Tokenizer) -> None:
    plain, ahead = engines_of(model, tokenizer)
    free = request_of("free", temperature=0.0)
    deltas = run(plain, free)["free"]
    ids, text = ids_of(deltas), text_of(deltas)
    requests = [
        replace(free, id="string", params=replace(free.params, stop=(text[8:11],))),
        replace(free, id="token", params=replace(free.params, stop_token_ids=frozenset({ids[7]}))),
        replace(free, id="length", params=replace(free.params, max_tokens=7)),
        replace(free, id="one", params=replace(free.params, max_tokens=1)),
        free,
    ]
    right, got = run(plain, *requests), run(ahead, *requests)
    for request in requests:
        assert ids_of(got[request.id]) == ids_of(right[request.id])
        assert text_of(got[request.id]) == text_of(right[request.id])
        ends = [(d.finish_reason, d.usage) for d in (got[request.id][-1], right[request.id][-1])]
        assert ends[0][0] == ends[1][0] and ends[0][1].num_new_tokens == ends[1][1].num_new_tokens


def test_who_is_cancelled_while_a_step_is_on_its_way_ends_once(model: Model, tokenizer: Tokenizer) -> None:
    _, engine = engines_of(model, tokenizer)
    deltas = [delta for name in ("goes", "stays") for delta in engine.add(request_of(name, temperature=0.0))]
    while engine._ahead is None or len(engine._ahead.chunks) < 2:
        deltas += engine.step()
    deltas += engine.abort("goes")
    free_blocks = engine.scheduler.blocks.num_free_blocks
    deltas += engine.add(request_of("comes", temperature=0.0))  # may take the blocks of who went
    while engine.has_work:
        deltas += engine.step()
        engine.scheduler.check()
    ends = {delta.request_id: delta.finish_reason for delta in deltas if delta.finish_reason}
    assert ends == {"goes": "cancelled", "stays": "length", "comes": "length"}
    assert sum(delta.finish_reason is not None for delta in deltas) == 3 and free_blocks > 0
    engine.check_integrity()
    alone = run(engines_of(model, tokenizer)[0], request_of("stays", temperature=0.0))["stays"]
    assert ids_of([d for d in deltas if d.request_id == "stays"]) == ids_of(alone)


def test_penalties_fall_on_what_the_host_would_count(model: Model, tokenizer: Tokenizer) -> None:
    """Answers that come and go, are preempted, continue a prefix, or have a prompt of one token."""
    penalties = {"repetition_penalty": 1.3, "frequency_penalty": 0.4, "presence_penalty": 0.2}
    requests = [request_of(f"p{i}", length=25 + 3 * i, temperature=0.7 * (i % 2), **penalties) for i in range(4)]
    requests += [request_of("free"), request_of("again", prefix=(9, 9, 8, 7), repetition_penalty=1.5, top_k=20)]
    requests += [GenerationRequest("short", (7,), replace(requests[0].params, top_p=0.9))]
    plain, ahead = engines_of(model, tokenizer)
    right = answers(run(plain, *requests), requests)
    assert answers(run(ahead, *requests), requests) == right
    _, tight = engines_of(model, tokenizer, num_blocks=19)
    assert answers(run(tight, *requests), requests) == right and tight.scheduler.num_preemptions > 0
    without = [replace(r, params=replace(r.params, repetition_penalty=1.0, frequency_penalty=0.0)) for r in requests]
    assert answers(run(ahead, *without), requests) != right


def test_what_the_device_cannot_sample_is_sampled_by_the_host(model: Model, tokenizer: Tokenizer) -> None:
    """Log-probabilities, a healed prefix and a grammar, beside answers that could run ahead."""
    grammar = GrammarCompiler(tokenizer, frozenset({0})).compile('start: "the " /[a-z]{4}/')
    requests = [
        request_of("plain", temperature=0.0),
        request_of("penalised", repetition_penalty=1.3),
        request_of("scored", num_logprobs=2, prompt_logprobs=True),
        replace(request_of("healed"), heal=b"t"),
        replace(request_of("kept", stop_token_ids=frozenset({0})), grammar=grammar),
        request_of("nucleus", top_p=0.8),
    ]
    plain, ahead = engines_of(model, tokenizer)
    right, got = run(plain, *requests), run(ahead, *requests)
    assert answers(got, requests) == answers(right, requests)
    for left, other in zip(right["scored"], got["scored"], strict=True):
        assert [t.token_id for t in left.logprobs] == [t.token_id for t in other.logprobs]


def test_short_of_blocks_answers_are_preempted_and_stay_the_same(model: Model, tokenizer: Tokenizer) -> None:
    requests = [request_of(f"p{i}", length=30 + i, temperature=0.0) for i in range(4)]
    _, roomy = engines_of(model, tokenizer)
    _, tight = engines_of(model, tokenizer, num_blocks=19)
    assert answers(run(tight, *requests), requests) == answers(run(roomy, *requests), requests)
    assert tight.scheduler.num_preemptions > 0


def test_a_row_that_is_no_number_fails_alone(tiny_checkpoint: Path, tokenizer: Tokenizer) -> None:
    """Its embedding is NaN; the rows beside it go on."""
    model = load_model(tiny_checkpoint, "cpu", torch.float32)
    model.embedding_VD = model.embedding_VD.clone()
    model.embedding_VD[POISON] = torch.nan
    plain, ahead = engines_of(model, tokenizer)
    good = request_of("good", temperature=0.0)
    (first,) = ids_of(run(plain, request_of("first", temperature=0.0, max_tokens=1))["first"])
    bad = replace(request_of("first", temperature=0.0), id="bad", prefix_token_ids=(first, POISON))
    deltas = run(ahead, good, bad)
    assert deltas["bad"][-1].finish_reason == "error" and "not finite" in (deltas["bad"][-1].error or "")
    assert ids_of(deltas["good"]) == ids_of(run(plain, good)["good"])


def test_a_launch_that_fails_is_found_out_alone(model: Model, tokenizer: Tokenizer) -> None:
    plain, ahead = engines_of(model, tokenizer)
    launch, seen = ahead.decoder.launch, []  # type: ignore[union-attr]

    def breaking(chunks: list[Any], after: Any = None) -> Any:
        seen.append(len(chunks))
        if any(chunk.sequence.request_id == "bad" and chunk.sequence.num_new_tokens > 3 for chunk in chunks):
            raise RuntimeError("cannot be launched")
        return launch(chunks, after)

    ahead.decoder.launch = breaking  # type: ignore[union-attr,method-assign]
    requests = [request_of(name, temperature=0.0) for name in ("good", "bad", "other")]
    deltas, right = run(ahead, *requests), run(plain, *requests)
    assert deltas["bad"][-1].finish_reason == "error" and 3 in seen
    for name in ("good", "other"):
        assert ids_of(deltas[name]) == ids_of(right[name]) and deltas[name][-1].finish_reason == "length"


@pytest.mark.parametrize("k", [1, 3, 8, 20])
def test_the_best_are_those_of_the_indexer(k: int) -> None:
    """With ties at zero, rows that see less than k, and NaN."""
    scores_SC = torch.randn(6, 16, generator=torch.Generator().manual_seed(k)).relu_()
    scores_SC[0, 5:] = -torch.inf
    scores_SC[1, 3] = torch.nan
    scores_SC[2] = 0
    assert torch.equal(keep_best(scores_SC, k), keep_topk(scores_SC.clone(), k))


def test_a_lone_prompt_of_one_token_is_decoded(model: Model, tokenizer: Tokenizer) -> None:
    request = GenerationRequest("short", (7,), SamplingParams(max_tokens=5, temperature=0.0))
    plain, ahead = engines_of(model, tokenizer)
    assert ids_of(run(ahead, request)["short"]) == ids_of(run(plain, request)["short"])
