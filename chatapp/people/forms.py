"""What the pages of the team take."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.forms import WelcomeForm
from chatapp.accounts.models import Group, User
from chatapp.forms import LookMixin
from chatapp.people.groups import groups
from chatapp.people.invitations import MAX_NOTE, MAX_USES, invitable
from chatapp.people.team import MAX_QUERY
from chatapp.people.words import ROLE_NAMES

DAYS = [(1, _("1 day")), (7, _("7 days")), (30, _("30 days")), (90, _("90 days"))]


class TeamForm(forms.Form):
    q = forms.CharField(required=False, max_length=MAX_QUERY)
    page = forms.IntegerField(required=False, min_value=1)


class RoleForm(forms.Form):
    role = forms.CharField()  # the service says which the viewer may give


class NameForm(forms.Form):
    name = forms.CharField(required=False)  # the service says what a name may be


class MemberForm(forms.Form):
    person = forms.UUIDField()


class InvitationForm(LookMixin, forms.Form):
    note = forms.CharField(label=_("For whom"), max_length=MAX_NOTE, required=False)
    role = forms.ChoiceField(label=_("Role"), initial="member")
    group = forms.ModelChoiceField(label=_("Group"), queryset=Group.objects.none(), required=False)
    days = forms.TypedChoiceField(label=_("Works for"), choices=DAYS, coerce=int, initial=7)
    max_uses = forms.IntegerField(label=_("How many people"), min_value=1, max_value=MAX_USES, initial=1)

    def __init__(self, viewer: User, data: Any = None) -> None:
        super().__init__(data)
        role, group = self.fields["role"], self.fields["group"]
        assert isinstance(role, forms.ChoiceField) and isinstance(group, forms.ModelChoiceField)
        role.choices = [(each.value, ROLE_NAMES[each]) for each in invitable(viewer)]
        group.queryset = groups(viewer)
        group.empty_label = _("none")


class JoinForm(WelcomeForm):
    """The same as for the first account: name, email, password."""
