"""A place for data directories of real stacks."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not tmp_path: as root the database's account must be able to pass through, as in a usual checkout."""
    path = Path(tempfile.mkdtemp(prefix="sonde-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def data_folder(folder: Path) -> Path:
    return folder / "data"
