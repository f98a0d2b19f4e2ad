from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.blocks import BlockPool
from inference.scheduler import PROMPT_LOGPROBS_CHUNK, Chunk, Scheduler
from inference.sequence import GenerationRequest, SamplingParams, Sequence, SequenceStatus

_NAMES = itertools.count()


def sequence_of(num_tokens: int, prompt_logprobs: bool = False, user: str = "") -> Sequence:
    """Begins like no other, so that nothing is shared by accident."""
    name = next(_NAMES)
    return sequence_from((-name, *range(1, num_tokens)), prompt_logprobs, user, f"r{name}")


def sequence_from(
    token_ids: tuple[int, ...], prompt_logprobs: bool = False, user: str = "", name: str = "r"
) -> Sequence:
    params = SamplingParams(max_tokens=1000, prompt_logprobs=prompt_logprobs)
    return Sequence.from_request(GenerationRequest(name, token_ids, params, user=user), 0)


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
    assert chunks[0].sequence is new and chunks[0].end == num_tokens, "recomputed with its own output"
    assert chunks[0].start > 0, "but for what nobody needed in the meantime"


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


def test_users_take_turns_however_many_questions_one_of_them_has() -> None:
    scheduler = scheduler_of(max_num_seqs=1)
    busy = [sequence_of(8, user="busy") for _ in range(4)]
    late = [sequence_of(8, user="late") for _ in range(2)]
    for sequence in (*busy, *late):
        scheduler.add(sequence)
    order = []
    while scheduler.has_work:
        (chunk,) = compute(scheduler)
        order.append(chunk.sequence)
        scheduler.finish(chunk.sequence, "stop")
    assert order == [busy[0], late[0], busy[1], late[1], busy[2], busy[3]]


def test_a_short_question_overtakes_another_users_long_document() -> None:
    scheduler = scheduler_of(budget=16)
    document, question = sequence_of(100, user="reader"), sequence_of(10, user="asker")
    scheduler.add(document)
    for _ in range(2):
        compute(scheduler)
    scheduler.add(question)
    assert [(c.sequence, c.num_tokens) for c in compute(scheduler)] == [(document, 16)], "newcomers start level"
    assert [(c.sequence, c.num_tokens) for c in compute(scheduler)] == [(question, 10), (document, 6)]


def test_the_queue_tells_the_place_of_a_request() -> None:
    scheduler = scheduler_of(max_num_seqs=1)
    running, *waiting = [sequence_of(8, user=user) for user in ("a", "a", "a", "b")]
    for sequence in (running, *waiting):
        scheduler.add(sequence)
    compute(scheduler)
    assert scheduler.queue_position(running.request_id) is None
    assert [scheduler.queue_position(s.request_id) for s in waiting] == [2, 3, 1], "b has been served nothing yet"
    for place in (1, 2, 3):
        scheduler.finish(scheduler.running[0], "stop")
        (chunk,) = compute(scheduler)
        assert chunk.sequence is (waiting[2], waiting[0], waiting[1])[place - 1]


def test_who_waits_beyond_a_deadline_has_expired_and_who_was_admitted_has_not() -> None:
    scheduler = scheduler_of(max_num_seqs=1)
    first, second, patient = sequence_of(8), sequence_of(8), sequence_of(8)
    first.deadline = second.deadline = 5.0
    for sequence in (first, second, patient):
        scheduler.add(sequence)
    compute(scheduler)
    assert scheduler.expired(now=4.9) == []
    assert scheduler.expired(now=5.0) == [second]
    scheduler.finish(second, "expired")
    assert list(scheduler.waiting) == [patient]


def test_a_second_turn_reads_only_what_is_new() -> None:
    scheduler = scheduler_of(budget=64)
    first = sequence_from(tuple(range(20)))
    scheduler.add(first)
    for _ in range(10):
        compute(scheduler)
    scheduler.finish(first, "cancelled")
    second = sequence_from((*first.token_ids[:29], 99, 98))  # the question, the answer and a new question
    scheduler.add(second)
    (chunk,) = compute(scheduler)
    assert chunk.start == 28, "seven blocks of 4, two of them written by the answer that was interrupted"
    assert second.num_hit_tokens == 28


def test_choices_of_one_question_read_it_once() -> None:
    scheduler = scheduler_of(budget=16)
    choices = [sequence_from(tuple(range(42))) for _ in range(3)]
    for sequence in choices:
        scheduler.add(sequence)
    steps = [[(choices.index(c.sequence), c.start, c.end) for c in compute(scheduler)] for _ in range(4)]
    assert steps[:2] == [[(0, 0, 16)], [(0, 16, 32)]]
    assert steps[2] == [(0, 32, 42)], "the last full block is still missing"
    assert steps[3] == [(0, 42, 43), (1, 40, 42), (2, 40, 42)]
    assert [sequence.num_hit_tokens for sequence in choices] == [0, 40, 40]


