"""Rate limits by URL prefix, exact and in constant memory."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Sequence

from zope.interface import implementer

from pkgregd.errors import RateLimited
from pkgregd.interfaces import IRateLimiter, IRequestLimits
from pkgregd.values import Principal, Rate, RateLimitRule

MAX_KEYS = 100_000
"""How many callers a limiter remembers; the longest unseen are forgotten first."""

FAILURE_RATE = Rate(30, 60)
"""How many failed authentications one address has, per minute."""


@implementer(IRateLimiter)
class GCRA:
    """
    The generic cell rate algorithm: as exact as a leaky bucket, one number per caller.

    Args:
        rate: so many requests in so many seconds; all of them may come at once.
        clock: seconds that never go back.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float], max_keys: int = MAX_KEYS) -> None:
        self._step_seconds = rate.seconds / rate.requests
        self._burst_seconds = rate.seconds
        self._clock = clock
        self._max_keys = max_keys
        self._due_at: OrderedDict[str, float] = OrderedDict()

    def admit(self, key: str, cost: float = 1.0) -> float | None:
        """See IRateLimiter."""
        now = self._clock()
        due_at = max(self._due_at.get(key, now), now) + self._step_seconds * cost
        wait_seconds = due_at - self._burst_seconds - now
        if wait_seconds > 1e-9:
            return wait_seconds
        self._due_at[key] = due_at
        self._due_at.move_to_end(key)
        if len(self._due_at) > self._max_keys:
            self._due_at.popitem(last=False)
        return None


@implementer(IRequestLimits)
class PrefixLimits:
    """
    See IRequestLimits.

    Args:
        rules: as configured; without a matching rule everything is admitted.
        clock: seconds that never go back.
    """

    def __init__(self, rules: Sequence[RateLimitRule], clock: Callable[[], float]) -> None:
        self._rules = [_Rule(rule, clock) for rule in sorted(rules, key=lambda rule: -rule.prefix.count("/"))]
        self._failures = GCRA(FAILURE_RATE, clock)

    def admit(self, path: str, principal: Principal, address: str) -> None:
        """See IRequestLimits."""
        if not self._rules:
            return
        segments = path.split("/")
        for rule in self._rules:
            if rule.matches(segments):
                rule.admit(principal, address)
                return

    def admit_failure(self, address: str) -> None:
        """See IRequestLimits."""
        _refuse_or_pass(self._failures.admit(address_key(address)))


class _Rule:
    """One rule with its two limiters."""

    def __init__(self, rule: RateLimitRule, clock: Callable[[], float]) -> None:
        self._prefix = rule.prefix.split("/")
        self._authenticated = GCRA(rule.authenticated, clock) if rule.authenticated else None
        self._anonymous = GCRA(rule.anonymous, clock) if rule.anonymous else None

    def matches(self, segments: Sequence[str]) -> bool:
        """Whether a path lies below the prefix; the prefix's last part may be the beginning of a segment."""
        if not self._prefix[-1] and len(segments) == len(self._prefix) - 1:
            segments = [*segments, ""]  # the listing of what lies below the prefix counts as below it
        *whole, last = self._prefix
        if len(segments) < len(self._prefix) or not segments[len(whole)].startswith(last):
            return False
        return all(wanted in (":id", found) for wanted, found in zip(whole, segments, strict=False))

    def admit(self, principal: Principal, address: str) -> None:
        """Count a request against its caller's budget."""
        if principal.is_anonymous:
            limiter, key = self._anonymous, address_key(address)
        else:
            is_user = principal.user_id is not None
            limiter, key = (
                self._authenticated,
                f"user:{principal.user_id}" if is_user else f"token:{principal.token_id}",
            )
        if limiter is not None:
            _refuse_or_pass(limiter.admit(key))


def address_key(address: str) -> str:
    """Bring an address to the form that has one budget: an IPv6 host owns its /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _refuse_or_pass(wait_seconds: float | None) -> None:
    if wait_seconds is not None:
        raise RateLimited(wait_seconds)
