"""A CI system that makes ID tokens: its keys, its documents and, for real clients, its server."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import hmac
import http.server
import json
import threading
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import Factory, define
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "https://registry.test"
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"
REQUEST_TOKEN = "the runner's own"


@functools.cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key for a name; making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """A key for a name."""
    return ec.generate_private_key(ec.SECP256R1())


def public(kid: str, key: Any) -> dict[str, Any]:
    """The public half of a key as a JSON Web Key."""
    of = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(of.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


@define
class Issuer:
    """
    What makes ID tokens.

    Attributes:
        url: its name, too.
        keys: private keys by kid.
        answers: what it answers instead of its documents, by path: a status and a body.
        asked: paths that were asked for.
    """

    url: str = "https://ci.test"
    keys: dict[str, Any] = Factory(lambda: {"r1": rsa_key("r1"), "e1": ec_key("e1")})
    answers: dict[str, tuple[int, bytes]] = Factory(dict)
    asked: list[str] = Factory(list)

    def document(self, path: str) -> tuple[int, bytes]:
        """Answer for a path."""
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == DISCOVERY:
            return 200, json.dumps({"issuer": self.url, "jwks_uri": self.url + JWKS}).encode()
        if path == JWKS:
            return 200, json.dumps({"keys": [public(kid, key) for kid, key in self.keys.items()]}).encode()
        return 404, b""

    def claims(self, now: float, **changes: object) -> dict[str, object]:
        """What a token says; a claim that is None is left out."""
        claims: dict[str, object] = {
            "iss": self.url, "aud": AUDIENCE, "sub": "repo:acme/tool", "jti": uuid.uuid4().hex,
            "iat": int(now), "nbf": int(now), "exp": int(now) + 300,
            "repository": "acme/tool", "ref": "refs/tags/v1", "run_id": "42",
        }  # fmt: skip
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def token(self, now: float, kid: str = "r1", headers: Mapping[str, object] | None = None, **changes: object) -> str:
        """Make a token."""
        key = self.keys[kid]
        is_rsa = isinstance(key, rsa.RSAPrivateKey)
        signing: Any = RSAAlgorithm(RSAAlgorithm.SHA256) if is_rsa else ECAlgorithm(ECAlgorithm.SHA256)
        # by hand: jwt.encode() does not write what no good issuer would
        header = {"alg": "RS256" if is_rsa else "ES256", "typ": "JWT", "kid": kid, **(headers or {})}
        head = _part(header) + "." + _part(self.claims(now, **changes))
        return f"{head}.{_encoded(signing.sign(head.encode(), key))}"

    def forged(self, now: float, algorithm: str) -> str:
        """A token without a signature, or one by the text of the public key as a shared secret."""
        text = (
            self.keys["r1"]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        head = _part({"alg": algorithm, "typ": "JWT", "kid": "r1"}) + "." + _part(self.claims(now))
        mac = hmac.digest(text, head.encode(), hashlib.sha256) if algorithm == "HS256" else b""
        return f"{head}.{_encoded(mac)}"


def _part(fields: Mapping[str, object]) -> str:
    return _encoded(json.dumps(fields).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class IssuerServer:
    """
    An issuer on a port of the loopback address, in a thread of its own.

    Attributes:
        release: set it to let answers go that are slow.
    """

    def __init__(self, now: Any) -> None:
        outer = self
        self.now = now
        self.release = threading.Event()
        self.slow: set[str] = set()

        class Answering(http.server.BaseHTTPRequestHandler):
            """Answers with the issuer's documents, and makes tokens for a runner that shows its own."""

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path in outer.slow:
                    outer.release.wait(60)
                if parts.path == "/mint":
                    is_runner = self.headers.get("Authorization", "").lower() == f"bearer {REQUEST_TOKEN}".lower()
                    audience = parse_qs(parts.query).get("audience", [""])[-1]
                    value = outer.issuer.token(outer.now(), aud=audience)
                    status, body = (200, json.dumps({"value": value}).encode()) if is_runner else (401, b"")
                else:
                    status, body = outer.issuer.document(parts.path)
                with contextlib.suppress(OSError):  # who asks may have had enough
                    self.answer(status, body)

            def answer(self, status: int, body: bytes) -> None:
                """Send it."""
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", body.decode())
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.issuer = Issuer(f"http://127.0.0.1:{self._server.server_port}")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
