"""What went wrong with an engine or a page, in the words of people. Knows the codes of search.web, and no row."""

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chatapp.searches.models import WebSetting

ENGINES: dict[str, str | Promise] = {
    WebSetting.Engine.DDGS: gettext_lazy("Public engines, without a key (ddgs)"),
    WebSetting.Engine.SEARXNG: gettext_lazy("The team's own SearXNG"),
    WebSetting.Engine.BRAVE: "Brave",
    WebSetting.Engine.TAVILY: "Tavily",
    WebSetting.Engine.JSON: gettext_lazy("Any engine that answers with JSON"),
}
# As failures name them; an engine of SearXNG or ddgs keeps the name that they give it.
_NAMES: dict[str, str | Promise] = {
    "searxng": "SearXNG",
    "brave": "Brave",
    "tavily": "Tavily",
    "json": gettext_lazy("The engine"),
    "ddgs": gettext_lazy("The public search"),
}
# Those that are a provider by themselves: when one fails, nobody was asked.
WHOLE_ENGINES = frozenset({"searxng", "brave", "tavily", "json"})
# search.web.providers.provider.FailureCode
FAILURES: dict[str, str | Promise] = {
    "unreachable": gettext_lazy("cannot be reached"),
    "timeout": gettext_lazy("did not answer in time"),
    "unauthorised": gettext_lazy("does not accept the key"),
    "rate_limited": gettext_lazy("takes no more queries for now"),
    "blocked": gettext_lazy("refused us as a program"),
    "rejected": gettext_lazy("did not take the query"),
    "failed": gettext_lazy("had an error of its own"),
    "malformed": gettext_lazy("answered in a way we do not understand"),
    "refused": gettext_lazy("has an address that may not be asked"),
}
# search.web.unread.Fault
FAULTS: dict[str, str | Promise] = {
    "url": gettext_lazy("not a usable address"),
    "scheme": gettext_lazy("not a web address"),
    "credentials": gettext_lazy("its address holds a password"),
    "port": gettext_lazy("an unusual port, not asked"),
    "unresolved": gettext_lazy("there is no such site"),
    "address": gettext_lazy("an address inside a network, not asked"),
    "robots": gettext_lazy("its site asks programs not to read it"),
    "unreachable": gettext_lazy("could not be reached"),
    "timeout": gettext_lazy("too slow"),
    "status": gettext_lazy("answered with an error"),
    "too_many_redirects": gettext_lazy("leads in circles"),
    "too_large": gettext_lazy("too large"),
    "media_type": gettext_lazy("neither a page nor a PDF"),
    "broken": gettext_lazy("damaged"),
    "scripts": gettext_lazy("made by scripts, which are not run"),
    "wall": gettext_lazy("shows only a sign-in or a consent form"),
    "empty": gettext_lazy("there is no text in it"),
    "duplicate": gettext_lazy("the same as another page"),
}


def engine_name(engine: str) -> str:
    return str(_NAMES.get(engine, engine))


def failure_words(engine: str, code: str) -> str:
    """A sentence without its full stop: "Brave did not answer in time"."""
    why = str(FAILURES.get(code, FAILURES["failed"]))
    return _("%(engine)s %(why)s") % {"engine": engine_name(engine), "why": why}


def unread_words(fault: str, status: int | None = None) -> str:
    """Why a page gave nothing, after its name."""
    if fault == "status" and status:
        return _("answered with error %(number)d") % {"number": status}
    return str(FAULTS.get(fault, FAULTS["broken"]))
