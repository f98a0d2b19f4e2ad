"""The process of one side: reads questions as lines of JSON, answers with lines of JSON, ends with its input.

Started by side.py: python -m inference.bench.worker '{"kind": "ours", "model": DIR, ...}'
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import astuple
from typing import Any, TextIO

from inference.bench.side import Side, Written


def make_side(kind: str, settings: dict[str, Any]) -> Side:
    if kind == "ours":
        from inference.bench.ours import OurSide  # each in the process that needs it, and torch in only one

        return OurSide.from_settings(settings)
    from inference.bench.llama import LlamaSettings, LlamaSide

    return LlamaSide(LlamaSettings(**settings))


def answer(side: Side, line: str) -> dict[str, Any]:
    method, *arguments = json.loads(line)
    try:
        result = getattr(side, method)(*arguments)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"result": astuple(result) if isinstance(result, Written) else result}


def main(settings: str, answers: TextIO) -> None:
    options = json.loads(settings)
    side: Side | None = None
    for line in sys.stdin:
        side = side or make_side(options.pop("kind"), options)
        print(json.dumps(answer(side, line)), file=answers, flush=True)


if __name__ == "__main__":
    # A library that prints must not speak into the answers.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    main(sys.argv[1], channel)
