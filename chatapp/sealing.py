"""Secrets at rest: Fernet, under a key derived from the site's secret key for one use alone."""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class SealBroken(ValueError):
    """Something stored that this site's secret key does not open."""


def seal(use: str, text: str) -> bytes:
    return _box(settings.SECRET_KEY, use).encrypt(text.encode())


def unseal(use: str, stored: bytes) -> str:
    """Raises SealBroken: most often the secret key of the site has changed."""
    try:
        return _box(settings.SECRET_KEY, use).decrypt(bytes(stored)).decode()
    except InvalidToken as error:
        raise SealBroken(use) from error


@lru_cache(maxsize=8)
def _box(secret_key: str, use: str) -> Fernet:
    derived = HKDF(SHA256(), length=32, salt=None, info=use.encode()).derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
