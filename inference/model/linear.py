"""A matrix product without bias, its weight laid out once for the machine it runs on."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.quantization import round_groups

# "exact": the configuration's mathematics in the model's type. "reference": the published FP8 program, whose products
# read activations rounded to e4m3 in groups of 128, as it is, so that a checkpoint answers as it was trained to.
Arithmetic = Literal["exact", "reference"]


class Linear:
    """y = x W^T. On a CPU in bfloat16 the weight is kept in oneDNN's packed layout only.

    With `fp8` the input is rounded as an FP8 product would read it; accumulation is fp32 either way.
    """

    def __init__(self, weight_OI: Tensor, fp8: bool = False) -> None:
        self._fp8 = fp8
        self.out_features, self.in_features = weight_OI.shape
        # Packed, on two AVX-512 cores: [1,576]x[576,3072] 261 -> 170 us, [1,1536]x[1536,576] 138 -> 67 us;
        # the same speed as unpacked at 512 rows.
        self._packed = _can_pack(weight_OI)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight_OI, None) if self._packed else weight_OI

    def __call__(self, x_TI: Tensor) -> Tensor:
        if self._fp8:
            x_TI = round_groups(x_TI)
        if self._packed:
            y_TO: Tensor = torch.ops.mkldnn._linear_pointwise(x_TI, self._weight, None, "none", [], "")
            return y_TO
        return F.linear(x_TI, self._weight)


def _can_pack(weight: Tensor) -> bool:
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.bfloat16
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )
