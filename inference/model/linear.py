"""Matrix products without bias, their weights laid out once for the machine they run on.

Legend: T tokens, I in, O out, D hidden, F width of an MLP, V vocabulary.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.quantization import quantize_rows, round_groups

# "exact": the configuration's mathematics in the model's type. "reference": the published FP8 program, whose products
# read activations rounded to e4m3 in groups of 128, as it is, so that a checkpoint answers as it was trained to.
Arithmetic = Literal["exact", "reference"]
# How products are computed: in the model's type; from inputs rounded as an FP8 product reads them; or in the model's
# type with an int8 copy of the weights for a few rows, where a product takes as long as reading its weight.
Products = Literal["plain", "fp8", "int8"]
# What a server holds: "int8" adds that copy, "native" one for the decoder in C++ (inference/native), "full" neither;
# "auto" takes the fastest that can be had.
Weights = Literal["auto", "native", "int8", "full"]
# Rows up to which int8 weights beat packed bfloat16 ones. All products of SmolLM2 on one core, bf16 / int8 in ms:
# 21 / 14 for 1 row, 21 / 19 for 4, 21 / 34 for 8.
FEW_ROWS = 4


class Linear:
    """y = x W^T. On a CPU in bfloat16 the weight is kept in oneDNN's packed layout only; accumulation is fp32."""

    def __init__(self, weight_OI: Tensor, products: Products = "plain") -> None:
        self._fp8 = products == "fp8"
        self.out_features, self.in_features = weight_OI.shape
        self._few = _Int8Rows(weight_OI) if products == "int8" and _can_hold_int8(weight_OI) else None
        # Packed, on two AVX-512 cores: [1,576]x[576,3072] 261 -> 170 us, [1,1536]x[1536,576] 138 -> 67 us;
        # the same speed as unpacked at 512 rows.
        self._packed = can_pack(weight_OI)
        self.weight = _pack(weight_OI) if self._packed else weight_OI

    def __call__(self, x_TI: Tensor) -> Tensor:
        if self._few is not None and len(x_TI) <= FEW_ROWS:
            return self._few(x_TI)
        if self._fp8:
            x_TI = round_groups(x_TI)
        return product(x_TI, self.weight) if self._packed else F.linear(x_TI, self.weight)


class GatedLinear:
    """silu(x G^T) * (x U^T). In bfloat16 on a CPU both happen to the sums of their products, in a pass less."""

    def __init__(self, gate_FD: Tensor, up_FD: Tensor, products: Products = "plain") -> None:
        self._few: _Int8Rows | None = None
        self._packed: tuple[Tensor, Tensor] | None = None
        if products == "int8" and _can_hold_int8(gate_FD):
            self._few = _Int8Rows(torch.cat((gate_FD, up_FD)))
        if products != "fp8" and can_pack(gate_FD):
            self._packed = _pack(gate_FD), _pack(up_FD)
        else:
            self.both = Linear(torch.cat((gate_FD, up_FD)), products)

    def __call__(self, x_TD: Tensor) -> Tensor:
        """(T, F), in fp32 unless it is rounded already."""
        if self._few is not None and len(x_TD) <= FEW_ROWS:
            gate, up = self._few(x_TD).chunk(2, dim=-1)
            return F.silu(gate).mul_(up)
        if self._packed is not None:  # 1930 -> 1550 us, [512,576]x[576,3072] on one core
            gate = product(x_TD, self._packed[0], "swish")
            return product(x_TD, self._packed[1], times=gate)
        gate, up = self.both(x_TD).chunk(2, dim=-1)
        return F.silu(gate.float()) * up


class Head:
    """fp32 logits. Beside int8 weights the rows are held in fp16: half the bytes of fp32, and no digit is lost but of
    weights under 6e-5, where 3e-8 may be missing. [1,576]x[576,49152] 8.5 -> 3.8 ms on one core, 0.5 s to lay out."""

    def __init__(self, weight_VD: Tensor, products: Products = "plain") -> None:
        self.weight_VD: Tensor | None = None
        if products == "int8" and can_pack(weight_VD) and _fits_fp16(weight_VD):
            self._packed = torch.ops.quantized.linear_prepack_fp16(weight_VD.float(), None)
        else:
            self.weight_VD = weight_VD.float()

    def __call__(self, x_TD: Tensor) -> Tensor:
        """x_TD in fp32."""
        if self.weight_VD is not None:
            return F.linear(x_TD, self.weight_VD)
        logits_TV: Tensor = torch.ops.quantized.linear_dynamic_fp16(x_TD, self._packed)
        return logits_TV


class _Int8Rows:
    """y = x W^T from int8 weights with one scale a row."""

    def __init__(self, weight_OI: Tensor) -> None:
        self.weight, scale_O1 = quantize_rows(weight_OI)
        self._scale_O = scale_O1[:, 0].to(weight_OI.dtype)

    def __call__(self, x_TI: Tensor) -> Tensor:
        return torch._weight_int8pack_mm(x_TI.contiguous(), self.weight, self._scale_O)


def _can_hold_int8(weight: Tensor) -> bool:
    """With fp32 activations the operator is ten times slower than the plain product; it reads 16 columns at a time."""
    return weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and weight.shape[1] % 16 == 0


def can_pack(weight: Tensor) -> bool:
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.bfloat16
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )


def _pack(weight_OI: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight_OI, None)
    return packed


def product(x_TI: Tensor, weight: Tensor, then: str = "none", times: Tensor | None = None) -> Tensor:
    """oneDNN's, of a weight that may be packed; `then` and `times` apply to the sums, before they are rounded."""
    if times is None:
        y_TO: Tensor = torch.ops.mkldnn._linear_pointwise(x_TI, weight, None, then, [], "")
    else:
        y_TO = torch.ops.mkldnn._linear_pointwise.binary(x_TI, times, weight, None, "mul")
    return y_TO


def _fits_fp16(weight: Tensor) -> bool:
    return "fbgemm" in torch.backends.quantized.supported_engines and float(weight.abs().max()) < 65504
