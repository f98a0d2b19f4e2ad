"""The engine that the team has chosen, ready to be asked. For workers: the web process asks nobody."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import httpx

from chatapp.endpoints.secrets import KeyUnreadable, decrypt_key
from chatapp.searches.models import WebSetting
from chatapp.searches.setting import chosen_engine, searxng_url
from search.web.guard import Guard, Resolver, exceptions_for, system_resolver
from search.web.providers.asking import engine_client
from search.web.providers.brave import Brave
from search.web.providers.ddgs import Ddgs
from search.web.providers.fields import Fields
from search.web.providers.generic import GenericJson
from search.web.providers.provider import Failure, FailureCode, Provider, Query, Results
from search.web.providers.remembering import Remembering, Store
from search.web.providers.searxng import SearXNG
from search.web.providers.tavily import Tavily
from search.web.refused import Refused

Engine = WebSetting.Engine


@dataclass(frozen=True, slots=True)
class Unusable:
    """An engine that cannot be asked as it is set up: every search says why, like any other failure."""

    name: str
    code: FailureCode
    detail: str

    async def search(self, query: Query) -> Results:
        return Results(failures=(Failure(self.name, self.code, self.detail),))


@asynccontextmanager
async def engine_of(
    setting: WebSetting, store: Store | None = None, *, resolver: Resolver = system_resolver
) -> AsyncGenerator[Provider]:
    """`async with engine_of(web_setting(), caches["default"]) as provider:` The client that asks lives in this block.

    Raises nothing for a wrong setting: such a provider fails when it is asked. Without a store every query is asked.
    """
    async with engine_client(Guard(resolver, await _inside(setting, resolver))) as client:
        provider = _provider(setting, client)
        yield provider if store is None else Remembering(provider, store, engine=_address(setting))


async def _inside(setting: WebSetting, resolver: Resolver) -> frozenset[tuple[str, int]]:
    """Only the team's own SearXNG may be inside; not where clouds keep the keys of a machine (link-local)."""
    if chosen_engine(setting) != Engine.SEARXNG:
        return frozenset()
    try:
        found = await exceptions_for(searxng_url(setting), resolver)
    except Refused:
        return frozenset()  # asking it will say why
    return frozenset(pair for pair in found if not ip_address(pair[0]).is_link_local)


def _provider(setting: WebSetting, client: httpx.AsyncClient) -> Provider:
    engine = chosen_engine(setting)
    try:
        key = decrypt_key(bytes(setting.engine_key))
    except KeyUnreadable:
        return Unusable(engine, "unauthorised", "the stored key cannot be read")
    match engine:
        case Engine.SEARXNG:
            return SearXNG(client, searxng_url(setting))
        case Engine.BRAVE:
            return Brave(client, key)
        case Engine.TAVILY:
            return Tavily(client, key)
        case Engine.JSON:
            return _generic(setting, client, key)
    return Ddgs()


def _generic(setting: WebSetting, client: httpx.AsyncClient, key: str) -> Provider:
    headers = {setting.engine_header: key} if key and setting.engine_header else {}
    try:
        return GenericJson(client, setting.engine_url, Fields(**setting.engine_fields), headers)
    except (TypeError, ValueError):
        return Unusable(setting.engine, "refused", "its template or a path cannot be used")


def _address(setting: WebSetting) -> str:
    return searxng_url(setting) if chosen_engine(setting) == Engine.SEARXNG else setting.engine_url
