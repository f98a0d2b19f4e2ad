"""RapidOCR (PP-OCR by onnxruntime): where tesseract is not installed. One model reads English, German and Chinese."""

import logging
from collections.abc import Iterable

import numpy
from PIL import Image
from rapidocr import RapidOCR
from rapidocr.utils.output import RapidOCROutput

from uploads.parsers.layout import Line, Paragraph, paragraphs_by_pitch
from uploads.place import Box


class Rapid:
    """Its models are loaded once, 1.1 s; it cannot be stopped within a page, the fence's deadline stands."""

    def __init__(self) -> None:
        logging.getLogger("RapidOCR").setLevel(logging.WARNING)
        self._engine = RapidOCR(
            params={
                "Global.log_level": "warning",
                "Global.use_cls": False,  # upside-down lines: a third model for what hardly occurs
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def read(self, image: Image.Image) -> list[Paragraph]:
        found = self._engine(numpy.asarray(image.convert("RGB")))
        if not isinstance(found, RapidOCROutput) or found.boxes is None or found.txts is None:
            return []
        lines = [
            Line(str(text), _box(corners, image), 0.0) for text, corners in zip(found.txts, found.boxes, strict=True)
        ]
        return list(
            paragraphs_by_pitch(Line(line.text, line.box, line.box[3] - line.box[1]) for line in _by_row(lines))
        )


def _box(corners: Iterable[Iterable[float]], image: Image.Image) -> Box:
    across, down = zip(*corners, strict=True)
    edges = (min(across) / image.width, min(down) / image.height, max(across) / image.width, max(down) / image.height)
    return [round(min(max(float(edge), 0.0), 1.0), 5) for edge in edges]


def _by_row(lines: list[Line]) -> list[Line]:
    """Pieces of one row made one line, rows from top to bottom."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.box[1] + line.box[3]):
        last = rows[-1][-1] if rows else None
        if last and line.box[1] + line.box[3] < last.box[1] + last.box[3] + (last.box[3] - last.box[1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box[0])]
