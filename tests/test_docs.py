"""What the documents claim and a machine can check: settings, links, folders, the contract's names."""

import re
from pathlib import Path

import pytest

from chatapp.config import ConfigError, known_names, read_config

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

NEEDED = {
    "SONDE_SECRET_KEY": "x" * 50,
    "DATABASE_URL": "postgresql://sonde@localhost/sonde",
    "REDIS_URL": "redis://localhost:6379/0",
}


def documented_settings() -> set[str]:
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Configuration")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([A-Z0-9_]+)`", table, flags=re.MULTILINE))


def test_every_setting_has_a_line_in_the_readme_and_every_line_a_setting() -> None:
    assert documented_settings() == {name for name in known_names() if not name.endswith("_FILE")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (document.parent / target).exists()]


def test_a_setting_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    environ = {name: value for name, value in NEEDED.items() if name != "SONDE_SECRET_KEY"}
    assert read_config({**environ, "SONDE_SECRET_KEY_FILE": str(tmp_path / "key")}).secret_key == "from a file"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"SONDE_PORT": "0"}, "SONDE_PORT='0' must be a whole number from 1 to 65535"),
        ({"SONDE_PORT": "many"}, "SONDE_PORT='many'"),
        ({"SONDE_HTTPS": "yes"}, "SONDE_HTTPS='yes' must be 0 or 1"),
        ({"SONDE_WEB_SEARCH": "off"}, "SONDE_WEB_SEARCH='off' must be 0 or 1"),
        ({"SONDE_SEARXNG_URL": "searxng:8080"}, "SONDE_SEARXNG_URL='searxng:8080' must be an address"),
        ({"SONDE_PROT": "8300"}, "unknown setting SONDE_PROT"),
        ({"REDIS_URL": "amqp://localhost"}, "REDIS_URL must start with one of redis://"),
        ({"SONDE_SECRET_KEY_FILE": "/nowhere/key"}, "SONDE_SECRET_KEY_FILE='/nowhere/key' cannot be read"),
        ({"SONDE_SECRET_KEY": ""}, "SONDE_SECRET_KEY or SONDE_SECRET_KEY_FILE is missing"),
    ],
)
def test_a_bad_setting_stops_the_start_and_is_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(named)):
        read_config({**NEEDED, **change})
