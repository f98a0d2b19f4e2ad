"""The pages of the team, for its keepers: people, one person, groups."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chatapp.accounts.models import User
from chatapp.http import read_fields, valid, viewer, wants_page
from chatapp.people import groups, standing, team
from chatapp.people.forms import InvitationForm, MemberForm, NameForm, RoleForm, TeamForm
from chatapp.people.pages import done, keepers_only
from chatapp.people.rights import may_manage
from chatapp.people.words import ROLE_NAMES, ROLE_NOTES


@never_cache
@keepers_only
@require_GET
def show_team(request: HttpRequest) -> HttpResponse:
    person, asked = viewer(request), valid(TeamForm(request.GET))
    context = {
        "page": team.list_people(person, asked["q"], asked["page"] or 1),
        "query": asked["q"],
        "groups": team.list_groups(person),
        "invitations": team.list_invitations(person),
        "invite": InvitationForm(person),
    }
    return render(request, "people/team.html", context)


@never_cache
@keepers_only
@require_GET
def show_person(request: HttpRequest, person_id: UUID) -> HttpResponse:
    card = team.read_person(viewer(request), person_id)
    roles = [(role, ROLE_NAMES[role], ROLE_NOTES[role]) for role in card.roles]
    context = {"card": card, "person": card.person, "roles": roles}
    return render(request, "people/person.html", context)


@keepers_only
@require_POST
def change_role(request: HttpRequest, person_id: UUID) -> HttpResponse:
    def act() -> str:
        standing.change_role(viewer(request), person_id, valid(RoleForm(read_fields(request)))["role"])
        return _("Saved.")

    response = done(request, act, "person", person_id)
    keeps_on = may_manage(User.objects.get(pk=viewer(request).pk))
    return response if keeps_on or not wants_page(request) else redirect("new_chat")


@keepers_only
@require_POST
def suspend_person(request: HttpRequest, person_id: UUID) -> HttpResponse:
    def act() -> str:
        person = standing.suspend(viewer(request), person_id)
        return _("%(name)s is suspended and signed out everywhere.") % {"name": person.name}

    return done(request, act, "person", person_id)


@keepers_only
@require_POST
def reactivate_person(request: HttpRequest, person_id: UUID) -> HttpResponse:
    def act() -> str:
        person = standing.reactivate(viewer(request), person_id)
        return _("%(name)s may sign in again.") % {"name": person.name}

    return done(request, act, "person", person_id)


@keepers_only
@require_POST
def reset_codes(request: HttpRequest, person_id: UUID) -> HttpResponse:
    def act() -> str:
        person = standing.reset_codes(viewer(request), person_id)
        return _("%(name)s signs in without a second step until they set up a new one.") % {"name": person.name}

    return done(request, act, "person", person_id)


@keepers_only
@require_POST
def make_group(request: HttpRequest) -> HttpResponse:
    def act() -> str:
        groups.make(viewer(request), _name(request))
        return ""

    return done(request, act, "team")


@never_cache
@keepers_only
@require_GET
def show_group(request: HttpRequest, group_id: UUID) -> HttpResponse:
    person = viewer(request)
    group = groups.get_group(person, group_id)
    context = {
        "group": group,
        "members": group.members.order_by("name", "email"),
        "addable": team.addable(person, group),
    }
    return render(request, "people/group.html", context)


@keepers_only
@require_POST
def rename_group(request: HttpRequest, group_id: UUID) -> HttpResponse:
    def act() -> str:
        groups.rename(viewer(request), group_id, _name(request))
        return _("Saved.")

    return done(request, act, "group", group_id)


@keepers_only
@require_POST
def add_member(request: HttpRequest, group_id: UUID) -> HttpResponse:
    def act() -> str:
        groups.add_member(viewer(request), group_id, _member(request))
        return ""

    return done(request, act, "group", group_id)


@keepers_only
@require_POST
def remove_member(request: HttpRequest, group_id: UUID) -> HttpResponse:
    def act() -> str:
        groups.remove_member(viewer(request), group_id, _member(request))
        return ""

    return done(request, act, "group", group_id)


@keepers_only
@require_POST
def delete_group(request: HttpRequest, group_id: UUID) -> HttpResponse:
    def act() -> str:
        name = groups.get_group(viewer(request), group_id).name
        groups.delete(viewer(request), group_id)
        return _("The group “%(name)s” is deleted.") % {"name": name}

    return done(request, act, "team")


def _name(request: HttpRequest) -> str:
    return str(valid(NameForm(read_fields(request)))["name"])


def _member(request: HttpRequest) -> UUID:
    person_id: UUID = valid(MemberForm(read_fields(request)))["person"]
    return person_id
