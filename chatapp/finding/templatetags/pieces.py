"""Pieces of a text as HTML: `{{ found.snippet|pieces }}`. Each is escaped; only the marks around some are ours."""

from collections.abc import Iterable

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from chatapp.finding.snippets import Piece

register = template.Library()


@register.filter
def pieces(value: Iterable[Piece]) -> SafeString:
    written = [f"<mark>{escape(piece.text)}</mark>" if piece.is_marked else escape(piece.text) for piece in value]
    return mark_safe("".join(written))
