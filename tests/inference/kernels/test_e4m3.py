"""Rounding in registers gives the bits that inference/quantization.py gives."""

import torch
import triton
import triton.language as tl

from inference import quantization
from inference.kernels import e4m3


@triton.jit
def _round(x_N: tl.tensor, values_N: tl.tensor, rounded_N: tl.tensor, SIZE: tl.constexpr) -> None:
    places = tl.arange(0, SIZE)
    x = tl.load(x_N + places)
    tl.store(values_N + places, e4m3.to_e4m3(x))
    tl.store(rounded_N + places, e4m3.round_to_e4m3(x))


@triton.jit
def _quantize(
    x_RG: tl.tensor, values_RG: tl.tensor, scale_R: tl.tensor, ROWS: tl.constexpr, SIZE: tl.constexpr
) -> None:
    rows, columns = tl.arange(0, ROWS)[:, None], tl.arange(0, SIZE)[None, :]
    values, scale = e4m3.quantize_group(tl.load(x_RG + rows * SIZE + columns))
    tl.store(values_RG + rows * SIZE + columns, values)
    tl.store(scale_R + rows, scale)


def test_every_number_of_the_grid_and_every_tie_between_two_is_rounded_as_pytorch_does() -> None:
    grid = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float()
    grid = grid[grid.isfinite()].sort().values
    ties = (grid[1:] + grid[:-1]) / 2
    above, below = (torch.nextafter(ties, torch.full_like(ties, far)) for far in (1e9, -1e9))
    x = torch.cat([grid, ties, above, below, torch.tensor([torch.nan, 1e-30, -1e-30, 0.0, 448.0])])
    x = torch.nn.functional.pad(x, (0, 2048 - len(x)))
    values, rounded = torch.empty(2048, dtype=torch.float8_e4m3fn), torch.full((2048,), -7.0)
    _round[(1,)](x, values, rounded, SIZE=2048)
    assert torch.equal(values.view(torch.uint8), x.to(torch.float8_e4m3fn).view(torch.uint8))
    torch.testing.assert_close(rounded, x.to(torch.float8_e4m3fn).float(), rtol=0, atol=0, equal_nan=True)


def test_what_lies_beyond_the_grid_becomes_its_end() -> None:
    x, values, rounded = torch.full((16,), 1e6), torch.empty(16, dtype=torch.float8_e4m3fn), torch.empty(16)
    x[::2] *= -1
    _round[(1,)](x, values, rounded, SIZE=16)
    assert values.float().abs().unique().tolist() == rounded.abs().unique().tolist() == [448.0]


def test_a_group_gets_the_scale_and_values_that_the_plain_form_gives() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(64, 128, generator=generator) * torch.logspace(-9, 9, 64)[:, None]
    x[0] = 0
    for row in range(1, 32):  # a largest magnitude of exactly 448 times a power of two, and its neighbours
        edge = torch.tensor(448.0 * 2.0 ** (row - 16))
        x[row] = x[row].clamp(-1e-4, 1e-4)
        x[row, row] = [edge, torch.nextafter(edge, edge * 2), torch.nextafter(edge, edge * 0)][row % 3]
    values, scale = torch.empty(64, 128, dtype=torch.float8_e4m3fn), torch.empty(64)
    _quantize[(1,)](x, values, scale, ROWS=64, SIZE=128)
    expected, expected_scale = quantization.quantize_groups(x)
    assert torch.equal(scale, expected_scale[:, 0])
    assert torch.equal(values.float(), expected[:, 0].float())
