"""The pages of usage: sums that add up, and who may see whose."""

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.test import Client

from chatapp.accounts.models import Group, Role, User
from chatapp.usage.models import Quota, Spending
from tests.site_fixtures import make_person, signed_in

pytestmark = pytest.mark.django_db


def spend(person: User | None, model: str = "Deep", days_ago: int = 0, hit: int = 10, output: int = 5) -> Spending:
    return Spending.objects.create(
        kind=Spending.Kind.ANSWER,
        user=person,
        endpoint_name=model,
        model=model,
        began_at=datetime.now(UTC) - timedelta(days=days_ago),
        cache_hit_tokens=hit,
        cache_miss_tokens=20,
        output_tokens=output,
        is_estimated=False,
        cost=Decimal("0.25"),
        cost_uncached=Decimal("0.75"),
        cost_dense=Decimal("1.25"),
    )


def rows(client: Client, url: str) -> list[dict[str, str]]:
    response = client.get(url)
    assert response.status_code == 200 and response["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(StringIO(response.content.decode())))


def test_a_page_shows_ones_own_and_nobody_elses(member: User, outsider: User) -> None:
    spend(member)
    spend(member, "Other", days_ago=3)
    spend(outsider, "Secret")
    page = signed_in(member).get("/usage").content.decode()
    assert "US$ 0.5000" in page and "Other" in page and "Secret" not in page
    assert 'data-sum="saved-by-cache">US$ 1.0000' in page and 'data-sum="saved-by-sparse">US$ 2.0000' in page


def test_the_sums_of_every_grouping_are_the_same(owner: User, member: User, outsider: User) -> None:
    group = Group.objects.create(name="Pilots")
    group.members.add(member)
    for person in (member, outsider, None):
        spend(person)
        spend(person, "Other", days_ago=2)
    for by in ("day", "model", "person", "group"):
        lines = rows(signed_in(owner), f"/usage/team.csv?by={by}")
        assert sum(Decimal(line["cost_usd"]) for line in lines) == Decimal("1.5"), by
        assert sum(int(line["output_tokens"]) for line in lines) == 30, by
    assert {line["person"] for line in rows(signed_in(owner), "/usage/team.csv?by=person")} == {
        "Mario",
        "Oskar",
        "no longer here",
    }


def test_a_period_has_both_its_ends(member: User) -> None:
    today = datetime.now(UTC).date()
    for days_ago in range(5):
        spend(member, days_ago=days_ago)
    first, last = today - timedelta(days=3), today - timedelta(days=1)
    lines = rows(signed_in(member), f"/usage.csv?by=day&first={first}&last={last}")
    assert [line["day"] for line in lines] == [str(last), str(today - timedelta(days=2)), str(first)]


@pytest.mark.parametrize("query", ["first=2026-05-02&last=2026-05-01", "first=2020-01-01&last=2026-01-01", "by=x"])
def test_a_period_that_is_none_is_refused_by_name(member: User, query: str) -> None:
    response = signed_in(member).get(f"/usage?{query}", headers={"Accept": "application/json"})
    assert response.status_code == 400 and response.json()["error"]["field"] in ("first", "by")


def test_the_team_is_seen_by_those_who_look_after_it(owner: User, member: User) -> None:
    admin, guest = make_person("Ada", Role.ADMIN), make_person("Gus", Role.GUEST)
    for url in ("/usage/team", "/usage/team.csv", "/settings/quotas"):
        statuses = [signed_in(person).get(url).status_code for person in (owner, admin, member, guest)]
        assert statuses == [200, 200, 404, 404], url
    assert signed_in(member).post("/settings/quotas", {"principal": "each", "tokens_a_day": "5"}).status_code == 404
    assert not Quota.objects.exists()


def test_a_name_that_is_a_formula_is_text_in_a_spreadsheet(owner: User, member: User) -> None:
    User.objects.filter(pk=member.pk).update(name='=HYPERLINK("http://x")')
    spend(member)
    [line] = rows(signed_in(owner), "/usage/team.csv?by=person")
    assert line["person"].startswith("'=")


def test_quotas_are_set_changed_and_ended(owner: User, member: User) -> None:
    client, url = signed_in(owner), "/settings/quotas"
    assert client.post(url, {"principal": f"person:{member.pk}", "tokens_a_day": "5"}).status_code == 302
    assert client.post(url, {"principal": f"person:{member.pk}", "money_a_month": "1.5"}).status_code == 302
    quota = Quota.objects.get()
    assert (quota.user, quota.tokens_a_day, quota.money_a_month) == (member, None, Decimal("1.5"))
    assert "Mario" in client.get(url).content.decode()
    assert client.post(url, {"principal": f"person:{member.pk}"}).status_code == 302
    assert not Quota.objects.exists()


@pytest.mark.parametrize("fields", [{"principal": "each", "tokens_a_day": "-1"}, {"principal": "person:x"}])
def test_a_wrong_quota_is_refused(owner: User, fields: dict[str, str]) -> None:
    assert signed_in(owner).post("/settings/quotas", fields).status_code == 422
    assert not Quota.objects.exists()
