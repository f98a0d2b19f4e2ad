"""Context assembly is a pure function."""

import pytest

from chatapp.context.assembly import ContextFull, Turn, assemble
from chatapp.context.counting import RatioCounter, learned_ratio


class Words:
    """One token a word."""

    def count(self, text: str) -> int:
        return len(text.split())


def turns(count: int, words: int = 10) -> list[Turn]:
    return [Turn(f"q{i} " + "a " * (words - 1), f"r{i} " + "b " * (words - 1)) for i in range(count)] + [Turn("now")]


def test_everything_fits() -> None:
    done = assemble("Be brief.", turns(2), 1000, Words())
    assert [m.role for m in done.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert done.left_out_turns == 0
    assert done.estimated_tokens == 3 + 8 + 2 * (20 + 12) + 7


def test_oldest_whole_turns_are_left_out() -> None:
    done = assemble("Be brief.", turns(10), 200, Words())
    assert done.left_out_turns > 0 and done.estimated_tokens <= 200
    assert done.messages[0].role == "system"
    assert done.messages[1].content.startswith(f"q{done.left_out_turns}")
    assert done.messages[-1].content == "now"


def test_the_prefix_stays_the_same_for_several_questions_after_a_trim() -> None:
    first = {count: assemble("", turns(count), 300, Words()).left_out_turns for count in range(5, 30)}
    assert len(set(first.values())) < len(first) / 2
    assert all(assemble("", turns(count), 300, Words()).estimated_tokens <= 300 for count in first)


def test_a_question_too_long_names_both_numbers() -> None:
    with pytest.raises(ContextFull) as caught:
        assemble("", [Turn("old", "reply"), Turn("w " * 100)], 50, Words())
    assert (caught.value.needed_tokens, caught.value.budget_tokens) == (109, 50)


def test_an_empty_system_text_and_an_empty_reply_make_no_message() -> None:
    done = assemble("", [Turn("a", ""), Turn("b")], 100, Words())
    assert [(m.role, m.content) for m in done.messages] == [("user", "a"), ("user", "b")]


def test_the_ratio_keeps_a_reserve_and_learns_within_its_limits() -> None:
    assert RatioCounter(4.0).count("x" * 400) == 111
    assert learned_ratio(3.0, 4000, 1000) == pytest.approx(3.2)
    assert learned_ratio(3.0, 100, 1) == 3.0  # too short to learn from
    assert learned_ratio(1.0, 400, 4000) == 1.0
    ratio = 3.0
    for _ in range(100):
        ratio = learned_ratio(ratio, 10**6, 1)
    assert ratio == pytest.approx(8.0)
