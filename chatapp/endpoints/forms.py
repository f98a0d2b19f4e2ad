"""What an owner sets about a model endpoint."""

from dataclasses import fields as dataclass_fields
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.utils.translation import gettext_lazy as _

from chatapp.endpoints.models import Endpoint
from chatapp.endpoints.services import EndpointFields
from chatapp.forms import LookMixin

CONTINUATIONS = [
    (Endpoint.Continuation.NONE.value, _("Cannot be continued")),
    (Endpoint.Continuation.PREFIX_TRUE.value, _("By prefix (DeepSeek, Sonde's own worker)")),
    (Endpoint.Continuation.CONTINUE_FINAL_MESSAGE.value, _("By continue_final_message (vLLM, SGLang)")),
]
THINKING = [
    (Endpoint.Thinking.NEVER.value, _("Never thinks")),
    (Endpoint.Thinking.SWITCHED.value, _("Can be switched on and off")),
    (Endpoint.Thinking.ALWAYS.value, _("Always thinks")),
]
LOCAL_FIXED = ("base_url", "model", "api_key", "forget_key", "tokenizer_path")


DENSE = _("Optional: what the same model costs without sparse attention, to tell the saving.")


def _price(label: Any, help_text: Any = "") -> forms.DecimalField:
    """With a help text it may be left empty."""
    return forms.DecimalField(
        label=label,
        max_digits=10,
        decimal_places=4,
        min_value=Decimal(0),
        initial=None if help_text else Decimal(0),
        required=not help_text,
        help_text=help_text,
    )


class EndpointForm(LookMixin, forms.Form):
    """The key is write-only: never shown, empty keeps it. What the local worker's configuration says is not offered."""

    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("What people see under the composer."))
    note = forms.CharField(
        label=_("Note"), max_length=200, required=False, help_text=_("Said under the name, for example what it is for.")
    )
    base_url = forms.CharField(
        label=_("URL"),
        max_length=500,
        help_text=_("OpenAI-compatible, up to and including /v1. For example: https://api.deepseek.com/v1"),
        widget=forms.URLInput(attrs={"spellcheck": "false"}),
    )
    api_key = forms.CharField(
        label=_("Key"),
        max_length=1000,
        required=False,
        help_text=_("Stored encrypted and never shown again."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    forget_key = forms.BooleanField(label=_("Forget the stored key"), required=False)
    model = forms.CharField(label=_("Model"), max_length=200, widget=forms.TextInput(attrs={"spellcheck": "false"}))
    context_length = forms.IntegerField(
        label=_("Context length (tokens)"), min_value=256, max_value=10_000_000, initial=65536
    )
    max_output_tokens = forms.IntegerField(label=_("Longest answer (tokens)"), min_value=1, initial=8192)
    price_cache_hit = _price(_("Price per million input tokens found in the cache (USD)"))
    price_cache_miss = _price(_("Price per million other input tokens (USD)"))
    price_output = _price(_("Price per million output tokens (USD)"))
    dense_price_cache_hit = _price(_("The same with dense attention, from the cache"), DENSE)
    dense_price_cache_miss = _price(_("With dense attention, other input"), DENSE)
    dense_price_output = _price(_("With dense attention, output"), DENSE)
    continuation = forms.ChoiceField(
        label=_("Continuing a cut answer"),
        choices=CONTINUATIONS,
        help_text=_("“Try it” finds this out."),
    )
    thinking = forms.ChoiceField(label=_("Thinking"), choices=THINKING)
    vision = forms.BooleanField(label=_("Understands images"), required=False)
    tools = forms.BooleanField(
        label=_("Can call tools"),
        required=False,
        help_text=_("Sums and counts over spreadsheets are then computed. “Try it” finds this out."),
    )
    takes_seed = forms.BooleanField(
        label=_("Takes a seed, so that an answer can be replayed"), required=False, initial=True
    )
    tokenizer_path = forms.CharField(
        label=_("Tokenizer file"),
        max_length=500,
        required=False,
        help_text=_("A tokenizer.json on the server. Empty: the number of tokens is estimated from reported usage."),
    )
    is_enabled = forms.BooleanField(label=_("Offered to people"), required=False, initial=True)

    def __init__(self, endpoint: Endpoint | None, *args: Any, **kwargs: Any) -> None:
        if endpoint is not None:
            kwargs["initial"] = {name: getattr(endpoint, name, None) for name in self.base_fields if name != "api_key"}
        super().__init__(*args, **kwargs)
        self.endpoint = endpoint
        for name in self._not_offered():
            del self.fields[name]
        if "forget_key" in self.fields:
            self.fields["api_key"].help_text = _("A key is stored. Leave empty to keep it.")

    def _not_offered(self) -> tuple[str, ...]:
        """What the configuration says; and forgetting a key where none is stored."""
        if self.endpoint is not None and self.endpoint.is_local:
            return LOCAL_FIXED
        return () if self.endpoint is not None and self.endpoint.api_key_encrypted else ("forget_key",)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = Endpoint.objects.exclude(pk=self.endpoint.pk) if self.endpoint else Endpoint.objects.all()
        if others.filter(name=name).exists():
            raise forms.ValidationError(_("Another endpoint has this name."))
        return name

    def clean_base_url(self) -> str:
        url: str = self.cleaned_data["base_url"].rstrip("/")
        try:
            parts = urlsplit(url)
            is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable or parts.username or parts.password or parts.query or parts.fragment:
            raise forms.ValidationError(_("This must be an address that starts with http:// or https://."))
        return url

    def clean(self) -> dict[str, Any]:
        context, output = self.cleaned_data.get("context_length"), self.cleaned_data.get("max_output_tokens")
        if context and output and output >= context:
            self.add_error("max_output_tokens", _("This must be less than the context length."))
        return self.cleaned_data

    def endpoint_fields(self) -> EndpointFields:
        """For the service, after is_valid()."""
        names = {field.name for field in dataclass_fields(EndpointFields)} - {"api_key"}
        known = {name: self.cleaned_data[name] for name in names if name in self.cleaned_data}
        if self.endpoint is not None and self.endpoint.is_local:
            known |= {name: getattr(self.endpoint, name) for name in ("base_url", "model", "tokenizer_path")}
        return EndpointFields(**known, api_key=self._new_key())

    def _new_key(self) -> str | None:
        key: str = self.cleaned_data.get("api_key", "")
        return key or ("" if self.cleaned_data.get("forget_key") else None)
