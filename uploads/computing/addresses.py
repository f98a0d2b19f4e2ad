"""The fewest ranges that cover the cells of some columns and rows. Knows no library."""

from collections.abc import Iterable, Sequence

MAX_AREAS = 60


def number_of(letter: str) -> int:
    number = 0
    for character in letter:
        number = number * 26 + ord(character) - ord("A") + 1
    return number


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Neighbours joined: 2 3 4 9 are (2, 4) and (9, 9)."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def bounding(pieces: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return pieces[0][0], pieces[-1][1]
