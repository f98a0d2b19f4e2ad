r"""The tree of a conversation's messages: branches, siblings, ends. Knows ids only; no database.

question - answer 1 - next question - ...      a path from a root to an end is a branch
         \ answer 2                            answers 1 and 2 are siblings
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Node:
    id: UUID
    parent: UUID | None


class Tree:
    """Nodes come oldest first; a node whose parent is unknown counts as a root."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._children: dict[UUID | None, list[UUID]] = {}
        for node in self._nodes.values():
            self._children.setdefault(self._parent(node.id), []).append(node.id)

    def __contains__(self, id: UUID) -> bool:
        return id in self._nodes

    def path(self, leaf: UUID) -> list[UUID]:
        """From the root to `leaf`."""
        path: list[UUID] = []
        step: UUID | None = leaf
        while step is not None:
            path.append(step)
            step = self._parent(step)
        return path[::-1]

    def siblings(self, id: UUID) -> list[UUID]:
        """All children of the same parent, oldest first, `id` among them."""
        return self._children[self._parent(id)]

    def children(self, id: UUID) -> list[UUID]:
        return self._children.get(id, [])

    def end_of(self, id: UUID | None) -> UUID | None:
        """The deepest newest descendant: at each step the newest child. None starts at the newest root."""
        while self._children.get(id):
            id = self._children[id][-1]
        return id

    def _parent(self, id: UUID) -> UUID | None:
        parent = self._nodes[id].parent
        return parent if parent in self._nodes else None
