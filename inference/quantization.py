"""Number formats: FP8 weights and activations, int8 weights. Knows tensors of numbers; knows no names and no model.

FP8 is e4m3 with one scale for each 128x128 block of a weight, or for each group of 128 along the last dimension of an
activation. Scales multiply, though files call them `weight_scale_inv`; ours are powers of two (ue8m0), so that scaling
is exact in bfloat16 too. int8 is for weights only, one scale a row.
Legend: O rows out, I columns in, R and C blocks of them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

FP8 = torch.float8_e4m3fn
FP8_MAX = 448.0
FP8_BLOCK = 128
ACTIVATION_FLOOR = 1e-4  # of the published kernels: an amax below it counts as this much
WEIGHT_FLOOR = 1e-30


def ceil_power_of_two(amax: Tensor, floor: float) -> Tensor:
    """amax / 448 rounded up to a power of two."""
    mantissa, exponent = torch.frexp(amax.clamp_min(floor) / FP8_MAX)
    return torch.ldexp(torch.ones_like(mantissa), exponent - (mantissa == 0.5).int())


def quantize_blocks(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """e4m3 (O, I) and its fp32 scales (R, C); the last block of either dimension may be partial."""
    rows, columns = weight_OI.shape
    padded = F.pad(weight_OI.float(), (0, -columns % FP8_BLOCK, 0, -rows % FP8_BLOCK))
    blocks = torch.unflatten(torch.unflatten(padded, 1, (-1, FP8_BLOCK)), 0, (-1, FP8_BLOCK))
    scale_RC = ceil_power_of_two(blocks.abs().amax(dim=(1, 3)), WEIGHT_FLOOR)
    values = (blocks / scale_RC[:, None, :, None]).clamp_(-FP8_MAX, FP8_MAX)
    return values.flatten(2).flatten(0, 1)[:rows, :columns].to(FP8), scale_RC


def dequantize_blocks(weight_OI: Tensor, scale_RC: Tensor) -> Tensor:
    """fp32: w = w_fp8 * scale of its block."""
    rows, columns = weight_OI.shape
    spread = scale_RC.float().repeat_interleave(FP8_BLOCK, 0)[:rows].repeat_interleave(FP8_BLOCK, 1)[:, :columns]
    return weight_OI.float() * spread


def round_blocks(weight_OI: Tensor) -> Tensor:
    """The weight as FP8 would hold it, in its own type."""
    return dequantize_blocks(*quantize_blocks(weight_OI)).to(weight_OI.dtype)


def quantize_groups(x: Tensor) -> tuple[Tensor, Tensor]:
    """e4m3 (..., groups, size) and fp32 scales (..., groups); size = min(128, width), zeros fill the last group."""
    size = min(FP8_BLOCK, x.shape[-1])
    groups = torch.unflatten(F.pad(x.float(), (0, -x.shape[-1] % size)), -1, (-1, size))
    scale = ceil_power_of_two(groups.abs().amax(dim=-1), ACTIVATION_FLOOR)
    return (groups / scale[..., None]).clamp_(-FP8_MAX, FP8_MAX).to(FP8), scale


def round_groups(x: Tensor) -> Tensor:
    """The activation as FP8 products see it, in its own type: exact in bfloat16, which has more digits than e4m3."""
    values, scale = quantize_groups(x)
    return (values.float() * scale[..., None]).flatten(-2)[..., : x.shape[-1]].to(x.dtype)


def quantize_rows(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """int8 (O, I) and fp32 scales (O, 1)."""
    scale_O1 = weight_OI.float().abs().amax(dim=1, keepdim=True).clamp_min(WEIGHT_FLOOR) / 127
    return (weight_OI.float() / scale_O1).round_().clamp_(-127, 127).to(torch.int8), scale_O1


def dequantize_rows(weight_OI: Tensor, scale_O1: Tensor) -> Tensor:
    return weight_OI.float() * scale_O1.float()
