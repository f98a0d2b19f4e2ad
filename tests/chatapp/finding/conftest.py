"""Chats that are written and read as the site does it."""

from uuid import UUID

from chatapp.accounts.models import User
from chatapp.conversations.models import Conversation, Message
from chatapp.finding.indexing import index_waiting
from chatapp.finding.selectors import Found, find


def say(conversation: Conversation, *texts: str, parent: Message | None = None) -> list[Message]:
    """Question, answer, question ... below one another; read at once."""
    said = []
    for number, text in enumerate(texts):
        role = Message.Role.ASSISTANT if number % 2 else Message.Role.USER
        author = None if number % 2 else conversation.owner
        parent = conversation.messages.create(parent=parent, role=role, author=author, text=text)
        said.append(parent)
    Conversation.objects.filter(pk=conversation.pk).update(active_leaf=parent)
    index_waiting()
    return said


def found(viewer: User, query: str) -> list[Found]:
    return find(viewer, query).found


def found_messages(viewer: User, query: str) -> list[UUID | None]:
    return [each.message_id for each in found(viewer, query)]


def line(each: Found) -> str:
    return "".join(f"[{piece.text}]" if piece.is_marked else piece.text for piece in each.snippet)
