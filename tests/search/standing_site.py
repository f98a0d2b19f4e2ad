"""A database and Django for programs that measure: `with standing_site("quality"):`, then import what needs them."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ops.data import ROOT
from ops.services import Services


@contextmanager
def standing_site(name: str) -> Iterator[None]:
    """An empty index in a database that is made for this run, on a server of its own."""
    services = Services(ROOT / "var" / f"{name}-services")
    os.environ.update(services.env)
    os.environ["DJANGO_SETTINGS_MODULE"] = "chatapp.settings"
    services.start()
    try:
        with _fresh_database():
            yield
    finally:
        services.stop()
        services.close()


@contextmanager
def _fresh_database() -> Iterator[None]:
    import django
    from django.db import connection

    django.setup()
    logging.getLogger("search").setLevel(logging.WARNING)
    kept = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(kept, verbosity=0)
