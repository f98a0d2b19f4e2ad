"""What was computed from a spreadsheet for an answer: the query, the cells it has read, and how its result is shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from chatapp.answers.models import ENDED, Answer
from chatapp.answers.rounds import WEB_TOOLS, Wanted, understood
from chatapp.evidence.models import Evidence
from uploads.computing.answer import Area

MOST_AREAS_SHOWN = 12
ROWS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Computed:
    """Evidence.computed. Without `is_exact` the query has read no cells beside these, and perhaps fewer."""

    sql: str
    areas: tuple[Area, ...]
    is_exact: bool
    num_rows: int
    is_truncated: bool

    @classmethod
    def of(cls, evidence: Evidence) -> "Computed":
        facts: dict[str, Any] = evidence.computed or {}
        return cls(**{**facts, "areas": tuple(facts["areas"])})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Step:
    """One query as the page shows it. `evidence` None: it was refused, and `refusal` says why, or it still runs.

    `text` of a deleted file is empty, and so are `columns` and `rows`.
    """

    name: str
    sql: str
    is_running: bool = False
    refusal: str = ""
    evidence: UUID | None = None
    number: int = 0
    words: str = ""
    is_exact: bool = True
    is_truncated: bool = False
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def value(self) -> str:
        """The result in short, where it is a single value."""
        return self.rows[0][0] if len(self.rows) == 1 == len(self.columns) else ""


def steps_of(answers: Sequence[Answer]) -> dict[UUID, list[Step]]:
    """By answer id; answers that have computed nothing are left out."""
    computing = [answer for answer in answers if answer.request.get("rounds")]
    rows: dict[tuple[UUID, int], Evidence] = {
        (row.answer_id, row.number): row
        for row in Evidence.objects.filter(answer__in=computing, computed__isnull=False).select_related("excerpt")
    }
    return {answer.pk: list(_steps(answer, rows)) for answer in computing}


def _steps(answer: Answer, rows: dict[tuple[UUID, int], Evidence]) -> Sequence[Step]:
    steps = []
    rounds, files = answer.request["rounds"], answer.request.get("tables", {}).get("files", [])
    for each in rounds:
        for position, call in enumerate(each["calls"]):
            if call["name"] in WEB_TOOLS:
                continue  # a search of its own
            done = each["results"][position] if position < len(each["results"]) else None
            query = understood(call, files)
            name, sql = (query.file["name"], query.sql) if isinstance(query, Wanted) else ("", call["arguments"])
            if done is None:
                if answer.status not in ENDED:
                    steps.append(Step(name, sql, is_running=True))
            elif (row := rows.get((answer.pk, done.get("evidence", 0)))) is not None:
                steps.append(_step(row))
            else:
                steps.append(Step(name, sql, refusal=done.get("refusal", "")))
    return steps


def _step(row: Evidence) -> Step:
    computed = Computed.of(row)
    head, *lines = row.text.split("\n")
    return Step(
        name=row.name,
        sql=computed.sql,
        evidence=row.pk,
        number=row.number,
        words=cells_words(computed.areas, _("lines")),
        is_exact=computed.is_exact,
        is_truncated=computed.is_truncated or len(lines) > ROWS_SHOWN,
        columns=tuple(head.split("\t")) if row.text else (),
        rows=tuple(tuple(line.split("\t")) for line in lines[:ROWS_SHOWN]),
    )


def cells_words(areas: Sequence[Area], lines: str = "lines") -> str:
    """As a formula names them: Costs!B4:C4, B7:C7. `lines`: the word before the numbers of a text without sheets."""
    sheets: dict[str, list[str]] = {}
    for area in areas:
        if area["kind"] == "cells":
            sheets.setdefault(area["sheet"], []).append(area["range"])
        else:
            first, last = area["first"], area["last"]
            sheets.setdefault("", []).append(str(first) if first == last else f"{first}–{last}")
    return "; ".join(f"{sheet}!{_some(of)}" if sheet else f"{lines} {_some(of)}" for sheet, of in sheets.items())


def _some(ranges: Sequence[str]) -> str:
    return ", ".join(ranges[:MOST_AREAS_SHOWN]) + (", …" if len(ranges) > MOST_AREAS_SHOWN else "")


def bounding_place(areas: Sequence[Area]) -> dict[str, Any]:
    """Where the panel opens: the cells of the first sheet, all of them, or the lines from the first to the last."""
    if not areas:
        return {"kind": "cells", "sheet": "", "range": ""}
    first = areas[0]
    if first["kind"] == "lines":
        lines = [area for area in areas if area["kind"] == "lines"]
        return {"kind": "lines", "first": first["first"], "last": lines[-1]["last"]}
    ranges = [area["range"] for area in areas if area["kind"] == "cells" and area["sheet"] == first["sheet"]]
    return {"kind": "cells", "sheet": first["sheet"], "range": ",".join(ranges)}
