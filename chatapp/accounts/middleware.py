"""The door (signed in by default), the person's own language, and when they were last seen."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import translation
from django.utils.cache import patch_vary_headers

from chatapp.accounts import sessions
from chatapp.http import SignedOut, error_response, wants_page

GetResponse = Callable[[HttpRequest], HttpResponse]
View = Callable[..., HttpResponseBase]


class PersonalLanguage:
    """A signed-in person's language wins over cookie and browser, which LocaleMiddleware has already read."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = getattr(request.user, "language", "")
        if language in dict(settings.LANGUAGES):
            translation.activate(language)
            request.LANGUAGE_CODE = translation.get_language()
        response = self.get_response(request)
        response.headers.setdefault("Content-Language", translation.get_language() or settings.LANGUAGE_CODE)
        patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response


class SignInRequired(LoginRequiredMiddleware):
    """Every view needs a session unless it says `login_not_required`. A page is led to the sign-in; JavaScript: 401."""

    def process_view(
        self, request: HttpRequest, view_func: View, view_args: tuple[Any, ...], view_kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        refused = super().process_view(request, view_func, view_args, view_kwargs)
        if refused is None:
            return None
        if not wants_page(request):
            return error_response(request, SignedOut())
        # The way back is a GET: of no use for a route that only takes writes.
        return refused if request.method == "GET" else redirect(settings.LOGIN_URL)


class LastSeen:
    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated and request.session.session_key:
            sessions.mark_seen(request.session.session_key)
        return self.get_response(request)
