"""`manage.py setup_site`: brings the rows that come from the configuration up to date. Safe to repeat."""

from typing import Any

from django.core.management.base import BaseCommand

from chatapp.endpoints.services import ensure_local_endpoint


class Command(BaseCommand):
    help = "Creates or updates the endpoint of this installation's own model worker."

    def handle(self, *args: Any, **options: Any) -> None:
        endpoint = ensure_local_endpoint()
        self.stdout.write(f"endpoint {endpoint.name!r} at {endpoint.base_url}")
