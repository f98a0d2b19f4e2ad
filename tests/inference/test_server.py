"""What surrounds an answer: models, the key, the queue, the limits, clients that go away."""

from __future__ import annotations

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from openai import OpenAI
from starlette.testclient import TestClient

from inference.server import streaming
from inference.server import worker as worker_module
from inference.server.app import create_app
from inference.server.worker import Worker
from inference.tokenizer import Tokenizer
from tests.inference.asking import QUESTION, eventually, post, read_metrics
from tests.inference.conftest import RunningServer, ServerStarter


def test_models_health_and_counting(server: RunningServer, client: OpenAI, tokenizer: Tokenizer) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    health = httpx.get(f"{server.url}/health")
    assert health.status_code == 200 and health.json()["status"] == "ready"
    counted = post(server, "/tokenize", messages=QUESTION).json()
    assert counted == {"count": len(tokenizer.encode_chat(QUESTION))}
    assert post(server, "/tokenize", prompt="the cat").json() == {"count": len(tokenizer.encode("the cat"))}
    assert post(server, "/tokenize").status_code == 400


def test_a_key_is_asked_for_except_of_health(start_server: ServerStarter) -> None:
    server = start_server(api_key="sesame", name="guarded")
    assert httpx.get(f"{server.url}/health").status_code == 200
    for path in ("/v1/models", "/metrics"):
        assert httpx.get(server.url + path).status_code == 401
    with OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    with OpenAI(base_url=f"{server.url}/v1", api_key="sesame", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["guarded"]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer s\u00e9same", 200),
        ("bearer  s\u00e9same", 200),
        ("s\u00e9same", 401),
        ("Basic s\u00e9same", 401),
        ("Bearer", 401),
        ("Bearer s\u00e9sam", 401),
    ],
)
def test_a_key_is_a_bearers(header: str, status: int) -> None:
    client = TestClient(create_app(Worker(lambda report: pytest.fail("never loaded")), api_key="s\u00e9same"))
    response = client.get("/metrics", headers=[(b"authorization", header.encode())])
    assert response.status_code == status


@pytest.mark.parametrize("streaming", [True, False])
def test_a_client_that_goes_away_frees_its_blocks(server: RunningServer, streaming: bool) -> None:
    blocks = server.worker.loaded.engine.scheduler.blocks
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    body = json.dumps({"messages": QUESTION, "max_tokens": 450, "stream": streaming, "n": 2, "seed": 1})
    connection.request("POST", "/v1/chat/completions", body)
    eventually(lambda: blocks.num_free_blocks < blocks.num_blocks)
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    eventually(lambda: blocks.num_free_blocks == blocks.num_blocks)
    assert 'outcome="cancelled"' in httpx.get(f"{server.url}/metrics").text


def test_a_request_in_the_queue_is_kept_alive(start_server: ServerStarter, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_server(max_num_seqs=1)
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.05)
    long = {"messages": QUESTION, "max_tokens": 400, "stream": True, "seed": 1}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long, timeout=60) as first:
        chunks = first.iter_raw()
        next(chunks)
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long, timeout=60) as second:
            assert next(second.iter_lines()) == ": keep-alive queue_position=1"


def test_a_crowd_that_comes_and_goes_leaves_nothing_behind(server: RunningServer) -> None:
    """More than there is room for: some wait, some are preempted, a third goes away in the middle."""

    def visit(number: int) -> str:
        body = {"messages": QUESTION, "max_tokens": 20 + 17 * (number % 20), "stream": True, "seed": number}
        said = []
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as response:
            for line in filter(None, response.iter_lines()):
                said.append(line)
                if number % 3 == 0:
                    return "gone"
        return said[-1]

    with ThreadPoolExecutor(24) as pool:
        ends = list(pool.map(visit, range(48)))
    assert set(ends) == {"gone", "data: [DONE]"}
    blocks = server.worker.loaded.engine.scheduler.blocks
    eventually(lambda: blocks.num_free_blocks == blocks.num_blocks)
    server.worker.loaded.engine.scheduler.check()


