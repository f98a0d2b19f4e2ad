"""What the routes of a conversation take."""

from django import forms


class LeafForm(forms.Form):
    """`leaf` of the query: a message whose branch is to be shown, or nothing for the active one."""

    leaf = forms.UUIDField(required=False)


class NewChatForm(forms.Form):
    """In which folder it begins, and whether it leaves nothing behind."""

    folder = forms.UUIDField(required=False)
    temporary = forms.BooleanField(required=False)


class PresenceForm(forms.Form):
    open = forms.BooleanField(required=False)


class SelectForm(forms.Form):
    leaf = forms.UUIDField()


class RenameForm(forms.Form):
    title = forms.CharField(required=False)  # the service says what a title may be


class BeforeForm(forms.Form):
    before = forms.DateTimeField(required=False)
