"""What is done to which conversations."""

from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.ordering.services import DEEDS, MOST


class DeedForm(forms.Form):
    """`ids` are separated by commas."""

    deed = forms.ChoiceField(choices=[(deed, deed) for deed in DEEDS])
    ids = forms.CharField()

    def clean_ids(self) -> list[UUID]:
        written = self.cleaned_data["ids"].split(",")
        if len(written) > MOST:
            raise forms.ValidationError(_("At most %(limit)s chats at once."), params={"limit": MOST})
        try:
            return list(dict.fromkeys(UUID(each) for each in written))
        except ValueError as error:
            raise forms.ValidationError(_("These are no chats.")) from error


class PageForm(forms.Form):
    page = forms.IntegerField(required=False, min_value=1)
