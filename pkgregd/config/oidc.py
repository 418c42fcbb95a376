"""`[[oidc]]`: the CI systems whose ID tokens are exchanged, and for what."""

from __future__ import annotations

import re

from pkgregd.config.checks import a_flag, a_text, checked, integer_from
from pkgregd.config.places import Check, Place
from pkgregd.values import OidcIssuer, OidcRule

ALGORITHMS = ("RS256", "ES256")
MAX_LIFETIME_SECONDS = 900
MAX_AGE_SECONDS = 86_400
MAX_CLAIM_CHARACTERS = 1024

_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]{1,255}(?:/[A-Za-z0-9._~/%-]{0,1024})?", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def oidc_issuers(value: object, place: Place) -> tuple[OidcIssuer, ...]:
    """Take an array of issuers, each once."""
    issuers: dict[str, OidcIssuer] = {}
    for table, here in _tables(value, place, "[[oidc]]"):
        made = _issuer(table, here)
        if made.issuer in issuers:
            raise here.child("issuer").wrong("has a table already: put all rules of an issuer below one")
        issuers[made.issuer] = made
    return tuple(issuers.values())


def _issuer(table: object, place: Place) -> OidcIssuer:
    checks: dict[str, Check[object]] = {
        "issuer": _url,
        "audience": _claim_text,
        "rules": _rules,
        "jwks_url": _url,
        "algorithms": _algorithms,
        "lifetime_seconds": integer_from(60, MAX_LIFETIME_SECONDS),
        "max_age_seconds": integer_from(60, MAX_AGE_SECONDS),
        "allow_http": a_flag,
    }
    given = _complete(checks, table, place, ("issuer", "audience", "rules"))
    made = OidcIssuer(**given)  # type: ignore[arg-type]  # each was made by its check
    for name, url in (("issuer", made.issuer), ("jwks_url", made.jwks_url)):
        if url.startswith("http:") and not made.allow_http:
            raise place.child(name).wrong("must begin with https://, or allow_http be true where nobody can listen")
    return made


def _rules(value: object, place: Place) -> tuple[OidcRule, ...]:
    rules = tuple(_rule(table, here) for table, here in _tables(value, place, "[[oidc.rules]]"))
    if not rules:
        raise place.wrong("must have at least one rule: without any no token is exchanged")
    return rules


def _rule(table: object, place: Place) -> OidcRule:
    given = _complete({"claims": _claims, "project": a_text}, table, place, ("claims", "project"))
    rule = OidcRule(**given)  # type: ignore[arg-type]  # each was made by its check
    here, known = place.child("project"), dict(rule.claims)
    names = _PLACEHOLDER.findall(rule.project)
    for name in names:
        if name not in known:
            raise here.wrong(f"is made of the claim {name[:64]!r}, which has to be among those that must match")
    fixed = _PLACEHOLDER.sub("", rule.project)
    if "{" in fixed or "}" in fixed or not (names or "/" in fixed):
        raise here.wrong("must be the path of a project, GROUP/NAME, in which {NAME} stands for a claim")
    return rule


def _claims(value: object, place: Place) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not value:
        raise place.must_be("a table of at least one claim that must match", value)
    return tuple((name, _claim_text(pattern, place.child(name))) for name, pattern in value.items())


def _claim_text(value: object, place: Place) -> str:
    text = a_text(value, place)
    if not 0 < len(text) <= MAX_CLAIM_CHARACTERS:
        raise place.must_be(f"a text of 1 to {MAX_CLAIM_CHARACTERS} letters", value)
    return text


def _algorithms(value: object, place: Place) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(item in ALGORITHMS for item in value):
        raise place.must_be("an array of " + " and ".join(ALGORITHMS), value)
    return tuple(value)


def _url(value: object, place: Place) -> str:
    text = a_text(value, place)
    if not _URL.fullmatch(text):
        raise place.must_be("https://HOST[:PORT][/PATH], without user name, query or fragment", value)
    return text


def _complete(
    checks: dict[str, Check[object]], table: object, place: Place, required: tuple[str, ...]
) -> dict[str, object]:
    given = checked(checks, table, place)
    for name in required:
        if name not in given:
            raise place.child(name).wrong("must be given")
    return given


def _tables(value: object, place: Place, heading: str) -> list[tuple[object, Place]]:
    if not isinstance(value, list):
        raise place.must_be(f"an array of tables, each headed {heading}", value)
    return [(table, place.item(number)) for number, table in enumerate(value, 1)]
