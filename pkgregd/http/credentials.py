"""What of a request may carry a token: some headers, and where the operator lets them, query parameters."""

from __future__ import annotations

from pkgregd.errors import InvalidCredentials, InvalidRequest
from pkgregd.http.request import FrontRequest

HEADERS = (b"authorization", b"private-token", b"job-token", b"deploy-token", b"x-nuget-apikey")
PARAMETERS = {
    "private_token": "PRIVATE-TOKEN",
    "job_token": "JOB-TOKEN",
    "access_token": "Authorization: Bearer",
}
"""GitLab's query parameters for tokens, and the header that each has the place of."""

NO_REFERRER = ("Referrer-Policy", "no-referrer")
"""Goes with a page whose address has a token in it, so that no link on it tells the next one."""


def may_carry_token(request: FrontRequest) -> bool:
    """Whether a request's query may have a token in it, for all that can be seen without reading it."""
    raw = request.raw_query
    return bool(raw) and (b"_token" in raw or b"%" in raw)


def query_tokens(request: FrontRequest) -> dict[str, str]:
    """
    Return the tokens in a request's query, by the names that IAuthenticator knows them by.

    Raises:
        InvalidCredentials: a parameter is repeated.
        InvalidRequest: the query cannot be read.
    """
    if not may_carry_token(request):
        return {}  # nearly every request: the query is not read for nothing
    found = {}
    for name, value in request.parameters():
        if name in PARAMETERS:
            if "?" + name in found:
                raise InvalidCredentials("a token is repeated in the query")
            found["?" + name] = value
    return found


def refuse_query_tokens(request: FrontRequest) -> None:
    """
    Pass if there is no token in the query, where those are not taken.

    Raises:
        InvalidRequest: says which header to use.
    """
    try:
        found = query_tokens(request)
    except (InvalidCredentials, InvalidRequest):
        return  # nobody reads a token out of it, and a handler that reads it will refuse it
    for name in found:
        raise InvalidRequest(
            f"{name[1:]} in the query is not accepted here, since addresses are written to logs: "
            f"send the token in the header {PARAMETERS[name[1:]]}"
        )


def carried_tokens(request: FrontRequest, *, accepts_query: bool) -> dict[str, str]:
    """
    Return all that may carry a token, for IAuthenticator.

    Raises:
        InvalidCredentials: something is repeated.
    """
    carried: dict[str, str] = {}
    for name, value in request.head.headers:
        if name in HEADERS:
            if name.decode("ascii") in carried:
                raise InvalidCredentials("a credential header is repeated")
            carried[name.decode("ascii")] = value.decode("latin-1")
    return carried | query_tokens(request) if accepts_query else carried
