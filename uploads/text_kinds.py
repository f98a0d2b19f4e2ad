"""Whether a file is text, and which kind: by its content where that is plain, else by the ending of its name.

Knows no parser. Looks at a beginning, a middle and an end of the file, never at the whole.
"""

import codecs
import csv
import re
from pathlib import Path

SAMPLE_BYTES = 1 << 16
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Controls that texts hold: tab, line ends, form feed, backspace of old manuals, escape of ISO-2022-JP, ^Z of DOS.
# Others may have slipped in, as the bell does into logs of terminals.
FEW = 0.05
CONTINUATIONS = bytes(range(0x80, 0xC0))
CONTROLS = bytes({*range(32), 127} - set(b"\t\n\r\f\b\x0b\x1b\x1a"))

# All of these run over what a stranger wrote: every repetition is bounded, or cannot match what follows it.
HTML = re.compile(r"(?i)<!doctype\s{1,9}html\b|<(html|head|body)[\s>]")
XML = re.compile(r"(?i)<\?xml\s|<!doctype\s|<!entity\s|<svg[\s>]")
DECLARATION = re.compile(r"<\?xml\s[^>]{0,200}\?>")
TAG = re.compile(r"<[a-zA-Z/][^<>]{0,500}>")
JSON_BEGINS = re.compile(r"""[\[{]\s*(["\[{\]}\d-]|true\b|false\b|null\b)""")
MAIL_HEADER = re.compile(
    r"(?i)(from|to|cc|subject|date|received|return-path|message-id|mime-version|delivered-to|content-type|reply-to"
    r"|dkim-signature|x-[\w-]{1,60}|sender|in-reply-to|references|user-agent|arc-[\w-]{1,60}|authentication-results):"
)
MAIL_SURE = ("from:", "date:", "message-id:", "received:", "return-path:")
FEWEST_HEADERS = 3
MARKDOWN = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"^#{1,6} \S",
        r"^(```|~~~)\w{0,20}[ \t]{0,9}$",
        r"\[[^\]\n]{1,200}\]\([^)\s]{1,500}\)",
        r"^\|?[ \t]{0,9}:?-{3,99}:?[ \t]{0,9}\|",
        r"^[-*+] \S[^\n]{0,500}\n[-*+] \S",
        r"\*\*\w[^*\n]{0,200}\w\*\*",
        r"^> \S",
    )
]
MARKDOWN_CHARACTERS = 20_000
FEWEST_MARKS = 2
# The interpreter of a first line, and endings of names, without their dot.
INTERPRETERS = dict.fromkeys(("sh", "bash", "zsh", "dash", "ksh"), "application/x-sh")
INTERPRETERS |= {"node": "application/javascript", "deno": "application/javascript"}
INTERPRETERS |= {name: f"text/x-{name.lower()}" for name in ("python", "perl", "ruby", "php", "lua", "awk", "Rscript")}
ENDINGS = {
    "md": "text/markdown",
    "markdown": "text/markdown",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "tab": "text/tab-separated-values",
    "htm": "text/html",
    "html": "text/html",
    "xhtml": "application/xhtml+xml",
    "eml": "message/rfc822",
    "json": "application/json",
    "jsonl": "application/json",
    "ndjson": "application/json",
    "ipynb": "application/json",
    "geojson": "application/json",
    "xml": "application/xml",
    "xsd": "application/xml",
    "xsl": "application/xml",
    "svg": "application/xml",
    "js": "application/javascript",
    "mjs": "application/javascript",
    "cjs": "application/javascript",
    "css": "text/css",
    "sh": "application/x-sh",
    "bash": "application/x-sh",
    "zsh": "application/x-sh",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "toml": "application/toml",
    "sql": "application/sql",
} | {
    ending: f"text/x-{language}"
    for language, endings in {
        "python": "py pyi pyw",
        "typescript": "ts tsx mts cts",
        "jsx": "jsx",
        "vue": "vue svelte",
        "c": "c h",
        "c++": "cc cpp cxx hh hpp hxx cu cuh",
        "csharp": "cs",
        "java": "java",
        "kotlin": "kt kts",
        "scala": "scala",
        "groovy": "groovy gradle",
        "swift": "swift",
        "objective-c": "m mm",
        "go": "go",
        "rust": "rs",
        "ruby": "rb",
        "perl": "pl pm",
        "php": "php",
        "lua": "lua",
        "r": "r",
        "julia": "jl",
        "haskell": "hs",
        "ocaml": "ml mli",
        "elixir": "ex exs",
        "erlang": "erl hrl",
        "clojure": "clj cljs",
        "lisp": "lisp el scm",
        "dart": "dart",
        "zig": "zig",
        "nim": "nim",
        "fortran": "f f90 f95",
        "pascal": "pas",
        "vb": "vb vbs bas",
        "powershell": "ps1 psm1",
        "batch": "bat cmd",
        "assembly": "asm s",
        "verilog": "v sv",
        "vhdl": "vhd vhdl",
        "protobuf": "proto",
        "graphql": "graphql gql",
        "scss": "scss sass less",
        "ini": "ini cfg conf properties env",
        "cmake": "cmake",
        "makefile": "mk makefile",
        "dockerfile": "dockerfile",
        "diff": "diff patch",
        "tex": "tex latex bib",
        "awk": "awk",
        "tcl": "tcl",
    }.items()
    for ending in endings.split()
}
FEWEST_ROWS, FEWEST_COLUMNS, WIDEST_CELL = 3, 3, 60
TABLE_LINES = 20


