"""One page, one key: what of an address says which page it is, and what only says who linked there. Pure."""

import re
from urllib.parse import parse_qsl, urlencode

from search.web.refused import Refused
from search.web.urls import parse_url

_TRACKING = re.compile(
    r"utm_\w+|mtm_\w+|pk_\w+|hsa_\w+|_hs\w+|fbclid|gclid|dclid|gbraid|wbraid|msclkid|yclid|igshid|igsh|mc_[ce]id|ttclid"
    r"|twclid|srsltid|oly_\w+_id|vero_id|spm|ref_src|ref_url|cmpid|ito|s_kwcid|ncid|guccounter|guce_\w+|_ga|_gl",
    re.IGNORECASE,
)
_INDEX = re.compile(r"/index\.(?:html?|php)$")


def page_key(url: str) -> str:
    """The same for two addresses of one page. An address that is none is its own key."""
    try:
        parsed = parse_url(url)
    except Refused:
        return url
    host = parsed.raw_host.decode("ascii").rstrip(".").removeprefix("www.")
    port = f":{parsed.port}" if parsed.port else ""
    path = _INDEX.sub("/", parsed.raw_path.decode("ascii").partition("?")[0]).rstrip("/")
    asked = parse_qsl(parsed.query.decode("ascii", "replace"), keep_blank_values=True)
    kept = sorted((name, value) for name, value in asked if not _TRACKING.fullmatch(name))
    return f"{host}{port}{path}" + (f"?{urlencode(kept)}" if kept else "")
