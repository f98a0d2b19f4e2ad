"""OLE compound files, which the old Office formats are: opened, and their faults told apart."""

from pathlib import Path

from olefile import OleFileIO

from uploads.document import Unparsable

SEALED = "EncryptedPackage"


def opened(path: Path, stream: str) -> OleFileIO:
    """The file, which has this stream. Raises Unparsable."""
    try:
        compound = OleFileIO(path)
    except OSError as error:
        raise Unparsable("broken") from error
    if compound.exists(stream):
        return compound
    is_sealed = compound.exists(SEALED)
    compound.close()
    raise Unparsable("encrypted" if is_sealed else "broken")
