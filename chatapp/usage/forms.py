"""What the pages of usage take."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import Group, User
from chatapp.forms import LookMixin
from chatapp.usage.models import Quota
from chatapp.usage.reports import MOST_DAYS, Period

LAST_DAYS = 30
BY = [("day", _("Day")), ("model", _("Model")), ("key", _("API key")), ("person", _("Person")), ("group", _("Group"))]
LIMITS = ("tokens_a_day", "tokens_a_month", "money_a_day", "money_a_month")
EACH = "each"


class ReportForm(LookMixin, forms.Form):
    """Days of UTC; without them the last thirty."""

    first = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.DateField(label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    by = forms.ChoiceField(label=_("By"), choices=BY, required=False)

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        values["by"] = values.get("by") or "model"
        last = values.get("last") or datetime.now(UTC).date()
        first = values.get("first") or last - timedelta(days=LAST_DAYS - 1)
        try:
            values["period"] = Period(first, last)
        except ValueError:
            self.add_error("first", _("A period has from 1 to %(days)s days.") % {"days": MOST_DAYS})
        return values


class LimitsForm(LookMixin, forms.Form):
    """Empty fields are without limit; all of them empty end the quota."""

    tokens_a_day = forms.IntegerField(label=_("Tokens a day"), min_value=0, max_value=10**15, required=False)
    tokens_a_month = forms.IntegerField(label=_("Tokens a month"), min_value=0, max_value=10**15, required=False)
    money_a_day = forms.DecimalField(label=_("USD a day"), min_value=0, max_digits=12, decimal_places=4, required=False)
    money_a_month = forms.DecimalField(
        label=_("USD a month"), min_value=0, max_digits=12, decimal_places=4, required=False
    )

    @property
    def limits(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in LIMITS}


class QuotaForm(LimitsForm):
    """The limits of a person, of each person, or of a group."""

    principal = forms.ChoiceField(label=_("For"))
    field_order = ("principal", *LIMITS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: list[tuple[str, Any]] = [(EACH, _("each person without a quota of their own"))]
        choices += [
            (f"group:{group.pk}", _("group: %(name)s") % {"name": group.name})
            for group in Group.objects.order_by("name")
        ]
        choices += [(f"person:{person.pk}", person.name) for person in User.objects.order_by("name")]
        principal = self.fields["principal"]
        assert isinstance(principal, forms.ChoiceField)
        principal.choices = choices


def principal_of(quota: Quota) -> str:
    """The value of QuotaForm.principal that this quota is for."""
    if quota.group_id is not None:
        return f"group:{quota.group_id}"
    return f"person:{quota.user_id}" if quota.user_id is not None else EACH
