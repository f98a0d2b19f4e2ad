"""Endpoint keys at rest: Fernet, under a key derived from the site's secret key for this use alone."""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class KeyUnreadable(ValueError):
    """A stored key that this site's secret key does not open."""


@lru_cache(maxsize=4)
def _box(secret_key: str) -> Fernet:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"sonde endpoint api keys v1").derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def encrypt_key(api_key: str) -> bytes:
    return _box(settings.SECRET_KEY).encrypt(api_key.encode()) if api_key else b""


def decrypt_key(stored: bytes) -> str:
    """Raises KeyUnreadable: most often the secret key of the site has changed."""
    if not stored:
        return ""
    try:
        return _box(settings.SECRET_KEY).decrypt(bytes(stored)).decode()
    except InvalidToken as error:
        raise KeyUnreadable("The endpoint's key cannot be decrypted: enter it again in Settings.") from error
