"""The nightly task of accounts."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from chatapp.accounts.models import SignIn, User
from chatapp.accounts.tasks import remove_expired_sessions
from tests.site_fixtures import PASSWORD


@pytest.mark.django_db
def test_expired_sessions_go_with_their_line_in_the_account_and_others_stay(member: User) -> None:
    for _number in range(2):
        Client().post("/sign-in", {"email": member.email, "password": PASSWORD})
    old, fresh = SignIn.objects.order_by("created_at")
    Session.objects.filter(pk=old.session_id).update(expire_date=timezone.now() - timedelta(seconds=1))
    remove_expired_sessions()
    remove_expired_sessions()
    assert SignIn.objects.get() == fresh
    assert Session.objects.count() == 1
