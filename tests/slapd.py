"""A real OpenLDAP server on a loopback port, started without rights of its own; ends with the block."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ldap3 import NONE, Connection, Server

from ops.environment import free_ports

PROGRAM = Path("/usr/sbin/slapd")
BASE, ROOT, ROOT_PASSWORD = "dc=example,dc=org", "cn=root,dc=example,dc=org", "root password"
READY_S = 15.0

CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
disallow bind_anon
database mdb
suffix "{base}"
rootdn "{root}"
rootpw "{root_password}"
directory {folder}/data
"""


class Directory:
    def __init__(self, folder: Path, plain_port: int, tls_port: int) -> None:
        self.url, self.tls_url = f"ldap://127.0.0.1:{plain_port}", f"ldaps://127.0.0.1:{tls_port}"
        self.ca_file = str(folder / "ca.pem")

    def add(self, dn: str, **attributes: str | list[str]) -> None:
        with Connection(Server(self.url, get_info=NONE), ROOT, ROOT_PASSWORD, auto_bind=True) as connection:
            assert connection.add(f"{dn},{BASE}".lstrip(","), attributes=attributes), connection.result

    def add_person(self, uid: str, email: str, password: str, name: str) -> None:
        names = {"cn": uid, "sn": name.split()[-1], "displayName": name}
        self.add(f"uid={uid},ou=people", objectClass="inetOrgPerson", mail=email, userPassword=password, **names)

    def delete(self, dn: str) -> None:
        with Connection(Server(self.url, get_info=NONE), ROOT, ROOT_PASSWORD, auto_bind=True) as connection:
            connection.delete(f"{dn},{BASE}")


@contextmanager
def running_slapd(folder: Path) -> Iterator[Directory]:
    (folder / "data").mkdir()
    make_certificates(folder)
    config = folder / "slapd.conf"
    config.write_text(CONFIG.format(folder=folder, base=BASE, root=ROOT, root_password=ROOT_PASSWORD))
    directory = Directory(folder, *free_ports(2))
    urls = f"{directory.url}/ {directory.tls_url}/"
    with open(folder / "log", "wb") as log:
        argv = [str(PROGRAM), "-d", "0", "-f", str(config), "-h", urls]
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        _wait(process, directory, folder)
        yield directory
    finally:
        process.terminate()
        process.wait(10)


def make_certificates(folder: Path) -> None:
    """A certificate for 127.0.0.1 and the authority that has signed it."""
    authority, authority_key = _certificate("Test authority", None, None)
    certificate, key = _certificate("127.0.0.1", authority, authority_key)
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))


def _certificate(
    name: str, issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))])
        builder = builder.add_extension(address, critical=False)
    return builder.sign(issuer_key or key, hashes.SHA256()), key


def _wait(process: subprocess.Popen[bytes], directory: Directory, folder: Path) -> None:
    until = time.monotonic() + READY_S
    while True:
        try:
            Connection(Server(directory.url, get_info=NONE), ROOT, ROOT_PASSWORD, auto_bind=True).unbind()
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError((folder / "log").read_text()) from error
            time.sleep(0.1)
