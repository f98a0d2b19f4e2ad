"""Signing in with an OpenID Connect provider: the authorization code flow with PKCE, by Authlib and joserfc.

Blocking HTTP with short patience. What the provider says counts only when it is signed by a key of its own, is meant
for us, fresh, and answers the question that this browser has asked.
"""

import logging
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from chatapp.accounts.identities import Known
from chatapp.config import Oidc
from chatapp.errors import ChatError, Unavailable

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0  # a request; three are made
PENDING_S = 600.0  # to sign in there
LEEWAY_S = 60  # clocks differ
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_ASKED = "oidc"  # in the session


@dataclass(frozen=True, slots=True)
class Answered:
    known: Known
    way_on: str
    connects: str  # the id of the person who wants to connect it; empty at the door


class Refused(ChatError):
    def __init__(self) -> None:
        super().__init__("oidc_refused", _("Signing in there did not work. Please try again."))


def name_of(oidc: Oidc) -> str:
    return oidc.name or str(urlsplit(oidc.issuer).hostname)


def begin(request: HttpRequest, oidc: Oidc, way_on: str, connects: str = "") -> str:
    """Where to send the browser. Raises Unavailable."""
    with httpx.Client(timeout=PATIENCE_S) as http:
        try:
            metadata = _discover(http, oidc)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            logger.warning("oidc provider not usable: %s", type(error).__name__)
            raise Unavailable from error
        nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        url, state = _client(http, request, oidc).create_authorization_url(
            metadata["authorization_endpoint"], state=secrets.token_urlsafe(32), code_verifier=verifier, nonce=nonce
        )
    request.session[_ASKED] = {
        "state": state,
        "nonce": nonce,
        "verifier": verifier,
        "until": time.time() + PENDING_S,
        "way_on": way_on,
        "connects": connects,
    }
    return str(url)


def finish(request: HttpRequest, oidc: Oidc) -> Answered:
    """Who the provider says this is. Each question is answered once. Raises Refused."""
    asked = request.session.pop(_ASKED, None)
    if not isinstance(asked, dict) or asked["until"] < time.time() or "code" not in request.GET:
        raise Refused
    with httpx.Client(timeout=PATIENCE_S) as http:
        try:
            return Answered(_read(http, request, oidc, asked), asked["way_on"], asked["connects"])
        except (httpx.HTTPError, AuthlibBaseError, JoseError, ValueError, KeyError, TypeError) as error:
            logger.warning("oidc sign-in refused: %s", type(error).__name__)
            raise Refused from error


def _read(http: httpx.Client, request: HttpRequest, oidc: Oidc, asked: dict[str, Any]) -> Known:
    metadata = _discover(http, oidc)
    token = _client(http, request, oidc).fetch_token(
        metadata["token_endpoint"],
        authorization_response=request.build_absolute_uri(),
        state=asked["state"],
        code_verifier=asked["verifier"],
        **_credentials(oidc, metadata),
    )
    claims = _claims(http, oidc, metadata, token, asked["nonce"])
    if not claims.get("email") and "userinfo_endpoint" in metadata:
        claims = {**claims, **_userinfo(http, metadata, token, claims["sub"])}
    return Known(
        source=oidc.issuer,
        subject=str(claims["sub"])[:255],
        email=str(claims.get("email") or "")[:254],
        name=str(claims.get("name") or ""),
        email_is_verified=claims.get("email_verified") is True,
    )


def _discover(http: httpx.Client, oidc: Oidc) -> dict[str, Any]:
    metadata: dict[str, Any] = _json(http.get(f"{oidc.issuer}/.well-known/openid-configuration"))
    if str(metadata["issuer"]).rstrip("/") != oidc.issuer:
        raise ValueError("the provider calls itself by another name")
    return metadata


def _claims(
    http: httpx.Client, oidc: Oidc, metadata: dict[str, Any], token: dict[str, Any], nonce: str
) -> dict[str, Any]:
    keys = KeySet.import_key_set(_json(http.get(metadata["jwks_uri"])))
    decoded = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS)
    expected = {
        "iss": {"essential": True, "value": metadata["issuer"]},
        "aud": {"essential": True, "value": oidc.client_id},
        "nonce": {"essential": True, "value": nonce},
    }
    params = {"client_id": oidc.client_id, "nonce": nonce, "access_token": token.get("access_token")}
    CodeIDToken(decoded.claims, decoded.header, expected, params).validate(leeway=LEEWAY_S)
    return dict(decoded.claims)


def _userinfo(http: httpx.Client, metadata: dict[str, Any], token: dict[str, Any], subject: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    told: dict[str, Any] = _json(http.get(metadata["userinfo_endpoint"], headers=headers))
    if told.get("sub") != subject:
        raise ValueError("the provider tells of somebody else")
    return {name: told.get(name) for name in ("email", "email_verified", "name")}


def _client(http: httpx.Client, request: HttpRequest, oidc: Oidc) -> Any:
    return OAuth2Client(
        http,
        client_id=oidc.client_id,
        client_secret=oidc.client_secret or None,
        scope="openid email profile",
        redirect_uri=request.build_absolute_uri(reverse("oidc_callback")),
        code_challenge_method="S256",
    )


def _credentials(oidc: Oidc, metadata: dict[str, Any]) -> dict[str, Any]:
    """How the token endpoint learns who we are: in a header, or in the body where the provider wants that."""
    if not oidc.client_secret:
        return {"auth": _no_auth, "client_id": oidc.client_id}
    if "client_secret_basic" in metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
        return {"auth": httpx.BasicAuth(oidc.client_id, oidc.client_secret)}
    return {"auth": _no_auth, "client_id": oidc.client_id, "client_secret": oidc.client_secret}


def _json(response: httpx.Response) -> Any:
    response.raise_for_status()
    return response.json()


def _no_auth(request: httpx.Request) -> httpx.Request:
    return request
