"""Asks any OpenAI-compatible endpoint over HTTP and yields typed deltas.

A stream that ends without a finish_reason is Dropped, never finished. Knows no database, no conversation.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from chatapp.endpoints.calls import CallGatherer
from chatapp.endpoints.deltas import Completed, Delta, ThinkSplitter, Usage, WellFormed, storable
from chatapp.endpoints.dialects import Question, Target, request_body, sent_fields
from chatapp.endpoints.faults import (
    Dropped,
    EndpointError,
    ErrorBody,
    Rejected,
    Unreachable,
    fault_of_status,
    read_error,
    read_error_value,
)
from chatapp.endpoints.sse import NotAStream, data_of_events

logger = logging.getLogger(__name__)

MAX_ERROR_BYTES = 64 * 1024  # an error page is read no further
# Said by engines that gave up by themselves: the answer is not complete.
_BROKEN_REASONS = frozenset({"insufficient_system_resource", "abort", "error"})
# The arguments of a call may stop anywhere.
_CUT_REASONS = frozenset({"length", "content_filter"})
# vLLM says that tools want another option of its own, and does not name the field.
_NO_TOOLS = ("tool choice", "tool-call", "function calling", "tool calling", "tool use")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    connect: float = 5.0
    headers: float = 300.0  # some servers answer only when the prompt is read
    first_token: float = 600.0  # DeepSeek keeps a queued question alive for ten minutes
    between_bytes: float = 60.0  # a keep-alive comment counts as life
    after_finish: float = 5.0  # how long a usage report may lag behind the finish_reason


TellPlace = Callable[[int], Awaitable[None]]
_PLACE = re.compile(r"queue_position=(\d{1,6})\b")  # in a comment of our own worker


class EndpointClient:
    """One for a process: it keeps connections and remembers which fields an endpoint has refused."""

    def __init__(self, timeouts: Timeouts = Timeouts()) -> None:
        self._timeouts = timeouts
        self._refused: dict[tuple[str, str], frozenset[str]] = {}
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=timeouts.connect, write=30.0),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            # The worker of this machine is never asked through a proxy.
            mounts={"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def refused_fields(self, target: Target) -> frozenset[str]:
        return self._refused.get((target.base_url, target.model), frozenset())

    async def models(self, target: Target) -> list[str]:
        """The ids the endpoint lists. Raises EndpointError."""
        try:
            async with asyncio.timeout(30):
                response = await self._http.get(f"{target.base_url}/models", headers=_headers(target))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise Unreachable(f"The endpoint cannot be reached ({type(error).__name__})") from error
        if response.status_code != 200:
            raise fault_of_status(response.status_code, read_error(response.text), target.model, None)
        try:
            return [str(item["id"]) for item in response.json()["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Rejected("The endpoint lists no models in a known form") from error

    async def stream(
        self, target: Target, question: Question, tell_place: TellPlace | None = None
    ) -> AsyncGenerator[Delta | Completed]:
        """Deltas, then exactly one Completed. Raises EndpointError. Closing the iterator closes the connection.

        While the question waits at our own worker, `tell_place` hears how many are before it, itself counted.
        """
        async with AsyncExitStack() as stack:
            response = await self._ask(target, question, stack)
            reader = _AnswerReader(target, _splitter(target, question))
            if "text/event-stream" in response.headers.get("content-type", "text/event-stream"):
                pieces = self._read_stream(response, reader, tell_place)
            else:
                pieces = self._read_whole(response, reader)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece

    async def _ask(self, target: Target, question: Question, stack: AsyncExitStack) -> httpx.Response:
        """The accepted response. A field refused by name is left out and, unless only its value was, remembered."""
        refused = self.refused_fields(target)
        while True:
            body = request_body(target, question, refused)
            attempt = await stack.enter_async_context(AsyncExitStack())
            path = "chat/completions" if question.prompt is None else "completions"
            response = await self._post(target, path, body, attempt)
            if response.status_code == 200:
                return response
            error = await _read_error_page(response)
            await attempt.aclose()
            field = _refused_field(response.status_code, error, sent_fields(body, question))
            if field is None:
                wait_s = _retry_after_s(response.headers)
                fault = fault_of_status(response.status_code, error, target.model, wait_s)
                fault.detail = target.api_key.remove_from(fault.detail)
                raise fault
            logger.info("endpoint model=%s takes no %s", target.model, field)
            refused |= {field}
            # Our own worker refuses token ids that do not spell the text beside them; the next ones may.
            self._refused[target.base_url, target.model] = refused - {"token_ids"}

    async def _post(self, target: Target, path: str, body: dict[str, Any], stack: AsyncExitStack) -> httpx.Response:
        url = f"{target.base_url}/{path}"
        try:
            async with asyncio.timeout(self._timeouts.headers):
                return await stack.enter_async_context(
                    self._http.stream("POST", url, json=body, headers=_headers(target))
                )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable("The endpoint cannot be reached") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise Rejected("The endpoint's address is no HTTP address") from error
        except (httpx.HTTPError, TimeoutError) as error:
            # The question has been sent: whether it was taken (and billed) cannot be known.
            raise Dropped(f"The endpoint took the question and did not answer ({type(error).__name__})") from error

    async def _read_stream(
        self, response: httpx.Response, reader: "_AnswerReader", tell_place: TellPlace | None
    ) -> AsyncGenerator[Delta | Completed]:
        clock = asyncio.get_running_loop().time
        give_up = clock() + self._timeouts.first_token
        events = data_of_events(response.aiter_bytes())
        async with aclosing(events):
            while not reader.done:
                limit = self._timeouts.after_finish if reader.finish_reason else self._timeouts.between_bytes
                try:
                    async with asyncio.timeout(min(limit, max(0.0, give_up - clock()))):
                        data = await anext(events)
                except StopAsyncIteration:
                    break
                except (httpx.HTTPError, NotAStream, TimeoutError) as error:
                    if reader.finish_reason:
                        break
                    for delta in reader.rest():
                        yield delta
                    raise Dropped(f"The endpoint's answer broke off ({type(error).__name__})") from error
                if data.startswith(":"):
                    if tell_place is not None and (place := _PLACE.search(data)):
                        await tell_place(int(place[1]))
                    continue
                for delta in reader.read(data):
                    give_up = float("inf")
                    yield delta
        for delta in reader.rest():
            yield delta
        yield reader.completed()

    async def _read_whole(self, response: httpx.Response, reader: "_AnswerReader") -> AsyncGenerator[Delta | Completed]:
        """An endpoint that knows no streaming answers at once with one JSON object."""
        try:
            async with asyncio.timeout(self._timeouts.first_token):
                body = await response.aread()
        except (httpx.HTTPError, TimeoutError) as error:
            raise Dropped(f"The endpoint's answer broke off ({type(error).__name__})") from error
        for delta in reader.read(body.decode("utf-8", "replace")):
            yield delta
        for delta in reader.rest():
            yield delta
        yield reader.completed()


class _AnswerReader:
    """Chunks of JSON in, deltas out; gathers finish_reason, usage and the model's name on the way."""

    def __init__(self, target: Target, splitter: ThinkSplitter) -> None:
        self._target = target
        self._splitter = splitter
        self._text, self._reasoning = WellFormed(), WellFormed()
        self._usage: Usage | None = None
        self._model = target.model
        self._said_done = False
        self._reasoning_in: Literal["", "field", "tags"] = ""
        self._calls = CallGatherer()
        self._logprobs: list[dict[str, Any]] = []
        self.finish_reason = ""

    @property
    def done(self) -> bool:
        return self._said_done

    def read(self, data: str) -> list[Delta]:
        if not data:
            return []
        if data.strip() == "[DONE]":
            self._said_done = True
            return []
        try:
            chunk = json.loads(data)
        except ValueError as error:
            raise Dropped("The endpoint's answer holds something that is not JSON") from error
        if not isinstance(chunk, dict):
            raise Dropped("The endpoint's answer holds something that is no object")
        return self._read_chunk(chunk)

    def rest(self) -> list[Delta]:
        return list(self._splitter.finish())

    def completed(self) -> Completed:
        """The end; raises Dropped where the stream just stopped."""
        if self.finish_reason in _BROKEN_REASONS:
            raise Dropped(f"The endpoint gave up ({self.finish_reason})")
        if not self.finish_reason and not self._said_done:
            raise Dropped("The endpoint's answer broke off")
        where = self._reasoning_in or ("tags" if self._splitter.has_thought else "")
        calls = () if self.finish_reason in _CUT_REASONS else self._calls.gathered()
        logprobs = tuple(self._logprobs)
        return Completed(storable(self.finish_reason), self._usage, storable(self._model), where, calls, logprobs)

    def _read_chunk(self, chunk: dict[str, Any]) -> list[Delta]:
        if chunk.get("error"):
            said = read_error_value(chunk["error"]).message
            raise Dropped(self._target.api_key.remove_from(f"The endpoint gave up: {said}"))
        self._usage = _usage(chunk.get("usage")) or self._usage
        self._model = str(chunk.get("model") or self._model)
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return []
        self.finish_reason = str(choice.get("finish_reason") or self.finish_reason)
        message = choice.get("delta") or choice.get("message")
        self._logprobs += _logprobs(choice.get("logprobs"))
        ids = _counts(choice.get("token_ids")) if self._target.takes_token_ids else ()
        if isinstance(choice.get("text"), str):  # of a prompt that is continued
            message = {"content": choice["text"]}
        return self._read_message(message if isinstance(message, dict) else {}, ids)

    def _read_message(self, message: dict[str, Any], token_ids: tuple[int, ...]) -> list[Delta]:
        deltas: list[Delta] = []
        self._calls.feed(message.get("tool_calls"))
        reasoning = self._reasoning(_text(message.get("reasoning_content")) or _text(message.get("reasoning")))
        if reasoning:
            self._splitter.leave_thinking()
            self._reasoning_in = "field"
            deltas.append(Delta("reasoning", reasoning, token_ids if not message.get("content") else ()))
            token_ids = token_ids if message.get("content") else ()
        text = self._text(_text(message.get("content")))
        if text or token_ids:
            deltas.extend(self._splitter.feed(text, token_ids))
        return deltas