def test_too_many_at_once_are_told_to_come_back(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "MAX_REQUESTS", 0)
    for stream_it in (True, False):
        response = post(server, stream=stream_it)
        assert response.status_code == 429 and response.json()["error"]["code"] == "too_many_requests"
        assert response.headers["content-type"] == "application/json"
        assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("streams", [True, False])
def test_prompts_of_one_request_come_in_together_or_not_at_all(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    monkeypatch.setattr(worker_module, "MAX_REQUESTS", 4)
    monkeypatch.setattr(worker_module, "KEPT_FOR_NEWCOMERS", 1)
    before = read_metrics(server)
    body = {"max_tokens": 1, "stream": streams}
    assert post(server, "/v1/completions", prompt=["the cat"] * 4, **body).status_code == 429
    after = read_metrics(server)
    assert after["sonde_accepted_total"] == before["sonde_accepted_total"]
    assert after["sonde_refused_total"] == before["sonde_refused_total"] + 1
    assert post(server, "/v1/completions", prompt=["the cat"] * 3, **body).status_code == 200


def test_one_user_cannot_take_every_place(start_server: ServerStarter, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_server(max_num_seqs=1)
    monkeypatch.setattr(worker_module, "MAX_REQUESTS", 2)
    monkeypatch.setattr(worker_module, "KEPT_FOR_NEWCOMERS", 1)
    long = {"messages": QUESTION, "max_tokens": 450, "stream": True, "user": "busy", "seed": 1}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long, timeout=60) as first:
        chunks = first.iter_raw()
        next(chunks)
        assert post(server, user="busy").status_code == 429
        assert post(server, user="other").status_code == 200


def test_who_waits_too_long_is_sent_away(start_server: ServerStarter) -> None:
    server = start_server(max_num_seqs=1, max_wait_s=0.05)
    long = {"messages": QUESTION, "max_tokens": 450, "stream": True, "seed": 1}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=long, timeout=60) as first:
        chunks = first.iter_raw()
        next(chunks)
        response = post(server)
        assert response.status_code == 503 and response.json()["error"]["code"] == "waited_too_long"
    assert 'outcome="expired"} 1' in httpx.get(f"{server.url}/metrics").text


def test_a_next_turn_finds_the_conversation_in_the_cache(server: RunningServer) -> None:
    messages = [{"role": "user", "content": "and then this other thing was not on the mat there " * 16}]
    first = post(server, messages=messages, max_tokens=70, seed=1).json()
    usage = first["usage"]
    assert usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"] > 128
    said = {"role": "assistant", "content": first["choices"][0]["message"]["content"]}
    metrics = read_metrics(server)
    again = post(server, messages=[*messages, said, *QUESTION], n=2).json()["usage"]
    assert again["prompt_cache_hit_tokens"] >= usage["prompt_tokens"] // 64 * 64
    assert again["prompt_cache_hit_tokens"] + again["prompt_cache_miss_tokens"] == again["prompt_tokens"]
    hits = "sonde_prompt_cache_hit_tokens_total"
    assert read_metrics(server)[hits] == metrics[hits] + again["prompt_cache_hit_tokens"]


def test_before_the_model_is_loaded_requests_are_told_to_wait() -> None:
    def never(report: object) -> Any:
        raise ValueError("no such weights")

    worker = Worker(never)
    with TestClient(create_app(worker)) as client:
        eventually(lambda: worker.stage == "failed")
        health = client.get("/health")
        assert health.status_code == 503 and health.json()["stage"] == "failed"
        response = client.post("/v1/chat/completions", json={"messages": QUESTION})
        assert response.status_code == 503 and response.json()["error"]["code"] == "model_loading"
        assert response.headers["retry-after"] == "1"
    assert str(worker.failure) == "no such weights"
