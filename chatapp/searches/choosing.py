"""The owner's choice about the web, written to its one row."""

from dataclasses import dataclass, field

from django.db import transaction

from chatapp.endpoints.secrets import encrypt_key
from chatapp.searches.models import WebSetting
from search.web.providers.fields import Fields, check_template


@dataclass(frozen=True, slots=True)
class Choice:
    """`key` None keeps the stored key of the same engine; another engine never gets it."""

    engine: str
    engine_url: str = ""
    engine_header: str = ""
    engine_fields: Fields = field(default_factory=Fields)
    key: str | None = None
    is_on: bool = True
    confirms_queries: bool = False
    reads_pasted_urls: bool = True


@transaction.atomic
def choose(choice: Choice) -> WebSetting:
    """Raises ValueError for a template that cannot be asked."""
    if choice.engine == WebSetting.Engine.JSON:
        check_template(choice.engine_url)
    setting = WebSetting.objects.select_for_update().filter(pk=1).first() or WebSetting()
    is_same = (setting.engine, setting.engine_url) == (choice.engine, choice.engine_url)
    if choice.key is not None or not is_same:
        setting.engine_key = encrypt_key(choice.key or "")
    if not is_same:
        setting.trial, setting.tried_at = {}, None  # a report about another engine would mislead
    setting.engine = choice.engine
    setting.engine_url = choice.engine_url
    setting.engine_header = choice.engine_header
    named = choice.engine_fields
    setting.engine_fields = {
        "results": named.results, "url": named.url, "title": named.title, "snippet": named.snippet,
    }  # fmt: skip
    setting.is_on = choice.is_on
    setting.confirms_queries = choice.confirms_queries
    setting.reads_pasted_urls = choice.reads_pasted_urls
    setting.save()
    return setting
