"""What an owner sets about the web, and what is tried."""

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.utils.translation import gettext as translated
from django.utils.translation import gettext_lazy as _

from chatapp.forms import LookMixin
from chatapp.searches.choosing import Choice
from chatapp.searches.models import WebSetting
from chatapp.searches.setting import chosen_engine, searxng_url
from chatapp.searches.words import ENGINES
from search.web.providers.fields import Fields, check_template

Engine = WebSetting.Engine
KEYED = frozenset({Engine.BRAVE, Engine.TAVILY, Engine.JSON})  # JSON may go without
_PATHS = {"json_results": "results", "json_link": "url", "json_title": "title", "json_snippet": "snippet"}


def _address(label: Any, help_text: Any) -> forms.CharField:
    widget = forms.URLInput(attrs={"spellcheck": "false"})
    return forms.CharField(label=label, max_length=1000, required=False, help_text=help_text, widget=widget)


def _path(label: Any, initial: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"spellcheck": "false"})
    return forms.CharField(label=label, max_length=200, required=False, initial=initial, widget=widget)


class EngineForm(LookMixin, forms.Form):
    """The key is write-only: never shown, empty keeps it. Fields of engines that are not chosen are not looked at."""

    is_on = forms.BooleanField(
        label=_("Search the web and read pages"),
        required=False,
        help_text=_("Off: nothing of a question leaves for the web, whoever asks."),
    )
    confirms_queries = forms.BooleanField(
        label=_("Show queries before they leave"),
        required=False,
        help_text=_("Whoever asks sees each query, may change it, and sends it or goes on without."),
    )
    reads_pasted_urls = forms.BooleanField(
        label=_("Read the pages that a question names"),
        required=False,
        help_text=_("An address in a question is read without the Search toggle."),
    )
    engine = forms.ChoiceField(label=_("Engine"), widget=forms.RadioSelect)
    searxng_url = _address(_("Address"), _("For example: http://searxng:8080. It may be inside your network."))
    json_url = _address(
        _("Address with {query}"),
        _("For example: https://search.example.org/find?q={query}&n={limit}&lang={language}"),
    )
    json_results = _path(_("Where the list of results is"), "results")
    json_link = _path(_("In a result: its address"), "url")
    json_title = _path(_("In a result: its title"), "title")
    json_snippet = _path(_("In a result: its excerpt"), "snippet")
    header = forms.RegexField(
        r"\A[A-Za-z0-9-]+\Z",
        label=_("Header that carries the key"),
        max_length=100,
        required=False,
        help_text=_("For example: X-Api-Key. Empty: no key is sent."),
    )
    key = forms.CharField(
        label=_("Key"),
        max_length=1000,
        required=False,
        help_text=_("Stored encrypted and never shown again."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, setting: WebSetting, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, initial=_initial(setting), **kwargs)
        self.setting = setting
        engine = self.fields["engine"]
        assert isinstance(engine, forms.ChoiceField)
        engine.choices = _engines(setting)
        if setting.engine_key:
            self.fields["key"].help_text = _("A key is stored for this engine. Leave empty to keep it.")

    def clean(self) -> dict[str, Any]:
        engine = self.cleaned_data.get("engine")
        if engine == Engine.SEARXNG:
            self._check_searxng()
        elif engine == Engine.JSON:
            self._check_json()
        elif engine in KEYED and not self.cleaned_data.get("key") and not self._has_key_of(str(engine)):
            self.add_error("key", _("This engine needs a key."))
        return self.cleaned_data

    def choice(self) -> Choice:
        """For the service, after is_valid()."""
        values, engine = self.cleaned_data, self.cleaned_data["engine"]
        is_json = engine == Engine.JSON
        return Choice(
            engine=engine,
            engine_url={Engine.SEARXNG: values["searxng_url"], Engine.JSON: values["json_url"]}.get(engine, ""),
            engine_header=values["header"] if is_json else "",
            engine_fields=self._paths() if is_json else Fields(),
            key=(values["key"] or None) if engine in KEYED else "",
            is_on=values["is_on"],
            confirms_queries=values["confirms_queries"],
            reads_pasted_urls=values["reads_pasted_urls"],
        )

    def _has_key_of(self, engine: str) -> bool:
        return bool(self.setting.engine_key) and self.setting.engine == engine

    def _check_searxng(self) -> None:
        url = self.cleaned_data["searxng_url"] = self.cleaned_data.get("searxng_url", "").rstrip("/")
        if not _is_address(url) or "?" in url:
            self.add_error("searxng_url", _("This must be an address that starts with http:// or https://."))

    def _check_json(self) -> None:
        url = self.cleaned_data.get("json_url", "")
        try:
            check_template(url)
        except ValueError:
            self.add_error(
                "json_url", _("It must name its host and hold {query}; {limit} and {language} may be in it.")
            )
        else:
            if not _is_address(url):
                self.add_error("json_url", _("This must be an address that starts with http:// or https://."))
        for name, field in _PATHS.items():
            try:
                Fields(**{field: self.cleaned_data.get(name, "")})
            except ValueError:
                self.add_error(name, _("Names with dots between them, for example: data.0.items"))

    def _paths(self) -> Fields:
        return Fields(**{field: self.cleaned_data[name] for name, field in _PATHS.items()})


class TrialForm(LookMixin, forms.Form):
    query = forms.CharField(
        label=_("Query"),
        max_length=400,
        help_text=_("Exactly these words are sent to the engine that is saved. No page is read."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["query"].initial = translated("How is the depth of the sea measured?")


def _initial(setting: WebSetting) -> dict[str, Any]:
    fields = Fields(**setting.engine_fields)
    return {
        "is_on": setting.is_on,
        "confirms_queries": setting.confirms_queries,
        "reads_pasted_urls": setting.reads_pasted_urls,
        "engine": setting.engine,
        "searxng_url": searxng_url(setting) if chosen_engine(setting) == Engine.SEARXNG else "",
        "json_url": setting.engine_url if setting.engine == Engine.JSON else "",
        "header": setting.engine_header,
        **{name: getattr(fields, field) for name, field in _PATHS.items()},
    }


def _engines(setting: WebSetting) -> list[tuple[str, Any]]:
    default = ENGINES[chosen_engine(WebSetting())]
    return [
        (Engine.DEFAULT.value, _("As the configuration says: %(engine)s") % {"engine": default}),
        *((engine.value, ENGINES[engine]) for engine in Engine if engine != Engine.DEFAULT),
    ]


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        return False
