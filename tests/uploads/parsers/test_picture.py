"""Text in images, by tesseract."""

import unicodedata
from difflib import SequenceMatcher
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from tests.uploads.parsers import corpus
from tests.uploads.parsers.reading import block_with, blocks_of, read
from tests.uploads.parsers.test_pdf import check_covers, ink, is_dark
from uploads.document import Block, Progress, Started, Unparsable, Unreadable

pytestmark = pytest.mark.usefixtures("tesseract")


def likeness(found: str, drawn: str) -> float:
    """The share of characters read right, spaces aside."""
    found, drawn = (unicodedata.normalize("NFKC", text).replace(" ", "") for text in (found, drawn))
    return SequenceMatcher(None, found, drawn, autojunk=False).ratio()


@pytest.mark.parametrize(
    ("name", "text"), [("english", corpus.ENGLISH), ("german", corpus.GERMAN), ("chinese", corpus.CHINESE)]
)
def test_three_languages_are_read_where_they_stand(name: str, text: str, written: Path) -> None:
    path = written / f"{name}.png"
    blocks = blocks_of(path)
    assert len(blocks) == 1 and likeness(blocks[0].text, text) > 0.97
    assert blocks[0].kind == "ocr" and blocks[0].place["kind"] == "region"
    check_covers(blocks[0].place["boxes"][0], ink(Image.open(path), is_dark))


def test_chinese_comes_without_spaces(written: Path) -> None:
    assert " " not in blocks_of(written / "chinese.png")[0].text


def test_three_languages_on_one_page_are_each_read_by_their_own_model(written: Path) -> None:
    text = " ".join(block.text for block in blocks_of(written / "mixed.png"))
    assert corpus.ENGLISH in text and corpus.GERMAN in text
    assert likeness(text, f"{corpus.ENGLISH} {corpus.GERMAN} {corpus.CHINESE}") > 0.97


@pytest.mark.parametrize("form", ["jpg", "webp", "gif", "bmp", "tiff", "heic"])
def test_every_format_is_read(form: str, written: Path, tmp_path: Path) -> None:
    pillow_heif.register_heif_opener()
    path = tmp_path / f"a.{form}"
    Image.open(written / "english.png").convert("RGB").save(path)
    assert corpus.ENGLISH in blocks_of(path)[0].text


def test_the_frames_of_a_tiff_are_its_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    pages = [corpus.page_image([f"This is page number {number}"]) for number in (1, 2, 3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    events = read(path)
    assert events[0] == Started("page", 3)
    assert [event.done for event in events if isinstance(event, Progress)] == [1, 2, 3]
    place = block_with("page number 3", blocks_of(path)).place
    assert place["kind"] == "region" and place["page"] == 3


def test_a_photo_that_lies_on_its_side_is_turned_as_viewers_turn_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    upright = corpus.page_image([corpus.ENGLISH[:60]])
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
    block = block_with("harbour", blocks_of(path))
    assert block.place["kind"] == "region"
    check_covers(block.place["boxes"][0], ink(upright, is_dark))


def test_dark_screenshots_and_transparent_ones_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    small = corpus.page_image([corpus.ENGLISH[:40]]).crop((0, 150, 1000, 350)).resize((600, 120))
    clear = Image.new("RGBA", small.size, (0, 0, 0, 0))
    clear.putalpha(small.point(lambda value: 255 - value))
    clear.save(path)
    assert corpus.ENGLISH[:40] in blocks_of(path)[0].text
    small.point(lambda value: 255 - value).save(path)
    assert corpus.ENGLISH[:40] in blocks_of(path)[0].text


def test_more_pixels_than_allowed_are_a_bomb_before_they_are_decoded(written: Path) -> None:
    with pytest.raises(Unparsable, match="bomb"):
        read(written / "english.png", max_pixels=1000)


def test_an_image_without_text_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (800, 600), "white").save(path)
    with pytest.raises(Unparsable, match="empty"):
        read(path)


def test_a_page_that_takes_too_long_is_unreadable_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    crowded = [f"{line} {corpus.ENGLISH}" for line in range(160)]
    pages = [corpus.page_image(crowded, size=12, pitch=13), corpus.page_image(["The next page is short."])]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    events = read(path, page_seconds=1)
    assert Unreadable(1, "timeout") in events
    assert block_with("next page", [event for event in events if isinstance(event, Block)]).place["kind"] == "region"


def test_an_image_cut_short_is_broken(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    whole = (written / "english.png").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unparsable, match="broken"):
        read(path)
