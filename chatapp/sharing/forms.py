"""What the pages of sharing take."""

from typing import ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.grants import Access
from chatapp.accounts.share_forms import ShareForm
from chatapp.forms import LookMixin

DAYS = [(1, _("1 day")), (7, _("7 days")), (30, _("30 days")), (365, _("a year"))]


class ChatShareForm(ShareForm):
    accesses: ClassVar = {Access.READ: _("read"), Access.WRITE: _("also ask and rename")}


class LinkForm(LookMixin, forms.Form):
    days = forms.TypedChoiceField(label=_("Works for"), choices=DAYS, coerce=int, initial=7)
