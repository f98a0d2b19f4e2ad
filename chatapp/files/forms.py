"""What the pages of files take."""

from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.grants import Access
from chatapp.accounts.models import Group, User
from chatapp.files.shelf import MAX_QUERY, principals


class ShelfForm(forms.Form):
    q = forms.CharField(required=False, max_length=MAX_QUERY)
    page = forms.IntegerField(required=False, min_value=1)


class WhereForm(forms.Form):
    """On which page a form stands: that of a collection, or of one's own files."""

    collection = forms.UUIDField(required=False)


class NameForm(forms.Form):
    name = forms.CharField(required=False)  # the service says what a name may be


class GrantForm(forms.Form):
    grant = forms.IntegerField(min_value=1)


class ShareForm(forms.Form):
    """`principal` is "everyone", "group:<id>" or "person:<id>"."""

    principal = forms.ChoiceField(label=_("With whom"))
    access = forms.ChoiceField(
        label=_("What they may do"),
        choices=[
            (Access.READ, _("see, search and ask")),
            (Access.WRITE, _("also add files and take them out")),
        ],
    )

    def __init__(self, viewer: User, data: Any = None) -> None:
        super().__init__(data)
        field = self.fields["principal"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = principals(viewer)
        for each in self.fields.values():
            each.widget.attrs["class"] = "form__input"

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
