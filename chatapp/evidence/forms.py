"""What the routes of evidence take."""

from django import forms


class PassageForm(forms.Form):
    passage = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
