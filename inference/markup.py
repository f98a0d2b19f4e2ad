"""The words with which the family's models part thinking, tool calls and text. Knows no tokens: they are text here."""

from __future__ import annotations

THINK = "<think>"
END_OF_THINKING = "</think>"

CALLS_BEGIN = "<｜tool▁calls▁begin｜>"
CALL_BEGIN = "<｜tool▁call▁begin｜>"
CALL_SEPARATOR = "<｜tool▁sep｜>"
CALL_END = "<｜tool▁call▁end｜>"
CALLS_END = "<｜tool▁calls▁end｜>"

# Released tokenizers mark these as ordinary text; one that calls them special would hide them from us.
MARKUP = frozenset({THINK, END_OF_THINKING, CALLS_BEGIN, CALL_BEGIN, CALL_SEPARATOR, CALL_END, CALLS_END})
