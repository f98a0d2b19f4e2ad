"""What the readers of one answer have been shown. Knows no database, no Valkey, no HTTP."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chatapp.answers.events import Delta, Notice, Part, Position, Wire, utf16_length
from chatapp.endpoints import deltas

# Notices of something that goes on: only the latest is kept.
PASSING = frozenset({"queued", "searching", "waiting_for_files", "reading_in_parts"})


@dataclass(slots=True)
class Progress:
    """`text` is the whole text of the message; `token_ids` are those of this attempt alone.

    `version` counts the changes, so that a snapshot is only written when there is something new.
    """

    text: str
    reasoning: str
    token_ids: list[int]
    position: Position | None
    notices: list[Wire] = field(default_factory=list)
    first_token_ms: int | None = None
    thinking_ms: int | None = None
    generation_ms: int = 0
    version: int = 0
    start_text: int = 0  # UTF-16 lengths at the beginning of this attempt
    start_reasoning: int = 0
    round_text: int = 0  # the same at the beginning of this round: behind the last calls of tools
    round_reasoning: int = 0
    round_tokens: int = 0
    length_text: int = field(init=False)
    length_reasoning: int = field(init=False)
    _claimed_at: float = field(default_factory=time.monotonic)
    _last_delta_at: float | None = None

    def __post_init__(self) -> None:
        self.length_text, self.length_reasoning = utf16_length(self.text), utf16_length(self.reasoning)

    @property
    def has_shown(self) -> bool:
        """Whether this attempt has shown anything since its last round."""
        return self.length_text > max(self.start_text, self.round_text) or self.length_reasoning > max(
            self.start_reasoning, self.round_reasoning
        )

    @property
    def has_begun(self) -> bool:
        """Whether an earlier attempt has said something in this round."""
        return self.start_text > self.round_text or self.start_reasoning > self.round_reasoning

    @property
    def attempt_text(self) -> str:
        return _from_unit(self.text, self.start_text)

    def round_said(self, part: Part) -> str:
        """All that stands in the message since the last round, be it of this attempt or of an earlier one."""
        if part == "text":
            return _from_unit(self.text, self.round_text)
        return _from_unit(self.reasoning, self.round_reasoning)

    @property
    def round_shown(self) -> str:
        """What this attempt has said in this round, text and thinking."""
        text = _from_unit(self.text, max(self.start_text, self.round_text))
        return text + _from_unit(self.reasoning, max(self.start_reasoning, self.round_reasoning))

    def begin_round(self, ends: Sequence[int]) -> None:
        """`ends`: lengths of text, thinking and token ids."""
        self.round_text, self.round_reasoning, self.round_tokens = ends

    def copy(self) -> "Progress":
        """What a thread may read while the answer grows."""
        return replace(self, token_ids=list(self.token_ids), notices=list(self.notices))

    def length(self, part: Part) -> int:
        return self.length_text if part == "text" else self.length_reasoning

    def replay(self, event: Delta) -> bool:
        """Takes in what an earlier runner has logged. An overlap is skipped; False where something is missing."""
        if event.at > self.length(event.part):
            return False
        if event.at == self.length(event.part):
            self._grow(event.part, event.text, event.token_ids)
        return True

    def add(self, delta: deltas.Delta) -> None:
        """Takes in what the endpoint has said now."""
        now = time.monotonic()
        since_ms = round(1000 * (now - (self._last_delta_at or now)))
        if self.first_token_ms is None:
            self.first_token_ms = round(1000 * (now - self._claimed_at))
        self.generation_ms += since_ms
        if delta.part == "reasoning" or (self.thinking_ms is not None and self.length_text == self.start_text):
            self.thinking_ms = (self.thinking_ms or 0) + since_ms
        self._last_delta_at = now
        self._grow(delta.part, delta.text, delta.token_ids)

    def rest(self) -> None:
        """The stream has broken: the time until it goes on is nobody's speed."""
        self._last_delta_at = None

    def note(self, notice: Notice) -> None:
        """A newer word on the same matter takes the place of the older."""
        kept = [each for each in self.notices if each["code"] != notice.code or notice.code not in PASSING]
        self.notices = [*kept, {"code": notice.code, "params": notice.params}]
        self.version += 1

    def forget_passing(self) -> None:
        """What was waited for is there."""
        self.notices = [notice for notice in self.notices if notice["code"] not in PASSING]
        self.version += 1

    def _grow(self, part: Part, text: str, token_ids: tuple[int, ...]) -> None:
        if part == "text":
            self.text += text
            self.length_text += utf16_length(text)
        else:
            self.reasoning += text
            self.length_reasoning += utf16_length(text)
        self.token_ids.extend(token_ids)
        self.version += 1


def _from_unit(text: str, start: int) -> str:
    """From a UTF-16 unit on."""
    return text.encode("utf-16-le")[2 * start :].decode("utf-16-le", "replace") if start else text
