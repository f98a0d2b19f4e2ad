"""What the routes of a conversation take."""

from django import forms


class LeafForm(forms.Form):
    """`leaf` of the query: a message whose branch is to be shown, or nothing for the active one."""

    leaf = forms.UUIDField(required=False)


class SelectForm(forms.Form):
    leaf = forms.UUIDField()


class RenameForm(forms.Form):
    title = forms.CharField(required=False)  # the service says what a title may be


class BeforeForm(forms.Form):
    before = forms.DateTimeField(required=False)
