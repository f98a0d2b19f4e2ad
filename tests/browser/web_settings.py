"""The site's settings for a worker of browser tests: pages may be read from the small web, on exactly its one port."""

import os
from collections.abc import Sequence

from chatapp.settings import *  # noqa: F403
from search.web.guard import Guard


async def resolve(host: str, port: int) -> Sequence[str]:
    if host in ("127.0.0.1", "localhost") or host.endswith(".test"):
        return ["127.0.0.1"]
    raise OSError("no such name")


WEB_GUARD = Guard(resolve, frozenset({("127.0.0.1", int(os.environ["SMALL_WEB_PORT"]))}))
