"""From a conversation to what is typed into a search engine: how a model is asked for it, and how it is understood.

Knows no database, HTTP, settings or clock.
"""

import re
from collections.abc import Sequence

from chatapp.context.assembly import Turn
from chatapp.context.messages import ChatMessage

MAX_QUERIES = 3
MAX_CHARACTERS = 200  # of a query; a longer line is an answer
SYSTEM = "You write queries for a web search engine. You do not answer questions."
TASK = (
    "Today is %(today)s. Somebody asks the question below, and the web is searched before it is answered. Write one to"
    " three queries, one a line, and nothing else. Short, as people type them, in the language of the question. Name"
    " what words like “it” or “the second one” mean, and the year where it matters. One query is enough for a simple"
    " question."
)
EARLIER_TURNS, EARLIER_QUESTION, EARLIER_REPLY, QUESTION = 3, 500, 700, 4000  # characters, but for the first

_LEAD = re.compile(r"^(?:[-*•–>]+|\(?\d{1,2}[.):、]|(?:query|suche|查询)\s*\d*\s*[:：])\s*", re.IGNORECASE)
_QUOTES = "\"'“”„«»`「」"
_WORD = re.compile(r"\w")


def asked_for_queries(turns: Sequence[Turn], today: str) -> tuple[ChatMessage, ...]:
    """The question is the last turn's."""
    *earlier, last = turns
    said = [
        f"User: {turn.question[:EARLIER_QUESTION]}\nAssistant: {turn.reply[:EARLIER_REPLY]}"
        for turn in earlier[-EARLIER_TURNS:]
    ]
    conversation = ["The conversation before it:\n" + "\n".join(said)] if said else []
    task = "\n\n".join([TASK % {"today": today}, *conversation, f"The question:\n{last.question[:QUESTION]}"])
    return ChatMessage("system", SYSTEM), ChatMessage("user", task)


def queries_in(text: str) -> list[str]:
    """The queries of a model's words; none where it wrote something else."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        query = _cleaned(line)
        if query and len(query) <= MAX_CHARACTERS and not query.endswith((":", "：", ".", "。")):
            found.setdefault(query.casefold(), query)
    return list(found.values())[:MAX_QUERIES]


def _cleaned(line: str) -> str:
    line = " ".join(line.split())
    if line.startswith(("```", "<")) or not _WORD.search(line):
        return ""
    query = _LEAD.sub("", line).strip()
    is_quoted = len(query) > 1 and query[0] in _QUOTES and query[-1] in _QUOTES
    return query[1:-1].strip() if is_quoted and not any(mark in query[1:-1] for mark in _QUOTES) else query
