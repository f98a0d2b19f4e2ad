"""Titles by the model: what is asked, and which replies are good enough. Knows no database and no broker."""

import re

from chatapp.context.messages import ChatMessage
from chatapp.endpoints.deltas import Completed
from chatapp.endpoints.dialects import Question

MAX_TITLE = 60  # characters, as wide as the sidebar
MAX_TOKENS = 40
EXCERPT = 600  # characters of the question and of its answer: a title needs no more, and each costs

_ASK = (
    "Write a title of two to six words for this conversation, in the language of the question. "
    "Answer with the title alone: no quotation marks, no full stop, no markup."
)


def title_question(question: str, reply: str) -> Question:
    text = f"{_ASK}\n\nQuestion:\n{question[:EXCERPT]}\n\nAnswer:\n{reply[:EXCERPT]}"
    return Question((ChatMessage("user", text),), MAX_TOKENS, thinking=False)


def usable_title(text: str, completed: Completed) -> str | None:
    """The title, or None: a cut, tagged, many-lined or over-long reply is no title, and the first words stay."""
    title = text.strip().strip("\"'“”„«»「」*# ").removeprefix("Title:").strip().rstrip(".。")
    is_cut = completed.finish_reason not in ("stop", "")
    if is_cut or not title or "\n" in title or len(title) > MAX_TITLE or re.search(r"<[^>]*>|```", title):
        return None
    return title
