"""
ID tokens of CI systems: whether one is good, and what it says.

Nothing that a token says is believed before its signature was verified, but for who made it and by which key. Its
texts are never repeated: where an answer of ours is shown, the token must not be.

Source: RFC 7519; RFC 8725; OpenID Connect Core 1.0, section 3.1.3.7.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import jwt
from attrs import field, frozen

from pkgregd.auth.jwks import IssuerKeys, SigningKey
from pkgregd.errors import InvalidIdToken
from pkgregd.values import OidcIssuer

MAX_ID_TOKEN_LETTERS = 16_384
"""Some times what the largest of them have."""

LEEWAY_SECONDS = 30
"""How far our clock and an issuer's may be apart."""

MAX_REST_SECONDS = 86_400
"""How long an ID token may still be good: for so long we have to remember it."""

MAX_JTI_LETTERS = 255

_LATEST = 2**40
_CHECKS = {
    "verify_signature": True,
    "verify_exp": False,  # the times are looked at below, by our clock
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": True,
    "verify_iss": True,
    "strict_aud": True,
    "require": ["iss", "aud", "exp", "iat", "jti"],
}


@frozen
class IdToken:
    """
    A good ID token.

    Attributes:
        issuer: who made it.
        jti: what it is known by there.
        expires_at: aware UTC.
        claims: all that it says, by name.
    """

    issuer: OidcIssuer
    jti: str
    expires_at: datetime.datetime
    claims: Mapping[str, object] = field(repr=False)

    def text(self, name: str) -> str | None:
        """Return a claim as text, numbers and truth values as JSON writes them; None if it is neither."""
        value = self.claims.get(name)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return str(value) if abs(value) < 2**63 else None
        return value if isinstance(value, str) else None


class IdTokens:
    """
    Checks ID tokens.

    Args:
        keys: of all issuers that are configured.
        clock: tells the time, aware.
    """

    def __init__(self, keys: Mapping[OidcIssuer, IssuerKeys], clock: Callable[[], datetime.datetime]) -> None:
        self._keys = {issuer.issuer: (issuer, kept) for issuer, kept in keys.items()}
        self._clock = clock

    async def check(self, text: str) -> IdToken:
        """
        Read an ID token.

        Raises:
            InvalidIdToken: says what is wrong with it. Unavailable: the keys of its issuer cannot be had.
        """
        header, claimed_issuer = _unverified(text)
        issuer, keys = self._keys.get(claimed_issuer, (None, None))
        if issuer is None or keys is None:
            raise InvalidIdToken("the issuer (iss) of the ID token is none that is configured here")
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in issuer.algorithms:
            raise InvalidIdToken("the ID token is signed by an algorithm (alg) that is not accepted here")
        if not isinstance(kid, str) or "crit" in header:
            raise InvalidIdToken("the ID token does not name its key (kid), or demands what is not known here (crit)")
        key = await keys.find(kid)
        if key.algorithm != algorithm:
            raise InvalidIdToken("the ID token is signed by an algorithm (alg) that is not its key's")
        return self._timely(issuer, _verified(text, key, issuer))

    def _timely(self, issuer: OidcIssuer, claims: Mapping[str, Any]) -> IdToken:
        """Look at the times, and at the identifier."""
        now = self._clock().timestamp()
        expires_at, issued_at = _time(claims, "exp"), _time(claims, "iat")
        if expires_at + LEEWAY_SECONDS <= now:
            raise InvalidIdToken("the ID token has expired (exp): let the CI make another")
        if max(issued_at, _time(claims, "nbf") if "nbf" in claims else 0) > now + LEEWAY_SECONDS:
            raise InvalidIdToken("the ID token is not good yet (iat, nbf): the clocks of both sides differ")
        if issued_at + issuer.max_age_seconds + LEEWAY_SECONDS < now:
            raise InvalidIdToken(f"the ID token was made (iat) more than {issuer.max_age_seconds} seconds ago")
        if expires_at > now + MAX_REST_SECONDS:
            raise InvalidIdToken("the ID token is good for more than a day (exp): let the CI make one for less")
        jti = claims["jti"]
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_LETTERS or not jti.isprintable():
            raise InvalidIdToken(
                f"the identifier (jti) of the ID token is not 1 to {MAX_JTI_LETTERS} printable letters"
            )
        return IdToken(issuer, jti, datetime.datetime.fromtimestamp(expires_at, datetime.UTC), claims)


def _unverified(text: str) -> tuple[Mapping[str, Any], str]:
    """Take out of a token by what it is to be verified: its header, and who it says that made it."""
    if len(text) > MAX_ID_TOKEN_LETTERS:
        raise InvalidIdToken(f"the ID token has more than {MAX_ID_TOKEN_LETTERS} letters")
    try:
        header = jwt.get_unverified_header(text)
        issuer = jwt.decode(text, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise InvalidIdToken("this is no ID token: one is a JSON Web Token of three parts") from None
    if not isinstance(issuer, str):
        raise InvalidIdToken("the ID token does not tell its issuer (iss)")
    return header, issuer


def _verified(text: str, key: SigningKey, issuer: OidcIssuer) -> Mapping[str, Any]:
    """Verify the signature, the issuer and the audience; returns the claims."""
    try:
        return jwt.decode(
            text,
            key.key,
            algorithms=[key.algorithm],
            audience=issuer.audience,
            issuer=issuer.issuer,
            options=_CHECKS,  # type: ignore[arg-type]  # a TypedDict, by other names
        )
    except jwt.MissingRequiredClaimError as error:
        raise InvalidIdToken(f"the ID token lacks the claim {error.claim}") from None
    except jwt.InvalidSignatureError:
        raise InvalidIdToken("the signature of the ID token is not good") from None
    except jwt.InvalidAudienceError:
        raise InvalidIdToken("the ID token is not for exactly the audience (aud) that is configured here") from None
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise InvalidIdToken("a claim of the ID token is not of the type that it has to be") from None


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        raise InvalidIdToken(f"the claim {name} of the ID token is no time")
    return float(value)
