"""`python -m inference serve`: loads a checkpoint directory and serves it until it is told to stop.

With several processes this one is rank 0: it has the HTTP server, the engine and the scheduler, and leads the others.
SIGTERM: nothing new is accepted, running requests may finish within the grace period, the rest are cancelled and told
so; then it exits with 0. A model that cannot be loaded, or an engine or another process that died, exits with 1.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import uvicorn

from inference.blocks import BlockPool
from inference.cache import PagedCache, block_size_bytes
from inference.checkpoint import open_checkpoint
from inference.config import ModelConfig
from inference.engine import Engine, ForwardModel
from inference.followers import Followers, Join, LeadingModel, follow
from inference.fp8_cache import Fp8PagedCache, fp8_block_size_bytes
from inference.gpu.decoder import RowDecoder, choose_model
from inference.model import Model, load_model
from inference.model.linear import Arithmetic, Weights
from inference.native.decoder import NativeDecoder
from inference.native.library import has_amx
from inference.native.model import NativeModel, open_decoder
from inference.parallel import ALONE, Ranks, check_divisible
from inference.scheduler import Scheduler
from inference.sequence import GenerationRequest, SamplingParams
from inference.server.app import create_app
from inference.server.requests import ServedModel
from inference.server.worker import Loaded, Report, Worker
from inference.speculation import DraftModel
from inference.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

BLOCK_SIZE = 64  # the family's indexer cache is laid out in blocks of 64
DEFAULT_CONTEXTS = 4  # the default cache holds this many conversations of DEFAULT_CONTEXT tokens
DEFAULT_CONTEXT = 8192
MAX_WAIT_S = 600.0  # for a place; as DeepSeek's API
GRACE_S = 10.0  # a supervisor kills after some time; a runner continues elsewhere what is cut here
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class ServeSettings:
    model: Path
    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    api_key: str | None = None
    name: str | None = None  # None: the directory's name
    max_num_seqs: int = 8
    # A step of 512 prompt tokens takes half a second on two CPU cores: longer, and running answers visibly stall.
    max_num_batched_tokens: int = 512
    num_blocks: int | None = None
    cache_gib: float | None = None
    threads: int = 1
    arithmetic: Arithmetic = "exact"
    weights: Weights = "auto"
    fp8_cache: bool = False
    speculate: bool = True  # where the checkpoint has a draft layer
    processes: int = 1  # that compute the model together, each with `threads`, or with a CUDA device of its own
    max_wait_s: float = MAX_WAIT_S
    grace_s: float = GRACE_S


def serve(settings: ServeSettings) -> int:
    """Runs until a signal; returns the exit status."""
    _check_processes(settings)
    torch.set_num_threads(settings.threads)
    with Followers(_follow, settings, settings.processes, settings.device) as followers:
        server = _Server(settings, followers)
        asyncio.run(server.serve())
    failures = [failure for failure in (server.worker.failure, followers.loss) if failure is not None]
    for failure in failures:
        print(f"inference: {failure}", file=sys.stderr)
    status = 1 if failures else 0
    if server.worker.is_loading:  # its thread is inside torch, where an orderly exit would abort the process
        logging.shutdown()
        os._exit(status)
    return status


def load(settings: ServeSettings, report: Report, join: Join = lambda: ALONE) -> Loaded:
    """The engine of a checkpoint directory, warmed up by one short generation."""
    report("reading the tokenizer")
    tokenizer = Tokenizer(settings.model)
    generation_config = _read_generation_config(settings.model)
    ranks = join()
    assert ranks.size == settings.processes, "whoever starts the others hands in how to join them"
    decoder = _open_decoder(settings, report, ranks)
    model: ForwardModel
    drafter: DraftModel | None = None
    if decoder is not None and not has_amx():
        model, config, cache = (
            decoder,
            decoder.config,
            _reserve_cache(settings, decoder.config, report, settings.device),
        )
    elif decoder is not None:
        share, cache = _load_share(replace(settings, weights="full"), report, ranks)
        model, config = NativeModel(share, decoder), share.config
    else:
        share, cache = _load_share(settings, report, ranks)
        leading = share if ranks.size == 1 else LeadingModel(share, ranks)
        model, config, drafter = leading, share.config, leading if leading.can_draft else None
    decodes_in_rows = settings.device == "cuda" and ranks.size == 1 and drafter is None
    blocks = BlockPool(cache.num_blocks - decodes_in_rows, BLOCK_SIZE)
    scheduler = Scheduler(blocks, settings.max_num_seqs, settings.max_num_batched_tokens)
    max_model_len = min(config.max_position_embeddings, blocks.capacity_tokens)
    row_decoder: RowDecoder | None = None
    if decodes_in_rows:
        assert isinstance(model, Model)
        row_decoder = RowDecoder(model, cache, blocks.num_blocks, settings.max_num_seqs, max_model_len)
        report("capturing decode steps")
        row_decoder.prepare()
        model = choose_model(model, cache, max_model_len, settings.max_num_batched_tokens)
    engine = Engine(
        model,
        cache,
        scheduler,
        tokenizer,
        max_model_len=max_model_len,
        device=settings.device if ranks.size == 1 else "cpu",  # see LeadingModel
        max_wait_s=settings.max_wait_s,
        drafter=drafter,
        decoder=row_decoder,
    )
    served = ServedModel(
        name=settings.name or settings.model.resolve().name,
        max_model_len=engine.max_model_len,
        vocab_size=config.vocab_size,
        eos_token_ids=_eos_token_ids(generation_config, config),
        can_think=tokenizer.chat_template.can_think,
        can_call_tools=tokenizer.chat_template.can_call_tools,
        can_fill=tokenizer.can_fill,
        defaults=_generation_defaults(generation_config),
    )
    report("warming up")
    _warm_up(engine)
    return Loaded(served, tokenizer, engine)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Loading is thousands of small copies: with both cores wanted elsewhere, two threads took 7 s, one takes 1.6 s."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_one_thread()
def _load_share(settings: ServeSettings, report: Report, ranks: Ranks) -> tuple[Model, PagedCache]:
    """What this rank holds of the model, and its cache: as many blocks on each."""
    device = settings.device if ranks.size == 1 or settings.device == "cpu" else f"{settings.device}:{ranks.rank}"
    dtype = DTYPES[settings.dtype]
    report("loading weights")
    model = load_model(
        settings.model, device, dtype, report, settings.arithmetic, settings.speculate, ranks, settings.weights
    )
    return model, _reserve_cache(settings, model.config, report, device)


def _reserve_cache(settings: ServeSettings, config: ModelConfig, report: Report, device: str) -> PagedCache:
    num_blocks = _num_blocks(settings, config)
    report(f"reserving {num_blocks} blocks of cache")
    make_cache = Fp8PagedCache if settings.fp8_cache else PagedCache
    return make_cache(config, num_blocks, BLOCK_SIZE, device, DTYPES[settings.dtype])


@_one_thread()
def _open_decoder(settings: ServeSettings, report: Report, ranks: Ranks) -> NativeDecoder | None:
    """The decoder in C++, where it is wanted and can be had. ValueError where it was asked for and cannot."""
    if settings.weights not in ("auto", "native"):
        return None
    try:
        fits = (settings.device, settings.dtype, settings.arithmetic, settings.fp8_cache, ranks.size)
        if fits != ("cpu", "bfloat16", "exact", False, 1):
            raise ValueError("it is for exact bfloat16 in one process on a cpu, with a bfloat16 cache")
        report("compressing weights")
        return open_decoder(settings.model, settings.threads)
    except ValueError as error:
        if settings.weights == "native":
            raise ValueError(f"weights = native: {error}") from None
        logger.info("no native decoder: %s", error)
        return None


def _follow(settings: ServeSettings, join: Join) -> None:
    """The life of every process but the first."""
    torch.set_num_threads(settings.threads)
    ranks = join()
    follow(*_load_share(settings, lambda stage: None, ranks), ranks)


def _check_processes(settings: ServeSettings) -> None:
    """What all processes would fail at is told once, before any is started."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: PyTorch finds no CUDA device")
    if settings.processes == 1:
        return
    with open_checkpoint(settings.model) as checkpoint:
        check_divisible(checkpoint.config, settings.processes, settings.arithmetic == "reference")
    if settings.device == "cuda" and torch.cuda.device_count() < settings.processes:
        raise ValueError(
            f"--processes {settings.processes}: each needs a CUDA device, there are {torch.cuda.device_count()}"
        )


