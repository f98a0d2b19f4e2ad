"""What the views of the team share: who may come in, and how a refusal is said on a page."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeAlias
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from chatapp.errors import ChatError, NotFound
from chatapp.http import viewer, wants_page
from chatapp.people.rights import may_manage

P = ParamSpec("P")
View: TypeAlias = Callable[Concatenate[HttpRequest, P], HttpResponse]


def keepers_only(view: View[P]) -> View[P]:
    """For everybody else it is not there."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not may_manage(viewer(request)):
            raise Http404
        return view(request, *args, **kwargs)

    return guarded


def done(request: HttpRequest, act: Callable[[], str], back: str, *arguments: UUID) -> HttpResponse:
    """Does it, says the words of `act` or of its refusal, and leads back; JavaScript gets JSON."""
    if not wants_page(request):
        act()
        return JsonResponse({"ok": True})
    try:
        if words := act():
            messages.success(request, words)
    except NotFound:
        raise
    except ChatError as refused:
        messages.error(request, refused.message)
    return redirect(back, *arguments)
