"""A place for files that ends with the test, the short way to put one there, and processes to kill."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import pytest

from chatapp.accounts.models import User
from ops.data import ROOT
from ops.environment import free_ports
from ops.processes import PROCESSES
from ops.services import Services
from tests.crash.waiting import wait_until

LINE = b"The tide turns at noon.\n"


@pytest.fixture
def file_store(settings: Any, tmp_path: Path) -> Path:
    """The folder that stands for SONDE_DATA; whole files are below `uploads`, unfinished ones in `uploads-partial`."""
    for name, value in stored_in(tmp_path).items():
        setattr(settings, name, value)
    return tmp_path


def stored_in(folder: Path) -> dict[str, Any]:
    """The settings by which files are kept there."""
    from django.conf import settings

    disk = {**settings.STORAGES["uploads"], "BACKEND": "django.core.files.storage.FileSystemStorage"}
    disk["OPTIONS"] = {**disk["OPTIONS"], "location": folder / "uploads"}
    exports = {**disk, "OPTIONS": {**disk["OPTIONS"], "location": folder / "exports"}}
    partial = replace(settings.UPLOADS, partial_dir=folder / "uploads-partial")
    return {"STORAGES": {**settings.STORAGES, "uploads": disk, "exports": exports}, "UPLOADS": partial}


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def give(person: User, data: bytes = LINE, name: str = "tides.txt", **facts: str) -> Any:
    """An upload of this person that has arrived whole."""
    from uploads import services
    from uploads.models import Upload

    upload = services.begin(person.pk, name, len(data), **facts)
    services.append(upload, 0, [data])
    return Upload.objects.select_related("blob", "reading").get(pk=upload.pk)


def make_collection(person: User, name: str) -> Any:
    from chatapp.files import collecting

    return collecting.create(person, name)


def collect(collection: Any, *uploads: Any) -> None:
    """These files into the collection, as its owner would."""
    from chatapp.files.models import CollectionFile

    for upload in uploads:
        CollectionFile.objects.create(collection=collection, upload=upload, added_by_id=collection.owner_id)


def real_environment(services: Services, folder: Path) -> dict[str, str]:
    """For a process of ours beside the test: the same servers, the test's own database, this folder for SONDE_DATA."""
    from django.db import connection

    url = urlsplit(services.database_url)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    ours = {"DATABASE_URL": url, "SONDE_DATA": str(folder), "PYTHONUNBUFFERED": "1"}
    return {**{name: value for name, value in os.environ.items() if name != "DATABASE_URL_FILE"}, **ours}


class RealProcess:
    """A process of the table, from `with` to its end; `kill` ends it as the kernel would."""

    def __init__(self, env: dict[str, str], name: str, *options: str, **values: str) -> None:
        [process] = [process for process in PROCESSES if process.name == name]
        self._argv = [*process.argv(python=sys.executable, **values), *options]
        self._env = {**env, **process.environment}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._argv, cwd=ROOT, env=self._env)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """As the supervisor asks for it."""
        self._process.terminate()
        self._process.wait(20)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Web(RealProcess):
    """On a free port."""

    def __init__(self, env: dict[str, str]) -> None:
        port = str(free_ports(1)[0])
        super().__init__(env, "web", "--log-level", "warning", host="127.0.0.1", port=port)
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        super().__enter__()
        wait_until("the web process answers", self._answers, 30)
        return self

    def peak_bytes(self) -> int:
        """The most memory it has ever held."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def _answers(self) -> bool:
        assert self._process.poll() is None, "the web process has ended"
        try:
            return httpx.get(f"{self.url}/sign-in", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False
