"""Tavily's search API, with a key. Its own page texts are not asked for: pages are read here."""

from dataclasses import dataclass, field

import httpx

from search.web.providers.asking import Failed, ask_json, failed, listed, result_of, results_of
from search.web.providers.provider import Query, Results

_MAX_RESULTS = 20


@dataclass(frozen=True, slots=True)
class Tavily:
    client: httpx.AsyncClient
    key: str = field(repr=False)
    base_url: str = "https://api.tavily.com"
    name: str = "tavily"

    async def search(self, query: Query) -> Results:
        body = {
            "query": query.text[:400],
            "max_results": min(query.limit, _MAX_RESULTS),
            "search_depth": "basic",
            "include_answer": False,
            "include_raw_content": False,
        }
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            answer = await ask_json(self.client, "POST", f"{self.base_url}/search", headers=headers, body=body)
            items = listed(answer, "results")
        except Failed as error:
            return failed(self.name, error)
        return results_of(
            (
                result_of(item.get("url"), item.get("title"), item.get("content"), self.name)
                for item in items
                if isinstance(item, dict)
            ),
            query.limit,
        )
