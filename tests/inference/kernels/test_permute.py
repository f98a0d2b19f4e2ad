"""Rows sorted by expert: every choice has one, in the order of tokens, and tiles cover them all."""

import pytest
import torch
from torch import Tensor

from inference.kernels.launch import Config
from inference.kernels.permute import CONFIGS, Permutation, permute, plain_permute

SHORT = Config({"STEP": 16, "STEPS": 2})  # so that few choices are several chunks


def _equal(permutation: Permutation, expected: Permutation, num_rows: int) -> bool:
    return (
        torch.equal(permutation.row_TK, expected.row_TK)
        and torch.equal(permutation.token_R[:num_rows], expected.token_R[:num_rows])
        and torch.equal(permutation.tile_MF[:, :7], expected.tile_MF[:, :7])
    )


def _ids(tokens: int, choices: int, experts: int, lowest: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(lowest, experts, (tokens, choices), generator=generator, dtype=torch.int32)


@pytest.mark.parametrize(
    ("tokens", "choices", "experts", "tile_rows", "config"),
    [
        (1, 1, 1, 16, CONFIGS[0]),
        (1, 8, 256, 16, CONFIGS[0]),
        (5, 8, 300, 128, CONFIGS[0]),
        (37, 3, 6, 4, SHORT),
        (37, 8, 19, 1, SHORT),
        (64, 8, 2, 128, SHORT),
    ],
)
def test_rows_are_sorted_by_expert_and_then_by_token(
    tokens: int, choices: int, experts: int, tile_rows: int, config: Config
) -> None:
    ids_TK = _ids(tokens, choices, experts, lowest=-1)
    permutation = permute(ids_TK, experts, tile_rows, config=config)
    num_rows = int((ids_TK >= 0).sum())
    assert _equal(permutation, plain_permute(ids_TK, experts, tile_rows), num_rows)
    experts_of_rows = ids_TK[ids_TK >= 0][permutation.row_TK[ids_TK >= 0].argsort()]
    assert experts_of_rows.tolist() == sorted(experts_of_rows.tolist())


def test_there_is_room_for_the_worst_spread_of_rows_over_tiles() -> None:
    """Every expert has one row more than fills its tiles."""
    ids_TK = torch.arange(6, dtype=torch.int32).repeat(9)[:, None].contiguous()
    permutation = permute(ids_TK, 6, 8, config=SHORT)
    covered = (permutation.tile_MF[:, 2] - permutation.tile_MF[:, 1]).sum()
    assert covered == 54
    assert (permutation.tile_MF[:, 0] >= 0).sum() == 12 == len(permutation.tile_MF)


def test_where_nobody_asks_for_an_expert_no_tile_is_used() -> None:
    permutation = permute(torch.full((3, 2), -1, dtype=torch.int32), 4, 16, config=SHORT)
    assert permutation.row_TK.eq(-1).all()
    assert permutation.tile_MF[:, 0].eq(-1).all()


def test_no_token_has_no_tile() -> None:
    assert len(permute(torch.empty(0, 8, dtype=torch.int32), 256, 16).tile_MF) == 0


def test_ids_of_another_type_are_refused() -> None:
    with pytest.raises(ValueError, match=r"torch.int64 \(3, 8\): contiguous int32"):
        permute(_ids(3, 8, 4).long(), 4, 16)
