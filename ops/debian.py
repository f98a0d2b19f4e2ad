"""Debian packages for what no wheel brings: OCR, LibreOffice, a browser, fonts. Standard library.

Installed only where apt is and we are root; everywhere else the caller says what to type. Without tesseract pages are
read by RapidOCR, slower; without LibreOffice or Chromium only tests are missed.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable

# English comes with the program itself.
OCR = ("tesseract-ocr", "tesseract-ocr-eng", "tesseract-ocr-deu", "tesseract-ocr-chi-sim")
# Save the files that the tests of parsers read.
OFFICE = ("libreoffice-writer-nogui", "libreoffice-calc-nogui", "libreoffice-impress-nogui", "fonts-dejavu-core")
# Chinese has to be drawn, not boxed, and emoji are text too.
BROWSER = ("chromium", "fonts-noto-cjk", "fonts-noto-color-emoji")


def missing(packages: Iterable[str]) -> list[str]:
    """Those that are not installed; all of them where there is no dpkg to ask."""
    if not shutil.which("dpkg-query"):
        return list(packages)
    argv = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages]
    told = subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()
    return [package for package in packages if f"{package} installed" not in told]


def command(packages: Iterable[str]) -> list[str]:
    return ["apt-get", "install", "-y", "--no-install-recommends", *packages]


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Iterable[str]) -> str:
    """Returns why that failed, or nothing."""
    argv = command(packages)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for each in (["apt-get", "update", "-q"], [*argv, "-q"]):
        done = subprocess.run(each, env=environ, capture_output=True, text=True)
    return f"{' '.join(argv)} failed: {done.stderr.strip()[-300:]}" if done.returncode != 0 else ""
