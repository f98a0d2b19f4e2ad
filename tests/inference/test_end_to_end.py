"""The script that tries a checkpoint on a card, tried on a CPU."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inference.bench.gpu import end_to_end
from inference.checkpoint import save_checkpoint
from inference.tokenizer import Tokenizer
from tests.inference.conftest import TINY_VOCAB, write_tokenizer
from tests.inference.plain_reference import random_tensors
from tests.inference.test_parallel import RELEASED_LIKE


def test_it_finds_equal_what_is_equal_and_measures(tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--device", "cpu", "--threads", "1", "--prompts", "5,90", "--prefill", "100", "--batches", "1,3"]
    options += ["--paths", "forward,graphs", "--parts", "decode,prefill,agreement,parity,collectives"]
    assert end_to_end.main(["--model", str(tiny_checkpoint), "--json", str(out), *options]) == 0
    found = json.loads(out.read_text())
    assert [parity["num_equal"] for parity in found["parity"]] == [end_to_end.ANSWER_TOKENS] * 4
    assert all(parity["largest_difference"] == 0 and parity["smallest_margin"] > 0 for parity in found["parity"])
    batches = [(speed["path"], speed["what"], speed["batch"]) for speed in found["speed"]]
    decodes = [("forward", 1), ("forward", 3), ("graphs", 1), ("graphs replay", 1), ("graphs", 3), ("graphs replay", 3)]
    assert batches == [*((path, "decode", batch) for path, batch in decodes), ("forward", "prefill", 1)]
    assert found["agreement"][0]["forward"] == [end_to_end.ANSWER_TOKENS] * 2
    assert all(speed["tokens_per_s"] > 0 for speed in found["speed"])
    assert "cpu:gloo" in found["collectives"][0]["backends"] and not found["failures"]


def test_a_part_that_fails_is_told_and_the_others_go_on(tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--device", "cpu", "--threads", "1", "--parts", "prefill,decode", "--prefill", "9999999"]
    options += ["--batches", "1", "--paths", "forward,graphs"]
    assert end_to_end.main(["--model", str(tiny_checkpoint), "--json", str(out), *options]) == 1
    found = json.loads(out.read_text())
    assert len(found["failures"]) == 1 and [speed["what"] for speed in found["speed"]] == ["decode"] * 3


def test_it_finds_where_two_sides_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side is given other weights."""
    config = replace(RELEASED_LIKE, vocab_size=TINY_VOCAB)
    paths = [tmp_path / "left", tmp_path / "right"]
    for path, factor in zip(paths, (1.0, 1.5), strict=True):
        path.mkdir()
        tensors = random_tensors(config)
        tensors["lm_head.weight"] = tensors["lm_head.weight"] * torch.linspace(1.0, factor, TINY_VOCAB)[:, None]
        save_checkpoint(path, config, tensors, torch.float32)
    write_tokenizer(paths[0])
    load, turns = end_to_end.load_model, iter(paths)
    monkeypatch.setattr(end_to_end, "load_model", lambda _, *options: load(next(turns), *options))
    parities = list(end_to_end.check_parity(paths[0], Tokenizer(paths[0]), "cpu", [20]))
    assert [parity.path for parity in parities] == ["forward", "graphs"]
    for parity in parities:
        assert parity.num_equal < parity.num_tokens and parity.margin_where_they_part is not None
        assert parity.largest_difference > 0.1


def test_no_two_prompts_begin_alike(tokenizer: Tokenizer) -> None:
    prompts = end_to_end.prompts_of(tokenizer, [40] * 20)
    assert len({prompt[:16] for prompt in prompts}) == 20 and {len(prompt) for prompt in prompts} == {40}


def test_a_part_that_takes_too_long_is_left(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(*_: object) -> list[object]:
        time.sleep(60)
        return []

    monkeypatch.setattr(end_to_end, "measure_prefill", wait)
    out = tmp_path / "out.json"
    options = ["--device", "cpu", "--threads", "1", "--parts", "prefill,collectives", "--part-seconds", "1"]
    started = time.monotonic()
    assert end_to_end.main(["--model", str(tiny_checkpoint), "--json", str(out), *options]) == 1
    assert time.monotonic() - started < 50
    found = json.loads(out.read_text())
    assert "TimeoutError" in found["failures"][0]
