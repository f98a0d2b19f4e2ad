"""Passages found by words in a real database, and never one from outside the scope."""

from uuid import UUID, uuid4

import pytest

from search import index
from search.models import Passage, Vector, Word
from search.retrieval import find, progress, whole
from tests.search.conftest import ANLAGEN, WATERWORKS, Block, paragraphs, put, texts


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who built the harbour station?", WATERWORKS[0]),
        ("What do the new mains cost?", WATERWORKS[1]),
        ("NITRATE readings", WATERWORKS[2]),
        ("Wie viel Geld ist für die Gussleitung vorgesehen?", ANLAGEN[1]),
        ("硝酸盐", ANLAGEN[2]),
        ("ポンプの点検", ANLAGEN[3]),
    ],
)
def test_words_find_their_passage(waterworks: UUID, anlagen: UUID, question: str, answer: str) -> None:
    assert texts(find(question, [waterworks, anlagen]))[0] == answer


def test_two_ideographs_are_enough(waterworks: UUID, anlagen: UUID) -> None:
    assert texts(find("系统", [waterworks, anlagen])) == [ANLAGEN[2]]


@pytest.mark.parametrize("question", ["nitrrate", "milligramms", "harbor"])
def test_a_misspelt_word_is_found_all_the_same(waterworks: UUID, question: str) -> None:
    assert find(question, [waterworks])


def test_a_part_of_a_compound_finds_it(anlagen: UUID) -> None:
    assert texts(find("Leitungen", [anlagen])) == [ANLAGEN[1]]


def test_a_word_misspelt_in_another_source_is_still_looked_up_here(waterworks: UUID, db: None) -> None:
    put("A nitrrate of another kind.")
    assert texts(find("nitrrate", [waterworks])) == [WATERWORKS[2]]


def test_nothing_from_outside_the_scope_is_found(waterworks: UUID, secret: UUID) -> None:
    assert {hit.source_id for hit in find("harbour station 1911", [secret])} == {secret}
    assert {hit.source_id for hit in find("harbour station 1911", [waterworks])} == {waterworks}
    assert find("harbour station 1911", []) == []


def test_a_scope_may_be_a_query(waterworks: UUID, secret: UUID) -> None:
    scope = Passage.objects.filter(text=WATERWORKS[0]).values("source_id")
    assert {hit.source_id for hit in find("harbour", scope)} == {waterworks}
    assert find("harbour", scope.none()) == []


@pytest.mark.parametrize("question", ["", "  ", "?!", "'); DROP TABLE search_passage; --", "a & b | !c:*", "\\ '' %s"])
def test_odd_questions_are_answered_with_what_there_is(waterworks: UUID, question: str) -> None:
    assert isinstance(find(question, [waterworks]), list)
    assert Passage.objects.count() == 3


def test_a_very_long_question_is_asked_by_its_first_words(waterworks: UUID) -> None:
    assert find("harbour " + " ".join(f"word{n}" for n in range(5000)), [waterworks])


def test_a_limit_out_of_range_is_named(waterworks: UUID) -> None:
    with pytest.raises(ValueError, match="limit=0 must be from 1 to 50"):
        find("harbour", [waterworks], limit=0)


def test_a_hit_says_where_it_stands(waterworks: UUID) -> None:
    hit = find("nitrate", [waterworks])[0]
    assert (hit.source_id, hit.ordinal, hit.headings) == (waterworks, 2, ("Part 3",))
    assert hit.place == {"kind": "paragraph", "paragraph": 3}
    assert hit.score > 0


def test_a_heading_finds_the_text_under_it(db: None) -> None:
    source_id = uuid4()
    index.put(source_id, [Block("It rose.", {"kind": "paragraph", "paragraph": 1}, ("Budget", "Overruns"))])
    assert texts(find("overrun", [source_id])) == ["It rose."]


def test_putting_again_replaces(waterworks: UUID) -> None:
    assert index.put(waterworks, paragraphs("Something new.")) == 1
    assert texts(whole([waterworks])) == ["Something new."]
    assert find("harbour", [waterworks]) == []


def test_whole_gives_all_passages_in_order(waterworks: UUID, anlagen: UUID) -> None:
    assert texts(whole([anlagen, waterworks])) == [*ANLAGEN, *WATERWORKS]


def test_dropping_leaves_nothing_behind_and_harms_no_neighbour(waterworks: UUID, anlagen: UUID) -> None:
    Vector.objects.create(passage=Passage.objects.filter(source_id=anlagen)[0], source_id=anlagen, value="[1]")
    put("Die Pumpen laufen.")
    index.drop([anlagen])
    assert not Passage.objects.filter(source_id=anlagen).exists()
    assert not Vector.objects.exists()
    assert not Word.objects.filter(term="hafenstatio").exists() and not Word.objects.filter(term="storung").exists()
    assert Word.objects.filter(term="pump").exists()
    assert texts(find("harbour", [waterworks])) == [WATERWORKS[0]]


def test_what_was_dropped_may_come_back(waterworks: UUID) -> None:
    index.drop([waterworks])
    assert find("harbour", [waterworks]) == []
    index.put(waterworks, paragraphs(*WATERWORKS))
    assert find("harbour", [waterworks])


def test_progress_counts_passages_and_vectors(waterworks: UUID, anlagen: UUID) -> None:
    first = Passage.objects.filter(source_id=anlagen)[0]
    Vector.objects.create(passage=first, source_id=anlagen, model="use-multilingual-v3", value="[1]")
    assert progress([waterworks]) == (0, 3)
    assert progress([waterworks, anlagen]) == (1, 7)


def test_a_zero_byte_in_a_text_is_left_out(db: None) -> None:
    assert texts(whole([put("be\0fore")])) == ["before"]
