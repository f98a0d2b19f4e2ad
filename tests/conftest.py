"""What every test may ask for: servers (tests/services.py), people (tests/site_fixtures.py), files, the live site."""

import pytest

from ops.services import Services

pytest_plugins = ["tests.site_fixtures", "tests.file_fixtures", "tests.web_fixtures", "tests.live_site"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings_parallel_suffix(services: Services) -> None:
    """Asked for by pytest-django before it makes its test database: that is when a server must answer."""
