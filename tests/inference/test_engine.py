from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from inference.async_engine import AsyncEngine, EngineStopped
from inference.batch import Batch
from inference.blocks import BlockPool
from inference.cache import PagedCache
from inference.engine import Delta, Engine
from inference.grammar import GrammarCompiler
from inference.model import Model, load_model
from inference.scheduler import Scheduler
from inference.sequence import GenerationRequest, SamplingParams
from inference.tokenizer import Tokenizer

POISON = 399  # the token at which a model that is told to breaks


class BreakingModel:
    """The real model, except that it cannot compute one token."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        if bool((batch.token_ids_T == POISON).any()):
            raise RuntimeError("poisoned")
        return self._model.forward(batch, cache)


class NanModel(BreakingModel):
    """Gives logits that are no numbers for the rows of one token."""

    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        logits_LV = self._model.forward(batch, cache).clone()
        logits_LV[batch.token_ids_T[batch.logits_rows_L] == POISON] = float("nan")
        return logits_LV


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Model:
    return load_model(tiny_checkpoint, "cpu", torch.float32)


@pytest.fixture
def engine(model: Model, tokenizer: Tokenizer) -> Engine:
    return engine_of(model, tokenizer)


def engine_of(
    model: Model | BreakingModel,
    tokenizer: Tokenizer,
    num_blocks: int = 64,
    max_num_seqs: int = 8,
    budget: int = 32,
    prefix_caching: bool = True,
    **options: Any,
) -> Engine:
    config = model.config if isinstance(model, Model) else model._model.config
    cache = PagedCache(config, num_blocks, 8, "cpu", torch.float32)
    cache.latent_LNBGW.fill_(torch.nan)
    cache.index_LNBJ.fill_(torch.nan)
    scheduler = Scheduler(BlockPool(num_blocks, 8, prefix_caching), max_num_seqs, budget)
    return Engine(model, cache, scheduler, tokenizer, max_model_len=config.max_position_embeddings, **options)


def request_of(name: str, length: int = 20, prefix: tuple[int, ...] = (), **params: object) -> GenerationRequest:
    generator = torch.Generator().manual_seed(sum(name.encode()))
    prompt = torch.randint(4, POISON, (length,), generator=generator).tolist()
    sampling = SamplingParams(max_tokens=24, seed=length)
    return GenerationRequest(name, tuple(prompt), replace(sampling, **params), prefix)  # type: ignore[arg-type]


def run(engine: Engine, *requests: GenerationRequest) -> dict[str, list[Delta]]:
    """The deltas of each request. Every one must end exactly once, and no block may stay behind."""
    deltas = [delta for request in requests for delta in engine.add(request)]
    while engine.has_work:
        deltas += engine.step()
        engine.scheduler.check()
    by_request: dict[str, list[Delta]] = defaultdict(list)
    for delta in deltas:
        by_request[delta.request_id].append(delta)
    for request in requests:
        ends = [delta.choice for delta in by_request[request.id] if delta.finish_reason is not None]
        assert sorted(ends) == list(range(request.num_choices))
    engine.check_integrity()
    assert engine.scheduler.blocks.num_free_blocks == engine.scheduler.blocks.num_blocks
    return by_request


def ids_of(deltas: list[Delta], choice: int = 0) -> list[int]:
    return [token_id for delta in deltas if delta.choice == choice for token_id in delta.token_ids]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def test_a_request_is_the_same_alone_and_among_seven_others(model: Model, tokenizer: Tokenizer) -> None:
    """In fp32: prompts below and above index_topk, read in chunks beside others that are answering."""
    requests = [request_of(f"r{i}", length=12 + 17 * i, temperature=0.9) for i in range(8)]
    together = run(engine_of(model, tokenizer), *requests)
    for request in requests:
        alone = run(engine_of(model, tokenizer, budget=512), request)[request.id]
        assert ids_of(together[request.id]) == ids_of(alone) and len(ids_of(alone)) > 10


def test_preempted_requests_say_the_same(model: Model, tokenizer: Tokenizer) -> None:
    requests = [request_of(f"p{i}", length=30 + i) for i in range(4)]
    tight = engine_of(model, tokenizer, num_blocks=19)
    crowded = run(tight, *requests)
    assert tight.scheduler.num_preemptions > 0
    roomy = run(engine_of(model, tokenizer), *requests)
    assert {name: ids_of(d) for name, d in crowded.items()} == {name: ids_of(d) for name, d in roomy.items()}


def test_a_cached_prefix_changes_no_token(model: Model, tokenizer: Tokenizer) -> None:
    """Conversations that grow turn by turn above index_topk, side by side, with too few blocks for all of them."""
    cached = engine_of(model, tokenizer, num_blocks=45)
    plain = engine_of(model, tokenizer, num_blocks=45, prefix_caching=False)
    turns = [request_of(f"t{i}", length=60 + 9 * i) for i in range(3)]
    num_hits = []
    for turn in range(4):
        with_cache, without = run(cached, *turns), run(plain, *turns)
        answers = {name: ids_of(deltas) for name, deltas in with_cache.items()}
        assert answers == {name: ids_of(deltas) for name, deltas in without.items()}
        num_hits.append([deltas[-1].usage.num_hit_tokens for deltas in with_cache.values()])
        assert all(deltas[-1].usage.num_hit_tokens == 0 for deltas in without.values())
        turns = [replace(t, prompt_token_ids=(*t.prompt_token_ids, *answers[t.id], 9 + turn)) for t in turns]
    assert num_hits[0] == [0, 0, 0] and sum(map(sum, num_hits)) > 200
    assert all(num_hits[1])


def test_company_the_cache_preemption_and_a_cut_change_no_token_together(model: Model, tokenizer: Tokenizer) -> None:
    """All above index_topk: eight questions on one document and too few blocks, then each answer cut and continued."""
    document = request_of("document", length=70).prompt_token_ids
    requests = [request_of(f"c{i}", length=4 + 8 * i, temperature=0.9) for i in range(8)]
    requests = [replace(r, prompt_token_ids=(*document, *r.prompt_token_ids)) for r in requests]
    plain = engine_of(model, tokenizer, budget=512, prefix_caching=False)
    alone = {request.id: ids_of(run(plain, request)[request.id]) for request in requests}
    tight = engine_of(model, tokenizer, num_blocks=40)
    together = run(tight, *requests)
    assert {name: ids_of(deltas) for name, deltas in together.items()} == alone
    assert tight.scheduler.num_preemptions > 0
    assert sum(deltas[-1].usage.num_hit_tokens > 0 for deltas in together.values()) >= 6
    num_preemptions = tight.scheduler.num_preemptions
    cuts = {request.id: alone[request.id][: 2 * i + 1] for i, request in enumerate(requests)}
    continued = run(tight, *(replace(r, prefix_token_ids=tuple(cuts[r.id])) for r in requests))
    assert {name: cuts[name] + ids_of(deltas) for name, deltas in continued.items()} == alone
    assert tight.scheduler.num_preemptions > num_preemptions


def test_an_interrupted_answer_is_found_by_the_next_turn(engine: Engine) -> None:
    request = request_of("cut", length=20, max_tokens=100)
    deltas = engine.add(request)
    while len(ids_of(deltas)) < 30:
        deltas += engine.step()
    deltas += engine.abort("cut")
    prompt = (*request.prompt_token_ids, *ids_of(deltas), 5, 6, 7)
    again = run(engine, replace(request_of("next"), prompt_token_ids=prompt))["next"]
    assert again[-1].usage.num_hit_tokens == (20 + len(ids_of(deltas)) - 1) // 8 * 8, "the last token was not computed"


def test_the_cache_is_no_answer_to_who_wants_the_prompt_scored(engine: Engine) -> None:
    request = request_of("score", length=40, prompt_logprobs=True, num_logprobs=0, max_tokens=0)
    first, second = run(engine, request)["score"][-1], run(engine, request)["score"][-1]
    assert first.prompt_logprobs == second.prompt_logprobs and second.usage.num_hit_tokens == 0
    assert second.prompt_logprobs is not None and len(second.prompt_logprobs) == 40


def test_who_waits_too_long_is_told_so(model: Model, tokenizer: Tokenizer) -> None:
    now = 0.0
    engine = engine_of(model, tokenizer, max_num_seqs=1, max_wait_s=60, clock=lambda: now)
    deltas = [delta for name in ("runs", "waits") for delta in engine.add(request_of(name))]
    deltas += engine.step()
    now = 61.0
    deltas += engine.step()
    assert [(d.request_id, d.finish_reason) for d in deltas if d.finish_reason] == [("waits", "expired")]
    while engine.has_work:
        deltas += engine.step()
    assert deltas[-1].request_id == "runs" and deltas[-1].finish_reason == "length"
    engine.check_integrity()


@pytest.mark.parametrize("params", [{}, {"repetition_penalty": 1.3, "frequency_penalty": 0.4, "presence_penalty": 0.2}])
def test_an_answer_continued_from_any_of_its_prefixes_is_the_same(engine: Engine, params: dict[str, float]) -> None:
    whole = ids_of(run(engine, request_of("whole", seed=9, **params))["whole"])
    for cut in range(1, len(whole), 3):
        request = replace(request_of("whole", seed=9, **params), id=f"cut{cut}", prefix_token_ids=tuple(whole[:cut]))
        deltas = run(engine, request)[request.id]
        assert whole[:cut] + ids_of(deltas) == whole
        assert deltas[-1].finish_reason == "length", "max_tokens counts the prefix"


def test_a_healed_prefix_is_written_as_the_model_writes_it(engine: Engine, tokenizer: Tokenizer) -> None:
    """Greedy: cut the free answer inside a token, and the healed continuation is the free answer again."""
    free = run(engine, request_of("free", temperature=0.0))["free"]
    ids, text = ids_of(free), text_of(free)
    cut = next(i for i, token_id in enumerate(ids) if i > 3 and len(tokenizer.token_bytes(token_id)) > 1)
    begun = tokenizer.token_bytes(ids[cut])[:1]
    healed = replace(request_of("free", temperature=0.0), prefix_token_ids=tuple(ids[:cut]), heal=begun)
    deltas = run(engine, healed)["free"]
    assert (tokenizer.decode(ids[:cut]).encode() + begun).decode("utf-8", "replace") + text_of(deltas) == text


def test_a_prefix_that_is_already_full_ends_at_once(engine: Engine) -> None:
    (delta,) = run(engine, request_of("full", prefix=(5,) * 24))["full"]
    assert delta.finish_reason == "length" and delta.text == "" and delta.usage.num_new_tokens == 0


def test_choices_differ_and_are_each_repeatable(engine: Engine) -> None:
    request = replace(request_of("n"), num_choices=3)
    first = run(engine, request)["n"]
    second = run(engine, replace(request, id="m"))["m"]
    assert [ids_of(first, c) for c in range(3)] == [ids_of(second, c) for c in range(3)]
    assert len({tuple(ids_of(first, c)) for c in range(3)}) == 3


def test_an_end_token_stops_and_is_not_told(engine: Engine) -> None:
    deltas = run(engine, request_of("free"))["free"]
    free, ends = ids_of(deltas), [len(ids_of(deltas[: i + 1])) for i in range(len(deltas) - 1)]
    end = next(end for end in ends if end > 4 and free[end] not in free[:end])  # where a whole character ends
    stopped = run(engine, request_of("free", stop_token_ids=frozenset({free[end]})))["free"]
    assert stopped[-1].finish_reason == "stop"
    assert ids_of(stopped) == free[:end] and stopped[-1].usage.num_new_tokens == end + 1


def test_a_stop_string_stops(engine: Engine, tokenizer: Tokenizer) -> None:
    text = text_of(run(engine, request_of("free"))["free"])
    stop = text[8:11]
    deltas = run(engine, request_of("free", stop=(stop,)))["free"]
    assert deltas[-1].finish_reason == "stop"
    assert text_of(deltas) == text[: text.index(stop)] == tokenizer.decode(ids_of(deltas))


def test_the_context_is_a_limit_of_its_own(model: Model, tokenizer: Tokenizer) -> None:
    engine = engine_of(model, tokenizer, num_blocks=4)
    deltas = run(engine, request_of("long", length=28))["long"]
    assert deltas[-1].finish_reason == "length" and deltas[-1].usage.num_new_tokens == 4


def test_a_poisoned_request_fails_alone(model: Model, tokenizer: Tokenizer) -> None:
    engine = engine_of(BreakingModel(model), tokenizer)
    good, bad = request_of("good"), request_of("bad")
    bad = replace(bad, prompt_token_ids=(*bad.prompt_token_ids, POISON))
    deltas = run(engine, good, bad, request_of("other"))
    assert deltas["bad"][-1].finish_reason == "error" and deltas["bad"][-1].error == "RuntimeError: poisoned"
    assert ids_of(deltas["good"]) == ids_of(run(engine_of(model, tokenizer), good)["good"])
    assert deltas["other"][-1].finish_reason == "length"


def test_logits_that_are_no_numbers_fail_one_request(model: Model, tokenizer: Tokenizer) -> None:
    engine = engine_of(NanModel(model), tokenizer)
    bad = replace(request_of("bad"), prompt_token_ids=(7, POISON))
    deltas = run(engine, bad, request_of("good"))
    assert "not finite" in (deltas["bad"][-1].error or "")
    assert deltas["good"][-1].finish_reason == "length"


def test_a_request_that_cannot_fit_is_answered_with_an_error(model: Model, tokenizer: Tokenizer) -> None:
    deltas = run(engine_of(model, tokenizer, num_blocks=2), request_of("big", length=17))["big"]
    assert deltas[-1].finish_reason == "error" and "17 tokens do not fit" in (deltas[-1].error or "")


def test_a_prefix_that_breaks_its_grammar_ends_its_own_request(
    model: Model, tokenizer: Tokenizer, engine: Engine
) -> None:
    """The server refuses such a prefix by name; here it reaches the engine, among others that are being answered."""
    grammar = GrammarCompiler(tokenizer, [0]).compile('start: "the cat" | "the dog"')
    broken = replace(
        request_of("broken"), grammar=grammar, num_choices=2, prefix_token_ids=tuple(tokenizer.encode("no"))
    )
    kept = replace(request_of("kept"), grammar=grammar)
    deltas = run(engine, request_of("good"), broken, kept)
    assert [d.finish_reason for d in deltas["broken"]] == ["error", "error"]
    assert "leaves the format" in (deltas["broken"][0].error or "") and deltas["broken"][0].usage.num_prompt_tokens > 20
    assert ids_of(deltas["good"]) == ids_of(run(engine_of(model, tokenizer), request_of("good"))["good"])
    assert text_of(deltas["kept"]) in ("the cat", "the dog")


def test_scores_that_are_no_numbers_fail_one_request(model: Model, tokenizer: Tokenizer) -> None:
    engine = engine_of(NanModel(model), tokenizer)
    scored = {"prompt_logprobs": True, "num_logprobs": 1, "max_tokens": 0}
    bad, good = request_of("bad", **scored), request_of("good", **scored)
    deltas = run(engine, replace(bad, prompt_token_ids=(7, POISON, 8, 9)), good)
    assert "not finite" in (deltas["bad"][-1].error or "")
    assert deltas["good"][-1].finish_reason == "length"


def test_abort_frees_before_the_next_step(engine: Engine) -> None:
    engine.add(replace(request_of("n"), num_choices=2))
    engine.add(request_of("stays"))
    for _ in range(4):
        engine.step()
    (first, second) = engine.abort("n")
    assert first.finish_reason == second.finish_reason == "cancelled"
    assert [sequence.request_id for sequence in engine.scheduler.running] == ["stays"]
    engine.scheduler.check()
    assert engine.abort("n") == []
    engine.abort_all()
    assert engine.scheduler.blocks.num_free_blocks == 64


def test_prompt_logprobs_are_the_models_scores(engine: Engine, model: Model) -> None:
    request = request_of("score", length=100, prompt_logprobs=True, num_logprobs=1, max_tokens=0)
    (delta,) = run(engine, request)["score"]
    assert delta.prompt_logprobs is not None and delta.prompt_logprobs[0] is None and len(delta.prompt_logprobs) == 100
    again = run(engine, replace(request_of("score", length=100, num_logprobs=0, max_tokens=1), id="next"))["next"]
    assert again[-1].logprobs[0].logprob <= 0
    cut = replace(request, prompt_token_ids=request.prompt_token_ids[:50], params=replace(request.params, max_tokens=1))
    (shorter,) = run(engine, cut)["score"]
    assert shorter.prompt_logprobs is not None
    for one, other in zip(delta.prompt_logprobs[1:50], shorter.prompt_logprobs[1:], strict=True):
        assert one is not None and other is not None and one.logprob == pytest.approx(other.logprob, abs=1e-4)


async def test_closing_the_iterator_frees_the_blocks(model: Model, tokenizer: Tokenizer) -> None:
    front = AsyncEngine(engine_of(model, tokenizer))
    front.start()
    async with aclosing(front.generate(request_of("closed", max_tokens=400))) as deltas:
        async for _ in deltas:
            assert front.engine.scheduler.blocks.num_free_blocks < 64
            break
    await eventually(lambda: front.engine.scheduler.blocks.num_free_blocks == 64)
    assert front.num_requests == 0
    await front.stop()


async def test_stopping_ends_every_request_and_takes_no_more(model: Model, tokenizer: Tokenizer) -> None:
    front = AsyncEngine(engine_of(model, tokenizer))
    front.start()
    reader = asyncio.create_task(last_of(front, request_of("cut", max_tokens=400)))
    await eventually(lambda: front.num_requests == 1)
    await front.stop()
    assert (await reader).finish_reason == "cancelled"
    with pytest.raises(EngineStopped):
        await last_of(front, request_of("late"))
    assert not front.is_alive


async def test_readers_are_told_when_the_engine_itself_dies(model: Model, tokenizer: Tokenizer) -> None:
    deaths: list[str] = []
    engine = engine_of(model, tokenizer)
    engine.scheduler.blocks = None  # type: ignore[assignment]  # a bug of our own, not of a request
    front = AsyncEngine(engine, on_death=lambda: deaths.append("dead"))
    front.start()
    with pytest.raises(EngineStopped):
        engine.scheduler.waiting.append(None)  # type: ignore[arg-type]
        await last_of(front, request_of("victim"))
        await last_of(front, request_of("next"))
    await eventually(lambda: deaths == ["dead"])


async def last_of(front: AsyncEngine, request: GenerationRequest) -> Delta:
    last = None
    async with aclosing(front.generate(request)) as deltas:
        async for delta in deltas:
            last = delta
    assert last is not None
    return last


async def eventually(condition: object) -> None:
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)
