"""Which positions are kept: ties, NaN, rows that grow, rows with too little; by whole rows and by pieces."""

import pytest
import torch

from inference.kernels.launch import Config
from inference.kernels.topk import plain_topk, topk
from inference.model.indexer import select_topk

CONFIG = Config({"PROGRAMS": 1, "maxnreg": 128}, num_warps=2)
NAN, LOW = float("nan"), float("-inf")
LENGTH = 5000  # longer than what is sampled, and than a buffer for 40 of them
ROWS = {"by pieces": 2, "by rows": 3}  # the interpreter stands in for a card that holds 4 programs


def kept(scores: torch.Tensor, k: int, start: int = 0, end: int | None = None) -> torch.Tensor:
    """Asserts that the kernel keeps what its plain form keeps."""
    starts = torch.full((len(scores),), start, dtype=torch.int32)
    ends = torch.full((len(scores),), scores.shape[1] if end is None else end, dtype=torch.int32)
    out = torch.full((len(scores), k), -7, dtype=torch.int32)
    assert topk(scores, starts, ends, k, out_TK=out, config=CONFIG) is out
    assert torch.equal(out, plain_topk(scores, starts, ends, k))
    return out


def test_the_plain_form_keeps_what_the_model_keeps() -> None:
    scores = torch.randint(-3, 4, (40, 60), generator=torch.Generator().manual_seed(0)).float()
    scores[3, ::5], scores[4, 3:] = NAN, LOW
    bounds = torch.zeros(40, dtype=torch.int32)
    got = plain_topk(scores, bounds, bounds + 60, 12)
    for row, expected in zip(got.tolist(), select_topk(scores, 12).tolist(), strict=True):
        assert [position for position in row if position >= 0] == [position for position in expected if position >= 0]
        assert row == sorted(row, key=lambda position: (position < 0, position))  # pads are behind


@pytest.mark.parametrize("num_rows", ROWS.values(), ids=list(ROWS))
@pytest.mark.parametrize("order", ["rising", "falling", "alike", "many ties", "at one end"])
def test_a_sample_that_deceives_changes_nothing(order: str, num_rows: int) -> None:
    generator = torch.Generator().manual_seed(1)
    scores = {
        "rising": torch.arange(float(LENGTH)),
        "falling": -torch.arange(float(LENGTH)),
        "alike": torch.zeros(LENGTH),
        "many ties": torch.randint(-2, 3, (LENGTH,), generator=generator).float(),
        "at one end": torch.cat((torch.randn(LENGTH - 60, generator=generator), torch.full((60,), 9.0))),
    }[order]
    kept(scores.repeat(num_rows, 1), 40)


@pytest.mark.parametrize("num_rows", ROWS.values(), ids=list(ROWS))
def test_a_bound_that_too_few_reach_is_given_up(num_rows: int) -> None:
    """Every sampled score is high and no other: the bound is among them, and fewer than k reach it."""
    scores = torch.randn(num_rows, 8192 + 64, generator=torch.Generator().manual_seed(2))
    sampled = (torch.arange(8192) // 8) % 2 == 0  # 512 runs of 8, every 16 columns
    scores[:, :8192][:, sampled] += 100
    kept(scores, 600)


@pytest.mark.parametrize("num_rows", ROWS.values(), ids=list(ROWS))
def test_nan_and_minus_infinity_are_never_kept(num_rows: int) -> None:
    scores = torch.full((num_rows, LENGTH), NAN)
    scores[:, 1::2] = LOW
    assert (kept(scores, 40) == -1).all()
    scores[:, 4711], scores[:, 8], scores[0, 9] = -3e38, torch.inf, -0.0
    assert kept(scores, 40)[-1, :3].tolist() == [8, 4711, -1]


@pytest.mark.parametrize("num_rows", ROWS.values(), ids=list(ROWS))
@pytest.mark.parametrize(("start", "end"), [(0, 0), (7, 7), (7, 8), (5, 45), (3, 44), (2, 2051), (4998, 5000)])
def test_a_row_reads_nothing_outside_its_range(start: int, end: int, num_rows: int) -> None:
    scores = torch.randn(num_rows, LENGTH, generator=torch.Generator().manual_seed(start))
    scores[:, :start], scores[:, end:] = torch.inf, torch.inf
    got = kept(scores, 40, start, end)
    assert ((got >= -1) & (got < end - start)).all()
    assert (got >= 0).sum() == num_rows * min(40, end - start)


def test_both_zeros_are_one() -> None:
    scores = torch.tensor([[-0.0, 0.0, -0.0, 0.0, -1.0]]).repeat(5, 1)
    assert kept(scores, 2)[0].tolist() == [0, 1]


@pytest.mark.parametrize("k", [1, 3, 64])
def test_any_k_is_served(k: int) -> None:
    kept(torch.randn(5, 300, generator=torch.Generator().manual_seed(k)), k)


def test_what_a_caller_gets_wrong_is_named() -> None:
    scores, bounds = torch.zeros(2, 8), torch.zeros(2, dtype=torch.int32)
    with pytest.raises(ValueError, match="k = 0: 1 to 16384"):
        topk(scores, bounds, bounds, 0)
    with pytest.raises(ValueError, match="scores: torch.float16"):
        topk(scores.half(), bounds, bounds, 1)
    with pytest.raises(ValueError, match=r"ends: torch.int64 \(2,\)"):
        topk(scores, bounds, bounds.long(), 1)
    with pytest.raises(ValueError, match="out: "):
        topk(scores, bounds, bounds, 1, out_TK=torch.zeros(2, 2, dtype=torch.int32))
