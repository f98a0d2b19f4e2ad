"""What is installed and what is not, as dpkg says."""

import shutil

import pytest

from ops import debian


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="no Debian")
def test_only_what_is_not_installed_is_missing() -> None:
    assert debian.missing(["dpkg", "no-such-package-of-ours", "coreutils"]) == ["no-such-package-of-ours"]


def test_the_command_can_be_typed() -> None:
    assert " ".join(debian.command(debian.OCR)) == (
        "apt-get install -y --no-install-recommends tesseract-ocr tesseract-ocr-eng tesseract-ocr-deu "
        "tesseract-ocr-chi-sim"
    )
