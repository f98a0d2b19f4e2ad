"""Root-mean-square norm, computed in fp32 whatever the weights' type was."""

import torch
import torch.nn.functional as F
from torch import Tensor


class RMSNorm:
    def __init__(self, weight_D: Tensor, eps: float) -> None:
        # F.rms_norm is a chain of seven operators on a CPU: a shorter one takes [512,576] in 140 us instead of 430 on
        # one core. It may differ in the last digit, so that models in fp32 do without it.
        self._is_short = weight_D.dtype == torch.bfloat16 and weight_D.device.type == "cpu"
        self.weight_D = weight_D.float()
        self.eps = eps

    def __call__(self, x: Tensor) -> Tensor:
        """fp32 in, fp32 out; the caller rounds where a product follows."""
        x = x.to(torch.float32)
        if not self._is_short:
            return F.rms_norm(x, self.weight_D.shape, self.weight_D, self.eps)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = norm.square_().mul_(1 / len(self.weight_D)).add_(self.eps).rsqrt_()
        normed: Tensor = (x * inverse).mul_(self.weight_D)
        return normed
