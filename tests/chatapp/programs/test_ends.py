"""Every call ends exactly once, and so does its row of usage: finished, failed with a code, or called off."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from django.db.models.functions import Now

from chatapp.accounts.models import User
from chatapp.answers.models import ENDED
from chatapp.people.standing import suspend
from chatapp.programs import keys
from chatapp.programs.calling import MOST_AT_ONCE
from chatapp.programs.models import ApiKey, Call
from chatapp.usage.models import Quota, Spending
from tests.chatapp.programs.conftest import QUESTION, RunnerThread, client_of, new_secret, running
from tests.crash.waiting import wait_until
from tests.live_site import LiveSite
from tests.scripted_endpoint import TEXT, ScriptedEndpoint

pytestmark = pytest.mark.django_db(transaction=True)


def ended_spending() -> Spending | None:
    return Spending.objects.filter(ended_at__isnull=False).first()


@pytest.mark.parametrize(
    ("part", "status", "code"),
    [
        ("rate-limit:99+plain", 429, "rate_limited"),
        ("unavailable:99+plain", 503, "endpoint_unreachable"),
        ("too-long", 400, "context_length_exceeded"),
        ("error-string", 400, "endpoint_rejected"),
        ("bad-key", 503, "endpoint_rejected"),
        ("no-model", 503, "endpoint_rejected"),
        ("drop:0", 500, "endpoint_dropped"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_what_fails_before_its_first_word_fails_with_its_own_status(
    program: openai.OpenAI, plays: Callable[..., None], runner: RunnerThread, part: str, status: int, code: str,
    is_stream: bool,
) -> None:  # fmt: skip
    plays(part)
    with pytest.raises(openai.APIStatusError) as failed:
        program.chat.completions.create(model=part, messages=QUESTION, stream=is_stream)
    error = failed.value
    assert (error.status_code, error.code) == (status, code)
    assert error.response.headers.get("retry-after") is not None or status not in (429,)
    assert error.response.headers.get("x-should-retry") == (
        "false" if part in ("drop:0", "bad-key", "no-model") else None
    )
    wait_until("the call is gone", lambda: not Call.objects.exclude(status__in=ENDED).exists(), 5)
    if part == "drop:0":  # it was taken, and may be paid for
        spent = Spending.objects.get()
        assert spent.is_estimated and spent.ended_at is not None
    else:
        assert not Spending.objects.exists()


def test_a_stream_that_breaks_ends_with_an_error_and_no_done(
    live_site: LiveSite, secret: str, plays: Callable[..., None], runner: RunnerThread
) -> None:
    plays("drop:5")
    body = {"model": "drop:5", "messages": QUESTION, "stream": True}
    response = httpx.post(
        f"{live_site.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"}
    )
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert response.status_code == 200 and "word4" in response.text and "[DONE]" not in events
    assert json.loads(events[-1])["error"]["code"] == "endpoint_dropped"
    with client_of(live_site, secret) as program, pytest.raises(openai.APIError, match="broke off"):
        list(program.chat.completions.create(model="drop:5", messages=QUESTION, stream=True))  # type: ignore


@pytest.mark.parametrize("is_stream", [False, True])
def test_who_goes_away_has_called_it_off_and_the_meter_stops(
    live_site: LiveSite, secret: str, plays: Callable[..., None], scripted: ScriptedEndpoint, runner: RunnerThread,
    is_stream: bool,
) -> None:  # fmt: skip
    plays("slow:100")
    body = {"model": "slow:100", "messages": QUESTION, "stream": is_stream}
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(headers=headers) as program:
        if is_stream:
            with program.stream("POST", f"{live_site.url}/v1/chat/completions", json=body) as response:
                next(response.iter_raw())
        else:
            with pytest.raises(httpx.ReadTimeout):
                program.post(f"{live_site.url}/v1/chat/completions", json=body, timeout=1.0)
    wait_until("the endpoint's stream is closed", lambda: scripted.closed_early == 1, 5)
    wait_until("usage has ended", ended_spending, 5)
    spent = Spending.objects.get()
    assert spent.is_estimated and spent.output_tokens < len(TEXT) / 5
    wait_until("the call has ended", lambda: not Call.objects.exclude(status__in=ENDED).exists(), 5)


def test_the_caller_hears_that_its_runner_was_killed(
    live_site: LiveSite, secret: str, plays: Callable[..., None]
) -> None:
    plays("slow:100")
    with running() as first, client_of(live_site, secret) as program:
        stream = iter(program.chat.completions.create(model="slow:100", messages=QUESTION, stream=True))  # type: ignore
        while not next(stream).choices[0].delta.content:
            pass
        Spending.objects.update(ended_at=None)
        first.kill()
        Spending.objects.update(ended_at=None)  # what kill -9 leaves: nobody has ended it
        Call.objects.update(lease_expires_at=Now())
        with running(), pytest.raises(openai.APIError) as failed:
            list(stream)
    assert failed.value.code == "interrupted"
    assert Spending.objects.get().ended_at is not None


def test_a_call_that_was_not_sent_yet_is_taken_over(
    program: openai.OpenAI, plays: Callable[..., None], scripted: ScriptedEndpoint
) -> None:
    from chatapp.programs.claiming import claim_calls

    with ThreadPoolExecutor() as pool:
        asking = pool.submit(program.chat.completions.create, model="plain", messages=QUESTION)  # type: ignore
        wait_until("a runner has claimed it and is gone", lambda: claim_calls(1), 5)
        Call.objects.update(lease_expires_at=Now())
        with running():
            assert asking.result(10).choices[0].message.content == TEXT
    assert len(scripted.requests) == 1


def test_a_runner_that_stops_gives_back_what_was_not_sent_and_fails_the_rest(
    program: openai.OpenAI, plays: Callable[..., None], scripted: ScriptedEndpoint
) -> None:
    plays("silent:60000")
    with running() as runner, ThreadPoolExecutor() as pool:
        asking = pool.submit(program.chat.completions.create, model="silent:60000", messages=QUESTION)  # type: ignore
        wait_until("the endpoint is asked", lambda: scripted.requests, 5)
        runner.stop()
        with pytest.raises(openai.InternalServerError) as failed:
            asking.result(10)
    assert failed.value.code == "interrupted"


def test_nobody_who_waits_means_that_nobody_wants_it(
    program: openai.OpenAI, plays: Callable[..., None], member: User, runner: RunnerThread, scripted: ScriptedEndpoint
) -> None:
    """The web process was killed: it could call nothing off."""
    from chatapp.programs.calling import ask
    from chatapp.programs.request import read_chat

    plays("silent:60000")
    key = ApiKey.objects.get()
    call = ask(key, "chat", *read_chat({"model": "silent:60000", "messages": QUESTION}))
    wait_until("the endpoint is asked", lambda: scripted.requests, 5)
    Call.objects.update(watched_at="2020-01-01T00:00Z")
    wait_until("it was called off", lambda: Call.objects.filter(pk=call.pk, status="cancelled").exists(), 10)
    wait_until("usage has ended", ended_spending, 5)


def test_a_key_that_ends_ends_what_it_asks_for(
    program: openai.OpenAI, plays: Callable[..., None], member: User, runner: RunnerThread, scripted: ScriptedEndpoint
) -> None:
    plays("slow:100")
    stream = iter(program.chat.completions.create(model="slow:100", messages=QUESTION, stream=True))  # type: ignore
    next(stream)
    keys.end(member, ApiKey.objects.get().pk)
    with pytest.raises(openai.APIError) as failed:
        list(stream)
    assert failed.value.code == "invalid_api_key"
    wait_until("the endpoint's stream is closed", lambda: scripted.closed_early == 1, 5)
    with pytest.raises(openai.AuthenticationError):
        program.models.list()


def test_who_is_suspended_has_no_key_from_that_moment_on_nor_later(
    program: openai.OpenAI, plays: Callable[..., None], owner: User, member: User, runner: RunnerThread,
    scripted: ScriptedEndpoint,
) -> None:  # fmt: skip
    from chatapp.people.standing import reactivate

    plays("slow:100")
    stream = iter(program.chat.completions.create(model="slow:100", messages=QUESTION, stream=True))  # type: ignore
    next(stream)
    suspend(owner, member.pk)
    with pytest.raises(openai.APIError):
        list(stream)
    wait_until("the endpoint's stream is closed", lambda: scripted.closed_early == 1, 5)
    with pytest.raises(openai.AuthenticationError):
        program.models.list()
    reactivate(owner, member.pk)
    with pytest.raises(openai.AuthenticationError):
        program.models.list()


def test_fifty_streams_at_once_are_all_answered_and_add_up(
    live_site: LiveSite, secret: str, plays: Callable[..., None], scripted: ScriptedEndpoint
) -> None:
    plays("slow:10")
    most_open = 0

    def ask(number: int) -> str:
        with client_of(live_site, secret) as program:
            stream = program.chat.completions.create(model="slow:10", messages=QUESTION, stream=True)  # type: ignore
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    with running(concurrency=20), ThreadPoolExecutor(50) as pool:
        asking = [pool.submit(ask, number) for number in range(50)]
        while not all(each.done() for each in asking):
            most_open = max(most_open, scripted.open_streams)
            time.sleep(0.02)
        assert [each.result() for each in asking] == [TEXT] * 50
    assert 1 < most_open <= 20
    spent = list(Spending.objects.all())
    assert len(spent) == 50 and not any(each.is_estimated for each in spent)
    assert sum(each.output_tokens for each in spent) == 50 * 40
    assert sum(each.cost for each in spent) == 50 * spent[0].cost


def test_everybodys_programs_have_a_turn_before_anybodys_have_a_second(member: User, outsider: User) -> None:
    from chatapp.programs.claiming import claim_calls

    owners = {}
    for person, count in ((member, 5), (outsider, 2)):
        new_secret(person)
        key = ApiKey.objects.get(owner=person)
        for _ in range(count):
            owners[Call.objects.create(key=key, kind="chat", model_id="plain", request={}).pk] = person
    claimed = [{owners[claim.call_id] for claim in claim_calls(limit)} for limit in (2, 2, 9)]
    assert claimed == [{member, outsider}, {member, outsider}, {member}]


def test_a_key_has_only_so_many_calls_under_way(program: openai.OpenAI, plays: Callable[..., None]) -> None:
    key = ApiKey.objects.get()
    Call.objects.bulk_create(Call(key=key, kind="chat", model_id="plain", request={}) for _ in range(MOST_AT_ONCE))
    with pytest.raises(openai.RateLimitError, match=f"{MOST_AT_ONCE} calls under way") as refused:
        program.chat.completions.create(model="plain", messages=QUESTION)  # type: ignore
    assert refused.value.response.headers["retry-after"] == "1"


def test_an_answer_ends_where_a_quota_does(
    program: openai.OpenAI, plays: Callable[..., None], runner: RunnerThread, scripted: ScriptedEndpoint
) -> None:
    plays("obeys")
    Quota.objects.create(key=ApiKey.objects.get(), tokens_a_day=20)
    answer = program.chat.completions.create(model="obeys", messages=QUESTION)  # type: ignore
    assert answer.choices[0].finish_reason == "length" and 0 < scripted.requests[0]["max_tokens"] < 20
    assert (answer.choices[0].message.content or "").split() == [
        f"word{n}" for n in range(scripted.requests[0]["max_tokens"])
    ]
    with pytest.raises(openai.APIStatusError) as refused:
        program.chat.completions.create(model="obeys", messages=QUESTION)  # type: ignore
    assert refused.value.status_code == 402 and len(scripted.requests) == 1


def test_a_question_that_alone_is_more_than_may_be_spent_is_not_asked(
    program: openai.OpenAI, plays: Callable[..., None], runner: RunnerThread, scripted: ScriptedEndpoint
) -> None:
    Quota.objects.create(key=ApiKey.objects.get(), money_a_month="0.0001")
    long = [{"role": "user", "content": "What is the tide? " * 2000}]
    with pytest.raises(openai.APIStatusError) as refused:
        program.chat.completions.create(model="plain", messages=long)  # type: ignore
    assert refused.value.status_code == 402 and not scripted.requests and not Spending.objects.exists()
    assert program.chat.completions.create(model="plain", messages=QUESTION).choices[0].message.content  # type: ignore
