"""Where in a source something stands, in the words of the person who reads it."""

from typing import Any

from django.utils.translation import gettext as _


def place_words(place: dict[str, Any]) -> str:
    """A place of uploads/place.py; empty for one that says nothing."""
    match place:
        case {"kind": "page", "page": page}:
            return _("page %(number)d") % {"number": page}
        case {"kind": "slide", "slide": slide}:
            return _("slide %(number)d") % {"number": slide}
        case {"kind": "paragraph", "paragraph": paragraph}:
            return _("paragraph %(number)d") % {"number": paragraph}
        case {"kind": "cells", "sheet": sheet, "range": cells}:
            return f"{sheet}!{cells.replace(',', ', ')}" if sheet else ""
        case {"kind": "region", "page": page}:
            return _("image, page %(number)d") % {"number": page} if page > 1 else _("image")
        case {"kind": "lines", "first": first, "last": last}:
            if first == last:
                return _("line %(number)d") % {"number": first}
            return _("lines %(first)d–%(last)d") % {"first": first, "last": last}
    return ""
