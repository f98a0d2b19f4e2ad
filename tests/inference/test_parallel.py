"""Several processes that compute one model: the same logits as one, refused where they cannot, ended together."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from inference.__main__ import main
from inference.batch import Batch
from inference.cache import PagedCache
from inference.checkpoint import Quantization, open_checkpoint, save_checkpoint
from inference.config import ModelConfig, Yarn
from inference.engine import ModelLost
from inference.followers import Followers, Join, LeadingModel
from inference.layout import part_of
from inference.model import Model, load_model
from inference.model.linear import Arithmetic
from inference.model.moe import MoE
from inference.parallel import ALONE, Ranks, check_divisible
from inference.sequence import GenerationRequest, SamplingParams
from inference.serve import ServeSettings, load
from tests.inference.asking import QUESTION, eventually, post, read_metrics
from tests.inference.conftest import TINY_VOCAB, RunningServer, ServerStarter, write_tokenizer
from tests.inference.plain_reference import random_tensors, with_equal_experts
from tests.inference.stepping import Stepper, random_tokens
from tests.inference.test_extended_family import GROUPED

TOLERANCE = 2e-5
NUM_TOKENS, CHUNKS = 40, [17, 1, 13]  # the rest one by one

RELEASED_LIKE = ModelConfig(
    vocab_size=256, hidden_size=48, intermediate_size=64, moe_intermediate_size=16, num_hidden_layers=3,
    first_k_dense_replace=1, num_attention_heads=4, n_routed_experts=16, n_shared_experts=1, num_experts_per_tok=4,
    n_group=4, topk_group=2, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=12, qk_rope_head_dim=8, v_head_dim=12,
    index_n_heads=16, index_head_dim=16, index_topk=6, max_position_embeddings=512,
    yarn=Yarn(factor=8.0, original_max_position_embeddings=16, mscale=1.0, mscale_all_dim=1.0),
)  # fmt: skip
TWO_GROUPS = replace(GROUPED, num_latent_groups=2, qk_nope_head_dim=4)
# No part of these ends with an FP8 block; dense, as a rounded index score may choose another token.
PARTIAL_BLOCKS = replace(
    TWO_GROUPS, hidden_size=160, moe_intermediate_size=136, n_shared_experts=3, q_lora_rank=40, qk_nope_head_dim=40,
    first_k_dense_replace=1, intermediate_size=300, index_topk=64,
)  # fmt: skip
WHOLE_BLOCKS = replace(
    RELEASED_LIKE, hidden_size=128, intermediate_size=256, moe_intermediate_size=128, n_shared_experts=2,
    kv_lora_rank=128, qk_nope_head_dim=64, qk_rope_head_dim=64, v_head_dim=64, index_head_dim=64, index_topk=64,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    config: ModelConfig
    quantization: Quantization | None = None
    arithmetic: Arithmetic = "exact"
    dtype: torch.dtype = torch.float32
    has_equal_experts: bool = False


CASES = {
    "as released": Case(RELEASED_LIKE),
    "with a draft layer": Case(replace(RELEASED_LIKE, num_nextn_predict_layers=1)),
    "two latent groups": Case(TWO_GROUPS),
    "two latent groups, equal experts": Case(TWO_GROUPS, has_equal_experts=True),
    "stored in FP8": Case(PARTIAL_BLOCKS, "fp8"),
    "stored in int8": Case(PARTIAL_BLOCKS, "int8"),
    "computed as in FP8": Case(WHOLE_BLOCKS, "fp8", "reference"),
    "in bfloat16, with int8 for a few rows": Case(PARTIAL_BLOCKS, dtype=torch.bfloat16),
}


def write(path: Path, case: Case) -> None:
    tensors = random_tensors(case.config)
    if case.has_equal_experts:  # four distinct ones, as many as are active
        tensors = with_equal_experts(tensors, 4)
    path.mkdir()
    save_checkpoint(path, case.config, tensors, torch.float32, quantization=case.quantization)


class WithDrafts:
    """Gives what the draft layer says of the same batch after the model's own logits."""

    def __init__(self, model: Model) -> None:
        self.config, self.device, self.dtype, self._model = model.config, model.device, model.dtype, model

    def forward(self, batch: Batch, cache: PagedCache) -> Tensor:
        logits_LV = self._model.forward(batch, cache)
        return torch.cat((logits_LV, self._model.draft(batch, cache)), dim=-1) if self._model.can_draft else logits_LV


