"""A side of a comparison: an engine with one model that reads and writes when it is told to, and times itself.

`RemoteSide` keeps it in a process of its own (worker.py), asks by lines of JSON, and stops the process between two
questions: whatever its threads do while they wait, they do not disturb the other side.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

ROOT = Path(__file__).resolve().parents[2]
Tokens = Sequence[int]


@dataclass(frozen=True, slots=True)
class Written:
    num_tokens: int
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        return self.num_tokens / self.seconds


class Side(Protocol):
    def about(self) -> dict[str, Any]:
        """What this is: versions, number formats, settings, memory."""

    def prefill(self, prompt: Tokens) -> float:
        """Seconds from a prompt to its first token. What it shares with an earlier prompt may come from a cache."""

    def decode(self, prompts: Sequence[Tokens], num_tokens: int) -> Written:
        """Greedy, all prompts at once, whatever end token comes; the time is that of decoding alone."""

    def perplexity(self, texts: Sequence[Tokens], rows: int) -> float:
        """Of texts of equal length, `rows` tokens of each computed together."""


class SideFailed(RuntimeError):
    pass


class RemoteSide:
    """The side that worker.py makes of these settings. Raises SideFailed when its process answers no more."""

    def __init__(self, kind: str, settings: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> None:
        self.kind = kind
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inference.bench.worker", json.dumps({"kind": kind, **settings})],
            cwd=ROOT,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def about(self) -> dict[str, Any]:
        return dict(self._ask("about"))

    def prefill(self, prompt: Tokens) -> float:
        return float(self._ask("prefill", list(prompt)))

    def decode(self, prompts: Sequence[Tokens], num_tokens: int) -> Written:
        return Written(*self._ask("decode", [list(prompt) for prompt in prompts], num_tokens))

    def perplexity(self, texts: Sequence[Tokens], rows: int) -> float:
        return float(self._ask("perplexity", [list(text) for text in texts], rows))

    def _ask(self, method: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.send_signal(signal.SIGCONT)
            self._process.stdin.write(json.dumps([method, *arguments]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SideFailed(f"{self.kind} ended with status {self._process.wait()}: {self._last_words()}")
        self._process.send_signal(signal.SIGSTOP)
        answer = json.loads(line)
        if "error" in answer:
            raise SideFailed(f"{self.kind}: {answer['error']}")
        return answer["result"]

    def _last_words(self) -> str:
        self._log.seek(0)
        return " / ".join(self._log.read().splitlines()[-3:])
