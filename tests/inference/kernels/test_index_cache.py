"""The indexer's queries and keys come out as the model's indexer and FP8 cache would have them."""

import pytest
import torch

from inference.config import ModelConfig
from inference.fp8_cache import Fp8PagedCache
from inference.kernels.index_cache import index_queries, write_index_keys
from inference.kernels.rope_cache import turns_of
from inference.model.indexer import KEY_NORM_EPS, Indexer, hadamard
from inference.model.rope import Rope
from inference.quantization import FP8

SHAPES = [(128, 64, 64), (64, 64, 8), (64, 32, 5)]  # of a head, of its rotary part, and how many heads
POSITIONS = torch.tensor([0, 1, 4095, 100_000, 17, 8191, 5])
SLOTS = torch.tensor([130, 0, 64, -1, 63, 191, 65])
IS_TOKEN = SLOTS >= 0


def configured(width: int, rotary: int, heads: int) -> ModelConfig:
    return ModelConfig(num_hidden_layers=1, index_n_heads=heads, index_head_dim=width, qk_rope_head_dim=rotary)


def drawn(*shape: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def indexer_of(config: ModelConfig, hidden: int) -> Indexer:
    """In reference arithmetic, its query projection the identity's rows, so that queries can be given as they are."""
    width, heads = config.index_head_dim, config.index_n_heads
    tensors = {
        "wq_b.weight": torch.eye(heads * width),
        "weights_proj.weight": drawn(heads, hidden, seed=8),
        "k_norm.weight": drawn(width, seed=9) + 1,
        "k_norm.bias": drawn(width, seed=10),
    }
    return Indexer(config, tensors.__getitem__, "fp8")


def share_differing(out: torch.Tensor, expected: torch.Tensor) -> float:
    assert out.shape == expected.shape
    return float((out != expected).float().mean())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_queries_times_their_weights_are_the_models(shape: tuple[int, int, int]) -> None:
    config = configured(*shape)
    width, heads = config.index_head_dim, config.index_n_heads
    query = drawn(len(POSITIONS), heads, width) * torch.logspace(-6, 3, len(POSITIONS))[:, None, None]
    projected, factors = drawn(len(POSITIONS), heads, seed=11), Rope(config, "cpu").factors(POSITIONS)
    indexer = indexer_of(config, 16)
    expected = indexer._round(indexer._rotate(query, factors))
    values, folded = index_queries(
        query, projected, torch.arange(len(POSITIONS)), turns_of(factors), config.index_scale
    )
    scale = folded / (projected * config.index_scale)
    assert share_differing(values.float() * scale.log2().round().exp2()[..., None], expected) < 1e-3
    torch.testing.assert_close(scale, scale.log2().round().exp2())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_keys_are_written_as_the_fp8_cache_lays_them_out(shape: tuple[int, int, int]) -> None:
    config = configured(*shape)
    width = config.index_head_dim
    key = drawn(len(POSITIONS), width + 16)[:, 8:-8] * 5 + 3
    factors, indexer = Rope(config, "cpu").factors(POSITIONS), indexer_of(config, 16)
    cache = Fp8PagedCache(config, num_blocks=3)
    cache.index_LNY.fill_(7)
    cache.write(0, SLOTS[IS_TOKEN], torch.zeros(6, 1, config.kv_lora_rank + config.qk_rope_head_dim),
                indexer.keys(key, factors)[IS_TOKEN])  # fmt: skip
    pages = torch.full_like(cache.index_LNY[0], 7)
    write_index_keys(key, indexer.norm_weight, indexer.norm_bias, torch.arange(len(POSITIONS)), SLOTS,
                     turns_of(factors), pages, eps=KEY_NORM_EPS)  # fmt: skip
    # The model rounds twice; where that halves the scale it doubles the values: compared is what is read.
    written = pages != 7
    assert written[:, : 64 * width].sum() <= 6 * width and written[:, 64 * width :].sum() <= 6 * 4
    read = cache.read_index_keys(0, torch.arange(3), 192)[SLOTS[IS_TOKEN]]
    keys = pages[:, : 64 * width].reshape(192, width)[SLOTS[IS_TOKEN]].view(FP8).float()
    scales = pages[:, 64 * width :].contiguous().view(torch.float32).reshape(192, 1)[SLOTS[IS_TOKEN]]
    assert share_differing(keys * scales, read) < 3e-3


def test_the_matrix_of_signs_is_the_models() -> None:
    """Single ones come out as rows of the Hadamard matrix, whose every entry has the same magnitude."""
    query = torch.eye(128)[:, None]
    turns = torch.stack((torch.ones(1, 32), torch.zeros(1, 32)), dim=1)
    values, _ = index_queries(query, torch.ones(128, 1), torch.zeros(128, dtype=torch.int64), turns, 1.0)
    assert torch.equal(values[:, 0].float().sign(), hadamard(128).sign())
    assert len(values.float().abs().unique()) == 1


def test_what_does_not_fit_is_named() -> None:
    turns, none = torch.zeros(4, 2, 32), torch.zeros(0, dtype=torch.int64)
    with pytest.raises(ValueError, match="index head width = 96"):
        index_queries(torch.zeros(2, 4, 96), torch.zeros(2, 4), none, turns, 1.0)
    with pytest.raises(ValueError, match="rotary width = 64"):
        index_queries(torch.zeros(2, 4, 32), torch.zeros(2, 4), none, turns, 1.0)
    with pytest.raises(ValueError, match=r"pages: \(3, 8192\): uint8 \(blocks, 8448\) expected"):
        pages = torch.zeros(3, 8192, dtype=torch.uint8)
        write_index_keys(torch.zeros(2, 128), torch.ones(128), torch.zeros(128), none, none, turns, pages)
    values, folded = index_queries(torch.zeros(0, 4, 128), torch.zeros(0, 4), none, turns, 1.0)
    assert (values.shape, folded.shape) == ((0, 4, 128), (0, 4))
