"""Paged KV cache bookkeeping. Knows block ids and reference counts; knows nothing of tensors.

A sequence's block_table lists the blocks that hold its tokens in order. Ask first (`can_allocate`, `can_append`),
then act. A block may be referenced by several sequences, so that a prefix cache can share it.
"""

from __future__ import annotations

from inference.sequence import Sequence


class BlockPool:
    """The free list is a stack: a freed block is used again first, so memory that was never needed stays untouched."""

    def __init__(self, num_blocks: int, block_size: int) -> None:
        if num_blocks < 1 or block_size < 1:
            raise ValueError(f"num_blocks={num_blocks} and block_size={block_size} must be at least 1")
        self.num_blocks = num_blocks
        self.block_size = block_size
        self._free = list(range(num_blocks - 1, -1, -1))
        self._ref_counts = [0] * num_blocks

    @property
    def num_free_blocks(self) -> int:
        return len(self._free)

    @property
    def capacity_tokens(self) -> int:
        return self.num_blocks * self.block_size

    def blocks_for(self, num_tokens: int) -> int:
        return -(-num_tokens // self.block_size)

    def can_allocate(self, sequence: Sequence, spare: int = 0) -> bool:
        return self.blocks_for(sequence.num_tokens) + spare <= len(self._free)

    def allocate(self, sequence: Sequence) -> None:
        """Blocks for every token the sequence has now."""
        assert not sequence.block_table, "a sequence is allocated once"
        self._extend(sequence)

    def can_append(self, sequence: Sequence) -> bool:
        return self._missing(sequence) <= len(self._free)

    def append(self, sequence: Sequence) -> None:
        """The block for the newest token, where it starts a new one."""
        self._extend(sequence)

    def free(self, sequence: Sequence) -> None:
        """Last block first, so that the stack hands them out in order again."""
        for block_id in reversed(sequence.block_table):
            self._release(block_id)
        sequence.block_table.clear()

    def check(self, sequences: list[Sequence]) -> None:
        """Every block is either free or referenced exactly as often as the block tables say."""
        counts = [0] * self.num_blocks
        for sequence in sequences:
            for block_id in sequence.block_table:
                counts[block_id] += 1
        assert counts == self._ref_counts, "reference counts differ from the block tables"
        assert sorted(self._free) == [i for i, count in enumerate(counts) if count == 0], "a block was lost"

    def _missing(self, sequence: Sequence) -> int:
        return self.blocks_for(sequence.num_tokens) - len(sequence.block_table)

    def _extend(self, sequence: Sequence) -> None:
        missing = self._missing(sequence)
        assert missing <= len(self._free), "ask can_allocate or can_append first"
        for _ in range(missing):
            sequence.block_table.append(self._take())

    def _take(self) -> int:
        block_id = self._free.pop()
        assert self._ref_counts[block_id] == 0
        self._ref_counts[block_id] = 1
        return block_id

    def _release(self, block_id: int) -> None:
        assert self._ref_counts[block_id] > 0, "freed twice"
        self._ref_counts[block_id] -= 1
        if self._ref_counts[block_id] == 0:
            self._free.append(block_id)