def _text(value: Any) -> str:
    """A string, or the texts of a list of typed parts (some servers stream those)."""
    if isinstance(value, list):
        return "".join(str(part.get("text", "")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, Mapping):
        return None
    counts = _counts([value.get("prompt_tokens"), value.get("completion_tokens")])
    if not counts:
        return None
    details = value.get("prompt_tokens_details")
    cached = value.get("prompt_cache_hit_tokens", details.get("cached_tokens") if isinstance(details, dict) else None)
    prompt, completion = counts
    return Usage(prompt, completion, next(iter(_counts([cached])), None))


def _counts(values: Any) -> tuple[int, ...]:
    """The numbers, where all of them are such as a column of ours holds; else nothing."""
    if isinstance(values, list) and all(isinstance(value, int) and 0 <= value < 2**31 for value in values):
        return tuple(values)
    return ()


def _logprobs(value: Any) -> list[dict[str, Any]]:
    """Of a chat's choice: one object a token, whose texts a row of ours takes."""
    content = value.get("content") if isinstance(value, dict) else None
    return [_storable(each) for each in content if isinstance(each, dict)] if isinstance(content, list) else []


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable(each) for each in value]
    return {storable(name): _storable(each) for name, each in value.items()} if isinstance(value, dict) else value


def _splitter(target: Target, question: Question) -> ThinkSplitter:
    """Where the answer stands: one whose text has begun never opens a `<think>`."""
    if question.prompt is not None:
        return ThinkSplitter("text")
    if question.prefix is None:
        return ThinkSplitter()
    if question.prefix.text:
        return ThinkSplitter("text")
    inline = question.prefix.reasoning and target.continuation == "continue_final_message"
    return ThinkSplitter("thinking" if inline else "start")


