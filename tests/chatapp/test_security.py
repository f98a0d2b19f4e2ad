"""The outer guards: origins, the content policy, and whose a session is."""

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from chatapp.accounts.models import User
from chatapp.security import is_own_origin, signed_in_user
from tests.site_fixtures import signed_in


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://127.0.0.1:8300", "127.0.0.1:8300", True),
        ("http://localhost:8300", "localhost:8300", True),
        ("http://localhost", "localhost", True),
        ("http://localhost:80", "localhost", True),
        ("https://localhost", "localhost:443", True),
        ("https://localhost", "localhost", True),  # behind a proxy that ends TLS
        ("http://[::1]:8300", "[::1]:8300", True),
        ("http://LOCALHOST:8300", "localhost:8300", True),
        ("https://team.example", "127.0.0.1:8300", True),  # one of SONDE_ORIGINS
        ("http://team.example", "127.0.0.1:8300", False),
        ("http://127.0.0.1:8301", "127.0.0.1:8300", False),
        ("http://127.0.0.1:8300.evil.example", "127.0.0.1:8300", False),
        ("http://user@127.0.0.1:8300", "127.0.0.1:8300", False),
        ("http://evil.example", "127.0.0.1:8300", False),
        ("http://evil.example:8300", "evil.example:8300", False),  # a foreign name that was pointed at this machine
        ("ftp://127.0.0.1:8300", "127.0.0.1:8300", False),
        ("null", "127.0.0.1:8300", False),
        ("", "127.0.0.1:8300", False),
        ("http://127.0.0.1:8300", "", False),
        ("http://[::1", "[::1]:8300", False),
    ],
)
def test_origin_must_be_ours(settings: Any, origin: str, host: str, own: bool) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://team.example"]
    assert is_own_origin(origin, host) == own


@pytest.mark.django_db
def test_every_page_carries_the_policy() -> None:
    policy = Client().get("/sign-in").headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy.split("script-src")[1].split(";")[0]
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy


@pytest.mark.django_db
def test_only_the_worker_of_pdfs_may_compile_webassembly() -> None:
    def policy_of(path: str) -> str:
        response = Client().get(path)
        assert response.status_code == 200, path
        return str(response.headers["Content-Security-Policy"])

    assert "'wasm-unsafe-eval'" in policy_of("/static/vendor/pdf.worker.js")
    assert "unsafe" not in policy_of("/static/vendor/pdf.js")
    assert "unsafe" not in policy_of("/sign-in")


@pytest.mark.django_db
def test_session_is_its_persons_until_it_ends(member: User) -> None:
    key = signed_in(member).cookies["sessionid"].value
    assert signed_in_user(key) == member
    assert signed_in_user(None) is None
    assert signed_in_user("no such session") is None
    User.objects.update(is_active=False)
    assert signed_in_user(key) is None
    User.objects.update(is_active=True)
    assert signed_in_user(key) == member
    Session.objects.all().delete()
    assert signed_in_user(key) is None
