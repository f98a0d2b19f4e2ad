"""Checkpoint directories: written, read back, and refused with the name of the tensor that does not fit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference.checkpoint import INDEX, SINGLE, open_checkpoint, save_checkpoint
from inference.model import load_model
from tests.inference.plain_reference import forward, random_tensors
from tests.inference.stepping import Stepper, random_tokens
from tests.inference.test_extended_family import GROUPED


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return random_tensors(GROUPED)


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    save_checkpoint(path, GROUPED, tensors, torch.float32)


@pytest.mark.parametrize("shard_bytes", [2**30, 20_000], ids=["single", "sharded"])
def test_what_is_saved_is_loaded(tmp_path: Path, tensors: dict[str, Tensor], shard_bytes: int) -> None:
    save_checkpoint(tmp_path, GROUPED, tensors, torch.float32, shard_bytes)
    assert (tmp_path / INDEX).exists() == (shard_bytes < 2**30)
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.config == GROUPED
        for name, tensor in tensors.items():
            assert torch.equal(checkpoint.read(name, torch.float32), tensor)


def test_bfloat16_keeps_the_correction_bias_in_fp32(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    save_checkpoint(tmp_path, GROUPED, tensors, torch.bfloat16)
    stored = load_file(tmp_path / SINGLE)
    fp32 = {name for name, tensor in stored.items() if tensor.dtype == torch.float32}
    assert fp32 == {name for name in tensors if name.endswith("e_score_correction_bias")}


def drop_first_norm(stored: dict[str, Tensor]) -> None:
    del stored["model.layers.1.input_layernorm.weight"]


def add_stranger(stored: dict[str, Tensor]) -> None:
    stored["model.layers.0.self_attn.q_proj.bias"] = torch.zeros(1)


def misshape_norm(stored: dict[str, Tensor]) -> None:
    stored["model.norm.weight"] = torch.zeros(47)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (drop_first_norm, r"model\.layers\.1\.input_layernorm\.weight is missing"),
        (add_stranger, r"model\.layers\.0\.self_attn\.q_proj\.bias .* not part"),
        (misshape_norm, r"model\.norm\.weight has shape \(47,\).* \(48,\)"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    tmp_path: Path, tensors: dict[str, Tensor], damage: Callable[[dict[str, Tensor]], None], told: str
) -> None:
    write(tmp_path, tensors)
    stored = load_file(tmp_path / SINGLE)
    damage(stored)
    save_file(stored, tmp_path / SINGLE)
    with pytest.raises(ValueError, match=told):
        open_checkpoint(tmp_path)


def test_a_shard_that_is_not_there_is_named(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    save_checkpoint(tmp_path, GROUPED, tensors, torch.float32, shard_bytes=20_000)
    next(tmp_path.glob("model-00002-*")).unlink()
    with pytest.raises(ValueError, match="model-00002"):
        open_checkpoint(tmp_path)


def test_saving_refuses_a_set_of_tensors_that_is_not_whole(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    del tensors["model.norm.weight"]
    with pytest.raises(ValueError, match="model.norm.weight is missing"):
        write(tmp_path, tensors)


def test_the_draft_layer_of_a_release_is_passed_over(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    write(tmp_path, tensors)
    stored = load_file(tmp_path / SINGLE)
    stored["model.layers.2.eh_proj.weight"] = torch.zeros(48, 96)
    save_file(stored, tmp_path / SINGLE)
    assert len(load_model(tmp_path, "cpu", torch.float32).layers) == 2


def test_fp8_weights_are_multiplied_by_the_scale_of_their_block(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    """Two blocks of rows with different scales, and one partial block of columns."""
    name = "model.layers.0.self_attn.indexer.wq_b.weight"
    write(tmp_path, tensors)
    stored = load_file(tmp_path / SINGLE)
    wide = stored["model.embed_tokens.weight"]
    stored["model.embed_tokens.weight"] = wide.to(torch.float8_e4m3fn)
    stored["model.embed_tokens.weight_scale_inv"] = torch.tensor([[2.0], [0.5]])
    save_file(stored, tmp_path / SINGLE)
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with open_checkpoint(tmp_path) as checkpoint:
        read = checkpoint.read("model.embed_tokens.weight", torch.float32)
        assert torch.equal(checkpoint.read(name, torch.float32), tensors[name])
    exact = wide.to(torch.float8_e4m3fn).float()
    assert torch.equal(read[:128], exact[:128] * 2) and torch.equal(read[128:], exact[128:] / 2)


def test_a_loaded_model_computes_what_was_saved(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    write(tmp_path, tensors)
    tokens = random_tokens(12)
    logits = Stepper(load_model(tmp_path, "cpu", torch.float32)).run(tokens, [12])
    assert float((logits - forward(GROUPED, tensors, tokens)).abs().max()) < 1e-4


def test_fp16_is_refused(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    write(tmp_path, tensors)
    with pytest.raises(ValueError, match="float16"):
        load_model(tmp_path, "cpu", torch.float16)
