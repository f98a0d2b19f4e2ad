"""The paged cache: slots, whole blocks, single tokens, and memory that is not touched before it is written."""

import torch

from inference.cache import PagedCache, as_blocks, block_size_bytes
from tests.inference.test_extended_family import GROUPED


def filled(block_size: int = 4) -> PagedCache:
    cache = PagedCache(GROUPED, num_blocks=6, block_size=block_size)
    cache.latent_LNBGW.fill_(torch.nan)
    cache.index_LNBJ.fill_(torch.nan)
    return cache


def test_tokens_are_read_back_in_order_from_scattered_blocks() -> None:
    cache = filled()
    latent, index = torch.randn(7, 3, 16), torch.randn(7, 8)
    blocks = torch.tensor([5, 1])
    slots = torch.tensor([20, 21, 22, 23, 4, 5, 6])
    cache.write(1, slots, latent, index)
    assert torch.equal(cache.read_latents(1, blocks, 7), latent)
    assert torch.equal(cache.read_index_keys(1, blocks, 7), index)
    assert torch.equal(cache.read_latents_at(1, slots[[6, 0]]), latent[[6, 0]])


def test_blocks_in_a_row_are_read_without_a_copy() -> None:
    cache, run, scattered = filled(), torch.tensor([2, 3, 4]), torch.tensor([2, 4, 3])
    cache.latent_LNBGW.copy_(torch.randn_like(cache.latent_LNBGW))
    assert as_blocks(run) == slice(2, 5) and as_blocks(scattered) is scattered
    assert as_blocks(run, run.tolist()) == slice(2, 5) and as_blocks(scattered, scattered.tolist()) is scattered
    got = cache.read_latents(0, as_blocks(run), 11)
    assert torch.equal(got, cache.read_latents(0, run, 11))
    assert got.data_ptr() == cache.latent_LNBGW[0, 2].data_ptr()


def test_other_layers_and_slots_stay_untouched() -> None:
    cache = filled()
    cache.write(1, torch.tensor([9]), torch.ones(1, 3, 16), torch.ones(1, 8))
    assert cache.latent_LNBGW[0].isnan().all() and cache.index_LNBJ[0].isnan().all()
    assert int((~cache.latent_LNBGW[1].isnan()).sum()) == 3 * 16
    assert int((~cache.index_LNBJ[1].isnan()).sum()) == 8


def test_the_bytes_of_a_block_are_the_bytes_taken() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        cache = PagedCache(GROUPED, num_blocks=6, block_size=4, dtype=dtype)
        taken = cache.latent_LNBGW.nbytes + cache.index_LNBJ.nbytes
        assert cache.bytes_per_block * 6 == taken == 6 * block_size_bytes(GROUPED, 4, dtype)
