"""How views read a request and how a refusal leaves: one JSON shape for JavaScript, a page with a way on for people."""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeAlias

from django import forms
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from chatapp.accounts.models import Role, User
from chatapp.errors import ChatError, Invalid, Unavailable

logger = logging.getLogger(__name__)

P = ParamSpec("P")
View: TypeAlias = Callable[Concatenate[HttpRequest, P], HttpResponse]

_AWAY = (OperationalError, InterfaceError, RedisError, BrokerError)


class SignedOut(ChatError):
    status: ClassVar[int] = 401

    def __init__(self) -> None:
        super().__init__("signed_out", gettext_lazy("You are signed out. Please sign in again."))


class WrongOrigin(ChatError):
    status: ClassVar[int] = 403

    def __init__(self) -> None:
        super().__init__("csrf", gettext_lazy("This page is too old to be safe. Please reload it and try again."))


class Broken(ChatError):
    status: ClassVar[int] = 500

    def __init__(self) -> None:
        super().__init__("internal", gettext_lazy("Something went wrong here. It has been noted."))


def viewer(request: HttpRequest) -> User:
    """The signed-in person; the door (SignInRequired) has seen to it that there is one."""
    assert isinstance(request.user, User)
    return request.user


def owner_only(view: View[P]) -> View[P]:
    """For everybody but the owner of the site the page is not there."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if viewer(request).role != Role.OWNER:
            raise Http404
        return view(request, *args, **kwargs)

    return guarded


def wants_page(request: HttpRequest) -> bool:
    """Whether a person's browser is going to a page, as opposed to our JavaScript fetching something."""
    mode = request.headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode else "text/html" in request.headers.get("Accept", "")


def read_fields(request: HttpRequest) -> Mapping[str, Any]:
    """The fields of a form or of a JSON object. Raises Invalid for a body that is neither."""
    if request.content_type != "application/json":
        return request.POST
    try:
        fields = json.loads(request.body)
    except (ValueError, UnreadablePostError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise Invalid("body", _("The request must be a JSON object."))
    return {name: value for name, value in fields.items() if value is None or isinstance(value, str | int | float)}


def valid(form: forms.BaseForm) -> dict[str, Any]:
    """The cleaned fields. Raises Invalid with the first wrong field."""
    if form.is_valid():
        return form.cleaned_data
    field, errors = next(iter(form.errors.items()))
    raise Invalid(field, " ".join(str(error) for error in errors))


def error_response(request: HttpRequest, error: ChatError) -> HttpResponse:
    if not wants_page(request):
        return JsonResponse({"error": error.to_wire()}, status=error.status)
    template = {403: "403.html", 404: "404.html"}.get(error.status, "errors/refused.html")
    return render(request, template, {"message": error.message}, status=error.status)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: our own mistake, or PostgreSQL or Valkey away for a moment. Asks neither of them."""
    cause = sys.exc_info()[1]
    error: ChatError = Unavailable() if isinstance(cause, _AWAY) else Broken()
    if not wants_page(request):
        return JsonResponse({"error": error.to_wire()}, status=error.status)
    context = {"message": error.message, "is_away": error.status == Unavailable.status}
    return HttpResponse(render_to_string("500.html", context), status=error.status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    logger.warning("csrf refused path=%s reason=%s", request.path, reason)
    return error_response(request, WrongOrigin())


class ErrorAnswers:
    """Turns every ChatError of a view into its answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return error_response(request, exception) if isinstance(exception, ChatError) else None
