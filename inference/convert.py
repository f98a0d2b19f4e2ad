"""`python -m inference convert`: a checkpoint in another number format, one shard at a time."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from inference.checkpoint import Checkpoint, Quantization, open_checkpoint, save_checkpoint
from inference.layout import WeightFormat, draft_shapes, tensor_shapes

logger = logging.getLogger(__name__)

QUANTIZATIONS: dict[WeightFormat, Quantization] = {"fp8": "fp8", "int8": "int8"}


def convert(source: Path, out: Path, weights: WeightFormat) -> None:
    """Writes `out`, whole or not at all, with the tokenizer and all else that lies beside the weights of `source`."""
    if out.exists():
        raise ValueError(f"{out} exists: it will not be replaced")
    work = out.with_name(f".{out.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        _copy_the_rest(source, work)
        quantization = QUANTIZATIONS.get(weights)
        dtype = torch.float32 if weights == "float32" else torch.bfloat16
        with open_checkpoint(source) as checkpoint:
            tensors = _StoredTensors(checkpoint)
            save_checkpoint(work, checkpoint.config, tensors, dtype, quantization=quantization)
        os.replace(work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    logger.info("%s written in %s", out, weights)


class _StoredTensors(Mapping[str, Tensor]):
    """The tensors of a checkpoint by name, in fp32, read when they are asked for."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._names = dict.fromkeys(tensor_shapes(checkpoint.config))
        if checkpoint.has_draft:
            self._names |= dict.fromkeys(draft_shapes(checkpoint.config))

    def __getitem__(self, name: str) -> Tensor:
        return self._checkpoint.read(name, torch.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _copy_the_rest(source: Path, out: Path) -> None:
    for file in source.iterdir():
        if file.is_file() and ".safetensors" not in file.name and file.name != "config.json":
            shutil.copyfile(file, out / file.name)
