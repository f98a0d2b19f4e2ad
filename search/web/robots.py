"""What sites ask programs not to read, remembered for a while. Asks nobody: fetching brings the file."""

import time
from collections import OrderedDict

from protego import Protego

NAME = "Sonde"  # what robots.txt files may call us
MAX_BYTES = 500 * 1024  # RFC 9309 asks for so much at least
_KEPT_S = 3600.0  # RFC 9309: no longer than a day
_KEPT_FAILED_S = 60.0
_MAX_SITES = 2000


class Rules:
    """One site's robots.txt; None where the site failed to say, which means no."""

    def __init__(self, text: str | None) -> None:
        self._parsed = None if text is None else Protego.parse(text)
        self.expires_at = time.monotonic() + (_KEPT_S if text is not None else _KEPT_FAILED_S)

    def allow(self, url: str) -> bool:
        return self._parsed is not None and bool(self._parsed.can_fetch(url, NAME))


class RobotsCache:
    """Rules by site (scheme, host and port). One for a process; lost with it."""

    def __init__(self) -> None:
        self._sites: OrderedDict[str, Rules] = OrderedDict()

    def get(self, site: str) -> Rules | None:
        rules = self._sites.get(site)
        return rules if rules and rules.expires_at > time.monotonic() else None

    def put(self, site: str, rules: Rules) -> None:
        self._sites[site] = rules
        self._sites.move_to_end(site)
        while len(self._sites) > _MAX_SITES:
            self._sites.popitem(last=False)
