"""Bytes to text: by mark, by header, by the page itself, by a guess; and never an error."""

import codecs

import pytest

from search.web.charsets import decoded

GERMAN = "Größere Übungen für die Bücherei, wo man Äpfel isst und Straßen fegt. " * 4
JAPANESE = "港の揚水場は技師によって建てられた。費用は市議会が塩税でまかなった。" * 4
CHINESE = "塔尔马的港口泵站由工程师于一九一一年建成，市议会通过盐税筹集了这笔钱。" * 4


@pytest.mark.parametrize(
    ("text", "encoding", "declared"),
    [
        (GERMAN, "utf-8", "utf-8"),
        (GERMAN, "cp1252", "ISO-8859-1"),
        (GERMAN + "€ „so“", "cp1252", "iso-8859-1"),
        (GERMAN + "€", "iso-8859-15", "iso-8859-15"),
        (CHINESE + "镕", "gb18030", "GB2312"),
        (JAPANESE + "①", "cp932", "Shift_JIS"),
        (JAPANESE, "iso-2022-jp", '"ISO-2022-JP"'),
    ],
)
def test_what_the_server_says_holds(text: str, encoding: str, declared: str) -> None:
    assert decoded(text.encode(encoding), declared) == text


@pytest.mark.parametrize("encoding", ["windows-1252", "gbk", "euc-jp"])
def test_a_page_may_say_it_itself(encoding: str) -> None:
    text = {"windows-1252": GERMAN, "gbk": CHINESE, "euc-jp": JAPANESE}[encoding]
    for meta in (f'<meta charset="{encoding}">', f"<META http-equiv=x content='text/html; charset={encoding}'>"):
        assert decoded((meta + text).encode(encoding), None) == meta + text


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")],
)
def test_a_byte_order_mark_is_stronger_than_the_server(mark: bytes, encoding: str) -> None:
    assert decoded(mark + GERMAN.encode(encoding), "iso-8859-1") == GERMAN


@pytest.mark.parametrize(
    ("text", "encoding"), [(GERMAN, "utf-8"), (CHINESE, "gb18030"), (JAPANESE, "shift_jis"), (JAPANESE, "euc-jp")]
)
def test_who_says_nothing_is_guessed(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding), None) == text


def test_who_says_utf_8_and_is_not_is_guessed() -> None:
    assert decoded(GERMAN.encode("cp1252"), "utf-8") == GERMAN


def test_a_page_cut_within_a_character_is_what_it_said() -> None:
    assert decoded(CHINESE.encode()[:-1], "utf-8") == CHINESE[:-1]


@pytest.mark.parametrize("declared", ["rot13", "base64", "no-such-thing", "", "utf-7; x", "\x00"])
def test_an_encoding_that_is_none_is_not_used(declared: str) -> None:
    assert decoded(b"Uryyb, plain ascii", declared) == "Uryyb, plain ascii"


def test_any_bytes_are_some_text() -> None:
    assert decoded(bytes(range(256)) * 8, "utf-8")
    assert decoded(b"", None) == ""
