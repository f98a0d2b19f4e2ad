"""The site's settings with the small web of the tests for an internet: its names, and exactly its one port."""

import os
from collections.abc import Sequence

from chatapp.settings import *  # noqa: F403
from search.web.guard import Guard


async def _resolve(host: str, port: int) -> Sequence[str]:
    if not host.endswith(".test"):
        raise OSError("no such name")
    return ["127.0.0.1"]


WEB_GUARD = Guard(_resolve, frozenset({("127.0.0.1", int(os.environ["SMALL_WEB_PORT"]))}))
