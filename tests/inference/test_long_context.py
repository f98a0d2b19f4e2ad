"""Contexts up to 163,840 positions: rotation, gathered attention, and memory that does not grow with the square."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import inference.model.attention as attention
from inference.cache import Blocks, PagedCache
from inference.config import ModelConfig, Yarn
from inference.model import Model
from inference.model.rope import Rope, inverse_frequencies, rotate_halves, rotate_neighbours
from tests.inference.plain_reference import random_tensors
from tests.inference.stepping import Stepper, random_tokens
from tests.inference.test_extended_family import VARIANTS

ROOT = Path(__file__).resolve().parents[2]
YARN = Yarn(40.0, 4096, 32.0, 1.0, 1.0, 1.0)
LONG = ModelConfig(
    vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, first_k_dense_replace=1,
    num_attention_heads=2, q_lora_rank=16, kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16,
    index_n_heads=4, index_head_dim=16, index_topk=64, yarn=YARN,
)  # fmt: skip
NUM_TOKENS = 131_072 if os.environ.get("SONDE_LONG_CONTEXT") else 12_288  # the long one takes one to two minutes


class ReadingCache(PagedCache):
    """Counts the latents that are read whole and one by one."""

    whole = single = 0

    def read_latents(self, layer: int, blocks: Blocks, length: int) -> Tensor:
        self.whole += length
        return super().read_latents(layer, blocks, length)

    def read_latents_at(self, layer: int, slots_K: Tensor) -> Tensor:
        self.single += len(slots_K)
        return super().read_latents_at(layer, slots_K)


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())
def test_gathering_equals_masking_and_reads_only_what_was_chosen(
    config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, tokens = random_tensors(config), random_tokens(50)
    model, logits = Model(config, tensors.__getitem__), []
    for factor in (0, 10**6):
        monkeypatch.setattr(attention, "GATHER_FACTOR", factor)
        monkeypatch.setattr(attention, "GATHER_FACTOR_FUSED", factor)
        stepper = Stepper(model, make_cache=ReadingCache)
        logits.append(stepper.run(tokens, [30, 20]))
        cache, layers = stepper.cache, config.num_hidden_layers
        assert isinstance(cache, ReadingCache)
        if factor == 0:
            assert cache.whole == layers * config.index_topk, "the first rows see all there is"
            assert cache.single == layers * config.index_topk * (50 - config.index_topk)
        else:
            assert cache.single == 0
    assert float((logits[0] - logits[1]).abs().max()) < 1e-4


@pytest.mark.parametrize("scratch", [64 * 2**20, 40_000], ids=["much scratch", "little scratch"])
def test_chunks_give_the_logits_of_one_go(scratch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Index heads enough that few scores tie: equal ones would be told apart by the last digit of the products."""
    config = replace(LONG, index_n_heads=16)
    tensors, tokens = random_tensors(config), random_tokens(1500, config.vocab_size)
    model = Model(config, tensors.__getitem__)
    whole = Stepper(model, num_blocks=400).run(tokens, [1500])
    monkeypatch.setattr(attention, "SCORE_BYTES", scratch)
    monkeypatch.setattr(attention, "GATHER_BYTES", scratch)
    chunked = Stepper(model, num_blocks=400).run(tokens, [100, 700, 1, 1, 690, 8])
    assert float((whole - chunked).abs().max()) < 1e-4


def test_yarn_keeps_fast_pairs_and_stretches_slow_ones_by_forty() -> None:
    config = replace(ModelConfig(), yarn=YARN)
    plain = 1 / 10000.0 ** (torch.arange(0, 64, 2) / 64)
    ratio = inverse_frequencies(config) / plain
    assert torch.allclose(ratio[:11], torch.ones(11)) and torch.allclose(ratio[23:], torch.full((9,), 1 / 40))
    assert (ratio[10:23] > ratio[11:24]).all()
    assert float(inverse_frequencies(config)[-1]) * 163_840 < 2 * math.pi, "the slowest pair never turns once"


@pytest.mark.parametrize("rotate", [rotate_neighbours, rotate_halves])
def test_the_last_position_still_sees_distances_only(rotate: object) -> None:
    """fp32 angles end at 1/64 of a radian there, for every engine alike."""
    rope = Rope(replace(ModelConfig(), yarn=YARN), "cpu")
    query, key = torch.randn(2, 1, 1, 64, generator=torch.Generator().manual_seed(0)).unbind()

    def dot(position: int) -> float:
        factors = rope.factors(torch.tensor([position, position - 100]))
        return float((rotate(query, factors[:1]) * rotate(key, factors[1:])).sum())  # type: ignore[operator]

    assert dot(163_839) == pytest.approx(dot(100), abs=0.15)
    assert abs(float((query * key).sum()) - dot(100)) > 0.3, "the distance matters"


def test_a_long_prompt_takes_bounded_memory() -> None:
    """Peak of a process of its own, 16K rows a step. The scores of all their pairs take 2.4 GB (34 GB at 128K)."""
    command = [sys.executable, "-c", MEASURE_PEAK, str(NUM_TOKENS)]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    assert peak < 512 * 2**20


MEASURE_PEAK = """
import sys, torch
from inference.model import Model
from tests.inference.plain_reference import random_tensors
from tests.inference.stepping import Stepper, random_tokens
from tests.inference.test_long_context import LONG

def status(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024

torch.set_num_threads(min(2, torch.get_num_threads()))
num_tokens = int(sys.argv[1])
model = Model(LONG, random_tensors(LONG).__getitem__)
Stepper(model).run(random_tokens(200, 64), [200])  # brings in the code
stepper = Stepper(model, num_blocks=-(-num_tokens // 64), block_size=64)
tokens = random_tokens(num_tokens, 64)
before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
for start in range(0, num_tokens, 16384):
    assert stepper.step({"long": tokens[start : start + 16384]})["long"].isfinite().all()
print(status("VmHWM") - before)
"""
