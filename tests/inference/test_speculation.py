"""Speculative decoding: the same tokens in fewer steps, on a checkpoint whose guesses are sometimes right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.convert import convert
from inference.engine import Delta
from inference.grammar import GrammarCompiler, json_rule
from inference.model import Model, load_model
from inference.scheduler import Scheduler
from inference.sequence import GenerationRequest, SamplingParams, Sequence
from inference.tokenizer import Tokenizer
from tests.inference.asking import post, read_metrics
from tests.inference.conftest import ServerStarter
from tests.inference.drafting import LENGTH, TEXT, Drafting, find_draft_checkpoint
from tests.inference.stepping import Stepper, random_tokens
from tests.inference.test_engine import engine_of, ids_of, run, text_of
from tests.inference.test_scheduler import compute, scheduler_of, sequence_of

GREEDY: dict[str, Any] = {"temperature": 0.0}
PENALISED: dict[str, Any] = {"repetition_penalty": 1.2, "frequency_penalty": 0.4, "presence_penalty": 0.2}
KINDS: dict[str, dict[str, Any]] = {
    "greedy": GREEDY,
    "seeded": {},
    "narrow": {"temperature": 0.7, "top_p": 0.9},
    "penalised": PENALISED,
    "greedy and penalised": GREEDY | PENALISED,
}


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return find_draft_checkpoint()


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Model:
    return load_model(checkpoint, "cpu", torch.float32)


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> Tokenizer:
    return Tokenizer(checkpoint)


class Pair:
    """Two engines over one model, with and without guesses, that are asked the same."""

    def __init__(self, model: Model, tokenizer: Tokenizer, **options: Any) -> None:
        self.guessing = engine_of(model, tokenizer, drafter=model, **options)
        self.plain = engine_of(model, tokenizer, **options)
        self._text = tokenizer.encode(TEXT)

    @property
    def acceptance(self) -> float:
        stats = self.guessing.stats
        return stats.num_accepted_tokens / stats.num_draft_tokens

    def request(self, name: str, start: int = 0, length: int = 20, **params: Any) -> GenerationRequest:
        """Continues the text from somewhere."""
        sampling = SamplingParams(max_tokens=40, seed=start + length)
        return GenerationRequest(name, tuple(self._text[start : start + length]), replace(sampling, **params))

    def run(self, *requests: GenerationRequest) -> dict[str, list[Delta]]:
        """The guessing engine's deltas, which say what the plain one's say, with equal ends, usage and scores."""
        guessed, plain = run(self.guessing, *requests), run(self.plain, *requests)
        for request in requests:
            for choice in range(request.num_choices):
                one = [delta for delta in guessed[request.id] if delta.choice == choice]
                other = [delta for delta in plain[request.id] if delta.choice == choice]
                assert ids_of(one, choice) == ids_of(other, choice) and text_of(one) == text_of(other)
                assert one[-1].finish_reason == other[-1].finish_reason
                assert one[-1].usage == other[-1].usage
                assert_scores_are_near(one, other)
        return guessed


def assert_scores_are_near(one: list[Delta], other: list[Delta]) -> None:
    scores = [
        [score for delta in deltas for score in (*delta.logprobs, *delta.unsaid_logprobs)] for deltas in (one, other)
    ]
    for a, b in zip(*scores, strict=True):
        assert a.token_id == b.token_id and a.logprob == pytest.approx(b.logprob, abs=1e-4)


@pytest.fixture
def pair(model: Model, tokenizer: Tokenizer) -> Pair:
    return Pair(model, tokenizer)


class Guesses:
    """A model whose logits are its draft layer's: row p guesses token p + 2 of a text that is known."""

    def __init__(self, model: Model, token_ids: list[int]) -> None:
        self.config, self.device, self.dtype = model.config, model.device, model.dtype
        self._model, self._next_ids = model, torch.tensor([*token_ids[1:], 0])

    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        self._model.forward(batch, cache)
        return self._model.draft(replace(batch, token_ids_T=self._next_ids[batch.positions_T]), cache)


@pytest.mark.parametrize("chunks", [[100], [3, 40, 1, 20], []], ids=["at once", "chunks", "token by token"])
def test_the_draft_layer_equals_transformers_decoder_layer(tmp_path: Path, chunks: list[int]) -> None:
    """Random weights; from row index_topk on the layer's own indexer decides what it sees."""
    torch.manual_seed(3)
    drafting = Drafting()
    with torch.no_grad():
        for parameter in drafting.parameters():
            parameter.normal_(0, 0.25)
        tokens = random_tokens(LENGTH + 36)
        _, right = drafting(torch.tensor([tokens]))
    drafting.save(tmp_path)
    guesses = Guesses(load_model(tmp_path, "cpu", torch.float32), tokens)
    got = Stepper(guesses).run(tokens, chunks)[:-1]  # type: ignore[arg-type]
    assert float((got - right[0]).abs().max()) < 1e-4 * float(right.abs().max())


