"""Rate limits."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import RateLimited
from pkgregd.registry.limits import FAILURE_RATE, GCRA, PrefixLimits, address_key
from pkgregd.values import ANONYMOUS, Principal, Rate, RateLimitRule, TokenKind

PACKAGES = "/api/v4/projects/:id/packages/"
PATH = "/api/v4/projects/acme%2Ftools/packages/generic/a/1/f"


def user(number):
    """Make a user."""
    return Principal(f"user{number}", TokenKind.PERSONAL, number, number)


class GCRATests(SynchronousTestCase):
    """The algorithm."""

    def setUp(self):
        """Stop the clock."""
        self.now = 0.0

    def clock(self):
        """Tell the time."""
        return self.now

    def test_burst_then_rate(self):
        """All requests of a period may come at once; then one comes for each step."""
        limiter = GCRA(Rate(10, 5), self.clock)
        self.assertEqual([limiter.admit("a") is None for _ in range(12)], [True] * 10 + [False] * 2)
        self.assertAlmostEqual(limiter.admit("a"), 0.5)
        self.now = 0.5
        self.assertIsNone(limiter.admit("a"))
        self.assertIsNotNone(limiter.admit("a"))

    def test_keys_are_apart(self):
        """One caller's haste costs another nothing."""
        limiter = GCRA(Rate(1, 60), self.clock)
        limiter.admit("a")
        self.assertIsNotNone(limiter.admit("a"))
        self.assertIsNone(limiter.admit("b"))

    def test_memory_is_bounded(self):
        """The longest unseen callers are forgotten."""
        limiter = GCRA(Rate(1, 60), self.clock, max_keys=10)
        for number in range(1000):
            limiter.admit(str(number))
        self.assertEqual(len(limiter._due_at), 10)

    @given(st.lists(st.floats(0, 3), max_size=80), st.integers(1, 20), st.integers(1, 10))
    def test_never_more_than_promised(self, pauses, requests, seconds):
        """In no window are more admitted than the burst and the rate together, and the wait it names is right."""
        now = 0.0
        limiter = GCRA(Rate(requests, seconds), lambda: now)
        admitted = []
        for pause in pauses:
            now += pause
            wait = limiter.admit("a")
            if wait is None:
                admitted.append(now)
            else:
                now += wait
                self.assertIsNone(limiter.admit("a"))
                admitted.append(now)
        for first, start in enumerate(admitted):
            for last in range(first, len(admitted)):
                allowed = requests + (admitted[last] - start) * requests / seconds
                self.assertLessEqual(last - first + 1, allowed + 1 + 1e-6)

    @given(st.integers(1, 50), st.integers(1, 20))
    def test_the_rate_itself_is_never_refused(self, requests, seconds):
        """A steady caller below the rate always passes."""
        now = 0.0
        limiter = GCRA(Rate(requests, seconds), lambda: now)
        for _ in range(3 * requests):
            self.assertIsNone(limiter.admit("a"))
            now += seconds / requests


class PrefixTests(SynchronousTestCase):
    """Which rule counts, and for whom."""

    def limits(self, *rules):
        """Make limits with a stopped clock."""
        return PrefixLimits(rules, lambda: 0.0)

    def admitted(self, limits, path, principal, address="192.0.2.1", tries=50):
        """Count how many of some requests pass."""
        count = 0
        for _ in range(tries):
            try:
                limits.admit(path, principal, address)
            except RateLimited as error:
                self.assertGreater(error.retry_after_seconds, 0)
            else:
                count += 1
        return count

    def test_budgets(self):
        """A user has one budget over all tokens and addresses, an address one for all who are anonymous."""
        limits = self.limits(RateLimitRule(PACKAGES, Rate(5, 60), Rate(3, 60)))
        self.assertEqual(self.admitted(limits, PATH, user(1)), 5)
        self.assertEqual(self.admitted(limits, PATH, user(1), "192.0.2.9"), 0)
        self.assertEqual(self.admitted(limits, PATH, user(2)), 5)
        self.assertEqual(self.admitted(limits, PATH, ANONYMOUS), 3)
        self.assertEqual(self.admitted(limits, PATH, ANONYMOUS, "192.0.2.9"), 3)

    def test_prefixes(self):
        """`:id` is any one segment; the longest prefix that fits decides; the rest is free."""
        limits = self.limits(RateLimitRule("/api/", Rate(20, 60), None), RateLimitRule(PACKAGES, Rate(5, 60), None))
        self.assertEqual(self.admitted(limits, PATH, user(1)), 5)
        self.assertEqual(self.admitted(limits, "/api/v4/groups/1/-/packages/pypi/simple/", user(1)), 20)
        self.assertEqual(self.admitted(limits, PACKAGES.replace(":id", "1").rstrip("/"), user(2)), 5)
        self.assertEqual(self.admitted(limits, "/-/livez", user(1)), 50)
        self.assertEqual(self.admitted(limits, "/api/v4/projects/1", user(1)), 0)
        self.assertEqual(self.admitted(limits, PATH, ANONYMOUS), 50)

    def test_failures(self):
        """Failed credentials have a budget of their own, per address."""
        limits = self.limits()
        for _ in range(FAILURE_RATE.requests):
            limits.admit_failure("192.0.2.1")
        self.assertRaises(RateLimited, limits.admit_failure, "192.0.2.1")
        limits.admit_failure("192.0.2.2")

    def test_addresses(self):
        """An IPv6 host has one budget for its network; an IPv4 address is the same inside IPv6."""
        self.assertEqual(address_key("2001:db8::1"), address_key("2001:db8::ffff:2"))
        self.assertNotEqual(address_key("2001:db8::1"), address_key("2001:db8:0:1::1"))
        self.assertEqual(address_key("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(address_key("fe80::1%eth0"), address_key("fe80::2"))
        self.assertEqual(address_key(""), "")
