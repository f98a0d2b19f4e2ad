"""Where the peer is, whether it can stand beside a model, and the settings that suit it best."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from inference.bench.side import RemoteSide, SideFailed
from inference.config import ModelConfig
from inference.smollm2 import CONFIG, find_gguf

Use = Literal["prefill", "decode", "deep", "streams"]
NAME = "llama.cpp"
INSTALL = (
    'CXXFLAGS="-fno-dse -fno-tree-dse" pip install llama-cpp-python==0.3.36'
    " (compiles for about ten minutes; docs/benchmarks.md says what the flags are for)"
)

# The best found by `--sweep-peer`; what is not named is as in LlamaSettings.
BEST: dict[Use, dict[str, Any]] = {
    "prefill": {},
    "decode": {"flash_attention": False},
    "deep": {"flash_attention": False},
    "streams": {"flash_attention": False, "unified": False},
}


def find(model: Path) -> tuple[Path | None, str]:
    """The GGUF file to compare with; without one, why not."""
    config = replace(ModelConfig.from_file(model), index_topk=CONFIG.index_topk)
    if config != CONFIG:
        return None, f"{NAME} has no weights of this model: it is compared on the recast SmolLM2 only"
    if importlib.util.find_spec("llama_cpp") is None:
        return None, f"{NAME} is not installed: {INSTALL}"
    try:
        return find_gguf(), ""
    except ValueError as error:
        return None, str(error)


def can_repack(gguf: Path) -> bool:
    """Some builds of it die in their first product where they find AMX."""
    try:
        with start(gguf, threads=1, repack=True) as side:
            return side.prefill(range(64)) > 0
    except SideFailed:
        return False


def start(gguf: Path, threads: int, num_sequences: int = 1, **options: Any) -> RemoteSide:
    """With its runtime's own spinning, not with what ours sets for itself."""
    environ = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    context = 8192 // num_sequences
    settings = {"gguf": str(gguf), "threads": threads, "num_sequences": num_sequences, "context": context}
    return RemoteSide("llama", settings | options, environ)