def test_the_caches_hold_what_one_pass_over_the_tokens_writes(model: Model, tokenizer: Tokenizer) -> None:
    """In all layers, the draft layer among them: of prompts read in chunks, after right guesses and wrong ones."""
    pair = Pair(model, tokenizer, budget=16)
    for i in range(2):
        pair.guessing.add(pair.request(f"r{i}", 90 * i, 50, max_tokens=100))
    for _ in range(40):
        pair.guessing.step()
    assert 0.2 < pair.acceptance < 0.95
    for sequence in pair.guessing.scheduler.running:
        length = sequence.num_cached_tokens
        once = Stepper(Guesses(model, sequence.token_ids), block_size=8, scattered=False)  # type: ignore[arg-type]
        once.run(sequence.token_ids[:length], [length])
        blocks = torch.tensor(sequence.block_table[: -(-length // 8)])
        for layer in range(model.config.num_cache_layers):
            for read in ("read_latents", "read_index_keys"):
                got = getattr(pair.guessing.cache, read)(layer, blocks, length)
                right = getattr(once.cache, read)(layer, slice(0, len(blocks)), length)
                assert float((got - right).abs().max()) < 1e-4 * float(right.abs().max())
    pair.guessing.abort_all()


@pytest.mark.parametrize("params", KINDS.values(), ids=KINDS.keys())
def test_eight_at_once_say_the_same_in_fewer_steps(pair: Pair, params: dict[str, Any]) -> None:
    """Prompts below and above index_topk, read in chunks beside others that are answering."""
    requests = [pair.request(f"r{i}", 90 * i, 8 + 12 * i, num_logprobs=2, **params) for i in range(8)]
    pair.run(*requests)
    assert 0.2 < pair.acceptance < 0.95
    assert pair.guessing.stats.num_steps < pair.plain.stats.num_steps


@pytest.mark.parametrize("params", [GREEDY, {}], ids=["greedy", "seeded"])
def test_a_step_gives_more_than_one_token(pair: Pair, params: dict[str, Any]) -> None:
    deltas = pair.run(pair.request("long", max_tokens=200, **params))["long"]
    assert deltas[-1].usage.num_new_tokens / pair.guessing.stats.num_steps > 1.2


def test_choices_say_the_same(pair: Pair) -> None:
    deltas = pair.run(replace(pair.request("two", 50), num_choices=2))["two"]
    assert ids_of(deltas, 0) != ids_of(deltas, 1)


def test_a_grammar_is_kept_to(pair: Pair, tokenizer: Tokenizer) -> None:
    """Its state advances by tokens that count, not by guesses: a wrong one would end the request."""
    schema = {"type": "array", "items": {"enum": ["the harbour", "the harvest", 12]}, "minItems": 6, "maxItems": 9}
    (end,) = tokenizer.encode("<|end|>")
    grammar = GrammarCompiler(tokenizer, [end]).compile("start: " + json_rule(schema))
    request = pair.request("json", max_tokens=300, stop_token_ids=frozenset({end}))
    deltas = pair.run(*(replace(request, id=f"json{i}", grammar=grammar, num_choices=2) for i in range(2)))["json0"]
    assert len(json.loads("".join(delta.text for delta in deltas if delta.choice == 1))) >= 6
    assert pair.acceptance > 0.2


def test_preempted_sequences_say_the_same(model: Model, tokenizer: Tokenizer) -> None:
    pair = Pair(model, tokenizer, num_blocks=30)
    pair.run(*(pair.request(f"p{i}", 70 * i, 30 + i) for i in range(6)))
    assert pair.guessing.scheduler.num_preemptions > 0 and pair.acceptance > 0.2


def test_a_cached_prefix_says_the_same_and_keeps_its_guesses(model: Model, tokenizer: Tokenizer) -> None:
    """Conversations that grow turn by turn above index_topk: the draft layer's keys are found with the others."""
    pair = Pair(model, tokenizer, num_blocks=200)
    turns = [pair.request(f"t{i}", 100 * i, 60 + 9 * i, **GREEDY) for i in range(3)]
    for _ in range(3):
        answers = {name: ids_of(deltas) for name, deltas in pair.run(*turns).items()}
        turns = [replace(t, prompt_token_ids=(*t.prompt_token_ids, *answers[t.id])) for t in turns]
    again = Pair(model, tokenizer, prefix_caching=False)
    before = pair.guessing.stats.num_accepted_tokens
    deltas = pair.run(*turns)
    again.run(*turns)
    assert all(d[-1].usage.num_hit_tokens > 100 for d in deltas.values())
    accepted = pair.guessing.stats.num_accepted_tokens - before
    assert accepted == pytest.approx(again.guessing.stats.num_accepted_tokens, abs=6), "a lost cache loses guesses"


def test_an_end_inside_a_run_of_accepted_tokens_ends_there(pair: Pair, tokenizer: Tokenizer) -> None:
    """By an end token, a stop string or a limit, after each token of an answer; nothing of a guess is told."""
    free = ids_of(pair.run(pair.request("free", **GREEDY))["free"])
    for count in range(1, 20):
        pair.run(
            pair.request(f"end{count}", stop_token_ids=frozenset({free[count]}), num_logprobs=0, **GREEDY),
            pair.request(f"stop{count}", stop=(tokenizer.decode(free[count : count + 2]),), num_logprobs=0, **GREEDY),
            pair.request(f"limit{count}", max_tokens=count, num_logprobs=0, **GREEDY),
        )


def test_a_full_context_ends_the_answer_at_the_same_token(model: Model, tokenizer: Tokenizer) -> None:
    for length in (27, 28, 29):
        pair = Pair(model, tokenizer, num_blocks=4)
        (delta,) = pair.run(pair.request("long", length=length))["long"][-1:]
        assert delta.finish_reason == "length" and delta.usage.num_new_tokens == 32 - length


def test_scores_of_a_prompt_and_a_healed_prefix_say_the_same(pair: Pair, tokenizer: Tokenizer) -> None:
    scored = pair.request("scored", length=90, prompt_logprobs=True, num_logprobs=1)
    deltas = pair.run(scored, replace(scored, id="none", params=replace(scored.params, max_tokens=0)))
    assert all(len(next(d.prompt_logprobs for d in told if d.prompt_logprobs)) == 90 for told in deltas.values())
    prefix = tuple(tokenizer.encode(" and so"))
    pair.run(*(replace(pair.request(f"healed{i}", 30 * i), prefix_token_ids=prefix, heal=b" th") for i in range(5)))


def test_an_interrupted_answer_leaves_only_its_own_tokens_behind(pair: Pair) -> None:
    """Aborted after every number of steps: what the next turn finds in the cache says the same."""
    for steps in range(2, 30, 3):
        request = pair.request(f"cut{steps}", 11 * steps)
        deltas = pair.guessing.add(request)
        for _ in range(steps):
            deltas += pair.guessing.step()
        deltas += pair.guessing.abort(request.id)
        pair.guessing.check_integrity()
        said = ids_of(deltas)
        following = replace(pair.request(f"next{steps}"), prompt_token_ids=(*request.prompt_token_ids, *said, 9))
        guessed, plain = run(pair.guessing, following)[following.id], run(pair.plain, following)[following.id]
        assert ids_of(guessed) == ids_of(plain) and guessed[-1].usage.num_hit_tokens >= (20 + len(said) - 1) // 8 * 8


def test_an_fp8_release_guesses_in_reference_arithmetic(checkpoint: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    convert(checkpoint, tmp_path / "fp8", "fp8")
    pair = Pair(load_model(tmp_path / "fp8", "cpu", torch.float32, arithmetic="reference"), tokenizer)
    pair.run(*(pair.request(f"r{i}", 90 * i, 40 + 12 * i) for i in range(4)))
    assert 0.2 < pair.acceptance < 0.95


def test_accepted_tokens_are_charged_as_any_others(pair: Pair) -> None:
    for i in range(2):
        pair.guessing.add(replace(pair.request(f"r{i}", 40 * i, max_tokens=400), user=f"u{i}"))
    for _ in range(30):
        pair.guessing.step()
    assert pair.guessing.stats.num_accepted_tokens > 10
    for sequence in pair.guessing.scheduler.running:
        served = pair.guessing.scheduler.shares.served(sequence.user)
        assert served == 20 + 4 * (sequence.num_cached_tokens - 20)
    pair.guessing.abort_all()


def decoding(scheduler: Scheduler, num_tokens: int, count: int) -> list[Sequence]:
    """Sequences that have just written their first token, each with a guess at the next."""
    sequences = [sequence_of(num_tokens) for _ in range(count)]
    for sequence in sequences:
        scheduler.add(sequence)
        while not sequence.is_decoding:
            compute(scheduler)
        sequence.draft_ids = (9,)
    return sequences


def test_guesses_leave_half_of_the_budget_to_prompts() -> None:
    scheduler = scheduler_of(max_num_seqs=5, budget=9)
    decoding(scheduler, 4, 3)
    scheduler.add(sequence_of(20))
    assert [chunk.num_tokens for chunk in scheduler.schedule()] == [2, 2, 2, 3]
    crowded = scheduler_of(max_num_seqs=3, budget=5)
    decoding(crowded, 4, 3)
    assert [chunk.num_tokens for chunk in crowded.schedule()] == [2, 1, 1]


def test_nobody_is_preempted_for_a_guess() -> None:
    scheduler = scheduler_of(num_blocks=2, block_size=4)
    (sequence,) = decoding(scheduler, 6, 1)
    assert [chunk.draft_ids for chunk in scheduler.schedule()] == [(9,)], "the eighth token's place is free"
    sequence.token_ids.append(7)
    sequence.num_cached_tokens = 7
    assert [chunk.draft_ids for chunk in scheduler.schedule()] == [()], "the ninth token's is not"
    assert scheduler.num_preemptions == 0


def test_a_guess_that_cannot_be_computed_fails_nobody(model: Model, tokenizer: Tokenizer) -> None:
    pair = Pair(model, tokenizer)
    pair.guessing.model = Refusing(model)
    pair.run(*(pair.request(f"r{i}", 50 * i) for i in range(3)))
    assert pair.guessing.stats.num_accepted_tokens == 0


def test_a_draft_layer_that_fails_costs_guesses_only(model: Model, tokenizer: Tokenizer) -> None:
    pair = Pair(model, tokenizer)
    pair.guessing = engine_of(model, tokenizer, drafter=FailingLater(model))
    pair.run(*(pair.request(f"r{i}", 50 * i) for i in range(3)))
    assert pair.guessing.speculator is None and 0 < pair.guessing.stats.num_draft_tokens < 30


class Refusing:
    """Computes no row beside another, prompts excepted."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        if len(batch.logits_rows_L) > len(batch.context_lens_S):
            raise RuntimeError("a guess")
        return self._model.forward(batch, cache)


class FailingLater:
    """Guesses for some steps."""

    def __init__(self, model: Model) -> None:
        self._model, self._num_calls = model, 0

    def draft(self, batch: Batch, cache: PagedCache) -> Tensor:
        self._num_calls += 1
        if self._num_calls > 9:
            raise RuntimeError("no guess")
        return self._model.draft(batch, cache)


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_happens_the_tokens_are_those_without_guesses(
    model: Model, tokenizer: Tokenizer, data: st.DataObject
) -> None:
    """Requests that come, are aborted, preempted and end in any order; each is compared with the same one alone."""
    pair = Pair(model, tokenizer, num_blocks=data.draw(st.integers(14, 40)), budget=data.draw(st.integers(8, 64)))
    engine, requests, deltas = pair.guessing, [], []
    for number in range(data.draw(st.integers(1, 6))):
        start, length = data.draw(st.integers(0, 4)) * 60, data.draw(st.integers(1, 80))
        kind, max_tokens = KINDS[data.draw(st.sampled_from(sorted(KINDS)))], data.draw(st.integers(1, 24))
        requests.append(pair.request(f"r{number}", start, length, max_tokens=max_tokens, **kind))
        deltas += engine.add(requests[-1])
        for _ in range(data.draw(st.integers(0, 12))):
            deltas += engine.step()
            engine.scheduler.check()
        if data.draw(st.integers(0, 3)) == 0:
            deltas += engine.abort(data.draw(st.sampled_from(requests)).id)
    while engine.has_work:
        deltas += engine.step()
        engine.scheduler.check()
    engine.check_integrity()
    for request in requests:
        told = [delta for delta in deltas if delta.request_id == request.id]
        assert [delta.finish_reason is not None for delta in told].count(True) == 1
        right = ids_of(run(pair.plain, request)[request.id])
        assert ids_of(told) == (right if told[-1].finish_reason == "length" else right[: len(ids_of(told))])


def test_a_server_speculates_unless_it_is_told_not_to(checkpoint: Path, start_server: ServerStarter) -> None:
    guessing, plain = start_server(model=checkpoint), start_server(model=checkpoint, speculate=False)
    answers = [post(server, max_tokens=60, seed=4).json()["choices"] for server in (guessing, plain)]
    assert answers[0] == answers[1]
    told = read_metrics(guessing)
    assert 0 < told["sonde_spec_accepted_tokens_total"] < told["sonde_spec_draft_tokens_total"]
    assert read_metrics(plain)["sonde_spec_draft_tokens_total"] == 0
    assert guessing.worker.loaded.engine.cache.bytes_per_block > plain.worker.loaded.engine.cache.bytes_per_block
