"""From a checkpoint directory to a model that runs."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from inference.checkpoint import Checkpoint, open_checkpoint
from inference.layout import is_quantized, part_of
from inference.model.decoder import Model
from inference.model.linear import Arithmetic, Weights
from inference.parallel import ALONE, Ranks, check_divisible
from inference.quantization import round_blocks

logger = logging.getLogger(__name__)

Report = Callable[[str], None]


def load_model(
    path: Path,
    device: str,
    dtype: torch.dtype,
    report: Report = lambda stage: None,
    arithmetic: Arithmetic = "exact",
    speculate: bool = True,
    ranks: Ranks = ALONE,
    weights: Weights = "full",
) -> Model:
    """ValueError names the first key or tensor that does not fit; fp16 is refused, a CPU is 1000 times slower in it.

    `report` hears of every layer that begins to load. Reference arithmetic needs FP8 weights: what the checkpoint does
    not store so is rounded to what FP8 would hold. A draft layer is read where there is one, unless not to `speculate`.
    int8 weights are for exact bfloat16 on a CPU; "auto" takes them there.
    """
    if dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(f"dtype = {dtype}: must be torch.float32 or torch.bfloat16")
    fits_int8 = (device, dtype, arithmetic) == ("cpu", torch.bfloat16, "exact")
    if weights == "int8" and not fits_int8:
        raise ValueError(f"weights = int8: for exact bfloat16 on a cpu, not {arithmetic} {dtype} on {device}")
    started = time.perf_counter()
    with open_checkpoint(path) as checkpoint:
        num_drafts = 1 if speculate and checkpoint.has_draft else 0
        config = replace(checkpoint.config, num_nextn_predict_layers=num_drafts)
        check_divisible(config, ranks.size, arithmetic == "reference")
        reader = _Reader(checkpoint, config.num_cache_layers, device, dtype, report, arithmetic, ranks)
        model = Model(config, reader, arithmetic, ranks, int8=fits_int8 and weights != "full")
    logger.info("model loaded layers=%d dtype=%s %.2fs", len(model.layers), dtype, time.perf_counter() - started)
    return model


class _Reader:
    """Reads the tensors a model asks for by name, of each what this rank holds, and says how far it is."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        num_layers: int,
        device: str,
        dtype: torch.dtype,
        report: Report,
        arithmetic: Arithmetic,
        ranks: Ranks,
    ) -> None:
        self._checkpoint, self._num_layers = checkpoint, num_layers
        self._device, self._dtype, self._report = device, dtype, report
        self._rounds, self._ranks = arithmetic == "reference", ranks
        self._layer = ""

    def __call__(self, name: str) -> Tensor:
        layer = name.split(".")[2] if name.startswith("model.layers.") else ""
        if layer and layer != self._layer:
            self._layer = layer
            self._report(f"loading weights, layer {int(layer) + 1} of {self._num_layers}")
        part = part_of(name, self._checkpoint.shape(name), self._ranks.rank, self._ranks.size)
        weight = self._checkpoint.read(name, self._dtype, part)
        if name.endswith("kv_a_proj_with_mqa.weight"):
            weight = self._ranks.own_groups(self._checkpoint.config, weight)
        if self._rounds and is_quantized(name) and not self._checkpoint.is_fp8(name):
            weight = round_blocks(weight)
        return weight.to(self._device)
