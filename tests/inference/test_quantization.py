"""FP8 and int8 numbers, held to the definition: every e4m3 value, scales that are powers of two, partial groups."""

import pytest
import torch

from inference.quantization import ACTIVATION_FLOOR, ceil_power_of_two, quantize_groups, round_blocks, round_groups

E4M3 = sorted({s * (m / 8 + 1) * 2.0**e for s in (1, -1) for e in range(-6, 9) for m in range(8)} - {480.0, -480.0})
SUBNORMAL = [s * m / 8 * 2.0**-6 for s in (1, -1) for m in range(8)]


@pytest.mark.parametrize(
    ("amax", "scale"),
    [(448.0, 1.0), (448.1, 2.0), (224.0, 0.5), (1.0, 2.0**-8), (0.875, 2.0**-9), (0.0, 2.0**-22), (5e-5, 2.0**-22)],
)
def test_scales_are_rounded_up_to_a_power_of_two(amax: float, scale: float) -> None:
    assert float(ceil_power_of_two(torch.tensor([amax]), ACTIVATION_FLOOR)) == scale


def test_numbers_go_to_the_nearest_of_the_format() -> None:
    grid = torch.tensor(sorted({*E4M3, *SUBNORMAL}))
    x = torch.cat((torch.tensor([448.0]), torch.randn(127, generator=torch.Generator().manual_seed(0)) * 60))
    distance = (x[:, None] - grid).abs()
    assert torch.equal((round_groups(x) - x).abs(), distance.min(dim=1).values)


def test_each_group_of_128_has_a_scale_of_its_own_and_the_last_may_be_partial() -> None:
    x = torch.cat((torch.full((128,), 3.0), torch.full((64,), 1e-5)))[None]
    values, scale = quantize_groups(x)
    assert values.shape == (1, 2, 128) and scale.shape == (1, 2)
    assert torch.allclose(round_groups(x), x, rtol=1 / 16)
    together = round_groups(torch.cat((x[:, :100], x[:, 150:170]), dim=1))
    assert (together[:, 100:] - 1e-5).abs().max() > 1e-5 / 16, "under the scale of 3 the small ones lose digits"


def test_rounding_twice_is_rounding_once_and_bfloat16_loses_nothing() -> None:
    x = torch.randn(40, 200, generator=torch.Generator().manual_seed(1)).bfloat16()
    once = round_groups(x)
    assert torch.equal(round_groups(once), once) and torch.equal(once.float(), round_groups(x.float()))
    blocks = round_blocks(x.float())
    assert torch.equal(round_blocks(blocks), blocks) and torch.equal(blocks.bfloat16().float(), blocks)
