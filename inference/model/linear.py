"""A matrix product without bias, its weight laid out once for the machine it runs on."""

import torch
import torch.nn.functional as F
from torch import Tensor


class Linear:
    """y = x W^T. On a CPU in bfloat16 the weight is kept in oneDNN's packed layout only."""

    def __init__(self, weight_OI: Tensor) -> None:
        self.out_features, self.in_features = weight_OI.shape
        # Packed, on two AVX-512 cores: [1,576]x[576,3072] 261 -> 170 us, [1,1536]x[1536,576] 138 -> 67 us;
        # the same speed as unpacked at 512 rows.
        self._packed = _can_pack(weight_OI)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight_OI, None) if self._packed else weight_OI

    def __call__(self, x_TI: Tensor) -> Tensor:
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
