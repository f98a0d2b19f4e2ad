"""What a caller can get wrong, with a code that clients act on and words for people in their language.

ChatError            refused: the state or the value does not allow it
  NotFound           it is not there, or the viewer may not know that it is
  Invalid            a value is not usable; names the field
  Unavailable        a service of ours is away for a moment; the same request may be sent again
"""

from typing import ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = str | Promise


class ChatError(Exception):
    """`code` is stable and for programs; `message` is translated when it is read; `status` is for JSON routes."""

    status: ClassVar[int] = 409

    def __init__(self, code: str, message: Words, *, field: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self._message = message
        self.field = field

    @property
    def message(self) -> str:
        return str(self._message)

    def to_wire(self) -> dict[str, object]:
        """The value of `error` in JSON answers."""
        wire: dict[str, object] = {"code": self.code, "message": self.message}
        return {**wire, "field": self.field} if self.field else wire


class NotFound(ChatError):
    status: ClassVar[int] = 404

    def __init__(self) -> None:
        super().__init__("not_found", _("This is not there, or not shared with you."))


class Invalid(ChatError):
    status: ClassVar[int] = 400

    def __init__(self, field: str, message: Words, code: str = "invalid") -> None:
        super().__init__(code, message, field=field)


class Unavailable(ChatError):
    status: ClassVar[int] = 503

    def __init__(self) -> None:
        super().__init__("unavailable", _("The service is not reachable right now. Please try again in a moment."))


class TooMany(ChatError):
    status: ClassVar[int] = 429

    def __init__(self, limit: int) -> None:
        super().__init__("too_many", _("At most %(limit)s at once.") % {"limit": limit})


class Internal(ChatError):
    status: ClassVar[int] = 500

    def __init__(self) -> None:
        super().__init__("internal", _("Something went wrong here. It has been noted."))