def compute(path: Path, case: Case, ranks: Ranks) -> tuple[Tensor, PagedCache]:
    model = load_model(path, "cpu", case.dtype, arithmetic=case.arithmetic, ranks=ranks, weights="auto")
    moe = model.layers[-1].mlp
    assert isinstance(moe, MoE) and (moe.is_wide or not case.has_equal_experts)
    stepper = Stepper(WithDrafts(model))  # type: ignore[arg-type]
    return stepper.run(random_tokens(NUM_TOKENS, case.config.vocab_size), CHUNKS), stepper.cache


def compute_second_share(directory: Path, join: Join) -> None:
    ranks = join()
    for name, case in CASES.items():
        _, cache = compute(directory / name, case, ranks)
        torch.save([cache.latent_LNBGW, cache.index_LNBJ], directory / f"{name}.cache")
        dist.barrier()
    time.sleep(60)  # it is ended, it does not end


@dataclass(frozen=True, slots=True)
class Outcome:
    logits: Tensor
    caches: tuple[PagedCache, list[Tensor]]  # of both ranks


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("parallel")
    for name, case in CASES.items():
        write(directory / name, case)
    return directory


@pytest.fixture(scope="module")
def outcomes(directory: Path) -> dict[str, Outcome]:
    """Every case computed by two processes, this one and a follower."""
    outcomes = {}
    with Followers(compute_second_share, directory, 2, "cpu") as followers:
        ranks = followers.join()
        try:
            for name, case in CASES.items():
                logits, cache = compute(directory / name, case, ranks)
                dist.barrier()
                outcomes[name] = Outcome(logits, (cache, torch.load(directory / f"{name}.cache")))
        finally:
            dist.destroy_process_group()
    return outcomes


@pytest.mark.parametrize("name", CASES)
def test_two_processes_give_the_logits_of_one(name: str, directory: Path, outcomes: dict[str, Outcome]) -> None:
    right, _ = compute(directory / name, CASES[name], ALONE)
    got = outcomes[name].logits
    assert got.shape == right.shape and float(right.abs().max()) > 0.5
    tolerance = TOLERANCE if CASES[name].dtype == torch.float32 else 0.05 * float(right.abs().max())
    assert float((got - right).abs().max()) < tolerance


@pytest.mark.parametrize("name", CASES)
def test_both_processes_hold_the_same_bits(name: str, outcomes: dict[str, Outcome]) -> None:
    """From which both choose tokens and experts. Of two latent groups each has the one that its heads read."""
    cache, (latents, index_keys) = outcomes[name].caches
    assert torch.equal(cache.index_LNBJ.nan_to_num(), index_keys.nan_to_num())
    same = torch.equal(cache.latent_LNBGW.nan_to_num(), latents.nan_to_num())
    assert same == (CASES[name].config.num_latent_groups == 1)
    assert latents.shape[3] == 1


@pytest.mark.parametrize("name", ["stored in FP8", "stored in int8", "as released"])
def test_a_part_is_what_the_whole_has_there(name: str, directory: Path) -> None:
    with open_checkpoint(directory / name) as checkpoint:
        names = [f"model.layers.1.self_attn.{part}_proj.weight" for part in ("q_b", "kv_b", "o")]
        names += [f"model.layers.0.mlp.{part}_proj.weight" for part in ("gate", "down")]
        for tensor in [*names, "model.layers.1.mlp.shared_experts.up_proj.weight", "model.embed_tokens.weight"]:
            whole = checkpoint.read(tensor, torch.float32)
            parts = [part_of(tensor, checkpoint.shape(tensor), rank, 2) for rank in (0, 1)]
            assert parts[0] is not None and parts[1] is not None and parts[0].stop == parts[1].start
            read = [checkpoint.read(tensor, torch.float32, part) for part in parts]
            assert torch.equal(torch.cat(read, parts[0].dim), whole), tensor


