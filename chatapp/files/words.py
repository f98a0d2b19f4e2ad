"""Codes of uploads and their parsers in the words of the reader. Knows no database."""

from collections.abc import Iterable, Mapping

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from chatapp.errors import Words

_REFUSALS: Mapping[str, Words] = {
    "empty": _("This file is empty."),
    "name": _("This file has no usable name."),
    "too_large": _("This file is larger than %(size)s."),
    "too_many": _("At most %(limit)s files can be under way at once."),
    "quota": _("Your files would take more than %(size)s together. Delete some that you no longer need."),
    "no_space": _("The disk of the site is full."),
    "unsupported": _("Files of this type cannot be read."),
    "offset": _("This part of the file has come before, or too early."),
    "checksum": _("This part of the file was damaged on its way."),
    "busy": _("Another part of this file is being stored."),
    "ended": _("This upload takes nothing more."),
    "not_retriable": _("There is nothing to try again. Please choose the file anew."),
}
_FAULTS: Mapping[str, Words] = {
    "encrypted": _("This file is protected by a password."),
    "broken": _("This file is damaged and cannot be opened."),
    "empty": _("There is no text in this file."),
    "unsupported": _("Files of this type cannot be read."),
    "too_large": _("There is too much in this file to read."),
    "too_many_pages": _("This file has more than %(limit)s pages."),
    "bomb": _("This file unpacks to far more than it should, and was not opened."),
    "timeout": _("Reading this file took too long."),
    "memory": _("Reading this file needed too much memory."),
    "crashed": _("Reading this file failed."),
}
_UNREADABLE: Mapping[str, Words] = {
    "page": _("Pages that could not be read: %(numbers)s."),
    "slide": _("Slides that could not be read: %(numbers)s."),
    "sheet": _("Sheets that could not be read: %(numbers)s."),
    "part": _("Parts that could not be read: %(numbers)s."),
    "line": _("Lines that could not be read: %(numbers)s."),
}
_BROKEN_OFF: Mapping[str, Words] = {
    "page": _("Only %(done)s of %(total)s pages were read."),
    "slide": _("Only %(done)s of %(total)s slides were read."),
    "sheet": _("Only %(done)s of %(total)s sheets were read."),
    "part": _("Only %(done)s of %(total)s parts were read."),
    "line": _("Only %(done)s of %(total)s lines were read."),
}


def refusal_words(code: str, params: Mapping[str, int]) -> str:
    figures: dict[str, object] = dict(params)
    figures["size"] = filesizeformat(params.get("limit_bytes", settings.UPLOADS.max_bytes))
    return str(_REFUSALS[code]) % figures


def fault_words(code: str) -> str:
    return str(_FAULTS[code]) % {"limit": settings.UPLOADS.max_pages}


def partly_words(unit: str, done: int, total: int, unreadable: Iterable[int], code: str) -> str:
    """What was not read, and why reading ended early where it did."""
    sentences = []
    if code and done < total:
        sentences.append(str(_BROKEN_OFF[unit]) % {"done": done, "total": total})
    if code:
        sentences.append(fault_words(code))
    if numbers := ranges(unreadable):
        sentences.append(str(_UNREADABLE[unit]) % {"numbers": numbers})
    return " ".join(sentences)


def ranges(numbers: Iterable[int]) -> str:
    """1, 2, 3, 7 as "1–3, 7"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
