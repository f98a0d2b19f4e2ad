"""Files that a call refers to: waited for, read whole or in passages, and cited. The same reading as that of chats."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from chatapp.answers.given import Given
from chatapp.answers.pictures import MOST_PICTURES, is_seen
from chatapp.answers.prepared import CannotAnswer
from chatapp.answers.questions import ROOM_FOR_TEMPLATE
from chatapp.answers.sources import Plan, count_moving_of, passages_of, plan_for, query_of
from chatapp.context.counting import Counter
from chatapp.context.messages import ChatMessage, Image
from chatapp.context.sources import RULES, Sources, place_words
from chatapp.evidence.marks import mark_spans
from chatapp.evidence.services import Draft
from chatapp.programs.request import Asking, file_id
from uploads.models import Upload
from uploads.selectors import open_bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """`room_tokens` is what the files may take beside the messages."""

    uploads: Sequence[Upload]
    room_tokens: int
    counter: Counter
    is_demo: bool
    sees: bool


def uploads_of(asking: Asking) -> list[Upload]:
    """Those that are still there, in the order of the messages. Whose they are was asked when the call came."""
    found = Upload.objects.select_related("reading", "blob").in_bulk(asking.file_ids)
    return [found[id] for id in asking.file_ids if id in found]


def count_moving(asking: Asking) -> int:
    return count_moving_of(uploads_of(asking))


def read(asking: Asking, reading: Reading) -> Plan:
    """Raises CannotAnswer where a file gives nothing: a program should not take an answer for one that has read it."""
    if missing := len(asking.file_ids) - len(reading.uploads):
        raise CannotAnswer("files_unread", f"{missing} of the files are not there any more.")
    *before, question = [said.message.content for said in asking.messages if said.message.role == "user"]
    room = max(0, reading.room_tokens - reading.counter.count(RULES) - ROOM_FOR_TEMPLATE)
    given = Given(tuple(reading.uploads))
    plan = plan_for(given, query_of(question, before), room, reading.counter, is_demo=reading.is_demo)
    for code, params in plan.notices:
        if code == "file_late" or (code == "file_unreadable" and not (reading.sees and params["is_picture"])):
            reason = params.get("code", "it took too long")
            raise CannotAnswer("files_unread", f"The file {params['name']!r} cannot be read: {reason}.")
    return plan


def with_files(asking: Asking, plan: Plan, reading: Reading) -> tuple[ChatMessage, ...]:
    """The messages with what was read: whole files with the system text, passages with the last question."""
    sources = Sources(plan.mode, passages_of(plan.drafts), reading.is_demo)
    messages = [said.message for said in asking.messages]
    if reading.sees:
        messages = _with_pictures(asking, reading.uploads)
    last = max(index for index, message in enumerate(messages) if message.role == "user")
    messages[last] = replace(messages[last], content=sources.in_question(messages[last].content))
    first = messages[0]
    if sources.mode == "whole":
        if first.role == "system":
            messages[0] = replace(first, content=sources.in_system(first.content))
        else:
            messages.insert(0, ChatMessage("system", sources.in_system("").lstrip()))
    return tuple(messages)


def annotations(text: str, drafts: Sequence[Draft]) -> tuple[dict[str, Any], ...]:
    """What each mark in the text stands for, in the form of OpenAI's file citations. Offsets count characters."""
    return tuple(
        {
            "type": "file_citation",
            "text": text[start:end],
            "start_index": start,
            "end_index": end,
            "file_citation": _citation(number, drafts[number - 1]),
        }
        for start, end, number in mark_spans(text)
        if 1 <= number <= len(drafts)
    )


def _citation(number: int, draft: Draft) -> dict[str, Any]:
    return {
        "file_id": file_id(draft.upload_id) if draft.upload_id else None,
        "filename": draft.name,
        "number": number,
        "quote": draft.text,
        "where": place_words(draft.place),
        "place": draft.place,
    }


def _with_pictures(asking: Asking, uploads: Sequence[Upload]) -> list[ChatMessage]:
    """For a model that sees: pictures among the files beside the text that was read in them."""
    seen = {upload.pk: upload for upload in uploads if is_seen(upload)}
    shown = [id for id in asking.file_ids if id in seen][-MOST_PICTURES:]
    return [
        replace(
            said.message, images=(*said.message.images, *(_picture(seen[id]) for id in said.file_ids if id in shown))
        )
        for said in asking.messages
    ]


def _picture(upload: Upload) -> Image:
    assert upload.blob is not None, "only what has bytes is seen"
    with open_bytes(upload) as file:
        return Image(upload.blob.media_type, base64.b64encode(file.read()).decode())
