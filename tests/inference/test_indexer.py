"""Which positions the indexer keeps: ties, NaN, and rows with too little to choose from."""

import torch
from torch import Tensor

from inference.model.indexer import score, select_topk

NAN, LOW = float("nan"), float("-inf")


def chosen(scores: list[float], k: int, visible: int | None = None) -> list[int]:
    row = torch.tensor([scores])
    seen: Tensor = torch.arange(len(scores))[None] < (len(scores) if visible is None else visible)
    positions: list[int] = select_topk(row, seen, k)[0].nonzero()[:, 0].tolist()
    return positions


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
    assert chosen([LOW, LOW, 9.0], 2, visible=2) == [0, 1]


def test_each_row_chooses_for_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(-3, 4, (40, 60), generator=generator).float()  # many ties
    visible = torch.ones(60, 60, dtype=torch.bool).tril()[20:]
    got = select_topk(scores, visible, 12)
    for t in range(40):
        order = sorted(range(20 + t + 1), key=lambda c: (-float(scores[t, c]), c))
        assert got[t].nonzero()[:, 0].tolist() == sorted(order[:12])


def test_negative_dots_count_nothing_and_weights_may_be_negative() -> None:
    queries = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    keys = torch.tensor([[2.0, 3.0], [-2.0, 3.0], [2.0, -3.0]])
    assert score(queries, torch.tensor([[1.0, -1.0]]), keys).tolist() == [[-1.0, -3.0, 2.0]]
