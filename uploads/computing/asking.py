"""The door to computing: a file and one SELECT go in, a table of values and their cells come out. Knows no Django.

Everything runs in a fenced child, so that no query and no file can do more than end in a Refusal.
"""

from collections.abc import Callable

from uploads.computing.answer import Bounds, Query, Refusal, Result, Tables
from uploads.computing.codec import Answer, decode_answer, encode_query
from uploads.document import Fault, Source, Unparsable
from uploads.fence import FenceLimits, compute_file, never
from uploads.wire import WireError

BOUNDS = Bounds()
FENCE = FenceLimits(
    seconds=60.0,
    cpu_seconds=60,
    memory_bytes=1536 * 1024**2,  # DuckDB's half gigabyte, as much for the sheet, and the libraries
    file_bytes=1024**3,
    processes=16,
    line_bytes=4 * 1024**2,
    output_bytes=8 * 1024**2,
)
# Of what the child itself could not say.
WORDS: dict[Fault, str] = {
    "timeout": "The query took too long. Ask for less: aggregate, filter, join fewer rows.",
    "memory": "This needs too much memory. Ask for less: aggregate or filter first.",
    "crashed": "The query could not be run. Try a simpler one.",
    "encrypted": "The file is protected by a password.",
}
UNREADABLE = "The file cannot be read as tables."


def read_tables(
    source: Source,
    bounds: Bounds = BOUNDS,
    fence: FenceLimits = FENCE,
    is_cancelled: Callable[[], bool] = never,
) -> Tables | Refusal:
    """What a query may name. Raises ReadingCancelled."""
    answer = _ask(source, Query(None, bounds), fence, is_cancelled)
    return answer if isinstance(answer, Tables) else _refusal(answer)


def run_query(
    source: Source,
    sql: str,
    bounds: Bounds = BOUNDS,
    fence: FenceLimits = FENCE,
    is_cancelled: Callable[[], bool] = never,
) -> Result | Refusal:
    """Raises ReadingCancelled."""
    answer = _ask(source, Query(sql, bounds), fence, is_cancelled)
    return answer if isinstance(answer, Result) else _refusal(answer)


def _ask(source: Source, query: Query, fence: FenceLimits, is_cancelled: Callable[[], bool]) -> Answer:
    try:
        return decode_answer(compute_file(source, encode_query(query), fence, is_cancelled=is_cancelled))
    except WireError:
        return Refusal("unreadable", WORDS["crashed"])
    except Unparsable as error:
        match error.fault:
            case "timeout" | "memory" as fault:
                return Refusal(fault, WORDS[fault])
            case fault:
                return Refusal("unreadable", WORDS.get(fault, UNREADABLE))


def _refusal(answer: Answer) -> Refusal:
    """A child that answers another question than it was asked is broken."""
    return answer if isinstance(answer, Refusal) else Refusal("unreadable", WORDS["crashed"])
