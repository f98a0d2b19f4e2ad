"""What the pages of presets take."""

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.grants import Access
from chatapp.accounts.models import User
from chatapp.accounts.share_forms import ShareForm
from chatapp.endpoints.models import Endpoint
from chatapp.files.access import collections
from chatapp.files.models import Collection
from chatapp.forms import LookMixin
from chatapp.presets.models import Preset
from chatapp.presets.services import MAX_NAME, MAX_PROMPT, MAX_TEMPERATURE, PresetFields


class NamedCollections(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # Django's own class takes no type
    def label_from_instance(self, obj: Any) -> str:
        return str(obj.name)


class NamedEndpoint(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, obj: Any) -> str:
        return str(obj.name)


class PresetForm(LookMixin, forms.Form):
    name = forms.CharField(label=_("Name"), max_length=MAX_NAME)
    system_prompt = forms.CharField(
        label=_("System prompt"),
        max_length=MAX_PROMPT,
        required=False,
        help_text=_("What the model is told before the question."),
        widget=forms.Textarea(attrs={"rows": 6, "dir": "auto"}),
    )
    endpoint = NamedEndpoint(label=_("Model"), queryset=Endpoint.objects.none(), required=False)
    temperature = forms.FloatField(
        label=_("Temperature"),
        min_value=0,
        max_value=MAX_TEMPERATURE,
        required=False,
        help_text=_("Empty: as the model has it. Low is sober, high is varied."),
        widget=forms.NumberInput(attrs={"step": "0.1"}),
    )
    max_tokens = forms.IntegerField(
        label=_("Longest answer (tokens)"),
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text=_("Empty: as the model has it, which is also the most."),
    )
    thinking = forms.BooleanField(label=_("Think"), required=False)
    search = forms.BooleanField(label=_("Search"), required=False)
    deep = forms.BooleanField(label=_("Deep search"), required=False)
    collections = NamedCollections(
        label=_("Collections that are asked"),
        queryset=Collection.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, viewer: User, data: Any = None, preset: Preset | None = None) -> None:
        super().__init__(data, initial=_initial(preset) if preset else None)
        endpoint, held = self.fields["endpoint"], self.fields["collections"]
        assert isinstance(endpoint, forms.ModelChoiceField) and isinstance(held, forms.ModelMultipleChoiceField)
        endpoint.queryset = Endpoint.objects.filter(is_enabled=True).order_by("-is_default", "name")
        endpoint.empty_label = _("as chosen beside the question")
        held.queryset = collections(viewer).order_by("name")
        held.widget.attrs.pop("class", None)

    def preset_fields(self) -> PresetFields:
        """For the service, after is_valid()."""
        values = self.cleaned_data
        return PresetFields(
            **{name: values[name] for name in ("name", "endpoint", "temperature", "max_tokens", "thinking", "deep")},
            system_prompt=values["system_prompt"].replace("\0", ""),
            search=values["search"] or values["deep"],
            collections=tuple(values["collections"]),
        )


class PresetShareForm(ShareForm):
    accesses: ClassVar = {Access.READ: _("ask with it and see what it says"), Access.WRITE: _("also change it")}


def _initial(preset: Preset) -> dict[str, Any]:
    names = ("name", "system_prompt", "endpoint", "temperature", "max_tokens", "thinking", "search", "deep")
    return {**{name: getattr(preset, name) for name in names}, "collections": preset.collections.all()}
