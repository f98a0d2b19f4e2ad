"""The catalogues of translations: which strings the code has, what the .po files say, and the compiled .mo files.

The .po files are the source; .mo files are compiled at set-up and by the tests, with polib because msgfmt is missing on
many machines, and are not committed: a binary file would be stale after every merge. Strings of JavaScript stand in
their own domain, `djangojs`, which is sent to browsers and needs no .mo.
"""

import ast
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polib
from django.conf import settings
from django.utils.translation import to_locale
from django.utils.translation.template import templatize

TRANSLATED = tuple(code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE)
PLURALS = {"de": "nplurals=2; plural=(n != 1);", "zh-hans": "nplurals=1; plural=0;"}

_CALL = re.compile(r"\b(?:npgettext|pgettext|ngettext|gettext|_)\(")
_JS_CALL = re.compile(r"""(?<![\w.$])t\(\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[^)\s][^),]*)""")
_PYTHON_NAMES = {
    "_": "gettext",
    "gettext": "gettext",
    "gettext_lazy": "gettext",
    "gettext_noop": "gettext",
    "ngettext": "ngettext",
    "ngettext_lazy": "ngettext",
    "pgettext": "pgettext",
    "pgettext_lazy": "pgettext",
    "npgettext": "npgettext",
}


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """One string of the code: what a catalogue looks it up by."""

    msgid: str
    plural: str = ""
    context: str = ""


@dataclass(slots=True)
class Strings:
    """The strings of one domain, each with the files it stands in."""

    files: dict[Source, set[str]] = field(default_factory=dict)

    def add(self, sources: Iterable[Source], file: str) -> None:
        for source in sources:
            self.files.setdefault(source, set()).add(file)


def collect(root: Path) -> dict[str, Strings]:
    """Every string of the tree by domain. Raises ValueError for one that is not written out where it is used."""
    pages, scripts = Strings(), Strings()
    for path in _files(root / "chatapp", ".py"):
        pages.add(from_python(path.read_text(encoding="utf-8"), str(path)), _name(path, root))
    for path in _files(root / "templates", ".html"):
        pages.add(from_template(path.read_text(encoding="utf-8")), _name(path, root))
    for path in _files(root / "static" / "js", ".js"):
        scripts.add(from_javascript(path.read_text(encoding="utf-8"), str(path)), _name(path, root))
    return {"django": pages, "djangojs": scripts}


def from_python(text: str, file: str) -> Iterator[Source]:
    for node in ast.walk(ast.parse(text, file)):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in _PYTHON_NAMES:
                yield _from_call(_PYTHON_NAMES[name], node, file)


def from_template(text: str) -> Iterator[Source]:
    """Django turns a template into lines with gettext calls; each call is read as the Python it is."""
    lines = templatize(text)
    for match in _CALL.finditer(lines):
        call = _shortest_expression(lines, match.start())
        assert isinstance(call.func, ast.Name)
        yield _from_call(_PYTHON_NAMES[call.func.id], call, "template")


def from_javascript(text: str, file: str) -> Iterator[Source]:
    """Calls of t("..."); its declaration and anything but a plain string literal are told apart."""
    for match in _JS_CALL.finditer(text):
        literal = match.group(1)
        if text[: match.start()].rstrip().endswith("function"):
            continue
        if literal[0] not in "\"'":
            raise ValueError(f"{file}: t({literal}) must be given the English text as a plain string")
        yield Source(str(ast.literal_eval(literal)))


def po_path(language: str, domain: str) -> Path:
    return Path(settings.LOCALE_PATHS[0]) / to_locale(language) / "LC_MESSAGES" / f"{domain}.po"


def read_catalogue(language: str, domain: str) -> polib.POFile:
    path = po_path(language, domain)
    return polib.pofile(str(path), wrapwidth=120) if path.is_file() else polib.POFile(wrapwidth=120)


def update_catalogue(language: str, domain: str, strings: Strings) -> tuple[int, int]:
    """Bring a .po file in step with the code; returns how many strings came new and how many are untranslated."""
    old = {source_of(entry): entry for entry in read_catalogue(language, domain) if not entry.obsolete}
    catalogue = polib.POFile(wrapwidth=120)
    catalogue.metadata = {
        "Language": to_locale(language),
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": PLURALS[language],
    }
    for source, files in sorted(strings.files.items()):
        catalogue.append(_entry(language, source, files, old.get(source)))
    po_path(language, domain).parent.mkdir(parents=True, exist_ok=True)
    catalogue.save(str(po_path(language, domain)))
    return len(strings.files.keys() - old.keys()), len(catalogue.untranslated_entries())


def compile_languages() -> int:
    """Write every .mo that is missing or older than its .po; returns how many. Safe while others do the same."""
    num_written = 0
    for language in TRANSLATED:
        po = po_path(language, "django")
        mo = po.with_suffix(".mo")
        if mo.is_file() and mo.stat().st_mtime >= po.stat().st_mtime:
            continue
        half = mo.with_suffix(f".{os.getpid()}")
        polib.pofile(str(po)).save_as_mofile(str(half))
        half.replace(mo)
        num_written += 1
    return num_written


def source_of(entry: polib.POEntry) -> Source:
    return Source(entry.msgid, entry.msgid_plural or "", entry.msgctxt or "")


def _entry(language: str, source: Source, files: set[str], old: polib.POEntry | None) -> polib.POEntry:
    num_plurals = int(re.findall(r"nplurals=(\d)", PLURALS[language])[0])
    entry = polib.POEntry(
        msgid=source.msgid,
        msgid_plural=source.plural,
        msgctxt=source.context or None,
        msgstr=old.msgstr if old else "",
        # File names without lines: a moved line is not a change of the catalogue.
        occurrences=[(file, "") for file in sorted(files)],
        flags=["python-format"] if "%(" in source.msgid + source.plural else [],
    )
    if source.plural:
        known = old.msgstr_plural if old else {}
        entry.msgstr_plural = {index: known.get(index, "") for index in range(num_plurals)}
    return entry


def _from_call(name: str, call: ast.Call, file: str) -> Source:
    texts = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    num_texts = {"gettext": 1, "ngettext": 2, "pgettext": 2, "npgettext": 3}[name]
    if len(texts) < num_texts or not all(isinstance(text, str) for text in texts[:num_texts]):
        raise ValueError(f"{file}: line {call.lineno}: {name} must be given the English text as a plain string")
    words = [str(text) for text in texts[:num_texts]]
    context = words.pop(0) if name in {"pgettext", "npgettext"} else ""
    return Source(words[0], words[1] if len(words) > 1 else "", context)


def _shortest_expression(text: str, start: int) -> ast.Call:
    end = start
    while True:
        end = text.index(")", end) + 1
        try:
            expression = ast.parse(text[start:end], mode="eval").body
        except SyntaxError:
            continue
        assert isinstance(expression, ast.Call)
        return expression


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.rglob(f"*{suffix}") if "migrations" not in path.parts)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
