"""The site's settings for mypy, which reads them but uses no server: what a start would need is made up."""

import os

for _name, _value in {
    "SONDE_SECRET_KEY": "mypy",
    "DATABASE_URL": "postgresql://mypy",
    "REDIS_URL": "redis://mypy",
}.items():
    if f"{_name}_FILE" not in os.environ:
        os.environ.setdefault(_name, _value)

from chatapp.settings import *  # noqa: E402, F403
