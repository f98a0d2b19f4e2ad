"""Brave's search API, with a key."""

from dataclasses import dataclass, field

import httpx

from search.web.providers.asking import Failed, ask_json, failed, listed, result_of, results_of
from search.web.providers.provider import Query, Results

_MAX_COUNT = 20
_LANGUAGES = {"zh": "zh-hans", "ja": "jp", "pt": "pt-br"}  # where its codes are its own


@dataclass(frozen=True, slots=True)
class Brave:
    client: httpx.AsyncClient
    key: str = field(repr=False)
    base_url: str = "https://api.search.brave.com"
    name: str = "brave"

    async def search(self, query: Query) -> Results:
        params = {"q": query.text[:400], "count": str(min(query.limit, _MAX_COUNT)), "text_decorations": "false"}
        if query.language:
            params["search_lang"] = _LANGUAGES.get(query.language, query.language)
        headers = {"X-Subscription-Token": self.key, "Accept": "application/json"}
        try:
            url = f"{self.base_url}/res/v1/web/search"
            answer = await ask_json(self.client, "GET", url, params=params, headers=headers)
            # A query without results has no "web" at all.
            items = listed(answer, "web", "results") if isinstance(answer, dict) and "web" in answer else []
        except Failed as error:
            return failed(self.name, error)
        return results_of(
            (
                result_of(item.get("url"), item.get("title"), item.get("description"), self.name)
                for item in items
                if isinstance(item, dict)
            ),
            query.limit,
        )
