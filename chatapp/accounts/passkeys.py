"""Passkeys: WebAuthn by fido2. They sign in by themselves: the device has asked for a finger, a face or a PIN.

Bound to the host name that the site is opened by; a bare address has none. The challenge waits in the session.
"""

import logging
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.http.request import split_domain_port
from django.utils.translation import gettext_lazy as _
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from chatapp.accounts.models import Passkey, User
from chatapp.errors import ChatError, Invalid
from chatapp.security import is_own_origin

logger = logging.getLogger(__name__)

MOST = 20  # passkeys of a person
MAX_NAME = 100  # characters, the column's width
_ADDING, _ENTERING = "passkey_adding", "passkey_entering"  # in the session
_WRONG = (ValueError, TypeError, KeyError, AttributeError)  # what fido2 says of a response that is not one


class PasskeyRefused(ChatError):
    def __init__(self) -> None:
        super().__init__("passkey_refused", _("The passkey was not accepted. Please try again."))


def host_of(request: HttpRequest) -> str:
    """The name that passkeys are bound to; empty where the site was opened by an address: those have no passkeys."""
    host = split_domain_port(request.get_host())[0]
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return host
    return ""


def begin_adding(request: HttpRequest, user: User) -> dict[str, Any]:
    """What navigator.credentials.create is given. Raises ChatError."""
    if user.passkeys.count() >= MOST:
        raise Invalid("name", _("You have %(limit)s passkeys: delete one first.") % {"limit": MOST}, code="too_many")
    entity = PublicKeyCredentialUserEntity(id=user.pk.bytes, name=user.email, display_name=user.name)
    options, state = _server(request).register_begin(
        entity,
        credentials=[_data(passkey) for passkey in user.passkeys.all()],
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    request.session[_ADDING] = state
    return dict(options)


def add(request: HttpRequest, user: User, name: str, credential: Mapping[str, Any]) -> Passkey:
    """Raises PasskeyRefused."""
    try:
        made = _server(request).register_complete(_challenge(request, _ADDING), credential)
    except _WRONG as error:
        raise PasskeyRefused from error
    data = made.credential_data
    assert data is not None, "register_complete has looked"
    try:
        with transaction.atomic():
            passkey = Passkey.objects.create(
                user=user,
                name=" ".join(name.replace("\0", "").split())[:MAX_NAME],
                credential_id=data.credential_id,
                public_data=bytes(data),
                sign_count=made.counter,
            )
    except IntegrityError as error:  # somebody has it already
        raise PasskeyRefused from error
    logger.info("passkey %s added person=%s", passkey.pk, user.pk)
    return passkey


def begin_entering(request: HttpRequest) -> dict[str, Any]:
    """What navigator.credentials.get is given: the device knows whose passkeys it has, we ask for nobody's."""
    options, state = _server(request).authenticate_begin(user_verification=UserVerificationRequirement.REQUIRED)
    request.session[_ENTERING] = state
    return dict(options)


def whose(request: HttpRequest, credential: Mapping[str, Any]) -> User:
    """The active person whose passkey has signed the challenge. Raises PasskeyRefused."""
    state = _challenge(request, _ENTERING)
    try:
        response = AuthenticationResponse.from_dict(credential)
        passkey = Passkey.objects.select_related("user").get(credential_id=response.raw_id)
        _server(request).authenticate_complete(state, [_data(passkey)], response)
    except (Passkey.DoesNotExist, *_WRONG) as error:
        raise PasskeyRefused from error
    handle = response.response.user_handle
    if (handle and handle != passkey.user_id.bytes) or not passkey.user.is_active:
        raise PasskeyRefused
    _count(passkey, response.response.authenticator_data.counter)
    return passkey.user


def delete(user: User, passkey_id: Any) -> bool:
    return Passkey.objects.filter(user=user, pk=passkey_id).delete()[0] > 0


def _count(passkey: Passkey, counter: int) -> None:
    """A device that counts its signatures and goes back has been copied. Most do not count: always 0."""
    rows = Passkey.objects.filter(pk=passkey.pk)
    if counter:
        rows = rows.filter(sign_count__lt=counter)
    if not rows.update(sign_count=counter, last_used_at=Now()):
        logger.warning("passkey %s counts backwards: copied?", passkey.pk)
        raise PasskeyRefused


def _challenge(request: HttpRequest, name: str) -> dict[str, Any]:
    """Each is good for one answer."""
    state = request.session.pop(name, None)
    if not isinstance(state, dict):
        raise PasskeyRefused
    return state


def _server(request: HttpRequest) -> Fido2Server:
    host = host_of(request)
    if not host:
        raise ChatError("passkey_host", _("Passkeys need a host name: open the site by its name, not by an address."))
    party = PublicKeyCredentialRpEntity(id=host, name="Sonde")
    # This origin and no other of the same domain, which is what fido2 would accept.
    return Fido2Server(party, verify_origin=lambda origin: is_own_origin(origin, request.get_host()))


def _data(passkey: Passkey) -> AttestedCredentialData:
    return AttestedCredentialData(bytes(passkey.public_data))
