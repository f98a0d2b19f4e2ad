"""Passkeys for JavaScript (JSON in and out), and the form that deletes one."""

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from chatapp.accounts import entering, passkeys
from chatapp.accounts.forms import PasskeyForm, PasskeyNameForm
from chatapp.errors import Invalid
from chatapp.http import read_fields, valid, viewer, wants_page

MAX_ANSWER = 64 * 1024  # bytes; a device's answer has two or three thousand


@sensitive_post_parameters("password")
@require_POST
def begin_adding(request: HttpRequest) -> HttpResponse:
    valid(PasskeyForm(viewer(request), read_fields(request)))
    return JsonResponse(passkeys.begin_adding(request, viewer(request)))


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    sent = _read(request)
    name = valid(PasskeyNameForm(sent))["name"]
    passkey = passkeys.add(request, viewer(request), name, _credential(sent))
    messages.success(request, _("The passkey “%(name)s” signs you in from now on.") % {"name": passkey.name})
    return JsonResponse({"ok": True})


@require_POST
def delete(request: HttpRequest, passkey_id: UUID) -> HttpResponse:
    if not passkeys.delete(viewer(request), passkey_id):
        raise Http404
    return redirect("account") if wants_page(request) else JsonResponse({"ok": True})


@login_not_required
@require_POST
def begin_entering(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        request.session.set_expiry(entering.PENDING_S)  # strangers leave no sessions for a month
    return JsonResponse(passkeys.begin_entering(request))


@login_not_required
@require_POST
def enter(request: HttpRequest) -> HttpResponse:
    """Both steps in one: the device has asked who is there. Answers where to go on."""
    sent = _read(request)
    person = passkeys.whose(request, _credential(sent))
    return entering.let_in(request, person, JsonResponse({"ok": True, "next": _next(request, sent)}))


def _read(request: HttpRequest) -> dict[str, Any]:
    """A JSON object with objects in it, which read_fields does not take. Raises Invalid."""
    try:
        body = request.body
        sent = json.loads(body) if len(body) <= MAX_ANSWER else None
    except (ValueError, UnreadablePostError, RecursionError):
        sent = None
    if not isinstance(sent, dict):
        raise Invalid("body", _("The request must be a JSON object."))
    return sent


def _credential(sent: dict[str, Any]) -> dict[str, Any]:
    credential = sent.get("credential")
    if not isinstance(credential, dict):
        raise Invalid("credential", _("The request must be a JSON object."))
    return credential


def _next(request: HttpRequest, sent: dict[str, Any]) -> str:
    target = str(sent.get("next") or "")
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if is_ours and target.startswith("/") else "/"
