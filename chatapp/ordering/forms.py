"""What is done to which conversations."""

from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.ordering.services import DEEDS, MOST


class IdsMixin:
    """For a form whose `ids` are separated by commas. Mixed in before Django's class."""

    cleaned_data: dict[str, Any]

    def clean_ids(self) -> list[UUID]:
        written = self.cleaned_data["ids"].split(",")
        if len(written) > MOST:
            raise forms.ValidationError(_("At most %(limit)s chats at once."), params={"limit": MOST})
        try:
            return list(dict.fromkeys(UUID(each) for each in written))
        except ValueError as error:
            raise forms.ValidationError(_("These are no chats.")) from error


class DeedForm(IdsMixin, forms.Form):
    deed = forms.ChoiceField(choices=[(deed, deed) for deed in DEEDS])
    ids = forms.CharField()


class PageForm(forms.Form):
    page = forms.IntegerField(required=False, min_value=1)
