"""Products in bfloat16 on a CPU: packed weights, int8 weights for a few rows, fp16 rows of the head."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inference.model import Model, load_model
from inference.model.linear import FEW_ROWS, GatedLinear, Head, Linear
from tests.inference.plain_reference import forward, random_tensors
from tests.inference.stepping import Stepper, random_tokens
from tests.inference.test_extended_family import GROUPED


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(torch.bfloat16)


def _error(actual: Tensor, expected: Tensor) -> float:
    """Relative, root mean square."""
    return float((actual.float() - expected).norm() / expected.norm())


@pytest.mark.parametrize("rows", [1, FEW_ROWS, FEW_ROWS + 1, 33])
def test_int8_weights_serve_a_few_rows_and_no_more(rows: int) -> None:
    weight, x = _random(72, 96), _random(rows, 96)
    plain, int8 = Linear(weight)(x), Linear(weight, "int8")(x)
    assert int8.dtype == torch.bfloat16
    assert torch.equal(plain, int8) == (rows > FEW_ROWS)
    right = x.float() @ weight.float().T
    assert _error(plain, right) < 0.003 and _error(int8, right) < 0.012


def test_int8_weights_need_whole_groups_of_columns() -> None:
    weight, x = _random(64, 100), _random(2, 100)
    assert torch.equal(Linear(weight, "int8")(x), Linear(weight)(x))


@pytest.mark.parametrize("rows", [1, 33])
def test_gates_apply_to_their_products(rows: int) -> None:
    gate, up, x = _random(64, 96), _random(64, 96) / 16, _random(rows, 96) / 8
    right = F.silu(x.float() @ gate.float().T) * (x.float() @ up.float().T)
    for products, bound in (("plain", 0.005), ("int8", 0.02)):
        assert _error(GatedLinear(gate, up, products)(x), right) < bound  # type: ignore[arg-type]
    assert _error(GatedLinear(gate.float(), up.float(), "int8")(x.float()), right) < 1e-6


def test_logits_lose_nothing_in_fp16_rows() -> None:
    weight, x = _random(400, 96) / 16, torch.randn(5, 96)
    assert _error(Head(weight, "int8")(x), x @ weight.float().T) < 1e-6
    assert torch.equal(Head(weight)(x), F.linear(x, weight.float()))
    assert torch.isfinite(Head(weight * 2.0**20, "int8")(x)).all(), "what fp16 cannot hold stays fp32"


def test_int8_decode_stays_close_to_bfloat16() -> None:
    # Every expert and every token is chosen: another choice at a near tie would be no rounding error.
    dense = replace(GROUPED, index_topk=32, n_routed_experts=4, topk_group=2)
    tensors, tokens = random_tensors(dense), random_tokens(20)
    right = forward(dense, tensors, tokens)
    for int8, bound in ((False, 0.05), (True, 0.1)):
        model = Model(dense, lambda name: tensors[name].to(torch.bfloat16), int8=int8)
        error = (Stepper(model).run(tokens, [8]) - right).abs().max()
        assert float(error) < bound * float(right.abs().max())


def test_int8_weights_are_refused_where_results_are_exact(tiny_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="weights = int8"):
        load_model(tiny_checkpoint, "cpu", torch.float32, weights="int8")
    with pytest.raises(ValueError, match="weights = int8"):
        load_model(tiny_checkpoint, "cpu", torch.bfloat16, arithmetic="reference", weights="int8")
    stepper, tokens = Stepper(load_model(tiny_checkpoint, "cpu", torch.float32, weights="auto")), random_tokens(9)
    exact = Stepper(load_model(tiny_checkpoint, "cpu", torch.float32))
    assert torch.equal(stepper.run(tokens, [5]), exact.run(tokens, [5]))
