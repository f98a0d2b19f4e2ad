"""What the pages of keys take."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chatapp.endpoints.models import Endpoint
from chatapp.programs.keys import Scope
from chatapp.programs.models import Ability
from chatapp.programs.words import ABILITY_NAMES
from chatapp.usage.forms import LIMITS, LimitsForm

DAYS = [(7, _("7 days")), (30, _("30 days")), (90, _("90 days")), (365, _("a year")), (0, _("until it is ended"))]
MAX_NAME = 60


class KeyForm(LimitsForm):
    """A new key. Without any box of `models` ticked it may ask all of them."""

    name = forms.CharField(label=_("Name"), max_length=MAX_NAME, help_text=_("Which program it is for."))
    days = forms.TypedChoiceField(label=_("Works for"), choices=DAYS, coerce=int, initial=90)
    abilities = forms.MultipleChoiceField(
        label=_("May be used for"),
        choices=[(each.value, ABILITY_NAMES[each]) for each in Ability],
        initial=list(Ability),
        widget=forms.CheckboxSelectMultiple,
    )
    models = forms.ModelMultipleChoiceField(
        label=_("Models"),
        queryset=Endpoint.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    field_order = ("name", "days", "abilities", "models", *LIMITS)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        models = self.fields["models"]
        assert isinstance(models, forms.ModelMultipleChoiceField)
        models.queryset = Endpoint.objects.filter(is_enabled=True).order_by("-is_default", "name")

    @property
    def scope(self) -> Scope:
        fields = self.cleaned_data
        chosen = [endpoint.pk for endpoint in fields["models"]]
        return Scope(fields["abilities"], chosen or None, _end_of(fields["days"]), self.limits)


def _end_of(days: int) -> datetime | None:
    return timezone.now() + timedelta(days=days) if days else None
