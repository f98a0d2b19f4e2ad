"""Index scores: of a chunk of a prompt at the end of 128K tokens, and of a batch that decodes there."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.bench.gpu.case import Case, Problem
from inference.kernels import index_scores as prefill
from inference.kernels import paged_index_scores as decode
from inference.kernels.launch import Config

NUM_HEADS, WIDTH = 64, 128
LONG = 131072
# e4m3 products are exact; the tensor cores add them with some 14 bits.
TOLERANCE = 1e-3


def _small_prefill(device: torch.device) -> Problem:
    """Two sequences side by side: the second's last rows, a row that sees one key, one that sees none."""
    generator = torch.Generator().manual_seed(0)
    queries, weights, keys, scales = _random(generator, 9, 150, device)
    starts = torch.tensor([0, 0, 0, 63, 63, 63, 63, 149, 70], dtype=torch.int32, device=device)
    ends = torch.tensor([61, 62, 63, 64, 148, 149, 150, 150, 70], dtype=torch.int32, device=device)
    out = torch.empty(9, 150, device=device)
    columns = torch.arange(150, device=device)
    outside = (columns < starts[:, None]) | (columns >= ends[:, None])

    def run(config: Config) -> Tensor:
        out.fill_(torch.nan)
        prefill.index_scores(queries, weights, keys, scales, starts, ends, out_TC=out, config=config)
        return out.masked_fill(outside, -torch.inf)

    return Problem(
        run, lambda: prefill.plain_index_scores(queries, weights, keys, scales, starts, ends), tolerance=TOLERANCE
    )


def _full_prefill(device: torch.device) -> Problem:
    num_rows = 4096
    generator = torch.Generator(device=device).manual_seed(0)
    queries, weights, keys, scales = _random(generator, num_rows, LONG, device)
    starts = torch.zeros(num_rows, dtype=torch.int32, device=device)
    ends = torch.arange(LONG - num_rows + 1, LONG + 1, dtype=torch.int32, device=device)
    out = torch.empty(num_rows, LONG, device=device)  # 2.1 GB: no cache holds it
    num_scores = num_rows * LONG - num_rows * (num_rows - 1) // 2
    return Problem(
        lambda config: prefill.index_scores(queries, weights, keys, scales, starts, ends, out_TC=out, config=config),
        flops=2.0 * NUM_HEADS * WIDTH * num_scores,
        num_bytes=4.0 * num_scores + 132.0 * LONG + (WIDTH + 4.0) * NUM_HEADS * num_rows,
    )


def _small_decode(device: torch.device) -> Problem:
    """Lengths that end within a page, at its end and at its first token; pages in no order."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([65, 128, 1, 0, 190], dtype=torch.int32, device=device)
    tables = torch.full((5, 3), -1, dtype=torch.int32, device=device)
    free = iter(torch.randperm(9, generator=generator).tolist())
    for s, length in enumerate(lengths.tolist()):
        for block in range(-(-length // decode.PAGE)):
            tables[s, block] = next(free)
    queries, weights, _, _ = _random(generator, 5, 1, device)
    pages = _random_pages(generator, 9, device)
    out = torch.empty(5, 3 * decode.PAGE, device=device)
    beyond = torch.arange(out.shape[1], device=device) >= lengths[:, None]

    def run(config: Config) -> Tensor:
        out.fill_(torch.nan)
        decode.paged_index_scores(queries, weights, pages, tables, lengths, out_TC=out, config=config)
        return out.masked_fill(beyond, -torch.inf)

    return Problem(
        run,
        lambda: decode.plain_paged_index_scores(queries, weights, pages, tables, lengths),
        tolerance=TOLERANCE,
    )


def _full_decode(device: torch.device) -> Problem:
    num_sequences, num_blocks = 64, LONG // decode.PAGE
    generator = torch.Generator(device=device).manual_seed(0)
    queries, weights, _, _ = _random(generator, num_sequences, 1, device)
    pages = _random_pages(generator, num_sequences * num_blocks, device)  # 1.1 GB: no cache holds it
    tables = torch.randperm(len(pages), generator=generator, device=device).to(torch.int32).view(num_sequences, -1)
    lengths = torch.full((num_sequences,), LONG, dtype=torch.int32, device=device)
    out = torch.empty(num_sequences, LONG, device=device)
    return Problem(
        lambda config: decode.paged_index_scores(queries, weights, pages, tables, lengths, out_TC=out, config=config),
        flops=2.0 * NUM_HEADS * WIDTH * num_sequences * LONG,
        num_bytes=136.0 * num_sequences * LONG,
    )


def _random(
    generator: torch.Generator, num_rows: int, num_columns: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, weights, keys and their scales."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=generator.device).to(device)

    queries, keys = normal(num_rows, NUM_HEADS, WIDTH).to(prefill.FP8), normal(num_columns, WIDTH).to(prefill.FP8)
    scales = torch.exp2(normal(num_columns).round() - 7)
    return queries, normal(num_rows, NUM_HEADS), keys, scales


def _random_pages(generator: torch.Generator, num_pages: int, device: torch.device) -> Tensor:
    _, _, keys, scales = _random(generator, 1, num_pages * decode.PAGE, device)
    key_bytes = keys.view(torch.uint8).view(num_pages, -1)
    return torch.cat((key_bytes, scales.view(num_pages, -1).view(torch.uint8)), dim=1)


CASES = (
    Case("index scores, prefill at 128K", prefill.CONFIGS, _small_prefill, _full_prefill, ceiling="fp8", goal=0.6),
    Case("index scores, decode at 128K", decode.CONFIGS, _small_decode, _full_decode, ceiling="copy", goal=0.8),
)
