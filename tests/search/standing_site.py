"""A database and Django for programs that measure: `with standing_site("quality"):`, then import what needs them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ops.data import ROOT
from ops.services import Services

TABLES = "search_vector, search_word, search_passage"


@contextmanager
def standing_site(name: str) -> Iterator[None]:
    """An empty index in a database of its own, kept in var/ until the next time."""
    services = Services(ROOT / "var" / f"{name}-services")
    os.environ.update(services.env)
    os.environ["DJANGO_SETTINGS_MODULE"] = "chatapp.settings"
    services.start()
    try:
        _prepare()
        yield
    finally:
        services.stop()
        services.close()


def _prepare() -> None:
    import logging

    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    logging.getLogger("search").setLevel(logging.WARNING)
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")
