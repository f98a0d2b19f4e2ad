"""Reading the text in pictures: which engine, and what it is given. Knows Pillow; no file format of documents.

Tesseract where it is installed with the languages asked for, RapidOCR elsewhere: its weights come in its wheel.
"""

from typing import Protocol

from PIL import Image, ImageOps

from uploads.document import Limits
from uploads.parsers.layout import Paragraph

# Below this, letters of a screenshot are too small for either engine.
SMALL_SIDE = 1300
LARGE_SIDE = 4400
# A page with less contrast than this, made eight times smaller, has nothing on it.
BLANK_CONTRAST = 24


class Reader(Protocol):
    def read(self, image: Image.Image) -> list[Paragraph]:
        """The paragraphs in an image, in reading order, boxes in fractions of it. Raises TooSlow."""
        ...


def reader_for(limits: Limits) -> Reader:
    from uploads.parsers.tesseract import Tesseract, installed_languages

    if set(limits.ocr_languages) <= installed_languages():
        return Tesseract(limits.ocr_languages, limits.page_seconds)
    from uploads.parsers.rapid import Rapid

    return Rapid()


def prepared(image: Image.Image) -> Image.Image:
    """Grey on white, turned as a viewer shows it, at a size both engines read well."""
    image.draft("L", (LARGE_SIDE, LARGE_SIDE))  # a JPEG is then decoded small at once
    if max(image.size) > 2 * LARGE_SIDE:
        image = image.reduce(max(image.size) // LARGE_SIDE)
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = _to_grey(image)
    longest = max(image.size)
    if longest > LARGE_SIDE:
        image.thumbnail((LARGE_SIDE, LARGE_SIDE))
    elif longest < SMALL_SIDE:
        image = image.resize((image.width * 2, image.height * 2), Image.Resampling.LANCZOS)
    return image


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        # 16 bits a pixel: "L" alone would cut, not scale.
        low, high = image.getextrema()
        span = max(float(high) - float(low), 1.0)  # type: ignore[arg-type]
        return image.convert("F").point(lambda value: (value - float(low)) * (255 / span)).convert("L")  # type: ignore[arg-type]
    return image.convert("L")


def is_blank(image: Image.Image) -> bool:
    low, high = image.reduce(8).getextrema()
    return float(high) - float(low) < BLANK_CONTRAST  # type: ignore[arg-type]
