"""What the pages of the team take."""

from typing import Any
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.forms import NewPasswordMixin, WelcomeForm
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


class ChoosePasswordForm(NewPasswordMixin):
    def __init__(self, person: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._person = person

    def person(self) -> User:
        return self._person

    def clean(self) -> dict[str, Any]:
        self.check_new_password()
        return self.cleaned_data


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


DELETE = "delete"


class RemoveForm(LookMixin, forms.Form):
    """Who takes over; nothing is chosen beforehand, because one of the choices cannot be undone."""

    heir = forms.ChoiceField(label=_("What they own"))

    def __init__(self, heirs: "QuerySet[User]", data: Any = None) -> None:
        super().__init__(data)
        field = self.fields["heir"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            ("", _("Choose what becomes of it")),
            *((str(heir.pk), _("goes to %(name)s") % {"name": f"{heir.name} ({heir.email})"}) for heir in heirs),
            (DELETE, _("is deleted")),
        ]

    def heir_id(self) -> UUID | None:
        """None to delete. The form is valid."""
        chosen: str = self.cleaned_data["heir"]
        return None if chosen == DELETE else UUID(chosen)


class LeaveForm(RemoveForm):
    """With the password once more, or with the email where there is none."""

    password = forms.CharField(
        label=_("Password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    email = forms.CharField(label=_("Your email, to confirm"), max_length=254)

    def __init__(self, person: User, heirs: "QuerySet[User]", data: Any = None) -> None:
        super().__init__(heirs, data)
        self.person = person
        self.fields["heir"].label = _("What you own")
        del self.fields["email" if person.has_usable_password() else "password"]

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.person.check_password(password):
            raise forms.ValidationError(_("This is not your current password."))
        return password

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if email.casefold() != self.person.email.casefold():
            raise forms.ValidationError(_("This is not the email of your account."))
        return email
