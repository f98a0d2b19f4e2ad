"""What the team has chosen about the web, completed by the configuration. Knows no engine's code."""

from django.conf import settings

from chatapp.searches.models import WebSetting

Engine = WebSetting.Engine


def web_setting() -> WebSetting:
    """The row, or the defaults where there is none; never on where SONDE_WEB_SEARCH=0. To be read, not to be saved."""
    setting = WebSetting.objects.filter(pk=1).first() or WebSetting()
    setting.is_on = setting.is_on and settings.CONFIG.web_search
    return setting


def chosen_engine(setting: WebSetting) -> str:
    """One of WebSetting.Engine, never DEFAULT."""
    if setting.engine != Engine.DEFAULT:
        return setting.engine
    return Engine.SEARXNG if settings.CONFIG.searxng_url else Engine.DDGS


def searxng_url(setting: WebSetting) -> str:
    """Where the team's SearXNG is; empty where nobody has said it."""
    given = setting.engine_url if setting.engine == Engine.SEARXNG else ""
    return (given or str(settings.CONFIG.searxng_url)).rstrip("/")
