"""What is remembered for a person: name, language, theme, and the last toggles of the composer."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils import translation

from chatapp.accounts.models import User

_COLUMNS = {"thinking": "wants_thinking", "search": "wants_search"}
_A_YEAR_S = 365 * 24 * 3600


def save(user: User, fields: dict[str, Any]) -> None:
    """Store the named preferences. A theme is never empty: sent empty, it stays."""
    columns = {_COLUMNS.get(name, name): value for name, value in fields.items() if name != "theme" or value}
    if columns:
        User.objects.filter(pk=user.pk).update(**columns)


def speak(language: str) -> None:
    """Go on in the language just chosen, so that the confirmation is already in it."""
    if language:
        translation.activate(language)


def remember_in_browser(response: HttpResponse, language: str) -> None:
    """For the pages before a sign-in; empty follows the browser's own list again."""
    if not language:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME, samesite="Lax")
        return
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=_A_YEAR_S,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
