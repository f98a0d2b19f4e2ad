"""From a checkpoint directory to a model that runs."""

import logging
import time
from pathlib import Path

import torch

from inference.checkpoint import open_checkpoint
from inference.model.decoder import Model

logger = logging.getLogger(__name__)


def load_model(path: Path, device: str, dtype: torch.dtype) -> Model:
    """ValueError names the first key or tensor that does not fit; fp16 is refused, a CPU is 1000 times slower in it."""
    if dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(f"dtype = {dtype}: must be torch.float32 or torch.bfloat16")
    started = time.perf_counter()
    with open_checkpoint(path) as checkpoint:
        model = Model(checkpoint.config, lambda name: checkpoint.read(name, dtype).to(device))
    logger.info("model loaded layers=%d dtype=%s %.2fs", len(model.layers), dtype, time.perf_counter() - started)
    return model
