"""How refusals and failures leave the site: one JSON shape for JavaScript, a page with a way on for people."""

import logging

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path

from chatapp.accounts.models import User
from chatapp.errors import ChatError, NotFound
from chatapp.http import wants_page
from tests.site_fixtures import signed_in

PAGE = {"accept": "text/html"}


def failing(error: Exception) -> object:
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    view.login_required = False  # type: ignore[attr-defined]
    return view


handler500 = "chatapp.http.server_error"
urlpatterns = [
    path("missing", failing(NotFound())),
    path("refused", failing(ChatError("busy", "It is being answered already."))),
    path("broken", failing(ImproperlyConfigured("secret detail"))),
    path("away", failing(OperationalError("secret detail"))),
    path("", include("chatapp.urls")),
]


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    ("route", "status", "code"),
    [
        ("missing", 404, "not_found"),
        ("refused", 409, "busy"),
        ("broken", 500, "internal"),
        ("away", 503, "unavailable"),
    ],
)
@override_settings(ROOT_URLCONF=__name__)
def test_javascript_gets_code_and_words_and_people_a_page(
    client: Client, route: str, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    answer = client.get(f"/{route}")
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    page = client.get(f"/{route}", headers=PAGE)
    assert page.status_code == status
    assert answer.json()["error"]["message"] in page.content.decode()
    assert 'href="/"' in page.content.decode()
    assert "secret" not in page.content.decode() + answer.content.decode()


@pytest.mark.django_db
def test_database_that_is_gone_is_said_to_be_away(member: User) -> None:
    client = signed_in(member)
    client.raise_request_exception = False
    assert client.get("/account").status_code == 200

    def refuse(*args: object, **kwargs: object) -> None:
        raise OperationalError("gone") from psycopg.OperationalError("gone")

    with connection.execute_wrapper(refuse):
        assert client.get("/account").json()["error"]["code"] == "unavailable"
        assert client.get("/account", headers=PAGE).status_code == 503
    assert client.get("/account").status_code == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"accept": "text/html,application/xhtml+xml"}, True),
        ({"accept": "*/*"}, False),
        ({"accept": "application/json"}, False),
        ({}, False),
        ({"accept": "text/html", "sec-fetch-mode": "cors"}, False),
        ({"accept": "*/*", "sec-fetch-mode": "navigate"}, True),
    ],
)
def test_a_page_is_wanted_by_who_navigates(headers: dict[str, str], expected: bool) -> None:
    assert wants_page(RequestFactory().get("/", headers=headers)) is expected
