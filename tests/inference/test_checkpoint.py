"""Checkpoint directories: written, read back, and refused with the name of the tensor that does not fit."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference.checkpoint import INDEX, SINGLE, Quantization, open_checkpoint, save_checkpoint
from inference.layout import is_quantized, num_elements, tensor_shapes
from inference.model import load_model
from inference.quantization import dequantize_blocks, quantize_blocks, quantize_rows, round_blocks
from tests.inference.plain_reference import forward, random_tensors
from tests.inference.stepping import Stepper, random_tokens
from tests.inference.test_extended_family import GROUPED

ROOT = Path(__file__).resolve().parents[2]


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


def test_a_bfloat16_model_routes_by_the_whole_correction_bias(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    """Two experts one bfloat16 step apart would tie, and the wrong one be chosen."""
    name = "model.layers.1.mlp.gate.e_score_correction_bias"
    tensors[name] = torch.tensor([1.0, 1.0, 1.0, 1.0 + 2**-10, 1.0, 1.0, 1.0 + 2**-10, 1.0])
    tensors["model.layers.1.mlp.gate.weight"].zero_()
    config = replace(GROUPED, num_experts_per_tok=1)
    save_checkpoint(tmp_path, config, tensors, torch.bfloat16)
    model = load_model(tmp_path, "cpu", torch.bfloat16)
    Stepper(model).run(random_tokens(6), [6])
    assert model.expert_counts[1].nonzero()[:, 0].tolist() in ([3], [6])


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


def test_the_draft_layer_of_a_release_is_kept_apart_and_must_be_whole(tmp_path: Path) -> None:
    config = replace(GROUPED, num_nextn_predict_layers=1)
    tensors = random_tensors(config)
    save_checkpoint(tmp_path, config, tensors, torch.float32)
    name = "model.layers.2.eh_proj.weight"
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.has_draft and torch.equal(checkpoint.read(name, torch.float32), tensors[name])
    assert len(load_model(tmp_path, "cpu", torch.float32).layers) == 2
    stored = load_file(tmp_path / SINGLE)
    del stored[name]
    save_file(stored, tmp_path / SINGLE)
    with pytest.raises(ValueError, match=f"{name} is missing"):
        open_checkpoint(tmp_path)


def test_a_draft_layer_may_be_absent_but_not_surplus(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    config = replace(GROUPED, num_nextn_predict_layers=1)
    save_checkpoint(tmp_path, config, tensors, torch.float32)
    with open_checkpoint(tmp_path) as checkpoint:
        assert not checkpoint.has_draft and checkpoint.config == GROUPED
    with pytest.raises(ValueError, match=r"model\.layers\.2\.\S+ is not part"):
        save_checkpoint(tmp_path, GROUPED, random_tensors(config), torch.float32)


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


WIDE = replace(
    GROUPED, vocab_size=64, hidden_size=160, moe_intermediate_size=136, n_routed_experts=4, num_experts_per_tok=2,
    num_nextn_predict_layers=1, index_topk=64,
)  # fmt: skip
"""Partial last blocks in both dimensions; dense, as a rounded index score may choose another token."""


@pytest.mark.parametrize("quantization", ["fp8", "int8"])
def test_quantised_checkpoints_hold_what_the_format_can(tmp_path: Path, quantization: Quantization) -> None:
    """e4m3 has 3 digits after the first and ends at 2^-9 of its scale; int8 has 127 steps a row."""
    tensors = random_tensors(WIDE)
    save_checkpoint(tmp_path, WIDE, tensors, torch.float32, 300_000, quantization)
    with open_checkpoint(tmp_path) as checkpoint:
        for name, right in tensors.items():
            error = (checkpoint.read(name, torch.float32) - right).abs()
            if not is_quantized(name):
                assert not error.any(), name
            elif quantization == "int8":
                assert (error <= right.abs().amax(dim=1, keepdim=True) / 254 * 1.0001).all(), name
            else:
                scale = dequantize_blocks(torch.ones_like(right), quantize_blocks(right)[1])
                assert (error <= torch.maximum(right.abs() / 16, scale * 2**-10)).all(), name
                assert float(error.max()) > 0, name


def test_the_written_fp8_layout_is_the_released_one(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, WIDE, random_tensors(WIDE), torch.bfloat16, quantization="fp8")
    stored = load_file(tmp_path / SINGLE)
    prefix = "model.layers.2.self_attn"
    weight, scale = stored[f"{prefix}.o_proj.weight"], stored[f"{prefix}.o_proj.weight_scale_inv"]
    assert weight.dtype == torch.float8_e4m3fn and scale.dtype == torch.float32
    assert weight.shape == (160, 48) and scale.shape == (2, 1)
    assert (torch.frexp(scale).mantissa == 0.5).all(), "ue8m0: powers of two"
    plain = {name for name in stored if f"{name}_scale_inv" not in stored and not name.endswith("_scale_inv")}
    assert plain == {
        name
        for name in stored
        if "norm" in name
        or name.endswith(("mlp.gate.weight", "e_score_correction_bias", "embed_tokens.weight", "head.weight"))
        or name.endswith(("weights_proj.weight", "eh_proj.weight"))
    }
    assert json.loads((tmp_path / "config.json").read_text())["quantization_config"]["scale_fmt"] == "ue8m0"


@pytest.mark.parametrize("quantization", ["fp8", "int8"])
def test_a_quantised_model_is_the_plain_one_with_its_weights_rounded(
    tmp_path: Path, quantization: Quantization
) -> None:
    tensors, tokens = random_tensors(WIDE), random_tokens(12, WIDE.vocab_size)
    save_checkpoint(tmp_path, WIDE, tensors, torch.bfloat16, 200_000, quantization)
    for name, tensor in tensors.items():
        if is_quantized(name):
            rows, scales = quantize_rows(tensor)
            tensors[name] = round_blocks(tensor) if quantization == "fp8" else rows * scales
        elif not name.endswith("e_score_correction_bias"):
            tensors[name] = tensor.bfloat16().float()
    logits = Stepper(load_model(tmp_path, "cpu", torch.float32)).run(tokens, [12])
    assert float((logits - forward(WIDE, tensors, tokens)).abs().max()) < 1e-4


def test_a_quantised_tensor_without_its_scale_is_named(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    save_checkpoint(tmp_path, GROUPED, tensors, torch.bfloat16, quantization="fp8")
    stored = load_file(tmp_path / SINGLE)
    del stored["model.layers.1.self_attn.indexer.wk.weight_scale_inv"]
    save_file(stored, tmp_path / SINGLE)
    with pytest.raises(ValueError, match=r"model\.layers\.1\.self_attn\.indexer\.wk\.weight_scale_inv is missing"):
        open_checkpoint(tmp_path)


def test_loading_says_how_far_it_is(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    write(tmp_path, tensors)
    told: list[str] = []
    load_model(tmp_path, "cpu", torch.float32, told.append)
    assert told == ["loading weights, layer 1 of 2", "loading weights, layer 2 of 2"]


def test_loading_holds_the_weights_and_one_shard(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    """Peak of a process of its own. All shards kept open would hold 52 MiB more."""
    config = replace(GROUPED, hidden_size=256, moe_intermediate_size=128, n_routed_experts=32, num_hidden_layers=8)
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    write(small, tensors)
    save_checkpoint(large, config, random_tensors(config), torch.bfloat16, shard_bytes=2 * 2**20)
    command = [sys.executable, "-c", MEASURE_PEAK, str(small), str(large)]
    given_back = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # otherwise the allocator's leavings are measured
    run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=given_back)
    peak = int(run.stdout)
    weights = sum(4 * num_elements(shape) for shape in tensor_shapes(config).values())
    assert weights < peak < weights + (2 + 24) * 2**20  # 24 MiB: one layer of experts on its way, code


MEASURE_PEAK = """
import sys, torch
from pathlib import Path
from inference.model import load_model

def status(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024

torch.set_num_threads(1)
load_model(Path(sys.argv[1]), "cpu", torch.float32)  # brings in the code
before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
model = load_model(Path(sys.argv[2]), "cpu", torch.float32)
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_loaded_model_keeps_no_shard_mapped(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    save_checkpoint(tmp_path, GROUPED, tensors, torch.float32)
    model = load_model(tmp_path, "cpu", torch.float32)
    assert model.layers and str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_a_loaded_model_computes_what_was_saved(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    write(tmp_path, tensors)
    tokens = random_tokens(12)
    logits = Stepper(load_model(tmp_path, "cpu", torch.float32)).run(tokens, [12])
    assert float((logits - forward(GROUPED, tensors, tokens)).abs().max()) < 1e-4


def test_fp16_is_refused(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    write(tmp_path, tensors)
    with pytest.raises(ValueError, match="float16"):
        load_model(tmp_path, "cpu", torch.float16)
