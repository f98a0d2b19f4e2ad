"""A taken port is named, with the process that has it."""

import os
import socket

import pytest

from ops.listening import refuse_taken
from ops.problem import Problem


def test_taken_port_is_named_with_its_process_and_what_to_type() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Problem, match=rf"port {port} on 127.0.0.1 is taken.*SONDE_PORT=\d+ make run") as caught:
            refuse_taken("127.0.0.1", port)
    if os.path.exists("/proc/net/tcp"):
        assert f"process {os.getpid()} (" in str(caught.value)
    refuse_taken("127.0.0.1", port)


def test_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(Problem, match="SONDE_HOST=192.0.2.1"):
        refuse_taken("192.0.2.1", 8300)
