"""A decode step by kernels gives what the plain one gives, and leaves the same cache behind."""

from dataclasses import replace

import pytest
import torch

from inference.batch import Rows
from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.gpu.attention import PlainPages
from inference.gpu.forward import KernelForward, kernel_obstacle
from inference.gpu.prompts import KernelModel
from inference.model import Model
from tests.inference.plain_reference import random_tensors, with_equal_experts
from tests.inference.stepping import Stepper, random_tokens
from tests.inference.test_extended_family import GROUPED
from tests.inference.test_parallel import RELEASED_LIKE

BLOCK_SIZE = 16
WIDE = replace(
    GROUPED, kv_lora_rank=16, qk_rope_head_dim=16, v_head_dim=16, index_head_dim=16, index_topk=20, hidden_size=64
)
CONFIGS = {
    "grouped queries, equal experts": WIDE,
    "as released": replace(
        RELEASED_LIKE, hidden_size=64, kv_lora_rank=32, qk_rope_head_dim=16, index_head_dim=32, index_topk=20
    ),
}


def step_of(lengths: list[int], vocab_size: int, is_sparse: bool) -> tuple[Rows, int]:
    """The newest token of contexts of these lengths, and one row that only fills up, in scattered blocks."""
    num_blocks = 4
    free = torch.randperm(len(lengths) * num_blocks, generator=torch.Generator().manual_seed(2)).tolist()
    spare = len(free)
    tables = []
    for length in lengths:
        needed = -(-length // BLOCK_SIZE)
        tables.append([free.pop() for _ in range(needed)] + [-1] * (num_blocks - needed))
    tables.append([spare] + [-1] * (num_blocks - 1))
    positions = [length - 1 for length in lengths] + [0]
    slots = [table[p // BLOCK_SIZE] * BLOCK_SIZE + p % BLOCK_SIZE for table, p in zip(tables, positions, strict=True)]
    rows = Rows(
        token_ids_S=torch.randint(vocab_size, (len(tables),), generator=torch.Generator().manual_seed(3)),
        positions_S=torch.tensor(positions),
        slots_S=torch.tensor(slots),
        context_lens_S=torch.tensor([*lengths, 1], dtype=torch.int32),
        block_tables_SB=torch.tensor(tables, dtype=torch.int32),
        is_real_S=torch.tensor([True] * len(lengths) + [False]),
        is_sparse=is_sparse,
    )
    return rows, spare + 1


def filled(config: ModelConfig, num_blocks: int, rows: Rows) -> PagedCache:
    """What the rows see, and nothing else, is a number."""
    cache = PagedCache(config, num_blocks, BLOCK_SIZE)
    generator = torch.Generator().manual_seed(4)
    for pages in (cache.latent_LNBGW, cache.index_LNBJ):
        pages.fill_(torch.nan)
        for table, length in zip(rows.block_tables_SB.tolist(), rows.context_lens_S.tolist(), strict=True):
            for position in range(length - 1):
                place = pages[:, table[position // BLOCK_SIZE], position % BLOCK_SIZE]
                place.copy_(torch.randn(place.shape, generator=generator))
    return cache


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_kernels_decode_as_the_model_does(name: str, is_sparse: bool) -> None:
    config = CONFIGS[name]
    tensors = random_tensors(config)
    if name.endswith("equal experts"):
        tensors = with_equal_experts(tensors, 4)
    model = Model(config, tensors.__getitem__)
    rows, num_blocks = step_of([50, 3, 20] if is_sparse else [20, 3, 17], config.vocab_size, is_sparse)
    ours, right = (filled(config, num_blocks, rows) for _ in range(2))
    expected_SV = model.decode(rows, right, PlainPages())
    counted = model.expert_counts.clone()
    model.expert_counts.zero_()
    got_SV = KernelForward(model, ours, max_model_len=64, max_rows=8)(rows)
    assert float((got_SV - expected_SV).abs().max()) < 1e-4 * float(expected_SV.abs().max())
    assert torch.equal(model.expert_counts, counted) and int(counted.sum()) > 0
    for left, other in ((ours.latent_LNBGW, right.latent_LNBGW), (ours.index_LNBJ, right.index_LNBJ)):
        assert torch.equal(left.isnan(), other.isnan())
        assert float((left - other).nan_to_num().abs().max()) < 1e-4


@pytest.mark.parametrize("name", CONFIGS)
def test_kernels_read_prompts_as_the_model_does(name: str) -> None:
    """Two prompts in chunks, one of them beside a token of the other, below index_topk and above."""
    config = CONFIGS[name]
    tensors = random_tensors(config)
    if name.endswith("equal experts"):
        tensors = with_equal_experts(tensors, 4)
    model = Model(config, tensors.__getitem__)
    ours, right = (Stepper(model, num_blocks=8, block_size=BLOCK_SIZE) for _ in range(2))
    ours.model = KernelModel(model, ours.cache, max_model_len=64, max_rows=64)  # type: ignore[assignment]
    tokens = random_tokens(30, config.vocab_size)
    for new in ({"a": tokens[:15]}, {"a": tokens[15:24], "b": tokens[24:25]}):
        expected, got = right.step(new), ours.step(new)
        for sequence in new:
            error = float((got[sequence] - expected[sequence]).abs().max())
            assert error < 1e-4 * float(expected[sequence].abs().max())


def test_what_kernels_cannot_compute_is_named() -> None:
    odd = Model(GROUPED, random_tensors(GROUPED).__getitem__)
    told = kernel_obstacle(odd, PagedCache(GROUPED, 1, BLOCK_SIZE))
    assert told == "kv_lora_rank = 8: a power of two, 16 at least, is needed"
    rounding = Model(WIDE, random_tensors(WIDE).__getitem__, "reference")
    assert kernel_obstacle(rounding, PagedCache(WIDE, 1, BLOCK_SIZE)) == "it is for exact bfloat16"
    with pytest.raises(ValueError, match="power of two"):
        KernelForward(odd, PagedCache(GROUPED, 1, BLOCK_SIZE), 64, 8)
