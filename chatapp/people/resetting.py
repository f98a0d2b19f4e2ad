"""Passwords as pages: a keeper makes a link, whoever has it chooses a new password."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from chatapp.errors import ChatError, NotFound
from chatapp.http import viewer
from chatapp.people import passwords
from chatapp.people.forms import ChoosePasswordForm
from chatapp.people.inviting import counted
from chatapp.people.pages import keepers_only


@never_cache
@keepers_only
@require_POST
def reset_password(request: HttpRequest, person_id: UUID) -> HttpResponse:
    """The answer to this request is the only page that ever shows the link."""
    try:
        made = passwords.make(viewer(request), person_id)
    except NotFound:
        raise
    except ChatError as refused:
        messages.error(request, refused.message)
        return redirect("person", person_id)
    link = request.build_absolute_uri(reverse("choose_password", args=[made.person.pk, made.token]))
    return render(request, "people/password_link.html", {"person": made.person, "link": link})


@login_not_required
@never_cache
@sensitive_post_parameters("new_password")
@require_http_methods(["GET", "POST"])
def choose_password(request: HttpRequest, person_id: UUID, token: str) -> HttpResponse:
    """Nobody is signed in by it: the second step stays what it was. Links that do not work look alike."""
    person = passwords.find(person_id, token)
    if person is None:
        counted(request, "token")
        raise Http404
    form = ChoosePasswordForm(person, request.POST or None)
    if form.is_valid():
        if not passwords.choose(person_id, token, form.cleaned_data["new_password"]):
            raise Http404
        messages.success(request, _("Your password is changed. Sign in with it."))
        return redirect("sign_in")
    status = 422 if form.errors else 200
    return render(request, "people/choose_password.html", {"form": form, "person": person}, status=status)
