"""Whose ID tokens are exchanged for what."""

from __future__ import annotations

from attrs import field, frozen


@frozen
class OidcRule:
    """
    Which jobs get a token of which project.

    Attributes:
        claims: (name, pattern) of all claims that must match; `*` in a pattern stands for any letters.
        project: the path; `{NAME}` in it stands for the value of a claim, one of those that must match.
    """

    claims: tuple[tuple[str, str], ...]
    project: str


@frozen
class OidcIssuer:
    """
    A CI system that makes ID tokens.

    Attributes:
        issuer: exactly as in its tokens.
        audience: the only one that its tokens may be for.
        rules: in their order.
        jwks_url: where its keys are; empty to ask below the issuer.
        algorithms: those that are taken.
        lifetime_seconds: of a job's token.
        max_age_seconds: how long ago an ID token may have been made.
        allow_http: whether keys may be fetched without TLS.
    """

    issuer: str
    audience: str
    rules: tuple[OidcRule, ...] = field(repr=False)
    jwks_url: str = ""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    lifetime_seconds: int = 900
    max_age_seconds: int = 3600
    allow_http: bool = False
