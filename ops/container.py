"""What containers do once before the processes start: `python -m ops.container prepare | migrate | model`."""

import os
import subprocess
import sys
from pathlib import Path

from ops import postgres, valkey
from ops.data import ROOT, DataDir, data_path
from ops.environment import given
from ops.problem import Problem, exit_with


def prepare() -> None:
    """Secrets, and the addresses that hold them."""
    data = DataDir(data_path())
    data.write_secret("database_url", os.environ.get("DATABASE_URL") or postgres.server_url(data, "postgres", 5432))
    data.write_secret("redis_url", os.environ.get("REDIS_URL") or valkey.server_url(data, "valkey", 6379))


def migrate() -> None:
    """The database and the broker answer, the database can serve us, its tables are up to date."""
    url = given(os.environ, "DATABASE_URL")
    postgres.wait_until_ready(url, timeout_s=120)
    postgres.check(url)
    valkey.wait_until_ready(given(os.environ, "REDIS_URL"), timeout_s=60)
    for command in (["migrate", "--noinput"], ["setup_site"]):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=True)


def model() -> None:
    """The default model, unless that place holds a model already."""
    folder = Path(os.environ["SONDE_MODEL_DIR"])
    if not (folder / "config.json").exists():
        subprocess.run(
            [sys.executable, "-m", "inference", "import-smollm2", "--out", str(folder)], cwd=ROOT, check=True
        )


COMMANDS = {"prepare": prepare, "migrate": migrate, "model": model}


def main() -> int:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in COMMANDS:
        raise Problem(f"{name!r} is not one of {', '.join(COMMANDS)}")
    COMMANDS[name]()
    return 0


if __name__ == "__main__":
    exit_with(main)
