"""The paged cache: latents with their rotary keys, and indexer keys, of every layer, addressed by slots.

Knows block ids and slots; knows nothing of sequences. A slot is block_id * block_size + offset.
Legend: L layers, N blocks, B tokens a block, G latent groups, W latent + rotary width, J indexer key width.
"""

import torch
from torch import Tensor

from inference.config import ModelConfig


def block_size_bytes(config: ModelConfig, block_size: int, dtype: torch.dtype) -> int:
    """Bytes one block takes in all layers together; known before anything is allocated."""
    latent = config.num_latent_groups * (config.kv_lora_rank + config.qk_rope_head_dim)
    return config.num_cache_layers * block_size * (latent + config.index_head_dim) * dtype.itemsize


# A sequence's blocks: ids, or a slice where they follow one another, which is read without a copy.
Blocks = Tensor | slice


def as_blocks(block_ids_B: Tensor, ids: list[int] | None = None) -> Blocks:
    """At 2048 tokens the copy costs 30 us a layer, 1 ms of a decode step; a fresh pool hands out runs.

    `ids` are the same where the host has them already: a device would be waited for.
    """
    ids = block_ids_B.tolist() if ids is None else ids
    run = range(ids[0], ids[0] + len(ids))
    return slice(run.start, run.stop) if ids == list(run) else block_ids_B


class PagedCache:
    """Memory is reserved, not touched: on a CPU a block costs nothing until a token is written to it."""

    def __init__(
        self,
        config: ModelConfig,
        num_blocks: int,
        block_size: int = 64,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if num_blocks < 1 or block_size < 1:
            raise ValueError(f"num_blocks = {num_blocks}, block_size = {block_size}: at least 1 each")
        self.num_blocks = num_blocks
        self.block_size = block_size
        self._reserve(config, device, dtype)

    def _reserve(self, config: ModelConfig, device: str | torch.device, dtype: torch.dtype) -> None:
        pages = (config.num_cache_layers, self.num_blocks, self.block_size)
        width = config.kv_lora_rank + config.qk_rope_head_dim
        self.bytes_per_block = block_size_bytes(config, self.block_size, dtype)
        self.latent_LNBGW = torch.empty(*pages, config.num_latent_groups, width, device=device, dtype=dtype)
        self.index_LNBJ = torch.empty(*pages, config.index_head_dim, device=device, dtype=dtype)

    def write(self, layer: int, slots_T: Tensor, latent_TGW: Tensor, index_TJ: Tensor) -> None:
        """Stores this step's tokens of one layer; must happen before anything of that layer is read."""
        latent, index = self.latent_LNBGW[layer].flatten(0, 1), self.index_LNBJ[layer].flatten(0, 1)
        latent.index_copy_(0, slots_T, latent_TGW.to(latent.dtype))
        index.index_copy_(0, slots_T, index_TJ.to(index.dtype))

    def latent_pages(self, layer: int) -> Tensor:
        """A view by slots, (slots, G, W)."""
        return self.latent_LNBGW[layer].flatten(0, 1)

    def index_pages(self, layer: int) -> Tensor | None:
        """A view by slots, (slots, J); None where a slot's key is not in one place."""
        return self.index_LNBJ[layer].flatten(0, 1)

    def read_latents(self, layer: int, blocks: Blocks, length: int) -> Tensor:
        """The first `length` tokens of a sequence, gathered by whole blocks: (length, G, W)."""
        return _read(self.latent_LNBGW[layer], blocks, length)

    def read_index_keys(self, layer: int, blocks: Blocks, length: int) -> Tensor:
        return _read(self.index_LNBJ[layer], blocks, length)

    def read_latents_at(self, layer: int, slots_K: Tensor) -> Tensor:
        """Single tokens by slot, for sparse decode: (K, G, W)."""
        return self.latent_LNBGW[layer].flatten(0, 1).index_select(0, slots_K)


def _read(pages_NB: Tensor, blocks: Blocks, length: int) -> Tensor:
    chosen = pages_NB[blocks] if isinstance(blocks, slice) else pages_NB.index_select(0, blocks)
    return chosen.flatten(0, 1)[:length]
