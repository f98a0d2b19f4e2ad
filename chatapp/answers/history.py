"""The conversation above an answer, in turns, as its model reads it."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from chatapp.context.assembly import Turn
from chatapp.context.sources import without_marks
from chatapp.conversations.models import Message
from chatapp.conversations.selectors import read_tree
from chatapp.evidence.models import Evidence


@dataclass(frozen=True, slots=True)
class Said:
    """A turn and its messages: the question, and the answer where it has a text."""

    turn: Turn
    messages: list[Message]


def history_above(reply: Message) -> list[Said]:
    """An answer without text leaves its question alone. The marks of pages have left the answers with their pages."""
    path = read_tree(reply.conversation_id).path(reply.id)[:-1]
    messages = Message.objects.in_bulk(path)
    of_pages = numbers_of_pages(path)
    turns: list[Said] = []
    for message in (messages[id] for id in path):
        if message.role == Message.Role.USER:
            turns.append(Said(Turn(message.text), [message]))
        elif message.text and turns:
            turn, [question] = turns[-1].turn, turns[-1].messages
            told = without_marks(message.text, of_pages.get(message.pk, ()))
            turns[-1] = Said(replace(turn, reply=told), [question, message])
    return turns


def turns_of(history: Sequence[Said]) -> list[Turn]:
    return [said.turn for said in history]


def numbers_of_pages(message_ids: Collection[UUID]) -> dict[UUID, set[int]]:
    """The numbers that stand for pages of the web in these messages: no later question is given the same pages."""
    rows = Evidence.objects.filter(answer__message__in=message_ids, page__isnull=False)
    numbers: dict[UUID, set[int]] = defaultdict(set)
    for message_id, number in rows.values_list("answer__message", "number"):
        numbers[message_id].add(number)
    return numbers