def _headers(target: Target) -> dict[str, str]:
    headers = {"Accept": "text/event-stream, application/json"}
    if target.api_key.value:
        headers["Authorization"] = f"Bearer {target.api_key.value}"
    return headers


async def _read_error_page(response: httpx.Response) -> ErrorBody:
    body = b""
    try:
        async with asyncio.timeout(10):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ERROR_BYTES:
                    break
    except (httpx.HTTPError, TimeoutError):
        pass  # the status alone says enough
    return read_error(body[:MAX_ERROR_BYTES].decode("utf-8", "replace"))


def _refused_field(status: int, error: ErrorBody, sent: set[str]) -> str | None:
    """The optional field among the sent ones that the error names, longest name first."""
    if status not in (400, 422):
        return None
    if "tools" in sent and any(words in error.message.lower() for words in _NO_TOOLS):
        return "tools"
    words = {word.strip("`'\".,:;()[]") for word in error.message.replace(".", " ").split()} | set(error.fields)
    named = sorted(sent & words, key=len, reverse=True)
    return named[0] if named else None


def _retry_after_s(headers: httpx.Headers) -> float | None:
    raw = headers.get("retry-after", "")
    if raw.replace(".", "", 1).isdigit():
        return float(raw)
    try:
        date = parsedate_to_datetime(raw)
        sent = parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, (date - sent).total_seconds())


__all__ = ["EndpointClient", "EndpointError", "Timeouts"]
