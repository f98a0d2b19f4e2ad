"""The catalogues are complete, and the extractor finds what people can see."""

import re
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext, ngettext

from chatapp.accounts import catalogues
from chatapp.accounts.catalogues import Source, from_javascript, from_python, from_template
from chatapp.accounts.strings import read_strings

PLACEHOLDER = {
    "django": re.compile(r"%\(\w+\)[sd]|%%"),
    "djangojs": re.compile(r"\{\w+\}"),
}
CATALOGUES = [(language, domain) for language in catalogues.TRANSLATED for domain in PLACEHOLDER]
TURNS = "This chat is longer than the model can read: the oldest turn was left out of what it saw."


@pytest.fixture(scope="module")
def collected() -> dict[str, catalogues.Strings]:
    return catalogues.collect(Path(settings.BASE_DIR))


@pytest.mark.parametrize(("language", "domain"), CATALOGUES)
def test_catalogue_has_every_string_of_the_code_and_no_other(
    language: str, domain: str, collected: dict[str, catalogues.Strings]
) -> None:
    held = {catalogues.source_of(entry) for entry in catalogues.read_catalogue(language, domain)}
    wanted = set(collected[domain].files)
    assert sorted(wanted - held) == [], "missing: run `manage.py extract_strings` and translate"
    assert sorted(held - wanted) == [], "surplus: run `manage.py extract_strings`"


@pytest.mark.parametrize(("language", "domain"), CATALOGUES)
def test_every_string_is_translated_and_none_is_a_guess(language: str, domain: str) -> None:
    catalogue = catalogues.read_catalogue(language, domain)
    assert [entry.msgid for entry in catalogue if not entry.translated()] == []
    assert [entry.msgid for entry in catalogue if entry.fuzzy or entry.obsolete] == []


@pytest.mark.parametrize(("language", "domain"), CATALOGUES)
def test_placeholders_are_those_of_the_source(language: str, domain: str) -> None:
    def places(text: str) -> list[str]:
        return sorted(PLACEHOLDER[domain].findall(text))

    for entry in catalogues.read_catalogue(language, domain):
        for translated in texts(entry):
            # A singular may say "one" in words where the plural counts.
            allowed = {tuple(places(entry.msgid)), tuple(places(entry.msgid_plural or entry.msgid))}
            assert tuple(places(translated)) in allowed, entry.msgid


@pytest.mark.parametrize(("language", "domain"), CATALOGUES)
def test_translations_begin_and_end_as_their_source(language: str, domain: str) -> None:
    for entry in catalogues.read_catalogue(language, domain):
        for translated in texts(entry):
            assert translated == translated.strip() or entry.msgid != entry.msgid.strip(), entry.msgid
            assert entry.msgid.endswith("…") == translated.endswith("…"), entry.msgid


def texts(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def test_python_sources() -> None:
    code = '_("One")\nngettext("%(n)s cat", "%(n)s cats", n)\npgettext("month", "May")\nother("Two")'
    assert set(from_python(code, "a.py")) == {
        Source("One"),
        Source("%(n)s cat", "%(n)s cats"),
        Source("May", context="month"),
    }


def test_a_string_put_together_at_run_time_is_refused() -> None:
    with pytest.raises(ValueError, match="plain string"):
        list(from_python('_(f"Hello {name}")', "a.py"))
    with pytest.raises(ValueError, match="plain string"):
        list(from_javascript("t(words)", "a.js"))


def test_template_sources() -> None:
    template = """{% load i18n %}{% translate "It's" %}{{ name|default:_("Nobody") }}
    {% blocktranslate count n=cats trimmed %}
      {{ n }} cat ({{ place }})
    {% plural %}{{ n }} cats{% endblocktranslate %}{% translate "May" context "month" %}"""
    assert set(from_template(template)) == {
        Source("It's"),
        Source("Nobody"),
        Source("%(n)s cat (%(place)s)", "%(n)s cats"),
        Source("May", context="month"),
    }


def test_javascript_sources() -> None:
    script = """export function t(source) {}
    t("Copy"); x = t('It\\'s {n}', { n: 1 }); at("no"); list.t("no"); const part = start(t( "Undo" ))"""
    assert set(from_javascript(script, "a.js")) == {Source("Copy"), Source("It's {n}"), Source("Undo")}


@pytest.mark.parametrize(
    ("language", "one", "two"),
    [("de", "älteste Runde", "ältesten 2 Runden"), ("zh-hans", "最早的 1 轮", "最早的 2 轮")],
)
def test_compiled_catalogues_are_what_pages_speak(language: str, one: str, two: str) -> None:
    plural = TURNS.replace("oldest turn was", "oldest %(turns)s turns were")
    with translation.override(language):
        assert gettext("Sign in") in {"Anmelden", "登录"}
        assert one in ngettext(TURNS, plural, 1) % {"turns": 1}
        assert two in ngettext(TURNS, plural, 2) % {"turns": 2}


def test_a_changed_catalogue_is_compiled_again(tmp_path: Path, settings: pytest.FixtureRequest) -> None:
    settings.LOCALE_PATHS = [tmp_path]
    strings = catalogues.Strings({Source("Sea"): {"a.py"}})
    for language in catalogues.TRANSLATED:
        assert catalogues.update_catalogue(language, "django", strings) == (1, 1)
    assert catalogues.compile_languages() == len(catalogues.TRANSLATED)
    assert catalogues.compile_languages() == 0
    assert catalogues.update_catalogue("de", "django", catalogues.Strings()) == (0, 0)
    assert len(catalogues.read_catalogue("de", "django")) == 0, "what the code has lost goes"


def test_javascript_gets_its_strings() -> None:
    assert read_strings("en") == {}
    assert read_strings("de")["Undo"] == "Rückgängig"
    assert set(read_strings("de")) == set(read_strings("zh-hans"))
