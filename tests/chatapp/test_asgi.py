"""The web process as a whole: many requests at once leave no database connection behind."""

import threading
from http.client import HTTPConnection

import pytest
from django.conf import settings
from django.db import connection, connections

from chatapp.accounts.models import User
from tests.live_site import LiveSite
from tests.site_fixtures import signed_in


@pytest.mark.django_db(transaction=True)
def test_requests_leave_no_connection_to_the_database(member: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)  # as in the site; tests have 0
    cookie = f"{settings.SESSION_COOKIE_NAME}={signed_in(member).cookies[settings.SESSION_COOKIE_NAME].value}"
    statuses: list[int] = []

    def browse() -> None:
        browser = HTTPConnection(site.host)
        for _number in range(5):
            browser.request("GET", "/account", headers={"Cookie": cookie})
            response = browser.getresponse()
            response.read()
            statuses.append(response.status)
        browser.close()

    before = num_connections()
    with LiveSite() as site:
        threads = [threading.Thread(target=browse) for _number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 40
        assert num_connections() <= before + 1


def num_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
