"""The best 2048 of 128K scores: for a chunk of a prompt, and for a batch that decodes."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.bench.gpu.timing import replayed
from inference.kernels.launch import Config
from inference.kernels.topk import CONFIGS, plain_topk, topk

LONG, K = 131072, 2048


def _small(num_rows: int, device: torch.device) -> Problem:
    """Rows with ties, with NaN, with fewer than k, and with none, among longer ones; two are read by pieces."""
    generator = torch.Generator().manual_seed(num_rows)
    scores = torch.randn(num_rows, 4704, generator=generator)
    scores[1::4] = scores[1::4].round()
    scores[2:3, ::3], scores[2:3, 1::3] = torch.nan, -torch.inf
    starts = torch.tensor([3, 0, 0, 4003, 17, 9, 0, 0, 1][:num_rows], dtype=torch.int32)
    ends = torch.tensor([4701, 4704, 4704, 4040, 4699, 9, 1, 4097, 4100][:num_rows], dtype=torch.int32)
    scores, starts, ends = scores.to(device), starts.to(device), ends.to(device)
    out = torch.empty(num_rows, 100, dtype=torch.int32, device=device)

    def run(config: Config) -> Tensor:
        return topk(scores, starts, ends, 100, out_TK=out.fill_(-7), config=config)

    return Problem(run, lambda: plain_topk(scores, starts, ends, 100))


def _full(num_rows: int, device: torch.device) -> Problem:
    """Few rows take the card less time than their launches take the host: all are timed as captured steps."""
    generator = torch.Generator(device=device).manual_seed(0)
    scores = torch.randn(num_rows, LONG, generator=generator, device=device)
    starts = torch.zeros(num_rows, dtype=torch.int32, device=device)
    ends = torch.full((num_rows,), LONG, dtype=torch.int32, device=device)
    out = torch.empty(num_rows, K, dtype=torch.int32, device=device)
    torch_topk = replayed(lambda _: torch.topk(scores, K, dim=-1).indices)
    return Problem(
        replayed(lambda config: topk(scores, starts, ends, K, out_TK=out, config=config)),
        num_bytes=4.0 * num_rows * (LONG + K),
        rivals={"torch.topk": partial(torch_topk, CONFIGS[0])},
    )


CASES = (
    Case(
        "top-k, 4096 rows of 128K",
        CONFIGS,
        partial(_small, 9),
        partial(_full, 4096),
        ceiling="copy",
        goal=0.5,
        goal_over={"torch.topk": 2.0},
    ),
    *(
        Case(
            f"top-k, {num_rows} row{'s' * (num_rows > 1)} of 128K",
            CONFIGS,
            partial(_small, 2),
            partial(_full, num_rows),
            ceiling="copy",
            goal_over={"torch.topk": 2.0},
        )
        for num_rows in (1, 64)
    ),
)
