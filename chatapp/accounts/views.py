"""The door, the person's own page, preferences, and the strings of JavaScript."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatapp.accounts import codes, entering, oidc, passkeys, preferences, sessions, welcome
from chatapp.accounts.forms import EndSessionForm, PasswordForm, PreferencesForm, ProfileForm, SignInForm, WelcomeForm
from chatapp.accounts.identities import Stranger
from chatapp.accounts.models import User
from chatapp.accounts.strings import read_strings
from chatapp.accounts.throttle import Locked
from chatapp.http import read_fields, valid, viewer, wants_page


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(_next(request))
    form = SignInForm(request.POST or None)
    if form.is_valid():
        try:
            user = entering.check_password(request, form.cleaned_data["email"], form.cleaned_data["password"])
        except Locked as locked:
            form.add_error(None, locked.message)
            return _door(request, form, locked)
        except Stranger as refused:
            form.add_error(None, refused.message)
            return _door(request, form)
        if user is not None:
            return entering.go_on(request, user, _next(request))
        form.add_error(None, _("Email or password is wrong."))
    return _door(request, form)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign_in")


@login_not_required
@never_cache
@sensitive_post_parameters("new_password")
@require_http_methods(["GET", "POST"])
def welcome_owner(request: HttpRequest, token: str) -> HttpResponse:
    if not welcome.token_is_valid(token):
        raise Http404
    form = WelcomeForm(request.POST or None)
    if form.is_valid():
        fields = form.cleaned_data
        owner = welcome.create_owner(token, fields["name"], fields["email"], fields["new_password"])
        if owner is None:  # somebody else was a moment faster
            messages.error(request, _("The first account has just been made by somebody else."))
            return redirect("sign_in")
        return entering.let_in(request, owner, redirect("new_chat"))
    return render(request, "accounts/welcome.html", {"form": form})


@never_cache
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    return _account_page(request, _profile_form(viewer(request)), PasswordForm(viewer(request)))


@sensitive_post_parameters("password", "new_password")
@require_POST
def change_password(request: HttpRequest) -> HttpResponse:
    form = PasswordForm(viewer(request), request.POST)
    if not form.is_valid():
        return _account_page(request, _profile_form(viewer(request)), form)
    sessions.change_password(request, viewer(request), form.cleaned_data["new_password"])
    messages.success(request, _("Your password is changed. All other sessions are signed out."))
    return redirect("account")


@require_POST
def change_profile(request: HttpRequest) -> HttpResponse:
    form = ProfileForm(request.POST)
    if not form.is_valid():
        return _account_page(request, form, PasswordForm(viewer(request)))
    preferences.save(viewer(request), form.cleaned_data)
    preferences.speak(form.cleaned_data["language"])
    messages.success(request, _("Saved."))
    response = redirect("account")
    preferences.remember_in_browser(response, form.cleaned_data["language"])
    return response


@require_POST
def end_session(request: HttpRequest) -> HttpResponse:
    fields = valid(EndSessionForm(read_fields(request)))
    if fields["others"]:
        sessions.end_others(viewer(request), request.session.session_key, with_keys=fields["keys"])
    elif not fields["session"] or not sessions.end_session(viewer(request), fields["session"]):
        raise Http404
    return redirect("account") if wants_page(request) else JsonResponse({"ok": True})


@login_not_required
@require_POST
def save_preferences(request: HttpRequest) -> HttpResponse:
    """Remembered with the person; a stranger at the door may choose a language, which their browser remembers."""
    sent = read_fields(request)
    fields = {name: value for name, value in valid(PreferencesForm(sent)).items() if name in sent}
    response = redirect(_next(request)) if wants_page(request) else JsonResponse({"ok": True})
    if request.user.is_authenticated:
        preferences.save(viewer(request), fields)
    if "language" in fields:
        preferences.remember_in_browser(response, fields["language"])
    return response


@login_not_required
@require_GET
def javascript_strings(request: HttpRequest, language: str) -> HttpResponse:
    if language not in dict(settings.LANGUAGES):
        raise Http404
    return JsonResponse(read_strings(language), headers={"Cache-Control": "max-age=300"})


def _door(request: HttpRequest, form: SignInForm, locked: Locked | None = None) -> HttpResponse:
    context = {
        "form": form,
        "next": _next(request),
        "nobody_yet": not welcome.has_people(),
        "has_passkeys": bool(passkeys.host_of(request)),
        "oidc_name": oidc.name_of(settings.CONFIG.oidc) if settings.CONFIG.oidc else "",
    }
    response = render(request, "accounts/sign_in.html", context, status=locked.status if locked else 200)
    if locked:
        response.headers["Retry-After"] = str(locked.wait_s)
    return response


def _account_page(request: HttpRequest, profile: ProfileForm, password: PasswordForm) -> HttpResponse:
    rows = sessions.list_sessions(viewer(request), request.session.session_key)
    person = viewer(request)
    context = {
        "profile": profile,
        "password": password,
        "sessions": rows,
        "has_codes": codes.is_on(person),
        "num_recovery_codes": codes.num_recovery_codes(person),
        "passkeys": person.passkeys.all(),
        "passkey_host": passkeys.host_of(request),
        **_elsewhere(person),
    }
    status = 422 if profile.errors or password.errors else 200
    return render(request, "accounts/account.html", context, status=status)


def _elsewhere(person: User) -> dict[str, object]:
    """The provider that one can sign in with, and whether this person does."""
    provider = settings.CONFIG.oidc
    if provider is None:
        return {}
    return {
        "oidc_name": oidc.name_of(provider),
        "oidc_is_connected": person.identities.filter(source=provider.issuer).exists(),
    }


def _profile_form(user: User) -> ProfileForm:
    return ProfileForm(initial={"name": user.name, "language": user.language, "theme": user.theme})


def _next(request: HttpRequest) -> str:
    """Where to go on: the asked-for path of this site, never another site."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if is_ours and target.startswith("/") else "/"
