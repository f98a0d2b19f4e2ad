"""Why a URL is not asked for at all."""

from typing import Literal

Reason = Literal[
    "url",  # no URL, or none that two programs would read alike
    "scheme",  # neither http nor https
    "credentials",  # a name or password stands in it
    "port",
    "unresolved",  # the name has no address
    "address",  # an address of this machine, this network, or of no machine at all
]


class Refused(Exception):
    """Nothing was sent to where the URL leads."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
