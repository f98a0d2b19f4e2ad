"""A stamp is a file that holds the hash of the inputs its step was last done with. Standard library only."""

import hashlib
from collections.abc import Callable, Iterable
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


def once(stamp: Path, inputs: Iterable[Path | str], do: Callable[[], None], products: Iterable[Path]) -> None:
    """Do a step unless its products are there and its inputs are those of the last time it succeeded."""
    wanted = digest(inputs)
    if is_current(stamp, wanted) and all(product.exists() for product in products):
        return
    stamp.unlink(missing_ok=True)
    do()
    write(stamp, wanted)


def write(stamp: Path, inputs: str) -> None:
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(inputs, encoding="utf-8")
