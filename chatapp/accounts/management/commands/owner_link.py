"""Print the one-time link that makes the owner. Run: `manage.py owner_link`; exits 1 where there is an account."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from chatapp.accounts import welcome
from chatapp.config import Config

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Command(BaseCommand):
    help = "Print the one-time link that makes the owner, while there is no account."

    def handle(self, *args: Any, **options: Any) -> None:
        if welcome.has_people():
            raise CommandError("there is an account already: no link is needed", returncode=1)
        self.stdout.write(site_url(settings.CONFIG) + reverse("welcome", args=[welcome.issue_token()]))


def site_url(config: Config) -> str:
    """Where a person on this machine opens the site: the first configured origin, else host and port."""
    if config.origins:
        return config.origins[0].rstrip("/")
    host = _ANY_ADDRESS.get(config.host, config.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.port}"
