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
    return config.num_hidden_layers * block_size * (latent + config.index_head_dim) * dtype.itemsize


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
        layers, groups = config.num_hidden_layers, config.num_latent_groups
        width = config.kv_lora_rank + config.qk_rope_head_dim
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.bytes_per_block = block_size_bytes(config, block_size, dtype)
        self.latent_LNBGW = torch.empty(layers, num_blocks, block_size, groups, width, device=device, dtype=dtype)
        self.index_LNBJ = torch.empty(layers, num_blocks, block_size, config.index_head_dim, device=device, dtype=dtype)

    def write(self, layer: int, slots_T: Tensor, latent_TGW: Tensor, index_TJ: Tensor) -> None:
        """Stores this step's tokens of one layer; must happen before anything of that layer is read."""
        self.latent_LNBGW[layer].flatten(0, 1).index_copy_(0, slots_T, latent_TGW)
        self.index_LNBJ[layer].flatten(0, 1).index_copy_(0, slots_T, index_TJ)

    def read_latents(self, layer: int, blocks_B: Tensor, length: int) -> Tensor:
        """The first `length` tokens of a sequence, gathered by whole blocks: (length, G, W)."""
        return self.latent_LNBGW[layer].index_select(0, blocks_B).flatten(0, 1)[:length]

    def read_index_keys(self, layer: int, blocks_B: Tensor, length: int) -> Tensor:
        return self.index_LNBJ[layer].index_select(0, blocks_B).flatten(0, 1)[:length]

    def read_latents_at(self, layer: int, slots_K: Tensor) -> Tensor:
        """Single tokens by slot, for sparse decode: (K, G, W)."""
        return self.latent_LNBGW[layer].flatten(0, 1).index_select(0, slots_K)
