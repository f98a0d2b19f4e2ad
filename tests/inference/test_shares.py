from __future__ import annotations

from inference.shares import Shares


def test_whoever_comes_starts_level_with_the_least_served() -> None:
    shares = Shares()
    shares.enter("a")
    shares.enter("b")
    shares.charge("a", 30)
    shares.charge("b", 20)
    shares.enter("late")
    assert shares.served("late") == 20


def test_coming_again_pays_no_debt() -> None:
    shares = Shares()
    shares.enter("patient")
    shares.enter("busy")
    shares.charge("busy", 100)
    shares.leave("busy")
    shares.enter("busy")
    assert shares.served("busy") == 100 and shares.served("patient") == 0


def test_when_everybody_has_gone_everything_is_forgotten() -> None:
    shares = Shares()
    for user in ("a", "b"):
        shares.enter(user)
        shares.charge(user, 10)
    shares.leave("a")
    shares.leave("b")
    shares.enter("a")
    assert shares.served("a") == 0 == shares.served("b")


def test_many_sequences_of_a_user_are_one_user() -> None:
    shares = Shares()
    for _ in range(3):
        shares.enter("a")
    shares.charge("a", 7)
    shares.leave("a")
    assert shares.served("a") == 7
