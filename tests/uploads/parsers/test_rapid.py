"""RapidOCR, for machines without tesseract: the same pictures."""

from pathlib import Path

import pytest
from PIL import Image

from tests.uploads.parsers import corpus
from tests.uploads.parsers.test_pdf import check_covers, ink, is_dark
from tests.uploads.parsers.test_picture import likeness
from uploads.document import Limits
from uploads.parsers import reading, tesseract
from uploads.parsers.rapid import Rapid


@pytest.fixture(scope="module")
def rapid() -> Rapid:
    return Rapid()


@pytest.mark.parametrize(
    ("name", "text"), [("english", corpus.ENGLISH), ("german", corpus.GERMAN), ("chinese", corpus.CHINESE)]
)
def test_three_languages_are_read_where_they_stand(name: str, text: str, written: Path, rapid: Rapid) -> None:
    image = Image.open(written / f"{name}.png")
    (paragraph,) = rapid.read(reading.prepared(image))
    assert likeness(paragraph.text, text) > 0.95
    check_covers(paragraph.box, ink(image, is_dark), slack=0.01)


def test_it_is_taken_where_a_language_of_tesseract_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tesseract.installed_languages.cache_clear()
    try:
        assert isinstance(reading.reader_for(Limits()), Rapid)
    finally:
        tesseract.installed_languages.cache_clear()