def _warm_up(engine: Engine) -> None:
    """A model that cannot answer fails here, before it is called ready."""
    request = GenerationRequest("warm-up", prompt_token_ids=(0,) * 16, params=SamplingParams(max_tokens=2))
    deltas = engine.add(request)
    while engine.has_work:
        deltas += engine.step()
    if deltas[-1].error is not None:
        raise RuntimeError(f"the first forward pass failed: {deltas[-1].error}")


def _num_blocks(settings: ServeSettings, config: ModelConfig) -> int:
    if settings.num_blocks is not None:
        return settings.num_blocks
    if settings.cache_gib is None:
        tokens = DEFAULT_CONTEXTS * min(DEFAULT_CONTEXT, config.max_position_embeddings)
        return max(1, tokens // BLOCK_SIZE)
    if settings.fp8_cache:
        bytes_per_block = fp8_block_size_bytes(config, BLOCK_SIZE)
    else:
        bytes_per_block = block_size_bytes(config, BLOCK_SIZE, DTYPES[settings.dtype])
    num_blocks = int(settings.cache_gib * 2**30) // bytes_per_block
    if num_blocks < 1:
        raise ValueError(f"--cache-gib {settings.cache_gib} holds no block of {bytes_per_block} bytes")
    return num_blocks


def _read_generation_config(path: Path) -> dict[str, Any]:
    file = path / "generation_config.json"
    if not file.exists():
        return {}
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold a JSON object")
    return content


def _eos_token_ids(generation_config: dict[str, Any], config: ModelConfig) -> frozenset[int]:
    given = generation_config.get("eos_token_id")
    if given is None:
        return frozenset(config.eos_token_ids)
    return frozenset(given) if isinstance(given, list) else frozenset({given})


def _generation_defaults(generation_config: dict[str, Any]) -> SamplingParams:
    """What the checkpoint's makers advise, for what a request leaves open."""
    greedy = generation_config.get("do_sample") is False
    return SamplingParams(
        max_tokens=int(generation_config.get("max_new_tokens", -1)),
        temperature=0.0 if greedy else float(generation_config.get("temperature", 1.0)),
        top_p=float(generation_config.get("top_p", 1.0)),
        top_k=int(generation_config.get("top_k", 0)),
        repetition_penalty=float(generation_config.get("repetition_penalty", 1.0)),
    )


class _Server(uvicorn.Server):
    """uvicorn, with our own way to stop: it would die by the signal it caught, a supervisor wants exit status 0."""

    def __init__(self, settings: ServeSettings, followers: Followers[ServeSettings]) -> None:
        self._grace_s = settings.grace_s
        self._followers = followers
        self.worker = Worker(lambda report: load(settings, report, followers.join), on_death=self._stop)
        config = uvicorn.Config(
            create_app(self.worker, settings.api_key),
            host=settings.host,
            port=settings.port,
            uds=settings.uds,
            access_log=False,
            log_config=None,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=int(settings.grace_s) + 5,
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        self._followers.watch(lambda: loop.call_soon_threadsafe(self._stop))
        yield

    def _on_signal(self) -> None:
        """The second signal does not wait for anybody."""
        if self.should_exit:
            self.worker.cancel_all()
            return
        logger.info("stopping: %d s for running requests", self._grace_s)
        self._stop()
        asyncio.get_running_loop().call_later(self._grace_s, self.worker.cancel_all)

    def _stop(self) -> None:
        self.should_exit = True
