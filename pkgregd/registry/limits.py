"""Rate limits by class of routes and URL prefix, exact and in constant memory."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Sequence

from zope.interface import implementer

from pkgregd.interfaces import IDueTimes, IRateLimiter, IRequestLimits
from pkgregd.values import TOLERANCE, Principal, Rate, RateLimitRule, RouteClass, Verdict, pushed

MAX_KEYS = 100_000
"""How many callers are remembered in memory; the longest unseen are forgotten first."""

FAILURE_RATE = Rate(30, 60)
"""How many failed authentications one address has, per minute."""

FAILURES = "failed_authentications"
"""What clients are told that this limit is called."""

USUAL_NAMES = {
    RouteClass.PACKAGES: "packages_api",
    RouteClass.MANAGEMENT: "api",
    RouteClass.PAGES: "web",
    None: "api",
}
"""What GitLab calls its limits, behind who is limited."""


@implementer(IDueTimes)
class LocalDueTimes:
    """Due times in the memory of this process."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._due_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._due_at)

    def push(self, key: str, now: float, by_seconds: float, most_seconds: float) -> float:
        """See IDueTimes."""
        known_at = self._due_at.get(key)
        due_at, fits = pushed(now if known_at is None else known_at, now, by_seconds, most_seconds)
        if not fits or (known_at is None and by_seconds < 0):
            return due_at
        self._due_at[key] = due_at
        self._due_at.move_to_end(key)
        if len(self._due_at) > self._max_keys:
            self._due_at.popitem(last=False)
        return due_at


@implementer(IRateLimiter)
class GCRA:
    """
    The generic cell rate algorithm: as exact as a leaky bucket, one number per caller.

    Args:
        rate: so many requests in so many seconds; all of them may come at once.
        clock: seconds that never go back, those of all who share the due times.
        due_times: where callers are remembered.
        name: see Verdict.
        family: tells this limiter's callers apart from those of others with the same due times.
    """

    def __init__(
        self, rate: Rate, clock: Callable[[], float], due_times: IDueTimes, name: str = "", family: str = ""
    ) -> None:
        self._rate = rate
        self._step_seconds = rate.seconds / rate.requests
        self._burst_seconds = rate.seconds
        self._clock = clock
        self._due_times = due_times
        self._name = name
        self._family = family

    def admit(self, key: str, cost: float = 1.0) -> Verdict:
        """See IRateLimiter."""
        key = f"{self._family} {key}"
        now = self._clock()
        by_seconds = self._step_seconds * cost
        due_seconds = self._due_times.push(key, now, by_seconds, self._burst_seconds) - now
        wait_seconds = due_seconds - self._burst_seconds
        retry_after_seconds = None
        if wait_seconds > by_seconds * TOLERANCE:
            retry_after_seconds = wait_seconds
            due_seconds -= by_seconds  # which was not remembered
        remaining = max(0, int((self._burst_seconds - due_seconds) / self._step_seconds + TOLERANCE))
        return Verdict(self._name, self._rate, remaining, due_seconds, retry_after_seconds, key)


@implementer(IRequestLimits)
class PrefixLimits:
    """
    See IRequestLimits.

    Args:
        rules: as configured; without a matching rule everything is admitted.
        clock: seconds that never go back, those of all who share the due times.
        due_times: where callers are remembered; in this process unless given.
    """

    def __init__(
        self, rules: Sequence[RateLimitRule], clock: Callable[[], float], due_times: IDueTimes | None = None
    ) -> None:
        self._clock = clock
        self._due_times = due_times = LocalDueTimes() if due_times is None else due_times
        in_order = sorted(rules, key=lambda rule: (-rule.prefix.count("/"), rule.routes is None))
        self._rules = [_Rule(rule, clock, due_times) for rule in in_order]
        self._failures = GCRA(FAILURE_RATE, clock, due_times, FAILURES, FAILURES)

    def admit(
        self, path: str, principal: Principal, address: str, routes: RouteClass, cost: float = 1.0
    ) -> Verdict | None:
        """See IRequestLimits."""
        if not self._rules:
            return None
        segments = path.split("/")
        for rule in self._rules:
            if rule.matches(routes, segments):
                return rule.admit(principal, address, cost)
        return None

    def give_back(self, verdict: Verdict, cost: float) -> None:
        """See IRequestLimits."""
        rate = verdict.rate
        self._due_times.push(verdict.key, self._clock(), -cost * rate.seconds / rate.requests, rate.seconds)

    def admit_failure(self, address: str) -> Verdict:
        """See IRequestLimits."""
        return self._failures.admit(address_key(address))


class _Rule:
    """One rule with its two limiters."""

    def __init__(self, rule: RateLimitRule, clock: Callable[[], float], due_times: IDueTimes) -> None:
        def limiter(who: str, rate: Rate | None) -> GCRA | None:
            if rate is None:
                return None
            name = rule.name or f"throttle_{who}_{USUAL_NAMES[rule.routes]}"
            whose = rule.routes.value if rule.routes else "all"
            return GCRA(rate, clock, due_times, name, f"{whose} {rule.prefix} {who}")

        self._routes = rule.routes
        self._prefix = rule.prefix.split("/")
        self._authenticated = limiter("authenticated", rule.authenticated)
        self._anonymous = limiter("unauthenticated", rule.anonymous)

    def matches(self, routes: RouteClass, segments: Sequence[str]) -> bool:
        """Whether the rule is for this class, and a path below its prefix, whose last part may begin a segment."""
        if self._routes is not None and self._routes is not routes:
            return False
        if not self._prefix[-1] and len(segments) == len(self._prefix) - 1:
            segments = [*segments, ""]  # the listing of what lies below the prefix counts as below it
        *whole, last = self._prefix
        if len(segments) < len(self._prefix) or not segments[len(whole)].startswith(last):
            return False
        return all(wanted in (":id", found) for wanted, found in zip(whole, segments, strict=False))

    def admit(self, principal: Principal, address: str, cost: float) -> Verdict | None:
        """Count a request against its caller's budget."""
        if principal.is_anonymous:
            limiter, key = self._anonymous, address_key(address)
        else:
            is_user = principal.user_id is not None
            limiter, key = (
                self._authenticated,
                f"user:{principal.user_id}" if is_user else f"token:{principal.token_id}",
            )
        return None if limiter is None else limiter.admit(key, cost)


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
