"""The first account: a one-time link while there is nobody, and the one owner it makes."""

import hashlib
import secrets

from django.contrib.auth.hashers import make_password
from django.db import transaction

from chatapp.accounts.models import Role, User, WelcomeLink


def has_people() -> bool:
    return User.objects.exists()


def issue_token() -> str:
    """A new token for the owner's link; an older one stops working. Only its hash is kept."""
    token = secrets.token_urlsafe(32)
    WelcomeLink.objects.update_or_create(only_one=True, defaults={"token_hash": _hash(token)})
    return token


def token_is_valid(token: str) -> bool:
    return _opens(WelcomeLink.objects.first(), token)


def create_owner(token: str, name: str, email: str, password: str) -> User | None:
    """The owner, or None where the link is not valid (any more). Of two people at the same moment one gets it."""
    hashed = make_password(password)  # slow on purpose, so outside the transaction
    with transaction.atomic():
        # Whoever comes second waits here for the first, and then finds no link.
        if not _opens(WelcomeLink.objects.select_for_update().first(), token):
            return None
        owner = User(email=User.objects.normalize_email(email), name=name, role=Role.OWNER, password=hashed)
        owner.save(force_insert=True)
        WelcomeLink.objects.all().delete()
        return owner


def _opens(link: WelcomeLink | None, token: str) -> bool:
    return link is not None and secrets.compare_digest(link.token_hash, _hash(token)) and not has_people()


def _hash(token: str) -> str:
    # The token has 256 random bits: nothing to guess, so a slow hash would add nothing.
    return hashlib.sha256(token.encode()).hexdigest()
