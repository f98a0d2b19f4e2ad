from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.blocks import BlockPool
from inference.scheduler import PROMPT_LOGPROBS_CHUNK, Chunk, Scheduler
from inference.sequence import GenerationRequest, SamplingParams, Sequence, SequenceStatus


def sequence_of(num_tokens: int, prompt_logprobs: bool = False) -> Sequence:
    params = SamplingParams(max_tokens=1000, prompt_logprobs=prompt_logprobs)
    return Sequence.from_request(GenerationRequest("r", tuple(range(num_tokens)), params), 0)


def scheduler_of(num_blocks: int = 100, max_num_seqs: int = 8, budget: int = 16, block_size: int = 4) -> Scheduler:
    return Scheduler(BlockPool(num_blocks, block_size), max_num_seqs, budget)


def compute(scheduler: Scheduler, token_id: int = 7) -> list[Chunk]:
    """One step as the engine makes it: compute, then a token for every chunk that predicts one."""
    chunks = scheduler.schedule()
    for chunk in chunks:
        scheduler.mark_computed(chunk)
        if chunk.predicts:
            chunk.sequence.token_ids.append(token_id)
    scheduler.check()
    return chunks


def test_a_long_prompt_is_read_in_chunks_under_the_budget() -> None:
    scheduler = scheduler_of(budget=16)
    sequence = sequence_of(40)
    scheduler.add(sequence)
    assert [compute(scheduler)[0].num_tokens for _ in range(4)] == [16, 16, 8, 1]
    assert sequence.num_output_tokens == 2


def test_a_running_answer_is_not_stalled_by_a_long_prompt() -> None:
    scheduler = scheduler_of(budget=16)
    answering, reading = sequence_of(4), sequence_of(100)
    scheduler.add(answering)
    compute(scheduler)
    scheduler.add(reading)
    for _ in range(5):
        chunks = compute(scheduler)
        assert [(chunk.sequence, chunk.num_tokens) for chunk in chunks] == [(answering, 1), (reading, 15)]


def test_newcomers_wait_while_every_place_is_taken() -> None:
    scheduler = scheduler_of(max_num_seqs=2)
    sequences = [sequence_of(2) for _ in range(3)]
    for sequence in sequences:
        scheduler.add(sequence)
    assert [chunk.sequence for chunk in compute(scheduler)] == sequences[:2]
    scheduler.finish(sequences[0], "stop")
    assert [chunk.sequence for chunk in compute(scheduler)] == sequences[1:]


def test_without_a_free_block_the_newest_is_preempted_and_keeps_its_tokens() -> None:
    scheduler = scheduler_of(num_blocks=6, block_size=4)
    old, new = sequence_of(8), sequence_of(7)
    scheduler.add(old)
    scheduler.add(new)
    while scheduler.num_preemptions == 0:
        compute(scheduler)
    assert new.status is SequenceStatus.WAITING and new.num_preemptions == 1
    assert new.block_table == [] and new.num_cached_tokens == 0
    assert new.num_output_tokens > 0
    num_tokens = new.num_tokens
    scheduler.finish(old, "stop")
    chunks = compute(scheduler)
    assert chunks[0].sequence is new and chunks[0].num_tokens == num_tokens, "recomputed with its own output"


def test_a_newcomer_leaves_a_spare_block_for_each_running_sequence() -> None:
    scheduler = scheduler_of(num_blocks=4, block_size=4)
    old, new = sequence_of(8), sequence_of(8)
    scheduler.add(old)
    scheduler.add(new)
    compute(scheduler)
    assert old.status is SequenceStatus.RUNNING and new.status is SequenceStatus.WAITING


def test_a_lone_sequence_may_fill_the_whole_cache() -> None:
    scheduler = scheduler_of(num_blocks=2, block_size=4)
    sequence = sequence_of(3)
    scheduler.add(sequence)
    while sequence.num_tokens < 8:
        compute(scheduler)
    assert scheduler.num_preemptions == 0


def test_what_can_never_fit_is_refused_instead_of_waiting_for_ever() -> None:
    with pytest.raises(ValueError, match="9 tokens do not fit the cache, which holds 8"):
        scheduler_of(num_blocks=2, block_size=4).add(sequence_of(9))


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_finishing_frees_the_blocks_at_once_in_any_state(steps: int) -> None:
    scheduler = scheduler_of(budget=8)
    sequence = sequence_of(20)
    scheduler.add(sequence)
    for _ in range(steps):
        compute(scheduler)
    scheduler.finish(sequence, "cancelled")
    scheduler.finish(sequence, "stop")
    assert sequence.finish_reason == "cancelled", "the first reason stays"
    assert scheduler.blocks.num_free_blocks == scheduler.blocks.num_blocks
    assert not scheduler.has_work


def test_prompts_to_be_scored_are_read_in_smaller_chunks() -> None:
    scheduler = scheduler_of(budget=1000)
    scheduler.add(sequence_of(200, prompt_logprobs=True))
    assert compute(scheduler)[0].num_tokens == PROMPT_LOGPROBS_CHUNK


def test_more_places_than_the_budget_has_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="max_num_seqs=9"):
        scheduler_of(max_num_seqs=9, budget=8)


Action = tuple[str, int]
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 40)),
        st.tuples(st.just("finish"), st.integers(0, 20)),
        st.tuples(st.just("step"), st.integers(1, 6)),
    ),
    max_size=40,
)


@given(ACTIONS, st.integers(10, 24), st.integers(1, 6), st.integers(6, 32))
@settings(max_examples=300, deadline=None)
def test_whatever_happens_no_block_is_lost_and_everybody_finishes(
    actions: list[Action], num_blocks: int, max_num_seqs: int, budget: int
) -> None:
    scheduler = scheduler_of(num_blocks, max_num_seqs, budget)
    alive: list[Sequence] = []
    for action, number in actions:
        if action == "add":
            alive.append(sequence_of(number))
            scheduler.add(alive[-1])
        elif action == "finish" and alive:
            scheduler.finish(alive.pop(number % len(alive)), "cancelled")
            scheduler.check()
        elif action == "step":
            for _ in range(number):
                step_and_drop_full(scheduler, alive)
    for _ in range(2000):
        if not scheduler.has_work:
            break
        step_and_drop_full(scheduler, alive)
    assert not scheduler.has_work, "the scheduler stalled"
    assert scheduler.blocks.num_free_blocks == num_blocks


def step_and_drop_full(scheduler: Scheduler, alive: list[Sequence]) -> None:
    chunks = compute(scheduler)
    assert chunks or not scheduler.has_work, "work, but nothing was scheduled"
    assert sum(chunk.num_tokens for chunk in chunks) <= scheduler.max_num_batched_tokens
    for sequence in list(alive):
        if sequence.num_tokens >= min(scheduler.blocks.capacity_tokens, sequence.num_prompt_tokens + 12):
            scheduler.finish(sequence, "length")
            alive.remove(sequence)


def test_policy_needs_no_torch() -> None:
    code = "import sys, inference.scheduler, inference.detokenizer; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