def test_nobody_waits_for_what_another_user_reads() -> None:
    scheduler = scheduler_of(budget=16)
    first, second = (sequence_from(tuple(range(42)), user=user) for user in ("a", "b"))
    scheduler.add(first)
    compute(scheduler)
    scheduler.add(second)
    compute(scheduler)
    assert second.status is SequenceStatus.WAITING, "level with a, who came first"
    assert compute(scheduler)[0].sequence is second


def test_at_least_one_token_is_always_computed() -> None:
    scheduler = scheduler_of()
    first, again = sequence_from(tuple(range(8))), sequence_from(tuple(range(8)))
    for sequence in (first, again):
        scheduler.add(sequence)
        (chunk,) = compute(scheduler)
        scheduler.finish(sequence, "stop")
    assert (chunk.start, chunk.end) == (4, 8) and again.num_hit_tokens == 4


def test_what_a_failed_sequence_computed_is_not_used_again() -> None:
    scheduler = scheduler_of()
    for reason, num_hit_tokens in (("error", 0), ("stop", 0), ("stop", 16)):
        sequence = sequence_from(tuple(range(20)))
        scheduler.add(sequence)
        for _ in range(3):
            compute(scheduler)
        scheduler.finish(sequence, reason)  # type: ignore[arg-type]
        assert sequence.num_hit_tokens == num_hit_tokens


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


class Memory:
    """What every slot of the cache holds: an entry depends on all tokens up to it, and so is told by them."""

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._held: dict[int, tuple[int, ...]] = {}

    def compute(self, chunk: Chunk) -> None:
        """Writes the chunk's entries after having found all earlier ones."""
        token_ids = chunk.sequence.token_ids
        for position in range(chunk.start):
            assert self._held[self._slot(chunk, position)] == tuple(token_ids[: position + 1])
        for position in range(chunk.start, chunk.end):
            self._held[self._slot(chunk, position)] = tuple(token_ids[: position + 1])

    def _slot(self, chunk: Chunk, position: int) -> int:
        block, offset = divmod(position, self._block_size)
        return chunk.sequence.block_table[block] * self._block_size + offset


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 40), st.integers(0, 2)),
        st.tuples(st.just("next turn"), st.integers(0, 20), st.integers(1, 8)),
        st.tuples(st.just("stop"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("error"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("step"), st.integers(1, 6), st.just(0)),
    ),
    max_size=40,
)


@given(ACTIONS, st.integers(10, 24), st.integers(1, 6), st.integers(6, 32))
@settings(max_examples=300, deadline=None)
def test_whatever_happens_no_block_is_lost_or_shared_wrongly_and_everybody_finishes(
    actions: list[tuple[str, int, int]], num_blocks: int, max_num_seqs: int, budget: int
) -> None:
    """Questions with common beginnings, their next turns, failures; few blocks, so that many are evicted."""
    scheduler, memory = scheduler_of(num_blocks, max_num_seqs, budget), Memory(block_size=4)
    alive: list[Sequence] = []
    ended: list[Sequence] = []
    for action, number, detail in actions:
        if action == "add":
            alive.append(sequence_from((*[0] * min(number, 20), *range(100 * detail, 100 * detail + number // 2))))
            scheduler.add(alive[-1])
        elif action == "next turn" and ended:
            token_ids = (*ended[number % len(ended)].token_ids, *range(50, 50 + detail))
            if len(token_ids) <= scheduler.blocks.capacity_tokens:
                alive.append(sequence_from(token_ids, user=str(detail)))
                scheduler.add(alive[-1])
        elif action in ("stop", "error") and alive:
            ended.append(alive.pop(number % len(alive)))
            scheduler.finish(ended[-1], "error" if action == "error" else "stop")
            scheduler.check()
        elif action == "step":
            for _ in range(number):
                step_and_drop_full(scheduler, memory, alive, ended)
    for _ in range(2000):
        if not scheduler.has_work:
            break
        step_and_drop_full(scheduler, memory, alive, ended)
    assert not scheduler.has_work, "the scheduler stalled"
    assert scheduler.blocks.num_free_blocks == num_blocks
    scheduler.check()


def step_and_drop_full(scheduler: Scheduler, memory: Memory, alive: list[Sequence], ended: list[Sequence]) -> None:
    chunks = scheduler.schedule()
    assert chunks or not scheduler.has_work, "work, but nothing was scheduled"
    assert sum(chunk.num_tokens for chunk in chunks) <= scheduler.max_num_batched_tokens
    for chunk in chunks:
        memory.compute(chunk)
    for chunk in chunks:
        scheduler.mark_computed(chunk)
        if chunk.predicts:
            chunk.sequence.token_ids.append(chunk.end % 3)
    scheduler.check()
    for sequence in list(alive):
        if sequence.num_tokens >= min(scheduler.blocks.capacity_tokens, sequence.num_prompt_tokens + 12):
            scheduler.finish(sequence, "length")
            alive.remove(sequence)
            ended.append(sequence)


def test_policy_needs_no_torch() -> None:
    code = "import sys, inference.scheduler, inference.detokenizer; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
