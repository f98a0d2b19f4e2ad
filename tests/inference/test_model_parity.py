"""The forward pass against transformers' independent deepseek_v32, on a tiny random checkpoint it wrote itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import inference.model.attention as attention
import inference.model.indexer as indexer
from inference.model import Model, load_model
from inference.model.rope import rotate_neighbours
from tests.inference.stepping import Stepper, random_tokens

TOLERANCE = 1e-4  # fp32; logits reach 4.7, the wrong indexer rope moves them by more than 1
TOPK = 8
NUM_TOKENS = 40


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """transformers' model with every parameter random, and the checkpoint it saved."""
    from transformers import DeepseekV32Config, DeepseekV32ForCausalLM

    config = DeepseekV32Config(
        vocab_size=256, hidden_size=64, intermediate_size=128, moe_intermediate_size=32, num_hidden_layers=3,
        first_k_dense_replace=1, num_attention_heads=4, num_key_value_heads=4, n_routed_experts=8,
        num_experts_per_tok=2, n_group=4, topk_group=2, n_shared_experts=1, q_lora_rank=32, kv_lora_rank=32,
        qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, index_n_heads=16, index_head_dim=16, index_topk=TOPK,
        # Written out: left to its default, transformers would use plain rotary embedding.
        rope_parameters={
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "original_max_position_embeddings": 4096,
            "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
        },
    )  # fmt: skip
    torch.manual_seed(0)
    model: Any = DeepseekV32ForCausalLM(config)
    model.eval()
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if "inv_freq" not in name:
                scale = 0.1 if name.endswith("bias") else 0.15
                value.copy_(torch.randn_like(value) * scale + ("norm" in name and name.endswith("weight")))
    path = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(path)
    return model, path


@pytest.fixture
def model(reference: tuple[Any, Path]) -> Model:
    return load_model(reference[1], "cpu", torch.float32)


def expected(reference: tuple[Any, Path], tokens: list[int]) -> Tensor:
    with torch.no_grad():
        logits: Tensor = reference[0](torch.tensor([tokens])).logits[0]
    return logits


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().nan_to_num(nan=torch.inf).max())


@pytest.mark.parametrize("length", [1, TOPK - 1, TOPK, TOPK + 1, NUM_TOKENS])
@pytest.mark.parametrize("chunks", [(NUM_TOKENS,), (5, 1, 2, 13), ()], ids=["one go", "uneven chunks", "by token"])
def test_logits_equal_transformers(
    reference: tuple[Any, Path], model: Model, length: int, chunks: tuple[int, ...]
) -> None:
    tokens = random_tokens(length)
    kept = [size for i, size in enumerate(chunks) if sum(chunks[: i + 1]) <= length] or ([length] if chunks else [])
    assert difference(Stepper(model).run(tokens, kept), expected(reference, tokens)) < TOLERANCE


def test_sequences_mixed_in_one_batch_do_not_touch_each_other(reference: tuple[Any, Path], model: Model) -> None:
    """A prefill chunk, a fresh prompt and decodes above and below index_topk share every step."""
    texts = {name: random_tokens(30, seed=seed) for seed, name in enumerate(["long", "short", "late"])}
    stepper = Stepper(model)
    got: dict[str, list[Tensor]] = {name: [] for name in texts}
    done = dict.fromkeys(texts, 0)
    for sizes in [{"long": 20, "short": 3}, {"long": 5, "short": 1, "late": 14}, {"short": 1, "late": 1, "long": 1}]:
        new = {name: texts[name][done[name] : done[name] + size] for name, size in sizes.items()}
        for name, logits in stepper.step(new).items():
            got[name].append(logits)
            done[name] += sizes[name]
    for name, tokens in texts.items():
        assert difference(torch.cat(got[name]), expected(reference, tokens[: done[name]])) < TOLERANCE


def test_blocks_in_a_row_give_the_same_logits(reference: tuple[Any, Path], model: Model) -> None:
    tokens = random_tokens(NUM_TOKENS)
    got = Stepper(model, scattered=False).run(tokens, [30])
    assert difference(got, expected(reference, tokens)) < TOLERANCE


def test_bounded_score_scratch_changes_nothing(
    reference: tuple[Any, Path], model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "SCORE_BYTES", 4 * NUM_TOKENS * 16 * 7)  # seven rows at a time
    tokens = random_tokens(NUM_TOKENS)
    assert difference(Stepper(model).run(tokens, [NUM_TOKENS]), expected(reference, tokens)) < TOLERANCE


def test_the_published_rope_mistake_is_seen_above_topk_and_only_there(
    reference: tuple[Any, Path], model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that the tolerance bites: neighbours instead of halves in the indexer."""
    monkeypatch.setattr(indexer, "rotate_halves", rotate_neighbours)
    tokens = random_tokens(NUM_TOKENS)
    wrong, right = Stepper(model).run(tokens, [NUM_TOKENS]), expected(reference, tokens)
    assert difference(wrong[:TOPK], right[:TOPK]) < TOLERANCE
    assert difference(wrong, right) > 1000 * TOLERANCE


def test_routed_tokens_are_counted(model: Model) -> None:
    Stepper(model).run(random_tokens(12), [10])
    assert model.expert_counts.sum(dim=1).tolist() == [0, 24, 24]
