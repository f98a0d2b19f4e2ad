"""`POST /v1/embeddings`: the encoder that search uses, ours or the one that the settings name."""

import asyncio
import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from chatapp.programs.asked import check_spending, read_body
from chatapp.programs.errors import ApiError, no_model, not_understood, out_of_range, unsupported
from chatapp.programs.fields import Fields, read_object
from chatapp.programs.gate import program
from chatapp.programs.models import Ability, ApiKey
from chatapp.programs.request import PASSED_OVER
from chatapp.threads import in_thread
from chatapp.usage.recording import record_vectors
from search.configured import configured_encoder
from search.encoding import OutOfReach

MOST_TEXTS = 256
MOST_CHARACTERS = 32_000  # of a text, as our encoder takes it
CHARACTERS_PER_TOKEN = 4  # where the encoder has not counted


@dataclass(frozen=True, slots=True)
class Texts:
    texts: list[str]
    is_base64: bool


@program("POST", ability=Ability.EMBEDDINGS)
async def embeddings(request: HttpRequest, key: ApiKey) -> HttpResponseBase:
    asked = read_texts(read_object(read_body(request)))
    await in_thread(check_spending, key)
    try:
        # Not in the threads of the database: a batch takes seconds.
        vectors, counted = await asyncio.to_thread(configured_encoder().plain, asked.texts)
    except OutOfReach as error:
        words = f"No vectors are to be had now: {error}."
        raise ApiError(503, "encoder_unreachable", words, retry_after_s=5) from error
    tokens = sum(map(len, asked.texts)) // CHARACTERS_PER_TOKEN if counted is None else counted
    model = model_name()
    await in_thread(record_vectors, key.owner_id, key.pk, model, tokens, is_estimated=counted is None)
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if asked.is_base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JsonResponse({"object": "list", "data": data, "model": model, "usage": usage})


def model_name() -> str:
    return str(settings.EMBEDDINGS_MODEL)


def read_texts(body: dict[str, Any]) -> Texts:
    """Raises ApiError."""
    fields = Fields(body)
    if (name := fields.needed_text("model")) != model_name():
        raise no_model(name)
    given = fields.needed("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise not_understood("input", "input must be a string or a list of strings; tokens are not taken.")
    if not 1 <= len(texts) <= MOST_TEXTS:
        raise out_of_range("input", f"input has {len(texts)} texts; from 1 to {MOST_TEXTS} are taken.")
    if longest := max((text for text in texts if len(text) > MOST_CHARACTERS), key=len, default=None):
        words = f"A text of input has {len(longest)} characters; at most {MOST_CHARACTERS} may be."
        raise out_of_range("input", words)
    if fields.any("dimensions") is not None:
        raise unsupported("dimensions", "dimensions cannot be chosen; leave it out.")
    is_base64 = fields.choice("encoding_format", ("float", "base64")) == "base64"
    fields.pass_over(PASSED_OVER)
    fields.refuse_unknown()
    return Texts(texts, is_base64)


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
