"""Rate limits by class of routes and URL prefix, exact and in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import unquote

from zope.interface import implementer

from pkgregd.interfaces import IDueTimes, IRequestLimits
from pkgregd.registry.gcra import GCRA, LocalDueTimes
from pkgregd.registry.spent import SpentBudgets
from pkgregd.values import Principal, Rate, RateLimitRule, RouteClass, Verdict, address_key

FAILURE_RATE = Rate(30, 60)
"""How many failed authentications one address has, per minute."""

FAILURES = "failed_authentications"
"""What clients are told that this limit is called."""

MAX_KNOWN_PATHS = 4096
MAX_KNOWN_PATH_CHARACTERS = 512
"""Of which paths it is known which rule is theirs."""

MAX_SPENT_SECONDS = 1.0
"""How long a caller is refused without a look at who it is: a token may have been revoked, which its bearer is told."""

REFUSALS_AT_ONCE = 20
"""How many refusals of one budget are answered at once; clients with manners do not come to see more."""

LEAST_REFUSALS_PER_SECOND = 20
REFUSALS_PER_ADMISSION = 0.5
"""
How many further ones are answered a second: the greater of so many, and so many times the budget's own rate. Nothing of
the budget is lost to whoever waits for them, since it fills up meanwhile.
"""

MAX_HOLD_SECONDS = 1.0
"""How long a refusal is kept back at most; no client takes that for a broken connection."""

USUAL_NAMES = {
    RouteClass.PACKAGES: "packages_api",
    RouteClass.MANAGEMENT: "api",
    RouteClass.PAGES: "web",
    None: "api",
}
"""What GitLab calls its limits, behind who is limited."""


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
        in_order = sorted(rules, key=_precedence)
        self._rules = [_Rule(rule, clock, due_times) for rule in in_order]
        self._failures = GCRA(FAILURE_RATE, clock, due_times, FAILURES, FAILURES)
        self._found: dict[tuple[RouteClass, str], _Rule | None] = {}
        self._spent = SpentBudgets(clock)
        self._refusals = LocalDueTimes()

    def admit(
        self,
        path: str,
        principal: Principal,
        address: str,
        routes: RouteClass,
        cost: float = 1.0,
        caller: Callable[[], bytes] | None = None,
    ) -> Verdict | None:
        """See IRequestLimits."""
        rule = self._rule(path, routes)
        budget = None if rule is None else rule.budget(principal, address)
        return None if budget is None else self._count(*budget, cost, caller)

    def foretell(self, path: str, caller: Callable[[], bytes], routes: RouteClass, cost: float = 1.0) -> Verdict | None:
        """See IRequestLimits."""
        if not self._spent:
            return None
        spent = self._spent.of(caller())
        if not spent:
            return None
        rule = self._rule(path, routes)
        for limiter, key in spent:
            if limiter is self._failures or (rule is not None and limiter in rule.limiters):
                verdict = limiter.foretell(key, cost)
                if verdict.retry_after_seconds is not None:
                    return verdict
        return None

    def give_back(self, verdict: Verdict, cost: float) -> None:
        """See IRequestLimits."""
        rate = verdict.rate
        self._due_times.push(verdict.key, self._clock(), -cost * rate.seconds / rate.requests, rate.seconds)

    def admit_failure(self, address: str, caller: Callable[[], bytes] | None = None) -> Verdict:
        """See IRequestLimits."""
        return self._count(self._failures, address_key(address), 1.0, caller)

    def hold_seconds(self, verdict: Verdict) -> float:
        """See IRequestLimits."""
        per_second = max(
            LEAST_REFUSALS_PER_SECOND, REFUSALS_PER_ADMISSION * verdict.rate.requests / verdict.rate.seconds
        )
        free_seconds = REFUSALS_AT_ONCE / per_second
        now = self._clock()
        due_at = self._refusals.push(verdict.key, now, 1 / per_second, free_seconds + MAX_HOLD_SECONDS)
        return min(max(0.0, due_at - now - free_seconds), MAX_HOLD_SECONDS)

    def _rule(self, path: str, routes: RouteClass) -> _Rule | None:
        """Find the rule that decides; for a path always the same, so what was found is kept for a while."""
        if not self._rules:
            return None
        key = (routes, path)
        try:
            return self._found[key]
        except KeyError:
            segments = path.split("/")
            if "%" in path:
                segments = [unquote(segment) for segment in segments]
            rule = next((rule for rule in self._rules if rule.matches(routes, segments)), None)
        if len(path) <= MAX_KNOWN_PATH_CHARACTERS:
            if len(self._found) >= MAX_KNOWN_PATHS:
                self._found.clear()
            self._found[key] = rule
        return rule

    def _count(self, limiter: GCRA, key: str, cost: float, caller: Callable[[], bytes] | None) -> Verdict:
        """Count a request, and remember its caller if the budget is spent now."""
        verdict = limiter.admit(key, cost)
        seconds = limiter.empty_seconds(verdict)
        if seconds > 0 and caller is not None:
            self._spent.remember(caller(), (limiter, verdict.key), min(seconds, MAX_SPENT_SECONDS))
        return verdict


ANY = ":id"
"""Stands in a prefix for any one segment."""


def _segments(rule: RateLimitRule) -> list[str]:
    """Split a prefix; what ends in ANY is whatever lies below such a segment."""
    return (rule.prefix + "/" if rule.prefix.endswith("/" + ANY) else rule.prefix).split("/")


def _precedence(rule: RateLimitRule) -> tuple[object, ...]:
    """Sort the longest prefix first, what is named before what may be anything, and one class before all."""
    *whole, last = _segments(rule)
    return -len(whole), [segment == ANY for segment in whole], -len(last), rule.routes is None


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
        self._prefix = _segments(rule)
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
        return all(wanted in (ANY, found) for wanted, found in zip(whole, segments, strict=False))

    @property
    def limiters(self) -> tuple[GCRA | None, ...]:
        """Those of both kinds of callers."""
        return self._anonymous, self._authenticated

    def budget(self, principal: Principal, address: str) -> tuple[GCRA, str] | None:
        """Find the limiter of a caller, and the caller's key there; None if nothing limits him."""
        if principal.is_anonymous:
            limiter, key = self._anonymous, address_key(address)
        else:
            is_user = principal.user_id is not None
            limiter, key = (
                self._authenticated,
                f"user:{principal.user_id}" if is_user else f"token:{principal.token_id}",
            )
        return None if limiter is None else (limiter, key)
