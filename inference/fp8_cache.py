"""The paged cache in FP8, as published: a token's latent in 656 bytes and its indexer key in 132, at full size.

A latent is e4m3 with one fp32 scale for each 128, then its rotary key in bfloat16. A block holds its indexer keys
first and their scales after them, not token by token: readers of the other order lose quality without an error.
Legend: L layers, N blocks, B tokens a block, T tokens, R latent rank, W latent + rotary width, J indexer key width,
Y bytes.
"""

import torch
from torch import Tensor

from inference.cache import Blocks, PagedCache
from inference.config import ModelConfig
from inference.quantization import FP8, FP8_BLOCK, quantize_groups


def fp8_cache_obstacle(config: ModelConfig) -> str | None:
    """What of the configuration the layout cannot hold."""
    if config.num_latent_groups != 1:
        return f"num_latent_groups = {config.num_latent_groups}: an FP8 cache holds one latent a token"
    if config.kv_lora_rank % FP8_BLOCK:
        return f"kv_lora_rank = {config.kv_lora_rank}: an FP8 cache needs a multiple of {FP8_BLOCK}"
    if config.index_head_dim > FP8_BLOCK:
        return f"index_head_dim = {config.index_head_dim}: an FP8 cache holds at most {FP8_BLOCK}"
    return None


def latent_bytes(config: ModelConfig) -> int:
    return config.kv_lora_rank + 4 * (config.kv_lora_rank // FP8_BLOCK) + 2 * config.qk_rope_head_dim


def fp8_block_size_bytes(config: ModelConfig, block_size: int) -> int:
    """Bytes one block takes in all layers together."""
    return config.num_cache_layers * block_size * (latent_bytes(config) + config.index_head_dim + 4)


class Fp8PagedCache(PagedCache):
    """Takes and gives back the same tensors as PagedCache, latents in `dtype`, rounded to what FP8 holds."""

    def _reserve(self, config: ModelConfig, device: str | torch.device, dtype: torch.dtype) -> None:
        if (obstacle := fp8_cache_obstacle(config)) is not None:
            raise ValueError(obstacle)
        self._dtype, self._rank, self._index_width = dtype, config.kv_lora_rank, config.index_head_dim
        self.bytes_per_block = fp8_block_size_bytes(config, self.block_size)
        pages = (config.num_cache_layers, self.num_blocks)
        index_bytes = self.block_size * (self._index_width + 4)
        self.latent_LNBY = torch.empty(*pages, self.block_size, latent_bytes(config), device=device, dtype=torch.uint8)
        self.index_LNY = torch.empty(*pages, index_bytes, device=device, dtype=torch.uint8)

    def write(self, layer: int, slots_T: Tensor, latent_TGW: Tensor, index_TJ: Tensor) -> None:
        values, scale = quantize_groups(latent_TGW[:, 0, : self._rank])
        rotary_TP = latent_TGW[:, 0, self._rank :].to(torch.bfloat16)
        packed_TY = torch.cat([_bytes(values.flatten(1)), _bytes(scale), _bytes(rotary_TP)], dim=1)
        self.latent_LNBY[layer].flatten(0, 1).index_copy_(0, slots_T, packed_TY)
        keys, key_scale = quantize_groups(index_TJ)
        blocks_T, offsets_T = slots_T // self.block_size, slots_T % self.block_size
        keys_NBJ, scales_NB4 = self._index_planes(self.index_LNY[layer])
        keys_NBJ[blocks_T, offsets_T] = _bytes(keys.flatten(1))
        scales_NB4[blocks_T, offsets_T] = _bytes(key_scale)

    def latent_pages(self, layer: int) -> Tensor:
        """A view by slots, uint8 (slots, Y)."""
        return self.latent_LNBY[layer].flatten(0, 1)

    def index_pages(self, layer: int) -> Tensor | None:
        return None

    def read_latents(self, layer: int, blocks: Blocks, length: int) -> Tensor:
        return self._unpack(self.latent_LNBY[layer][blocks].flatten(0, 1)[:length])

    def read_latents_at(self, layer: int, slots_K: Tensor) -> Tensor:
        return self._unpack(self.latent_LNBY[layer].flatten(0, 1).index_select(0, slots_K))

    def read_index_keys(self, layer: int, blocks: Blocks, length: int) -> Tensor:
        keys_NBJ, scales_NB4 = self._index_planes(self.index_LNY[layer][blocks])
        keys_CJ = keys_NBJ.flatten(0, 1)[:length].contiguous().view(FP8)
        return keys_CJ.float() * scales_NB4.flatten(0, 1)[:length].contiguous().view(torch.float32)

    def _index_planes(self, pages_NY: Tensor) -> tuple[Tensor, Tensor]:
        """Views of the keys (N, B, J) and the scales (N, B, 4) of blocks."""
        border = self.block_size * self._index_width
        keys, scales = pages_NY[:, :border], pages_NY[:, border:]
        return torch.unflatten(keys, 1, (self.block_size, -1)), torch.unflatten(scales, 1, (self.block_size, 4))

    def _unpack(self, packed_KY: Tensor) -> Tensor:
        """(K, 1, W) in the model's type."""
        num_groups = self._rank // FP8_BLOCK
        values, scale, rotary = torch.split(
            packed_KY, [self._rank, 4 * num_groups, packed_KY.shape[1] - self._rank - 4 * num_groups], dim=1
        )
        latent = torch.unflatten(values.contiguous().view(FP8).float(), 1, (num_groups, -1))
        latent = latent * scale.contiguous().view(torch.float32)[..., None]
        rotary_KP = rotary.contiguous().view(torch.bfloat16)
        return torch.cat((latent.flatten(1).to(self._dtype), rotary_KP.to(self._dtype)), dim=1)[:, None]


def _bytes(x_TY: Tensor) -> Tensor:
    return x_TY.contiguous().view(torch.uint8)
