"""Who asks in the tables of routes and frames, and which of them a row lets in."""

from chatapp.accounts.models import Role, User
from chatapp.conversations.models import Conversation
from tests.site_fixtures import make_person

# `owner`, `writer` and `reader` stand as that to every thing of the story; `outsider` is of the team and has no right
# on any; `keeper` (the site's owner) and `admin` look after the team, which opens nobody's chats to them. `suspended`
# owns the same things as the owner, in a browser whose session is still there; `anonymous` has none.
OWNER, WRITER, READER, OUTSIDER, KEEPER, ADMIN, SUSPENDED, ANONYMOUS = EVERYBODY = (
    "owner",
    "writer",
    "reader",
    "outsider",
    "keeper",
    "admin",
    "suspended",
    "anonymous",
)
SIGNED_IN = (OWNER, WRITER, READER, OUTSIDER, KEEPER, ADMIN)

# The first word of a row.
OWNERS = frozenset({OWNER})
WRITERS = frozenset({OWNER, WRITER})
READERS = frozenset({OWNER, WRITER, READER})
TEAM = frozenset(SIGNED_IN)
KEEPERS = frozenset({KEEPER, ADMIN})
SITE_OWNER = frozenset({KEEPER})
ANYBODY = frozenset(EVERYBODY)


def make_everybody(owner: User) -> dict[str, User]:
    return {
        OWNER: owner,
        WRITER: make_person("Wanda"),
        READER: make_person("Rita"),
        OUTSIDER: make_person("Oskar"),
        KEEPER: make_person("Olga", Role.OWNER),
        ADMIN: make_person("Ada", Role.ADMIN),
    }


def share_conversation(conversation: Conversation, people: dict[str, User]) -> None:
    conversation.grants.create(user=people[WRITER], access="write")
    conversation.grants.create(user=people[READER], access="read")
