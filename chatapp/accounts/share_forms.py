"""What the pages of sharing take, whatever is shared."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.grants import Access
from chatapp.accounts.models import Group, User
from chatapp.accounts.principals import Principal, principals
from chatapp.forms import LookMixin


class ShareForm(LookMixin, forms.Form):
    """`principal` is "everyone", "group:<id>" or "person:<id>"; `accesses` says what each right is worth here."""

    accesses: ClassVar[dict[Access, Promise]]

    principal = forms.ChoiceField(label=_("With whom"))
    access = forms.ChoiceField(label=_("What they may do"))

    def __init__(self, viewer: User, data: Any = None) -> None:
        super().__init__(data)
        self._offer("principal", principals(viewer))
        self._offer("access", [(access.value, words) for access, words in self.accesses.items()])

    def chosen(self) -> Principal:
        """The form is valid."""
        kind, _colon, id = str(self.cleaned_data["principal"]).partition(":")
        match kind:
            case "group":
                return Group.objects.get(pk=UUID(id))
            case "person":
                return User.objects.get(pk=UUID(id))
            case _:
                return None

    def _offer(self, name: str, choices: Sequence[tuple[str, str | Promise]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


class GrantForm(forms.Form):
    grant = forms.IntegerField(min_value=1)
