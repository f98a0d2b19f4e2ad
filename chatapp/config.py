"""The site's configuration: read once at start through typed readers into one frozen object.

Knows the environment and files named by it; knows no Django. A bad value or an unknown SONDE_ name stops the start.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

# Names that other processes of ours read (ops/, inference/): known here so that a typo still stops the start.
_READ_ELSEWHERE = frozenset({"SONDE_DATA", "SONDE_TORCH_INDEX"})


# Enough for every reader to be asked: the needed settings, with values that pass.
_ANYTHING = {"SONDE_SECRET_KEY": "-", "DATABASE_URL": "postgresql:///sonde", "REDIS_URL": "redis:///0"}


class ConfigError(ValueError):
    """A setting that cannot be used; names it, its value (unless secret) and what is allowed."""


@dataclass(frozen=True, slots=True)
class Config:
    host: str
    port: int
    allowed_hosts: tuple[str, ...]
    origins: tuple[str, ...]
    https: bool
    debug: bool
    secret_key: str
    database_url: str
    redis_url: str
    inference_url: str
    inference_key: str
    model_dir: Path


class Reader:
    """Typed readers over one environment; remembers the names it was asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.known: set[str] = set(_READ_ELSEWHERE)

    def text(self, name: str, default: str) -> str:
        self.known.add(name)
        return self._environ.get(name, default)

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        raw = self.text(name, str(default))
        if not raw.lstrip("-").isdigit() or not low <= int(raw) <= high:
            raise ConfigError(f"{name}={raw!r} must be a whole number from {low} to {high}")
        return int(raw)

    def flag(self, name: str, default: bool) -> bool:
        raw = self.text(name, "1" if default else "0")
        if raw not in {"0", "1"}:
            raise ConfigError(f"{name}={raw!r} must be 0 or 1")
        return raw == "1"

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word for word in self.text(name, "").replace(",", " ").split() if word)

    def secret(self, name: str, default: str | None = None) -> str:
        """NAME, or the content of the file that NAME_FILE names. Raises ConfigError where neither is given."""
        path = self.text(f"{name}_FILE", "")
        value = self.text(name, "")
        if path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{name}_FILE={path!r} cannot be read: {error.strerror}") from error
        if value:
            return value
        if default is None:
            raise ConfigError(f"{name} or {name}_FILE is missing; `make run` generates it, other set-ups must give it")
        return default

    def url(self, name: str, default: str, schemes: tuple[str, ...]) -> str:
        raw = self.secret(name, default)
        if urlsplit(raw).scheme not in schemes:
            raise ConfigError(f"{name} must start with one of {', '.join(scheme + '://' for scheme in schemes)}")
        return raw

    def refuse_unknown(self) -> None:
        unknown = sorted(n for n in self._environ if n.startswith("SONDE_") and n not in self.known)
        if unknown:
            raise ConfigError(f"unknown setting {unknown[0]}; the known ones are {', '.join(sorted(self.known))}")


def read_config(environ: Mapping[str, str] = os.environ) -> Config:
    """The whole configuration. Raises ConfigError, naming the setting."""
    read = Reader(environ)
    config = _read(read)
    read.refuse_unknown()
    return config


def known_names() -> frozenset[str]:
    """Every setting there is, for the table in the README."""
    read = Reader(_ANYTHING)
    _read(read)
    return frozenset(read.known)


def _read(read: Reader) -> Config:
    port = read.integer("SONDE_PORT", 8300, 1, 65535)
    host = read.text("SONDE_HOST", "127.0.0.1")
    return Config(
        host=host,
        port=port,
        allowed_hosts=read.words("SONDE_ALLOWED_HOSTS"),
        origins=read.words("SONDE_ORIGINS"),
        https=read.flag("SONDE_HTTPS", False),
        debug=read.flag("SONDE_DEBUG", False),
        secret_key=read.secret("SONDE_SECRET_KEY"),
        database_url=read.url("DATABASE_URL", "", ("postgres", "postgresql")),
        redis_url=read.url("REDIS_URL", "", ("redis", "rediss", "unix")),
        inference_url=read.url("SONDE_INFERENCE_URL", "http://127.0.0.1:8301/v1", ("http", "https")),
        inference_key=read.secret("SONDE_INFERENCE_KEY", ""),
        model_dir=Path(read.text("SONDE_MODEL_DIR", "var/models/smollm2-135m-instruct")).resolve(),
    )
