"""Wrong passwords lock the door for a while. Kept as rows: a restarted broker must not reopen it."""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address

from django.db.models import Count, Q
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from chatapp.accounts.models import SignInFailure

WINDOW = timedelta(minutes=15)
# One person from one place mistypes a few times; more is guessing.
MOST_FOR_PAIR = 10
# An account guessed at from many places, and many accounts from one place. Higher, so that a stranger cannot shut a
# person out from elsewhere with ten requests, and one office behind one address is not shut out by one colleague.
MOST_FOR_ACCOUNT = 100
MOST_FOR_ADDRESS = 50


@dataclass(frozen=True, slots=True)
class Attempt:
    """A password about to be checked, counted as wrong until it proves right: parallel guesses cannot slip past."""

    failure: SignInFailure

    def succeeded(self) -> None:
        """Forget this attempt and the person's earlier mistakes from here."""
        SignInFailure.objects.filter(account=self.failure.account, address=self.failure.address).delete()


def begin_attempt(email: str, address: str) -> Attempt | None:
    """None where the door is locked; a refused attempt does not lengthen the lock."""
    SignInFailure.objects.filter(created_at__lt=Now() - WINDOW).delete()
    account, address = _fold(email), _place(address)
    failure = SignInFailure.objects.create(account=account, address=address)
    here, theirs = Q(address=address), Q(account=account)
    counts = SignInFailure.objects.filter(here | theirs).aggregate(
        pair=Count("id", filter=here & theirs), account=Count("id", filter=theirs), address=Count("id", filter=here)
    )
    if counts["pair"] > MOST_FOR_PAIR or counts["account"] > MOST_FOR_ACCOUNT or counts["address"] > MOST_FOR_ADDRESS:
        failure.delete()
        return None
    return Attempt(failure)


def _fold(email: str) -> str:
    """A keyed hash: what strangers type (a password in the wrong field) is not stored readably."""
    return salted_hmac("chatapp.accounts.lockout", email.strip().casefold(), algorithm="sha256").hexdigest()


def _place(address: str) -> str:
    """One household or server of IPv6 has a whole /64 of addresses to guess from."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket has none
        return ""
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False).network_address)
    return str(parsed)
