"""Parts an answer into the thinking before `</think>` and what is said after it, as the text comes in."""

from __future__ import annotations

from inference.markup import END_OF_THINKING


class ReasoningSplitter:
    def __init__(self, thinking: bool, prefix: str = "") -> None:
        """`prefix` is the part of the answer that was told before; the splitter goes on from its end."""
        self.is_thinking = thinking
        self._held = ""
        self.push(prefix)

    def push(self, text: str) -> tuple[str, str]:
        """(thinking, answer) in this text. What may be the beginning of the tag waits for the next."""
        if not self.is_thinking:
            return "", text
        text = self._held + text
        before, tag, after = text.partition(END_OF_THINKING)
        if tag:
            self.is_thinking, self._held = False, ""
            return before, after
        length = len(text) - beginning_at_end(text, END_OF_THINKING)
        self._held = text[length:]
        return text[:length], ""

    def finish(self) -> str:
        """Thinking that only looked like the tag."""
        held, self._held = self._held, ""
        return held


def beginning_at_end(text: str, mark: str) -> int:
    """Length of the longest end of the text that is a beginning of the mark, and not all of it."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0
