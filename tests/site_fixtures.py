"""The people of every story and what they own: an owner of the site, an admin, a member, an outsider.

`conversation` belongs to the member; the outsider has an account and no right to it, and nor has the site's owner.
"""

import pytest
from django.test import Client

from chatapp.accounts.models import Role, User
from chatapp.conversations.models import Conversation
from chatapp.endpoints.models import Endpoint

PASSWORD = "a plain long password"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Connections of worker threads close after each use: one kept open would stop the test database's removal."""
    from django.conf import settings

    settings.DATABASES["default"]["CONN_MAX_AGE"] = 0


@pytest.fixture(scope="session", autouse=True)
def compiled_languages() -> None:
    from chatapp.accounts.catalogues import compile_languages

    compile_languages()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> None:
    """Scrypt takes 0.3 s a password on purpose; three people a test would make minutes of it."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def make_person(name: str, role: Role = Role.MEMBER) -> User:
    return User.objects.create_user(f"{name.lower()}@example.org", PASSWORD, name=name, role=role)


@pytest.fixture
def owner(db: None) -> User:
    return make_person("Olga", Role.OWNER)


@pytest.fixture
def admin(db: None) -> User:
    return make_person("Ada", Role.ADMIN)


@pytest.fixture
def member(db: None) -> User:
    return make_person("Mario")


@pytest.fixture
def outsider(db: None) -> User:
    return make_person("Oskar")


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    return Endpoint.objects.create(
        name="Scripted", base_url="http://127.0.0.1:9/v1", model="scripted", is_default=True, context_length=4096
    )


@pytest.fixture
def conversation(member: User) -> Conversation:
    return Conversation.objects.create(owner=member, title="Tides")


def signed_in(person: User) -> Client:
    """A browser in which this person has signed in."""
    client = Client()
    client.force_login(person)
    return client
