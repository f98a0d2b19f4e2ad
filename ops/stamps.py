"""A stamp is a file that holds the hash of the inputs its step was last done with. Standard library only."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest(inputs: Iterable[Path | str]) -> str:
    """One hash of texts and of the names and contents of files; a file that is missing counts as such."""
    total = hashlib.sha256()
    for each in inputs:
        if isinstance(each, Path):
            content = each.read_bytes() if each.is_file() else b"missing"
            total.update(each.name.encode() + b"\0" + hashlib.sha256(content).digest())
        else:
            total.update(each.encode() + b"\0")
    return total.hexdigest()


def is_current(stamp: Path, inputs: str) -> bool:
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == inputs


def write(stamp: Path, inputs: str) -> None:
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(inputs, encoding="utf-8")
