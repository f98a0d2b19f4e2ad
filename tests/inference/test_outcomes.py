"""Every accepted request ends in exactly one outcome, whatever its client does: hundreds at random, more than fit.

Some go away after any number of bytes, some are nonsense, some make the model give no numbers. OUTCOMES_SEED=N repeats
the choices of a run, whose seed is printed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.markup import MARKUP
from inference.server import worker as worker_module
from inference.tokenizer import Tokenizer
from tests.inference.asking import eventually, post, read_metrics
from tests.inference.conftest import ProcessStarter, RunningServer, ServerStarter, write_tokenizer

NUM_VISITS = 300
NUM_AT_ONCE = 32
SECRET = "zanzibar"  # in every question, and never in the log
POISON = "\x01"  # the token whose embedding is no number
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"enum": ["the mat", "there"]}, "cold": {"type": "boolean"}},
    "required": ["city", "cold"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
OUTCOMES = {"generation_failed": "failed", "waited_too_long": "expired", "shutting_down": "stopped"}
LOG_LINE = re.compile(r"((?:chat)?cmpl-\S+) (finished|failed|cancelled|expired) prompt=\d+ .*total=[\d.]+s$", re.M)


@dataclass(frozen=True, slots=True)
class Visit:
    """What one client sends, and how much of it, and how much of the answer it reads; None: all."""

    path: str
    body: bytes
    is_poisoned: bool = False
    sends: int | None = None
    reads: int | None = None

    @property
    def stays(self) -> bool:
        return self.sends is None and self.reads is None


@dataclass(frozen=True, slots=True)
class Seen:
    """What it got: one of finished, failed, expired, stopped, refused (429), bad (its own fault), gone, not taken."""

    visit: Visit
    outcome: str
    id: str | None = None  # of the answer, where it said so


@pytest.fixture(scope="module")
def poisoned_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with DeepSeek's template and one token that breaks whoever reads it; nobody ever says it."""
    path = tmp_path_factory.mktemp("poisoned") / "tiny"
    shutil.copytree(tiny_checkpoint, path)
    write_tokenizer(path, chat_template=None, words=MARKUP)
    (poison_id,) = Tokenizer(path).encode(POISON)
    (file,) = path.glob("*.safetensors")
    tensors = load_file(file)
    tensors["model.embed_tokens.weight"][poison_id] = torch.nan
    tensors["lm_head.weight"][poison_id] = 0  # never among the best 40 of 400
    save_file(tensors, file, {"format": "pt"})
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 1024}))  # tools are long
    (path / "generation_config.json").write_text(json.dumps({"eos_token_id": 0, "top_k": 40}))
    return path


@pytest.fixture
def dice() -> random.Random:
    seed = int(os.environ.get("OUTCOMES_SEED", random.randrange(10**6)))
    print(f"OUTCOMES_SEED={seed}")
    return random.Random(seed)


async def visit_all(url: str, visits: Iterable[Visit], first_finished: asyncio.Event | None = None) -> list[Seen]:
    """Each client comes up to four times, as it is told to when there is no place for it."""
    places = asyncio.Semaphore(NUM_AT_ONCE)
    seen: list[Seen] = []

    async def come(one: Visit) -> None:
        async with places:
            for _ in range(4):
                last = await asyncio.wait_for(make(one, url), timeout=60)
                seen.append(last)
                if last.outcome == "finished" and first_finished is not None:
                    first_finished.set()
                if last.outcome != "refused":
                    return
                await asyncio.sleep(0.3)

    await asyncio.gather(*map(come, visits))
    return seen


async def make(visit: Visit, url: str) -> Seen:
    """On a socket of its own, so that it can be cut at any byte."""
    address = urlsplit(url)
    head = (
        f"POST {visit.path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\nContent-Length: {len(visit.body)}\r\n\r\n"
    )
    answer = b""
    try:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
    except OSError:
        return Seen(visit, "not taken")
    try:
        writer.write((head.encode() + visit.body)[: visit.sends])
        await writer.drain()
        if visit.sends is None:
            while visit.reads is None or len(answer) < visit.reads:
                some = await reader.read(4096 if visit.reads is None else visit.reads - len(answer))
                if not some:
                    break
                answer += some
    except OSError:
        pass
    finally:
        writer.transport.abort()
    return see(visit, answer)


