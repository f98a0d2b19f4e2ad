"""Archives that unpack to far more than they are, overlap, lie, or are locked."""

import io
import tempfile
import zipfile

import msoffcrypto.format.ooxml

from tests.uploads.building import Packed, archive, packed, packed_run, quoted
from tests.uploads.hostile import plain
from tests.uploads.hostile.corpus import PARTLY, READ, REFUSED, Bait, hostile

MEGABYTE = b" " * 1024**2
BOMB_MEGABYTES = 100
WORDS_BEGIN = (
    b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>'
)
WORDS_END = b"</w:t></w:r></w:p></w:body></w:document>"
CELLS_BEGIN = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
ROW = b'<row><c t="inlineStr"><is><t>a</t></is></c></row>' * 20_000
CELLS_END = b"</sheetData></worksheet>"


def with_members(whole: bytes, *members: Packed, without: tuple[str, ...] = ()) -> bytes:
    added = {member.name.decode() for member in members}
    kept = [packed(n, data) for n, data in plain.members_of(whole).items() if n not in added and n not in without]
    return archive([*kept, *members])


@hostile("bomb.docx", "bomb")
def _(bait: Bait) -> bytes:
    bomb = packed_run("word/document.xml", WORDS_BEGIN, MEGABYTE, BOMB_MEGABYTES, WORDS_END)
    return with_members(plain.document(), bomb)


@hostile("bomb-that-says-it-is-small.docx", "bomb", "broken")
def _(bait: Bait) -> bytes:
    bomb = packed_run("word/document.xml", WORDS_BEGIN, MEGABYTE, BOMB_MEGABYTES, WORDS_END, size=2000)
    return with_members(plain.document(), bomb)


@hostile("bomb-beside-the-text.docx", "bomb")
def _(bait: Bait) -> bytes:
    return with_members(plain.document(), packed_run("word/media/image1.png", b"", MEGABYTE, BOMB_MEGABYTES, b""))


@hostile("bomb.xlsx", "bomb")
def _(bait: Bait) -> bytes:
    return with_members(
        plain.sheet(), packed_run("xl/worksheets/sheet1.xml", CELLS_BEGIN, ROW, BOMB_MEGABYTES, CELLS_END)
    )


@hostile("bomb-that-says-it-is-small.xlsx", "bomb", "broken", "memory", READ, "too_large", "empty")
def _(bait: Bait) -> bytes:
    bomb = packed_run("xl/worksheets/sheet1.xml", CELLS_BEGIN, ROW, BOMB_MEGABYTES, CELLS_END, size=2000)
    return with_members(plain.sheet(), bomb)


@hostile("bomb-of-strings.xlsx", "bomb", "broken", "too_large", READ)
def _(bait: Bait) -> bytes:
    begin = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" count="4294967295"><si><t>'
    bomb = packed_run("xl/sharedStrings.xml", begin, MEGABYTE, 40, b"</t></si></sst>")
    return with_members(plain.sheet(), bomb)


@hostile("cell-at-the-far-corner.xlsx", READ, "too_large", "bomb", "memory")
def _(bait: Bait) -> bytes:
    cell = b'<row r="%d"><c r="%s%d"><v>7</v></c></row>'
    rows = cell % (1, b"A", 1) + cell % (1048576, b"XFD", 1048576)
    return with_members(plain.sheet(), packed("xl/worksheets/sheet1.xml", CELLS_BEGIN + rows + CELLS_END))


@hostile("bomb.pptx", "bomb")
def _(bait: Bait) -> bytes:
    return with_members(plain.slides(), packed_run("ppt/slides/slide1.xml", b"<a>", MEGABYTE, BOMB_MEGABYTES, b"</a>"))


@hostile("bomb.odt", "bomb")
def _(bait: Bait) -> bytes:
    head, tail = (plain.OPEN_TEXT % (b"", b"@")).split(b"@")
    return with_members(plain.open_text(), packed_run("content.xml", head, MEGABYTE, BOMB_MEGABYTES, tail))


@hostile("bomb.epub", "bomb")
def _(bait: Bait) -> bytes:
    head, tail = (plain.CHAPTER % (b"", b"@")).split(b"@")
    return with_members(plain.book(), packed_run("one.xhtml", head, MEGABYTE, BOMB_MEGABYTES, tail))


@hostile("every-member-is-the-same.docx", "bomb", "broken")
def _(bait: Bait) -> bytes:
    """Two thousand members, one body: only the directory is long."""
    first = packed_run("word/media/0.png", b"", MEGABYTE, 10, b"")
    others = [Packed(b"word/media/%d.png" % n, first.body, 8, first.crc, first.size, offset=0) for n in range(1, 2000)]
    kept = [packed(name, data) for name, data in plain.members_of(plain.document()).items()]
    return archive([first, *others, *kept])


@hostile("members-that-quote-each-other.docx", "bomb", "broken")
def _(bait: Bait) -> bytes:
    names = ["[Content_Types].xml", "word/document.xml", *(f"word/{number}.xml" for number in range(500))]
    return archive(quoted(names, MEGABYTE))


@hostile("archive-in-archive.docx", READ)
def _(bait: Bait) -> bytes:
    """Nobody asked for what is inside the inner ones."""
    inner = archive([packed_run("a", b"", MEGABYTE, 50, b"")])
    for _ in range(20):
        inner = archive([packed(f"{number}.zip", inner) for number in range(3)][:1])
    return with_members(plain.document(), packed("word/embeddings/oleObject1.zip", inner))


