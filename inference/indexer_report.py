"""What the trained indexer keeps and what it costs: `python -m inference indexer-report --model DIR`.

Prints the table of docs/model.md: perplexity dense and sparse, attention mass recalled, facts found again in long
documents, decode speed. The engine itself computes both sides from one checkpoint, so the indexer is judged as it is
stored. Texts are held out: no word of them was trained on.
Legend: T tokens, V vocabulary, R rows, C keys.
"""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.checkpoint import open_checkpoint
from inference.indexer_corpus import CHARACTERS_PER_TOKEN, Kind, Texts, piece, read_corpus
from inference.layout import is_correction_bias
from inference.model import Model
from inference.smollm2 import indexer_prefix, read_indexers
from inference.train_indexer import (
    FIRST_ROW,
    NAMES,
    FrozenModel,
    IndexerWeights,
    attention_target,
    choose_rows,
    index_parts,
    index_scores,
    row_tiles,
)

LENGTHS = (2048, 4096, 8192)
KINDS: tuple[Kind, ...] = ("docs", "code", "prose")
CHUNK = 512  # tokens of one prefill step, as the server has it
BLOCK_SIZE = 64
LAST = 512  # tokens at a text's end, where the past is longest
NUM_FACTS, FACT_TOKENS = 10, 32  # of a document; tokens kept free for each and for one question
DECODED = 64


@dataclass(frozen=True, slots=True)
class ReportSettings:
    model: Path
    work: Path
    indexer: Path | None = None
    pieces: int = 2  # of each kind and length
    no_speed: bool = False


@dataclass(frozen=True, slots=True)
class Perplexity:
    """Of all tokens of the texts, and of the last ones of each."""

    all: float
    end: float


