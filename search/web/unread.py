"""Why a page was not read: one of a few words that a person is told."""

from typing import Literal, get_args

from search.web.refused import Reason

Fault = (
    Reason
    | Literal[
        "robots",  # its site asks programs not to read it
        "unreachable",
        "timeout",
        "status",  # the server answered with an error; `status` is its number
        "too_many_redirects",
        "too_large",
        "media_type",  # neither HTML, plain text nor PDF
        "broken",  # cannot be unpacked, or is not what it says it is
        "scripts",  # its text is made by scripts, which are not run
        "wall",  # only a question about cookies, a sign-in or a human check was served
        "empty",
        "duplicate",  # another address of a page that was read already
    ]
)
FAULTS: tuple[str, ...] = tuple(word for part in get_args(Fault) for word in get_args(part) or (part,))


class Unread(Exception):
    """The page gives nothing."""

    def __init__(self, fault: Fault, status: int | None = None) -> None:
        super().__init__(fault if status is None else f"{fault} {status}")
        self.fault: Fault = fault
        self.status = status
