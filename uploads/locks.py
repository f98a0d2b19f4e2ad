"""One lock for each content: held while its bytes and its row come or go, so that neither is without the other."""

from django.db import connection


def lock_content(sha256: str) -> None:
    """Waits for it; it ends with the transaction that must be open."""
    assert connection.in_atomic_block, "the lock lasts as long as a transaction"
    with connection.cursor() as cursor:
        # 63 bits of the hash: two contents that share them only wait for each other.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int(sha256[:16], 16) >> 1])
