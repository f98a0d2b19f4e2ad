"""Compile the .po files that have changed. Run: `manage.py compile_languages`, as set-up does."""

from typing import Any

from django.core.management.base import BaseCommand

from chatapp.accounts import catalogues


class Command(BaseCommand):
    help = "Compile the catalogues of translations (.po to .mo)."
    requires_system_checks: list[str] = []  # runs at set-up, before there is a database

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"compiled {catalogues.compile_languages()} catalogues")
