"""The benchmarks' own machinery on a tiny model. No time is asserted."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.bench import peer
from inference.bench.busy import busy_processes
from inference.bench.cases import CASES, Bench
from inference.bench.measure import Row, at_least, at_most, compare, in_turns
from inference.bench.ours import OurSide, settings_of
from inference.bench.report import line
from inference.bench.run import BenchSettings, run
from inference.bench.server import Server
from inference.bench.side import RemoteSide, SideFailed
from inference.bench.texts import Texts
from inference.bench.variants import with_config, with_distinct_experts
from inference.config import ModelConfig
from inference.model import load_model
from inference.model.moe import MoE
from inference.serve import ServeSettings
from inference.smollm2 import CONFIG, PACKAGE, find_gguf


@pytest.fixture(scope="module")
def settings(tiny_checkpoint: Path) -> ServeSettings:
    return ServeSettings(tiny_checkpoint, dtype="float32", threads=1)


@pytest.fixture(scope="module")
def side(settings: ServeSettings) -> Iterator[OurSide]:
    threads = torch.get_num_threads()
    yield OurSide.from_settings(settings_of(settings))
    torch.set_num_threads(threads)


def test_a_table_for_people_and_a_last_line_of_json(
    settings: ServeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(BenchSettings(settings, cases=["second-question"], rounds=2)) == 0
    *text, last = capsys.readouterr().out.splitlines()
    report = json.loads(last)
    (result,) = report["results"]
    assert report["model"] == "tiny" and report["failed"] == {} and report["machine"]["cores"] >= 1
    assert report["sides"]["ours"]["dtype"] == "float32"
    assert "no weights of this model" in report["peer"]
    assert len(result["rounds"]) == len(result["baseline_rounds"]) == 2
    assert result["ratio"] == pytest.approx(result["value"] / result["baseline"])
    assert sum(result["what"] in cells for cells in text) == 1


def test_an_unknown_case_is_named(settings: ServeSettings) -> None:
    with pytest.raises(ValueError, match="--cases prefil: must be one of prefill, decode"):
        run(BenchSettings(settings, cases=["prefil"]))


def test_without_the_peer_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    gguf, reason = peer.find(tmp_path)
    assert gguf is None and "pip install llama-cpp-python==" in reason


def test_sides_take_turns_and_the_first_round_only_warms_up() -> None:
    seen: list[tuple[str, int]] = []

    def measure(name: str, number: int) -> float:
        seen.append((name, number))
        return float(number)

    rounds = in_turns([lambda number: measure("ours", number), lambda number: measure("theirs", number)], 2)
    assert seen == [(name, number) for number in range(3) for name in ("ours", "theirs")]
    assert rounds == [(1.0, 2.0), (1.0, 2.0)]


def test_a_line_has_medians_their_ratio_and_the_verdict() -> None:
    row = compare("decode", "decode", "tokens/s", [90.0, 100.0, 300.0], "it", [80.0, 50.0, 40.0], at_least(2.0))
    assert (row.value, row.baseline, row.ratio, row.is_met) == (100.0, 50.0, 2.0, True)
    assert line(row) == "| decode | tokens/s | 100 | it | 50 | 2 | at least 2, met |"
    alone = compare("decode", "decode", "tokens/s", [90.0], "it", [], at_least(2.0))
    assert alone == Row("decode", "decode", "tokens/s", 90.0, goal=at_least(2.0), rounds=(90.0,))
    assert alone.is_met is None and line(alone) == "| decode | tokens/s | 90 |  |  |  | at least 2 |"
    assert at_most(0.1).is_met(0.1) and not at_most(0.1).is_met(0.11)


def test_ours_counts_what_it_wrote_and_leaves_nothing_behind(side: OurSide, settings: ServeSettings) -> None:
    texts = Texts(settings.model)
    written = side.decode([texts.document(number, 70) for number in range(3)], 5)
    assert written.num_tokens == 15 and written.tokens_per_s > 0
    assert side.prefill(texts.document(4, 200)) > 0
    with pytest.raises(RuntimeError, match="ended early"):
        side.decode([texts.document(0, 500)], 40)


def test_perplexity_is_the_same_read_and_written(side: OurSide, settings: ServeSettings) -> None:
    texts = [Texts(settings.model).document(number, 100) for number in range(2)]
    assert side.perplexity(texts, rows=64) == pytest.approx(side.perplexity(texts, rows=1), rel=1e-4)
    assert side.perplexity(texts, rows=64) == pytest.approx(side.perplexity(texts, rows=33), rel=1e-4)


def test_a_side_in_its_own_process_answers_and_tells_of_its_end(settings: ServeSettings) -> None:
    document = Texts(settings.model).document(1, 40)
    with RemoteSide("ours", settings_of(settings)) as remote:
        assert remote.decode([document], 3).num_tokens == 3
        assert remote.about()["threads"] == 1
        with pytest.raises(SideFailed, match="ours: RuntimeError: a sequence ended early"):
            remote.prefill([1] * 600)
        remote._process.kill()
        with pytest.raises(SideFailed, match="ours ended with status -9"):
            remote.prefill(document)


def test_documents_have_the_length_and_no_common_beginning(tiny_checkpoint: Path) -> None:
    texts = Texts(tiny_checkpoint)
    documents = [texts.document(number, 300) for number in range(12)]
    assert {len(document) for document in documents} == {300}
    assert len({document[:64] for document in documents}) == 12
    assert documents[3] == Texts(tiny_checkpoint).document(3, 300)
    assert len(texts.held_out(100)) >= 6


def test_the_deep_document_ends_one_token_into_a_block(settings: ServeSettings) -> None:
    assert Bench(settings, rounds=1).deep() == 385  # of a context of 512; of 8192 it is 8001


def test_a_variant_differs_in_its_configuration_only(tiny_checkpoint: Path) -> None:
    with with_config(tiny_checkpoint, index_topk=16) as variant:
        assert ModelConfig.from_file(variant).index_topk == 16
        assert {file.name for file in variant.iterdir()} == {file.name for file in tiny_checkpoint.iterdir()}
    assert not variant.exists() and ModelConfig.from_file(tiny_checkpoint).index_topk == 64


def test_distinct_experts_cannot_be_merged(tiny_checkpoint: Path, tmp_path: Path) -> None:
    model = tmp_path / "replicas"
    shutil.copytree(tiny_checkpoint, model)
    for file in model.glob("*.safetensors"):
        tensors = load_file(file)
        replicas = {
            name: tensors[name.replace(f".experts.{e}.", ".experts.0.")] for name in tensors for e in _expert(name)
        }
        save_file({name: replicas.get(name, tensor).clone() for name, tensor in tensors.items()}, file)
    assert _num_distinct(model) == 1
    with with_distinct_experts(model) as distinct:
        assert _num_distinct(distinct) == 8
        assert _num_distinct(model) == 1


def _expert(name: str) -> list[str]:
    return name.split(".experts.")[1].split(".")[:1] if ".experts." in name else []


def _num_distinct(model: Path) -> int:
    mlp = load_model(model, "cpu", torch.float32).layers[1].mlp
    assert isinstance(mlp, MoE)
    return mlp.num_distinct


def test_busy_processes_end_with_their_block() -> None:
    with busy_processes(1):
        pass


def test_the_server_starts_streams_and_stops(settings: ServeSettings) -> None:
    with Server(settings) as server:
        assert server.start_s > 0
        written = server.stream(Texts(settings.model).document(1, 60), 24)
        assert 0 < written.num_tokens < 24 and written.seconds > 0
    assert server._process.returncode == 0


def test_every_case_has_a_place_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert not [name for name in CASES if f"`{name}`" not in page]


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("llama_cpp", PACKAGE)),
    reason="llama-cpp-python or the weights of SmolLM2 are not installed",
)
def test_the_peer_reads_and_writes() -> None:
    with peer.start(find_gguf(), 1, 2, repack=False) as remote:
        assert remote.decode([[1, 4, 7], [1, 5, 8]], 3).num_tokens == 6
        assert remote.prefill([1, 4, 7, 9]) > 0
        assert remote.about()["num_sequences"] == 2