def see(visit: Visit, answer: bytes) -> Seen:
    found = re.search(rb'"id":"((?:chat)?cmpl-\w+)"', answer)
    id = found[1].decode() if found else None
    if not visit.stays:
        return Seen(visit, "gone", id)
    if not answer:
        return Seen(visit, "not taken")
    status = int(answer.split(b" ", 2)[1])
    if status == 429:
        assert re.search(rb"\r\nretry-after: \d+\r\n", answer)
        return Seen(visit, "refused")
    if 400 <= status < 500:
        return Seen(visit, "bad")
    error = re.search(rb'"error":\{"message":.*"code":"(\w+)"\}', answer)
    if error:
        return Seen(visit, OUTCOMES[error[1].decode()], id)
    if b'"object":"chat.completion.chunk"' in answer or b"data: " in answer:
        assert b"data: [DONE]" in answer, "a stream ended without a word"
    else:
        json.loads(answer.partition(b"\r\n\r\n")[2])
    return Seen(visit, "finished", id)


def some_visit(dice: random.Random, num_prompts: int = 3) -> Visit:
    is_poisoned = dice.random() < 0.08
    path, body = dice.choice([a_chat, a_chat, a_chat, a_form, a_completion])(dice, is_poisoned, num_prompts)
    body |= {"seed": dice.randrange(99), "max_tokens": dice.randrange(1, 90), "stream": dice.random() < 0.6}
    body |= {"n": dice.choice([1, 1, 1, 2, 3]), "user": f"user {dice.randrange(5)}", "temperature": dice.choice([0, 1])}
    if dice.random() < 0.08:
        wrong: dict[str, Any] = dice.choice(
            [{"top_p": 7}, {"model": "other"}, {"stop": [3]}, {"prompt": 1, "messages": 1}]
        )
        return Visit(path, json.dumps(body | wrong).encode())
    data = json.dumps(body).encode()
    fate = dice.random()
    if fate < 0.04:
        return Visit(path, data[: len(data) // 2])  # no JSON
    if fate < 0.10:
        return Visit(path, data, is_poisoned, sends=dice.randrange(len(data)))
    if fate < 0.35:
        return Visit(path, data, is_poisoned, reads=dice.choice([0, 1, dice.randrange(2000), dice.randrange(20_000)]))
    return Visit(path, data, is_poisoned)


def a_text(dice: random.Random, is_poisoned: bool) -> str:
    """Many begin alike, so that blocks are shared; few fit beside each other."""
    text = f"{SECRET} " + "the cat sat on the mat and the dog was not there " * dice.choice([1, 2, 4, 12])
    return text + POISON * is_poisoned + dice.choice(["", "and then?", "what is the name of this other thing"])


def a_chat(dice: random.Random, is_poisoned: bool, _: int) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": a_text(dice, is_poisoned)}]
    more = dice.choice([{}, {}, {"logprobs": True}, {"thinking": {"type": "enabled"}}, {"stop": ["th", "a"]}])
    if dice.random() < 0.2:
        messages.append({"role": "assistant", "content": "the cat s", "prefix": True})  # type: ignore[dict-item]
    return "/v1/chat/completions", {"messages": messages} | more


def a_form(dice: random.Random, is_poisoned: bool, _: int) -> tuple[str, dict[str, Any]]:
    json_schema = {"name": "place", "schema": SCHEMA, "strict": True}
    more = dice.choice(
        [
            {"response_format": {"type": "json_schema", "json_schema": json_schema}},
            {"response_format": {"type": "json_object"}},
            {"tools": TOOLS, "tool_choice": "required"},
            {"tools": TOOLS},
        ]
    )
    return "/v1/chat/completions", {"messages": [{"role": "user", "content": a_text(dice, is_poisoned)}]} | more


def a_completion(dice: random.Random, is_poisoned: bool, num_prompts: int) -> tuple[str, dict[str, Any]]:
    prompts = [a_text(dice, is_poisoned and i == 0) for i in range(dice.randint(1, num_prompts))]
    more = dice.choice([{}, {"logprobs": 2}, {"echo": True, "logprobs": 1}])
    return "/v1/completions", {"prompt": prompts} | more


def outcomes_in(log: str) -> dict[str, str]:
    """By request; one line each, and not a word of what was asked."""
    lines = LOG_LINE.findall(log)
    outcomes = dict(lines)
    assert len(outcomes) == len(lines), "a request ended twice"
    assert SECRET not in log and "the cat" not in log
    return outcomes


def check_what_was_seen(seen: list[Seen], outcomes: dict[str, str]) -> None:
    """The log says of each request what its client was told, and only what was poisoned has failed.

    A long one that was poisoned may finish: the indexer never chooses a key that is no number.
    """
    for one in seen:
        logged = {outcome for id, outcome in outcomes.items() if one.id is not None and id.startswith(one.id)}
        assert one.id is None or logged, "a request that was taken has no end"
        assert one.outcome != "failed" or one.visit.is_poisoned, "a request failed for another's fault"
        if one.outcome == "finished":
            assert logged == {"finished"}
        elif one.outcome in ("failed", "expired"):
            assert one.id is None or one.outcome in logged


def test_every_accepted_request_ends_in_exactly_one_outcome(
    start_server: ServerStarter,
    poisoned_checkpoint: Path,
    dice: random.Random,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = start_server(model=poisoned_checkpoint, num_blocks=24, max_num_seqs=6, max_wait_s=3.0)
    monkeypatch.setattr(worker_module, "MAX_REQUESTS", 24)
    monkeypatch.setattr(worker_module, "KEPT_FOR_NEWCOMERS", 4)
    before = [what_it_says(server, seed) for seed in range(3)]
    caplog.clear()
    caplog.set_level(logging.INFO, "inference")
    at_start = read_metrics(server)
    visits = [some_visit(dice) for _ in range(NUM_VISITS)]
    visits += [Visit("/v1/completions", json.dumps({"prompt": SECRET + POISON}).encode(), True)] * 12
    dice.shuffle(visits)
    seen = asyncio.run(visit_all(server.url, visits))

    def counted(name: str) -> int:
        now = read_metrics(server)
        return int(sum(now[key] - at_start.get(key, 0) for key in now if key.startswith(name)))

    engine = server.worker.loaded.engine
    eventually(lambda: counted("sonde_requests_total") == counted("sonde_accepted_total") and not engine.has_work)
    log = caplog.text
    outcomes = outcomes_in(log)
    print(Counter(one.outcome for one in seen), Counter(outcomes.values()))
    assert len(outcomes) == counted("sonde_accepted_total")
    for outcome, count in Counter(outcomes.values()).items():
        ends = (f'sonde_requests_total{{endpoint="{kind}",outcome="{outcome}"}}' for kind in ("chat", "completions"))
        assert count == sum(map(counted, ends))
    check_what_was_seen(seen, outcomes)
    assert {"finished", "failed", "cancelled"} <= set(outcomes.values())
    assert {"finished", "failed", "refused", "bad", "gone"} <= {one.outcome for one in seen}
    assert not any(one.outcome in ("stopped", "not taken") for one in seen)
    assert server.worker.num_requests == 0 and server.worker.stage == "ready"
    engine.check_integrity()
    assert engine.scheduler.blocks.num_free_blocks == engine.scheduler.blocks.num_blocks
    assert [what_it_says(server, seed) for seed in range(3)] == before


def what_it_says(server: RunningServer, seed: int) -> str:
    answer = post(server, max_tokens=40, seed=seed, return_token_ids=True).json()["choices"][0]
    return str(answer["token_ids"])


@pytest.mark.parametrize(("grace_s", "num_signals"), [("0.5", 1), ("60", 2)])
async def test_a_worker_that_is_told_to_stop_leaves_nobody_without_a_word(
    start_process: ProcessStarter, poisoned_checkpoint: Path, grace_s: str, num_signals: int, dice: random.Random
) -> None:
    """After the grace, or at the second signal, whoever is still there is told; whoever comes is not let in."""
    process = start_process(poisoned_checkpoint, "--grace-s", grace_s)
    visits = [some_visit(dice, num_prompts=1) for _ in range(3 * NUM_AT_ONCE)]
    first_finished = asyncio.Event()
    crowd = asyncio.create_task(visit_all(process.url, visits, first_finished))
    await asyncio.wait_for(first_finished.wait(), timeout=60)
    for _ in range(num_signals):
        process.program.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
    seen = await crowd
    assert await asyncio.to_thread(process.program.wait, 30) == 0
    outcomes = outcomes_in(process.log)
    print(Counter(one.outcome for one in seen), Counter(outcomes.values()))
    check_what_was_seen(seen, outcomes)
    count = Counter(one.outcome for one in seen)
    answered = count["finished"] + count["failed"] + count["expired"]
    assert answered <= len(outcomes) <= answered + count["stopped"] + count["gone"]
    assert count["not taken"] > 0 and count["finished"] > 0
