"""The headings above a place in a document, kept while reading from top to bottom. Knows levels and titles only."""


class Outline:
    """A smaller level is further out. `path` is what stands above the text that comes next."""

    def __init__(self, *root: str) -> None:
        self._root = root
        self._open: list[tuple[float, str]] = []

    @property
    def path(self) -> tuple[str, ...]:
        return (*self._root, *(title for _, title in self._open))

    def enter(self, level: float, title: str) -> tuple[str, ...]:
        """Open a heading, closing those of its level and deeper. Returns the headings above it."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        above = self.path
        self._open.append((level, " ".join(title.split())))
        return above
