"""Mails that nest, multiply, or hide where a part ends."""

from email.message import EmailMessage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart

from tests.uploads.building import compound
from tests.uploads.hostile import plain
from tests.uploads.hostile.corpus import PARTLY, READ, Bait, hostile

HEAD = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: Harbour\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\n"
SURVIVED = (READ, PARTLY, "broken", "empty", "too_large", "too_many_pages", "bomb")


@hostile("mail-in-mail.eml", *SURVIVED)
def _(bait: Bait) -> bytes:
    inner = HEAD + b"\r\nThe innermost text.\r\n"
    for level in range(500):
        edge = b"edge%d" % level
        inner = (
            HEAD
            + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n" % (edge, edge)
            + (b"Content-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--" + edge + b"--\r\n")
        )
    return inner


@hostile("attached-mails.eml", *SURVIVED)
def _(bait: Bait) -> bytes:
    outer = MIMEMultipart()
    outer["From"], outer["To"], outer["Subject"], outer["Date"] = (
        "a@b.c",
        "b@b.c",
        "Many",
        "Thu, 26 Nov 2026 10:00:00 +0000",
    )
    for number in range(300):
        inner = EmailMessage()
        inner["From"], inner["Subject"] = "c@example.org", f"Mail {number}"
        inner.set_content(f"Text number {number}.")
        outer.attach(MIMEMessage(inner))
    return outer.as_bytes()


@hostile("twenty-thousand-parts.eml", *SURVIVED, "timeout")
def _(bait: Bait) -> bytes:
    part = b"--e\r\nContent-Type: text/plain\r\n\r\nText.\r\n"
    return (
        HEAD + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=e\r\n\r\n" + part * 20_000 + b"--e--\r\n"
    )


@hostile("header-of-ten-megabytes.eml", *SURVIVED)
def _(bait: Bait) -> bytes:
    return HEAD + b"X-Long: " + b"=?utf-8?q?a?= (((((" * 500_000 + b"\r\n\r\nText.\r\n"


@hostile("attachments-that-climb.eml", READ, PARTLY)
def _(bait: Bait) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "Files"
    message["Date"] = "Thu, 26 Nov 2026 10:00:00 +0000"
    message.set_content("Text of the mail.")
    for name in ("../../escaped.txt", str(bait.secret.parent / "escaped.txt"), "a" * 5000, "\u202egpj.exe"):
        message.add_attachment(b"escaped", maintype="application", subtype="octet-stream", filename=name)
    message.add_attachment(plain.document(), maintype="application", subtype="zip", filename="a.docx")
    return message.as_bytes()


@hostile("calls-home.eml", READ, PARTLY)
def _(bait: Bait) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "Look"
    message["Date"] = "Thu, 26 Nov 2026 10:00:00 +0000"
    message["Disposition-Notification-To"] = "c@example.org"
    message.set_content("Text of the mail.")
    message.add_alternative(f'<p>Hello</p><img src="{bait.url}"><link href="{bait.url}">', subtype="html")
    external = f'Content-Type: message/external-body; access-type=URL; URL="{bait.url}"\r\n\r\n'
    return message.as_bytes() + external.encode()


@hostile("no-such-encoding.eml", READ, PARTLY, "broken", "empty")
def _(bait: Bait) -> bytes:
    kind = b'Content-Type: text/plain; charset="no-such-\xff"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    return HEAD + b"Subject: =?x?b?////?=\r\n" + kind + b"!!!! this is no base64 \xff\xfe ====\r\n"


@hostile("nothing-inside.msg", "broken", "empty", READ)
def _(bait: Bait) -> bytes:
    return compound({"__properties_version1.0": b"\xff" * 5000, "__substg1.0_1000001F": b"\xff" * 5000})


@hostile("nothing-inside.doc", "broken", "empty", "encrypted")
def _(bait: Bait) -> bytes:
    return compound({"WordDocument": b"\xec\xa5" + b"\xff" * 6000, "1Table": b"\xff" * 6000})


@hostile("nothing-inside.xls", "broken", "empty")
def _(bait: Bait) -> bytes:
    return compound({"Workbook": b"\x09\x08\x10\x00\x00\x06\x05\x00" + b"\xff" * 6000})


@hostile("nothing-inside.ppt", "broken", "empty")
def _(bait: Bait) -> bytes:
    return compound({"PowerPoint Document": b"\x0f\x00\xe8\x03\xff\xff\xff\x7f" + b"\xff" * 6000, "Current User": b""})


@hostile("table-that-follows-itself.doc", "broken", "empty")
def _(bait: Bait) -> bytes:
    whole = bytearray(compound({"WordDocument": b"\xec\xa5" + bytes(6000), "1Table": bytes(6000)}))
    table = len(whole) - 512
    for sector in range(20):
        whole[table + 4 * sector : table + 4 * sector + 4] = (sector).to_bytes(4, "little")
    return bytes(whole)
