"""Checkpoints that differ in one thing from a given one, for as long as they are compared with it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

EXPERT = re.compile(r"\.experts\.(\d+)\.gate_proj\.weight$")
SAME_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.int32}


@contextmanager
def with_config(model: Path, **changes: object) -> Iterator[Path]:
    """The same files under another configuration."""
    with tempfile.TemporaryDirectory() as folder:
        variant = Path(folder) / model.resolve().name
        variant.mkdir()
        for file in model.iterdir():
            if file.name != "config.json":
                (variant / file.name).symlink_to(file.resolve())
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        (variant / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
        yield variant


@contextmanager
def with_distinct_experts(model: Path) -> Iterator[Path]:
    """No two experts of a layer are identical, so the engine can merge none: one bit of one weight of each differs."""
    with with_config(model) as variant:
        for link in variant.glob("*.safetensors"):
            tensors = load_file(link)
            link.unlink()
            for name, tensor in tensors.items():
                if found := EXPERT.search(name):
                    _flip_last_bit(tensor, int(found[1]))
            save_file(tensors, link)
        yield variant


def _flip_last_bit(tensor: Tensor, index: int) -> None:
    tensor.view(SAME_SIZE[tensor.element_size()]).view(-1)[index] ^= 1
