"""Wrong passwords lock the door for a while: for guessers, and not for the people whose accounts they guess at.

A browser that somebody has signed in with before is known by a cookie, for that account alone, and counts only its own
mistakes. So nobody can keep a person out of their own browser by guessing at their account from elsewhere, and an
office behind one address is not shut out by one colleague. All others wait by account, by address and by both.
(The idea is OWASP's "device cookies".)
"""

from ipaddress import IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, get_random_string

from chatapp.accounts.throttle import Attempt, Key, begin

COOKIE = "device"
_A_YEAR_S = 365 * 24 * 3600
_signer = TimestampSigner(salt="chatapp.accounts.lockout")


def begin_attempt(email: str, address: str, device: str = "") -> Attempt:
    """A password for this account is about to be checked. Raises Locked."""
    account, where = _fold(email), place(address)
    if number := _number_of(device, account):
        return begin(Key("device", number))
    return begin(Key("pair", f"{account} {where}"), Key("account", account), Key("address", where))


def forgive(attempt: Attempt) -> None:
    """It was right: the person's earlier mistakes from here are forgotten; those of others elsewhere are not."""
    attempt.succeeded("pair", "device")


def remember_device(request: HttpRequest, response: HttpResponse, email: str) -> None:
    """After a sign-in: from now on this browser is known to be this person's."""
    account = _fold(email)
    number = _number_of(request.COOKIES.get(COOKIE, ""), account) or get_random_string(22)
    response.set_cookie(
        COOKIE,
        _signer.sign(f"{Key('account', account).hashed}.{number}"),
        max_age=_A_YEAR_S,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def place(address: str) -> str:
    """One household or server of IPv6 has a whole /64 of addresses to guess from."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket has none
        return ""
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False).network_address)
    return str(parsed)


def _number_of(device: str, account: str) -> str:
    """Empty where the cookie is not ours, too old, or of another account."""
    try:
        hashed, _dot, number = _signer.unsign(device, max_age=_A_YEAR_S).partition(".")
    except BadSignature:
        return ""
    return number if constant_time_compare(hashed, Key("account", account).hashed) else ""


def _fold(email: str) -> str:
    return email.strip().casefold()
