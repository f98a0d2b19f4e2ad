"""What the trained indexer keeps and what it costs: `python -m inference indexer-report --model DIR`.

Prints the table of docs/model.md: perplexity dense and sparse, attention mass recalled, facts found again in long
documents, decode speed. The engine itself computes both sides from one checkpoint, so the indexer is judged as it is
stored. Texts are held out: no word of them was trained on.
Legend: T tokens, V vocabulary, R rows, C keys.
"""

import itertools
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.checkpoint import open_checkpoint
from inference.indexer_corpus import CHARACTERS_PER_TOKEN, Kind, Texts, piece, read_corpus
from inference.model import Model
from inference.smollm2 import indexer_prefix, read_indexers
from inference.train_indexer import (
    FIRST_ROW,
    NAMES,
    FrozenModel,
    IndexerWeights,
    attention_target,
    index_parts,
    index_scores,
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
    speed: bool = True
    threads: int = 2


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
    """The command: prints a table for each length of context, then decode speed."""
    texts = read_corpus(settings.work / "text", held_out=True)
    tokenizer: Tokenizer = Tokenizer.from_file(str(settings.model / "tokenizer.json"))
    pieces = held_out_pieces(tokenizer, texts, settings.pieces)
    sparse, dense, frozen, indexers = load(settings)
    # A task is one thread's: the models are many small products, and this is no race.
    with ThreadPoolExecutor(settings.threads, initializer=torch.set_num_threads, initargs=(1,)) as threads:
        losses = [threads.submit(token_losses, model, pieces) for model in (sparse, dense)]
        shares = threads.submit(recalled_shares, frozen, indexers, pieces)
        facts = [
            [threads.submit(found_facts, model, tokenizer, texts, length, settings.pieces) for model in (sparse, dense)]
            for length in LENGTHS
        ]
        print("| context | perplexity, dense | sparse | change | last 512 tokens | mass kept | best choice | least |")
        print("|---|---|---|---|---|---|---|---|")
        sparse_NT, dense_NT = (each.result() for each in losses)
        for length, share_2L in zip(LENGTHS, shares.result(), strict=True):
            print(_line(length, sparse_NT, dense_NT, *share_2L), flush=True)
        print("\n| context | facts found, dense | sparse | of |")
        print("|---|---|---|---|")
        for length, (found, found_densely) in zip(LENGTHS, facts, strict=True):
            total = NUM_FACTS * settings.pieces * len(KINDS)
            print(f"| {length} | {found_densely.result()} | {found.result()} | {total} |", flush=True)
    if settings.speed:
        sparse_s, dense_s = decode_seconds((sparse, dense), LENGTHS[-1] - DECODED)
        print(f"decode at {LENGTHS[-1]}: sparse {1 / sparse_s:.1f}, dense {1 / dense_s:.1f} tokens/s")
    return 0


def _line(length: int, sparse_NT: Tensor, dense_NT: Tensor, kept_L: Tensor, best_L: Tensor) -> str:
    whole, end = slice(0, length), slice(length - LAST, length)
    changes = [perplexity(sparse_NT[:, part]) / perplexity(dense_NT[:, part]) - 1 for part in (whole, end)]
    worst = int(kept_L.argmin())
    return (
        f"| {length} | {perplexity(dense_NT[:, whole]):.3f} | {perplexity(sparse_NT[:, whole]):.3f} "
        f"| {changes[0]:+.2%} | {changes[1]:+.2%} | {kept_L.mean():.3f} | {best_L.mean():.3f} "
        f"| {kept_L[worst]:.3f} of {best_L[worst]:.3f} (layer {worst}) |"
    )


def load(settings: ReportSettings) -> tuple[Model, Model, FrozenModel, list[IndexerWeights]]:
    """The engine's model sparse and dense, and what tells of single layers, from one checkpoint."""
    replaced = read_indexers(settings.indexer) if settings.indexer else {}
    with open_checkpoint(settings.model) as checkpoint:

        def tensor(name: str) -> Tensor:
            if name in replaced:
                return replaced[name].to(torch.bfloat16)
            return checkpoint.read(name, torch.bfloat16)

        config = checkpoint.config
        sparse, dense = (
            Model(replace(config, index_topk=topk), tensor) for topk in (FIRST_ROW, config.max_position_embeddings)
        )
        indexers = [
            {name: tensor(f"{indexer_prefix(layer)}{name}").float() for name in NAMES}
            for layer in range(config.num_hidden_layers)
        ]
        return sparse, dense, FrozenModel(tensor), indexers


def held_out_pieces(tokenizer: Tokenizer, texts: Texts, count: int) -> list[list[int]]:
    """Of each kind `count` pieces of the longest context, spread evenly over its text; shorter contexts begin them."""
    pieces = []
    for kind in KINDS:
        for number in range(count):
            start = len(texts[kind]) // count * number
            text = texts[kind][start : start + LENGTHS[-1] * CHARACTERS_PER_TOKEN]
            pieces.append(tokenizer.encode(text).ids[: LENGTHS[-1]])
    return pieces


def token_losses(model: Model, pieces: Sequence[Sequence[int]]) -> Tensor:
    """-log p of every token but the first: (pieces, T - 1)."""
    losses = []
    for token_ids in pieces:
        session = Session(model, len(token_ids))
        for start in range(0, len(token_ids), CHUNK):
            logits_TV = session.read(token_ids[start : start + CHUNK])
            next_T = torch.tensor(token_ids[start + 1 : start + CHUNK + 1])
            losses.append(F.cross_entropy(logits_TV[: len(next_T)], next_T, reduction="none"))
    return torch.cat(losses).view(len(pieces), -1)


def perplexity(losses: Tensor) -> float:
    return float(losses.mean().exp())


@torch.no_grad()
def recalled_shares(frozen: FrozenModel, indexers: Sequence[IndexerWeights], pieces: Sequence[Sequence[int]]) -> Tensor:
    """The share of attention, at the end of each of LENGTHS and by layer, that falls on what is kept, and on the best
    choice: (lengths, 2, layers)."""
    shares = torch.zeros(len(LENGTHS), 2, len(indexers))
    for token_ids in pieces:
        for layer, view in enumerate(frozen.views(torch.tensor(token_ids))):
            key_GTP = view.key_TGP.transpose(0, 1)
            for number, length in enumerate(LENGTHS):
                rows_R = torch.arange(length - LAST + 7, length, 8)
                queries_RIJ, weights_RI, keys_TJ = index_parts(indexers[layer], view.x_TD[:length], rows_R, frozen.rope)
                future_RC = torch.arange(length) > rows_R[:, None]
                target_RC = attention_target(view.query_THP[rows_R], key_GTP[:, :length], future_RC)
                scores_RC, _ = index_scores(queries_RIJ, weights_RI, keys_TJ)
                kept_RK = scores_RC.masked_fill_(future_RC, -torch.inf).topk(FIRST_ROW, dim=-1).indices
                best_RK = target_RC.topk(FIRST_ROW, dim=-1).indices
                for choice, chosen_RK in enumerate((kept_RK, best_RK)):
                    share = target_RC.gather(1, chosen_RK).sum(dim=-1).mean()
                    shares[number, choice, layer] += share / len(pieces)
    return shares


def found_facts(model: Model, tokenizer: Tokenizer, texts: Texts, length: int, count: int) -> int:
    """How many facts, ten in each of `count` documents a kind, the model completes, every digit its first choice."""
    found = 0
    for kind, number in itertools.product(KINDS, range(count)):
        rng = random.Random(f"{length}/{kind}/{number}")
        facts = [(name, str(rng.randrange(1000, 10000))) for name in rng.sample(PEOPLE, NUM_FACTS)]
        filler = tokenizer.encode(piece(texts, kind, length, rng)).ids[: length - FACT_TOKENS * len(facts)]
        document: list[int] = []
        for place, (name, code) in enumerate(facts):
            part = filler[len(filler) * place // len(facts) : len(filler) * (place + 1) // len(facts)]
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
