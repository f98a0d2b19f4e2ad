"""The table of `/v1`: what each method gives to the bearers of keys. A route or a method without a row fails a test.

`owner` has the key that made the things, `other` a working key of somebody else, `narrow` a key of the owner that may
do nothing, `ended` one that was ended, `suspended` the owner's once they are suspended, `session` the owner's browser
without a key, `nobody` nothing at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

OWNER, OTHER, NARROW, ENDED, SUSPENDED, SESSION, NOBODY = BEARERS = (
    "owner",
    "other",
    "narrow",
    "ended",
    "suspended",
    "session",
    "nobody",
)
WORKING = frozenset({OWNER, OTHER, NARROW})
ABLE = frozenset({OWNER, OTHER})
OWN = frozenset({OWNER})


@dataclass(frozen=True, slots=True)
class ProgramRow:
    """A working key that is not let in gets `refused`, `narrow` 403 where it is not able; a key that opens nothing 401.

    A body that asks for nothing is answered by 400: whoever gets that was let in.
    """

    name: str
    method: str
    let_in: frozenset[str]
    status: int
    kwargs: Mapping[str, str] = field(default_factory=dict)
    sends_file: bool = False
    refused: int = 404

    @property
    def id(self) -> str:
        return f"{self.method} {self.name}"

    def expected(self, bearer: str) -> int:
        if bearer not in WORKING:
            return 401
        if bearer in self.let_in:
            return self.status
        return 403 if bearer == NARROW and self.name not in ("api_model", "api_unknown") else self.refused


FILE, CALL, MODEL = {"name": "file_name"}, {"name": "call_name"}, {"name": "model_name"}

PROGRAM_ROWS = (
    ProgramRow("api_models", "GET", WORKING, 200),
    ProgramRow("api_model", "GET", ABLE, 200, MODEL),
    ProgramRow("api_balance", "GET", WORKING, 200),
    ProgramRow("api_balance_deepseek", "GET", WORKING, 200),
    ProgramRow("api_chat", "GET", ABLE, 200),
    ProgramRow("api_chat", "POST", ABLE, 400),
    ProgramRow("api_stored", "GET", OWN, 200, CALL),
    ProgramRow("api_stored", "DELETE", OWN, 200, CALL),
    ProgramRow("api_completions", "POST", ABLE, 400),
    ProgramRow("api_embeddings", "POST", ABLE, 400),
    ProgramRow("api_files", "GET", ABLE, 200),
    ProgramRow("api_files", "POST", ABLE, 200, sends_file=True),
    ProgramRow("api_file", "GET", OWN, 200, FILE),
    ProgramRow("api_file", "DELETE", OWN, 200, FILE),
    ProgramRow("api_file_content", "GET", OWN, 200, FILE),
    *(ProgramRow("api_unknown", method, WORKING, 404) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
)

# By route, which methods it takes.
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    name: tuple(row.method for row in PROGRAM_ROWS if row.name == name) for name in {row.name for row in PROGRAM_ROWS}
}
