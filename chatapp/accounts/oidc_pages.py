"""The way to the OpenID Connect provider and back: at the door, and from the page of the account to connect it."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from chatapp.accounts import entering, identities, oidc
from chatapp.accounts.forms import ConfirmedForm
from chatapp.accounts.models import Identity
from chatapp.config import Oidc
from chatapp.errors import ChatError
from chatapp.http import viewer


@login_not_required
@never_cache
@require_GET
def begin(request: HttpRequest) -> HttpResponse:
    """A link, not a form: our content policy lets no form lead to another site."""
    provider = _provider()
    if request.user.is_authenticated:
        return redirect("account")
    request.session.set_expiry(int(oidc.PENDING_S))
    return redirect(oidc.begin(request, provider, _next(request)))


@never_cache
@sensitive_post_parameters("password")
@require_POST
def connect(request: HttpRequest) -> HttpResponse:
    """A page with the link, for the same policy. Begun by a form: nobody else may begin it for a person."""
    person, provider = viewer(request), _provider()
    if not ConfirmedForm(person, request.POST).is_valid():
        messages.error(request, _("This is not your current password."))
        return redirect("account")
    url = oidc.begin(request, provider, "", connects=str(person.pk))
    return render(request, "accounts/connect.html", {"url": url, "name": oidc.name_of(provider)})


@require_POST
def disconnect(request: HttpRequest) -> HttpResponse:
    person, provider = viewer(request), _provider()
    if not person.has_usable_password() and not person.passkeys.exists():
        messages.error(request, _("It is your only way in: set a password or add a passkey first."))
    else:
        Identity.objects.filter(user=person, source=provider.issuer).delete()
    return redirect("account")


@login_not_required
@never_cache
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Who is signed in connects the identity; whoever is not signs in by it."""
    provider = _provider()
    try:
        answered = oidc.finish(request, provider)
        if answered.connects:
            if not request.user.is_authenticated or str(viewer(request).pk) != answered.connects:
                raise oidc.Refused
            identities.join(viewer(request), answered.known)
            messages.success(request, _("Connected. You can sign in with it from now on."))
            return redirect("account")
        person = identities.person_for(answered.known, provider.newcomers)
    except ChatError as refused:
        messages.error(request, refused.message)
        return redirect("account" if request.user.is_authenticated else "sign_in")
    logout(request)  # should somebody else have signed in here meanwhile
    return entering.go_on(request, person, answered.way_on)


def _provider() -> Oidc:
    provider: Oidc | None = settings.CONFIG.oidc
    if provider is None:
        raise Http404
    return provider


def _next(request: HttpRequest) -> str:
    target = request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if is_ours and target.startswith("/") else "/"
