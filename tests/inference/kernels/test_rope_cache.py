"""Turned queries and cached tokens have the bits that the model and its caches give them."""

import dataclasses

import pytest
import torch

from inference.cache import PagedCache
from inference.config import ModelConfig, Yarn
from inference.fp8_cache import Fp8PagedCache
from inference.kernels.rope_cache import rotate_and_write, turns_of
from inference.model.norm import RMSNorm
from inference.model.rope import Rope, rotate_neighbours
from inference.quantization import round_groups

RELEASED = ModelConfig(
    num_hidden_layers=1, yarn=Yarn(factor=40, original_max_position_embeddings=4096, mscale=1, mscale_all_dim=1)
)
GROUPED = dataclasses.replace(
    RELEASED, num_attention_heads=9, num_latent_groups=3, kv_lora_rank=64, qk_nope_head_dim=0, yarn=None
)
POSITIONS = torch.tensor([0, 1, 4095, 100_000, 17, 163_839, 5])
SLOTS = torch.tensor([130, 0, 64, -1, 63, 191, 65])
IS_TOKEN = SLOTS >= 0


class Step:
    """What the projections of a step give, cut from one tensor as they are in the model."""

    def __init__(self, config: ModelConfig) -> None:
        generator = torch.Generator().manual_seed(5)
        tokens, groups = len(POSITIONS), config.num_latent_groups
        heads, width = config.num_attention_heads, config.qk_rope_head_dim
        query = torch.randn(tokens, heads, config.qk_nope_head_dim + width, generator=generator)
        self.query_THP = query[..., config.qk_nope_head_dim :]
        joined = torch.randn(tokens, groups * (config.kv_lora_rank + width) + 24, generator=generator)[:, 8:-16]
        latent, rotary = joined.split([groups * config.kv_lora_rank, groups * width], dim=-1)
        self.latent_TGR, self.rotary_TGP = latent.unflatten(-1, (groups, -1)), rotary.unflatten(-1, (groups, -1))
        self.factors = Rope(config, "cpu").factors(POSITIONS)
        self.turns_C2P = turns_of(self.factors)

    def write(self, pages: torch.Tensor, **options: object) -> None:
        rows = torch.arange(len(POSITIONS))
        rotate_and_write(
            self.query_THP, self.latent_TGR, self.rotary_TGP, rows, SLOTS, self.turns_C2P, pages, **options  # type: ignore[arg-type]
        )  # fmt: skip


@pytest.mark.parametrize("config", [RELEASED, GROUPED], ids=["released", "grouped"])
def test_queries_turn_by_the_bits_of_the_model(config: ModelConfig) -> None:
    step = Step(config)
    pages = torch.empty(192, config.num_latent_groups, config.kv_lora_rank + 64)
    expected = rotate_neighbours(step.query_THP, step.factors)
    out = torch.full((len(POSITIONS), config.num_attention_heads, 600), torch.nan)
    step.write(pages, out_THP=out[..., 512:576])
    assert torch.equal(out[..., 512:576], expected)
    assert out[..., :512].isnan().all() and out[..., 576:].isnan().all()
    step.write(pages)
    assert torch.equal(step.query_THP, expected)


def test_a_row_turns_by_its_own_position() -> None:
    step = Step(GROUPED)
    expected = rotate_neighbours(step.query_THP, Rope(GROUPED, "cpu").factors(torch.tensor([3, 0, 2, 9, 9, 1, 0])))
    turns_C2P = turns_of(Rope(GROUPED, "cpu").factors(torch.arange(10)))
    rotate_and_write(
        step.query_THP,
        step.latent_TGR,
        step.rotary_TGP,
        torch.tensor([3, 0, 2, 9, 9, 1, 0]),
        SLOTS,
        turns_C2P,
        torch.empty(192, 3, 128),
    )
    assert torch.equal(step.query_THP, expected)


@pytest.mark.parametrize("rounds", [False, True])
def test_pages_of_the_models_type_hold_what_its_cache_would(rounds: bool) -> None:
    step = Step(GROUPED)
    cache = PagedCache(GROUPED, num_blocks=3)
    cache.latent_LNBGW.fill_(torch.nan)
    latent = round_groups(step.latent_TGR) if rounds else step.latent_TGR
    latent = torch.cat((latent, rotate_neighbours(step.rotary_TGP, step.factors)), dim=-1)
    cache.write(0, SLOTS[IS_TOKEN], latent[IS_TOKEN], torch.empty(int(IS_TOKEN.sum()), GROUPED.index_head_dim))
    pages = torch.full((192, 3, 128), torch.nan)
    step.write(pages, rounds=rounds)
    assert pages.isnan().sum() == (192 - int(IS_TOKEN.sum())) * 3 * 128
    torch.testing.assert_close(pages, cache.latent_LNBGW[0].flatten(0, 1), rtol=0, atol=0, equal_nan=True)


def test_fp8_pages_hold_the_bytes_that_the_fp8_cache_would() -> None:
    step = Step(RELEASED)
    step.latent_TGR[1] = 0
    step.latent_TGR[4] *= 1e-7
    cache = Fp8PagedCache(RELEASED, num_blocks=3)
    cache.latent_LNBY.fill_(7)
    latent = torch.cat((step.latent_TGR, rotate_neighbours(step.rotary_TGP, step.factors)), dim=-1)
    cache.write(0, SLOTS[IS_TOKEN], latent[IS_TOKEN], torch.zeros(int(IS_TOKEN.sum()), 128))
    pages = torch.full((192, 656), 7, dtype=torch.uint8)
    step.write(pages)
    assert torch.equal(pages, cache.latent_LNBY[0].flatten(0, 1))


def test_latents_are_normed_before_they_are_rounded() -> None:
    step = Step(RELEASED)
    weight_R = torch.rand(512, generator=torch.Generator().manual_seed(6)) + 0.5
    cache = Fp8PagedCache(RELEASED, num_blocks=3)
    latent = RMSNorm(weight_R, 1e-6)(step.latent_TGR)
    latent = torch.cat((latent, rotate_neighbours(step.rotary_TGP, step.factors)), dim=-1)
    cache.write(0, SLOTS[IS_TOKEN], latent[IS_TOKEN], torch.zeros(int(IS_TOKEN.sum()), 128))
    expected = cache.latent_LNBY[0].flatten(0, 1)[SLOTS[IS_TOKEN]]
    pages = torch.zeros(192, 656, dtype=torch.uint8)
    step.write(pages, norm_weight_R=weight_R, eps=1e-6)
    differing = (pages[SLOTS[IS_TOKEN]] != expected).float().mean()
    assert differing < 1e-3  # a norm's last bit decides a tie now and then


def test_no_tokens_are_no_launch_and_what_does_not_fit_is_named() -> None:
    step = Step(GROUPED)
    none = torch.empty(0, dtype=torch.int64)
    rotate_and_write(
        step.query_THP[:0],
        step.latent_TGR[:0],
        step.rotary_TGP[:0],
        none,
        none,
        step.turns_C2P,
        torch.empty(192, 3, 128),
    )
    with pytest.raises(ValueError, match=r"pages: \(192, 3, 100\): \(192, 3, 128\) expected"):
        step.write(torch.empty(192, 3, 100))
    with pytest.raises(ValueError, match="3 latents of 64: FP8 pages hold one"):
        step.write(torch.empty(192, 656, dtype=torch.uint8))
