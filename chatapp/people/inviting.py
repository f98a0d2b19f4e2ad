"""Invitations as pages: a keeper makes and revokes them, a stranger joins by one."""

import logging
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from chatapp.accounts import lockout, throttle
from chatapp.accounts.entering import address_of, let_in
from chatapp.accounts.models import User
from chatapp.accounts.throttle import Key, Kind, Locked
from chatapp.errors import ChatError, NotFound
from chatapp.http import viewer
from chatapp.people import invitations
from chatapp.people.forms import InvitationForm, JoinForm
from chatapp.people.models import Invitation
from chatapp.people.pages import done, keepers_only

logger = logging.getLogger(__name__)


@never_cache
@keepers_only
@require_POST
def make_invitation(request: HttpRequest) -> HttpResponse:
    """The answer to this request is the only page that ever shows the link."""
    form = InvitationForm(viewer(request), request.POST)
    if not form.is_valid():
        return render(request, "people/invite.html", {"form": form}, status=422)
    made = invitations.make(viewer(request), **form.cleaned_data)
    link = request.build_absolute_uri(reverse("join", args=[made.token]))
    return render(request, "people/invited.html", {"invitation": made.invitation, "link": link})


@keepers_only
@require_POST
def revoke_invitation(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    def act() -> str:
        invitations.revoke(viewer(request), invitation_id)
        return _("The link does not work any more.")

    return done(request, act, "team")


@login_not_required
@never_cache
@sensitive_post_parameters("new_password")
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Who is signed in is told so: a link is not meant to change who one is."""
    invitation = _find(request, token)
    if request.user.is_authenticated:
        return render(request, "people/joined.html", {"invitation": invitation})
    form = JoinForm(request.POST or None)
    status = 200
    if form.is_valid():
        try:
            person = _join(request, token, form)
            return let_in(request, person, redirect("new_chat"))
        except NotFound:
            raise
        except ChatError as refused:
            form.add_error(None, refused.message)
            status = refused.status
    return render(request, "people/join.html", {"form": form, "invitation": invitation}, status=status)


def _find(request: HttpRequest, token: str) -> Invitation:
    """Links that do not work look alike, and who tries many of them waits. Raises Http404, Locked."""
    invitation = invitations.find(token)
    if invitation is None:
        counted(request, "token")
        raise Http404
    return invitation


def _join(request: HttpRequest, token: str, form: JoinForm) -> User:
    """Raises NotFound, Taken, Locked."""
    attempt = counted(request, "join")
    fields = form.cleaned_data
    person = invitations.join(token, fields["name"], fields["email"], fields["new_password"])
    attempt.succeeded()
    return person


def counted(request: HttpRequest, kind: Kind) -> throttle.Attempt:
    address = address_of(request)
    try:
        return throttle.begin(Key(kind, lockout.place(address)))
    except Locked as locked:
        logger.warning("invitations locked for %d s, address %s", locked.wait_s, address)
        raise
