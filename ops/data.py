"""The data directory (SONDE_DATA): its layout, its one lock, its generated secrets. Standard library only.

lock               held by the one supervisor that uses the directory
secrets/           0700; generated once, each file 0600
pids/              what the supervisor started, so that the next start can end what a crash left behind
logs/              one file a process
uploads/           whole files, named by their content (elsewhere with SONDE_STORAGE=s3)
uploads-partial/   unfinished ones, named by their upload
exports/           archives of what people own, made for them and kept a week
postgres/ valkey/  the embedded services (postgres elsewhere when its account cannot reach this place)
"""

import fcntl
import os
import secrets
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from ops.problem import Problem

ROOT = Path(__file__).resolve().parent.parent
SECRETS = ("secret_key", "database_password", "broker_password", "inference_key", "embeddings_key")
SOCKET_PATH_LIMIT = 100  # sockaddr_un holds 104 bytes on macOS, 108 on Linux, the final zero included


def data_path(environ: Mapping[str, str] = os.environ) -> Path:
    return (ROOT / environ.get("SONDE_DATA", "var/data")).resolve()


class DataDir:
    """One data directory, made on first use. `acquire` before starting anything in it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock_fd: int | None = None
        try:
            # Others may pass through (the database's own account must), not look around.
            self.path.mkdir(parents=True, exist_ok=True, mode=0o711)
            for name in ("secrets", "pids", "logs"):
                (self.path / name).mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise Problem(
                f"SONDE_DATA={self.path} cannot be made: {error.strerror}; give another SONDE_DATA"
            ) from error
        self.id = self._once("id", 8)
        for name in SECRETS:
            self._once(f"secrets/{name}", 32)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def secret_path(self, name: str) -> Path:
        return self.path / "secrets" / name

    def secret(self, name: str) -> str:
        return self.secret_path(name).read_text(encoding="utf-8").strip()

    def write_secret(self, name: str, text: str) -> Path:
        """A secret that follows from others (a URL with its password), replaced at each start."""
        path = self.secret_path(name)
        _write_private(path, text)
        return path

    def socket_dir(self) -> Path:
        """A 0700 folder whose path is short enough for a socket: here, or under the temporary folder."""
        path = self.path / "run"
        if len(str(path)) > SOCKET_PATH_LIMIT - len("/supervisor.sock"):
            path = Path(tempfile.gettempdir()) / f"sonde-{self.id}"
        path.mkdir(exist_ok=True, mode=0o700)
        if path.stat().st_uid != os.getuid() or path.stat().st_mode & 0o077:
            raise Problem(f"{path} is not private to this account: remove it and start again")
        return path

    @property
    def held(self) -> bool:
        """Whether this object holds the directory's lock."""
        return self._lock_fd is not None

    def acquire(self) -> None:
        """Take the directory's lock for the life of this process. Raises Problem naming who holds it."""
        path = self.path / "lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text(encoding="utf-8").strip() or "another process"
            os.close(fd)
            raise Problem(
                f"SONDE_DATA={self.path} is in use by {holder}: stop it, or give another SONDE_DATA"
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"process {os.getpid()}, started {time.strftime('%Y-%m-%d %H:%M:%S')}".encode())
        self._lock_fd = fd

    def release(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _once(self, name: str, num_bytes: int) -> str:
        """A random value, made on first use and the same for ever."""
        path = self.path / name
        if not path.exists():
            _write_private(path, secrets.token_hex(num_bytes), replace=False)
        return path.read_text(encoding="utf-8").strip()


def _write_private(path: Path, text: str, replace: bool = True) -> None:
    """Whole or not at all, and never readable by others; without `replace`, the first of several writers wins."""
    fd, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    if replace:
        os.replace(partial, path)
        return
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    os.unlink(partial)
