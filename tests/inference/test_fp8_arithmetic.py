"""Reference arithmetic: what the published FP8 program rounds, against the plain reference that looks up every number.

A rounded value may fall on the other side of a border by the last digit of fp32, one step of 1/16 in one number, so
the tolerance is wider than in exact arithmetic; every single rounding left out misses it by far.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from inference.cache import PagedCache
from inference.checkpoint import save_checkpoint
from inference.config import ModelConfig
from inference.fp8_cache import Fp8PagedCache, fp8_block_size_bytes
from inference.layout import is_quantized
from inference.model import Model, load_model
from inference.model.indexer import hadamard
from inference.quantization import round_blocks, round_groups
from tests.inference.plain_reference import e4m3, forward, random_tensors
from tests.inference.stepping import Stepper, random_tokens
from tests.inference.test_extended_family import GROUPED

TOLERANCE = 2e-3  # of logits that reach 4
ALL = frozenset({"products", "latent", "index"})
ONE_LATENT = ModelConfig(
    vocab_size=64, hidden_size=144, intermediate_size=160, moe_intermediate_size=136, num_hidden_layers=2,
    first_k_dense_replace=1, num_attention_heads=4, n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=2,
    n_group=2, topk_group=1, q_lora_rank=136, kv_lora_rank=128, qk_nope_head_dim=16, qk_rope_head_dim=8,
    v_head_dim=16, index_n_heads=16, index_head_dim=16, index_topk=8, max_position_embeddings=512,
)  # fmt: skip
"""Partial groups of every kind, and one latent that the FP8 cache can hold."""


def fp8_tensors(config: ModelConfig) -> dict[str, Tensor]:
    tensors = random_tensors(config)
    return {name: round_blocks(tensor) if is_quantized(name) else tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("config", [ONE_LATENT, GROUPED], ids=["one latent", "grouped"])
def test_reference_arithmetic_equals_the_plain_reference(config: ModelConfig) -> None:
    tensors, tokens = fp8_tensors(config), random_tokens(20, config.vocab_size)
    right = forward(config, tensors, tokens, ALL)
    stepper = Stepper(Model(config, tensors.__getitem__, "reference"))
    for chunks in ([20], [3, 1, 9], []):
        assert float((stepper.run(tokens, chunks) - right).abs().max()) < TOLERANCE


@pytest.mark.parametrize("left_out", sorted(ALL))
def test_every_rounding_left_out_would_be_seen(left_out: str) -> None:
    tensors, tokens = fp8_tensors(ONE_LATENT), random_tokens(20, ONE_LATENT.vocab_size)
    wrong = forward(ONE_LATENT, tensors, tokens, ALL - {left_out})
    right = Stepper(Model(ONE_LATENT, tensors.__getitem__, "reference")).run(tokens, [20])
    assert float((wrong - right).abs().max()) > 10 * TOLERANCE


def test_exact_arithmetic_rounds_nothing() -> None:
    tensors, tokens = fp8_tensors(ONE_LATENT), random_tokens(20, ONE_LATENT.vocab_size)
    logits = Stepper(Model(ONE_LATENT, tensors.__getitem__)).run(tokens, [20])
    assert float((logits - forward(ONE_LATENT, tensors, tokens)).abs().max()) < 1e-4


def test_the_hadamard_matrix_is_orthonormal_and_a_power_of_two() -> None:
    for order in (1, 2, 64, 128):
        assert torch.allclose(hadamard(order) @ hadamard(order).T, torch.eye(order), atol=1e-6)
    with pytest.raises(ValueError, match="index_head_dim = 12"):
        hadamard(12)


def test_the_rotation_spreads_an_outlier_that_would_cost_the_others_their_digits() -> None:
    x = torch.randn(50, 128, generator=torch.Generator().manual_seed(0)) * 1e-3
    x[:, 7] = 300.0
    rotated = x @ hadamard(128)
    lost = float((e4m3(x) - x)[:, 8:].norm() / x[:, 8:].norm())
    kept = float((round_groups(rotated) - rotated).norm() / rotated.norm())
    assert lost > 0.1 > 0.05 > kept


def test_the_same_model_loads_from_plain_and_from_fp8_files(tmp_path: Path) -> None:
    tensors, tokens = random_tensors(ONE_LATENT), random_tokens(20, ONE_LATENT.vocab_size)
    logits = []
    for name, quantization in (("plain", None), ("fp8", "fp8")):
        (tmp_path / name).mkdir()
        save_checkpoint(tmp_path / name, ONE_LATENT, tensors, torch.float32, quantization=quantization)  # type: ignore[arg-type]
        model = load_model(tmp_path / name, "cpu", torch.float32, arithmetic="reference")
        logits.append(Stepper(model).run(tokens, [20]))
    assert torch.equal(*logits)


@pytest.mark.parametrize("chunks", [[20], [3, 1, 9], []], ids=["one go", "uneven chunks", "by token"])
def test_the_fp8_cache_changes_nothing_in_reference_arithmetic(chunks: list[int]) -> None:
    """In bfloat16 the other cache holds the same rounded numbers, at more than twice the size."""
    tensors, tokens = fp8_tensors(ONE_LATENT), random_tokens(20, ONE_LATENT.vocab_size)
    model = Model(ONE_LATENT, lambda name: tensors[name].bfloat16(), "reference")
    plain = Stepper(model).run(tokens, chunks)
    assert torch.equal(Stepper(model, make_cache=Fp8PagedCache).run(tokens, chunks), plain)
    assert torch.equal(Stepper(model, scattered=False, make_cache=Fp8PagedCache).run(tokens, chunks), plain)


def test_the_fp8_cache_rounds_to_e4m3_and_keeps_the_rotary_key_in_bfloat16() -> None:
    cache = Fp8PagedCache(ONE_LATENT, num_blocks=3, block_size=4)
    generator = torch.Generator().manual_seed(0)
    latent, index = torch.randn(6, 1, 136, generator=generator), torch.randn(6, 16, generator=generator)
    slots = torch.tensor([8, 9, 10, 11, 0, 1])
    cache.write(1, slots, latent, index)
    read = cache.read_latents(1, torch.tensor([2, 0]), 6)
    assert torch.equal(read[..., :128], e4m3(latent[..., :128]))
    assert torch.equal(read[..., 128:], latent[..., 128:].bfloat16().float())
    assert torch.equal(cache.read_latents_at(1, slots[[5, 0]]), read[[5, 0]])
    assert torch.equal(cache.read_index_keys(1, torch.tensor([2, 0]), 6), e4m3(index))


def test_an_fp8_block_has_the_published_size_and_plan() -> None:
    """656 and 132 bytes a token and layer; 64 indexer keys lie before their 64 scales."""
    released = replace(ModelConfig(), num_hidden_layers=1)
    assert fp8_block_size_bytes(released, 64) == 64 * 656 + 8448
    cache = Fp8PagedCache(released, num_blocks=1)
    assert cache.latent_LNBY.shape[-1] == 656 and cache.index_LNY.shape[-1] == 8448
    cache.write(0, torch.tensor([63]), torch.zeros(1, 1, 576), torch.full((1, 128), 448.0))
    block = cache.index_LNY[0, 0]
    assert block[63 * 128 : 64 * 128].view(torch.float8_e4m3fn).float().tolist() == [448.0] * 128
    assert block[-4:].view(torch.float32).tolist() == [1.0]


@pytest.mark.parametrize(
    ("config", "named"),
    [(GROUPED, "num_latent_groups = 3"), (replace(ONE_LATENT, kv_lora_rank=64), "kv_lora_rank = 64")],
)
def test_what_the_fp8_cache_cannot_hold_is_named(config: ModelConfig, named: str) -> None:
    assert PagedCache(config, 1).num_blocks == 1
    with pytest.raises(ValueError, match=named):
        Fp8PagedCache(config, 1)
