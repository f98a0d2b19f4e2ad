"""Trains the default model's lightning indexer by the paper's dense warm-up: `python -m inference train-indexer`.

Everything is frozen but the indexer. What each row's attention looks at, summed over heads and normalised, is the
target p; the loss is KL(p || softmax(index scores)). No layer's indexer touches another layer, so one frozen forward
pass gives every layer its input and target, and each learns by itself. Only a few hundred rows of a sequence are
asked, over all their keys: the pass is the larger part of the cost, and more text is worth more than more rows.
The result is written as int8 with one scale a row; importing the default model puts it into the checkpoint.

    python -m inference train-indexer --out FILE [--work DIR] [--steps N] [--seed 0]

A step is a function of its number, and the state is saved every few steps: started again, it goes on from there and
gives the same indexer.
Legend: T tokens of a sequence, R rows asked, C keys, D hidden, H heads, G latent groups, P head width, I index heads,
J index head width.
"""

import itertools
import logging
import math
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import gguf
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from inference.checkpoint import INT8_SCALE
from inference.config import ModelConfig
from inference.indexer_corpus import Texts, read_corpus, training_text
from inference.model.indexer import KEY_NORM_EPS
from inference.model.rope import Rope, rotate_halves, rotate_neighbours
from inference.quantization import quantize_rows
from inference.smollm2 import CONFIG, build_tokenizer, find_gguf, indexer_prefix, recast

logger = logging.getLogger(__name__)

LENGTHS = {2048: 0.7, 4096: 0.2, 8192: 0.1}  # and how often; positions up to the last must be seen
NUM_ROWS = 192  # asked of a sequence
FIRST_ROW = 512  # index_topk: before it there is nothing to choose
LAST_ROWS = 16  # always among them: where the questions of a document stand
MAX_TILE_ROWS, LENGTH_STEP = 64, 512
TILE = 2**17  # pairs of one tile of rows: with 8 heads 2 MiB of dots, which stay in a core's cache between the products
# In a trial (40 texts, four layers) held-out KL was 1.04 after 1e-3, 0.58 after 3e-3, 0.61 after 8e-3, 0.78 after 2e-2.
LEARNING_RATE = 4e-3
WARM_UP, DECAY = 10, 0.5  # steps of the first; share of all steps in the last, down to nothing
SAVE_EVERY = 5  # steps
TINY = 1e-30
NAMES = ("wq_b.weight", "wk.weight", "weights_proj.weight", "k_norm.weight", "k_norm.bias")

Item = TypeVar("Item")
IndexerWeights = dict[str, Tensor]  # of one layer, by NAMES


@dataclass(frozen=True, slots=True)
class LayerView:
    """What one layer's indexer learns from: the layer's own input, queries and keys, rotated, in the model's type."""

    x_TD: Tensor
    query_THP: Tensor
    key_TGP: Tensor


