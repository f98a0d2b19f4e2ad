"""The whole layer that bench-gpu measures runs through every kernel, here at toy size in the interpreter."""

import pytest
import torch
from torch.nn.attention import SDPBackend

from inference.bench.gpu import layer

TOY = {
    "DEVICE": "cpu",
    "DENSE_KERNEL": SDPBackend.MATH,
    "HIDDEN": 256,
    "HEADS": 4,
    "EXPERTS": 16,
    "EXPERT_WIDTH": 128,
    "TOP_K": 64,
    "POSITIONS": (64, 256),
}


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TOY.items():
        monkeypatch.setattr(layer, name, value)
    torch.manual_seed(1)


def outputs(phase: layer.Phase, context: int, num_rows: int, num_sequences: int, num_cards: int) -> list[torch.Tensor]:
    """Dense, then sparse, of the same rows."""
    tables = torch.randperm(num_sequences * 4).int().view(num_sequences, 4)[:, : context // layer.PAGE].contiguous()
    whole = layer.Layer(num_sequences * 256, num_cards)
    step = layer.Step(phase, context, num_rows, tables)
    stream = step.stream.clone()
    found = []
    for attention in ("dense", "sparse"):
        step.stream.copy_(stream)
        found.append(whole(step, attention))
    return found


KINDS = [("prefill", 16, 1, True), ("decode", 3, 3, False)]


@pytest.mark.parametrize(("phase", "rows", "sequences", "in_fp8"), KINDS)
def test_up_to_index_topk_sparse_is_dense(
    phase: layer.Phase, rows: int, sequences: int, in_fp8: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer, "FP8_CACHE", in_fp8)
    dense, sparse = outputs(phase, 64, rows, sequences, 1)
    assert dense.shape == (rows, layer.HIDDEN) and bool(dense.isfinite().all()) and float(dense.std()) > 0
    assert torch.equal(dense, sparse)


@pytest.mark.parametrize(("phase", "rows", "sequences", "in_fp8"), KINDS)
def test_above_it_rows_see_less_and_say_something_else(
    phase: layer.Phase, rows: int, sequences: int, in_fp8: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer, "FP8_CACHE", in_fp8)
    dense, sparse = outputs(phase, 256, rows, sequences, 4 if phase == "decode" else 1)
    assert bool(sparse.isfinite().all()) and not torch.equal(dense, sparse)
