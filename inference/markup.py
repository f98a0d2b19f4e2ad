"""The words with which the family's models part thinking, tool calls and text. Knows no tokens: they are text here."""

from __future__ import annotations

THINK = "<think>"
END_OF_THINKING = "</think>"

CALLS_BEGIN = "<｜tool▁calls▁begin｜>"
CALL_BEGIN = "<｜tool▁call▁begin｜>"
CALL_SEPARATOR = "<｜tool▁sep｜>"
CALL_END = "<｜tool▁call▁end｜>"
CALLS_END = "<｜tool▁calls▁end｜>"

# Fill in the middle: FILL_BEGIN what is before FILL_HOLE what is after FILL_END, and the model writes what is between.
FILL_BEGIN = "<｜fim▁begin｜>"
FILL_HOLE = "<｜fim▁hole｜>"
FILL_END = "<｜fim▁end｜>"

# Released tokenizers mark these as ordinary text; one that calls them special would hide them from us.
MARKUP = (THINK, END_OF_THINKING, CALLS_BEGIN, CALL_BEGIN, CALL_SEPARATOR, CALL_END, CALLS_END)
