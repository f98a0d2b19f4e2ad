"""Mail (.eml, .msg): its head, its body by unstructured, and the files attached to it by their own parsers.

Everything in a mail is a paragraph of it; an attachment's name stands among the headings of its text.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from email import message_from_binary_file
from email.message import Message
from email.policy import default
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import cast

from uploads.document import Block, Event, Progress, Source, Started, Unparsable, Unreadable
from uploads.parsers import parser_for
from uploads.parsers.compound import opened
from uploads.parsers.elements import blocks
from uploads.parsers.outline import Outline
from uploads.parsers.partitioning import partitioner
from uploads.parsers.promise import kept
from uploads.place import ParagraphPlace
from uploads.sniffing import sniff

OUTLOOK = "application/vnd.ms-outlook"
MAIL = "message/rfc822"
PROPERTIES = "__properties_version1.0"
# A mail in a mail in a mail; deeper ones are told as unreadable.
MAX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Attached:
    """`is_mail`: a part of the mail's own structure says so. Of all others the type is in the bytes."""

    name: str
    data: bytes
    is_mail: bool = False


@dataclass(frozen=True, slots=True)
class Mail:
    head: list[tuple[str, str]]
    subject: str
    attached: list[Attached]


def parse(source: Source) -> Iterator[Event]:
    return _parse(source, depth=1)


def _parse(source: Source, depth: int) -> Iterator[Event]:
    mail = _outlook(source.path) if source.media_type == OUTLOOK else _internet(source.path)
    yield Started("part", 1 + len(mail.attached))
    numbers = count(1)
    head = "\n".join(f"{name}: {' '.join(value.split())}" for name, value in mail.head if value)
    yield Block("text", head, {"kind": "paragraph", "paragraph": next(numbers)})
    form = "msg" if source.media_type == OUTLOOK else "email"
    elements = partitioner(form)(str(source.path), process_attachments=False, languages=[""])
    yield from blocks(elements, Outline(mail.subject) if mail.subject else Outline(), numbers)
    yield Progress(1)
    for number, attached in enumerate(mail.attached, 2):
        yield from _attachment(attached, number, source, mail.subject, numbers, depth)
        yield Progress(number)


def _attachment(
    attached: Attached, number: int, source: Source, subject: str, numbers: Iterator[int], depth: int
) -> Iterator[Event]:
    above = tuple(title for title in (subject, attached.name) if title)
    with NamedTemporaryFile() as file:
        file.write(attached.data)
        file.flush()
        media_type = MAIL if attached.is_mail else sniff(Path(file.name), attached.name)
        if media_type is None:
            yield Unreadable(number, "unsupported")
            return
        inner = Source(Path(file.name), media_type, attached.name, source.limits)
        try:
            is_whole = True
            for event in _inner(inner, depth):
                if isinstance(event, Unreadable) and is_whole:
                    is_whole = False
                    yield Unreadable(number, event.fault)
                if isinstance(event, Block):
                    place: ParagraphPlace = {"kind": "paragraph", "paragraph": next(numbers)}
                    yield replace(event, place=place, headings=above + event.headings)
        except Unparsable as problem:
            if problem.fault != "empty":  # a logo without words is no loss
                yield Unreadable(number, problem.fault)


def _inner(source: Source, depth: int) -> Iterator[Event]:
    if source.media_type not in (MAIL, OUTLOOK):
        return parser_for(source.media_type)(source)
    if depth == MAX_DEPTH:
        raise Unparsable("unsupported")
    return kept(partial(_parse, depth=depth + 1))(source)


def _internet(path: Path) -> Mail:
    with path.open("rb") as file:
        message = message_from_binary_file(file, policy=default)
    if not message.keys():
        raise Unparsable("broken")
    head = [(name, str(message.get(name, ""))) for name in ("From", "To", "Cc", "Date", "Subject")]
    attached = [
        Attached(name, _bytes(part), part.get_content_type() == MAIL)
        for part in message.iter_attachments()
        if (name := part.get_filename() or "") or part.get_content_type() == MAIL
    ]
    return Mail(head, str(message.get("Subject", "")), attached)


def _bytes(part: Message) -> bytes:
    if part.get_content_type() == MAIL:
        (inner,) = cast(list[Message], part.get_payload())
        return inner.as_bytes()
    return cast(bytes, part.get_payload(decode=True) or b"")


def _outlook(path: Path) -> Mail:
    from oxmsg import Message as OutlookMessage

    opened(path, PROPERTIES).close()
    message = OutlookMessage.load(str(path))
    sent = message.sent_date
    head = [
        ("From", message.sender or ""),
        ("To", ", ".join(f"{recipient.name} <{recipient.email_address}>" for recipient in message.recipients)),
        ("Date", sent.isoformat() if sent else ""),
        ("Subject", message.subject),
    ]
    attached = [
        Attached(name, item.file_bytes or b"") for item in message.attachments if (name := item.file_name or "")
    ]
    return Mail(head, message.subject, attached)
