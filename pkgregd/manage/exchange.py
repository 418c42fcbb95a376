"""
Where a CI system's ID token is exchanged for the token of a job: in our words, in those of OAuth, and in PyPI's.

Source: RFC 8693, sections 2.1 and 2.2; RFC 6749, section 5.2; the Python Package Index's documentation of trusted
publishers ("internals").
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress

from zope.interface import implementer

from pkgregd.errors import InvalidRequest, WrongPassword
from pkgregd.interfaces import IAuthorisedCall, IRouteTable
from pkgregd.manage.answers import AUDIENCE, EXCHANGED, GRANTED, MINTED, made
from pkgregd.manage.bodies import Body, Field, text
from pkgregd.manage.shapes import time_text
from pkgregd.values import AccountPermission, Answer, IssuedToken, Level, Operation, Refusal, Reply, Route

INSTANCE = frozenset({Level.INSTANCE})
NO_STORE = (("Cache-Control", "no-store"),)
MAX_TOKEN_LETTERS = 32_768
"""More than any that is good; how many those have is for who checks them."""

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - the same
SUBJECT_TYPES = frozenset({ID_TOKEN, "urn:ietf:params:oauth:token-type:jwt"})

OAUTH_CODES: Mapping[str, str] = {
    "invalid_id_token": "invalid_grant",
    "rate_limited": "temporarily_unavailable",
    "unavailable": "temporarily_unavailable",
    "not_found": "invalid_target",
}
"""OAuth's words for some of ours; it calls all the others an invalid request."""


def _token_text(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN_LETTERS:
        raise InvalidRequest(f"{name} is not valid: it is a token of at most {MAX_TOKEN_LETTERS} letters")
    return value


token_text = Field(_token_text, {"type": "string", "minLength": 1, "maxLength": MAX_TOKEN_LETTERS})
"""A token, which may be long."""

EXCHANGE_BODY = Body(
    {"id_token": token_text, "project": text},
    ("id_token",),
    example={"id_token": "the ID token", "project": "acme/web"},
)
TOKEN_BODY = Body({"token": token_text}, ("token",), example={"token": "the token"})
GRANT_BODY = Body(
    {
        "grant_type": text,
        "subject_token": token_text,
        "subject_token_type": text,
        "requested_token_type": text,
        "resource": text,
    },
    ("grant_type", "subject_token", "subject_token_type"),
    frozenset({"scope", "audience"}),
    example={"grant_type": GRANT, "subject_token": "the ID token", "subject_token_type": ID_TOKEN},
)

REFUSALS = (401, 404, 503)
EXCHANGE = Operation("exchange_id_token", made(EXCHANGED, "The token"), body=EXCHANGE_BODY.described, refusals=REFUSALS)
SHOW_AUDIENCE = Operation("show_audience", (Answer(200, "The audience", AUDIENCE),), refusals=(404,))
MINT = Operation("mint_token", (Answer(200, "The token", MINTED),), body=TOKEN_BODY.described, refusals=REFUSALS)
BURN = Operation("burn_token", (Answer(202, "Whatever it was", media_type=None),), body=TOKEN_BODY.described)
GRANT_TOKEN = Operation(
    "grant_token", (Answer(200, "The token", GRANTED),), body=GRANT_BODY.described, refusals=(400, 503)
)


@implementer(IRouteTable)
class ExchangeRoutes:
    """
    See IRouteTable.

    No credential counts here but the one in the body: a CI's runner may hold others.
    """

    name = "exchange"
    challenge: str | None = None

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        anybody, pypi = AccountPermission.SIGN_IN, "/_/oidc"
        return (
            Route(("POST",), "/api/v4/job_tokens/exchange", anybody, self.exchange, INSTANCE, operation=EXCHANGE),
            Route(("GET",), f"{pypi}/audience", anybody, show_audience, INSTANCE, operation=SHOW_AUDIENCE),
            Route(("POST",), f"{pypi}/mint-token", anybody, self.mint, INSTANCE, operation=MINT),
            Route(("POST",), f"{pypi}/burn-token", anybody, burn, INSTANCE, operation=BURN),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON."""
        return None

    async def exchange(self, call: IAuthorisedCall) -> Reply:
        """Exchange an ID token, for a project of the caller's choice among those that the rules give."""
        given = await EXCHANGE_BODY.read(call)
        issued = await call.account.exchange(given["id_token"], given.get("project"))
        token = issued.token
        return _json(
            201,
            {
                "token": issued.secret,
                "token_type": "Bearer",
                "expires_in": _seconds(issued),
                "expires_at": None if token.expires_at is None else time_text(token.expires_at),
                "job": {"id": issued.token_id, "name": token.name},
                "project": {"path_with_namespace": token.project},
            },
        )

    async def mint(self, call: IAuthorisedCall) -> Reply:
        """Exchange an ID token as clients of PyPI do."""
        given = await TOKEN_BODY.read(call)
        issued = await call.account.exchange(given["token"])
        ends = None if issued.token.expires_at is None else int(issued.token.expires_at.timestamp())
        return _json(200, {"success": True, "token": issued.secret, "expires": ends})


async def show_audience(call: IAuthorisedCall) -> Reply:
    """Tell for whom an ID token has to be."""
    return _json(200, {"audience": call.account.audience()})


async def burn(call: IAuthorisedCall) -> Reply:
    """End the job of a token; whether it was one is not told, which is PyPI's way."""
    given = await TOKEN_BODY.read(call)
    with suppress(WrongPassword):
        await call.account.end_job(given["token"])
    return Reply(202)


@implementer(IRouteTable)
class OAuthRoutes:
    """See IRouteTable: the exchange as OAuth writes it."""

    name = "oauth"
    challenge: str | None = None

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        anybody = AccountPermission.SIGN_IN
        return (Route(("POST",), "/oauth/token", anybody, self.exchange, INSTANCE, operation=GRANT_TOKEN),)

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Say it in OAuth's fields; its status for what is wrong with a request or a token is 400."""
        code = OAUTH_CODES.get(refusal.code, "invalid_request" if refusal.status < 500 else "server_error")
        fields = {"error": code, "error_description": refusal.message, "request_id": refusal.request_id}
        return _json(400 if refusal.status in (401, 404) else refusal.status, fields)

    async def exchange(self, call: IAuthorisedCall) -> Reply:
        """Exchange the subject token, which has to be an ID token; `resource` may name the project by its path."""
        given = await GRANT_BODY.read(call)
        if given["grant_type"] != GRANT:
            raise InvalidRequest(f"grant_type: only {GRANT} is known here")
        if given["subject_token_type"] not in SUBJECT_TYPES:
            raise InvalidRequest("subject_token_type: only an ID token is exchanged here")
        if given.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
            raise InvalidRequest(f"requested_token_type: only {ACCESS_TOKEN} is made here")
        issued = await call.account.exchange(given["subject_token"], given.get("resource"))
        return _json(
            200,
            {
                "access_token": issued.secret,
                "issued_token_type": ACCESS_TOKEN,
                "token_type": "Bearer",
                "expires_in": _seconds(issued),
            },
        )


def _seconds(issued: IssuedToken) -> int | None:
    """For how long a token was made."""
    ends = issued.token.expires_at
    return None if ends is None else int((ends - issued.created_at).total_seconds())


def _json(status: int, fields: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(fields).encode(), "application/json", NO_STORE)
