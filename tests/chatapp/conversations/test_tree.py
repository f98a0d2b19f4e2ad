"""Branches, siblings and ends of a tree of messages."""

from uuid import UUID

from chatapp.conversations.tree import Node, Tree


def id(number: int) -> UUID:
    return UUID(int=number)


def tree(*edges: tuple[int, int | None]) -> Tree:
    return Tree(Node(id(child), None if parent is None else id(parent)) for child, parent in edges)


# 1 - 2 - 4 - 5
#   \ 3         6 is a second root (an edit of the first question)
SMALL = tree((1, None), (2, 1), (3, 1), (4, 2), (5, 4), (6, None))


def test_path_runs_from_the_root() -> None:
    assert SMALL.path(id(5)) == [id(1), id(2), id(4), id(5)]
    assert SMALL.path(id(6)) == [id(6)]


def test_siblings_come_in_order_and_contain_themselves() -> None:
    assert SMALL.siblings(id(2)) == SMALL.siblings(id(3)) == [id(2), id(3)]
    assert SMALL.siblings(id(1)) == [id(1), id(6)]


def test_end_is_the_deepest_newest_descendant() -> None:
    assert SMALL.end_of(id(2)) == id(5)
    assert SMALL.end_of(id(1)) == id(3)
    assert SMALL.end_of(None) == id(6)
    assert tree().end_of(None) is None


def test_node_whose_parent_is_gone_is_a_root() -> None:
    orphaned = tree((1, None), (2, 99))
    assert orphaned.path(id(2)) == [id(2)]
    assert orphaned.siblings(id(2)) == [id(1), id(2)]


def test_long_branch_needs_no_recursion() -> None:
    long = tree((0, None), *[(number, number - 1) for number in range(1, 5000)])
    assert len(long.path(id(4999))) == 5000
    assert long.end_of(None) == id(4999)