class FrozenModel:
    """The default model's dense forward pass, layer by layer; a layer's experts are the one MLP they were cut from."""

    def __init__(
        self, tensor: Callable[[str], Tensor], config: ModelConfig = CONFIG, dtype: torch.dtype = torch.bfloat16
    ) -> None:
        self._config = config
        self._dtype = dtype
        self.rope = Rope(config, "cpu")
        self._embedding_VD = tensor("model.embed_tokens.weight").to(dtype)
        self._layers = [self._read_layer(tensor, f"model.layers.{i}") for i in range(config.num_hidden_layers)]

    def _read_layer(self, tensor: Callable[[str], Tensor], layer: str) -> "FrozenLayer":
        shards = [
            "shared_experts",
            *(f"experts.{e}" for e in range(self._config.n_routed_experts // self._config.n_group)),
        ]
        gate, up, down = (
            [tensor(f"{layer}.mlp.{shard}.{part}_proj.weight") for shard in shards] for part in ("gate", "up", "down")
        )
        attention = f"{layer}.self_attn"
        return FrozenLayer(
            tensor(f"{layer}.input_layernorm.weight").float(),
            torch.cat([tensor(f"{attention}.{name}.weight") for name in ("q_proj", "kv_a_proj_with_mqa")]).to(
                self._dtype
            ),
            tensor(f"{attention}.o_proj.weight").to(self._dtype),
            tensor(f"{layer}.post_attention_layernorm.weight").float(),
            torch.cat((*gate, *up)).to(self._dtype),
            torch.cat(down, dim=1).to(self._dtype),
        )

    @torch.no_grad()
    def views(self, token_ids_T: Tensor) -> Iterator[LayerView]:
        factors = self.rope.factors(torch.arange(len(token_ids_T)))
        hidden_TD = F.embedding(token_ids_T, self._embedding_VD).float()
        heads, groups = self._config.num_attention_heads, self._config.num_latent_groups
        for layer in self._layers:
            x_TD = self._norm(hidden_TD, layer.attention_norm_D)
            all_TXP = torch.unflatten(F.linear(x_TD, layer.query_value_key), -1, (-1, self._config.v_head_dim))
            query_THP, value_TGP, key_TGP = torch.split(all_TXP, [heads, groups, groups], dim=1)
            query_THP, key_TGP = (rotate_neighbours(each, factors) for each in (query_THP, key_TGP))
            yield LayerView(x_TD, query_THP, key_TGP)
            query, key, value = (each.transpose(0, 1)[None] for each in (query_THP, key_TGP, value_TGP))
            out_1HTP = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
            hidden_TD += F.linear(out_1HTP[0].transpose(0, 1).flatten(1), layer.output)
            gate, up = F.linear(self._norm(hidden_TD, layer.mlp_norm_D), layer.gate_up).chunk(2, dim=-1)
            hidden_TD += F.linear(F.silu(gate).mul_(up), layer.down)

    def _norm(self, hidden_TD: Tensor, weight_D: Tensor) -> Tensor:
        return F.rms_norm(hidden_TD, weight_D.shape, weight_D, self._config.rms_norm_eps).to(self._dtype)


@dataclass(frozen=True, slots=True)
class FrozenLayer:
    attention_norm_D: Tensor
    query_value_key: Tensor
    output: Tensor
    mlp_norm_D: Tensor
    gate_up: Tensor
    down: Tensor


def index_parts(indexer: IndexerWeights, x_TD: Tensor, rows_R: Tensor, rope: Rope) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (R, I, J) and head weights (R, I) of the rows, keys (T, J) of all: what model/indexer.py computes."""
    factors = rope.factors(torch.arange(len(x_TD)))
    keys_TJ = F.layer_norm(
        F.linear(x_TD, indexer["wk.weight"].to(x_TD.dtype)).float(),
        indexer["k_norm.weight"].shape,
        indexer["k_norm.weight"],
        indexer["k_norm.bias"],
        KEY_NORM_EPS,
    )
    x_RD = x_TD[rows_R]
    queries_RX = F.linear(x_RD, indexer["wq_b.weight"].to(x_TD.dtype)).float()
    queries_RIJ = rotate_halves(torch.unflatten(queries_RX, -1, (-1, keys_TJ.shape[-1])), factors[rows_R])
    weights_RI = F.linear(x_RD.float(), indexer["weights_proj.weight"])
    weights_RI = weights_RI * queries_RIJ[0].numel() ** -0.5
    return queries_RIJ, weights_RI, rotate_halves(keys_TJ[:, None], factors)[:, 0]


def index_scores(queries_RIJ: Tensor, weights_RI: Tensor, keys_CJ: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (R, C) and the dots under them, after relu: (R, I, C)."""
    dots_RIC = torch.unflatten((queries_RIJ.flatten(0, 1) @ keys_CJ.T).relu_(), 0, queries_RIJ.shape[:2])
    return torch.bmm(weights_RI[:, None], dots_RIC)[:, 0], dots_RIC


def attention_target(query_RHP: Tensor, key_GCP: Tensor, future_RC: Tensor) -> Tensor:
    """p (R, C) in fp32: the attention of some rows to the keys, averaged over heads."""
    num_rows, num_heads, groups = *query_RHP.shape[:2], len(key_GCP)
    query_GXP = torch.unflatten(query_RHP, 1, (groups, -1)).transpose(0, 1).flatten(1, 2)
    logits_GXC = torch.bmm(query_GXP * query_RHP.shape[-1] ** -0.5, key_GCP.transpose(1, 2))
    logits_GRXC = torch.unflatten(logits_GXC, 1, (num_rows, -1)).masked_fill_(future_RC[:, None], -torch.inf)
    shares_BXC = logits_GRXC.softmax(dim=-1).flatten(0, 1)
    # A product with ones: 0.4 ms where sum() takes 0.9, for 32 rows and 4096 keys in bfloat16.
    ones_B1X = shares_BXC.new_ones(1, 1, num_heads // groups).expand(len(shares_BXC), -1, -1)
    return torch.unflatten(torch.bmm(ones_B1X, shares_BXC)[:, 0], 0, (groups, -1)).float().mean(0) / (
        num_heads // groups
    )


def row_tiles(rows_R: Tensor, num_tokens: int) -> Iterator[tuple[int, int, int]]:
    """Ascending rows as (start, stop, length), where no row of the tile sees more than the first `length` tokens.

    A tile's pairs stay within TILE. Sizes are few: the products compile a kernel for every new shape, which takes
    longer than the product.
    """
    start, positions = 0, rows_R.tolist()
    while start < len(positions):
        step = MAX_TILE_ROWS
        while True:
            stop = min(start + step, len(positions))
            length = min(-(-(positions[stop - 1] + 1) // LENGTH_STEP) * LENGTH_STEP, num_tokens)
            if step == 1 or step * length <= TILE:
                break
            step //= 2
        yield start, stop, length
        start = stop


def learn(view: LayerView, indexer: IndexerWeights, rows_R: Tensor, rope: Rope) -> tuple[float, list[Tensor]]:
    """The mean KL of the rows, and its gradients for the indexer's weights in the order of NAMES.

    Tile by tile the loss runs forth and back at once, by hand: its gradient by the scores is softmax(I) - p, and no
    (R, I, T) is ever kept.
    """
    parts = index_parts(indexer, view.x_TD, rows_R, rope)
    gradients = [torch.zeros_like(part) for part in parts]
    queries_RIJ, weights_RI, keys_TJ = (part.detach().to(view.x_TD.dtype) for part in parts)
    key_GTP = view.key_TGP.transpose(0, 1).contiguous()
    loss = 0.0
    with torch.no_grad():
        for start, stop, length in row_tiles(rows_R, len(view.x_TD)):
            tile = slice(start, stop)
            future_RC = torch.arange(length) > rows_R[tile, None]
            target_RC = attention_target(view.query_THP[rows_R[tile]], key_GTP[:, :length], future_RC)
            keys_CJ = keys_TJ[:length]
            scores_RC, dots_RIC = index_scores(queries_RIJ[tile], weights_RI[tile], keys_CJ)
            logs_RC = scores_RC.float().masked_fill_(future_RC, -torch.inf).log_softmax(dim=-1)
            loss += divergence(target_RC, logs_RC)
            slope_RC = logs_RC.exp_().sub_(target_RC).div_(len(rows_R)).to(dots_RIC.dtype)
            gradients[1][tile] = torch.bmm(dots_RIC, slope_RC[..., None])[..., 0]
            slope_RIC = weights_RI[tile, :, None] * slope_RC[:, None]
            slope_XC = torch.ops.aten.threshold_backward(slope_RIC, dots_RIC, 0).flatten(0, 1)
            gradients[0][tile] = torch.unflatten(slope_XC @ keys_CJ, 0, dots_RIC.shape[:2])
            gradients[2][:length] += slope_XC.T @ queries_RIJ[tile].flatten(0, 1)
    leaves = [indexer[name] for name in NAMES]
    return loss / len(rows_R), list(torch.autograd.grad(parts, leaves, gradients))


def divergence(target_RC: Tensor, logs_RC: Tensor) -> float:
    """Sum of KL(p || q) over rows; what p does not touch counts nothing, not even under a log of zero."""
    return float((target_RC * (target_RC.clamp_min(TINY).log() - logs_RC.clamp_min(math.log(TINY)))).sum())


def choose_rows(length: int, rng: random.Random) -> Tensor:
    last = range(length - LAST_ROWS, length)
    earlier = rng.sample(range(FIRST_ROW, length - LAST_ROWS), NUM_ROWS - LAST_ROWS)
    return torch.tensor([*sorted(earlier), *last])


def first_indexers(tensors: Mapping[str, Tensor], config: ModelConfig = CONFIG) -> list[IndexerWeights]:
    """Of every layer: the model's own queries and mean key, as the recast begins it."""
    return [
        {name: tensors[f"{indexer_prefix(layer)}{name}"].clone().requires_grad_() for name in NAMES}
        for layer in range(config.num_hidden_layers)
    ]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One step: a text and the rows that are asked."""

    token_ids_T: Tensor
    rows_R: Tensor


class Trainer:
    """The indexers of all layers, their optimizer, and how far they are."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        num_steps: int,
        config: ModelConfig = CONFIG,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        self._frozen = FrozenModel(tensors.__getitem__, config, dtype)
        self.indexers = first_indexers(tensors, config)
        self._leaves = [indexer[name] for indexer in self.indexers for name in NAMES]
        self._optimizer = torch.optim.Adam(self._leaves, lr=LEARNING_RATE, betas=(0.9, 0.99), fused=True)
        self._num_steps = num_steps
        self.step = self.num_tokens = 0

    def run(self, lessons: Iterable[Lesson]) -> Iterator[float]:
        """A step each; yields its mean KL over layers. The frozen passes run ahead, in a thread of their own."""
        views = ahead(self._all_views(lessons), depth=8)
        while first := next(views, None):
            yield self._learn(itertools.chain((first,), itertools.islice(views, len(self.indexers) - 1)))

    def _all_views(self, lessons: Iterable[Lesson]) -> Iterator[tuple[Lesson, LayerView]]:
        for lesson in lessons:
            for view in self._frozen.views(lesson.token_ids_T):
                yield lesson, view

    def _learn(self, views: Iterable[tuple[Lesson, LayerView]]) -> float:
        total = 0.0
        for indexer, (lesson, view) in zip(self.indexers, views, strict=True):
            loss, gradients = learn(view, indexer, lesson.rows_R, self._frozen.rope)
            for name, gradient in zip(NAMES, gradients, strict=True):
                indexer[name].grad = gradient
            total += loss
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self._num_steps)
        self._optimizer.step()
        self.step += 1
        self.num_tokens += len(lesson.token_ids_T)
        return total / len(self.indexers)

    def save(self, path: Path) -> None:
        state = {"step": self.step, "tokens": self.num_tokens, "leaves": [leaf.detach() for leaf in self._leaves]}
        partial = path.with_suffix(".partial")
        torch.save(state | {"optimizer": self._optimizer.state_dict()}, partial)
        os.replace(partial, path)

    def restore(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.step, self.num_tokens = state["step"], state["tokens"]
        self._optimizer.load_state_dict(state["optimizer"])
        with torch.no_grad():
            for leaf, saved in zip(self._leaves, state["leaves"], strict=True):
                leaf.copy_(saved)


def ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """The same items, computed in another thread up to `depth` before they are asked for."""
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as thread:
        pending = deque(thread.submit(next, items, None) for _ in range(depth))
        while (item := pending.popleft().result()) is not None:
            pending.append(thread.submit(next, items, None))
            yield item


def learning_rate(step: int, num_steps: int) -> float:
    """Rises, stays, falls to nothing: the number of steps may be changed until it begins to fall."""
    return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP, (num_steps - step) / (DECAY * num_steps))


def train(out: Path, work: Path, num_steps: int, seed: int) -> None:
    """Goes on from the state in `work`, where there is one, and writes the stored form to `out`."""
    torch.set_num_threads(1)  # and one thread for the frozen passes: two that share a product wait for one another
    reader = gguf.GGUFReader(find_gguf())
    tokenizer = build_tokenizer(reader)
    texts = read_corpus(work / "text", held_out=False)
    trainer = Trainer(recast(reader), num_steps)
    state = work / f"state-{seed}.pt"
    if state.exists():
        trainer.restore(state)
    started, first, losses = time.monotonic(), trainer.num_tokens, deque[float](maxlen=SAVE_EVERY)
    lessons = (lesson(tokenizer, texts, random.Random(f"{seed}/{step}")) for step in range(trainer.step, num_steps))
    for loss in trainer.run(lessons):
        losses.append(loss)
        if trainer.step % SAVE_EVERY == 0 or trainer.step == num_steps:
            trainer.save(state)
            kl, rate = sum(losses) / len(losses), (trainer.num_tokens - first) / (time.monotonic() - started)
            logger.info("step %d tokens=%d kl=%.4f %.0f tokens/s", trainer.step, trainer.num_tokens, kl, rate)
    save_indexers(out, trainer.indexers)


def lesson(tokenizer: Tokenizer, texts: Texts, rng: random.Random) -> Lesson:
    length = rng.choices(list(LENGTHS), list(LENGTHS.values()))[0]
    token_ids: list[int] = []
    while len(token_ids) < length:
        token_ids = tokenizer.encode(training_text(texts, length, rng)).ids
    return Lesson(torch.tensor(token_ids[-length:]), choose_rows(length, rng))


def save_indexers(path: Path, indexers: Sequence[IndexerWeights]) -> None:
    """int8 with one scale a row; the norms, a vector each, stay fp32."""
    stored: dict[str, Tensor] = {}
    for layer, indexer in enumerate(indexers):
        for name in NAMES:
            tensor, key = indexer[name].detach(), f"{indexer_prefix(layer)}{name}"
            if tensor.ndim == 1:
                stored[key] = tensor.clone()
            else:
                stored[key], stored[f"{key}{INT8_SCALE}"] = quantize_rows(tensor)
    save_file(stored, path, metadata={"format": "pt"})
    path.chmod(0o644)
