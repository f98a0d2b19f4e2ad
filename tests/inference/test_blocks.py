from __future__ import annotations

import pytest

from inference.blocks import BlockPool
from inference.sequence import GenerationRequest, SamplingParams, Sequence


def sequence_of(num_tokens: int) -> Sequence:
    request = GenerationRequest("r", tuple(range(num_tokens)), SamplingParams(max_tokens=8))
    return Sequence.from_request(request, 0)


def test_a_sequence_gets_a_block_for_each_started_block_of_tokens() -> None:
    pool = BlockPool(num_blocks=8, block_size=4)
    for num_tokens, num_blocks in ((1, 1), (4, 1), (5, 2)):
        sequence = sequence_of(num_tokens)
        pool.allocate(sequence)
        assert len(sequence.block_table) == num_blocks
    assert pool.num_free_blocks == 4


def test_asking_first_tells_what_fits() -> None:
    pool = BlockPool(num_blocks=2, block_size=4)
    assert pool.can_allocate(sequence_of(8))
    assert not pool.can_allocate(sequence_of(9))
    assert not pool.can_allocate(sequence_of(8), spare=1)


def test_append_takes_a_block_only_when_a_new_one_begins() -> None:
    pool = BlockPool(num_blocks=2, block_size=4)
    sequence = sequence_of(3)
    pool.allocate(sequence)
    sequence.token_ids.append(0)
    pool.append(sequence)
    assert len(sequence.block_table) == 1
    sequence.token_ids.append(0)
    pool.append(sequence)
    assert len(sequence.block_table) == 2
    sequence.token_ids += [0] * 4
    assert not pool.can_append(sequence)


def test_freed_blocks_are_used_again_first_and_in_order() -> None:
    pool = BlockPool(num_blocks=100, block_size=1)
    first = sequence_of(3)
    pool.allocate(first)
    table = list(first.block_table)
    pool.free(first)
    second = sequence_of(3)
    pool.allocate(second)
    assert second.block_table == table


def test_freeing_twice_is_noticed() -> None:
    pool = BlockPool(num_blocks=2, block_size=4)
    sequence = sequence_of(3)
    pool.allocate(sequence)
    stale = Sequence.from_request(GenerationRequest("s", (1,), SamplingParams(max_tokens=1)), 0)
    stale.block_table = list(sequence.block_table)
    pool.free(sequence)
    with pytest.raises(AssertionError, match="freed twice"):
        pool.free(stale)


def computed(pool: BlockPool, num_tokens: int) -> Sequence:
    sequence = sequence_of(num_tokens)
    sequence.num_cached_tokens = pool.allocate(sequence)
    pool.remember(sequence, sequence.num_cached_tokens, num_tokens)
    sequence.num_cached_tokens = num_tokens
    return sequence


def test_a_common_beginning_is_referred_to_and_counted() -> None:
    pool = BlockPool(num_blocks=8, block_size=4)
    first = computed(pool, 14)
    second = sequence_of(10)
    assert pool.can_allocate(second, spare=3) and not pool.can_allocate(second, spare=4)
    assert pool.allocate(second) == 8
    assert second.block_table[:2] == first.block_table[:2] and second.block_table[2] not in first.block_table
    assert pool.num_free_blocks == 3 and pool.num_cached_blocks == 3
    second.num_cached_tokens = 8
    pool.check([first, second])


def test_the_ends_of_what_was_unused_longest_are_evicted_first() -> None:
    pool = BlockPool(num_blocks=6, block_size=4)
    sequence = computed(pool, 17)
    pool.free(sequence)
    other = Sequence.from_request(GenerationRequest("o", (99,) * 12, SamplingParams(max_tokens=1)), 0)
    assert pool.allocate(other) == 0
    pool.check([other])
    assert pool.num_cached_blocks == 3, "two were free, one had to go"
    pool.free(other)
    assert pool.allocate(sequence_of(17)) == 12


def test_idle_blocks_that_would_be_shared_are_not_counted_as_free_too() -> None:
    pool = BlockPool(num_blocks=4, block_size=4)
    pool.free(computed(pool, 12))
    assert pool.num_free_blocks == 4
    assert pool.can_allocate(sequence_of(16)) and not pool.can_allocate(sequence_of(17))


def test_without_prefix_caching_nothing_is_found() -> None:
    pool = BlockPool(num_blocks=4, block_size=4, prefix_caching=False)
    pool.free(computed(pool, 12))
    assert pool.num_cached_blocks == 0 and pool.allocate(sequence_of(12)) == 0


def test_check_finds_a_lost_block() -> None:
    pool = BlockPool(num_blocks=2, block_size=4)
    sequence = sequence_of(3)
    pool.allocate(sequence)
    pool.check([sequence])
    with pytest.raises(AssertionError):
        pool.check([])


def test_a_pool_without_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="num_blocks=0"):
        BlockPool(num_blocks=0, block_size=64)
