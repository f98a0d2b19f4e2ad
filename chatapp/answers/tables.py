"""Spreadsheets of an answer that the model may ask by SQL: which they are, how they are offered, what a query gave.

The queries themselves are run by a worker (uploads.computations).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from chatapp.answers.claims import Claim, held_by
from chatapp.answers.gathering import closed_among, holding
from chatapp.answers.given import READABLE, given_above
from chatapp.answers.models import Answer
from chatapp.answers.rounds import CallResult, FileOffered, Round, TablesOffered, Wanted
from chatapp.context.counting import Counter
from chatapp.context.tables import (
    QUERY_TABLE,
    Detail,
    TableFile,
    as_text,
    description,
    detail_for,
    parameters,
    told,
)
from chatapp.endpoints.dialects import Tool
from chatapp.endpoints.models import Endpoint
from chatapp.evidence.computed import Computed, bounding_place, cells_words
from chatapp.evidence.models import Evidence
from chatapp.evidence.services import Draft, add
from uploads.computations import known_tables
from uploads.computing.answer import SPREADSHEETS, Refusal, Result, Tables
from uploads.computing.codec import Answer as Outcome

MOST_FILES = 5  # the last ones: those of the questions, the newest at the end
DESCRIPTION_SHARE, MOST_DESCRIPTION_TOKENS = 8, 3_000  # an eighth of the context
RESULT_SHARE, MOST_RESULT_TOKENS = 20, 3_000  # each of five results a twentieth


@dataclass(frozen=True, slots=True)
class Spreadsheet:
    upload_id: UUID
    reading_id: UUID
    sha256: str
    name: str


@dataclass(frozen=True, slots=True)
class Described:
    """A spreadsheet whose tables are known."""

    file: Spreadsheet
    tables: Tables


def spreadsheets_of(answer: Answer, endpoint: Endpoint) -> list[Spreadsheet]:
    """None where the model calls no tools. Two files of one name are told apart by a number."""
    if not endpoint.tools:
        return []
    found: dict[str, Spreadsheet] = {}
    given = given_above(answer.message, answer.asked_by_id)
    for upload in (*given.collected, *given.uploads):
        reading, blob = upload.reading, upload.blob
        if reading is None or blob is None or reading.state not in READABLE or reading.media_type not in SPREADSHEETS:
            continue
        name, number = upload.name, 2
        while name in found:
            name, number = f"{upload.name} ({number})", number + 1
        found[name] = Spreadsheet(upload.pk, reading.pk, blob.sha256, name)
    return list(found.values())[-MOST_FILES:]


def offered(described: Sequence[Described], endpoint: Endpoint, counter: Counter) -> TablesOffered:
    room = min(MOST_DESCRIPTION_TOKENS, endpoint.context_length // DESCRIPTION_SHARE)
    detail = detail_for([TableFile(each.file.name, each.tables) for each in described], room, counter)
    return TablesOffered(
        files=[
            FileOffered(
                upload=str(each.file.upload_id),
                reading=str(each.file.reading_id),
                sha256=each.file.sha256,
                name=each.file.name,
            )
            for each in described
        ],
        detail=[detail.level, detail.num_lines],
        result_tokens=min(MOST_RESULT_TOKENS, endpoint.context_length // RESULT_SHARE),
    )


def still_offered(tables: TablesOffered, answer: Answer) -> TablesOffered:
    """What another attempt was offered, without the files that this one's asker may not read."""
    ids = {UUID(file["upload"]) for file in tables["files"]}
    closed = closed_among(ids, answer.asked_by_id)
    files = [file for file in tables["files"] if UUID(file["upload"]) not in closed]
    return TablesOffered(files=files, detail=tables["detail"], result_tokens=tables["result_tokens"])


def tool_of(tables: TablesOffered) -> Tool:
    """Of a deleted file no more than its name is known."""
    known = [(file["name"], known_tables(UUID(file["reading"]))) for file in tables["files"]]
    files = [TableFile(name, found or Tables(())) for name, found in known]
    level, num_lines = tables["detail"]
    return Tool(QUERY_TABLE, description(files, Detail(level, num_lines)), parameters([file.name for file in files]))


def room_for_tables(tables: TablesOffered, counter: Counter) -> int:
    """Tokens that the offer takes, and three results: more of them are long only in theory."""
    return counter.count(tool_of(tables).description) + 3 * tables["result_tokens"]


def store_result(claim: Claim, request: Mapping[str, Any], query: Wanted | None, outcome: Outcome) -> list[Round]:
    """Keeps what a call gave, with its evidence, in one step. Raises FencedOut where the claim holds no more.

    `request` is the answer's; returned are its rounds, with the result at the end of the last.
    """
    with holding(claim):
        result: CallResult
        if query is None or not isinstance(outcome, Result):
            result = {"refusal": outcome.words if isinstance(outcome, Refusal) else "There is no answer."}
        else:
            result = {"evidence": add(claim.answer_id, _draft(query, outcome), _computed(query, outcome).to_json())}
        *before, last = request["rounds"]
        last = cast(Round, {**last, "results": [*last["results"], result]})
        rounds = [*before, last]
        Answer.objects.filter(held_by(claim)).update(request={**request, "rounds": rounds})
    return rounds


def words_of_results(answer_id: UUID, tables: TablesOffered, counter: Counter) -> dict[int, str]:
    """What was computed for an answer, as the model reads it. A deleted file has taken its results with it."""
    rows = Evidence.objects.filter(answer=answer_id, computed__isnull=False).select_related("excerpt")
    words = {}
    for row in rows:
        computed = Computed.of(row)
        cells = f"from {cells_words(computed.areas)}" if computed.areas else ""
        words[row.number] = told(row.number, row.text, cells, computed.is_truncated, tables["result_tokens"], counter)
    return words


def _draft(query: Wanted, result: Result) -> Draft:
    file = query.file
    return Draft(
        upload_id=UUID(file["upload"]),
        source_id=UUID(file["reading"]),
        source_sha256=file["sha256"],
        name=file["name"],
        headings=(),
        place=bounding_place(result.cells.areas),
        text=as_text(result),
        score=None,
    )


def _computed(query: Wanted, result: Result) -> Computed:
    cells = result.cells
    return Computed(query.sql, cells.areas, cells.is_exact, cells.num_rows, result.is_truncated)
