"""Drives a model step by step as the engine does, over a cache whose unused memory is poisoned with NaN."""

import random
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.model import Model


class Stepper:
    """Sequences by name; blocks are handed out in a shuffled order unless told otherwise, so that no table is a run."""

    def __init__(
        self,
        model: Model,
        num_blocks: int = 64,
        block_size: int = 4,
        scattered: bool = True,
        make_cache: type[PagedCache] = PagedCache,
    ) -> None:
        self.model = model
        self.cache = make_cache(model.config, num_blocks, block_size, model.device, model.dtype)
        for pages in vars(self.cache).values():
            if isinstance(pages, Tensor):
                pages.fill_(torch.nan if pages.is_floating_point() else 255)  # 255 is NaN in FP8 and in its scales
        self._free = list(range(num_blocks))
        if scattered:
            random.Random(0).shuffle(self._free)
        else:
            self._free.reverse()
        self._tables: dict[str, list[int]] = {}
        self._lengths: dict[str, int] = {}

    def step(self, new_tokens: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
        """Logits (new tokens, vocab) of each named sequence, in one batch."""
        token_ids: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        starts = [0]
        for name, tokens in new_tokens.items():
            for position in range(self._lengths.get(name, 0), self._lengths.get(name, 0) + len(tokens)):
                positions.append(position)
                slots.append(self._slot(name, position))
            token_ids.extend(tokens)
            starts.append(len(token_ids))
            self._lengths[name] = self._lengths.get(name, 0) + len(tokens)
        widest = max(len(self._tables[name]) for name in new_tokens)
        tables = [self._tables[name] + [-1] * (widest - len(self._tables[name])) for name in new_tokens]
        batch = Batch(
            token_ids_T=torch.tensor(token_ids),
            positions_T=torch.tensor(positions),
            slot_mapping_T=torch.tensor(slots),
            query_start_S1=torch.tensor(starts, dtype=torch.int32),
            context_lens_S=torch.tensor([self._lengths[name] for name in new_tokens], dtype=torch.int32),
            block_tables_SB=torch.tensor(tables, dtype=torch.int32),
            logits_rows_L=torch.arange(len(token_ids)),
        )
        logits = self.model.forward(batch, self.cache)
        return {name: logits[starts[i] : starts[i + 1]] for i, name in enumerate(new_tokens)}

    def run(self, tokens: Sequence[int], chunks: Sequence[int]) -> Tensor:
        """One sequence, prefilled in chunks of these sizes, the rest token by token: all its logits."""
        name = f"run {len(self._tables)}"
        sizes = [*chunks, *[1] * (len(tokens) - sum(chunks))]
        start, logits = 0, []
        for size in sizes:
            logits.append(self.step({name: tokens[start : start + size]})[name])
            start += size
        return torch.cat(logits)

    def _slot(self, name: str, position: int) -> int:
        table = self._tables.setdefault(name, [])
        block, offset = divmod(position, self.cache.block_size)
        if block == len(table):
            table.append(self._free.pop())
        return table[block] * self.cache.block_size + offset


def random_tokens(count: int, vocab_size: int = 256, seed: int = 1) -> list[int]:
    generator = random.Random(seed)
    return [generator.randrange(vocab_size) for _ in range(count)]
