"""Which experts are chosen where scores are equal, missing, or sizes are no powers of two."""

import pytest
import torch
from torch import Tensor

from inference.kernels.gate import Choice, choose_experts, plain_choose_experts
from inference.kernels.launch import Config

FEW = Config({"BLOCK_T": 16, "BLOCK_K": 32, "SPLITS": 3})
MANY = Config({"BLOCK_T": 32, "BLOCK_K": 32, "SPLITS": 1})


def _inputs(tokens: int, experts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sums are exact in any order."""
    generator = torch.Generator().manual_seed(3)
    x_TD = (torch.randn(tokens, 72, generator=generator) * 3).round() / 4
    weight_ED = (torch.randn(experts, 72, generator=generator) * 2).round() / 8
    return x_TD, weight_ED, torch.randn(experts, generator=generator) / 10


@pytest.mark.parametrize("config", [FEW, MANY], ids=["several programs", "one program"])
@pytest.mark.parametrize(
    ("experts", "choice"),
    [
        (32, Choice(num_groups=4, num_kept_groups=1, num_chosen=8, scaling=8.0)),
        (24, Choice(num_groups=3, num_kept_groups=2, num_chosen=5, is_normalised=False, num_shared=2)),
        (6, Choice(num_groups=3, num_kept_groups=3, num_chosen=1)),
        (7, Choice(num_groups=1, num_kept_groups=1, num_chosen=7)),
    ],
)
def test_any_number_of_groups_and_experts_can_be_chosen_from(experts: int, choice: Choice, config: Config) -> None:
    inputs = _inputs(21, experts)
    ids_TK, weights_TK = choose_experts(*inputs, choice, config=config)
    expected_ids_TK, expected_weights_TK = plain_choose_experts(*inputs, choice)
    assert torch.equal(ids_TK, expected_ids_TK)
    torch.testing.assert_close(weights_TK, expected_weights_TK, rtol=1e-6, atol=0)


def test_of_equal_experts_and_groups_the_lower_numbers_are_chosen() -> None:
    choice = Choice(num_groups=4, num_kept_groups=2, num_chosen=6)
    ids_TK, _ = choose_experts(torch.zeros(3, 64), torch.randn(32, 64), torch.zeros(32), choice, config=MANY)
    assert ids_TK.tolist() == [[0, 1, 2, 3, 4, 5]] * 3


def test_a_token_of_nan_still_gets_different_experts() -> None:
    x_TD, weight_ED, bias_E = _inputs(2, 32)
    x_TD[1, 5] = torch.nan
    choice = Choice(num_groups=4, num_kept_groups=1, num_chosen=8)
    ids_TK, weights_TK = choose_experts(x_TD, weight_ED, bias_E, choice, config=MANY)
    assert ids_TK[1].tolist() == list(range(8))
    assert weights_TK[1].isnan().all() and weights_TK[0].isfinite().all()


def test_an_expert_whose_score_is_nan_is_not_chosen() -> None:
    x_TD, weight_ED, bias_E = _inputs(4, 32)
    weight_ED[3] = torch.nan
    ids_TK, weights_TK = choose_experts(x_TD, weight_ED, bias_E, Choice(1, 1, 31), config=MANY)
    assert not (ids_TK == 3).any()
    assert weights_TK.isfinite().all()


def test_no_token_is_no_work() -> None:
    ids_TK, weights_TK = choose_experts(*_inputs(0, 32), Choice(4, 1, 8, num_shared=1))
    assert ids_TK.shape == weights_TK.shape == (0, 9)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(5, 1, 2), "5 groups of 32 experts"),
        (Choice(32, 1, 1), "32 groups of 32 experts"),
        (Choice(4, 5, 2), "5 groups kept: 1 to 4"),
        (Choice(4, 2, 17), "17 experts chosen: 1 to 16"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(choice: Choice, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_experts(*_inputs(3, 32), choice)
