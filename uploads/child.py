"""The fenced child, a process for one file: `python -I uploads/child.py`. A Job comes on stdin, messages go to stdout.

Confines itself before it loads a parser or opens the file. Whatever happens to it is the fence's to judge; what it can
still say itself (no memory, a fault of the file, an exception) it says in one last line.
"""

import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

# -I leaves out the folder of this program and whatever PYTHONPATH says.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from uploads.confinement import confine  # noqa: E402
from uploads.document import Parser, Unparsable  # noqa: E402
from uploads.wire import NO_MEMORY, Ended, Failed, Job, Message, decode_job, encode  # noqa: E402

RESERVE_BYTES = 4 * 1024**2  # given back to say that there is no more


def main() -> None:
    job = decode_job(sys.stdin.buffer.read())
    parent = os.getppid()
    out = open_wire()
    send(out, confine(job, parent))
    reserve = [bytearray(RESERVE_BYTES)]
    try:
        for message in work_of(job):
            line = encode(message)
            if len(line) > job.line_bytes:
                raise Unparsable("too_large")
            out.write(line)
            out.flush()
        last: Message = Ended()
    except Unparsable as error:
        last = Failed(error.fault, where(error.__cause__) if error.__cause__ else "")
    except Exception as error:
        reserve.clear()
        last = Failed("memory" if lacked_memory(error) else "crashed", where(error))
    send(out, last)


def open_wire() -> BinaryIO:
    """Stdout for the wire alone: what libraries print there or read from stdin goes to and comes from nowhere."""
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return out


def send(out: BinaryIO, message: Message) -> None:
    out.write(encode(message))
    out.flush()


def work_of(job: Job) -> Iterator[Message]:
    # Late and by name: parsers, DuckDB and their libraries load inside the fence.
    if job.query:
        yield from importlib.import_module("uploads.computing.work").compute(job.source, job.query)
    else:
        yield from parser_of(job)(job.source)


def parser_of(job: Job) -> Parser:
    if job.parser:
        path, _, function = job.parser.rpartition(":")
        spec = importlib.util.spec_from_file_location("parser_under_test", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return cast(Parser, getattr(module, function))
    return cast(Parser, importlib.import_module("uploads.parsers").parser_for(job.source.media_type))


def lacked_memory(error: BaseException | None) -> bool:
    """Libraries wrap a MemoryError in their own; the cause is what counts."""
    return any(isinstance(cause, MemoryError) for cause in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def where(error: BaseException) -> str:
    """The innermost line and the exception's name: enough to find the fault, and no word of the file."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    file = re.sub(r"[^\w.-]", "", Path(frames[0].filename).name) if frames else ""
    at = f"{file}:{frames[0].lineno} " if file else ""
    return at + type(error).__name__


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        os._exit(NO_MEMORY)
