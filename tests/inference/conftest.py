"""A tiny random checkpoint of the family with a tokenizer of its own, and a real server around it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import tokenizers
import torch
import uvicorn
from openai import OpenAI
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from inference.serve import ServeSettings, load
from inference.server.app import create_app
from inference.server.worker import Worker
from inference.tokenizer import Tokenizer

if TYPE_CHECKING:  # slow to import, and few tests write a checkpoint
    from transformers import DeepseekV32Config

TINY_VOCAB = 400
TINY_CONTEXT = 512
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONTROL_TOKENS = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def write_tokenizer(path: Path, chat_template: str | None = CHAT_TEMPLATE, words: Sequence[str] = ()) -> None:
    """Byte-level BPE with a few merges: every text can be written, and many tokens are half a character.

    `words` are one token each, and text as any other.
    """
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TINY_VOCAB,
        special_tokens=[
            *(AddedToken(token, special=True) for token in CONTROL_TOKENS),
            *(AddedToken(word, special=False, normalized=False) for word in words),
        ],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = ["the cat sat on the mat and the dog was not there", "what is the name of this other thing, then"] * 4
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.save(str(path / "tokenizer.json"))
    config = {"eos_token": "<|end|>"} | ({} if chat_template is None else {"chat_template": chat_template})
    (path / "tokenizer_config.json").write_text(json.dumps(config))


def tiny_config(num_hidden_layers: int, index_topk: int) -> DeepseekV32Config:
    from transformers import DeepseekV32Config

    return DeepseekV32Config(
        vocab_size=TINY_VOCAB,
        hidden_size=64,
        intermediate_size=128,
        moe_intermediate_size=32,
        num_hidden_layers=num_hidden_layers,
        first_k_dense_replace=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        n_routed_experts=8,
        num_experts_per_tok=2,
        n_group=4,
        topk_group=2,
        n_shared_experts=1,
        q_lora_rank=32,
        kv_lora_rank=32,
        qk_nope_head_dim=16,
        qk_rope_head_dim=8,
        v_head_dim=16,
        index_n_heads=16,
        index_head_dim=16,
        index_topk=index_topk,
        max_position_embeddings=TINY_CONTEXT,
        bos_token_id=0,
        eos_token_id=0,
    )


def write_tiny_checkpoint(path: Path) -> None:
    """Random weights, large enough that every token matters; written by transformers, read by us."""
    from transformers import DeepseekV32ForCausalLM

    torch.manual_seed(11)
    model = DeepseekV32ForCausalLM(tiny_config(num_hidden_layers=2, index_topk=64))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.25)
    model.save_pretrained(path)
    (path / "generation_config.json").write_text(json.dumps({"eos_token_id": 0, "do_sample": True}))
    write_tokenizer(path)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny"
    path.mkdir()
    write_tiny_checkpoint(path)
    return path


@dataclass(frozen=True, slots=True)
class RunningServer:
    url: str
    worker: Worker


ServerStarter = Callable[..., RunningServer]


class _ThreadServer:
    """uvicorn on a free port in a thread of its own, as a client sees it from outside."""

    def __init__(self, settings: ServeSettings) -> None:
        self.worker = Worker(lambda report: load(settings, report))
        config = uvicorn.Config(create_app(self.worker, settings.api_key), port=0, log_config=None, lifespan="on")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()))
        self._thread.start()

    def wait_ready(self) -> RunningServer:
        while not (self._server.started and self.worker.stage in ("ready", "failed")):
            self._thread.join(0.01)
        assert self.worker.failure is None, self.worker.failure
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return RunningServer(f"http://127.0.0.1:{port}", self.worker)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture(scope="module")
def start_server(tiny_checkpoint: Path) -> Iterator[ServerStarter]:
    """Starts a server for the tiny checkpoint; keywords are ServeSettings'."""
    running: list[_ThreadServer] = []

    def start(**settings: object) -> RunningServer:
        defaults: dict[str, object] = {"model": tiny_checkpoint, "dtype": "float32", "num_blocks": 32, "threads": 1}
        server = _ThreadServer(ServeSettings(**(defaults | settings)))  # type: ignore[arg-type]
        running.append(server)
        return server.wait_ready()

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def server(start_server: ServerStarter) -> RunningServer:
    return start_server()


@dataclass(frozen=True, slots=True)
class RunningProcess:
    url: str
    program: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()


ProcessStarter = Callable[..., RunningProcess]


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[ProcessStarter]:
    """Starts `python -m inference serve` for a checkpoint, with these options; ready when it returns."""
    running: list[subprocess.Popen[bytes]] = []

    def start(model: Path, *options: str) -> RunningProcess:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "inference", "serve", "--model", str(model), "--port", str(port)]
        command += ["--dtype", "float32", "--threads", "1", "--num-blocks", "24", *options]
        log_file = tmp_path / "log"
        with log_file.open("wb") as log:
            running.append(subprocess.Popen(command, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"}))
        process = RunningProcess(f"http://127.0.0.1:{port}", running[-1], log_file)
        deadline = time.monotonic() + 120
        while not _is_ready(process.url):
            assert process.program.poll() is None and time.monotonic() < deadline, process.log
            time.sleep(0.05)
        return process

    yield start
    for program in running:
        program.kill()
        program.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint: Path) -> Tokenizer:
    return Tokenizer(tiny_checkpoint)


os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
