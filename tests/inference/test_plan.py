"""The released configuration, as published: names, shapes, counts, and what fits on how many GPUs."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from inference.__main__ import main
from inference.config import ModelConfig
from inference.layout import draft_shapes, is_quantized, is_split, num_elements, stored_bytes, tensor_shapes
from inference.plan import Plan, plan
from tests.inference.test_extended_family import GROUPED

RELEASED = Path(__file__).parent / "released_config.json"
ATTENTION = {
    "input_layernorm.weight": (7168,),
    "post_attention_layernorm.weight": (7168,),
    "self_attn.q_a_proj.weight": (1536, 7168),
    "self_attn.q_a_layernorm.weight": (1536,),
    "self_attn.q_b_proj.weight": (24576, 1536),
    "self_attn.kv_a_proj_with_mqa.weight": (576, 7168),
    "self_attn.kv_a_layernorm.weight": (512,),
    "self_attn.kv_b_proj.weight": (32768, 512),
    "self_attn.o_proj.weight": (7168, 16384),
    "self_attn.indexer.wq_b.weight": (8192, 1536),
    "self_attn.indexer.wk.weight": (128, 7168),
    "self_attn.indexer.k_norm.weight": (128,),
    "self_attn.indexer.k_norm.bias": (128,),
    "self_attn.indexer.weights_proj.weight": (64, 7168),
}
DRAFT = {
    "embed_tokens.weight": (129280, 7168),
    "enorm.weight": (7168,),
    "hnorm.weight": (7168,),
    "eh_proj.weight": (7168, 14336),
    "shared_head.norm.weight": (7168,),
    "shared_head.head.weight": (129280, 7168),
}


def mlp(prefix: str, width: int) -> dict[str, tuple[int, int]]:
    shapes = {"gate": (width, 7168), "up": (width, 7168), "down": (7168, width)}
    return {f"mlp.{prefix}{part}_proj.weight": shape for part, shape in shapes.items()}


MOE: dict[str, tuple[int, ...]] = {
    "mlp.gate.weight": (256, 7168),
    "mlp.gate.e_score_correction_bias": (256,),
    **mlp("shared_experts.", 2048),
    **{name: shape for e in range(256) for name, shape in mlp(f"experts.{e}.", 2048).items()},
}


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return ModelConfig.from_file(RELEASED)


@pytest.fixture(scope="module")
def on_eight(config: ModelConfig) -> Plan:
    return plan(config, 8)


def test_the_released_configuration_is_read_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        config = ModelConfig.from_file(RELEASED)
    assert not caplog.records
    assert config.yarn is not None and config == replace(ModelConfig(), yarn=config.yarn, num_nextn_predict_layers=1)


def test_names_and_shapes_are_the_released_ones(config: ModelConfig) -> None:
    expected: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (129280, 7168),
        "model.norm.weight": (7168,),
        "lm_head.weight": (129280, 7168),
    }
    for layer in range(62):
        parts = ATTENTION | (mlp("", 18432) if layer < 3 else MOE) | (DRAFT if layer == 61 else {})
        expected |= {f"model.layers.{layer}.{name}": shape for name, shape in parts.items()}
    assert tensor_shapes(config) | draft_shapes(config) == expected
    assert all(".layers.61." in name for name in draft_shapes(config))


def test_the_number_of_tensors_is_near_the_published_one(config: ModelConfig) -> None:
    """91,991 in the generation before, which had no indexer: six more tensors and two more scales a layer."""
    shapes = tensor_shapes(config) | draft_shapes(config)
    indexer = [name for name in shapes if ".indexer." in name]
    scales = [name for name in shapes if is_quantized(name)]
    assert len(shapes) + len(scales) - len(indexer) - sum(map(is_quantized, indexer)) == 91_991


def test_parameters_are_the_published_ones(on_eight: Plan) -> None:
    assert round(on_eight.num_parameters / 1e9, 1) == 671.9
    assert round(on_eight.num_active / 1e9, 1) == 37.5
    assert round(on_eight.num_stored / 1e9, 1) == 685.4


def test_the_fp8_files_are_as_large_as_published(config: ModelConfig) -> None:
    shapes = tensor_shapes(config) | draft_shapes(config)
    assert sum(stored_bytes(name, shape, "fp8") for name, shape in shapes.items()) / 2**30 == pytest.approx(641, abs=2)


def test_a_token_takes_the_published_room_in_the_caches(on_eight: Plan) -> None:
    assert on_eight.cache_token_bytes["fp8"] / 1024 == pytest.approx(46.9, abs=0.05)
    assert on_eight.cache_token_bytes["fp8"] * 128 * 1024 / 2**30 == pytest.approx(5.9, abs=0.05)
    assert on_eight.cache_token_bytes["bfloat16"] == 61 * 2 * (576 + 128)
    assert "fp8" not in plan(GROUPED, 1).cache_token_bytes


def test_gpus_divide_everything_but_what_each_needs_whole(config: ModelConfig, on_eight: Plan) -> None:
    shapes = tensor_shapes(config)
    whole = {name.rpartition("layers.5.")[2] for name in shapes if ".layers.5." in name and not is_split(name)}
    split = {name for name in ATTENTION if name not in whole}
    assert split == {f"self_attn.{name}_proj.weight" for name in ("q_b", "kv_b", "o")}
    assert {name for name in whole if name.startswith("mlp")} == {"mlp.gate.weight", "mlp.gate.e_score_correction_bias"}
    alone = plan(config, 1).weight_bytes["fp8"]
    replicated = sum(stored_bytes(name, shape, "fp8") for name, shape in shapes.items() if not is_split(name))
    assert on_eight.weight_bytes["fp8"] == pytest.approx((alone - replicated) / 8 + replicated, rel=1e-6)


def test_what_does_not_divide_is_named(config: ModelConfig) -> None:
    with pytest.raises(ValueError, match="--gpus 3 does not divide num_attention_heads = 128"):
        plan(config, 3)
    with pytest.raises(ValueError, match="--gpus 16 does not divide n_routed_experts = 8"):
        plan(replace(GROUPED, num_attention_heads=48, num_latent_groups=1), 16)
    with pytest.raises(ValueError, match="--gpus 2 does not divide num_latent_groups = 3"):
        plan(GROUPED, 2)


def test_active_parameters_count_a_tied_head_once() -> None:
    got = plan(GROUPED, 1)
    expert = 3 * GROUPED.hidden_size * GROUPED.moe_intermediate_size
    assert got.num_parameters - got.num_active == 2 * 4 * expert  # two layers, four of eight experts rest
    assert got.num_parameters == sum(num_elements(shape) for shape in tensor_shapes(GROUPED).values())


def test_the_command_prints_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--config", str(RELEASED), "--gpus", "8"]) == 0
    told = capsys.readouterr().out
    assert "671.9 B" in told and "37.5 B" in told and "contexts of 128K" in told
    assert main(["plan", "--config", str(RELEASED), "--gpus", "7"]) == 1
    assert "num_attention_heads" in capsys.readouterr().err
