"""The site's configuration: read once at start through typed readers into one frozen object.

Knows the environment and files named by it; knows no Django. A bad value or an unknown SONDE_ name stops the start.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
Storage = Literal["disk", "s3"]
Newcomers = Literal["nobody", "guest", "member"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})  # no wire that anybody could listen on

# Names that other processes of ours read (ops/, inference/): known here so that a typo still stops the start.
_READ_ELSEWHERE = frozenset({"SONDE_TORCH_INDEX"})


# Enough for every reader to be asked: the needed settings, with values that pass.
_ANYTHING = {"SONDE_SECRET_KEY": "-", "DATABASE_URL": "postgresql:///sonde", "REDIS_URL": "redis:///0"}


class ConfigError(ValueError):
    """A setting that cannot be used; names it, its value (unless secret) and what is allowed."""


@dataclass(frozen=True, slots=True)
class S3:
    """A bucket for uploaded files; empty strings leave the choice to boto3's own configuration."""

    bucket: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class Oidc:
    """A provider of OpenID Connect that people may sign in with."""

    issuer: str
    client_id: str
    client_secret: str
    name: str  # on the button
    newcomers: Newcomers  # what becomes of people who have no account here


@dataclass(frozen=True, slots=True)
class Ldap:
    """A directory that is asked about the passwords of people who have none here."""

    url: str
    ca_file: str
    bind_dn: str
    bind_password: str
    base: str
    filter: str  # {email} in it is what was typed, escaped
    newcomers: Newcomers


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
    embeddings_url: str
    embeddings_key: str
    embeddings_model: str
    web_search: bool
    searxng_url: str
    data_dir: Path
    upload_max_mb: int
    upload_max_pages: int
    uploads_per_message: int
    upload_quota_mb: int
    parse_seconds: int
    parse_memory_mb: int
    storage: Storage
    s3: S3 | None  # with storage "s3"
    public_links: bool
    oidc: Oidc | None  # with an issuer
    ldap: Ldap | None  # with a URL


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

    def storage(self, name: str) -> Storage:
        raw = self.text(name, "disk")
        for known in get_args(Storage):
            if raw == known:
                return known  # type: ignore[no-any-return]
        raise ConfigError(f"{name}={raw!r} must be one of {', '.join(get_args(Storage))}")

    def newcomers(self, name: str) -> Newcomers:
        raw = self.text(name, "nobody")
        for known in get_args(Newcomers):
            if raw == known:
                return known  # type: ignore[no-any-return]
        raise ConfigError(f"{name}={raw!r} must be one of {', '.join(get_args(Newcomers))}")

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
        embeddings_url=read.url("SONDE_EMBEDDINGS_URL", "http://127.0.0.1:8302/v1", ("http", "https")),
        embeddings_key=read.secret("SONDE_EMBEDDINGS_KEY", ""),
        embeddings_model=read.text("SONDE_EMBEDDINGS_MODEL", "use-multilingual-v3"),
        web_search=read.flag("SONDE_WEB_SEARCH", True),
        searxng_url=_read_searxng(read),
        model_dir=Path(read.text("SONDE_MODEL_DIR", "var/models/smollm2-135m-instruct")).resolve(),
        data_dir=(ROOT / read.text("SONDE_DATA", "var/data")).resolve(),
        # What a PDF of scans weighs; parsers and the honesty meter are tried up to it.
        upload_max_mb=read.integer("SONDE_UPLOAD_MAX_MB", 200, 1, 10_000),
        # OCR takes about 2 s a page: more would not end within a person's patience.
        upload_max_pages=read.integer("SONDE_UPLOAD_MAX_PAGES", 2000, 1, 100_000),
        uploads_per_message=read.integer("SONDE_UPLOADS_PER_MESSAGE", 50, 1, 200),
        upload_quota_mb=read.integer("SONDE_UPLOAD_QUOTA_MB", 10_240, 1, 10_000_000),
        parse_seconds=read.integer("SONDE_PARSE_SECONDS", 600, 10, 3000),  # the broker sends again after an hour
        parse_memory_mb=read.integer("SONDE_PARSE_MEMORY_MB", 2048, 256, 65_536),
        storage=read.storage("SONDE_STORAGE"),
        s3=_read_s3(read),
        public_links=read.flag("SONDE_PUBLIC_LINKS", True),
        oidc=_read_oidc(read),
        ldap=_read_ldap(read),
    )


def _read_searxng(read: Reader) -> str:
    raw = read.text("SONDE_SEARXNG_URL", "")
    parts = urlsplit(raw)
    if raw and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query):
        raise ConfigError(f"SONDE_SEARXNG_URL={raw!r} must be an address as http://searxng:8080")
    return raw.rstrip("/")


def _read_s3(read: Reader) -> S3 | None:
    s3 = S3(
        bucket=read.text("SONDE_S3_BUCKET", ""),
        endpoint=read.text("SONDE_S3_ENDPOINT", ""),
        region=read.text("SONDE_S3_REGION", ""),
        access_key=read.secret("SONDE_S3_KEY", ""),
        secret_key=read.secret("SONDE_S3_SECRET", ""),
    )
    if read.text("SONDE_STORAGE", "disk") != "s3":
        return None
    if not s3.bucket:
        raise ConfigError("SONDE_S3_BUCKET is missing; SONDE_STORAGE=s3 needs a bucket")
    return s3


def _read_oidc(read: Reader) -> Oidc | None:
    oidc = Oidc(
        issuer=read.text("SONDE_OIDC_ISSUER", "").rstrip("/"),
        client_id=read.text("SONDE_OIDC_CLIENT_ID", ""),
        client_secret=read.secret("SONDE_OIDC_CLIENT_SECRET", ""),
        name=read.text("SONDE_OIDC_NAME", ""),
        newcomers=read.newcomers("SONDE_OIDC_NEWCOMERS"),
    )
    if not oidc.issuer:
        return None
    parts = urlsplit(oidc.issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ConfigError(f"SONDE_OIDC_ISSUER={oidc.issuer!r} must start with https://")
    if not oidc.client_id:
        raise ConfigError("SONDE_OIDC_CLIENT_ID is missing; SONDE_OIDC_ISSUER needs the id that the provider gave")
    return oidc


def _read_ldap(read: Reader) -> Ldap | None:
    ldap = Ldap(
        url=read.text("SONDE_LDAP_URL", ""),
        ca_file=read.text("SONDE_LDAP_CA", ""),
        bind_dn=read.text("SONDE_LDAP_BIND_DN", ""),
        bind_password=read.secret("SONDE_LDAP_BIND_PASSWORD", ""),
        base=read.text("SONDE_LDAP_BASE", ""),
        filter=read.text("SONDE_LDAP_FILTER", "(mail={email})"),
        newcomers=read.newcomers("SONDE_LDAP_NEWCOMERS"),
    )
    if not ldap.url:
        return None
    if urlsplit(ldap.url).scheme not in ("ldap", "ldaps") or not urlsplit(ldap.url).hostname:
        raise ConfigError(f"SONDE_LDAP_URL={ldap.url!r} must be ldaps://host or ldap://host (with StartTLS)")
    if not ldap.base:
        raise ConfigError(
            "SONDE_LDAP_BASE is missing; SONDE_LDAP_URL needs where people are: ou=people,dc=example,dc=org"
        )
    if "{email}" not in ldap.filter:
        raise ConfigError(f"SONDE_LDAP_FILTER={ldap.filter!r} must have {{email}} in it")
    return ldap
