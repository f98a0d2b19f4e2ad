"""Zip files with documents in them (docx, xlsx, odt, epub): looked at before any library opens them.

A member is read by name from the archive itself, never written to a path of the archive's choosing.
"""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from lxml import etree

from uploads.document import Limits, Source, Unparsable

ENCRYPTED_FLAG = 1
OLE_SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")
# A real document has some hundreds.
MAX_MEMBERS = 100_000


def checked(source: Source) -> Path:
    """The path, once its members were found to be no bomb and readable without a password. Raises Unparsable."""
    with opened(source.path, source.limits):
        return source.path


def opened(path: Path, limits: Limits) -> ZipFile:
    _refuse_wrapped(path)
    try:
        archive = ZipFile(path)
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Unparsable("broken") from error
    members = archive.infolist()
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > limits.max_unpacked_bytes:
        raise Unparsable("bomb")
    if any(member.flag_bits & ENCRYPTED_FLAG for member in members) or _is_sealed(archive):
        raise Unparsable("encrypted")
    return archive


def read_xml(archive: ZipFile, name: str) -> etree._Element:
    """A member as XML without entities, DTDs or the network. Raises KeyError, XMLSyntaxError."""
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, recover=False)
    return etree.fromstring(archive.read(name), parser)


def _refuse_wrapped(path: Path) -> None:
    """Office puts a document with a password into a compound file, under the same name."""
    with path.open("rb") as file:
        if file.read(len(OLE_SIGNATURE)) == OLE_SIGNATURE:
            raise Unparsable("encrypted")


def _is_sealed(archive: ZipFile) -> bool:
    """OpenDocument encrypts its members one by one and says so in its manifest."""
    if "META-INF/manifest.xml" not in archive.namelist():
        return False
    return b"encryption-data" in archive.read("META-INF/manifest.xml")
