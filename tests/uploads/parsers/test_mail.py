"""Mail, by the standard library's email; Outlook's by tests/uploads/parsers/outlook.py."""

from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.uploads.parsers import outlook
from tests.uploads.parsers.reading import TYPES, block_with, blocks_of, read
from uploads.document import Progress, Started, Unparsable, Unreadable


def letter(subject: str = "Größere Flächen") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = "Anna Schäfer <anna@example.com>", "Bert <bert@example.com>"
    mail["Subject"], mail["Date"] = subject, "Fri, 01 Mar 2024 10:00:00 +0100"
    mail.set_content("Dear Bert,\n\nthe dredging begins in May.\n\nAnna")
    return mail


def saved(mail: EmailMessage, path: Path) -> Path:
    path.write_bytes(mail.as_bytes())
    return path


def test_head_and_body_are_paragraphs_under_the_subject(tmp_path: Path) -> None:
    blocks = blocks_of(saved(letter(), tmp_path / "a.eml"))
    assert blocks[0].text.splitlines() == [
        "From: Anna Schäfer <anna@example.com>",
        "To: Bert <bert@example.com>",
        "Date: Fri, 01 Mar 2024 10:00:00 +0100",
        "Subject: Größere Flächen",
    ]
    assert block_with("dredging", blocks).headings == ("Größere Flächen",)
    numbers = [block.place["paragraph"] for block in blocks if block.place["kind"] == "paragraph"]
    assert numbers == list(range(1, len(blocks) + 1))


def test_the_html_body_is_read_as_a_page(tmp_path: Path) -> None:
    mail = letter()
    mail.add_alternative(
        "<html><body><h1>Plan</h1><p>The <b>dredging</b> begins in June.</p></body></html>", subtype="html"
    )
    blocks = blocks_of(saved(mail, tmp_path / "a.eml"))
    assert block_with("in June", blocks).headings == ("Größere Flächen", "Plan")


def test_attachments_are_read_by_their_own_parsers(written: Path, tmp_path: Path) -> None:
    mail = letter()
    report = (written / "report.docx").read_bytes()
    mail.add_attachment(report, maintype="application", subtype=TYPES["docx"].split("/")[1], filename="report.docx")
    mail.add_attachment("item;euro\nmole;410\n", subtype="csv", filename="../../costs.csv")
    path = saved(mail, tmp_path / "a.eml")
    events = read(path)
    assert events[0] == Started("part", 3)
    assert [event.done for event in events if isinstance(event, Progress)] == [1, 2, 3]
    blocks = blocks_of(path)
    assert block_with("Chapter 2 opens", blocks).headings == (
        "Größere Flächen",
        "report.docx",
        "Harbour report",
        "Chapter 2",
    )
    assert block_with("mole", blocks).text == "item\teuro\nmole\t410"
    assert block_with("mole", blocks).place["kind"] == "paragraph"


def test_an_attachment_is_what_it_holds_not_what_the_sender_calls_it(written: Path, tmp_path: Path) -> None:
    mail = letter()
    report = (written / "report.docx").read_bytes()
    mail.add_attachment(report, maintype="application", subtype="pdf", filename="report.pdf")
    mail.add_attachment(b"\x7fELF" + bytes(100), maintype="text", subtype="plain", filename="notes.txt")
    path = saved(mail, tmp_path / "a.eml")
    assert block_with("Chapter 2 opens", blocks_of(path)).headings[1] == "report.pdf"
    assert [event for event in read(path) if isinstance(event, Unreadable)] == [Unreadable(3, "unsupported")]


def test_an_attachment_that_cannot_be_read_does_not_spoil_the_mail(written: Path, tmp_path: Path) -> None:
    mail = letter()
    report = (written / "report.docx").read_bytes()
    torn = report[: len(report) // 2]
    mail.add_attachment(torn, maintype="application", subtype=TYPES["docx"].split("/")[1], filename="a.docx")
    mail.add_attachment(b"\x7fELF", maintype="application", subtype="octet-stream", filename="program")
    events = read(saved(mail, tmp_path / "a.eml"))
    assert [event for event in events if isinstance(event, Unreadable)] == [
        Unreadable(2, "broken"),
        Unreadable(3, "unsupported"),
    ]


def test_a_mail_in_a_mail_is_read_and_the_nest_has_an_end(tmp_path: Path) -> None:
    mail = letter("level 5")
    for level in (4, 3, 2, 1):
        outer = letter(f"level {level}")
        outer.add_attachment(mail)
        mail = outer
    path = saved(mail, tmp_path / "a.eml")
    subjects = {block.headings[-1] for block in blocks_of(path) if "dredging" in block.text}
    assert subjects == {"level 1", "level 2", "level 3"}
    assert [event.fault for event in read(path) if isinstance(event, Unreadable)] == ["unsupported"]


def test_what_is_no_mail_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_text("no header at all\n")
    with pytest.raises(Unparsable, match="broken"):
        read(path)
    path = tmp_path / "a.msg"
    path.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(Unparsable, match="broken"):
        read(path)


def test_outlook_messages_are_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.msg"
    costs = "item,euro\n" + "".join(f"item {number},{number}\n" for number in range(1000))
    outlook.write_message(
        path,
        "Größere Flächen",
        "Dear Bert,\r\n\r\nthe dredging begins in May.",
        {"costs.csv": ("text/csv", costs.encode())},
    )
    blocks = blocks_of(path)
    assert blocks[0].text.splitlines() == [
        'From: "Anna Schäfer" <anna@example.com>',
        "To: Bert <bert@example.com>",
        "Subject: Größere Flächen",
    ]
    assert block_with("dredging", blocks).headings == ("Größere Flächen",)
    assert block_with("item 999\t", blocks).headings == ("Größere Flächen", "costs.csv")
