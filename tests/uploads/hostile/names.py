"""Names to upload a good file by."""

from tests.uploads.hostile.corpus import READ, Bait, hostile

NAMES = [
    "../../../../../../tmp/escaped.txt",
    "/etc/cron.d/escaped.txt",
    "..\\..\\escaped.txt",
    "nul\x00byte.txt",
    "a" * 4000 + ".txt",
    "\u202etxt.exe",
    "",
    ".",
    "$(touch escaped.txt).txt",
    "new\nline.txt",
    "half \ud800 pair.txt",
    "-o escaped.txt",
]
for _name in NAMES:
    hostile(_name, READ)(lambda bait: b"A good text under a bad name.\n")


@hostile("..", READ)
def _(bait: Bait) -> bytes:
    return b"A good text.\n"
