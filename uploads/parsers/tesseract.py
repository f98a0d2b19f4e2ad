"""Tesseract as a child process: an image in, lines with boxes and confidence out (its TSV).

Latin and Chinese models on one page cost 13 s where each alone costs 3 (two cores, 40 lines): so a page is read by the
likelier ones first, and only its doubtful lines by the others.
"""

import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from itertools import groupby
from math import ceil

from PIL import Image

from uploads.parsers.layout import Line, Paragraph, paragraphs_by_pitch, union
from uploads.parsers.too_slow import TooSlow
from uploads.place import Box

PROGRAM = "tesseract"
IDEOGRAPHIC = ("chi", "jpn", "kor")
# The mean confidence of words, in percent, under which a line is tried with the other languages.
DOUBTFUL = 75
# And under which it is taken for a stain.
NOISE = 25
# As much of the page as tells its script.
PROBE_SHARE = 0.08

_SPACE_IN_CJK = re.compile(
    r"(?<=[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]) (?=[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef])"
)


@dataclass(frozen=True, slots=True)
class Found:
    text: str
    box: Box
    confidence: float


@lru_cache(maxsize=1)
def installed_languages() -> frozenset[str]:
    if not shutil.which(PROGRAM):
        return frozenset()
    done = subprocess.run([PROGRAM, "--list-langs"], capture_output=True, text=True, timeout=20)
    return frozenset(done.stdout.split("\n")[1:]) - {""} if done.returncode == 0 else frozenset()


class Tesseract:
    """Remembers which languages served last: a document seldom changes them."""

    def __init__(self, languages: Iterable[str], page_seconds: float) -> None:
        groups: dict[bool, list[str]] = {}
        for language in languages:
            groups.setdefault(language.startswith(IDEOGRAPHIC), []).append(language)
        self._groups = ["+".join(group) for group in groups.values()]
        self._likely: str | None = None
        self._page_seconds = page_seconds

    def read(self, image: Image.Image) -> list[Paragraph]:
        first = self._likely or self._probed(image)
        lines = self._run(image, first)
        doubtful = [line for line in lines if line.confidence < DOUBTFUL]
        for other in self._groups:
            if other == first or not doubtful:
                continue
            again = self._run(_only(image, doubtful), other)
            lines = [_better(line, again) if line in doubtful else line for line in lines]
        self._likely = first
        # Tesseract's own paragraphs are often single lines.
        sure = (Line(line.text, line.box, line.box[3] - line.box[1]) for line in lines if line.confidence >= NOISE)
        return list(paragraphs_by_pitch(sure))

    def _probed(self, image: Image.Image) -> str:
        """The languages that are surest of the darkest stripe."""
        if len(self._groups) == 1:
            return self._groups[0]
        stripe = _darkest_stripe(image)
        for group in self._groups:
            lines = self._run(stripe, group)
            if lines and sum(line.confidence for line in lines) / len(lines) >= DOUBTFUL:
                return group
        return self._groups[0]

    def _run(self, image: Image.Image, languages: str) -> list[Found]:
        """Time is counted on the processor: on a busy machine a page may wait for minutes and be no slower to read."""
        data = BytesIO()
        image.save(data, "PPM")
        argv = [PROGRAM, "stdin", "stdout", "-l", languages, "--dpi", "200", "--psm", "3", "tsv"]
        seconds = ceil(self._page_seconds)
        done = subprocess.run(
            argv,
            input=data.getvalue(),
            capture_output=True,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, _within_ours(seconds)),
        )
        if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            raise TooSlow
        done.check_returncode()
        return list(_lines(done.stdout.decode("utf-8", errors="replace"), image.width, image.height))


def _within_ours(seconds: int) -> tuple[int, int]:
    """A limit of processor time that may be set: none above our own, which the fence has given us."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    seconds = seconds if hard == resource.RLIM_INFINITY else min(seconds, hard)
    return seconds, seconds


def _lines(tsv: str, width: int, height: int) -> Iterator[Found]:
    """Level 5 rows are words: level page block par line word left top width height confidence text."""
    rows = (row.split("\t") for row in tsv.splitlines()[1:])
    words = [row for row in rows if len(row) == 12 and row[0] == "5" and row[11].strip()]
    for _, group in groupby(words, key=lambda row: (int(row[2]), int(row[3]), int(row[4]))):
        line = list(group)
        boxes = [[int(cell) for cell in row[6:10]] for row in line]
        box = union([x / width, y / height, (x + w) / width, (y + h) / height] for x, y, w, h in boxes)
        weights = [len(row[11]) for row in line]
        confidence = sum(float(row[10]) * weight for row, weight in zip(line, weights, strict=True)) / sum(weights)
        text = _SPACE_IN_CJK.sub("", " ".join(row[11] for row in line))
        yield Found(text, [round(value, 5) for value in box], confidence)


def _only(image: Image.Image, lines: list[Found]) -> Image.Image:
    """The image with all but these lines painted white: places stay."""
    page = Image.new("L", image.size, 255)
    margin = 4
    for line in lines:
        left, right = (round(line.box[side] * image.width) for side in (0, 2))
        top, bottom = (round(line.box[side] * image.height) for side in (1, 3))
        cut = (
            max(left - margin, 0),
            max(top - margin, 0),
            min(right + margin, image.width),
            min(bottom + margin, image.height),
        )
        page.paste(image.crop(cut), cut[:2])
    return page


def _better(line: Found, again: list[Found]) -> Found:
    """The line, or what the other languages made of the same place if they are surer."""
    inside = [other for other in again if _is_within(other.box, line.box)]
    if not inside:
        return line
    confidence = sum(other.confidence for other in inside) / len(inside)
    if confidence <= line.confidence:
        return line
    text = " ".join(other.text for other in sorted(inside, key=lambda other: other.box[0]))
    return replace(line, text=_SPACE_IN_CJK.sub("", text), confidence=confidence)


def _is_within(box: Box, outer: Box) -> bool:
    across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return outer[0] <= across <= outer[2] and outer[1] <= down <= outer[3]


def _darkest_stripe(image: Image.Image) -> Image.Image:
    """The stripe that differs most from the page's own brightness: where the text is."""
    height = max(round(image.height * PROBE_SHARE), min(image.height, 160))
    profile = image.resize((1, max(image.height // 8, 1)), Image.Resampling.BOX).tobytes()
    usual = sorted(profile)[len(profile) // 2]
    num = max(height // 8, 1)
    sums = [sum(abs(value - usual) for value in profile[at : at + num]) for at in range(max(len(profile) - num, 0) + 1)]
    top = min(sums.index(max(sums)) * 8, image.height - height)
    return image.crop((0, top, image.width, top + height))
