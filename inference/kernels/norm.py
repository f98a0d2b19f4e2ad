"""RMS norm of rows, with what stands on either side of it in a layer: the sum into the residual stream before it, the
rounding to FP8 after it. Each number is read and written once.

Says again what inference/model/norm.py and decoder.py say: the stream is fp32, the norm is computed in fp32 and rounded
to the model's type, and FP8 products read that rounded again.
Legend: T rows, D columns, G groups of 128 of a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels.e4m3 import MODEL_TYPE, quantize_group, round_to_model
from inference.kernels.launch import BF16, Config, num_multiprocessors
from inference.kernels.quantize import plain_quantize
from inference.quantization import FP8, FP8_BLOCK

# PROGRAMS of one multiprocessor walk over the rows, with the weight in registers and the next row's numbers on their
# way (num_stages); 0: a program for each row. CONTIGUOUS columns lie in a thread: with 4 the fp32 stream is read and
# written 16 bytes at a time and nothing is exchanged for it; with 16 it is e4m3 that moves so.
CONFIGS = tuple(
    Config({"PROGRAMS": programs, "CONTIGUOUS": contiguous}, num_warps=warps, num_stages=stages)
    for programs, contiguous, warps, stages in (
        (0, 4, 8, 1),
        (0, 8, 8, 1),
        (0, 4, 16, 1),
        (3, 4, 8, 1),
        (2, 4, 8, 2),
        (1, 4, 16, 3),
    )
)


def rms_norm(
    x_TD: Tensor,
    weight_D: Tensor,
    eps: float,
    *,
    residual_TD: Tensor | None = None,
    out: Tensor | None = None,
    config: Config = CONFIGS[0],
) -> Tensor:
    """(T, D) in the model's type. With a residual stream, fp32, x is added to it in place and the sum is normed."""
    out = torch.empty(x_TD.shape, dtype=BF16, device=x_TD.device) if out is None else out
    _launch(x_TD, weight_D, eps, residual_TD, out, None, None, config)
    return out


def rms_norm_fp8(
    x_TD: Tensor,
    weight_D: Tensor,
    eps: float,
    *,
    residual_TD: Tensor | None = None,
    out: Tensor | None = None,
    config: Config = CONFIGS[0],
) -> tuple[Tensor, Tensor]:
    """e4m3 (T, D) and fp32 scales (T, G) of what `rms_norm` gives, which goes to `out` where that is wanted too."""
    num_rows, width = x_TD.shape
    values_TD = torch.empty(num_rows, width, dtype=FP8, device=x_TD.device)
    scale_TG = torch.empty(num_rows, -(-width // FP8_BLOCK), dtype=torch.float32, device=x_TD.device)
    _launch(x_TD, weight_D, eps, residual_TD, out, values_TD, scale_TG, config)
    return values_TD, scale_TG


def plain_rms_norm(x_TD: Tensor, weight_D: Tensor, eps: float, residual_TD: Tensor | None = None) -> Tensor:
    x_TD = x_TD.float() if residual_TD is None else residual_TD.add_(x_TD)
    inverse_T1 = (x_TD.double().square().mean(dim=-1, keepdim=True) + eps).rsqrt().float()
    return (x_TD * inverse_T1 * weight_D.float()).to(BF16)


def plain_rms_norm_fp8(
    x_TD: Tensor, weight_D: Tensor, eps: float, residual_TD: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    return plain_quantize(plain_rms_norm(x_TD, weight_D, eps, residual_TD))


def _launch(
    x_TD: Tensor,
    weight_D: Tensor,
    eps: float,
    residual_TD: Tensor | None,
    normed_TD: Tensor | None,
    values_TD: Tensor | None,
    scale_TG: Tensor | None,
    config: Config,
) -> None:
    num_rows, width = x_TD.shape
    if weight_D.shape != (width,):
        raise ValueError(f"weight: shape {tuple(weight_D.shape)}: ({width},) expected")
    if residual_TD is not None and (residual_TD.shape != x_TD.shape or residual_TD.dtype != torch.float32):
        raise ValueError(f"residual: {tuple(residual_TD.shape)} {residual_TD.dtype}: {(num_rows, width)} fp32 expected")
    for name, tensor in (("x", x_TD), ("residual", residual_TD), ("out", normed_TD)):
        if tensor is not None and tensor.stride(-1) != 1:
            raise ValueError(f"{name}: strides {tensor.stride()}: the last must be 1")
    if num_rows == 0:
        return
    options = config.options
    programs = options.pop("PROGRAMS")
    grid = min(num_rows, programs * num_multiprocessors(x_TD.device)) if programs else num_rows
    _rms_norm[(grid,)](
        x_TD,
        weight_D,
        residual_TD,
        normed_TD,
        values_TD,
        scale_TG,
        eps,
        num_rows,
        x_TD.stride(0),
        residual_TD.stride(0) if residual_TD is not None else 0,
        normed_TD.stride(0) if normed_TD is not None else 0,
        WIDTH=width,
        GROUPS=triton.next_power_of_2(-(-width // FP8_BLOCK)),
        NUM_GROUPS=-(-width // FP8_BLOCK),
        STAGES=config.num_stages,
        **options,
    )


@triton.jit
def _rms_norm(
    x_TD: tl.tensor,
    weight_D: tl.tensor,
    residual_TD: tl.tensor,
    normed_TD: tl.tensor,
    values_TD: tl.tensor,
    scale_TG: tl.tensor,
    eps: tl.tensor,
    num_rows: tl.tensor,
    x_stride: tl.tensor,
    residual_stride: tl.tensor,
    normed_stride: tl.tensor,
    WIDTH: tl.constexpr,
    GROUPS: tl.constexpr,
    NUM_GROUPS: tl.constexpr,
    CONTIGUOUS: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """A row lies in the registers of one program as (GROUPS, 128), so that norm and groups need no exchange."""
    groups = tl.arange(0, GROUPS)[:, None]
    columns = tl.max_contiguous(groups * 128 + tl.arange(0, 128)[None, :], [1, CONTIGUOUS])
    inside = columns < WIDTH
    weight = tl.load(weight_D + columns, mask=inside, other=0.0, eviction_policy="evict_last").to(tl.float32)
    for row in tl.range(tl.program_id(0).to(tl.int64), num_rows, tl.num_programs(0), num_stages=STAGES):
        x = tl.load(x_TD + row * x_stride + columns, mask=inside, other=0.0, eviction_policy="evict_first")
        x = x.to(tl.float32)
        if residual_TD is not None:
            stream = residual_TD + row * residual_stride + columns
            x += tl.load(stream, mask=inside, other=0.0, eviction_policy="evict_first")
            tl.store(stream, x, mask=inside)
        inverse = tl.math.rsqrt(tl.sum(x * x) / WIDTH + eps)
        normed = round_to_model(x * inverse * weight)
        if normed_TD is not None:
            tl.store(normed_TD + row * normed_stride + columns, normed.to(MODEL_TYPE), mask=inside)
        if values_TD is not None:
            values, scale = quantize_group(normed)
            tl.store(values_TD + row * WIDTH + columns, values, mask=inside)
            tl.store(scale_TG + row * NUM_GROUPS + groups, scale, mask=groups < NUM_GROUPS)
