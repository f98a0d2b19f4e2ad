"""The pages of leaving: a keeper removes somebody, a person leaves. Both ask what becomes of what they own."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from chatapp.accounts.models import User
from chatapp.errors import ChatError, NotFound
from chatapp.http import viewer
from chatapp.people import leaving, team
from chatapp.people.belongings import belongings_of
from chatapp.people.forms import LeaveForm, RemoveForm
from chatapp.people.pages import keepers_only


@never_cache
@keepers_only
@require_http_methods(["GET", "POST"])
def remove_person(request: HttpRequest, person_id: UUID) -> HttpResponse:
    keeper = viewer(request)
    person = team.read_person(keeper, person_id).person
    form = RemoveForm(leaving.heirs(keeper, person), request.POST or None)
    if form.is_valid():
        try:
            leaving.remove(keeper, person_id, form.heir_id())
            messages.success(request, _("%(name)s is no longer in the team.") % {"name": person.name})
            return redirect("team")
        except NotFound:
            raise
        except ChatError as refused:
            form.add_error(None, refused.message)
    return _page(request, "people/remove.html", form, person)


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def leave(request: HttpRequest) -> HttpResponse:
    person = viewer(request)
    form = LeaveForm(person, leaving.heirs(person, person), request.POST or None)
    if form.is_valid():
        try:
            leaving.leave(person, form.heir_id())
            logout(request)
            messages.success(request, _("You have left. Your account is deleted."))
            return redirect("sign_in")
        except ChatError as refused:
            form.add_error(None, refused.message)
    return _page(request, "people/leave.html", form, person)


def _page(request: HttpRequest, template: str, form: RemoveForm, person: User) -> HttpResponse:
    context = {"form": form, "person": person, "belongings": belongings_of(person)}
    return render(request, template, context, status=422 if form.errors else 200)
