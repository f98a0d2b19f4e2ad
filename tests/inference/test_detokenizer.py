from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from inference.detokenizer import Detokenizer, Piece


@dataclass(frozen=True)
class Bytes:
    """A vocabulary whose tokens are given byte strings; the single bytes follow at 1000."""

    tokens: tuple[bytes, ...] = ()

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id - 1000]) if token_id >= 1000 else self.tokens[token_id]

    def encode(self, text: str) -> list[int]:
        return [1000 + byte for byte in text.encode()]

    def encode_bytes(self, text: bytes) -> list[int]:
        return [1000 + byte for byte in text]

    def tokens_along(self, text: bytes) -> list[int]:
        raise NotImplementedError

    def decode(self, token_ids: list[int]) -> str:
        return b"".join(map(self.token_bytes, token_ids)).decode("utf-8", "replace")


def run(
    vocabulary: Bytes, token_ids: list[int], stop: tuple[str, ...] = (), prefix: tuple[int, ...] = ()
) -> list[Piece]:
    detokenizer = Detokenizer(vocabulary, stop, prefix)
    pieces = []
    for token_id in token_ids:
        pieces.append(detokenizer.push(token_id))
        if pieces[-1].stopped:
            return pieces
    return [*pieces, detokenizer.finish()]


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def single_bytes(text: str) -> list[int]:
    return Bytes().encode(text)


def test_half_a_character_is_never_told() -> None:
    pieces = run(Bytes(), single_bytes("a€b"))
    assert [piece.text for piece in pieces] == ["a", "", "", "€", "b", ""]
    assert [len(piece.token_ids) for piece in pieces] == [1, 0, 0, 3, 1, 0]


def test_half_a_character_at_the_end_is_dropped_with_its_ids() -> None:
    pieces = run(Bytes(), single_bytes("a€")[:-1])
    assert text_of(pieces) == "a" and sum((piece.token_ids for piece in pieces), ()) == tuple(single_bytes("a"))


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    assert text_of(run(Bytes(), [1000 + 0xFF, 1000 + ord("x")])) == "\ufffdx"


def test_a_stop_string_ends_the_text_before_it() -> None:
    pieces = run(Bytes((b"Hello EN", b"D and more")), [0, 1], stop=("END",))
    assert text_of(pieces) == "Hello " and pieces[-1].stopped


def test_what_may_become_a_stop_string_is_held_back_and_told_when_it_does_not() -> None:
    pieces = run(Bytes(), single_bytes("xEND y E"), stop=("ENDE",))
    assert [piece.text for piece in pieces] == ["x", "", "", "", "END ", "y", " ", "", "E"]


def test_whole_tokens_are_held_so_that_ids_and_text_agree() -> None:
    pieces = run(Bytes((b"abE", b"xy")), [0, 1], stop=("END",))
    assert [(piece.text, piece.token_ids) for piece in pieces] == [("", ()), ("abExy", (0, 1)), ("", ())]


def test_a_token_cut_by_a_stop_string_is_written_anew() -> None:
    vocabulary = Bytes((b"one ", b"two END three"))
    pieces = run(vocabulary, [0, 1], stop=("END",))
    ids = [token_id for piece in pieces for token_id in piece.token_ids]
    assert text_of(pieces) == "one two " == vocabulary.decode(ids)
    assert ids[0] == 0 and sum(piece.num_tokens for piece in pieces) == 1


def test_the_earliest_of_several_stop_strings_counts() -> None:
    assert text_of(run(Bytes((b"a<b>c<d>",)), [0], stop=("<d>", "<b>"))) == "a"


def test_a_stop_string_may_begin_in_the_prefix() -> None:
    pieces = run(Bytes(), single_bytes("D!"), stop=("END",), prefix=tuple(single_bytes("the EN")))
    assert text_of(pieces) == "" and pieces[-1].stopped


def test_a_stop_string_inside_the_prefix_does_not_count() -> None:
    prefix = tuple(single_bytes("```python\n"))
    pieces = run(Bytes(), single_bytes("x = 1\n```\nmore"), stop=("```",), prefix=prefix)
    assert text_of(pieces) == "x = 1\n" and pieces[-1].stopped


def test_a_character_begun_in_the_prefix_is_finished() -> None:
    euro = single_bytes("€")
    assert text_of(run(Bytes(), euro[2:], prefix=tuple(euro[:2]))) == "€"


def test_a_text_that_is_known_is_not_told_twice() -> None:
    vocabulary = Bytes((b" se", b"ven", b" seven, eight"))
    for token_ids, rest in (([0, 1], "en"), ([2], "en, eight")):
        detokenizer = Detokenizer(vocabulary, heal=b" sev")
        pieces = [*map(detokenizer.push, token_ids), detokenizer.finish()]
        assert text_of(pieces) == rest
        assert vocabulary.decode([i for piece in pieces for i in piece.token_ids]) == rest


TEXTS = st.text(alphabet="ab€😀E", max_size=30)
STOPS = st.lists(st.text(alphabet="ab€E", min_size=1, max_size=4), max_size=3).map(tuple)


@given(TEXTS, STOPS, st.data())
def test_pieces_tell_the_text_up_to_the_stop_whatever_the_tokens(
    text: str, stop: tuple[str, ...], data: st.DataObject
) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=10)) | {0, len(raw)})
    vocabulary = Bytes(tuple(raw[a:b] for a, b in zip(cuts, cuts[1:], strict=False)))
    token_ids = list(range(len(vocabulary.tokens)))
    pieces = run(vocabulary, token_ids, stop)
    told, ids = "", []
    for piece in pieces:
        told += piece.text
        ids += piece.token_ids
        assert vocabulary.decode(ids) == told, "wherever it is cut, the ids decode to the text"
        assert not any(s in told for s in stop)
        assert "\ufffd" not in told
    begins = [begin for s in stop if (begin := text.find(s)) >= 0]
    if not begins:
        assert told == text
    else:  # with several stop strings the one completed first ends the text
        assert pieces[-1].stopped and text.startswith(told) and any(text.startswith(told + s) for s in stop)


@given(TEXTS, STOPS)
def test_continuing_from_any_piece_tells_the_same_rest(text: str, stop: tuple[str, ...]) -> None:
    token_ids = single_bytes(text)
    pieces = run(Bytes(), token_ids, stop)
    whole, prefix = text_of(pieces), ()
    told = ""
    for piece in pieces:
        if piece.stopped:
            break
        prefix, told = prefix + piece.token_ids, told + piece.text
        rest = run(Bytes(), token_ids[len(prefix) :], stop, prefix)
        assert told + text_of(rest) == whole
