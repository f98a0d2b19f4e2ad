"""Text out of token ids, as they come. Knows bytes, characters and stop strings; knows no model and no tensors.

Two promises for what is handed out piece by piece: the text never ends in half a character nor in what may still
become a stop string, and the ids of the pieces so far always decode to exactly their text, wherever it is cut.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Protocol


class Vocabulary(Protocol):
    def token_bytes(self, token_id: int) -> bytes: ...

    def encode(self, text: str) -> list[int]: ...

    def encode_bytes(self, text: bytes) -> list[int]: ...

    def tokens_along(self, text: bytes) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that is final, the ids that decode to it, and how many of the tokens pushed it covers whole.

    `token_ids` are the tokens pushed, except where a stop string cut through a token: then its remaining text is
    encoded again, so that ids and text still say the same.
    """

    text: str
    token_ids: tuple[int, ...]
    num_tokens: int
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class _Held:
    token_id: int
    end: int | None  # where its text ends in the held text; None: in the middle of a character


class Detokenizer:
    def __init__(
        self, vocabulary: Vocabulary, stop: Seq[str] = (), prefix_token_ids: Seq[int] = (), heal: bytes = b""
    ) -> None:
        """`heal` is text the reader has already, which the first tokens write again: it is not told twice."""
        self._vocabulary = vocabulary
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held: list[_Held] = []
        self._held_text = ""
        # The end of the text already handed out: a stop string may begin there when an answer is continued.
        self._tail_length = max((len(s) for s in self._stop), default=1) - 1
        self._tail = ""
        for token_id in prefix_token_ids:
            self._tail = self._shorten(self._tail + self._decode(token_id))
        self._tail = self._shorten(self._tail + heal.decode("utf-8", "replace"))
        self._num_known = len(heal)

    def push(self, token_id: int) -> Piece:
        """What has become final with this token; `stopped` when its text completed a stop string."""
        if not (self._held or self._stop or self._num_known):  # as nearly always: 7 -> 2 us of a step's 256 rows each
            text = self._decode(token_id)
            if text and not self._decoder.getstate()[0]:
                return Piece(text, (token_id,), 1)
            self._hold_text(token_id, text)
            return self._release(len(self._held_text))
        for new_id in self._without_known(token_id):
            self._hold(new_id)
        cut = self._find_stop()
        if cut is not None:
            return self._stop_at(cut)
        return self._release(len(self._held_text) - self._maybe_stop_length())

    def finish(self) -> Piece:
        """Nothing follows: what looked like the beginning of a stop string is text. Half a character is dropped."""
        return self._release(len(self._held_text))

    def _hold(self, token_id: int) -> None:
        self._hold_text(token_id, self._decode(token_id))

    def _hold_text(self, token_id: int, text: str) -> None:
        self._held_text += text
        whole = not self._decoder.getstate()[0]
        self._held.append(_Held(token_id, len(self._held_text) if whole else None))

    def _without_known(self, token_id: int) -> list[int]:
        """Tokens for what is new in this one: itself, but where a known text ends inside it."""
        if self._num_known == 0:
            return [token_id]
        new = self._vocabulary.token_bytes(token_id)[self._num_known :]
        self._num_known = max(0, self._num_known - len(self._vocabulary.token_bytes(token_id)))
        return self._vocabulary.encode_bytes(new)

    def _decode(self, token_id: int) -> str:
        return self._decoder.decode(self._vocabulary.token_bytes(token_id))

    def _find_stop(self) -> int | None:
        """Where the earliest stop string begins in the held text; negative: it began in what was handed out."""
        text = self._tail + self._held_text
        # A stop string that ends inside the tail belongs to the prefix and does not count: "```python" may be
        # continued up to "```".
        begins = []
        for stop in self._stop:
            begin = text.find(stop, max(0, len(self._tail) - len(stop) + 1))
            if begin >= 0:
                begins.append(begin)
        return min(begins) - len(self._tail) if begins else None

    def _maybe_stop_length(self) -> int:
        """Length of the longest end of the text that is the beginning of a stop string."""
        text = self._tail + self._held_text
        for length in range(min(self._tail_length, len(text)), 0, -1):
            end = text[len(text) - length :]
            if any(stop.startswith(end) for stop in self._stop):
                return length
        return 0

    def _release(self, limit: int) -> Piece:
        """Hands out whole tokens whose text ends at `limit` or before; none while they have no text to show."""
        count, end = 0, 0
        for index, held in enumerate(self._held, start=1):
            if held.end is not None and held.end <= limit:
                count, end = index, held.end
        if end == 0:
            return Piece("", (), 0)
        token_ids, text = tuple(held.token_id for held in self._held[:count]), self._held_text[:end]
        self._tail = self._shorten(self._tail + text)
        self._held_text = self._held_text[end:]
        self._held = [_Held(h.token_id, None if h.end is None else h.end - end) for h in self._held[count:]]
        return Piece(text, token_ids, count)

    def _stop_at(self, cut: int) -> Piece:
        text = self._held_text[: max(0, cut)]
        piece = self._release(cut)
        rest = text[len(piece.text) :]
        self._held, self._held_text = [], ""
        token_ids = (*piece.token_ids, *(self._vocabulary.encode(rest) if rest else ()))
        return Piece(piece.text + rest, token_ids, piece.num_tokens, stopped=True)

    def _shorten(self, text: str) -> str:
        return text[len(text) - self._tail_length :] if len(text) > self._tail_length else text
