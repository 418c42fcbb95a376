"""What every rate limiter does, wherever it remembers its callers, as a mixin of tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pkgregd.interfaces import IDueTimes
from pkgregd.registry.gcra import GCRA
from pkgregd.values import TOLERANCE, Rate

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as _Base
else:
    _Base = object

WEEKS = 5e6
"""A clock does not begin at 0, and the fractions of great numbers are coarser."""


EACH_STORE = settings(suppress_health_check=[HealthCheck.differing_executors])
"""One test, run for each store."""


class Model:
    """A budget that fills up as time passes, in the plainest way: what each caller has, and since when."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._budgets: dict[str, tuple[float, float]] = {}

    def budget(self, key: str, now: float) -> float:
        """How many requests a caller has."""
        left, since = self._budgets.get(key, (float(self._rate.requests), now))
        return min(self._rate.requests, left + (now - since) * self._rate.requests / self._rate.seconds)

    def take(self, key: str, now: float, cost: float) -> None:
        """Take some."""
        self._budgets[key] = self.budget(key, now) - cost, now


class RateLimiterContract(_Base):
    """GCRA over any IDueTimes. Subclasses supply make_due_times()."""

    def make_due_times(self) -> IDueTimes:
        """Make an empty store with room for at least 64 callers."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Stop the clock."""
        super().setUp()
        self.now = WEEKS

    def limiter(self, requests: int, seconds: int, *, due_times: IDueTimes | None = None, family: str = "") -> GCRA:
        """Make a limiter."""
        store = self.make_due_times() if due_times is None else due_times
        return GCRA(Rate(requests, seconds), lambda: self.now, store, "calls", family)

    def test_burst_then_rate(self) -> None:
        """All requests of a period may come at once; then one comes for each step."""
        limiter = self.limiter(10, 5)
        waits = [limiter.admit("a").retry_after_seconds for _ in range(12)]
        self.assertEqual([wait is None for wait in waits], [True] * 10 + [False] * 2)
        self.assertAlmostEqual(waits[-1] or 0, 0.5, 5)
        self.now += 0.5
        self.assertIsNone(limiter.admit("a").retry_after_seconds)
        self.assertIsNotNone(limiter.admit("a").retry_after_seconds)

    def test_callers_are_apart(self) -> None:
        """One caller's haste costs another nothing, nor the same one at another limiter of the same store."""
        due_times = self.make_due_times()
        limiter = self.limiter(1, 60, due_times=due_times, family="one")
        other = self.limiter(1, 60, due_times=due_times, family="other")
        limiter.admit("a")
        self.assertIsNotNone(limiter.admit("a").retry_after_seconds)
        self.assertIsNone(limiter.admit("b").retry_after_seconds)
        self.assertIsNone(other.admit("a").retry_after_seconds)

    def test_what_a_client_is_told(self) -> None:
        """How many are left, and when all are there again; a refused request changes neither."""
        limiter = self.limiter(4, 60)
        told = [limiter.admit("a") for _ in range(5)]
        self.assertEqual([verdict.remaining for verdict in told], [3, 2, 1, 0, 0])
        self.assertEqual([round(verdict.reset_seconds) for verdict in told], [15, 30, 45, 60, 60])
        self.assertEqual((told[0].name, told[0].rate), ("calls", Rate(4, 60)))
        self.now += 31
        self.assertEqual(limiter.admit("a").remaining, 1)

    def test_cheap_requests(self) -> None:
        """Ten of a tenth count as one."""
        limiter = self.limiter(2, 60)
        self.assertTrue(all(limiter.admit("a", 0.1).retry_after_seconds is None for _ in range(20)))
        self.assertIsNotNone(limiter.admit("a", 0.1).retry_after_seconds)

    def test_taking_back(self) -> None:
        """What is taken back can be had again, and never more than that."""
        due_times = self.make_due_times()
        limiter = self.limiter(2, 60, due_times=due_times)
        first = limiter.admit("a")
        limiter.admit("a")
        due_times.push(first.key, self.now, -30.0, 60.0)
        self.assertEqual([limiter.admit("a").retry_after_seconds is None for _ in range(2)], [True, False])
        due_times.push("nobody", self.now, -30.0, 60.0)
        due_times.push("nobody", self.now, -30.0, 60.0)
        self.assertEqual(due_times.push("nobody", self.now, 30.0, 60.0), self.now + 30)

    def test_times_in_the_future(self) -> None:
        """Whatever is remembered, nobody waits for longer than the whole budget takes."""
        due_times = self.make_due_times()
        due_times.push(" a", self.now, 1e9, 1e9)
        limiter = self.limiter(10, 60, due_times=due_times)
        self.assertAlmostEqual(limiter.admit("a").retry_after_seconds or 0, 6.0, 5)

    def test_any_text_is_a_key(self) -> None:
        """Also one that is no Unicode."""
        limiter = self.limiter(1, 60)
        for key in ("", "\udcff", "\0", "x" * 10_000):
            self.assertIsNone(limiter.admit(key).retry_after_seconds)
            self.assertIsNotNone(limiter.admit(key).retry_after_seconds)

    @EACH_STORE
    @given(st.lists(st.floats(0, 3), max_size=80), st.integers(1, 20), st.integers(1, 10))
    def test_never_more_than_promised(self, pauses: list[float], requests: int, seconds: int) -> None:
        """In no window are more admitted than the burst and the rate together, and the wait it names is right."""
        limiter = self.limiter(requests, seconds)
        admitted = []
        for pause in pauses:
            self.now += pause
            wait = limiter.admit("a").retry_after_seconds
            if wait is not None:
                self.now += wait
                self.assertIsNone(limiter.admit("a").retry_after_seconds)
            admitted.append(self.now)
        for first, start in enumerate(admitted):
            for last in range(first, len(admitted)):
                allowed = requests + (admitted[last] - start) * requests / seconds
                self.assertLessEqual(last - first + 1, allowed + 1 + 2 * TOLERANCE)

    @EACH_STORE
    @given(st.integers(1, 50), st.integers(1, 20))
    def test_the_rate_itself_is_never_refused(self, requests: int, seconds: int) -> None:
        """A steady caller below the rate always passes."""
        limiter = self.limiter(requests, seconds)
        for _ in range(3 * requests):
            self.assertIsNone(limiter.admit("a").retry_after_seconds)
            self.now += seconds / requests

    @EACH_STORE
    @given(
        st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 20), st.sampled_from([0.1, 1.0])), max_size=60),
        st.integers(1, 12),
        st.integers(1, 60),
    )
    def test_like_the_model(self, calls: list[tuple[str, float, float]], requests: int, seconds: int) -> None:
        """Every verdict is what a plain budget would say, but for a thousandth of a request at the border."""
        limiter, model = self.limiter(requests, seconds), Model(Rate(requests, seconds))
        for key, pause, cost in calls:
            self.now += pause
            budget = model.budget(key, self.now)
            verdict = limiter.admit(key, cost)
            if abs(budget - cost) > 2 * TOLERANCE:
                self.assertEqual(verdict.retry_after_seconds is None, budget > cost)
            if verdict.retry_after_seconds is None:
                model.take(key, self.now, cost)
            left = model.budget(key, self.now) - verdict.remaining
            self.assertTrue(-3 * TOLERANCE <= left <= 1 + 3 * TOLERANCE, left)
