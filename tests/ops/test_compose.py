"""docker-compose.yml runs what the supervisor runs: both come from the table of processes."""

from pathlib import Path
from typing import Any

import yaml

from ops import compose
from ops.data import DataDir
from ops.environment import without_settings
from ops.processes import PROCESSES
from ops.supervisor import Stack

ARCHITECTURE = {"web", "runner", "worker-parse", "worker-io", "beat", "inference", "encoder", "valkey", "postgres"}


def services() -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(compose.FILE.read_text(encoding="utf-8"))
    return loaded["services"]


def test_file_is_the_one_that_the_table_makes() -> None:
    assert compose.FILE.read_text(encoding="utf-8") == compose.compose_text(), "type make compose"


def test_every_process_of_the_architecture_is_a_service() -> None:
    assert {process.name for process in PROCESSES} == ARCHITECTURE
    assert ARCHITECTURE <= services().keys()


def test_inference_has_a_profile_for_cpu_and_one_for_gpu() -> None:
    cpu, gpu = services()["inference"], services()["inference-gpu"]
    assert (cpu["profiles"], gpu["profiles"]) == (["cpu"], ["gpu"])
    assert "cuda" in gpu["command"] and "cpu" in cpu["command"]
    assert gpu["networks"]["default"]["aliases"] == ["inference"]


def test_only_the_page_is_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published == {"web": ["${SONDE_BIND:-127.0.0.1}:${SONDE_PORT:-8300}:8300"]}


def test_engine_of_the_team_answers_in_json_inside_the_network_alone() -> None:
    engine = services()["searxng"]
    source, target, mode = engine["volumes"][0].split(":")
    assert (target, mode) == ("/etc/searxng/settings.yml", "ro")
    written = yaml.safe_load((compose.ROOT / source).read_text(encoding="utf-8"))
    assert "json" in written["search"]["formats"] and written["use_default_settings"] is True
    assert "ports" not in engine
    for name in ("web", "runner", "worker-io"):
        assert services()[name]["environment"]["SONDE_SEARXNG_URL"] == "http://searxng:8080"


def test_any_setting_can_come_from_a_file_of_the_team() -> None:
    ours = [service for name, service in services().items() if name != "searxng"]
    assert all(service["env_file"] == ["${SONDE_ENV_FILE:-ops/none.env}"] for service in ours)
    lines = (compose.ROOT / "ops/none.env").read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("#") for line in lines), "it stands for no file and sets nothing"


def test_everything_a_service_waits_for_exists() -> None:
    known = services()
    for service in known.values():
        assert service.get("depends_on", {}).keys() <= known.keys()


def test_supervisor_has_a_program_for_every_process(tmp_path: Path) -> None:
    stack = Stack(DataDir(tmp_path), without_settings())
    assert [process.name for process in stack.processes] == [process.name for process in PROCESSES]


def test_given_servers_are_not_started(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://sonde@db.example/sonde")
    environ = {**without_settings(), "REDIS_URL": "redis://broker.example", "DATABASE_URL_FILE": str(tmp_path / "url")}
    stack = Stack(DataDir(tmp_path / "data"), environ)
    assert {process.name for process in stack.processes} == ARCHITECTURE - {"postgres", "valkey"}
    assert stack.env["REDIS_URL"] == "redis://broker.example"
    assert stack.env["DATABASE_URL_FILE"] == str(tmp_path / "url")
