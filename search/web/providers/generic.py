"""Any engine that answers a GET with JSON: a URL template, and the paths where its answer holds what we need."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from search.web.providers.asking import Failed, ask_json, failed, result_of, results_of
from search.web.providers.fields import Fields, check_template
from search.web.providers.provider import Query, Results


@dataclass(frozen=True, slots=True)
class GenericJson:
    """`url_template` holds {query}, and may hold {limit} and {language}; what is put in is escaped."""

    client: httpx.AsyncClient
    url_template: str
    fields: Fields = Fields()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    name: str = "json"

    def __post_init__(self) -> None:
        check_template(self.url_template)

    async def search(self, query: Query) -> Results:
        values = {"query": query.text, "limit": str(query.limit), "language": query.language or ""}
        url = re.sub(r"\{(\w+)\}", lambda match: quote(values[match[1]], safe=""), self.url_template)
        try:
            items = _at(await ask_json(self.client, "GET", url, headers=self.headers), self.fields.results)
            if not isinstance(items, list):
                raise Failed("malformed", f"no list at {self.fields.results or 'the top'}")
        except Failed as error:
            return failed(self.name, error)
        where = self.fields
        return results_of(
            (
                result_of(_at(item, where.url), _at(item, where.title), _at(item, where.snippet), self.name)
                for item in items
            ),
            query.limit,
        )


def _at(value: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
