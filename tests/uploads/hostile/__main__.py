import sys
from pathlib import Path

from tests.uploads.hostile import CORPUS, Bait

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for number, file in enumerate(CORPUS.values(), 1):
    content = file.make(Bait("http://127.0.0.1:9/bait", Path("/etc/hostname")))
    # Some names cannot be written, which is their point.
    written = folder / f"{number:03}-{''.join(c if c.isalnum() or c in '.-_' else '_' for c in file.name)[-60:]}"
    written.write_bytes(content)
    print(f"{written.name:70} {len(content):10}  {' '.join(sorted(file.ends))}")
