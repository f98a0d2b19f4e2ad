"""Words that a word may have been meant to be: spelt alike, or compounds that hold it. Out of all words there are.

The list is of the whole site; what is found by its words is another matter, and decided by the scope.
"""

from collections.abc import Sequence
from os.path import commonprefix

from django.db import connection, transaction

from chatapp.finding.question import Asked, or_near

_LOOKED_UP = 4  # words of one question, the longest
_SIMILAR = 0.3  # trigram similarity from which on letters are compared: tabel, table 0.33
_COMPARED = 60
_MAX_NEAR = 12
_PART_LENGTH = 5  # a shorter one is a part of too many
_BEGUN_LENGTH = 6  # of a word that is still typed, or has another ending, and has a slip in it


def with_near(asked: Sequence[Asked]) -> list[Asked]:
    """Each word beside those near it."""
    longest = sorted((each for each in asked if each.may_be_misspelt), key=lambda each: len(each.word))[-_LOOKED_UP:]
    if not longest:
        return list(asked)
    alike = _look_up([each.word for each in longest])
    return [or_near(each, alike.get(each.word, ())) for each in asked]


def distance(one: str, other: str, most: int) -> int:
    """Letters changed, left out, put in or swapped with the next; `most` + 1 for more than that."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    one, other = _different(one, other)
    if not one or not other:
        return max(len(one), len(other))
    begun = len(commonprefix((one, other)))
    ended = len(commonprefix((one[begun:][::-1], other[begun:][::-1])))
    one, other = one[begun : len(one) - ended], other[begun : len(other) - ended]
    if not one or not other or max(len(one), len(other)) == 1:
        return max(len(one), len(other))
    before_last: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, its in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                cost = min(cost, before_last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before_last, last = last, row
    return min(last[-1], most + 1)


def allowed_distance(word: str) -> int:
    """One slip in a short word, two in a long one."""
    return 1 if len(word) < 7 else 2


def _look_up(words: Sequence[str]) -> dict[str, list[str]]:
    # A query for each word, with the word written in it: joined to a list of words, the trigram index is not used.
    one = "SELECT %s AS asked, word FROM finding_word WHERE word"
    alike = f"({one} %% %s ORDER BY similarity(word, %s) DESC LIMIT {_COMPARED})"
    holding = f"({one} LIKE %s LIMIT {_COMPARED})"
    sql, params = [], list[str]()
    for word in words:
        sql.append(alike)
        params += [word, word, word]
        if len(word) >= _PART_LENGTH:
            sql.append(holding)
            params += [word, f"%{word}%"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pg_trgm.similarity_threshold', %s, true)", [str(_SIMILAR)])
        cursor.execute(" UNION ALL ".join(sql), params)
        rows = cursor.fetchall()
    found: dict[str, list[str]] = {}
    for asked in words:
        near = sorted({(_slips(asked, word), len(word), word) for which, word in rows if which == asked})
        most = allowed_distance(asked)
        found[asked] = [word for slips, _length, word in near if slips <= most][:_MAX_NEAR]
    return found


def _slips(asked: str, word: str) -> int:
    """How far the word is from the asked one, or from one that it holds or, with a slip, begins with."""
    most = allowed_distance(asked)
    if asked in word:
        return 1 if len(asked) >= _PART_LENGTH else most + 1
    slips = distance(asked, word, most)
    if slips > most and len(word) > len(asked) >= _BEGUN_LENGTH and distance(asked, word[: len(asked)], 1) == 1:
        return most
    return slips


def _different(one: str, other: str) -> tuple[str, str]:
    """What is left of both without what they begin and end with alike."""
    begun = len(commonprefix((one, other)))
    one, other = one[begun:], other[begun:]
    ended = len(commonprefix((one[::-1], other[::-1])))
    return one[: len(one) - ended], other[: len(other) - ended]
