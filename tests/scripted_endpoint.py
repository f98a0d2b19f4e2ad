"""A model endpoint that plays a part: real HTTP on a free port, the behaviour chosen by the model's name.

Names are words joined by "+", such as `plain`, `no-usage+drop:5` or `prefix+slow:20`; see `Script`. What it was asked
is kept in `requests`. Its answer is WORDS, one word a chunk, so that a continued answer can be checked for seams.
"""

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

WORDS = [f"word{index} " for index in range(40)]
TEXT = "".join(WORDS)
COUNTING = "one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve"
WRITING_QUERIES = "one a line, and nothing else"  # of the task to write queries; `queries` plays it
FIRST_ID = 1000  # word i is token FIRST_ID + i
KNOWN = {"model", "messages", "stream", "max_tokens"}


@dataclass(frozen=True, slots=True)
class Script:
    """`words` holds what the model's name says; a word may carry a number after a colon."""

    words: dict[str, int]

    @classmethod
    def of(cls, model: str) -> "Script":
        pairs = (word.partition(":") for word in model.split("+"))
        return cls({name: int(number or 0) for name, _, number in pairs})

    def __contains__(self, name: str) -> bool:
        return name in self.words

    def number(self, name: str, default: int) -> int:
        return self.words.get(name, default)


