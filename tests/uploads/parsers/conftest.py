"""The corpus: files made by LibreOffice, python-docx, python-pptx, openpyxl, ReportLab and Pillow, once a session."""

import os
import shutil
from pathlib import Path

import pytest

from tests.uploads.parsers import corpus, office


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="session")
def written(folder: Path) -> Path:
    """What libraries write without LibreOffice."""
    corpus.write_all(folder)
    return folder


@pytest.fixture(scope="session")
def saved(written: Path) -> Path:
    """The same, saved by LibreOffice in its own formats and in Microsoft's old ones."""
    if not office.is_installed():
        assert os.environ.get("CI", "").lower() not in {"1", "true"}, "LibreOffice is missing: ops.test installs it"
        pytest.skip("no soffice: apt install libreoffice-writer-nogui libreoffice-calc-nogui libreoffice-impress-nogui")
    folder = written / "saved"
    folder.mkdir()
    corpus.save_all(written, folder)
    return folder


@pytest.fixture(scope="session")
def tesseract() -> None:
    """Skips where tesseract and its three languages are missing; in CI they must be there."""
    from uploads.document import Limits
    from uploads.parsers.tesseract import installed_languages

    if not set(Limits().ocr_languages) <= installed_languages():
        assert os.environ.get("CI", "").lower() not in {"1", "true"}, "tesseract is missing: ops.test installs it"
        pytest.skip("no tesseract: apt install tesseract-ocr tesseract-ocr-deu tesseract-ocr-chi-sim")
    assert shutil.which("tesseract")
