"""Attention over chosen and over all cached tokens, where shapes and contents are odd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inference.bench.gpu.case import relative_error
from inference.bench.gpu.latents import bf16_pages, fp8_pages, scattered_tables
from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.fp8_cache import Fp8PagedCache
from inference.kernels import causal_attention_hopper, latent_attention_hopper
from inference.kernels.dense_attention import attend_pages, plain_attend_pages
from inference.kernels.latent_attention import Shape, num_parts, plain_latents
from inference.kernels.launch import BF16, Config
from inference.kernels.sparse_attention import CONFIG, attend_chosen, plain_attend_chosen

CPU = torch.device("cpu")
SCALE = 0.1


def _attends_as_plainly(
    query: Tensor, pages: Tensor, chosen: Tensor, tables: Tensor, sequence: Tensor, rank: int, parts: int | None
) -> tuple[Tensor, Tensor]:
    blocks = CONFIG.blocks if parts is None else {**CONFIG.blocks, "PARTS": parts}
    config = Config(blocks, CONFIG.num_warps, CONFIG.num_stages)
    given = (query, pages, chosen, tables, sequence)
    out, lse = attend_chosen(*given, rank=rank, softmax_scale=SCALE, config=config)
    plain_out, plain_lse = plain_attend_chosen(*given, rank=rank, softmax_scale=SCALE)
    assert relative_error(out, plain_out) < 1e-5
    assert relative_error(lse, plain_lse) < 1e-5
    return out, lse


@pytest.mark.parametrize("parts", [None, 1, 5])
@pytest.mark.parametrize("absorbed", [True, False])
def test_groups_of_a_few_heads_share_their_groups_latent(absorbed: bool, parts: int | None) -> None:
    heads, groups, rank, rotary = 9, 3, 64, 64
    pages = bf16_pages(128, groups, rank + rotary, CPU)
    query = torch.randn(2, heads, rank + rotary if absorbed else rotary).to(BF16)
    chosen = torch.stack([torch.randperm(128)[:101] for _ in range(2)]).int()
    tables = torch.tensor([[1, 0]], dtype=torch.int32)
    _attends_as_plainly(query, pages, chosen, tables, torch.zeros(2, dtype=torch.int32), rank, parts)


@pytest.mark.parametrize("parts", [1, 3])
def test_a_row_without_a_token_gives_zeros_and_no_nan(parts: int) -> None:
    pages = bf16_pages(64, 1, 128, CPU)
    query = torch.randn(2, 16, 128).to(BF16)
    chosen = torch.full((2, 70), -1, dtype=torch.int32)
    chosen[1, 65] = 7
    tables, sequence = torch.zeros(1, 1, dtype=torch.int32), torch.zeros(2, dtype=torch.int32)
    out, lse = _attends_as_plainly(query, pages, chosen, tables, sequence, 64, parts)
    assert (out[0] == 0).all() and (lse[0] == -torch.inf).all()
    assert torch.equal(out[1], pages[7, 0, :64].expand(16, -1))


def test_what_no_token_was_written_to_is_not_read() -> None:
    for pages in (bf16_pages(128, 1, 192, CPU), fp8_pages(128, 128, 64, CPU)):
        if pages.dtype == torch.uint8:
            pages[0], pages[70:] = 255, 255
        else:
            pages[0], pages[70:] = torch.nan, torch.nan
        query = torch.randn(1, 16, 192).to(BF16)
        chosen = torch.tensor([[6, -1, 0, 5, -1]], dtype=torch.int32)
        tables, sequence = torch.tensor([[1, -1]], dtype=torch.int32), torch.zeros(1, dtype=torch.int32)
        chosen = chosen.clamp_max(5)
        out, _ = _attends_as_plainly(query, pages, chosen, tables, sequence, 128, 1)
        assert out.isfinite().all()
        visible = torch.tensor([6], dtype=torch.int32)
        given = (query, pages, visible, tables, sequence)
        dense, _ = attend_pages(*given, rank=128, softmax_scale=SCALE, max_visible=6)
        assert relative_error(dense, plain_attend_pages(*given, rank=128, softmax_scale=SCALE)[0]) < 1e-5


def test_very_large_scores_do_not_overflow() -> None:
    pages, query = bf16_pages(64, 1, 128, CPU) * 100, torch.randn(1, 16, 128).to(BF16) * 100
    chosen = torch.randperm(64)[None].int()
    tables, sequence = torch.zeros(1, 1, dtype=torch.int32), torch.zeros(1, dtype=torch.int32)
    out, lse = attend_chosen(query, pages, chosen, tables, sequence, rank=64, softmax_scale=SCALE)
    plain_out, plain_lse = plain_attend_chosen(query, pages, chosen, tables, sequence, rank=64, softmax_scale=SCALE)
    assert relative_error(out, plain_out) < 1e-2  # scores of 1e5 are known to 1e-2 in fp32
    assert relative_error(lse, plain_lse) < 1e-5


def _small_config() -> ModelConfig:
    return ModelConfig(num_hidden_layers=1, kv_lora_rank=128, qk_rope_head_dim=64, num_attention_heads=16)


@pytest.mark.parametrize("kind", [PagedCache, Fp8PagedCache])
def test_pages_are_read_as_the_cache_writes_them(kind: type[PagedCache]) -> None:
    config = _small_config()
    cache = kind(config, 3)
    latents = torch.randn(100, 1, 192)
    slots = torch.randperm(3 * 64)[:100]
    cache.write(0, slots, latents, torch.randn(100, config.index_head_dim))
    pages = (cache.latent_LNBY if isinstance(cache, Fp8PagedCache) else cache.latent_LNBGW)[0].flatten(0, 1)
    read = plain_latents(pages, slots, 128)
    assert relative_error(read, cache.read_latents_at(0, slots)) == 0
    query = torch.randn(1, 16, 192)
    position = slots[None].int()
    tables, sequence = torch.arange(3, dtype=torch.int32)[None], torch.zeros(1, dtype=torch.int32)
    _attends_as_plainly(query, pages, position, tables, sequence, 128, 2)


def test_few_rows_are_cut_so_that_every_multiprocessor_works() -> None:
    def parts(rows: int, tokens: int) -> int:
        shape = Shape(rows, num_heads=128, num_groups=1, rank=512, rotary=64, absorbed=True, fp8=False)
        return num_parts(shape, tokens, 32, CPU)  # where the interpreter says 4 multiprocessors

    assert parts(4096, 2048) == 1
    assert parts(2, 2048) == 1  # two halves of two rows are four programs
    assert parts(1, 2048) == 2
    assert parts(1, 32) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 96}, "rank = 96"),
        ({"query": torch.zeros(1, 16, 100)}, "query width = 100"),
        ({"chosen": torch.zeros(1, 8, dtype=torch.int64)}, "int32"),
        ({"pages": torch.zeros(64, 700, dtype=torch.uint8)}, "rotary width = 284"),
    ],
)
def test_what_a_caller_gets_wrong_is_named(change: dict[str, object], message: str) -> None:
    given = {
        "query": torch.zeros(1, 16, 192),
        "pages": torch.zeros(64, 1, 192),
        "chosen": torch.zeros(1, 8, dtype=torch.int32),
        "tables": torch.zeros(1, 1, dtype=torch.int32),
        "sequence": torch.zeros(1, dtype=torch.int32),
        "rank": 128,
    } | change
    rank = given.pop("rank")
    with pytest.raises(ValueError, match=message):
        attend_chosen(*given.values(), rank=rank, softmax_scale=SCALE)  # type: ignore[arg-type]


def test_tables_name_each_block_once() -> None:
    tables = scattered_tables(3, 5, CPU)
    assert sorted(tables.flatten().tolist()) == list(range(15))


def test_without_a_hopper_card_plain_triton_is_chosen() -> None:
    shape = Shape(1, num_heads=128, num_groups=1, rank=512, rotary=64, absorbed=True, fp8=False)
    assert not latent_attention_hopper.serves(shape, CPU)
    assert not causal_attention_hopper.serves((128, 64, 128), CPU)
