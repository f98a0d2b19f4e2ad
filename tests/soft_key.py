"""A WebAuthn device in software, for what a real browser would never send: wrong origins, old challenges, copies."""

import json
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import sha256, websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData

PRESENT, VERIFIED, CREDENTIAL = 0x01, 0x04, 0x40


@dataclass
class SoftKey:
    origin: str = "http://localhost"
    host: str = "localhost"
    flags: int = PRESENT | VERIFIED
    counter: int = 0
    credential_id: bytes = field(default_factory=lambda: os.urandom(16))
    user_handle: bytes = b""

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_data(self) -> bytes:
        """What a site keeps of it."""
        cose = ES256.from_cryptography_key(self._key.public_key())
        return bytes(AttestedCredentialData.create(Aaguid.NONE, self.credential_id, cose))

    def make(self, options: dict[str, Any]) -> dict[str, Any]:
        """The answer to navigator.credentials.create, as our JavaScript sends it."""
        public = options["publicKey"]
        self.user_handle = _decode(public["user"]["id"])
        flags = self.flags | CREDENTIAL
        authenticator = AuthenticatorData.create(sha256(self.host.encode()), flags, self.counter, self.public_data)
        attestation = AttestationObject.create("none", authenticator, {})
        client = self._client("webauthn.create", public["challenge"])
        return self._credential(clientDataJSON=client, attestationObject=bytes(attestation))

    def sign(self, options: dict[str, Any]) -> dict[str, Any]:
        """The answer to navigator.credentials.get."""
        client = self._client("webauthn.get", options["publicKey"]["challenge"])
        data = bytes(AuthenticatorData.create(sha256(self.host.encode()), self.flags, self.counter))
        signature = self._key.sign(data + sha256(client), ec.ECDSA(SHA256()))
        return self._credential(
            clientDataJSON=client, authenticatorData=data, signature=signature, userHandle=self.user_handle
        )

    def _client(self, type: str, challenge: str) -> bytes:
        return json.dumps({"type": type, "challenge": challenge, "origin": self.origin}).encode()

    def _credential(self, **response: bytes) -> dict[str, Any]:
        id = websafe_encode(self.credential_id)
        sent = {name: websafe_encode(value) for name, value in response.items() if value}
        return {"id": id, "rawId": id, "type": "public-key", "response": sent, "clientExtensionResults": {}}


def _decode(text: str) -> bytes:
    from fido2.utils import websafe_decode

    return bytes(websafe_decode(text))
