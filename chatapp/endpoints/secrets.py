"""Endpoint keys at rest, sealed for this use alone."""

from chatapp.sealing import SealBroken, seal, unseal

_USE = "sonde endpoint api keys v1"


class KeyUnreadable(ValueError):
    """A stored key that this site's secret key does not open."""


def encrypt_key(api_key: str) -> bytes:
    return seal(_USE, api_key) if api_key else b""


def decrypt_key(stored: bytes) -> str:
    """Raises KeyUnreadable: most often the secret key of the site has changed."""
    if not stored:
        return ""
    try:
        return unseal(_USE, stored)
    except SealBroken as error:
        raise KeyUnreadable("The endpoint's key cannot be decrypted: enter it again in Settings.") from error
