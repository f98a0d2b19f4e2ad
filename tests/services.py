"""The pytest plugin that gives tests a real PostgreSQL and a real Valkey, so that plain `pytest` needs nothing running.

Loaded early (`-p tests.services`): the addresses are in the environment before Django's settings are read. The servers
start with the first test that needs them, and end with the run, after Ctrl-C too.
"""

import os
from collections.abc import Iterator

import pytest

from ops.data import ROOT
from ops.services import Services

_services = Services(ROOT / "var" / "test-services")
os.environ.clear()
os.environ.update(_services.env)


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """The two servers, started; `services.database_url`, `services.redis_url`."""
    _services.start()
    yield _services
    _services.stop()


def pytest_unconfigure() -> None:
    _services.close()
