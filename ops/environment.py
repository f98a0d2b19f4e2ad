"""What the processes of one data directory are told: addresses, ports, where the secrets lie."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops import postgres, valkey
from ops.data import ROOT, DataDir
from ops.problem import Problem

# A setting, the secret it is by default, and the setting that points elsewhere, where our key has no business.
KEYS = {
    "SONDE_SECRET_KEY": ("secret_key", ""),
    "SONDE_INFERENCE_KEY": ("inference_key", "SONDE_INFERENCE_URL"),
    "SONDE_EMBEDDINGS_KEY": ("embeddings_key", "SONDE_EMBEDDINGS_URL"),
}
DEFAULT_MODEL = ROOT / "var" / "models" / "smollm2-135m-instruct"


@dataclass(frozen=True, slots=True)
class Ports:
    web: int
    postgres: int
    valkey: int
    inference: int
    encoder: int


def given(environ: Mapping[str, str], name: str) -> str:
    """A setting's value, also when it is given as NAME_FILE; empty where it is not given."""
    path = environ.get(f"{name}_FILE", "")
    if not path:
        return environ.get(name, "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Problem(f"{name}_FILE={path} cannot be read: {error.strerror}") from error


def without_settings(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment less every setting of ours: what a test's own stack starts from."""
    ours = ("SONDE_", "DATABASE_URL", "REDIS_URL")
    return {name: value for name, value in environ.items() if not name.startswith(ours)}


def choose_ports(environ: Mapping[str, str]) -> Ports:
    """The public port as configured, free ones for the rest."""
    raw = environ.get("SONDE_PORT", "8300")
    if not raw.isdigit() or not 1 <= int(raw) <= 65535:
        raise Problem(f"SONDE_PORT={raw!r} must be a whole number from 1 to 65535")
    return Ports(int(raw), *free_ports(4))


def free_ports(count: int) -> list[int]:
    """Distinct free ports of 127.0.0.1; all are held open until the last is found."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def environment(data: DataDir, ports: Ports, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The settings for every process of the site: what was given, completed by what is embedded. Writes nothing."""
    mine = dict(environ)
    mine["SONDE_DATA"] = str(data.path)
    mine["SONDE_HOST"] = environ.get("SONDE_HOST", "127.0.0.1")
    mine["SONDE_PORT"] = str(ports.web)
    mine["PYTHONUNBUFFERED"] = "1"
    for name in ("DATABASE_URL", "REDIS_URL"):
        if not given(environ, name):
            mine[f"{name}_FILE"] = str(data.secret_path(name.lower()))
    for name, (secret, elsewhere) in KEYS.items():
        if not given(environ, name) and elsewhere not in environ:
            mine[f"{name}_FILE"] = str(data.secret_path(secret))
    mine.setdefault("SONDE_INFERENCE_URL", f"http://127.0.0.1:{ports.inference}/v1")
    mine.setdefault("SONDE_EMBEDDINGS_URL", f"http://127.0.0.1:{ports.encoder}/v1")
    mine.setdefault("SONDE_MODEL_DIR", str(DEFAULT_MODEL))
    return mine


def publish(data: DataDir, ports: Ports, env: Mapping[str, str]) -> None:
    """Write down where the embedded servers are, for the processes and for commands beside them. Needs the lock."""
    assert data.held
    data.write_secret("database_url", postgres.server_url(data, "127.0.0.1", ports.postgres))
    data.write_secret("redis_url", valkey.server_url(data, "127.0.0.1", ports.valkey))
    ours = {name: value for name, value in env.items() if name not in without_settings(env)}
    data.write_secret("environment", json.dumps(ours))


def running_environment(data: DataDir, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment that the running processes of this directory were given, for a command beside them."""
    path = data.secret_path("environment")
    if not path.exists():
        raise Problem(f"nothing has run in SONDE_DATA={data.path} yet: type make run first")
    ours: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return {**environ, **ours}
