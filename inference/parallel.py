"""Several processes that compute one model together: what each holds of it, and what they tell each other.

Heads, widths, experts and vocabulary are divided; everything else is whole in each process and computed there from
the same bits, so that all choose the same experts and tokens. Knows tensors and the configuration; knows nothing of
who starts the processes (see followers.py).
Legend: T tokens of the step, L rows whose logits are wanted, V vocabulary, G latent groups.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from inference.batch import Batch
from inference.config import ModelConfig
from inference.layout import indivisible, rounded_widths
from inference.quantization import FP8_BLOCK

# Between two requests the others wait in a broadcast for as long as nobody asks: a lost process is noticed by its
# closed connection and by whoever started it, never by a clock.
NO_TIMEOUT = timedelta(days=3650)
Call = Literal["forward", "draft"]  # of the model
CALLS: tuple[Call, ...] = ("forward", "draft")
BATCH_DTYPES = (torch.int64, torch.int32, torch.bool)


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's place among `size` that compute one model; alone, every method gives back what it got."""

    rank: int = 0
    size: int = 1

    def share(self, config: ModelConfig) -> ModelConfig:
        """The configuration as this rank's attention and cache see it: its own heads and the groups they read."""
        if self.size == 1:
            return config
        heads, groups = config.num_attention_heads // self.size, len(self.groups_of(config))
        return replace(config, num_attention_heads=heads, num_latent_groups=groups)

    def range_of(self, count: int) -> range:
        """This rank's indices of `count` equal things."""
        return range(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def groups_of(self, config: ModelConfig) -> range:
        """The latent groups of this rank's heads: its share, or one that several ranks have."""
        first = self.rank * config.num_latent_groups // self.size
        return range(first, first + max(1, config.num_latent_groups // self.size))

    def own_groups(self, config: ModelConfig, key_a_XD: Tensor) -> Tensor:
        """Rows of kv_a for this rank's groups: the latents of all, then their rotary keys."""
        if self.size == 1:
            return key_a_XD
        own, latents = self.groups_of(config), config.num_latent_groups * config.kv_lora_rank
        parts = (
            torch.unflatten(rows, 0, (config.num_latent_groups, -1))
            for rows in (key_a_XD[:latents], key_a_XD[latents:])
        )
        return torch.cat([part_GXD[own.start : own.stop].flatten(0, 1) for part_GXD in parts])

    def sum(self, x: Tensor) -> Tensor:
        """Over all ranks, in fp32, the same bits on each; `x` may be overwritten."""
        if self.size == 1:
            return x
        x = x.float().contiguous()
        dist.all_reduce(x)
        return x

    def gather_logits(self, part_LV: Tensor) -> Tensor:
        """The whole vocabulary at rank 0; the others get their own part back."""
        if self.size == 1 or not len(part_LV):
            return part_LV
        parts = [torch.empty_like(part_LV) for _ in range(self.size)] if self.rank == 0 else None
        dist.gather(part_LV, parts)
        return part_LV if parts is None else torch.cat(parts, dim=-1)

    def send(self, call: Call, batch: Batch) -> None:
        """What is to be computed next: from rank 0 to all others, which wait in `receive`."""
        numbers = _pack(batch)
        dist.broadcast(torch.tensor([CALLS.index(call), len(numbers)]), src=0)
        dist.broadcast(numbers, src=0)

    def receive(self, device: str | torch.device) -> tuple[Call, Batch]:
        head = torch.zeros(2, dtype=torch.int64)
        dist.broadcast(head, src=0)
        call, length = head.tolist()
        numbers = torch.empty(length, dtype=torch.int64)
        dist.broadcast(numbers, src=0)
        return CALLS[call], _unpack(numbers, device)


ALONE = Ranks()


def join(directory: Path, rank: int, size: int, device: str) -> Ranks:
    """Waits for the other processes of this host; they find each other by a file in `directory`, over loopback."""
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(name, socket.if_nameindex()[0][1])
    if device == "cuda":
        torch.cuda.set_device(rank)
    dist.init_process_group(
        "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl",
        init_method=f"file://{directory / 'ranks'}",
        rank=rank,
        world_size=size,
        timeout=NO_TIMEOUT,
    )
    return Ranks(rank, size)


def check_divisible(config: ModelConfig, size: int, in_fp8: bool = False) -> None:
    """ValueError names what cannot be divided; FP8 products round in groups of 128, which must stay whole."""
    if (name := indivisible(config, size)) is not None:
        raise ValueError(f"{name} = {getattr(config, name)} cannot be divided among {size} processes")
    for name, width in rounded_widths(config).items() if in_fp8 else ():
        if size > 1 and width % (size * FP8_BLOCK):
            raise ValueError(f"{name} = {width} cannot be divided among {size} processes in groups of {FP8_BLOCK}")


def _pack(batch: Batch) -> Tensor:
    """int64: for each tensor its type, its number of dimensions, their sizes, its numbers."""
    parts = []
    for field in fields(Batch):
        tensor: Tensor = getattr(batch, field.name)
        head = [BATCH_DTYPES.index(tensor.dtype), tensor.dim(), *tensor.shape]
        parts += [torch.tensor(head), tensor.flatten().to("cpu", torch.int64)]
    return torch.cat(parts)


def _unpack(numbers: Tensor, device: str | torch.device) -> Batch:
    tensors, start = [], 0
    for _ in fields(Batch):
        dtype, dims = numbers[start : start + 2].tolist()
        shape = numbers[start + 2 : start + 2 + dims].tolist()
        start += 2 + dims
        end = start + int(torch.Size(shape).numel())
        tensors.append(numbers[start:end].reshape(shape).to(device, BATCH_DTYPES[dtype]))
        start = end
    return Batch(*tensors)
