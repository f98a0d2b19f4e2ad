"""A whole layer of experts out of its kernels, and what its products refuse.

Legend: as in inference/kernels/grouped_linear.py.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inference.bench.gpu.case import relative_error
from inference.bench.gpu.routed import small_weights
from inference.kernels import grouped_linear, grouped_linear_few
from inference.kernels.combine import combine
from inference.kernels.expert_tiles import dequantize_groups
from inference.kernels.fp8_linear import few_config, fp8_linear, plain_fp8_linear
from inference.kernels.gate import Choice, choose_experts
from inference.kernels.grouped_linear import down, gate_up
from inference.kernels.grouped_linear_bf16 import GATE_UP, down_bf16, gate_up_bf16
from inference.kernels.grouped_linear_few import down_few, gate_up_few
from inference.kernels.permute import permute
from inference.quantization import dequantize_blocks, quantize_groups

CPU = torch.device("cpu")
HIDDEN, WIDTH, EXPERTS = 256, 128, 8
CHOICE = Choice(num_groups=4, num_kept_groups=2, num_chosen=3, scaling=2.5, num_shared=1)


def _tokens(count: int) -> Tensor:
    return torch.randn(count, HIDDEN, generator=torch.Generator().manual_seed(11))


def _choose(x_TD: Tensor) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(12)
    weight_ED = torch.randn(EXPERTS, HIDDEN, generator=generator) / 16
    return choose_experts(x_TD, weight_ED, torch.randn(EXPERTS, generator=generator) / 10, CHOICE)


def _layer(x_TD: Tensor, ids_TK: Tensor, weights_TK: Tensor, up: list[Tensor], out: list[Tensor]) -> Tensor:
    """One token after the other, rounded where the kernels round."""
    y_TD = torch.zeros_like(x_TD)
    for t, (ids, weights) in enumerate(zip(ids_TK.tolist(), weights_TK.tolist(), strict=True)):
        for expert, weight in zip(ids, weights, strict=True):
            gate, side = (up[expert] @ x_TD[t]).chunk(2)
            h, scale = quantize_groups((F.silu(gate) * side)[None])
            y_TD[t] += weight * (out[expert] @ dequantize_groups(h.flatten(1), scale)[0])
    return y_TD


@pytest.mark.parametrize("is_few", [False, True], ids=["many", "few"])
def test_a_layer_of_experts_is_what_each_token_gets_from_its_own(is_few: bool) -> None:
    x_TD = _tokens(19)
    ids_TK, weights_TK = _choose(x_TD)
    assert ids_TK[:, -1].eq(EXPERTS).all()  # the shared expert, whose weights are the last
    up = small_weights(EXPERTS + 1, 2 * WIDTH, HIDDEN, CPU)
    out = small_weights(EXPERTS + 1, HIDDEN, WIDTH, CPU)
    module = grouped_linear_few if is_few else grouped_linear
    first, second = (gate_up_few, down_few) if is_few else (gate_up, down)
    tile = "BLOCK_N" if is_few else "BLOCK_M"
    permutation = permute(ids_TK, EXPERTS + 1, module.GATE_UP[0].blocks[tile])
    x8_TD, scale_TG = (tensor.flatten(1) for tensor in quantize_groups(x_TD))
    h = first(x8_TD, scale_TG, *up, permutation)
    y_TD = combine(second(*h, *out, permutation), permutation.row_TK, weights_TK)
    matrices = [[dequantize_blocks(w, s) for w, s in zip(*weight, strict=True)] for weight in (up, out)]
    expected_TD = _layer(dequantize_groups(x8_TD, scale_TG), ids_TK, weights_TK, *matrices)
    assert relative_error(y_TD, expected_TD) < 2e-3


def test_a_row_that_stands_for_nobody_changes_nothing() -> None:
    """As in a graph captured for more tokens than a step has."""
    x_TD = _tokens(9)
    ids_TK, weights_TK = _choose(x_TD)
    up_EFD, out_EDF = (small_weights(EXPERTS + 1, *shape, CPU)[0].float() for shape in ((256, 256), (256, 128)))

    def layer(ids_TK: Tensor) -> Tensor:
        permutation = permute(ids_TK, EXPERTS + 1, GATE_UP[0].blocks["BLOCK_M"])
        h_RF = gate_up_bf16(x_TD, up_EFD, permutation)
        return combine(down_bf16(h_RF, out_EDF, permutation), permutation.row_TK, weights_TK)

    whole_TD = layer(ids_TK)
    ids_TK[4:6] = -1
    part_TD = layer(ids_TK)
    assert part_TD[4:6].eq(0).all() and not whole_TD[4:6].eq(0).any()
    kept = [0, 1, 2, 3, 6, 7, 8]
    assert torch.equal(part_TD[kept], whole_TD[kept])


def test_tiles_of_another_size_than_the_kernel_is_cut_for_are_refused() -> None:
    ids_TK, _ = _choose(_tokens(2))
    x8_TD, scale_TG = (tensor.flatten(1) for tensor in quantize_groups(_tokens(2)))
    weight = small_weights(EXPERTS + 1, 2 * WIDTH, HIDDEN, CPU)
    with pytest.raises(ValueError, match="tiles of 32 rows: 16 expected"):
        gate_up_few(x8_TD, scale_TG, *weight, permute(ids_TK, EXPERTS + 1, 32))


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [(200, 256, "hidden 256, width 100: multiples of 128"), (256, 128, "inner dimensions 256 and 128")],
)
def test_weights_of_the_wrong_shape_are_refused(rows: int, columns: int, message: str) -> None:
    ids_TK, _ = _choose(_tokens(2))
    x8_TD, scale_TG = (tensor.flatten(1) for tensor in quantize_groups(_tokens(2)))
    with pytest.raises(ValueError, match=message):
        gate_up(x8_TD, scale_TG, *small_weights(9, rows, columns, CPU), permute(ids_TK, 9, 128))


@pytest.mark.parametrize("tokens", [0, 1, 33])
def test_a_product_of_few_tokens_is_cut_as_its_shape_asks(tokens: int) -> None:
    weight, weight_scale = (tensor[0] for tensor in small_weights(1, 136, 1184, CPU))
    x8, scale = (tensor.flatten(1) for tensor in quantize_groups(torch.randn(tokens, 1184)))
    x8 = x8[:, :1184].contiguous()
    assert few_config(tokens, weight).blocks["SPLITS"] == 2
    out = fp8_linear(x8, scale, weight, weight_scale)
    assert out.shape == (tokens, 136)
    assert relative_error(out, plain_fp8_linear(x8, scale, weight, weight_scale)) < 1e-5
