"""The encoder that the site's settings name."""

from functools import cache

from django.conf import settings

from search.encoding import Encoder


def configured_encoder() -> Encoder:
    return _encoder(settings.EMBEDDINGS_URL, settings.EMBEDDINGS_MODEL, settings.EMBEDDINGS_KEY)


@cache
def _encoder(url: str, model: str, key: str) -> Encoder:
    return Encoder(url, model, key)
