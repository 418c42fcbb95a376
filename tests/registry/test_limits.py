"""Rate limits."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.registry.gcra import LocalDueTimes
from pkgregd.registry.limits import (
    FAILURE_RATE,
    FAILURES,
    MAX_HOLD_SECONDS,
    MAX_KNOWN_PATHS,
    MAX_SPENT_SECONDS,
    PrefixLimits,
)
from pkgregd.registry.spent import SpentBudgets
from pkgregd.testing.limits_contract import RateLimiterContract
from pkgregd.values import ANONYMOUS, Principal, Rate, RateLimitRule, RouteClass, TokenKind, Verdict, address_key

PACKAGES = "/api/v4/projects/:id/packages/"
PATH = "/api/v4/projects/acme%2Ftools/packages/generic/a/1/f"


def user(number):
    """Make a user."""
    return Principal(f"user{number}", TokenKind.PERSONAL, number, number)


class LocalLimiterTests(RateLimiterContract, SynchronousTestCase):
    """The contract, in the memory of a process."""

    def make_due_times(self):
        """Make an empty one."""
        return LocalDueTimes()

    def test_memory_is_bounded(self):
        """The longest unseen callers are forgotten."""
        due_times = LocalDueTimes(max_keys=10)
        for number in range(1000):
            due_times.push(str(number), 0.0, 1.0, 60.0)
        self.assertEqual(len(due_times), 10)


class SpentTests(SynchronousTestCase):
    """What is known of a caller before anybody looks at who it is."""

    RULE = RateLimitRule(PACKAGES, Rate(5, 10), Rate(3, 60), "", RouteClass.PACKAGES)

    def setUp(self):
        """Stop the clock."""
        self.now = 1000.0
        self.due_times = LocalDueTimes()
        self.limits = self.make_limits()

    def make_limits(self):
        """Make those of a process."""
        return PrefixLimits([self.RULE], lambda: self.now, self.due_times)

    def admit(self, caller=b"alice", principal=None, cost=1.0):
        """Count a request of a caller, and return whether it passes."""
        verdict = self.limits.admit(PATH, principal or user(1), "192.0.2.1", RouteClass.PACKAGES, cost, lambda: caller)
        return verdict.retry_after_seconds is None

    def foretell(self, caller=b"alice", path=PATH, routes=RouteClass.PACKAGES, cost=1.0):
        """Say what is known of a caller."""
        return self.limits.foretell(path, lambda: caller, routes, cost)

    def spend(self, caller=b"alice"):
        """Spend all that a caller has."""
        while self.admit(caller):
            pass

    def test_nobody_is_known(self):
        """Nobody asks who it is as long as no budget is spent."""
        self.assertIsNone(self.limits.foretell(PATH, self.fail, RouteClass.PACKAGES))
        self.limits.admit(PATH, user(1), "192.0.2.1", RouteClass.PACKAGES, 1.0, self.fail)
        self.assertIsNone(self.limits.foretell(PATH, self.fail, RouteClass.PACKAGES))

    def test_the_same_verdict(self):
        """What is foretold is what would be said, and nothing is counted."""
        self.spend()
        self.now += 0.3
        foretold = [self.foretell() for _ in range(3)]
        said = self.limits.admit(PATH, user(1), "192.0.2.1", RouteClass.PACKAGES)
        self.assertEqual(foretold, [said] * 3)
        self.assertAlmostEqual(said.retry_after_seconds, 1.7)

    def test_known_with_the_last_request(self):
        """Whose budget was just spent is refused the next time without a look."""
        for _ in range(5):
            self.assertIsNone(self.foretell())
            self.assertTrue(self.admit())
        self.assertIsNotNone(self.foretell())

    def test_others(self):
        """Another token, address, path or kind of route is not held back."""
        self.spend()
        self.assertIsNone(self.foretell(b"bob"))
        self.assertIsNone(self.foretell(path="/api/v4/groups/1/-/packages/x"))
        self.assertIsNone(self.foretell(routes=RouteClass.MANAGEMENT))

    def test_cheap_requests(self):
        """A HEAD is refused only if a HEAD would be."""
        self.spend()
        self.now += 0.3
        self.assertIsNone(self.foretell(cost=0.1))
        self.assertIsNotNone(self.foretell(cost=1.0))

    def test_until_it_is_admitted(self):
        """From the time that was told there is a look at who it is again."""
        self.limits = PrefixLimits([RateLimitRule(PACKAGES, Rate(50, 10))], lambda: self.now)
        self.spend()
        self.now += 0.21
        self.assertIsNone(self.foretell())
        self.assertTrue(self.admit())

    def test_what_is_given_back(self):
        """Whoever had a request made cheaper is let in, also by a neighbour."""
        self.spend()
        refused = self.limits.admit(PATH, user(1), "192.0.2.1", RouteClass.PACKAGES)
        self.make_limits().give_back(refused, 0.9)
        self.assertIsNone(self.foretell(cost=0.9))
        self.assertIsNotNone(self.foretell(cost=1.0))

    def test_a_revoked_token(self):
        """However long the wait, its bearer learns after a second that it is none any more."""
        self.spend()
        self.now += MAX_SPENT_SECONDS - 0.01
        self.assertIsNotNone(self.foretell())
        self.now += 0.01
        self.assertIsNone(self.foretell())

    def test_bad_credentials(self):
        """Those that were shown too often are known, wherever they are shown; others from the address are looked at."""
        for _ in range(FAILURE_RATE.requests):
            self.limits.admit_failure("192.0.2.1", lambda: b"guess")
        self.assertEqual(self.foretell(b"guess").name, FAILURES)
        self.assertEqual(self.foretell(b"guess", "/x", RouteClass.MANAGEMENT).name, FAILURES)
        self.assertIsNone(self.foretell(b"alice"))

    @given(
        st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3), st.sampled_from([0.1, 1.0])), max_size=60),
        st.integers(1, 9),
    )
    def test_whoever_is_foretold_is_refused(self, calls, requests):
        """In whatever order callers with one budget come: none is held back whom admit() would let pass."""
        self.limits = PrefixLimits([RateLimitRule(PACKAGES, Rate(requests, 10))], lambda: self.now)
        for caller, pause, cost in calls:
            self.now += pause
            foretold = self.foretell(caller.encode(), cost=cost)
            passes = self.admit(caller.encode(), cost=cost)
            self.assertFalse(passes and foretold is not None)

    def test_memory_is_bounded(self):
        """The longest remembered callers are forgotten, and those whose time is over go first."""
        spent = SpentBudgets(lambda: self.now, max_callers=3)
        for number in range(5):
            spent.remember(b"%d" % number, ("limiter", "key"), 10.0)
        self.assertEqual([bool(spent.of(b"%d" % number)) for number in range(5)], [False, False, True, True, True])
        self.now += 11
        spent.remember(b"x", ("limiter", "key"), 10.0)
        self.assertEqual(len(spent), 1)


class HoldTests(SynchronousTestCase):
    """How long refusals are kept back."""

    def setUp(self):
        """Stop the clock."""
        self.now = 1000.0
        self.limits = PrefixLimits((), lambda: self.now)

    def hold(self, rate, key="user:1"):
        """Count a refusal."""
        return self.limits.hold_seconds(Verdict("x", rate, 0, 1.0, 1.0, key))

    def test_with_manners(self):
        """Twenty at once, and from time to time one more, are answered at once."""
        self.assertEqual([self.hold(Rate(1, 60)) for _ in range(20)], [0.0] * 20)
        for _ in range(50):
            self.now += 0.06
            self.assertEqual(self.hold(Rate(1, 60)), 0.0)

    def test_without_manners(self):
        """Each one more waits behind those before it, but none longer than a second; others do not wait."""
        waits = [self.hold(Rate(1, 60)) for _ in range(60)]
        self.assertEqual(waits[:20], [0.0] * 20)
        self.assertAlmostEqual(waits[20], 0.05)
        self.assertAlmostEqual(waits[29], 0.5)
        self.assertEqual(max(waits), MAX_HOLD_SECONDS)
        self.assertEqual(waits[-15:], [MAX_HOLD_SECONDS] * 15)
        self.assertEqual(self.hold(Rate(1, 60), "user:2"), 0.0)
        self.now += 2.1
        self.assertEqual([self.hold(Rate(1, 60)) for _ in range(20)], [0.0] * 20)

    def test_nothing_of_the_rate_is_lost(self):
        """One connection that is answered late still asks for all that it may have."""
        for rate in (Rate(20, 1), Rate(200, 1), Rate(1000, 15), Rate(1000, 1)):
            limits = PrefixLimits([RateLimitRule(PACKAGES, rate)], lambda: self.now)
            admitted = 0
            started_at = self.now
            while self.now < started_at + 40:
                verdict = limits.admit(PATH, user(1), "192.0.2.1", RouteClass.PACKAGES)
                if verdict.retry_after_seconds is None:
                    admitted += 1
                    self.now += 0.0002
                else:
                    self.now += 0.0001 + limits.hold_seconds(verdict)
            found = (admitted - rate.requests) / 40 / rate.requests * rate.seconds
            self.assertTrue(0.97 < found < 1.03, (rate, found))


class PrefixTests(SynchronousTestCase):
    """Which rule counts, and for whom."""

    def limits(self, *rules):
        """Make limits with a stopped clock."""
        return PrefixLimits(rules, lambda: 0.0)

    def admitted(self, limits, path, principal, address="192.0.2.1", routes=RouteClass.PACKAGES):
        """Count how many of fifty requests pass."""
        verdicts = [limits.admit(path, principal, address, routes) for _ in range(50)]
        waits = [verdict.retry_after_seconds for verdict in verdicts if verdict is not None]
        self.assertTrue(all(wait is None or wait > 0 for wait in waits))
        return len(verdicts) - sum(wait is not None for wait in waits)

    def test_budgets(self):
        """A user has one budget over all tokens and addresses, an address one for all who are anonymous."""
        limits = self.limits(RateLimitRule(PACKAGES, Rate(5, 60), Rate(3, 60)))
        self.assertEqual(self.admitted(limits, PATH, user(1)), 5)
        self.assertEqual(self.admitted(limits, PATH, user(1), "192.0.2.9"), 0)
        self.assertEqual(self.admitted(limits, PATH, user(2)), 5)
        self.assertEqual(self.admitted(limits, PATH, ANONYMOUS), 3)
        self.assertEqual(self.admitted(limits, PATH, ANONYMOUS, "192.0.2.9"), 3)

    def test_paths_without_end(self):
        """What is known of paths is bounded, and the rule is found all the same."""
        limits = self.limits(RateLimitRule(PACKAGES, Rate(5, 60), None))
        for number in range(MAX_KNOWN_PATHS + 10):
            limits.admit(f"/x/{number}", user(1), "192.0.2.1", RouteClass.PACKAGES)
        limits.admit("/x" * 1000, user(1), "192.0.2.1", RouteClass.PACKAGES)
        self.assertLessEqual(len(limits._found), MAX_KNOWN_PATHS)
        self.assertEqual(self.admitted(limits, PATH, user(1)), 5)
        self.assertEqual(self.admitted(limits, PATH, user(2), routes=RouteClass.MANAGEMENT), 5)

    def test_prefixes(self):
        """`:id` is any one segment; the longest prefix that fits decides; the rest is free."""
        limits = self.limits(RateLimitRule("/api/", Rate(20, 60), None), RateLimitRule(PACKAGES, Rate(5, 60), None))
        self.assertEqual(self.admitted(limits, PATH, user(1)), 5)
        self.assertEqual(self.admitted(limits, "/api/v4/groups/1/-/packages/pypi/simple/", user(1)), 20)
        self.assertEqual(self.admitted(limits, PACKAGES.replace(":id", "1").rstrip("/"), user(2)), 5)
        self.assertEqual(self.admitted(limits, "/-/livez", user(1)), 50)
        self.assertEqual(self.admitted(limits, "/api/v4/projects/1", user(1)), 0)
        self.assertEqual(self.admitted(limits, PATH, ANONYMOUS), 50)

    def test_the_longest_prefix(self):
        """It decides, wherever it stands in the file; what is named goes before what may be any segment."""
        prefixes = ["/api/v4/", "/api/v4/pack", "/api/v4/packages", "/api/v4/projects/:id/x/", "/api/v4/projects/7/x/"]
        for rules in itertools.permutations([RateLimitRule(prefix, Rate(1, 60), name=prefix) for prefix in prefixes]):
            limits = self.limits(*rules)
            for path, prefix in (
                ("/api/v4/version", "/api/v4/"),
                ("/api/v4/packs", "/api/v4/pack"),
                ("/api/v4/packages/npm/x", "/api/v4/packages"),
                ("/api/v4/projects/8/x/y", "/api/v4/projects/:id/x/"),
                ("/api/v4/projects/7/x/y", "/api/v4/projects/7/x/"),
                ("/api/v4/projects/%37/x/y", "/api/v4/projects/7/x/"),
            ):
                self.assertEqual(limits.admit(path, user(1), "192.0.2.1", RouteClass.PACKAGES).name, prefix, path)

    def test_any_segment_at_the_end(self):
        """It is what lies there, and below."""
        for path, count in (("/api/v4/projects/7", 5), ("/api/v4/projects/7/x", 5), ("/api/v4/projects", 50)):
            limits = self.limits(RateLimitRule("/api/v4/projects/:id", Rate(5, 60)))
            self.assertEqual(self.admitted(limits, path, user(1)), count)

    def test_classes(self):
        """A rule for one class of routes never counts another, whose requests go on to the next prefix."""
        packages = RateLimitRule(PACKAGES, Rate(5, 60), None, routes=RouteClass.PACKAGES)
        managing = RateLimitRule(PACKAGES, Rate(3, 60), None, routes=RouteClass.MANAGEMENT)
        limits = self.limits(RateLimitRule("/", Rate(20, 60), None), packages, managing)
        path = "/api/v4/projects/1/packages/5"
        self.assertEqual(self.admitted(limits, path, user(1), routes=RouteClass.MANAGEMENT), 3)
        self.assertEqual(self.admitted(limits, path, user(1)), 5)
        self.assertEqual(self.admitted(limits, path, user(1), routes=RouteClass.PAGES), 20)

    def test_names(self):
        """A limit has its own name or the one that GitLab has for such."""
        for rule, names in (
            (RateLimitRule("/", Rate(1, 1), Rate(1, 1), name="mine"), ["mine", "mine"]),
            (RateLimitRule("/", Rate(1, 1), Rate(1, 1), routes=RouteClass.PACKAGES),
             ["throttle_authenticated_packages_api", "throttle_unauthenticated_packages_api"]),
            (RateLimitRule("/", Rate(1, 1), Rate(1, 1)),
             ["throttle_authenticated_api", "throttle_unauthenticated_api"]),
        ):  # fmt: skip
            limits = self.limits(rule)
            found = [limits.admit("/x", who, "192.0.2.1", RouteClass.PACKAGES).name for who in (user(1), ANONYMOUS)]
            self.assertEqual(found, names)

    def test_giving_back(self):
        """What turned out to be cheap leaves room for more."""
        limits = self.limits(RateLimitRule(PACKAGES, Rate(2, 60), None))

        def admit():
            return limits.admit(PATH, user(1), "192.0.2.1", RouteClass.PACKAGES)

        for _ in range(10):
            limits.give_back(admit(), 0.9)
        self.assertEqual([admit().retry_after_seconds is None for _ in range(2)], [True, False])

    def test_one_state(self):
        """Two that share due times count together: requests and failures."""
        due_times = LocalDueTimes()
        rule = RateLimitRule(PACKAGES, Rate(5, 60), None)
        one, two = (PrefixLimits([rule], lambda: 0.0, due_times) for _ in range(2))
        self.assertEqual([self.admitted(limits, PATH, user(1)) for limits in (one, two)], [5, 0])
        for _ in range(FAILURE_RATE.requests):
            one.admit_failure("192.0.2.1")
        self.assertIsNotNone(two.admit_failure("192.0.2.1").retry_after_seconds)

    def test_failures(self):
        """Failed credentials have a budget of their own, per address."""
        limits = self.limits()
        for _ in range(FAILURE_RATE.requests):
            self.assertIsNone(limits.admit_failure("192.0.2.1").retry_after_seconds)
        refused = limits.admit_failure("192.0.2.1")
        self.assertEqual((refused.name, refused.retry_after_seconds), (FAILURES, 2.0))
        self.assertIsNone(limits.admit_failure("192.0.2.2").retry_after_seconds)

    def test_addresses(self):
        """An IPv6 host has one budget for its network; an IPv4 address is the same inside IPv6, translated or not."""
        self.assertEqual(address_key("2001:db8::1"), address_key("2001:db8::ffff:2"))
        self.assertNotEqual(address_key("2001:db8::1"), address_key("2001:db8:0:1::1"))
        self.assertEqual(address_key("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(address_key("64:ff9b::192.0.2.1"), "192.0.2.1")
        self.assertEqual(address_key("fe80::1%eth0"), address_key("fe80::2"))
        self.assertEqual(address_key(""), "")
