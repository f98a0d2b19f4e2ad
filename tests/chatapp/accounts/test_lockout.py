"""Guessing: who waits, for how long, and who does not have to wait because of it."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from chatapp.accounts import lockout, throttle
from chatapp.accounts.models import Throttle, User
from chatapp.accounts.tasks import forget_failures
from chatapp.accounts.throttle import LIMITS, Key, Limit, Locked, begin, wait_after
from tests.site_fixtures import PASSWORD

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


def enter(client: Client, email: str, password: str = PASSWORD, address: str = HERE) -> int:
    return client.post("/sign-in", {"email": email, "password": password}, REMOTE_ADDR=address).status_code


def fail(times: int, email: str, address: str = HERE, device: str = "") -> None:
    """Wrong passwords, each after the wait that the one before has earned."""
    for _time in range(times):
        pass_time()
        lockout.begin_attempt(email, address, device)


def pass_time() -> None:
    Throttle.objects.update(locked_until=timezone.now() - timedelta(seconds=1))


def is_locked(email: str, address: str = HERE, device: str = "") -> bool:
    try:
        lockout.begin_attempt(email, address, device)
    except Locked:
        return True
    return False


def known_browser(person: User, address: str = HERE) -> Client:
    client = Client()
    assert enter(client, person.email, address=address) == 302
    client.post("/sign-out")
    return client


@pytest.mark.parametrize(
    ("failures", "wait_s"), [(0, 0), (3, 0), (4, 5), (5, 10), (6, 20), (9, 160), (10, 300), (11, 300), (4000, 300)]
)
def test_waits_double_and_are_minutes_at_most(failures: int, wait_s: float) -> None:
    assert wait_after(failures, Limit(3, 300)) == wait_s
    assert max(limit.longest_s for limit in LIMITS.values()) <= 300


@pytest.mark.django_db
def test_wrong_passwords_make_this_place_wait_and_not_another(member: User) -> None:
    client = Client()
    for _try in range(LIMITS["pair"].free + 1):
        assert enter(client, member.email, "guess") == 200
    assert enter(client, member.email, "guess") == 429
    assert enter(client, member.email) == 429, "not even the right one"
    assert enter(client, member.email, address=ELSEWHERE) == 302, "the person, from elsewhere"


@pytest.mark.django_db
def test_page_says_how_long_and_the_wait_is_not_made_longer_by_trying(member: User) -> None:
    fail(LIMITS["pair"].free + 1, member.email)
    until = set(Throttle.objects.values_list("locked_until", flat=True))
    response = Client().post("/sign-in", {"email": member.email, "password": PASSWORD}, REMOTE_ADDR=HERE)
    assert "Too many tries. Please try again in 5 seconds." in response.content.decode()
    assert response.headers["Retry-After"] == "5"
    assert set(Throttle.objects.values_list("locked_until", flat=True)) == until
    pass_time()
    assert enter(Client(), member.email) == 302


@pytest.mark.django_db
def test_minutes_are_said_as_minutes(member: User) -> None:
    fail(LIMITS["pair"].free + 9, member.email)
    page = Client().post("/sign-in", {"email": member.email, "password": "x"}, REMOTE_ADDR=HERE).content.decode()
    assert "Please try again in 5 minutes." in page


@pytest.mark.django_db
def test_many_accounts_guessed_from_one_place_make_that_place_wait(member: User) -> None:
    for number in range(LIMITS["address"].free + 1):
        lockout.begin_attempt(f"guess{number}@example.org", HERE)
    assert is_locked("another@example.org")
    assert not is_locked("another@example.org", ELSEWHERE)


@pytest.mark.django_db
def test_one_account_guessed_from_many_places_waits_a_minute_at_most(member: User) -> None:
    for number in range(LIMITS["account"].free + 1):
        lockout.begin_attempt(member.email, f"192.0.2.{number}")
    assert is_locked(member.email, ELSEWHERE)
    for number in range(40):
        fail(1, member.email, f"203.0.113.{number}")
    longest = max(Throttle.objects.values_list("locked_until", flat=True)) - timezone.now()
    assert longest <= timedelta(seconds=60)


@pytest.mark.django_db
def test_guessing_from_everywhere_keeps_nobody_out_of_their_own_browser(owner: User) -> None:
    browser = known_browser(owner)
    fail(LIMITS["pair"].free + 5, owner.email)
    for number in range(LIMITS["account"].free + 5):
        fail(1, owner.email, f"203.0.113.{number}")
    assert enter(Client(), owner.email) == 429, "a browser that is not known"
    assert enter(browser, owner.email) == 302


@pytest.mark.django_db
def test_an_office_behind_one_address_is_not_shut_out_by_one_colleague(member: User, outsider: User) -> None:
    browser = known_browser(member)
    for number in range(LIMITS["address"].free + 1):
        lockout.begin_attempt(f"guess{number}@example.org", HERE)
    assert enter(Client(), outsider.email) == 429
    assert enter(browser, member.email) == 302


@pytest.mark.django_db
def test_a_known_browser_waits_for_its_own_mistakes(member: User) -> None:
    browser = known_browser(member)
    for _try in range(LIMITS["device"].free + 1):
        assert enter(browser, member.email, "guess") == 200
    assert enter(browser, member.email) == 429
    assert enter(Client(), member.email) == 302, "mistakes of one browser are not another one's"


@pytest.mark.django_db
@pytest.mark.parametrize("forged", ["", "nonsense", "a.b:c:d"])
def test_a_forged_cookie_or_one_of_another_account_opens_nothing(member: User, outsider: User, forged: str) -> None:
    browser = known_browser(outsider)
    if forged:
        browser.cookies[lockout.COOKIE] = forged
    fail(LIMITS["pair"].free + 1, member.email)
    assert enter(browser, member.email) == 429


@pytest.mark.django_db
def test_success_takes_back_its_own_count_and_nobody_elses(member: User, outsider: User) -> None:
    """Whoever guesses at others may not win new tries by signing in with an account of their own between them."""
    for number in range(LIMITS["address"].free):
        lockout.begin_attempt(f"guess{number}@example.org", HERE)
    for _time in range(3):
        assert enter(Client(), outsider.email) == 302
    assert not is_locked("another@example.org")
    assert is_locked("another@example.org")


@pytest.mark.django_db
def test_failures_are_forgotten_after_a_while_and_their_rows_removed(member: User) -> None:
    fail(LIMITS["pair"].free + 3, member.email)
    Throttle.objects.update(updated_at=timezone.now() - throttle.FORGOTTEN - timedelta(seconds=1))
    pass_time()
    lockout.begin_attempt(member.email, HERE)
    assert set(Throttle.objects.values_list("failures", flat=True)) == {1}
    forget_failures()
    assert Throttle.objects.count() == 3
    Throttle.objects.update(updated_at=timezone.now() - throttle.FORGOTTEN - timedelta(seconds=1))
    forget_failures()
    assert not Throttle.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "192.0.2.1", False),
    ],
)
def test_addresses_of_one_network_are_one_place(member: User, one: str, other: str, is_same: bool) -> None:
    fail(LIMITS["pair"].free + 1, member.email, one)
    assert is_locked(member.email, other) == is_same


@pytest.mark.django_db
def test_what_is_typed_at_the_door_is_not_kept(member: User) -> None:
    enter(Client(), "my.secret@example.org", "guess")
    rows = [(row.key, row.failures) for row in Throttle.objects.all()]
    assert len(rows) == 3
    assert "secret" not in str(rows)


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_do_not_slip_past() -> None:
    start, passed = threading.Barrier(12), []

    def guess() -> None:
        start.wait()
        try:
            passed.append(begin(Key("pair", "a"), Key("address", "b")))
        except Locked:
            pass
        connection.close()

    threads = [threading.Thread(target=guess) for _number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == LIMITS["pair"].free + 1