@pytest.mark.parametrize(("heads", "groups", "size"), [(16, 1, 4), (16, 2, 8), (16, 4, 2), (12, 4, 4), (6, 3, 3)])
def test_every_head_reads_its_own_latent_group(heads: int, groups: int, size: int) -> None:
    config = replace(GROUPED, num_attention_heads=heads, num_latent_groups=groups)
    for rank in range(size):
        ranks = Ranks(rank, size)
        share, own = ranks.share(config), ranks.groups_of(config)
        for local, head in enumerate(ranks.range_of(heads)):
            group = local * share.num_latent_groups // share.num_attention_heads
            assert own[group] == head * groups // heads


@pytest.mark.parametrize(
    ("config", "size", "told"),
    [
        (replace(GROUPED, num_attention_heads=9), 2, "num_attention_heads = 9 cannot be divided among 2 processes"),
        (GROUPED, 2, "num_latent_groups = 3 cannot be divided among 2 processes"),
        (replace(TWO_GROUPS, vocab_size=255), 2, "vocab_size = 255 cannot"),
        (replace(TWO_GROUPS, n_routed_experts=9, n_group=1), 2, "n_routed_experts = 9 cannot"),
        (replace(TWO_GROUPS, moe_intermediate_size=15, n_shared_experts=1), 2, "shared_intermediate_size = 15 cannot"),
        (replace(RELEASED_LIKE, intermediate_size=63), 2, "intermediate_size = 63 cannot"),
        (RELEASED_LIKE, 3, "num_attention_heads = 4 cannot be divided among 3 processes"),
    ],
)
def test_what_cannot_be_divided_is_named(config: ModelConfig, size: int, told: str) -> None:
    check_divisible(config, 1)
    with pytest.raises(ValueError, match=told):
        check_divisible(config, size)


def test_groups_of_fp8_products_stay_whole() -> None:
    check_divisible(WHOLE_BLOCKS, 2, in_fp8=True)
    check_divisible(PARTIAL_BLOCKS, 2)
    with pytest.raises(ValueError, match=r"num_attention_heads \* qk_head_dim = 288 .* in groups of 128"):
        check_divisible(PARTIAL_BLOCKS, 2, in_fp8=True)


def test_serve_refuses_before_it_starts_anything(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["serve", "--model", str(directory / "as released"), "--processes"]
    assert main([*arguments, "3"]) == 1
    assert capsys.readouterr().err == "inference: num_attention_heads = 4 cannot be divided among 3 processes\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_serve_says_that_there_is_no_card(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--model", str(directory / "as released"), "--device", "cuda"]) == 1
    assert capsys.readouterr().err == "inference: --device cuda: PyTorch finds no CUDA device\n"


def test_a_call_that_not_all_could_compute_is_the_last(checkpoint: Path) -> None:
    """Not the end of one request: the others wait somewhere in the model."""
    engine = load(ServeSettings(checkpoint, dtype="float32", num_blocks=8), lambda stage: None).engine
    engine.model = LeadingModel(engine.model, ALONE)  # nobody follows
    engine.add(GenerationRequest("a", (1, 2, 3), SamplingParams(max_tokens=4)))
    for told in ("lost each other: ", "have lost each other"):
        with pytest.raises(ModelLost, match=told):
            engine.step()


@dataclass(frozen=True, slots=True)
class Served:
    worker: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def follower(self) -> int:
        found = re.search(r"process 1 of 2 has pid (\d+)", self.log.read_text())
        assert found is not None
        return int(found[1])

    def num_processes(self) -> int:
        """Of the worker's session, those that have ended and wait for their parent not counted."""
        states = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
        return sum(state[3] == str(self.worker.pid) and state[0] != "Z" for state in states)


