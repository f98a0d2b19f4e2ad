"""Context assembly: a history and a budget become the messages of one question.

The order keeps prompt caches warm: the system text, then the turns as they were, oldest first; nothing in it names
a date or a person. Knows no database, HTTP, settings or clock.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chatapp.context.counting import Counter
from chatapp.context.messages import ChatMessage

# What a template adds around each message (ChatML: 5, measured 27 against 26 for two), and what opens the answer.
TOKENS_PER_MESSAGE = 6
TOKENS_PER_PROMPT = 3
# Turns are left out in steps of a quarter of the budget: one at a time would change the prefix, and so empty the
# endpoint's prompt cache, with every further question.
STEPS = 4


class ContextFull(ValueError):
    """The question alone is longer than what fits."""

    def __init__(self, needed_tokens: int, budget_tokens: int) -> None:
        super().__init__(f"the question needs about {needed_tokens} tokens and {budget_tokens} fit")
        self.needed_tokens = needed_tokens
        self.budget_tokens = budget_tokens


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer; the last turn's answer is still to come. Thinking of earlier turns is never sent."""

    question: str
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Assembled:
    messages: tuple[ChatMessage, ...]
    left_out_turns: int
    estimated_tokens: int


def assemble(system: str, turns: Sequence[Turn], budget_tokens: int, counter: Counter) -> Assembled:
    """Everything that fits, oldest whole turns left out first. Raises ContextFull when the last turn does not fit."""
    assert turns, "a question has at least its own turn"
    fixed = TOKENS_PER_PROMPT + (counter.count(system) + TOKENS_PER_MESSAGE if system else 0)
    costs = [_cost(turn, counter) for turn in turns]
    if fixed + costs[-1] > budget_tokens:
        raise ContextFull(fixed + costs[-1], budget_tokens)
    left_out = _turns_to_leave_out(costs, budget_tokens - fixed)
    messages = [ChatMessage("system", system)] if system else []
    for turn in turns[left_out:]:
        messages.extend(_messages(turn))
    return Assembled(tuple(messages), left_out, fixed + sum(costs[left_out:]))


def _messages(turn: Turn) -> list[ChatMessage]:
    question = ChatMessage("user", turn.question)
    return [question, ChatMessage("assistant", turn.reply)] if turn.reply else [question]


def _cost(turn: Turn, counter: Counter) -> int:
    return sum(counter.count(message.content) + TOKENS_PER_MESSAGE for message in _messages(turn))


def _turns_to_leave_out(costs: Sequence[int], room: int) -> int:
    """How many of the oldest turns go: enough to shed the excess, rounded up to a step; never the last one."""
    excess = sum(costs) - room
    if excess <= 0:
        return 0
    step = max(1, room // STEPS)
    to_shed = math.ceil(excess / step) * step
    shed = left_out = 0
    while left_out < len(costs) - 1 and shed < to_shed:
        shed += costs[left_out]
        left_out += 1
    return left_out
