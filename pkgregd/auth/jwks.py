"""
The keys of an issuer.

They are fetched when one is wanted that is not known, and anew when they are old; never more often than once a
minute, whatever is asked for, and by one fetch however many ask. Keys that are known stay good while the issuer does
not answer.

Source: RFC 7517; OpenID Connect Discovery 1.0, section 4.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jwt
from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from pkgregd.auth.fetching import Fetch
from pkgregd.clockwork import start
from pkgregd.errors import InvalidIdToken, Unavailable
from pkgregd.values import OidcIssuer

log = Logger()

COOLDOWN_SECONDS = 60.0
"""Between two fetches: whoever invents keys must not have us ask the issuer each time."""

FRESH_SECONDS = 3600.0
"""How long keys are good without another look whether the issuer has taken one back."""

MAX_STALE_SECONDS = 86_400.0
"""How long they are good while it does not answer."""

MAX_KEYS = 100
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""A signature by one of these takes half a millisecond to verify, and longer keys take more."""

DISCOVERY = "/.well-known/openid-configuration"


@frozen
class SigningKey:
    """
    A public key.

    Attributes:
        algorithm: the only one that it is good for.
    """

    algorithm: str
    key: Any = field(repr=False)


class IssuerKeys:
    """
    The keys of one issuer.

    Args:
        fetch: gets documents.
        seconds: time that never goes back.
    """

    def __init__(self, issuer: OidcIssuer, fetch: Fetch, seconds: Callable[[], float]) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._seconds = seconds
        self._keys: Mapping[str, SigningKey] = {}
        self._fetched_at = float("-inf")
        self._next_fetch_at = float("-inf")
        self._has_failed = False
        self._waiters: list[Deferred[None]] = []

    async def find(self, kid: str) -> SigningKey:
        """
        Find a key.

        Raises:
            InvalidIdToken: the issuer has none of that id.
            Unavailable: it does not tell.
        """
        now = self._seconds()
        is_fresh = now - self._fetched_at < FRESH_SECONDS
        if not (is_fresh and kid in self._keys) and (self._waiters or now >= self._next_fetch_at):
            await self._refresh()
        if self._seconds() - self._fetched_at > MAX_STALE_SECONDS:
            self._keys = {}
        found = self._keys.get(kid)
        if found is not None:
            return found
        if self._has_failed:
            raise Unavailable("the keys of the ID token's issuer cannot be had at the moment", COOLDOWN_SECONDS)
        raise InvalidIdToken("the ID token is signed by a key (kid) that its issuer does not have")

    async def _refresh(self) -> None:
        """Wait for the fetch that is going on, or for a new one; whoever leaves does not stop it."""
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        if len(self._waiters) == 1:
            self._next_fetch_at = self._seconds() + COOLDOWN_SECONDS
            start(self._fetch_keys(), "fetching the keys of a CI system")
        await waiter

    async def _fetch_keys(self) -> None:
        try:
            self._keys = await self._load()
            self._fetched_at, self._has_failed = self._seconds(), False
        except Exception as error:  # whatever goes wrong on the way to somebody else's server
            self._has_failed = True
            log.warn(
                "the keys of {issuer} cannot be fetched: {reason}",
                issuer=self._issuer.issuer, reason=str(error) or type(error).__name__, event="oidc.no_keys",
            )  # fmt: skip
        finally:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.called:
                    waiter.callback(None)

    async def _load(self) -> Mapping[str, SigningKey]:
        url = self._issuer.jwks_url or await self._discover()
        keys = parse_keys(await self._fetch(url), self._issuer.algorithms)
        if not keys:
            raise Unavailable("it has no keys that can be used")
        return keys

    async def _discover(self) -> str:
        """Ask the issuer where its keys are; they have to be on the same host."""
        issuer = self._issuer.issuer
        document = _object(await self._fetch(issuer.rstrip("/") + DISCOVERY))
        url = document.get("jwks_uri")
        if document.get("issuer") != issuer or not isinstance(url, str):
            raise Unavailable("what it says of itself is of another issuer")
        if urlsplit(url)[:2] != urlsplit(issuer)[:2]:
            raise Unavailable("its keys are on another host: set jwks_url")
        return url


def parse_keys(data: bytes, algorithms: tuple[str, ...]) -> dict[str, SigningKey]:
    """
    Read a set of keys; those that cannot be used here are left out.

    Raises:
        Unavailable: it is none.
    """
    listed = _object(data).get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise Unavailable("it answers something else than a set of keys")
    found: dict[str, SigningKey] = {}
    for described in listed:
        key = _key(described)
        if key is not None and key.algorithm in algorithms:
            found.setdefault(described["kid"], key)
    return found


def _key(described: object) -> SigningKey | None:
    if not isinstance(described, dict) or not isinstance(described.get("kid"), str):
        return None
    if described.get("use", "sig") != "sig":
        return None
    try:
        key = _public_key(described)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError):
        return None
    return key if key is not None and described.get("alg", key.algorithm) == key.algorithm else None


def _public_key(described: dict[str, Any]) -> SigningKey | None:
    if described.get("kty") == "RSA":
        key: Any = RSAAlgorithm.from_jwk(described)
        is_good = isinstance(key, RSAPublicKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS
        return SigningKey("RS256", key) if is_good else None
    if described.get("kty") == "EC":
        key = ECAlgorithm.from_jwk(described)
        is_good = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
        return SigningKey("ES256", key) if is_good else None
    return None


def _object(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise Unavailable("it answers something else than JSON") from None
    if not isinstance(document, dict):
        raise Unavailable("it answers something else than an object")
    return document
