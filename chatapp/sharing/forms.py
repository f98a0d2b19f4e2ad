"""What the pages of sharing take."""

from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.grants import Access
from chatapp.accounts.models import Group, User
from chatapp.files.shelf import principals
from chatapp.forms import LookMixin

DAYS = [(1, _("1 day")), (7, _("7 days")), (30, _("30 days")), (365, _("a year"))]


class ShareForm(LookMixin, forms.Form):
    """`principal` is "everyone", "group:<id>" or "person:<id>"."""

    principal = forms.ChoiceField(label=_("With whom"))
    access = forms.ChoiceField(
        label=_("What they may do"),
        choices=[(Access.READ.value, _("read")), (Access.WRITE.value, _("also ask and rename"))],
    )

    def __init__(self, viewer: User, data: Any = None) -> None:
        super().__init__(data)
        field = self.fields["principal"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = principals(viewer)

    def chosen(self) -> User | Group | None:
        """None for everyone. The form is valid."""
        kind, _colon, id = str(self.cleaned_data["principal"]).partition(":")
        match kind:
            case "group":
                return Group.objects.get(pk=UUID(id))
            case "person":
                return User.objects.get(pk=UUID(id))
            case _:
                return None


class GrantForm(forms.Form):
    grant = forms.IntegerField(min_value=1)


class LinkForm(LookMixin, forms.Form):
    days = forms.TypedChoiceField(label=_("Works for"), choices=DAYS, coerce=int, initial=7)
