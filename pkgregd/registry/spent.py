"""Callers whose budgets are spent, so that nobody has to ask who they are to refuse them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from pkgregd.registry.gcra import GCRA

MAX_CALLERS = 10_000
"""How many callers are remembered; the longest remembered are forgotten first, and are asked who they are."""

Budget = tuple[GCRA, str]
"""A limiter, and whose budget there it is (see Verdict.key)."""


class SpentBudgets:
    """
    Which budgets a caller's requests count against, each until there may be something in it again.

    A caller is whatever is equal in all that a request shows of who sends it: a digest that says nothing else.

    Args:
        clock: that of the limiters.
    """

    def __init__(self, clock: Callable[[], float], max_callers: int = MAX_CALLERS) -> None:
        self._clock = clock
        self._max_callers = max_callers
        self._until: OrderedDict[bytes, dict[Budget, float]] = OrderedDict()

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._until)

    def remember(self, caller: bytes, budget: Budget, seconds: float) -> None:
        """Remember for so long that a caller's budget is spent."""
        now = self._clock()
        self._forget_past(now)
        self._until.setdefault(caller, {})[budget] = now + seconds
        self._until.move_to_end(caller)
        if len(self._until) > self._max_callers:
            self._until.popitem(last=False)

    def of(self, caller: bytes) -> Mapping[Budget, float]:
        """Return a caller's spent budgets, and until when they are remembered."""
        budgets = self._until.get(caller)
        if budgets is None:
            return {}
        now = self._clock()
        for budget in [budget for budget, until in budgets.items() if until <= now]:
            del budgets[budget]
        if not budgets:
            del self._until[caller]
        return budgets

    def _forget_past(self, now: float) -> None:
        """Let go of those that were remembered first, as far as their time is over."""
        while self._until:
            caller = next(iter(self._until))
            if max(self._until[caller].values()) > now:
                return
            del self._until[caller]
