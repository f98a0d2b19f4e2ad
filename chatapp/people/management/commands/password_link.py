"""Print a link by which somebody chooses a new password: for an owner whom nobody else can give one.

Run: `manage.py password_link EMAIL`; exits 1 where there is no such account or it has no password here.
"""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from chatapp.accounts.management.commands.owner_link import site_url
from chatapp.accounts.models import User
from chatapp.errors import ChatError
from chatapp.people import passwords


class Command(BaseCommand):
    help = "Print a link by which somebody chooses a new password."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            person = User.objects.get_by_natural_key(options["email"])
            made = passwords.make_for(person)
        except User.DoesNotExist:
            raise CommandError(f"there is no account with {options['email']}", returncode=1) from None
        except ChatError as refused:
            raise CommandError(str(refused.message), returncode=1) from None
        path = reverse("choose_password", args=[person.pk, made.token])
        self.stdout.write(site_url(settings.CONFIG) + path)
