"""The second step: codes of an app, recovery codes, and what opens without them: nothing."""

import re
import threading
import time

import pyotp
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from chatapp.accounts import codes, entering
from chatapp.accounts.models import CodeApp, RecoveryCode, User
from chatapp.accounts.throttle import LIMITS
from tests.site_fixtures import PASSWORD, make_person, signed_in

pytestmark = pytest.mark.django_db
PAGE = {"headers": {"accept": "text/html"}}


def switch_on(person: User) -> tuple[pyotp.TOTP, list[str]]:
    totp = codes.begin_setup(person)
    made = codes.confirm(person, totp.now())
    assert made is not None
    CodeApp.objects.filter(user=person).update(last_step=0)  # as if it had been long ago
    return totp, made


def first_step(person: User, **fields: str) -> Client:
    client = Client()
    response = client.post("/sign-in", {"email": person.email, "password": PASSWORD, **fields}, **PAGE)
    assert response.headers["Location"] == "/sign-in/code"
    return client


def is_in(client: Client) -> bool:
    return client.get("/account", **PAGE).status_code == 200


def test_it_is_set_up_on_a_page_that_shows_the_recovery_codes_once(member: User) -> None:
    client = signed_in(member)
    page = client.get("/account/codes", **PAGE).content.decode()
    assert 'src="data:image/svg+xml' in page
    [secret] = re.findall(r"<code[^>]*>([A-Z2-7]{32})</code>", page)
    assert secret in client.get("/account/codes", **PAGE).content.decode(), "the same picture after a reload"
    assert secret.encode() not in bytes(CodeApp.objects.get().secret)
    code = pyotp.TOTP(secret).now()
    for wrong in ({"code": "000000", "password": PASSWORD}, {"code": code, "password": "guess"}, {"code": code}):
        assert client.post("/account/codes", wrong, **PAGE).status_code == 422
        assert not codes.is_on(member)
    page = client.post("/account/codes", {"code": code, "password": PASSWORD}, **PAGE).content.decode()
    shown = re.findall(r"<code>([a-z0-9-]{14})</code>", page)
    assert len(set(shown)) == codes.NUM_RECOVERY_CODES
    assert not RecoveryCode.objects.filter(code_hash__in=shown).exists()
    assert client.get("/account/codes", **PAGE).status_code == 302, "and never again"


def test_the_password_alone_opens_nothing_and_the_code_leads_on(member: User) -> None:
    totp, _made = switch_on(member)
    client = first_step(member, next="/files")
    assert not is_in(client)
    assert client.post("/sign-in/code", {"code": "000000"}, **PAGE).status_code == 200
    assert not is_in(client)
    response = client.post("/sign-in/code", {"code": f" {totp.now()[:3]} {totp.now()[3:]} "}, **PAGE)
    assert response.headers["Location"] == "/files"
    assert is_in(client)
    assert client.session.get_expiry_age() > 86_400, "the short life of the first step is not that of the session"


def test_a_code_opens_once(member: User) -> None:
    totp, _made = switch_on(member)
    code = totp.now()
    assert codes.check(member, code)
    assert not codes.check(member, code)


def test_clocks_may_differ_by_half_a_minute_and_no_more(member: User) -> None:
    totp, _made = switch_on(member)
    now = int(time.time())
    assert not codes.check(member, totp.at(now, counter_offset=-3))
    assert not codes.check(member, totp.at(now, counter_offset=3))
    assert codes.check(member, totp.at(now, counter_offset=-1))


def test_a_recovery_code_opens_once_in_any_spelling(member: User) -> None:
    _totp, made = switch_on(member)
    client = first_step(member)
    client.post("/sign-in/code", {"code": made[0].upper().replace("-", " ")}, **PAGE)
    assert is_in(client)
    again = first_step(member)
    again.post("/sign-in/code", {"code": made[0]}, **PAGE)
    assert not is_in(again)
    assert codes.num_recovery_codes(member) == codes.NUM_RECOVERY_CODES - 1


def test_a_recovery_code_of_another_person_opens_nothing(member: User, outsider: User) -> None:
    switch_on(member)
    _totp, theirs = switch_on(outsider)
    assert not codes.check(member, theirs[0])