class ScriptedEndpoint:
    """`with ScriptedEndpoint() as endpoint:` serves at `endpoint.base_url` until the block ends."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.open_streams = 0
        self.closed_early = 0
        self.calls: Counter[str] = Counter()
        self.gate = threading.Event()  # `gate:k` waits for it before word k
        self.gate.set()
        # `tools` plays these calls, one a round, (name, arguments); without any it calls the first tool it is offered.
        self.tool_calls: list[tuple[str, dict[str, Any]]] = []
        self.says = ""  # what `says` answers with
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._complete, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), log_level="error", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> "ScriptedEndpoint":
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *exc: object) -> None:
        self.gate.set()
        self._server.should_exit = True
        self._thread.join(timeout=5)

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "plain", "object": "model"}]})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.authorizations.append(request.headers.get("authorization", ""))
        self.calls[body["model"]] += 1
        script = Script.of(body["model"])
        return self._refusal(script, body) or await self._answer(script, body)

    async def _complete(self, request: Request) -> Response:
        """A prompt continued: the same words, in the older form."""
        body = await request.json()
        self.requests.append(body)
        self.calls[body["model"]] += 1
        events = [{"choices": [{"index": 0, "text": word, "finish_reason": None}]} for word in WORDS]
        events.append({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 100, "completion_tokens": len(WORDS), "prompt_cache_hit_tokens": 64}
        data = b"".join(map(_event, [*events, {"choices": [], "usage": usage}])) + b"data: [DONE]\n\n"
        return Response(data, media_type="text/event-stream")

    def _refusal(self, script: Script, body: dict[str, Any]) -> Response | None:
        """An error response, in the shape the script asks for."""
        call = self.calls[body["model"]]
        if "rate-limit" in script and call <= script.number("rate-limit", 1):
            return JSONResponse({"error": {"message": "slow down"}}, 429, headers={"Retry-After": "0.2"})
        if "unavailable" in script and call <= script.number("unavailable", 1):
            return PlainTextResponse("overloaded", 503)
        if "strict" in script and (unknown := [name for name in body if name not in KNOWN]):
            message = f"Unrecognized request argument supplied: {unknown[0]}"
            return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, 400)
        if "no-tools" in script and "tools" in body:
            return JSONResponse({"error": {"message": f"{body['model']} does not support tools"}}, 400)
        if "no-tool-parser" in script and "tools" in body:
            return JSONResponse({"message": '"auto" tool choice requires --enable-auto-tool-choice to be set'}, 400)
        if "no-seed" in script and "seed" in body:
            detail = [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": body["seed"]}]
            return JSONResponse({"detail": detail}, 422)
        if "error-string" in script:
            return JSONResponse({"error": "the string shape"}, 400)
        if "error-html" in script:
            return HTMLResponse("<html><style>p{}</style><p>Bad <b>gateway</b></p></html>", 502)
        if "bad-key" in script:
            key = body and self.authorizations[-1].removeprefix("Bearer ")
            return JSONResponse({"error": {"message": f"Incorrect API key: {key}"}}, 401)
        if "no-model" in script:
            return JSONResponse({"error": {"message": "no such model", "code": "model_not_found"}}, 404)
        if "room" in script and sum(len(m["content"] or "") for m in body["messages"]) > script.number("room", 1000):
            return JSONResponse({"message": "This model's maximum context length is exceeded"}, 400)
        if "too-long" in script:
            error = {"message": "maximum context length is 8 tokens, you asked 90", "code": "context_length_exceeded"}
            return JSONResponse({"error": error}, 400)
        return None

    async def _answer(self, script: Script, body: dict[str, Any]) -> Response:
        if "whole" in script:
            message = {"role": "assistant", "content": TEXT}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return JSONResponse({"model": body["model"], "choices": [choice]})
        if "silent" in script:
            await asyncio.sleep(script.number("silent", 1000) / 1000)
        ids = body["messages"][-1].get("token_ids")
        if ids is not None and ids != [FIRST_ID + index for index in range(len(ids))]:
            return JSONResponse({"error": {"message": "content is not what token_ids decode to"}}, 400)
        return StreamingResponse(self._stream(script, body), media_type="text/event-stream")

    async def _stream(self, script: Script, body: dict[str, Any]) -> AsyncIterator[bytes]:
        self.open_streams += 1
        ended = False
        try:
            async for chunk in self._chunks(script, body):
                yield chunk
            ended = True
        finally:
            self.open_streams -= 1
            self.closed_early += not ended

    async def _chunks(self, script: Script, body: dict[str, Any]) -> AsyncIterator[bytes]:
        if (call := self._call(script, body)) is not None:
            if "talks" in script:
                yield self._chunk(body, {"content": "Let me compute that."}, FIRST_ID)
            for event in _called(script, *call):
                yield _event(event)
            yield b"data: [DONE]\n\n"
            return
        words = self._words(script, body)
        is_cut = "obeys" in script and len(words) > body["max_tokens"]
        words = words[: body["max_tokens"]] if is_cut else words
        stop_at = script.number("drop", 10**9) if self.calls[body["model"]] <= script.number("drops", 10**9) else 10**9
        for index, delta in enumerate(words):
            if index == stop_at:
                return
            if "error-at" in script and index == script.number("error-at", 3):
                yield _event({"error": {"message": "engine died", "code": 500}})
                return
            if "gate" in script and index == script.number("gate", 0):
                while not self.gate.is_set():
                    place = f" queue_position={script.number('place', 0)}" if "place" in script else ""
                    yield f": keep-alive{place}\n\n".encode()
                    await asyncio.sleep(0.01)
            await asyncio.sleep(script.number("slow", 0) / 1000)
            first = FIRST_ID + len(WORDS) - len(words)
            yield self._chunk(body, delta, first + index)
        if "no-finish" in script:
            return
        finish = "length" if "length" in script or is_cut else "odd\0\ud800" if "odd" in script else "stop"
        yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        if "odd" in script:
            yield _event(
                {"model": "m\0" * 300, "choices": [], "usage": {"prompt_tokens": 10**12, "completion_tokens": -1}}
            )
        elif "no-usage" not in script:
            usage = {"prompt_tokens": 100, "completion_tokens": len(words), "prompt_cache_hit_tokens": 64}
            yield _event({"choices": [], "usage": usage})
        if "no-done" not in script:
            yield b"data: [DONE]\n\n"

    def _words(self, script: Script, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The deltas of this answer; one that continues gives only what is missing."""
        pieces = WORDS
        last = body["messages"][-1]
        if last["role"] == "tool" and "repeats" in script:
            pieces = ["The tool said: ", last["content"]]
        if "Count from one" in body["messages"][-1]["content"] or "Count from one" in body["messages"][0]["content"]:
            pieces = [COUNTING]
        done = ""
        if last["role"] == "assistant" and self._continues(script, body):
            done = last["content"]
        text = "".join(pieces)
        if done and text.startswith(done):
            rest = text[len(done) :]
            pieces = [rest] if pieces is not WORDS else _resplit(rest)
        if "cites" in script:
            pieces = ["The pier ", "is 40 m long ", "[1]. ", "It was built ", "in 1925 [1]."]
        if "says" in script:
            pieces = [self.says]
        if "queries" in script and WRITING_QUERIES in last["content"]:
            pieces = ["1. harbour station Talmar\n", "2. Talmar 1801"]
        if "title" in script and "Write a title" in last["content"]:
            pieces = ["Tides and ", "their times."]
        deltas: list[dict[str, Any]] = [{"content": piece} for piece in pieces]
        if done:
            return deltas
        if "think" in script:
            thought = "<think>\nlet me see</think>\n\n"
            return [{"content": thought[i : i + 3]} for i in range(0, len(thought), 3)] + deltas
        if "reasoning" in script:
            return [{"reasoning": "let me "}, {"reasoning": "see"}, *deltas]
        if "reasoning-content" in script:
            return [{"reasoning_content": "let me "}, {"reasoning_content": "see"}, *deltas]
        return deltas

    def _call(self, script: Script, body: dict[str, Any]) -> tuple[int, str, dict[str, Any]] | None:
        """The call of this round: its number, name and arguments; None where it is time to answer."""
        if "tools" not in script or not body.get("tools"):
            return None
        asked_at = max(index for index, message in enumerate(body["messages"]) if message["role"] == "user")
        round = sum(bool(message.get("tool_calls")) for message in body["messages"][asked_at:])
        if self.tool_calls:
            return (round, *self.tool_calls[round]) if round < len(self.tool_calls) else None
        function = body["tools"][0]["function"]
        arguments = {name: "blue chair" for name in function["parameters"]["required"]}
        return None if round else (round, function["name"], arguments)

    def _continues(self, script: Script, body: dict[str, Any]) -> bool:
        if "prefix" in script:
            return bool(body["messages"][-1].get("prefix"))
        return "final" in script and bool(body.get("continue_final_message"))

    def _chunk(self, body: dict[str, Any], delta: dict[str, Any], token_id: int) -> bytes:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": None}
        if body.get("logprobs"):
            token = delta.get("content", "")
            tops = [{"token": f"{token}{rank}", "logprob": -rank} for rank in range(body.get("top_logprobs", 0))]
            choice["logprobs"] = {"content": [{"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": tops}]}
        if body.get("return_token_ids"):
            choice["token_ids"] = [token_id]
        return _event({"id": "x", "object": "chat.completion.chunk", "model": body["model"], "choices": [choice]})


