"""Asking an LDAP directory whose password this is, by ldap3: look the person up, then bind as them.

Asked only about people who have no password here: nobody's password goes to another house unless it is from there.
"""

import logging
import ssl
from typing import Any
from urllib.parse import urlsplit

from chatapp.accounts.identities import Known
from chatapp.config import Ldap

logger = logging.getLogger(__name__)

PATIENCE_S = 5
SOURCE = "ldap"
_IDS = ("entryUUID", "objectGUID", "ipaUniqueID")  # OpenLDAP and 389, Active Directory, FreeIPA
_NAMES = ("displayName", "cn")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def find(ldap: Ldap, email: str, password: str) -> Known | None:
    """Who this is, where the password is right. None otherwise, and where the directory is out of reach."""
    from ldap3.core.exceptions import LDAPException

    if not password:  # by the standard a bind without a password succeeds, as nobody
        return None
    try:
        return _find(ldap, email, password)
    except LDAPException as error:
        logger.warning("directory not usable: %s", type(error).__name__)
        return None


def _find(ldap: Ldap, email: str, password: str) -> Known | None:
    from ldap3 import SUBTREE
    from ldap3.utils.conv import escape_filter_chars

    wanted = ldap.filter.replace("{email}", escape_filter_chars(email))
    server = _server(ldap)
    with _connect(server, ldap, ldap.bind_dn, ldap.bind_password) as connection:
        attributes = [*_IDS, *_NAMES, "mail"]  # a directory passes over those that it does not know
        connection.search(ldap.base, wanted, SUBTREE, attributes=attributes, size_limit=2, time_limit=PATIENCE_S)
        entries = [entry for entry in connection.response or [] if entry["type"] == "searchResEntry"]
    if len(entries) != 1:  # nobody, or a filter that does not tell people apart
        return None
    [entry] = entries
    if not _opens(server, ldap, entry["dn"], password):
        return None
    return _known(entry, email)


def _opens(server: Any, ldap: Ldap, dn: str, password: str) -> bool:
    from ldap3.core.exceptions import LDAPInvalidCredentialsResult

    try:
        with _connect(server, ldap, dn, password):
            return True
    except LDAPInvalidCredentialsResult:
        return False


def _connect(server: Any, ldap: Ldap, dn: str, password: str) -> Any:
    """Bound on return; raises LDAPException."""
    from ldap3 import AUTO_BIND_NO_TLS, AUTO_BIND_TLS_BEFORE_BIND, Connection

    return Connection(
        server,
        user=dn or None,
        password=password if dn else None,
        auto_bind=AUTO_BIND_TLS_BEFORE_BIND if _needs_start_tls(ldap) else AUTO_BIND_NO_TLS,
        read_only=True,
        receive_timeout=PATIENCE_S,
        raise_exceptions=True,
        auto_referrals=False,
    )


def _server(ldap: Ldap) -> Any:
    from ldap3 import NONE, Server, Tls

    tls = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=ldap.ca_file or None)
    return Server(ldap.url, get_info=NONE, connect_timeout=PATIENCE_S, tls=tls)


def _needs_start_tls(ldap: Ldap) -> bool:
    """Passwords go over a wire only when it is sealed."""
    parts = urlsplit(ldap.url)
    return parts.scheme == "ldap" and parts.hostname not in _LOOPBACK


def _known(entry: Any, email: str) -> Known:
    attributes = entry["attributes"]
    id = next((_first(attributes, name) for name in _IDS if _first(attributes, name)), entry["dn"])
    return Known(
        source=SOURCE,
        subject=id[:255],
        email=_first(attributes, "mail") or email,
        name=next((_first(attributes, name) for name in _NAMES if _first(attributes, name)), ""),
        email_is_verified=True,  # whoever keeps the directory has written it
    )


def _first(attributes: Any, name: str) -> str:
    values = attributes.get(name) or ""
    value = values[0] if isinstance(values, list) and values else values
    return value.hex() if isinstance(value, bytes) else str(value or "")
