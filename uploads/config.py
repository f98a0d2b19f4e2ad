"""What the site tells uploads at its start, as `settings.UPLOADS`. Knows no Django and no environment."""

from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class UploadSettings:
    partial_dir: Path  # bytes of unfinished uploads; on a local disk, shared by web and workers
    max_bytes: int  # of one file
    quota_bytes: int  # of all files of a person; the same bytes count once
    max_pages: int
    parse_seconds: int
    parse_memory_bytes: int
