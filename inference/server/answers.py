"""Pieces of JSON that both completion endpoints share: request bodies, usage, logprobs."""

from __future__ import annotations

import json
import secrets
from typing import Any

from starlette.requests import Request

from inference.engine import Usage
from inference.sequence import TokenLogprob
from inference.server.errors import BadRequest
from inference.tokenizer import Tokenizer

# A prompt of 160k tokens is under 1 MB of text; as token ids it is about as much.
MAX_BODY_BYTES = 16 * 2**20


async def read_json(request: Request) -> object:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BadRequest(f"the request body is larger than {MAX_BODY_BYTES} bytes", "body_too_large")
    try:
        text = body.decode()  # json.loads itself would take UTF-16, and half a surrogate pair
        value: object = json.loads(text)
        if "\\ud" in text.lower():  # an escaped surrogate: half a pair is no text and cannot be encoded
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except ValueError as error:  # not JSON, or not Unicode
        raise BadRequest(f"the request body is not JSON: {error}", "invalid_json") from None
    except RecursionError:
        raise BadRequest("the request body is nested too deeply", "invalid_json") from None


def new_id(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(12)}"


class UsageCount:
    """Adds up what the choices of one request cost; a prompt counts once however many choices it has.

    What the first choice has computed is a hit for the others, but the request found only the least of that.
    """

    def __init__(self) -> None:
        self._prompts: dict[int, int] = {}
        self._hits: dict[int, int] = {}
        self._new: dict[tuple[int, int], int] = {}

    def see(self, prompt: int, choice: int, usage: Usage) -> None:
        self._prompts[prompt] = usage.num_prompt_tokens
        self._hits[prompt] = min(usage.num_hit_tokens, self._hits.get(prompt, usage.num_hit_tokens))
        self._new[prompt, choice] = usage.num_new_tokens

    def body(self) -> dict[str, Any]:
        num_prompt, num_new = sum(self._prompts.values()), sum(self._new.values())
        num_hit = sum(self._hits.values())
        return {
            "prompt_tokens": num_prompt,
            "completion_tokens": num_new,
            "total_tokens": num_prompt + num_new,
            "prompt_cache_hit_tokens": num_hit,
            "prompt_cache_miss_tokens": num_prompt - num_hit,
        }


def chat_logprobs(tokenizer: Tokenizer, logprobs: tuple[TokenLogprob, ...]) -> dict[str, Any]:
    return {"content": [_chat_logprob(tokenizer, entry) for entry in logprobs], "refusal": None}


def _chat_logprob(tokenizer: Tokenizer, entry: TokenLogprob) -> dict[str, Any]:
    top = [_token(tokenizer, token_id, logprob) for token_id, logprob in entry.top]
    return _token(tokenizer, entry.token_id, entry.logprob) | {"top_logprobs": top}


def _token(tokenizer: Tokenizer, token_id: int, logprob: float) -> dict[str, Any]:
    raw = tokenizer.raw_bytes(token_id)
    return {"token": raw.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(raw)}


def token_text(tokenizer: Tokenizer, token_id: int) -> str:
    return tokenizer.raw_bytes(token_id).decode("utf-8", "replace")
