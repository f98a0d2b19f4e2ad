"""Codes as pages: the second step of a sign-in, setting it up, new recovery codes, switching it off."""

import segno
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from chatapp.accounts import codes, entering
from chatapp.accounts.forms import CodeForm, SetUpForm
from chatapp.accounts.throttle import Locked
from chatapp.http import viewer


@login_not_required
@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def enter_code(request: HttpRequest) -> HttpResponse:
    waiting = entering.pending(request)
    if waiting is None:
        return redirect("sign_in")
    form = CodeForm(request.POST or None)
    status = 200
    if form.is_valid():
        try:
            if codes.check(waiting.user, form.cleaned_data["code"]):
                return entering.let_in(request, waiting.user, redirect(waiting.way_on))
            form.add_error("code", _("This code is wrong, or was used before."))
        except Locked as locked:
            form.add_error(None, locked.message)
            status = locked.status
    return render(request, "accounts/code.html", {"form": form}, status=status)


@never_cache
@sensitive_post_parameters("code", "password")
@require_http_methods(["GET", "POST"])
def set_up(request: HttpRequest) -> HttpResponse:
    """The answer to the right code is the only page that ever shows the recovery codes."""
    person = viewer(request)
    if codes.is_on(person):
        return redirect("account")
    totp = codes.begin_setup(person)
    form = SetUpForm(person, request.POST or None)
    if form.is_valid():
        made = codes.confirm(person, form.cleaned_data["code"])
        if made is not None:
            return render(request, "accounts/recovery_codes.html", {"codes": made, "is_new": True})
        form.add_error("code", _("This code is wrong, or was used before."))
    picture = segno.make(codes.address_for(person, totp), error="m").svg_data_uri(scale=5, light="#fff", dark="#000")
    context = {"form": form, "picture": picture, "secret": totp.secret}
    return render(request, "accounts/set_up_codes.html", context, status=422 if form.errors else 200)


@never_cache
@sensitive_post_parameters("code")
@require_POST
def renew(request: HttpRequest) -> HttpResponse:
    if not _confirmed(request):
        return redirect("account")
    made = codes.make_recovery_codes(viewer(request))
    return render(request, "accounts/recovery_codes.html", {"codes": made, "is_new": False})


@sensitive_post_parameters("code")
@require_POST
def switch_off(request: HttpRequest) -> HttpResponse:
    if _confirmed(request):
        codes.switch_off(viewer(request))
        messages.success(request, _("The second step is off."))
    return redirect("account")


def _confirmed(request: HttpRequest) -> bool:
    """By a code: whoever has found an open page has none. Raises Locked."""
    form = CodeForm(request.POST)
    if form.is_valid() and codes.check(viewer(request), form.cleaned_data["code"]):
        return True
    messages.error(request, _("This code is wrong, or was used before."))
    return False
