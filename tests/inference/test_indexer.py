"""Which positions the indexer keeps: ties, NaN, and rows with too little to choose from."""

import pytest
import torch

import inference.model.indexer as indexer
from inference.model.attention import as_mask
from inference.model.indexer import hide_future, score, select_topk

NAN, LOW = float("nan"), float("-inf")


def chosen(scores: list[float], k: int, visible: int | None = None) -> list[int]:
    row = torch.tensor([scores])
    row[:, len(scores) if visible is None else visible :] = LOW
    return [position for position in select_topk(row, k)[0].tolist() if position >= 0]


def test_the_best_are_kept() -> None:
    assert chosen([1.0, 5.0, 3.0, 4.0], 2) == [1, 3]


def test_ties_go_to_the_lowest_position() -> None:
    assert chosen([0.0, 2.0, 0.0, 0.0, -1.0], 3) == [0, 1, 2]
    assert chosen([0.0] * 50, 8) == list(range(8))


def test_nan_is_never_chosen() -> None:
    assert chosen([NAN, 1.0, NAN, -3.0, 2.0], 2) == [1, 4]
    assert chosen([NAN, 1.0, NAN], 2) == [1]
    assert chosen([NAN, 1.0], 8) == [1]


def test_the_future_is_never_chosen() -> None:
    assert chosen([1.0, 2.0, 9.0, 9.0], 3, visible=2) == [0, 1]
    assert chosen([1.0, 2.0, 9.0, 9.0], 1, visible=2) == [1]


def test_each_row_chooses_for_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(-3, 4, (40, 60), generator=generator).float()  # many ties
    got = select_topk(hide_future(scores.clone()), 12)
    for t in range(40):
        order = sorted(range(20 + t + 1), key=lambda c: (-float(scores[t, c]), c))
        assert got[t].tolist() == sorted(order[:12])


@pytest.mark.parametrize("steps", [5, 40, 10**6], ids=["nearly all equal", "many ties", "hardly any"])
@pytest.mark.parametrize(("length", "k"), [(1000, 7), (1003, 8), (4096, 1), (777, 60), (64, 64), (65, 64), (20, 40)])
def test_long_rows_choose_by_groups_and_still_exactly(length: int, k: int, steps: int) -> None:
    generator = torch.Generator().manual_seed(length + k)
    scores = torch.randint(-steps, steps, (9, length), generator=generator).float()
    scores[3, ::5], scores[4, 3:], scores[5] = NAN, NAN, 0.0
    got = select_topk(scores, k)
    assert got.shape == (9, min(k, length))
    for t in range(9):
        eligible = (~scores[t].isnan()).nonzero()[:, 0].tolist()
        best = sorted(sorted(eligible, key=lambda c: (-float(scores[t, c]), c))[:k])
        assert got[t].tolist() == [-1] * (min(k, length) - len(best)) + best


def test_tiles_of_keys_change_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    queries, keys = torch.randn(5, 4, 8, generator=generator), torch.randn(333, 8, generator=generator)
    weights = torch.randn(5, 4, generator=generator)
    whole = score(queries, weights, keys)
    monkeypatch.setattr(indexer, "TILE_BYTES", 1)
    assert torch.allclose(score(queries, weights, keys), whole, atol=1e-5)
    assert whole.shape == (5, 333)


def test_negative_dots_count_nothing_and_weights_may_be_negative() -> None:
    queries = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    keys = torch.tensor([[2.0, 3.0], [-2.0, 3.0], [2.0, -3.0]])
    assert score(queries, torch.tensor([[1.0, -1.0]]), keys).tolist() == [[-1.0, -3.0, 2.0]]


def test_scores_of_rounded_queries_are_close() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, keys = torch.randn(40, 4, 8, generator=generator), torch.randn(333, 8, generator=generator)
    queries, keys, weights = queries.bfloat16(), keys.bfloat16(), torch.randn(40, 4, generator=generator)
    exact = score(queries.float(), weights, keys.float())
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        assert torch.allclose(score(queries, weights, keys), exact, atol=0.02 * float(exact.abs().max()))


def test_a_mask_of_numbers_hides_what_a_mask_of_truths_hides() -> None:
    visible = torch.tensor([[True, False, True], [False, True, True]])
    assert as_mask(visible, torch.bfloat16).tolist() == [[0.0, LOW, 0.0], [LOW, 0.0, 0.0]]
    assert as_mask(visible, torch.float32) is visible
