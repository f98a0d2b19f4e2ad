"""Zip files with documents in them (docx, xlsx, odt, epub): looked at before any library opens them.

A member is read by name from the archive itself, never written to a path of the archive's choosing.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from zipfile import BadZipFile, ZipFile

from lxml import etree

from uploads.document import Limits, Source, Unparsable

ENCRYPTED_FLAG = 1
OLE_SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")
# A real document has some hundreds.
MAX_MEMBERS = 100_000
CONTENT_TYPES = "[Content_Types].xml"

# What a document with macros, a template or a slide show calls its main part -> what the libraries take.
_VARIANTS = {
    re.compile(
        rb"application/vnd\.(ms-word\.(document\.macroEnabled|template\.macroEnabledTemplate)"
        rb"|openxmlformats-officedocument\.wordprocessingml\.template)\.main\+xml"
    ): b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
    re.compile(
        rb"application/vnd\.(ms-powerpoint\.(presentation|slideshow|template)\.macroEnabled"
        rb"|openxmlformats-officedocument\.presentationml\.(slideshow|template))\.main\+xml"
    ): b"application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml",
}


def checked(source: Source) -> Path:
    """The path, once its members were found to be no bomb and readable without a password. Raises Unparsable."""
    with opened(source.path, source.limits):
        return source.path


@contextmanager
def plain(source: Source) -> Iterator[Path]:
    """As `checked`; of a document with macros, a template or a slide show, a copy under a plain document's type.

    The libraries refuse the others by their type alone. Macros stay parts that nobody opens.
    """
    with opened(source.path, source.limits) as archive:
        types = archive.read(CONTENT_TYPES) if CONTENT_TYPES in archive.namelist() else b""
        plainer = types
        for variant, known in _VARIANTS.items():
            plainer = variant.sub(known, plainer)
        if plainer == types:
            yield source.path
            return
        with NamedTemporaryFile() as file:
            with ZipFile(file, "w") as copy:
                for name in dict.fromkeys(archive.namelist()):
                    copy.writestr(name, plainer if name == CONTENT_TYPES else archive.read(name))
            file.flush()
            yield Path(file.name)


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
