"""Who listens on a port: a taken port is named together with its process. Standard library only."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ops.problem import Problem


def refuse_taken(host: str, port: int) -> None:
    """Raises Problem where this address cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            who = holder(port)
            by = f" by {who}" if who else ""
            if error.errno != errno.EADDRINUSE:
                raise Problem(f"SONDE_HOST={host} SONDE_PORT={port} cannot be used: {error.strerror}") from error
            hint = f"stop it, or choose another: SONDE_PORT={port + 10 if port < 65000 else 8310} make run"
            raise Problem(f"port {port} on {host} is taken{by}: {hint}") from error


def holder(port: int) -> str:
    """'process 123 (python manage.py ...)' where the system tells (Linux, our own processes), else empty."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for folder in Path("/proc").glob("[0-9]*") if sockets else []:
        if sockets & set(_open_files(folder / "fd")):
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            return f"process {folder.name} ({command[:80]})"
    return ""


def _open_files(folder: Path) -> Iterator[str]:
    """What the descriptors of a process lead to; less those that are closed, or are not ours to see."""
    try:
        fds = list(folder.iterdir())
    except OSError:
        return
    for fd in fds:
        with contextlib.suppress(OSError):
            yield os.readlink(fd)


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        lines = Path(table).read_text(encoding="ascii").splitlines()[1:] if Path(table).exists() else []
        for fields in (line.split() for line in lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found
