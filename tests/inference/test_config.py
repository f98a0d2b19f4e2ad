"""Both spellings of a configuration, and what stops the start."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.config import ModelConfig, Yarn

YARN = {
    "factor": 40.0, "original_max_position_embeddings": 4096, "beta_fast": 32.0, "beta_slow": 1.0,
    "mscale": 1.0, "mscale_all_dim": 1.0,
}  # fmt: skip
RELEASE: dict[str, Any] = {
    "model_type": "deepseek_v32", "scoring_func": "sigmoid", "topk_method": "noaux_tc", "rope_theta": 10000,
    "rope_scaling": {"type": "yarn", **YARN, "factor": 40}, "torch_dtype": "bfloat16", "num_key_value_heads": 128,
    "first_k_dense_replace": 3, "num_hidden_layers": 61, "moe_layer_freq": 1, "num_nextn_predict_layers": 1,
}  # fmt: skip
TRANSFORMERS: dict[str, Any] = {
    "model_type": "deepseek_v32", "rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, **YARN},
    "mlp_layer_types": ["dense"] * 3 + ["sparse"] * 58, "layer_types": ["indexed_attention"] * 61,
    "num_hidden_layers": 61, "qk_head_dim": 192, "head_dim": 64, "transformers_version": "5.23.0",
}  # fmt: skip


def test_both_spellings_give_the_same_configuration() -> None:
    """But for the draft layer, which transformers leaves out."""
    release = ModelConfig.from_dict(RELEASE)
    assert replace(release, num_nextn_predict_layers=0) == ModelConfig.from_dict(TRANSFORMERS)
    assert release.num_nextn_predict_layers == 1


def test_what_is_missing_is_deepseeks() -> None:
    assert ModelConfig.from_dict({}) == ModelConfig()


def test_the_published_softmax_scale() -> None:
    assert ModelConfig.from_dict(RELEASE).softmax_scale == pytest.approx(0.1352338, abs=1e-7)


def test_yarn_without_mscale_turns_up_the_rotation_instead() -> None:
    yarn = Yarn(factor=40.0, original_max_position_embeddings=4096)
    assert yarn.rotary_magnitude == pytest.approx(1.3688879)
    assert ModelConfig(yarn=yarn).softmax_scale == pytest.approx(192**-0.5)


def test_a_written_configuration_reads_back_equal(tmp_path: Path) -> None:
    config = ModelConfig.from_dict({**RELEASE, "eos_token_id": [1, 7], "q_lora_rank": None, "num_latent_groups": 4})
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    assert ModelConfig.from_file(tmp_path) == config
    assert config.eos_token_ids == (1, 7) and config.eos_token_id == 1 and config.q_lora_rank is None


def test_an_unknown_key_warns_by_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ModelConfig.from_dict({**RELEASE, "sliding_window": 512})
        ModelConfig.from_dict(RELEASE)
    assert [record.message for record in caplog.records] == ["config.json: unknown keys ignored: sliding_window"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_type": "llama"}, "model_type"),
        ({"scoring_func": "softmax"}, "scoring_func"),
        ({"topk_method": "greedy"}, "topk_method"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_size": "7168"}, "hidden_size"),
        ({"num_hidden_layers": True}, "num_hidden_layers"),
        ({"n_group": 7}, "n_group"),
        ({"topk_group": 9}, "topk_group"),
        ({"num_experts_per_tok": 129}, "num_experts_per_tok"),
        ({"num_latent_groups": 3}, "num_latent_groups"),
        ({"index_head_dim": 32}, "index_head_dim"),
        ({"num_key_value_heads": 8}, "num_key_value_heads"),
        ({"mlp_layer_types": ["dense"] * 2 + ["sparse"] * 59}, "first_k_dense_replace"),
        ({"mlp_layer_types": ["sparse", "dense"] + ["sparse"] * 59}, "mlp_layer_types"),
        ({"layer_types": ["full_attention"] * 61}, "layer_types"),
        ({"layer_types": ["indexed_attention"] * 60}, "layer_types"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}}, "rope_parameters"),
        ({"rope_scaling": None, "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}}, "rope_theta"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling"),
        ({"rope_scaling": {"type": "yarn"}}, "rope_scaling"),
        ({"rope_scaling": {"type": "yarn", **YARN, "truncate": False}}, "truncate"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
    ],
)
def test_what_would_be_another_model_stops_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ModelConfig.from_dict({**RELEASE, **change})


@pytest.mark.parametrize(("text", "told"), [(None, "no config.json"), ("{", "not JSON"), ("[]", "not an object")])
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=told):
        ModelConfig.from_file(tmp_path)
