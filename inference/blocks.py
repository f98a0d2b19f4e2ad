"""Paged cache bookkeeping and prefix caching. Knows block ids and hashes of tokens; knows nothing of tensors.

A sequence's block_table lists the blocks that hold its tokens in order. Ask first (`can_allocate`, `can_append`),
then act. A full block of computed tokens is known by the hash of everything up to its end, so that any sequence with
the same beginning refers to it instead of computing it again. A block is in one of three places:

    in use   some sequences refer to it                known by its hash once it is full
    idle     nobody does, but its hash is known        evicted when the free ones are used up, longest unused first
    free     holds nothing that anybody could want
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b

from inference.sequence import Sequence


class BlockPool:
    """The free list is a stack: a freed block is used again first, then memory never touched, then idle blocks."""

    def __init__(self, num_blocks: int, block_size: int, prefix_caching: bool = True) -> None:
        if num_blocks < 1 or block_size < 1:
            raise ValueError(f"num_blocks={num_blocks} and block_size={block_size} must be at least 1")
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.prefix_caching = prefix_caching
        self._free = list(range(num_blocks - 1, -1, -1))
        self._idle: OrderedDict[int, None] = OrderedDict()  # longest unused first
        self._ref_counts = [0] * num_blocks
        self._hash_of: dict[int, bytes] = {}
        self._block_of: dict[bytes, int] = {}

    @property
    def num_free_blocks(self) -> int:
        """What may be taken, idle blocks included."""
        return len(self._free) + len(self._idle)

    @property
    def num_cached_blocks(self) -> int:
        """Blocks, idle or in use, that a new sequence could refer to."""
        return len(self._block_of)

    @property
    def capacity_tokens(self) -> int:
        return self.num_blocks * self.block_size

    def blocks_for(self, num_tokens: int) -> int:
        return -(-num_tokens // self.block_size)

    def can_allocate(self, sequence: Sequence, spare: int = 0) -> bool:
        """Idle blocks that the sequence would refer to are no longer there to be taken."""
        num_shared = sum(self._ref_counts[block_id] > 0 for block_id in self._known_prefix(sequence))
        return self.blocks_for(sequence.num_tokens) - num_shared + spare <= self.num_free_blocks

    def allocate(self, sequence: Sequence) -> int:
        """Blocks for every token the sequence has now. Returns how many of its tokens are in them already."""
        assert not sequence.block_table, "a sequence is allocated once"
        known = self._known_prefix(sequence)
        for block_id in known:
            self._refer(block_id)
        sequence.block_table += known
        self._extend(sequence)
        return len(known) * self.block_size

    def can_append(self, sequence: Sequence, num_drafts: int = 0) -> bool:
        return self._missing(sequence, num_drafts) <= self.num_free_blocks

    def append(self, sequence: Sequence, num_drafts: int = 0) -> None:
        """The block for the newest token and for guesses after it, where they start a new one."""
        self._extend(sequence, num_drafts)

    def is_about_to_fill(self, reader: Sequence, sequence: Sequence) -> bool:
        """Whether `reader` has yet to compute the first block that `sequence` lacks and could refer to."""
        if not self.prefix_caching or sequence.params.prompt_logprobs:
            return False
        index = len(self._known_prefix(sequence))
        end = (index + 1) * self.block_size
        if not reader.num_cached_tokens < end <= reader.num_tokens or end >= sequence.num_tokens:
            return False
        return self._hash(reader, index) == self._hash(sequence, index)

    def remember(self, sequence: Sequence, start: int, end: int) -> None:
        """Tokens `start` to `end` have been computed: the blocks that are full now can be found by others.

        Of two sequences that compute the same at the same time, the first one's block is found.
        """
        if not self.prefix_caching:
            return
        for index in range(start // self.block_size, end // self.block_size):
            block_id, digest = sequence.block_table[index], self._hash(sequence, index)
            if digest not in self._block_of:
                self._block_of[digest] = block_id
                self._hash_of[block_id] = digest

    def forget(self, sequence: Sequence) -> None:
        """Nobody else may refer to its blocks from now on: what they hold is not to be trusted."""
        for block_id in sequence.block_table:
            self._forget(block_id)

    def free(self, sequence: Sequence) -> None:
        """Last block first: the stack hands them out in order again, and ends are evicted before beginnings."""
        for block_id in reversed(sequence.block_table):
            self._release(block_id)
        sequence.block_table.clear()

    def check(self, sequences: Iterable[Sequence]) -> None:
        """Every block is in exactly one place, referred to as the block tables say, by owners of the same tokens."""
        counts = [0] * self.num_blocks
        owners: dict[int, bytes] = {}
        for sequence in sequences:
            for index, block_id in enumerate(sequence.block_table):
                counts[block_id] += 1
                if self._ref_counts[block_id] > 1:
                    assert (index + 1) * self.block_size <= sequence.num_cached_tokens, "an unfinished block is shared"
                    digest = self._hash(sequence, index)
                    assert owners.setdefault(block_id, digest) == digest, "a block is shared by different tokens"
        assert counts == self._ref_counts, "reference counts differ from the block tables"
        unused = [block_id for block_id, count in enumerate(counts) if count == 0]
        assert sorted([*self._free, *self._idle]) == unused, "a block was lost"
        assert {block_id: digest for digest, block_id in self._block_of.items()} == self._hash_of
        assert all(block_id in self._hash_of for block_id in self._idle), "an idle block cannot be found"
        assert not any(block_id in self._hash_of for block_id in self._free), "a free block can be found"

    def _known_prefix(self, sequence: Sequence) -> list[int]:
        """Blocks of the longest beginning that is cached, short of the last token: its logits must be computed.

        Whoever wants the prompt scored needs the logits of every row.
        """
        if not self.prefix_caching or sequence.params.prompt_logprobs:
            return []
        known: list[int] = []
        for index in range((sequence.num_tokens - 1) // self.block_size):
            block_id = self._block_of.get(self._hash(sequence, index))
            if block_id is None:
                break
            known.append(block_id)
        return known

    def _hash(self, sequence: Sequence, index: int) -> bytes:
        """Of all tokens up to the end of the block. Kept with the sequence, whose tokens are only ever added to.

        A collision would show one person another's cache, so it is a cryptographic hash: 4 us a block of 64.
        """
        hashes, size = sequence.block_hashes, self.block_size
        while len(hashes) <= index:
            start = len(hashes) * size
            parent = hashes[-1] if hashes else b""
            hashes.append(
                blake2b(parent + _as_bytes(sequence.token_ids[start : start + size]), digest_size=32).digest()
            )
        return hashes[index]

    def _missing(self, sequence: Sequence, num_drafts: int) -> int:
        return max(0, self.blocks_for(sequence.num_tokens + num_drafts) - len(sequence.block_table))

    def _extend(self, sequence: Sequence, num_drafts: int = 0) -> None:
        """In ascending order, as evicted blocks come last first: neighbours are read without a copy (cache.py)."""
        missing = self._missing(sequence, num_drafts)
        if not missing:
            return
        assert missing <= self.num_free_blocks, "ask can_allocate or can_append first"
        sequence.block_table += sorted(self._take() for _ in range(missing))

    def _take(self) -> int:
        if self._free:
            block_id = self._free.pop()
        else:
            block_id, _ = self._idle.popitem(last=False)
            self._forget(block_id)
        assert self._ref_counts[block_id] == 0
        self._ref_counts[block_id] = 1
        return block_id

    def _refer(self, block_id: int) -> None:
        self._idle.pop(block_id, None)
        self._ref_counts[block_id] += 1

    def _release(self, block_id: int) -> None:
        assert self._ref_counts[block_id] > 0, "freed twice"
        self._ref_counts[block_id] -= 1
        if self._ref_counts[block_id] > 0:
            return
        if block_id in self._hash_of:
            self._idle[block_id] = None
        else:
            self._free.append(block_id)

    def _forget(self, block_id: int) -> None:
        digest = self._hash_of.pop(block_id, None)
        if digest is not None:
            del self._block_of[digest]


def _as_bytes(token_ids: list[int]) -> bytes:
    return array("q", token_ids).tobytes()
