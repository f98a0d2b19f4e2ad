"""What the pages of files take."""

from typing import ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.grants import Access
from chatapp.accounts.share_forms import ShareForm
from chatapp.files.shelf import MAX_QUERY


class ShelfForm(forms.Form):
    q = forms.CharField(required=False, max_length=MAX_QUERY)
    page = forms.IntegerField(required=False, min_value=1)


class WhereForm(forms.Form):
    """On which page a form stands: that of a collection, or of one's own files."""

    collection = forms.UUIDField(required=False)


class NameForm(forms.Form):
    name = forms.CharField(required=False)  # the service says what a name may be


class CollectionShareForm(ShareForm):
    accesses: ClassVar = {Access.READ: _("see, search and ask"), Access.WRITE: _("also add files and take them out")}
