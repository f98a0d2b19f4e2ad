"""A checkpoint in another format: the same names and tokenizer, weights that the format can hold, served as before."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inference.__main__ import main
from inference.checkpoint import open_checkpoint, save_checkpoint
from inference.layout import draft_shapes, is_quantized, tensor_shapes
from inference.quantization import round_blocks
from inference.serve import ServeSettings, load
from tests.inference.plain_reference import random_tensors
from tests.inference.test_extended_family import GROUPED

CONFIG = replace(GROUPED, num_nextn_predict_layers=1)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    save_checkpoint(path, CONFIG, random_tensors(CONFIG), torch.float32)
    (path / "tokenizer.json").write_text("{}")
    return path


def test_fp8_and_back_keeps_what_fp8_holds(source: Path, tmp_path: Path) -> None:
    assert main(["convert", "--model", str(source), "--out", str(tmp_path / "fp8"), "--to", "fp8"]) == 0
    assert main(["convert", "--model", str(tmp_path / "fp8"), "--out", str(tmp_path / "back"), "--to", "bfloat16"]) == 0
    assert (tmp_path / "back" / "tokenizer.json").exists()
    assert "quantization_config" not in json.loads((tmp_path / "back" / "config.json").read_text())
    with open_checkpoint(source) as before, open_checkpoint(tmp_path / "back") as after:
        assert after.config == before.config and after.has_draft
        for name in tensor_shapes(CONFIG) | draft_shapes(CONFIG):
            right = before.read(name, torch.float32)
            right = round_blocks(right) if is_quantized(name) else right
            if not name.endswith("e_score_correction_bias"):
                right = right.bfloat16().float()
            assert torch.equal(after.read(name, torch.float32), right), name


def test_nothing_is_replaced_and_nothing_half_done_stays(source: Path, tmp_path: Path) -> None:
    assert main(["convert", "--model", str(source), "--out", str(source), "--to", "int8"]) == 1
    (source / "model.safetensors").unlink()
    assert main(["convert", "--model", str(source), "--out", str(tmp_path / "int8"), "--to", "int8"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


@pytest.mark.parametrize("weights", ["fp8", "int8"])
def test_a_converted_model_is_served_in_either_arithmetic(tiny_checkpoint: Path, tmp_path: Path, weights: str) -> None:
    out = tmp_path / weights
    assert main(["convert", "--model", str(tiny_checkpoint), "--out", str(out), "--to", weights]) == 0
    stages: list[str] = []
    assert load(ServeSettings(out, num_blocks=8, arithmetic="reference"), stages.append).engine.max_model_len == 512
    assert "loading weights, layer 2 of 2" in stages
    with pytest.raises(ValueError, match="kv_lora_rank = 32"):
        load(ServeSettings(out, num_blocks=8, fp8_cache=True), stages.append)
