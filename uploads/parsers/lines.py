"""Lines gathered into one block, with the numbers of the first and the last. Knows no format."""

from uploads.document import Block, BlockKind


class Run:
    def __init__(self, kind: BlockKind) -> None:
        self.kind: BlockKind = kind
        self._lines: list[str] = []
        self._first = self._last = self._last_filled = 0
        self.num_characters = 0

    @property
    def num_lines(self) -> int:
        return self._last - self._first + 1 if self._lines else 0

    @property
    def lines(self) -> list[str]:
        return self._lines

    def add(self, number: int, line: str) -> None:
        if not self._lines:
            self._first = number
        if self._lines and number == self._last:
            self._lines[-1] += line  # a further piece of the same line
        else:
            self._lines.append(line)
        self._last = number
        if line.strip():
            self._last_filled = number
        self.num_characters += len(line)

    def end(self, headings: tuple[str, ...] = (), text: str | None = None) -> Block | None:
        """The block of what was added since the last end, or None. `text` says it in other words."""
        if not self._lines:
            return None
        body = "\n".join(self._lines) if text is None else text
        block = Block(self.kind, body, {"kind": "lines", "first": self._first, "last": self._last_filled}, headings)
        self._lines = []
        self.num_characters = 0
        return block
