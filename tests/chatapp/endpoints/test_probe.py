"""The "try it" button against endpoints that can more or less."""

import pytest

from chatapp.endpoints.client import EndpointClient, Timeouts
from chatapp.endpoints.dialects import Key, Target
from chatapp.endpoints.probe import ProbeReport, probe
from tests.scripted_endpoint import ScriptedEndpoint


async def probed(model: str) -> ProbeReport:
    with ScriptedEndpoint() as endpoint:
        async with EndpointClient(Timeouts(headers=2)) as client:
            return await probe(client, Target(endpoint.base_url, model, Key("k")))


@pytest.mark.parametrize(
    ("model", "continuation"),
    [("plain", "none"), ("prefix", "prefix_true"), ("final", "continue_final_message"), ("strict", "none")],
)
async def test_continuation_is_believed_only_when_the_reply_goes_on(model: str, continuation: str) -> None:
    report = await probed(model)
    assert report.ok and report.established()["continuation"] == continuation


async def test_a_capable_endpoint_has_a_line_for_everything() -> None:
    report = await probed("prefix")
    outcomes = {line.check: line.outcome for line in report.lines}
    assert outcomes == {
        "models": "no",
        "answer": "yes",
        "stream": "no",  # the counting answer of the script is one chunk
        "first_token": "yes",
        "usage": "yes",
        "seed": "yes",
        "reasoning": "no",
        "continuation": "yes",
        "tools": "no",
    }


async def test_missing_seed_and_usage_and_hidden_thinking_are_seen() -> None:
    report = await probed("no-seed+no-usage+think")
    outcomes = {line.check: line.outcome for line in report.lines}
    assert (outcomes["seed"], outcomes["usage"], outcomes["reasoning"]) == ("no", "no", "yes")
    assert report.established() == {
        "takes_seed": False,
        "tools": False,
        "continuation": "none",
        "thinking": "always",
    }


@pytest.mark.parametrize(
    ("model", "outcome"),
    [
        ("tools+repeats", "yes"),
        ("tools+at-once+repeats", "yes"),
        ("tools", "no"),  # it calls, and then says something else
        ("plain", "no"),
        ("no-tools", "no"),
        ("tools+length", "no"),
    ],
)
async def test_tools_are_believed_when_what_they_gave_is_in_the_answer(model: str, outcome: str) -> None:
    report = await probed(model)
    assert report.ok and report.established()["tools"] is (outcome == "yes")
    assert next(line for line in report.lines if line.check == "tools").outcome == outcome


async def test_a_wrong_key_is_a_report_not_an_exception() -> None:
    report = await probed("bad-key")
    assert not report.ok and report.lines[-1].check == "answer"
    assert "401" in report.lines[-1].detail
