"""The shown branch of a conversation, as far as it has ended: what is copied, and what a public link shows."""

from dataclasses import dataclass

from chatapp.answers.models import ENDED, Answer
from chatapp.conversations.models import Conversation, Message
from chatapp.conversations.selectors import read_tree


@dataclass(frozen=True, slots=True)
class Turn:
    question: Message
    reply: Message
    answer: Answer  # the newest attempt, which says the state of the reply


def ended_turns(conversation: Conversation) -> list[Turn]:
    """From the beginning up to the first answer that is still being made."""
    tree = read_tree(conversation.pk)
    leaf = conversation.active_leaf_id
    end = tree.end_of(leaf if leaf is not None and leaf in tree else None)
    path = tree.path(end) if end else []
    messages = Message.objects.in_bulk(path)
    attempts = Answer.objects.filter(message__in=path).defer("token_ids").order_by("created_at", "id")
    newest = {attempt.message_id: attempt for attempt in attempts}
    turns: list[Turn] = []
    for question_id, reply_id in zip(path[::2], path[1::2], strict=False):
        answer = newest.get(reply_id)
        if answer is None or answer.status not in ENDED:
            break
        turns.append(Turn(messages[question_id], messages[reply_id], answer))
    return turns
