"""Bring the .po files in step with the code. Run: `manage.py extract_strings` after a change of any visible text."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from chatapp.accounts import catalogues


class Command(BaseCommand):
    help = "Collect the visible strings of .py, .html and .js files into the .po files."

    def handle(self, *args: Any, **options: Any) -> None:
        for domain, strings in catalogues.collect(settings.BASE_DIR).items():
            for language in catalogues.TRANSLATED:
                num_new, num_missing = catalogues.update_catalogue(language, domain, strings)
                self.stdout.write(
                    f"{language} {domain}: {len(strings.files)} strings, {num_new} new, {num_missing} to do"
                )
