"""Parts an answer into the thinking before `</think>` and what is said after it, as the text comes in."""

from __future__ import annotations

END_OF_THINKING = "</think>"


class ReasoningSplitter:
    def __init__(self, thinking: bool, prefix: str = "") -> None:
        """`prefix` is the part of the answer that was told before; the splitter goes on from its end."""
        self._thinking = thinking
        self._held = ""
        self.push(prefix)

    def push(self, text: str) -> tuple[str, str]:
        """(thinking, answer) in this text. What may be the beginning of the tag waits for the next."""
        if not self._thinking:
            return "", text
        text = self._held + text
        before, tag, after = text.partition(END_OF_THINKING)
        if tag:
            self._thinking, self._held = False, ""
            return before, after
        length = _beginning_of_tag(text)
        self._held = text[len(text) - length :]
        return text[: len(text) - length], ""

    def finish(self) -> str:
        """Thinking that only looked like the tag."""
        held, self._held = self._held, ""
        return held


def _beginning_of_tag(text: str) -> int:
    for length in range(min(len(END_OF_THINKING) - 1, len(text)), 0, -1):
        if text.endswith(END_OF_THINKING[:length]):
            return length
    return 0