def _called(script: Script, round: int, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """One call as OpenAI streams it, or, `at-once`, whole and unnumbered as some others do."""
    text = json.dumps(arguments, ensure_ascii=False)
    if "at-once" in script:
        pieces: list[dict[str, Any]] = [{"function": {"name": name, "arguments": arguments}}]
    else:
        pieces = [{"index": 0, "id": f"call-{round}", "type": "function", "function": {"name": name, "arguments": ""}}]
        pieces += [{"index": 0, "function": {"arguments": text[i : i + 7]}} for i in range(0, len(text), 7)]
    finish = "length" if "length" in script else "stop" if "at-once" in script else "tool_calls"
    usage = {"prompt_tokens": 100, "completion_tokens": len(pieces)}
    deltas = [{"choices": [{"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}]} for piece in pieces]
    return [*deltas, {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}, {"choices": [], "usage": usage}]


def _resplit(text: str) -> list[str]:
    return [f"{word} " for word in text.split(" ") if word] if text.endswith(" ") else [text]


def _event(data: dict[str, Any]) -> bytes:
    text = json.dumps(data, ensure_ascii=False)
    try:
        return f"data: {text}\n\n".encode()
    except UnicodeEncodeError:  # half a surrogate pair travels escaped
        return f"data: {json.dumps(data)}\n\n".encode()
