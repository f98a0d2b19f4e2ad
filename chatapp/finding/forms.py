"""What the search takes."""

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.finding.selectors import MAX_QUERY


class QueryForm(forms.Form):
    q = forms.CharField(
        required=False,
        strip=False,  # a space at the end says that the last word is written
        max_length=MAX_QUERY,
        error_messages={"max_length": _("At most %(limit_value)d characters can be searched for.")},
    )
