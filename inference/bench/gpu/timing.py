"""How long the card takes: medians of many launches, by its own clock, its cache emptied before each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from triton.testing import do_bench

from inference.kernels.launch import Config


def median_seconds(launch: Callable[[], object], budget_s: float = 0.1) -> float:
    """Of as many launches as fit into `budget_s`, after as much warming up as a quarter of it allows."""
    milliseconds = do_bench(launch, warmup=int(budget_s * 250), rep=int(budget_s * 1000), return_mode="median")
    return float(milliseconds) / 1000


def captured(launch: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """The launch as a graph, warmed up on a stream of its own as capturing wants it."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            launch()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        launch()
    return graph


def replayed(
    launch: Callable[[Config], Tensor | tuple[Tensor, ...]],
) -> Callable[[Config], Tensor | tuple[Tensor, ...]]:
    """The launch as a CUDA graph, captured at its first call: so a decode step runs, and so the host costs nothing."""
    graphs: dict[str, tuple[torch.cuda.CUDAGraph, list[Tensor | tuple[Tensor, ...]]]] = {}

    def replay(config: Config) -> Tensor | tuple[Tensor, ...]:
        if str(config) not in graphs:
            outs: list[Tensor | tuple[Tensor, ...]] = []
            graphs[str(config)] = captured(lambda: outs.append(launch(config))), outs
        graph, outs = graphs[str(config)]
        graph.replay()
        return outs[-1]

    return replay
