"""lm-eval's `local-completions` against the worker: the requests it makes, and itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference.tokenizer import Tokenizer
from tests.inference.conftest import RunningServer

PIECES = ["the cat", " sat on", " the mat"]


def complete(server: RunningServer, **body: Any) -> list[dict[str, Any]]:
    response = httpx.post(f"{server.url}/v1/completions", json={"model": "tiny", "seed": 1234} | body, timeout=60)
    assert response.status_code == 200, response.text
    return sorted(response.json()["choices"], key=lambda choice: choice["index"])


def test_every_token_of_a_scored_text_has_its_logprob(server: RunningServer, tiny_checkpoint: Path) -> None:
    """It drops the one sampled token from the end and counts on every other, an end token or half a character too."""
    tokenizer = Tokenizer(tiny_checkpoint)
    seen = set()
    for length in range(1, 60):
        prompt = [(37 * i + length) % 300 + 4 for i in range(length)]
        args = {"prompt": [prompt], "temperature": 0, "max_tokens": 1, "logprobs": 1, "echo": True}
        (choice,) = complete(server, **args)
        logprobs = choice["logprobs"]
        assert len(logprobs["token_logprobs"]) == len(prompt) + 1
        assert {len(values) for values in logprobs.values()} == {len(prompt) + 1}
        greedy = logprobs["token_logprobs"][-1] == max(logprobs["top_logprobs"][-1].values())
        assert greedy, "the sampled token is the best one, as temperature 0 says"
        seen.add((choice["finish_reason"], choice["text"] == tokenizer.decode(prompt)))
    assert ("stop", True) in seen or ("length", True) in seen, "an end without text was among them"


def test_a_token_sampled_from_a_prefix_has_the_logprob_of_a_scored_text(
    server: RunningServer, tiny_checkpoint: Path
) -> None:
    tokens = Tokenizer(tiny_checkpoint).encode("".join(PIECES))
    args: dict[str, Any] = {"temperature": 0, "max_tokens": 1, "logprobs": 1, "echo": True}
    whole, part = complete(server, prompt=[tokens, tokens[:-1]], **args)
    assert part["logprobs"]["token_logprobs"][1:-1] == pytest.approx(
        whole["logprobs"]["token_logprobs"][1:-2], abs=1e-4
    )


def test_generation_until_a_word(server: RunningServer, tiny_checkpoint: Path) -> None:
    tokens = Tokenizer(tiny_checkpoint).encode("the cat")
    choices = complete(server, prompt=[tokens, tokens], max_tokens=24, temperature=0, stop=["\n", "."])
    assert [choice["index"] for choice in choices] == [0, 1] and choices[0]["text"] == choices[1]["text"]


def test_lm_eval_itself(server: RunningServer, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Its own command line with a task of three lines; transformers must read the tokenizer alone."""
    tokenizer_path = tmp_path / "tokenizer"
    tokenizer_path.mkdir()
    for file in tiny_checkpoint.glob("tokenizer*.json"):
        shutil.copy(file, tokenizer_path)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}
    (tokenizer_path / "tokenizer_config.json").write_text(json.dumps(config))
    docs = [{"q": PIECES[0], "choices": PIECES, "gold": i} for i in range(3)]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    (tmp_path / "tasks").mkdir()
    task = {
        "task": "sonde_choose",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "docs.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{q}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{gold}}",
        "target_delimiter": "",
    }
    (tmp_path / "tasks" / "choose.yaml").write_text(json.dumps(task))
    model_args = f"model=tiny,base_url={server.url}/v1/completions,tokenizer={tokenizer_path},max_length=512"
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "local-completions", "--model_args", model_args]
    command += ["--tasks", "sonde_choose", "--include_path", str(tmp_path / "tasks"), "--output_path", str(tmp_path)]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(command, env=os.environ | offline, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = tmp_path.rglob("results_*.json")
    assert json.loads(results.read_text())["results"]["sonde_choose"]["acc,none"] == pytest.approx(1 / 3)