def kind_of_text(path: Path, name: str) -> str | None:
    """None where it is no text. An empty file is plain text."""
    samples = samples_of(path)
    encoding = encoding_of(samples)
    if encoding is None:
        return None
    head = samples[0].decode(encoding, "replace").lstrip("\ufeff \t\r\n")
    last = samples[-1].rstrip(b" \t\r\n\x00")[-1:]
    return kind_by_content(head, last) or kind_by_name(ending_of(name), head) or kind_by_layout(head)


def samples_of(path: Path) -> list[bytes]:
    """Up to three, each beginning at a multiple of four bytes: inside no character of UTF-16 or UTF-32."""
    size = path.stat().st_size
    starts = sorted({0, max(0, size // 2 - SAMPLE_BYTES // 2) & ~3, max(0, size - SAMPLE_BYTES) & ~3})
    samples = []
    with path.open("rb") as file:
        for start in starts:
            file.seek(start)
            samples.append(file.read(SAMPLE_BYTES + 3))
    return samples


def encoding_of(samples: list[bytes]) -> str | None:
    """An encoding in which the beginning can be looked at; None for what is text in none."""
    for bom, name in BOMS.items():
        if samples[0].startswith(bom):
            return name
    if any(b"\x00" in sample for sample in samples):
        return next(
            (name for name in ("utf-16-le", "utf-16-be") if all(is_wide(sample, name) for sample in samples)), None
        )
    if any(len(sample) - len(sample.translate(None, CONTROLS)) > len(sample) * FEW for sample in samples):
        return None
    return "utf-8" if is_utf8(samples) else "latin-1"


def is_utf8(samples: list[bytes]) -> bool:
    first, *others = samples
    try:
        for sample in [first, *(inside.lstrip(CONTINUATIONS) for inside in others)]:
            codecs.getincrementaldecoder("utf-8")().decode(sample)  # the end may be inside a character as well
    except UnicodeDecodeError:
        return False
    return True


def is_wide(sample: bytes, encoding: str) -> bool:
    text = sample[: len(sample) & ~1].decode(encoding, "replace")
    if "\x00" in text or "\ufffd" in text[:-1]:  # a sample may end inside a pair
        return False
    odd = sum(not (character.isprintable() or character in "\t\r\n\f\ufeff") for character in text)
    return odd * 200 <= len(text)


def kind_by_content(head: str, last: bytes) -> str | None:
    if head.startswith("#!"):
        return kind_of_script(head[:200].splitlines()[0])
    is_declared = (declaration := DECLARATION.match(head)) is not None
    markup = without_comments(head[declaration.end() :] if declaration else head)
    if HTML.match(markup):
        return "application/xhtml+xml" if is_declared else "text/html"
    if is_declared or XML.match(markup):
        return "application/xml"
    if head.startswith("<?php"):
        return "text/x-php"
    if JSON_BEGINS.match(head) and last in (b"]", b"}"):
        return "application/json"
    return "message/rfc822" if is_mail(head) else None


def kind_of_script(line: str) -> str | None:
    words = [word.rpartition("/")[2] for word in line[2:].split() if not word.startswith("-")]
    program = next((word for word in words if word != "env"), "").rstrip("0123456789.")
    return INTERPRETERS.get(program)


def without_comments(markup: str) -> str:
    markup = markup.lstrip()
    while markup.startswith("<!--") and (end := markup.find("-->")) >= 0:
        markup = markup[end + 3 :].lstrip()
    return markup


def is_mail(head: str) -> bool:
    """Begins with header lines, three at least, one of them such that only mail has it."""
    lines = head[:MARKDOWN_CHARACTERS].splitlines()
    if lines and lines[0].startswith("From "):  # as mailboxes separate their mails
        lines = lines[1:]
    headers = []
    for line in lines:
        if not line.strip():
            break
        if line[0] in " \t":
            continue
        if not re.match(r"[!-9;-~]{1,100}:", line):
            return False
        if MAIL_HEADER.match(line):
            headers.append(line.lower())
    return len(headers) >= FEWEST_HEADERS and any(line.startswith(MAIL_SURE) for line in headers)


def ending_of(name: str) -> str:
    """Of "a.tar.GZ" it is "gz"; of a name without a dot, the name: Makefile."""
    return name.rpartition("/")[2].rpartition(".")[2].lower()


def kind_by_name(ending: str, head: str) -> str | None:
    kind = ENDINGS.get(ending)
    if kind in ("text/html", "application/xhtml+xml") and not TAG.search(head):
        return None
    if kind == "message/rfc822" and not MAIL_HEADER.match(head):
        return None
    return kind


def kind_by_layout(head: str) -> str:
    """For text whose name says nothing, or something it is not."""
    lines = head.splitlines()[: TABLE_LINES + 1]
    whole = lines[:-1] if len(lines) > TABLE_LINES else lines
    for delimiter, kind in (("\t", "text/tab-separated-values"), (";", "text/csv"), (",", "text/csv")):
        if is_table(whole, delimiter):
            return kind
    marks = sum(pattern.search(head[:MARKDOWN_CHARACTERS]) is not None for pattern in MARKDOWN)
    return "text/markdown" if marks >= FEWEST_MARKS else "text/plain"


def is_table(lines: list[str], delimiter: str) -> bool:
    try:
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return False
    cells = [cell for row in rows for cell in row]
    return (
        len(rows) >= FEWEST_ROWS
        and len(rows[0]) >= FEWEST_COLUMNS
        and len({len(row) for row in rows}) == 1
        and sum(map(len, cells)) <= WIDEST_CELL * len(cells)
    )
