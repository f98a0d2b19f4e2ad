"""The norm kernel agrees with the model's, whatever the rows are cut from."""

import pytest
import torch

from inference.kernels.norm import CONFIGS, rms_norm, rms_norm_fp8
from inference.kernels.quantize import quantize
from inference.model.norm import RMSNorm
from inference.quantization import quantize_groups

EPS = 1e-5
WALKING = next(config for config in CONFIGS if config.blocks["PROGRAMS"])


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("width", [64, 128, 576, 1536])
@pytest.mark.parametrize("config", [CONFIGS[0], WALKING], ids=str)
def test_rows_cut_from_a_wider_tensor_are_normed_as_the_model_does(width: int, config: object) -> None:
    x_TD, weight_D = drawn(23, width + 72)[:, 8 : width + 8], drawn(width)
    expected = RMSNorm(weight_D, EPS)(x_TD)
    out = torch.full((23, width), torch.nan)
    rms_norm(x_TD, weight_D, EPS, out=out, config=config)  # type: ignore[arg-type]
    torch.testing.assert_close(out, expected, rtol=2e-6, atol=1e-6)


def test_the_stream_takes_what_a_layer_gave_and_fp8_is_of_the_rounded_norm() -> None:
    x_TD, before_TD, weight_D = drawn(5, 576), drawn(5, 576) * 3, drawn(576)
    stream_TD, normed_TD = before_TD.clone(), torch.full((5, 576), torch.nan)
    values, scale = rms_norm_fp8(x_TD, weight_D, EPS, residual_TD=stream_TD, out=normed_TD)
    assert torch.equal(stream_TD, before_TD + x_TD)
    torch.testing.assert_close(normed_TD, RMSNorm(weight_D, EPS)(stream_TD), rtol=2e-6, atol=1e-6)
    expected, expected_scale = quantize_groups(torch.nn.functional.pad(normed_TD, (0, 64)))
    assert torch.equal(values.float(), expected.flatten(1)[:, :576].float())
    assert torch.equal(scale, expected_scale)


def test_a_number_that_is_not_finite_stays_seen() -> None:
    x_TD = drawn(3, 256)
    x_TD[1, 7] = torch.nan
    values, _ = rms_norm_fp8(x_TD, torch.ones(256), EPS)
    assert values.float().isnan().any(dim=1).tolist() == [False, True, False]
    values, _ = quantize(x_TD)
    assert values.float().isnan().sum(dim=1).tolist() == [0, 1, 0]


def test_no_rows_are_no_launch() -> None:
    values, scale = rms_norm_fp8(torch.empty(0, 256), torch.ones(256), EPS)
    assert (values.shape, scale.shape) == ((0, 256), (0, 2))
    assert quantize(torch.empty(0, 256))[0].shape == (0, 256)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"weight: shape \(64,\): \(128,\) expected"):
        rms_norm(drawn(2, 128), torch.ones(64), EPS)
    with pytest.raises(ValueError, match="residual"):
        rms_norm(drawn(2, 128), torch.ones(128), EPS, residual_TD=drawn(2, 128).double())
    with pytest.raises(ValueError, match="x: strides"):
        rms_norm(drawn(128, 2).T, torch.ones(128), EPS)
    with pytest.raises(ValueError, match="the last contiguous"):
        quantize(drawn(128, 2).T)
