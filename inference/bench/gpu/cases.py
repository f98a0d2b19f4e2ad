"""Every case, by the module that describes it."""

from __future__ import annotations

from importlib import import_module

from inference.bench.gpu.case import Case

MODULES: tuple[str, ...] = (  # of inference.bench.gpu, each with a tuple CASES
    "norm",
    "quantize",
    "rope_cache",
    "index_cache",
    "sample",
    "sparse_attention",
    "dense_attention",
    "causal_attention",
    "index_scores",
    "topk",
    "gate",
    "permute",
    "grouped_linear",
    "grouped_linear_bf16",
    "fp8_linear",
    "wide_experts",
    "index_pages",
)


def all_cases() -> dict[str, Case]:
    """By name, in the order of the table."""
    cases = [case for module in MODULES for case in import_module(f"inference.bench.gpu.{module}").CASES]
    return {case.name: case for case in cases}