@hostile("a-hundred-thousand-members.docx", "bomb")
def _(bait: Bait) -> bytes:
    empty = (Packed(b"word/%d" % number, b"", 0, 0, 0) for number in range(110_000))
    kept = [packed(name, data) for name, data in plain.members_of(plain.document()).items()]
    return archive([*kept, *empty])


@hostile("unknown-compression.docx", "broken")
def _(bait: Bait) -> bytes:
    return with_members(plain.document(), packed("word/document.xml", WORDS_BEGIN, method=99))


@hostile("password.docx", "encrypted")
def _(bait: Bait) -> bytes:
    return locked(plain.document())


@hostile("password.xlsx", "encrypted")
def _(bait: Bait) -> bytes:
    return locked(plain.sheet())


@hostile("password.pptx", "encrypted")
def _(bait: Bait) -> bytes:
    return locked(plain.slides())


def locked(whole: bytes) -> bytes:
    file = msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(whole))
    with tempfile.TemporaryFile() as out:
        file.encrypt("password", out)
        out.seek(0)
        return out.read()


@hostile("password.odt", "encrypted")
def _(bait: Bait) -> bytes:
    sealed = b'<manifest:encryption-data manifest:checksum-type="SHA1/1K" manifest:checksum="x"/>'
    return plain.open_text(text=b"\x01\x02", sealed=sealed)


@hostile("members-with-a-password.docx", "encrypted")
def _(bait: Bait) -> bytes:
    return with_members(plain.document(), packed("word/document.xml", b"x" * 100, flags=1))


@hostile("password.zip", REFUSED)
def _(bait: Bait) -> bytes:
    return archive([packed("a.txt", b"x" * 100, flags=1)])


@hostile("plain.zip", REFUSED)
def _(bait: Bait) -> bytes:
    return archive([packed("a.docx", plain.document())])


@hostile("macro.docm", READ)
def _(bait: Bait) -> bytes:
    """Opens itself, calls the address; nobody runs it."""
    kind = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    types = plain.members_of(plain.document())["[Content_Types].xml"]
    types = types.replace(kind, b"application/vnd.ms-word.document.macroEnabled.main+xml")
    return with_members(
        plain.document(), packed("[Content_Types].xml", types), packed("word/vbaProject.bin", macro(bait))
    )


@hostile("macro.xlsm", READ)
def _(bait: Bait) -> bytes:
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    types = plain.members_of(plain.sheet())["[Content_Types].xml"]
    types = types.replace(kind, b"application/vnd.ms-excel.sheet.macroEnabled.main+xml")
    return with_members(plain.sheet(), packed("[Content_Types].xml", types), packed("xl/vbaProject.bin", macro(bait)))


def macro(bait: Bait) -> bytes:
    return f'Sub AutoOpen()\nShell "curl {bait.url}"\nEnd Sub\nSub Workbook_Open()\nAutoOpen\nEnd Sub\n'.encode()


@hostile("program-behind-it.docx", READ, "broken")
def _(bait: Bait) -> bytes:
    return plain.document() + b"\x7fELF" + bytes(4096)


@hostile("links-as-members.docx", READ)
def _(bait: Bait) -> bytes:
    link = packed("word/media/image1.png", str(bait.secret).encode(), mode=0o120777)
    return with_members(plain.document(), link)


@hostile("the-text-is-a-link.odt", "broken", "empty")
def _(bait: Bait) -> bytes:
    link = packed("content.xml", str(bait.secret).encode(), mode=0o120777)
    return with_members(plain.open_text(), link)


@hostile("two-of-each-name.docx", READ, "broken")
def _(bait: Bait) -> bytes:
    kept = [packed(name, data) for name, data in plain.members_of(plain.document()).items()]
    return archive([*kept, *kept, packed("word/document.xml", b"<other/>")])


def climbing(bait: Bait) -> list[str]:
    target = bait.secret.parent / "escaped.txt"
    up = "../" * 12
    return [
        f"{up}{str(target).lstrip('/')}", str(target), "..\\..\\escaped.txt", "C:\\escaped.txt", "//host/escaped.txt",
        "word/../../escaped.txt", "a\x00b.xml", "a" * 60_000, "\u202egpj.exe", "~/.bashrc", "con", "a/" * 5000, "",
        "word/\n.xml", "$(touch escaped.txt)", "; touch escaped.txt",
    ]  # fmt: skip


@hostile("members-that-climb.docx", READ)
def _(bait: Bait) -> bytes:
    return with_members(plain.document(), *(packed(name, b"escaped") for name in climbing(bait)))


@hostile("members-that-climb.xlsx", READ)
def _(bait: Bait) -> bytes:
    return with_members(plain.sheet(), *(packed(name, b"escaped") for name in climbing(bait)))


@hostile("members-that-climb.epub", READ)
def _(bait: Bait) -> bytes:
    return with_members(plain.book(), *(packed(name, b"escaped") for name in climbing(bait)))


@hostile("chapter-outside.epub", "broken", "empty", PARTLY, READ)
def _(bait: Bait) -> bytes:
    return plain.book(href="../" * 12 + str(bait.secret).lstrip("/"))


@hostile("chapter-by-address.epub", "broken", "empty", PARTLY, READ)
def _(bait: Bait) -> bytes:
    return plain.book(href=bait.url)


@hostile("only-a-signature.docx", REFUSED)
def _(bait: Bait) -> bytes:
    return b"PK\x03\x04"


@hostile("empty-archive.docx", REFUSED)
def _(bait: Bait) -> bytes:
    file = io.BytesIO()
    zipfile.ZipFile(file, "w").close()
    return file.getvalue()
