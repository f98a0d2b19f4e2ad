"""An OpenID Connect provider over HTTP whose answers a test writes: what an honest one never sends."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey


class ScriptedProvider:
    """`claims` and the rest are changed before the browser comes back; `asked` holds what the token endpoint got."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.issuer = self.url
        self.key = self.signing_key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.algorithm = "RS256"
        self.claims: dict[str, Any] = {}
        self.token: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.asked: list[dict[str, str]] = []

    def honest_claims(self, nonce: str) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": self.url,
            "aud": "sonde",
            "sub": "ana",
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "email": "ana@example.org",
            "email_verified": True,
            "name": "Ana",
        }

    def answer(self, path: str, body: str) -> dict[str, Any]:
        if path.endswith("openid-configuration"):
            names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
            return {"issuer": self.issuer, **{name: f"{self.url}/{name}" for name in names}, **self.metadata}
        if path.endswith("jwks_uri"):
            keys: dict[str, Any] = KeySet([self.key]).as_dict(private=False)
            return keys
        if path.endswith("userinfo_endpoint"):
            return self.userinfo
        self.asked.append({name: values[0] for name, values in parse_qs(body).items()})
        header = {"alg": self.algorithm, "kid": "one"}
        signed = jwt.encode(header, self.claims, self.signing_key, algorithms=[self.algorithm])
        return {"access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": signed, **self.token}


@contextmanager
def running_provider() -> Iterator[ScriptedProvider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            answer = json.dumps(provider.answer(self.path, body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = ScriptedProvider(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield provider
    server.shutdown()
    server.server_close()
