"""What the routes of answers take."""

from uuid import UUID

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _


class IdsField(forms.Field):
    """Ids joined by commas, at most as many as a question takes files."""

    def to_python(self, value: object) -> list[UUID]:
        words = [word for word in str(value or "").split(",") if word]
        if len(words) > settings.CONFIG.uploads_per_message:
            raise ValidationError(_("At most %(limit)s at once.") % {"limit": settings.CONFIG.uploads_per_message})
        try:
            return [UUID(word) for word in words]
        except ValueError as error:
            raise ValidationError(_("%(name)s must be %(kind)s.") % {"name": "ids", "kind": "UUIDs"}) from error


class FitForm(forms.Form):
    ids = IdsField(required=False)
    collections = IdsField(required=False)
    conversation = forms.UUIDField(required=False)
    endpoint = forms.UUIDField(required=False)
    text = forms.CharField(required=False)
    search = forms.BooleanField(required=False)
    folder = forms.UUIDField(required=False)
    preset = forms.UUIDField(required=False)
