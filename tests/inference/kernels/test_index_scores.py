"""Scores at the borders: many chunks of columns, rows that share pages, sizes other than the 671B model's."""

import pytest
import torch
from torch import Tensor

from inference.bench.gpu.case import relative_error
from inference.kernels.index_scores import CONFIGS, FP8, index_scores, plain_index_scores
from inference.kernels.launch import Config
from inference.kernels.paged_index_scores import paged_index_scores, plain_paged_index_scores

TWO_DOTS = Config({"ROWS": 2, "DOTS": 2, "BLOCK_C": 64, "CHUNK": 128})
ONE_DOT = Config({"ROWS": 2, "DOTS": 1, "BLOCK_C": 32, "CHUNK": 64})


def random_inputs(num_rows: int, num_columns: int, num_heads: int = 16, width: int = 64) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(num_rows + num_columns)
    queries = torch.randn(num_rows, num_heads, width, generator=generator).to(FP8)
    keys = torch.randn(num_columns, width, generator=generator).to(FP8)
    weights = torch.randn(num_rows, num_heads, generator=generator)
    return queries, weights, keys, torch.rand(num_columns, generator=generator)


@pytest.mark.parametrize("config", [TWO_DOTS, ONE_DOT], ids=["two products a tile", "one"])
@pytest.mark.parametrize("num_columns", [1, 128, 129, 333])
def test_rows_are_scored_over_every_chunk_of_columns(config: Config, num_columns: int) -> None:
    queries, weights, keys, scales = random_inputs(5, num_columns)
    starts = torch.tensor([0, 0, num_columns // 3, num_columns // 2, 0], dtype=torch.int32)
    ends = torch.tensor([num_columns, 1, num_columns, num_columns // 2, num_columns - 1], dtype=torch.int32)
    out = torch.full((5, num_columns), torch.nan)
    assert index_scores(queries, weights, keys, scales, starts, ends, out_TC=out, config=config) is out
    expected = plain_index_scores(queries, weights, keys, scales, starts, ends)
    inside = expected > -torch.inf
    assert inside.any()
    assert relative_error(out.where(inside, -torch.inf), expected) < 1e-6
    assert (out[~inside].isnan() | (out[~inside] == -torch.inf)).all()


def test_what_a_caller_gets_wrong_is_named() -> None:
    queries, weights, keys, scales = random_inputs(3, 40)
    bounds = torch.zeros(3, dtype=torch.int32)
    with pytest.raises(ValueError, match=r"starts: torch\.int64"):
        index_scores(queries, weights, keys, scales, bounds.long(), bounds)
    with pytest.raises(ValueError, match="keys: "):
        index_scores(queries, weights, keys.float(), scales, bounds, bounds)
    with pytest.raises(ValueError, match="weights: "):
        index_scores(queries, weights[:2], keys, scales, bounds, bounds)
    with pytest.raises(ValueError, match="heads = 12"):
        index_scores(queries[:, :12].contiguous(), weights[:, :12].contiguous(), keys, scales, bounds, bounds)
    with pytest.raises(ValueError, match="pages: "):
        paged_index_scores(queries, weights, torch.zeros(2, 132, dtype=torch.uint8), bounds[:, None], bounds)


def test_no_row_and_no_column_are_no_work() -> None:
    queries, weights, keys, scales = random_inputs(3, 40)
    bounds = torch.zeros(3, dtype=torch.int32)
    assert index_scores(queries[:0], weights[:0], keys, scales, bounds[:0], bounds[:0]).shape == (0, 40)
    assert index_scores(queries, weights, keys[:0], scales[:0], bounds, bounds).shape == (3, 0)


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_drafted_rows_of_a_sequence_share_its_pages(rows: int) -> None:
    queries, weights, keys, scales = random_inputs(3 * rows, 5 * 64)
    key_bytes, scale_bytes = keys.view(torch.uint8).view(5, -1), scales.view(5, 64).view(torch.uint8)
    pages = torch.cat((key_bytes, scale_bytes), dim=1)
    tables = torch.tensor([[3, 1, 4], [0, -1, -1], [2, 3, -1]], dtype=torch.int32)  # page 3 is a shared prefix
    longest = torch.tensor([150, 60, 128], dtype=torch.int32)
    lengths = (longest[:, None] - torch.arange(rows, dtype=torch.int32).flip(0)).flatten()
    out = torch.full((3 * rows, 3 * 64), torch.nan)
    paged_index_scores(queries, weights, pages, tables, lengths, out_TC=out, config=Config({"PAGES": 2}))
    beyond = torch.arange(3 * 64) >= lengths[:, None]
    expected = plain_paged_index_scores(queries, weights, pages, tables, lengths)
    assert relative_error(out.masked_fill(beyond, -torch.inf), expected) < 1e-6
    by_hand = plain_index_scores(
        queries[-1:], weights[-1:], keys[128:], scales[128:], lengths[-1:] * 0, lengths[-1:].clone()
    )
    assert torch.allclose(expected[-1, :128], by_hand[0, :128])


def test_every_config_scores_alike() -> None:
    queries, weights, keys, scales = random_inputs(6, 70, num_heads=8, width=32)
    starts, ends = torch.zeros(6, dtype=torch.int32), torch.full((6,), 70, dtype=torch.int32)
    expected = plain_index_scores(queries, weights, keys, scales, starts, ends)
    for config in CONFIGS:
        assert (
            relative_error(index_scores(queries, weights, keys, scales, starts, ends, config=config), expected) < 1e-6
        )