class Session:
    """One sequence of one model: reads tokens, forgets what comes after a position."""

    def __init__(self, model: Model, num_tokens: int) -> None:
        self._model = model
        self._cache = PagedCache(model.config, -(-num_tokens // BLOCK_SIZE), BLOCK_SIZE, model.device, model.dtype)
        self.length = 0

    def read(self, token_ids: Sequence[int]) -> Tensor:
        """fp32 logits (T, V) of new tokens, at most CHUNK of them."""
        start, end = self.length, self.length + len(token_ids)
        positions_T = torch.arange(start, end)
        self.length = end
        batch = Batch(
            token_ids_T=torch.tensor(token_ids),
            positions_T=positions_T,
            slot_mapping_T=positions_T,
            query_start_S1=torch.tensor([0, len(token_ids)], dtype=torch.int32),
            context_lens_S=torch.tensor([end], dtype=torch.int32),
            block_tables_SB=torch.arange(self._cache.num_blocks, dtype=torch.int32)[None],
            logits_rows_L=torch.arange(len(token_ids)),
        )
        return self._model.forward(batch, self._cache)


def run(settings: ReportSettings) -> int:
    """The command: prints the report as it grows."""
    texts = read_corpus(settings.work / "text", held_out=True)
    tokenizer: Tokenizer = Tokenizer.from_file(str(settings.model / "tokenizer.json"))
    with open_checkpoint(settings.model) as checkpoint:
        replaced = read_indexers(settings.indexer) if settings.indexer else {}

        def tensor(name: str) -> Tensor:
            if name in replaced:
                return replaced[name].to(torch.bfloat16)
            return checkpoint.read(name, torch.float32 if is_correction_bias(name) else torch.bfloat16)

        config = replace(checkpoint.config, index_topk=FIRST_ROW)
        sparse = Model(config, tensor)
        dense = Model(replace(config, index_topk=config.max_position_embeddings), tensor)
        frozen = FrozenModel(tensor)
        indexers = [
            {name: tensor(f"{indexer_prefix(layer)}{name}").float() for name in NAMES}
            for layer in range(config.num_hidden_layers)
        ]
    print("| context | perplexity, dense | sparse | change | last 512 tokens | mass recalled | worst layer | facts |")
    print("|---|---|---|---|---|---|---|---|")
    for length in LENGTHS:
        pieces = held_out_pieces(tokenizer, texts, length, settings.pieces)
        print(_line(length, pieces, dense, sparse, frozen, indexers, tokenizer, texts), flush=True)
    if not settings.no_speed:
        dense_s, sparse_s = decode_seconds((dense, sparse), LENGTHS[-1] - DECODED)
        print(f"decode at {LENGTHS[-1]}: dense {1 / dense_s:.1f}, sparse {1 / sparse_s:.1f} tokens/s")
    return 0


def _line(
    length: int,
    pieces: Sequence[Sequence[int]],
    dense: Model,
    sparse: Model,
    frozen: FrozenModel,
    indexers: Sequence[IndexerWeights],
    tokenizer: Tokenizer,
    texts: Texts,
) -> str:
    whole, chosen = perplexity(dense, pieces), perplexity(sparse, pieces)
    shares = recalled_mass(frozen, indexers, pieces, FIRST_ROW)
    worst = min(range(len(shares)), key=shares.__getitem__)
    facts = [found_facts(model, tokenizer, texts, length) for model in (dense, sparse)]
    return (
        f"| {length} | {whole.all:.3f} | {chosen.all:.3f} | {chosen.all / whole.all - 1:+.2%} "
        f"| {chosen.end / whole.end - 1:+.2%} | {mean(shares):.3f} | {shares[worst]:.3f} (layer {worst}) "
        f"| {facts[1]} / {facts[0]} of {NUM_FACTS * len(KINDS)} |"
    )


def held_out_pieces(tokenizer: Tokenizer, texts: Texts, length: int, count: int) -> list[list[int]]:
    """`count` of each kind, spread evenly over its text."""
    pieces = []
    for kind in KINDS:
        step = len(texts[kind]) // count
        for start in range(0, step * count, step):
            pieces.append(tokenizer.encode(texts[kind][start : start + length * CHARACTERS_PER_TOKEN]).ids[:length])
    return pieces


def perplexity(model: Model, texts: Sequence[Sequence[int]]) -> Perplexity:
    losses: list[Tensor] = []
    for token_ids in texts:
        session = Session(model, len(token_ids))
        parts = [
            F.cross_entropy(
                session.read(token_ids[start : start + CHUNK])[: len(after)], torch.tensor(after), reduction="none"
            )
            for start in range(0, len(token_ids), CHUNK)
            if (after := token_ids[start + 1 : start + CHUNK + 1])
        ]
        losses.append(torch.cat(parts))
    end = torch.cat([loss_T[-LAST:] for loss_T in losses])
    return Perplexity(math.exp(torch.cat(losses).mean()), math.exp(end.mean()))


def recalled_mass(
    frozen: FrozenModel, indexers: Sequence[IndexerWeights], texts: Sequence[Sequence[int]], topk: int
) -> list[float]:
    """Of each layer, the share of attention that falls on what is kept, in rows that have a choice."""
    shares: list[list[float]] = [[] for _ in indexers]
    for number, token_ids in enumerate(texts):
        rows_R = choose_rows(len(token_ids), random.Random(number))
        for layer, view in enumerate(frozen.views(torch.tensor(token_ids))):
            queries_RIJ, weights_RI, keys_TJ = index_parts(indexers[layer], view.x_TD, rows_R, frozen.rope)
            key_GTP = view.key_TGP.transpose(0, 1)
            for start, stop, length in row_tiles(rows_R, len(token_ids)):
                future_RC = torch.arange(length) > rows_R[start:stop, None]
                target_RC = attention_target(view.query_THP[rows_R[start:stop]], key_GTP[:, :length], future_RC)
                scores_RC, _ = index_scores(queries_RIJ[start:stop], weights_RI[start:stop], keys_TJ[:length])
                kept_RK = scores_RC.masked_fill_(future_RC, -torch.inf).topk(topk, dim=-1).indices
                shares[layer] += target_RC.gather(1, kept_RK).sum(dim=-1).tolist()
    return [mean(layer) for layer in shares]


def found_facts(model: Model, tokenizer: Tokenizer, texts: Texts, length: int) -> int:
    """How many facts, ten strewn into a document of each kind, the model completes, each digit its first choice."""
    found = 0
    for kind in KINDS:
        rng = random.Random(f"{length}/{kind}")
        facts = [(name, str(rng.randrange(1000, 10000))) for name in rng.sample(PEOPLE, NUM_FACTS)]
        filler = tokenizer.encode(piece(texts, kind, length, rng)).ids[: length - FACT_TOKENS * len(facts)]
        document: list[int] = []
        for number, (name, code) in enumerate(facts):
            part = filler[len(filler) * number // len(facts) : len(filler) * (number + 1) // len(facts)]
            told = tokenizer.encode(f"\nThe pass code of {name} is {code}.\n").ids
            document += [*part[: len(part) // 2], *told, *part[len(part) // 2 :]]
        session = Session(model, length)
        for start in range(0, len(document), CHUNK):
            session.read(document[start : start + CHUNK])
        for name, code in facts:
            session.length = len(document)
            question, answer = (tokenizer.encode(text).ids for text in (f"\n\nThe pass code of {name} is", f" {code}"))
            best = session.read(question + answer)[-len(answer) - 1 : -1].argmax(dim=-1).tolist()
            found += best == answer
    return found


PEOPLE = tuple(
    "Anna Boris Clara David Elena Felix Greta Hugo Irene Jonas Karin Leon Maria Nora Oscar Paula Simon Vera".split()
)


def decode_seconds(models: Sequence[Model], context: int, rounds: int = 3) -> list[float]:
    """Of each model, the median seconds of one token at the end of a context, measured in turns."""
    sessions = [Session(model, context + DECODED) for model in models]
    rng = random.Random(0)
    token_ids = [rng.randrange(1000, 40000) for _ in range(context)]
    for session in sessions:
        for start in range(0, context, CHUNK):
            session.read(token_ids[start : start + CHUNK])
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(rounds):
        for session, times in zip(sessions, seconds, strict=True):
            session.length = context
            for _ in range(DECODED):
                started = time.perf_counter()
                session.read(token_ids[:1])
                times.append(time.perf_counter() - started)
    return [median(times) for times in seconds]
