"""Images: the text in them, by OCR, with the region of each paragraph. A TIFF's frames are its pages."""

from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from uploads.document import Block, Event, Progress, Source, Started, Unparsable, Unreadable
from uploads.parsers.reading import is_blank, prepared, reader_for
from uploads.parsers.too_slow import TooSlow


def parse(source: Source) -> Iterator[Event]:
    image = _opened(source)
    with image:
        # An animation is one picture that moves; only a TIFF has pages.
        num_pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        if num_pages > source.limits.max_pages:
            raise Unparsable("too_many_pages")
        yield Started("page", num_pages)
        reader = reader_for(source.limits)
        for index in range(num_pages):
            try:
                image.seek(index)
                _check_pixels(image, source)
                page = prepared(image)
                for paragraph in [] if is_blank(page) else reader.read(page):
                    yield Block("ocr", paragraph.text, {"kind": "region", "page": index + 1, "boxes": [paragraph.box]})
            except TooSlow:
                yield Unreadable(index + 1, "timeout")
            except (OSError, SyntaxError, ValueError) as error:
                if num_pages == 1:
                    raise Unparsable("broken") from error
                yield Unreadable(index + 1, "broken")
            yield Progress(index + 1)


def _opened(source: Source) -> Image.Image:
    """Only the header is read. Pillow's own limit warns or raises a little later; ours is a setting."""
    Image.MAX_IMAGE_PIXELS = None
    if source.media_type in ("image/heic", "image/heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    try:
        image = Image.open(source.path)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise Unparsable("broken") from error
    _check_pixels(image, source)
    return image


def _check_pixels(image: Image.Image, source: Source) -> None:
    if image.width * image.height > source.limits.max_pixels:
        raise Unparsable("bomb")