def test_guessing_codes_has_to_wait(member: User) -> None:
    totp, _made = switch_on(member)
    client = first_step(member)
    for _try in range(LIMITS["code"].free + 1):
        assert client.post("/sign-in/code", {"code": "000000"}, **PAGE).status_code == 200
    locked = client.post("/sign-in/code", {"code": totp.now()}, **PAGE)
    assert locked.status_code == 429
    assert "Too many tries." in locked.content.decode()
    assert not is_in(client)


def test_the_first_step_is_forgotten_after_a_while(member: User, monkeypatch: pytest.MonkeyPatch) -> None:
    totp, _made = switch_on(member)
    client = first_step(member)
    later = time.time() + entering.PENDING_S + 1
    monkeypatch.setattr(entering.time, "time", lambda: later)
    assert client.get("/sign-in/code", **PAGE).headers["Location"] == "/sign-in"
    client.post("/sign-in/code", {"code": totp.now()}, **PAGE)
    assert not is_in(client)


@pytest.mark.parametrize("change", ["password", "suspended"])
def test_between_the_steps_nothing_may_have_changed(member: User, change: str) -> None:
    totp, _made = switch_on(member)
    client = first_step(member)
    if change == "password":
        member.set_password("quite another phrase")
        member.save()
    else:
        User.objects.filter(pk=member.pk).update(is_active=False)
    assert client.post("/sign-in/code", {"code": totp.now()}, **PAGE).headers["Location"] == "/sign-in"
    assert not is_in(client)


def test_the_key_of_the_session_changes_between_the_steps(member: User) -> None:
    totp, _made = switch_on(member)
    client = Client()
    client.post("/sign-in/passkey/begin", headers={"host": "localhost"})  # begins a session
    before = client.session.session_key
    client.post("/sign-in", {"email": member.email, "password": PASSWORD}, **PAGE)
    between = client.session.session_key
    client.post("/sign-in/code", {"code": totp.now()}, **PAGE)
    assert is_in(client)
    assert len({before, between, client.session.session_key}) == 3


def test_switching_off_and_new_recovery_codes_need_a_code(member: User) -> None:
    totp, made = switch_on(member)
    client = signed_in(member)
    client.post("/account/codes/off", {"code": "000000"}, **PAGE)
    assert codes.is_on(member)
    page = client.post("/account/codes/renew", {"code": made[0]}, **PAGE).content.decode()
    fresh = re.findall(r"<code>([a-z0-9-]{14})</code>", page)
    assert len(fresh) == codes.NUM_RECOVERY_CODES
    assert not codes.check(member, made[1]), "the older ones stop working"
    client.post("/account/codes/off", {"code": totp.now()}, **PAGE)
    assert not codes.is_on(member)
    assert not RecoveryCode.objects.exists()
    assert Client().post("/sign-in", {"email": member.email, "password": PASSWORD}).headers["Location"] == "/"


def test_a_keeper_switches_it_off_for_whoever_has_lost_everything(admin: User, owner: User, member: User) -> None:
    switch_on(member)
    switch_on(owner)
    client = signed_in(admin)
    assert "Switch off their second step" in client.get(f"/people/{member.pk}", **PAGE).content.decode()
    client.post(f"/people/{member.pk}/reset-codes", **PAGE)
    client.post(f"/people/{owner.pk}/reset-codes", **PAGE)
    assert not codes.is_on(member)
    assert codes.is_on(owner), "not an admin for an owner"


def test_an_app_that_was_never_confirmed_asks_for_nothing(member: User) -> None:
    codes.begin_setup(member)
    assert Client().post("/sign-in", {"email": member.email, "password": PASSWORD}).headers["Location"] == "/"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_bring_the_same_code_at_once_one_gets_in() -> None:
    person = make_person("Mario")
    totp, _made = switch_on(person)
    code, start, results = totp.now(), threading.Barrier(3), []

    def enter() -> None:
        start.wait()
        results.append(codes.check(person, code))
        connection.close()

    threads = [threading.Thread(target=enter) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, True]
    assert timezone.now() > CodeApp.objects.get().confirmed_at
