"""Which language a page speaks: the person's, else what they chose at the door, else the browser's."""

import pytest
from django.test import Client

from chatapp.accounts.models import User
from tests.site_fixtures import signed_in

pytestmark = pytest.mark.django_db
WORDS = {"en": "Sign in", "de": "Anmelden", "zh-hans": "登录"}
ACCOUNT = {"en": "Change password", "de": "Passwort ändern", "zh-hans": "修改密码"}


def browser(language: str) -> dict[str, str]:
    return {"accept-language": language, "accept": "text/html"}


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("zh-CN,zh;q=0.9", "zh-hans"),
        ("zh-SG", "zh-hans"),
        ("fr", "en"),
        ("", "en"),
    ],
)
def test_sign_in_speaks_the_browsers_language(said: str, language: str) -> None:
    response = Client().get("/sign-in", headers=browser(said))
    assert WORDS[language] in response.content.decode()
    assert f'lang="{language}"' in response.content.decode()
    assert response.headers["Content-Language"] == language
    assert {"Accept-Language", "Cookie"} <= {name.strip() for name in response.headers["Vary"].split(",")}


def test_language_can_be_chosen_at_the_door_and_given_back() -> None:
    client = Client()
    response = client.post("/preferences", {"language": "zh-hans", "next": "/sign-in"}, headers=browser("de"))
    assert response.headers["Location"] == "/sign-in"
    assert WORDS["zh-hans"] in client.get("/sign-in", headers=browser("de")).content.decode()
    client.post("/preferences", {"language": ""}, headers=browser("de"))
    assert WORDS["de"] in client.get("/sign-in", headers=browser("de")).content.decode()


def test_persons_language_wins_over_browser_and_cookie(member: User) -> None:
    client = signed_in(member)
    assert ACCOUNT["de"] in client.get("/account", headers=browser("de")).content.decode()
    User.objects.filter(pk=member.pk).update(language="zh-hans")
    response = client.get("/account", headers=browser("de"))
    assert ACCOUNT["zh-hans"] in response.content.decode()
    assert response.headers["Content-Language"] == "zh-hans"


def test_profile_changes_name_language_and_theme(member: User) -> None:
    client = signed_in(member)
    fields = {"name": "Mario Rossi", "language": "de", "theme": "dark"}
    page = client.post("/account/profile", fields, headers=browser("en"), follow=True).content.decode()
    assert "Gespeichert." in page, "already in the new language"
    assert 'data-theme="dark"' in page
    member.refresh_from_db()
    assert (member.name, member.language, member.theme) == ("Mario Rossi", "de", "dark")


@pytest.mark.parametrize("wrong", [{"language": "xx"}, {"theme": "pink"}, {"name": ""}, {"name": "x" * 101}])
def test_refused_profile_changes_nothing(member: User, wrong: dict[str, str]) -> None:
    fields = {"name": "New", "language": "de", "theme": "dark"} | wrong
    assert signed_in(member).post("/account/profile", fields).status_code == 422
    member.refresh_from_db()
    assert (member.name, member.language) == ("Mario", "")


@pytest.mark.parametrize("as_json", [True, False])
def test_preferences_change_only_what_was_sent(member: User, as_json: bool) -> None:
    client = signed_in(member)
    for fields in ({"theme": "dark"}, {"thinking": True}, {"search": True}, {"thinking": False}):
        kind = {"content_type": "application/json"} if as_json else {}
        assert client.post("/preferences", fields, **kind).json() == {"ok": True}
    member.refresh_from_db()
    assert (member.theme, member.wants_thinking, member.wants_search, member.language) == ("dark", False, True, "")


@pytest.mark.parametrize(
    ("body", "field"),
    [('{"theme": "pink"}', "theme"), ("[1]", "body"), ("{", "body"), ('{"language": "xx"}', "language")],
)
def test_refused_preference_names_its_field(member: User, body: str, field: str) -> None:
    response = signed_in(member).post("/preferences", body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["error"]["field"] == field


def test_stranger_chooses_a_language_and_nothing_else() -> None:
    client = Client()
    client.post("/preferences", {"theme": "dark", "language": "de"})
    assert WORDS["de"] in client.get("/sign-in").content.decode()


def test_javascript_strings_of_an_unknown_language_are_not_there() -> None:
    assert Client().get("/i18n/de.json").json()["Undo"] == "Rückgängig"
    assert Client().get("/i18n/en.json").json() == {}
    assert Client().get("/i18n/..%2f..%2fde.json").status_code == 404


def test_refusals_speak_the_persons_language(member: User) -> None:
    User.objects.filter(pk=member.pk).update(language="de")
    url = "/c/00000000-0000-4000-8000-000000000000"
    error = signed_in(member).get(url).json()["error"]
    assert error["message"] == "Das gibt es nicht, oder es ist nicht mit dir geteilt."
    page = signed_in(member).get(url, headers=browser("en"))
    assert page.status_code == 404
    assert "Nicht gefunden" in page.content.decode()
    assert "Nicht gefunden" in signed_in(member).get("/no-such-page", headers=browser("en")).content.decode()
