"""The strings that JavaScript shows, from the same catalogues as the pages."""

from functools import cache
from pathlib import Path

import polib
from django.conf import settings
from django.utils.translation import to_locale


@cache
def read_strings(language: str) -> dict[str, str]:
    """English source to translation; empty for English, where the source is the text."""
    path = Path(settings.LOCALE_PATHS[0]) / to_locale(language) / "LC_MESSAGES" / "djangojs.po"
    return {entry.msgid: entry.msgstr for entry in polib.pofile(str(path))} if path.is_file() else {}
