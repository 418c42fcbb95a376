"""What a rate limit's verdict looks like in headers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import formatdate

from pkgregd.http.request import FrontRequest
from pkgregd.values import JsonSchema, Verdict

CHEAP_COST = 0.1
"""What a HEAD counts, in requests, and what a GET counts that was answered with 304."""

MINUTE_SECONDS = 60

LIMIT_HEADERS: Mapping[str, tuple[JsonSchema, str]] = {
    "RateLimit-Limit": ({"type": "integer", "minimum": 1}, "How many requests the limit allows in a minute"),
    "RateLimit-Name": ({"type": "string", "minLength": 1}, "What the limit is called"),
    "RateLimit-Observed": ({"type": "integer", "minimum": 0}, "How many of the limit's own period are used up"),
    "RateLimit-Remaining": ({"type": "integer", "minimum": 0}, "How many more would be let through at once"),
    "RateLimit-Reset": ({"type": "integer", "minimum": 0}, "When all of them are there again, in seconds since 1970"),
}
"""What every answer has whose request a limit counts, and what it says."""

REFUSED_HEADERS: Mapping[str, tuple[JsonSchema, str]] = {
    "RateLimit-ResetTime": ({"type": "string"}, "When all of them are there again, as a date of HTTP"),
}
"""What is told besides by the refusal of a limit."""


def request_cost(request: FrontRequest) -> float:
    """Say what a request counts: a HEAD is cheap, since clients ask so what they have already."""
    return CHEAP_COST if request.method == b"HEAD" else 1.0


def limit_headers(verdict: Verdict) -> list[tuple[str, str]]:
    """
    Tell a client where it stands, with GitLab's names.

    `RateLimit-Limit` is for a minute, as there; the others are about the limit as configured.
    """
    rate = verdict.rate
    reset_at = math.ceil(time.time() + verdict.reset_seconds)
    headers = [
        ("RateLimit-Limit", str(-(-rate.requests * MINUTE_SECONDS // rate.seconds))),
        ("RateLimit-Name", verdict.name),
        ("RateLimit-Observed", str(rate.requests - verdict.remaining)),
        ("RateLimit-Remaining", str(verdict.remaining)),
        ("RateLimit-Reset", str(reset_at)),
    ]
    if verdict.retry_after_seconds is not None:
        headers.append(("RateLimit-ResetTime", formatdate(reset_at, usegmt=True)))
    return headers
