"""What a rate limit's verdict looks like in headers."""

from __future__ import annotations

import math
import time
from email.utils import formatdate

from pkgregd.values import Verdict

CHEAP_COST = 0.1
"""What a HEAD counts, in requests, and what a GET counts that was answered with 304."""

MINUTE_SECONDS = 60


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
