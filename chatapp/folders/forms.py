"""What the pages of folders take."""

from typing import ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.grants import Access
from chatapp.accounts.share_forms import ShareForm
from chatapp.folders.services import MAX_INSTRUCTIONS, MAX_NAME
from chatapp.forms import LookMixin
from chatapp.ordering.forms import IdsMixin


class NewFolderForm(forms.Form):
    name = forms.CharField(required=False)  # the service says what a name may be


class FolderForm(LookMixin, forms.Form):
    name = forms.CharField(label=_("Name"), max_length=MAX_NAME)
    instructions = forms.CharField(
        label=_("Instructions"),
        max_length=MAX_INSTRUCTIONS,
        required=False,
        help_text=_(
            "Every question in this folder is asked with them. They are told to the model, not shown in chats."
        ),
        widget=forms.Textarea(attrs={"rows": 6, "dir": "auto"}),
    )


class AddCollectionForm(forms.Form):
    collection = forms.UUIDField()


class FolderShareForm(ShareForm):
    accesses: ClassVar = {
        Access.READ: _("see it and ask in it"),
        Access.WRITE: _("also change its instructions and collections"),
    }


class ChatsForm(IdsMixin, forms.Form):
    """`ids` are separated by commas."""

    ids = forms.CharField()


class PageForm(forms.Form):
    page = forms.IntegerField(required=False, min_value=1)
