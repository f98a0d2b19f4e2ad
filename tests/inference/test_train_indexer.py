"""The indexer's training: its scores are the engine's, its hand-made gradients are autograd's, a stop loses nothing."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from inference import train_indexer
from inference.batch import Batch
from inference.cache import PagedCache
from inference.indexer_corpus import Texts, training_text
from inference.layout import tensor_shapes
from inference.model import Model
from inference.model.indexer import Indexer, score
from inference.model.rope import Rope
from inference.smollm2 import CONFIG, INDEXER_FILE, indexer_prefix, read_indexers
from inference.train_indexer import (
    NAMES,
    FrozenModel,
    LayerView,
    Lesson,
    Trainer,
    ahead,
    attention_target,
    index_parts,
    index_scores,
    learn,
    learning_rate,
    row_tiles,
    save_indexers,
)

# The default model's structure, two latent groups of two heads, small enough to build at random.
SMALL = replace(
    CONFIG,
    vocab_size=120,
    hidden_size=32,
    intermediate_size=48,
    moe_intermediate_size=8,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_latent_groups=2,
    n_routed_experts=8,
    n_shared_experts=2,
    num_experts_per_tok=4,
    n_group=2,
    routed_scaling_factor=4.0,
    kv_lora_rank=8,
    qk_rope_head_dim=8,
    v_head_dim=8,
    index_n_heads=4,
    index_head_dim=8,
    index_topk=2048,
    max_position_embeddings=2048,
)
NUM_TOKENS = 1300


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """A random model whose replicas are equal, as the recast makes them."""
    generator = torch.Generator().manual_seed(3)
    made = {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in tensor_shapes(SMALL).items()}
    per_group = SMALL.n_routed_experts // SMALL.n_group
    for name in [name for name in made if ".experts." in name]:
        before, _, after = name.partition(".experts.")
        expert, _, rest = after.partition(".")
        made[name] = made[f"{before}.experts.{int(expert) % per_group}.{rest}"]
        made[f"{before}.gate.weight"] = torch.zeros(SMALL.n_routed_experts, SMALL.hidden_size)
        made[f"{before}.gate.e_score_correction_bias"] = torch.zeros(SMALL.n_routed_experts)
    for layer in range(SMALL.num_hidden_layers):
        prefix = f"model.layers.{layer}"
        made[f"{prefix}.self_attn.kv_b_proj.weight"] = torch.eye(8).repeat(SMALL.num_attention_heads, 1)
        made[f"{prefix}.input_layernorm.weight"] = torch.full((SMALL.hidden_size,), 1.2)  # attention that is not flat
        made[f"{prefix}.self_attn.indexer.k_norm.weight"] += 1
    return made


@pytest.fixture
def token_ids_T() -> Tensor:
    return torch.randint(SMALL.vocab_size, (NUM_TOKENS,), generator=torch.Generator().manual_seed(4))


@pytest.fixture
def view(tensors: dict[str, Tensor], token_ids_T: Tensor) -> LayerView:
    return next(FrozenModel(tensors.__getitem__, SMALL, torch.float32).views(token_ids_T))


def indexer_of(tensors: Mapping[str, Tensor], layer: int) -> dict[str, Tensor]:
    return {name: tensors[f"{indexer_prefix(layer)}{name}"] for name in NAMES}


def test_scores_are_those_of_the_engine(tensors: dict[str, Tensor], view: LayerView) -> None:
    indexer, rope = indexer_of(tensors, 0), Rope(SMALL, "cpu")
    rows_R = torch.tensor([5, 800, NUM_TOKENS - 1])
    queries_RIJ, weights_RI, keys_TJ = index_parts(indexer, view.x_TD, rows_R, rope)
    engine = Indexer(SMALL, indexer.__getitem__)
    factors = rope.factors(torch.arange(NUM_TOKENS))
    keys = engine.keys(view.x_TD @ indexer["wk.weight"].T, factors)
    x_RD = view.x_TD[rows_R]
    expected = score(engine.queries(x_RD, factors[rows_R]), engine.head_weights(x_RD), keys)
    torch.testing.assert_close(index_scores(queries_RIJ, weights_RI, keys_TJ)[0], expected, atol=1e-5, rtol=1e-5)


def test_every_layer_sees_what_it_sees_in_the_engine(tensors: dict[str, Tensor], token_ids_T: Tensor) -> None:
    """The engine's cache holds the index keys of all layers: equal keys mean an equal forward pass."""
    model = Model(SMALL, tensors.__getitem__)
    cache = PagedCache(SMALL, -(-NUM_TOKENS // 64), 64)
    positions = torch.arange(NUM_TOKENS)
    model.forward(
        Batch(
            token_ids_T=token_ids_T,
            positions_T=positions,
            slot_mapping_T=positions,
            query_start_S1=torch.tensor([0, NUM_TOKENS], dtype=torch.int32),
            context_lens_S=torch.tensor([NUM_TOKENS], dtype=torch.int32),
            block_tables_SB=torch.arange(cache.num_blocks, dtype=torch.int32)[None],
            logits_rows_L=positions[-1:],
        ),
        cache,
    )
    frozen = FrozenModel(tensors.__getitem__, SMALL, torch.float32)
    for layer, view in enumerate(frozen.views(token_ids_T)):
        _, _, keys_TJ = index_parts(indexer_of(tensors, layer), view.x_TD, positions[:1], frozen.rope)
        cached_TJ = cache.index_LNBJ[layer].flatten(0, 1)[:NUM_TOKENS]
        torch.testing.assert_close(keys_TJ, cached_TJ, atol=1e-3, rtol=1e-3)
    assert layer == SMALL.num_hidden_layers - 1


def plain_loss(view: LayerView, indexer: dict[str, Tensor], rows_R: Tensor, rope: Rope) -> Tensor:
    """Everything at once, by autograd: mean KL(p || softmax(I))."""
    queries_RIJ, weights_RI, keys_TJ = index_parts(indexer, view.x_TD, rows_R, rope)
    scores_RT = torch.einsum("ri,rit->rt", weights_RI, torch.einsum("rij,tj->rit", queries_RIJ, keys_TJ).relu())
    future_RT = torch.arange(len(keys_TJ)) > rows_R[:, None]
    keys_THP = view.key_TGP.repeat_interleave(SMALL.num_attention_heads // SMALL.num_latent_groups, dim=1)
    logits_RHT = torch.einsum("rhp,thp->rht", view.query_THP[rows_R], keys_THP) * SMALL.softmax_scale
    target_RT = logits_RHT.masked_fill(future_RT[:, None], -torch.inf).softmax(dim=-1).mean(dim=1)
    logs_RT = scores_RT.masked_fill(future_RT, -torch.inf).log_softmax(dim=-1).masked_fill(future_RT, 0)
    return (torch.xlogy(target_RT, target_RT) - target_RT * logs_RT).sum(dim=-1).mean()


def test_loss_and_gradients_are_those_of_autograd(tensors: dict[str, Tensor], view: LayerView) -> None:
    indexer = {name: tensor.clone().requires_grad_() for name, tensor in indexer_of(tensors, 0).items()}
    rope = Rope(SMALL, "cpu")
    rows_R = torch.tensor(sorted(random.Random(0).sample(range(NUM_TOKENS), 200)))
    assert len(list(row_tiles(rows_R, NUM_TOKENS))) > 2
    loss, gradients = learn(view, indexer, rows_R, rope)
    expected = plain_loss(view, indexer, rows_R, rope)
    assert loss == pytest.approx(expected.item(), rel=1e-4) and loss > 0.1
    for name, gradient, autograd in zip(
        NAMES, gradients, torch.autograd.grad(expected, [indexer[name] for name in NAMES]), strict=True
    ):
        torch.testing.assert_close(gradient, autograd, atol=1e-5, rtol=1e-3, msg=name)
        assert float(autograd.abs().max()) > 1e-4, name


def test_the_target_is_a_distribution_over_the_past(view: LayerView) -> None:
    rows_R = torch.tensor([3, 700])
    future_RC = torch.arange(800) > rows_R[:, None]
    target_RC = attention_target(view.query_THP[rows_R], view.key_TGP[:800].transpose(0, 1), future_RC)
    torch.testing.assert_close(target_RC.sum(dim=-1), torch.ones(2))
    assert float(target_RC[future_RC].abs().max()) == 0


def test_tiles_cover_every_row_once_with_all_it_sees() -> None:
    rows_R = torch.tensor(sorted(random.Random(1).sample(range(512, 8192), 300)))
    tiles = list(row_tiles(rows_R, 8192))
    assert [row for start, stop, _ in tiles for row in range(start, stop)] == list(range(300))
    for start, stop, length in tiles:
        assert int(rows_R[stop - 1]) < length <= 8192
        assert (stop - start) * length <= train_indexer.TILE


def lessons(first: int, last: int) -> Iterator[Lesson]:
    for step in range(first, last):
        generator = torch.Generator().manual_seed(step)
        token_ids_T = torch.randint(SMALL.vocab_size, (600,), generator=generator)
        yield Lesson(token_ids_T, torch.arange(100, 600, 4))


def test_training_lowers_the_loss(tensors: dict[str, Tensor]) -> None:
    losses = list(Trainer(tensors, 60, SMALL, torch.float32).run(lessons(0, 60)))
    assert len(losses) == 60
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    straight, stopped, resumed = (Trainer(tensors, 6, SMALL, torch.float32) for _ in range(3))
    list(straight.run(lessons(0, 6)))
    list(stopped.run(lessons(0, 3)))
    stopped.save(tmp_path / "state.pt")
    resumed.restore(tmp_path / "state.pt")
    list(resumed.run(lessons(resumed.step, 6)))
    assert resumed.step == 6 and resumed.num_tokens == straight.num_tokens
    for one, other in zip(straight.indexers, resumed.indexers, strict=True):
        for name in NAMES:
            torch.testing.assert_close(one[name], other[name], atol=0, rtol=0)


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    rates = [learning_rate(step, 1000) for step in range(1000)]
    assert rates[0] < rates[5] < max(rates) == rates[300] == train_indexer.LEARNING_RATE
    assert rates[-1] < 0.01 * max(rates)


def test_what_is_stored_is_what_was_learned_within_half_a_step_of_int8(
    tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    indexers = [indexer_of(tensors, layer) for layer in range(SMALL.num_hidden_layers)]
    save_indexers(tmp_path / "indexers.safetensors", indexers)
    stored = read_indexers(tmp_path / "indexers.safetensors")
    assert stored.keys() == {name for name in tensors if ".indexer." in name}
    for name, tensor in stored.items():
        step = tensors[name].abs().amax(dim=-1, keepdim=True) / 127
        assert bool(((tensor - tensors[name]).abs() <= 0.501 * step).all()), name


def test_items_made_ahead_come_in_order_and_an_error_comes_through() -> None:
    assert list(ahead(iter(range(1, 50)), depth=4)) == list(range(1, 50))

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    items = ahead(broken(), depth=4)
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        list(items)


def test_a_training_text_depends_on_its_seed_alone_and_every_kind_is_made() -> None:
    texts: Texts = {
        "docs": "\n".join(f"Section {i} tells of number {i}.\n" for i in range(4000)),
        "code": "\n".join(f"def f_{i}() -> int:\n    return {i}\n" for i in range(4000)),
        "prose": "\n".join(f"And on day {i} it rained.\n" for i in range(4000)),
    }
    made = [training_text(texts, 500, random.Random(seed)) for seed in range(60)]
    assert made == [training_text(texts, 500, random.Random(seed)) for seed in range(60)]
    for sign in ("Section", "def f_", "And on day", "<|im_start|>assistant", "Question: What is the"):
        assert any(sign in text for text in made), sign
    asked = next(text for text in made if "Question: What is the" in text)
    answer = asked.rpartition("Answer: ")[2]
    assert asked.count(answer) == 2, "the fact stands in the document, and is the answer"


def test_the_shipped_indexers_are_whole_and_small() -> None:
    expected = {name: shape for name, shape in tensor_shapes(CONFIG).items() if ".indexer." in name}
    assert {name: tuple(tensor.shape) for name, tensor in read_indexers(INDEXER_FILE).items()} == expected
    assert INDEXER_FILE.stat().st_size < 11_000_000
    assert CONFIG.index_topk == train_indexer.FIRST_ROW
