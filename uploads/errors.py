"""Why an upload, or a step of one, is refused. Codes and figures only: chatapp has the words."""

from typing import Literal

Refusal = Literal[
    "empty",
    "name",
    "too_large",
    "too_many",
    "quota",
    "no_space",  # the disk is full
    "unsupported",  # the content is of no type that we read
    "offset",  # the next byte is another one; `offset` says which
    "checksum",
    "busy",  # another request is writing to this upload
    "ended",  # it takes no more bytes: whole, refused, cancelled or removed
    "not_retriable",
]


class Refused(Exception):
    def __init__(self, code: Refusal, **params: int) -> None:
        super().__init__(code)
        self.code: Refusal = code
        self.params = params
