"""A quota refuses before, warns near its end, and stops an answer in the middle."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from chatapp.accounts.models import Group, User
from chatapp.answers.models import Status
from chatapp.endpoints.models import Endpoint
from chatapp.errors import ChatError
from chatapp.threads import in_thread
from chatapp.usage.models import Quota, Spending
from chatapp.usage.quotas import check_quota, limits_for
from tests.chatapp.answers.stories import ask, check_story, ended, play, running
from tests.scripted_endpoint import TEXT, ScriptedEndpoint

pytestmark = pytest.mark.django_db(transaction=True)


def spend(person: User, tokens: int = 0, money: str = "0", at: datetime | None = None) -> None:
    Spending.objects.create(
        kind=Spending.Kind.ANSWER,
        user=person,
        endpoint_name="x",
        model="x",
        output_tokens=tokens,
        cost=Decimal(money),
        began_at=at or datetime.now(UTC),
    )


def refused(person: User) -> str:
    with pytest.raises(ChatError) as error:
        check_quota(person)
    assert error.value.code == "quota"
    return error.value.message


def test_used_up_tokens_refuse_until_the_day_is_over(member: User) -> None:
    Quota.objects.create(user=member, tokens_a_day=100)
    spend(member, 99)
    check_quota(member)
    spend(member, 1)
    assert "day" in refused(member)
    Spending.objects.update(began_at=datetime.now(UTC) - timedelta(days=1))
    check_quota(member)


def test_used_up_money_refuses_until_the_month_is_over(member: User) -> None:
    Quota.objects.create(user=member, money_a_month=Decimal("0.5"))
    spend(member, money="0.4999999999")
    check_quota(member)
    spend(member, money="0.0000000001")
    assert "month" in refused(member)


def test_each_person_has_the_common_quota_unless_they_have_their_own(member: User, outsider: User) -> None:
    Quota.objects.create(everyone=True, tokens_a_day=10)
    Quota.objects.create(user=member, tokens_a_day=1000)
    spend(member, 500)
    check_quota(member)
    check_quota(outsider)
    spend(outsider, 10)
    refused(outsider)


def test_a_group_shares_its_quota(member: User, outsider: User) -> None:
    group = Group.objects.create(name="Pilots")
    group.members.add(member, outsider)
    Quota.objects.create(group=group, tokens_a_day=100)
    spend(outsider, 100)
    assert "Pilots" in refused(member)


def test_limits_are_told_the_fullest_first(member: User) -> None:
    Quota.objects.create(user=member, tokens_a_day=1000, tokens_a_month=100, money_a_day=Decimal(1))
    spend(member, 50, "0.1")
    assert [(limit.span, limit.percent) for limit in limits_for(member.pk)] == [("month", 50), ("day", 10), ("day", 5)]


async def test_a_question_beyond_the_quota_is_not_taken(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain")
    await in_thread(Quota.objects.create, user=member, tokens_a_day=0)
    with pytest.raises(ChatError, match="quota"):
        await ask(member)
    assert not scripted.requests


async def test_an_answer_is_stopped_in_the_middle_and_says_so(
    member: User, endpoint: Endpoint, scripted: ScriptedEndpoint
) -> None:
    await play(endpoint, scripted, "plain+obeys", characters_per_token=3.0)
    await in_thread(Quota.objects.create, everyone=True, tokens_a_day=90)
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    assert (answer.status, answer.error_code) == (Status.FAILED, "quota")
    assert 0 < scripted.requests[0]["max_tokens"] < 40
    assert answer.message.text and TEXT.startswith(answer.message.text) and answer.message.text != TEXT
    reader = await check_story(accepted)
    assert reader.text == answer.message.text


async def test_money_left_is_so_many_tokens(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "plain+obeys", price_output=Decimal("100"))
    await in_thread(Quota.objects.create, user=member, money_a_day=Decimal("0.0007"))
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    assert scripted.requests[0]["max_tokens"] == 7 and answer.error_code == "quota"


async def test_near_the_end_people_are_told(member: User, endpoint: Endpoint, scripted: ScriptedEndpoint) -> None:
    await play(endpoint, scripted, "plain")
    await in_thread(Quota.objects.create, user=member, tokens_a_day=10_000)
    await in_thread(spend, member, 8_500)
    async with running():
        accepted = await ask(member)
        answer = await ended(accepted.answer_id)
    assert answer.status == Status.FINISHED
    assert {"code": "quota_near", "params": {"percent": 85}} in answer.notices