@pytest.fixture(scope="module")
def checkpoint(directory: Path) -> Path:
    """One that can be asked in words, and drafts."""
    path = directory / "asked"
    write(path, Case(replace(RELEASED_LIKE, vocab_size=TINY_VOCAB, index_topk=64, num_nextn_predict_layers=1)))
    write_tokenizer(path)
    return path


@pytest.fixture
def served(checkpoint: Path, tmp_path: Path) -> Iterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "inference", "serve", "--model", str(checkpoint), "--port", str(port)]
    command += ["--processes", "2", "--dtype", "float32", "--num-blocks", "32", "--grace-s", "0.5"]
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            command, stderr=stderr, start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        ) as worker,
    ):
        served = Served(worker, f"http://127.0.0.1:{port}", log)
        try:
            wait_ready(served)
            yield served
        finally:
            worker.kill()


def wait_ready(served: Served) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert time.monotonic() < deadline and served.worker.poll() is None, served.log.read_text()
        try:
            if httpx.get(f"{served.url}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)


def test_two_processes_answer_as_one_and_end_with_the_first(
    served: Served, checkpoint: Path, start_server: ServerStarter
) -> None:
    """The long prompt is above index_topk and takes a block of the cache, which the second asking finds."""
    server = start_server(model=checkpoint)
    both = RunningServer(served.url, server.worker)
    long = " ".join(["the cat sat on the mat and the dog was not there"] * 12)
    for body in (
        {"temperature": 0, "max_tokens": 24},
        {"seed": 5, "n": 3, "max_tokens": 12, "logprobs": True, "top_logprobs": 2},
        {"messages": [{"role": "user", "content": long}], "seed": 3, "max_tokens": 40},
        {"messages": [{"role": "user", "content": long}], "seed": 4, "max_tokens": 8},
        {"seed": 2, "max_tokens": 30, "response_format": {"type": "json_object"}},
    ):
        got, right = (said(post(server, **body).json()) for server in (both, server))
        assert got == right
    assert read_metrics(both)["sonde_spec_draft_tokens_total"] > 0
    served.worker.send_signal(signal.SIGTERM)
    assert served.worker.wait(timeout=30) == 0
    eventually(lambda: served.num_processes() == 0)


def said(answer: dict[str, Any]) -> list[tuple[str, str, list[float]]]:
    """Text, reason and rounded log-probabilities of each choice."""
    return [
        (
            choice["message"]["content"],
            choice["finish_reason"],
            [round(token["logprob"], 3) for token in (choice["logprobs"] or {"content": []})["content"]],
        )
        for choice in answer["choices"]
    ]


def test_the_worker_ends_when_another_process_dies(served: Served) -> None:
    body = {"messages": QUESTION, "max_tokens": 450, "stream": True, "n": 4, "seed": 1}
    with httpx.stream("POST", f"{served.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        os.kill(served.follower, signal.SIGKILL)
        rest = [line for line in lines if line]
    assert "[DONE]" in rest[-1] or '"error"' in rest[-1], "every reader is told"
    assert served.worker.wait(timeout=30) == 1
    assert served.log.read_text().splitlines()[-1] == "inference: process 1 of 2 ended with status -9"
    eventually(lambda: served.num_processes() == 0)


def test_an_idle_worker_ends_when_another_process_dies(served: Served) -> None:
    os.kill(served.follower, signal.SIGKILL)
    assert served.worker.wait(timeout=30) == 1
    assert "process 1 of 2 ended with status -9" in served.log.read_text()


def test_the_others_end_when_the_worker_is_killed(served: Served) -> None:
    assert served.num_processes() >= 2
    served.worker.kill()
    served.worker.wait(timeout=30)
    eventually(lambda: served.num_processes() == 0)
