"""Rate limits."""

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.registry.limits import FAILURE_RATE, FAILURES, LocalDueTimes, PrefixLimits, address_key
from pkgregd.testing.limits_contract import RateLimiterContract
from pkgregd.values import ANONYMOUS, Principal, Rate, RateLimitRule, RouteClass, TokenKind

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

    def test_prefixes(self):
        """`:id` is any one segment; the longest prefix that fits decides; the rest is free."""
        limits = self.limits(RateLimitRule("/api/", Rate(20, 60), None), RateLimitRule(PACKAGES, Rate(5, 60), None))
        self.assertEqual(self.admitted(limits, PATH, user(1)), 5)
        self.assertEqual(self.admitted(limits, "/api/v4/groups/1/-/packages/pypi/simple/", user(1)), 20)
        self.assertEqual(self.admitted(limits, PACKAGES.replace(":id", "1").rstrip("/"), user(2)), 5)
        self.assertEqual(self.admitted(limits, "/-/livez", user(1)), 50)
        self.assertEqual(self.admitted(limits, "/api/v4/projects/1", user(1)), 0)
        self.assertEqual(self.admitted(limits, PATH, ANONYMOUS), 50)

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
        """An IPv6 host has one budget for its network; an IPv4 address is the same inside IPv6."""
        self.assertEqual(address_key("2001:db8::1"), address_key("2001:db8::ffff:2"))
        self.assertNotEqual(address_key("2001:db8::1"), address_key("2001:db8:0:1::1"))
        self.assertEqual(address_key("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(address_key("fe80::1%eth0"), address_key("fe80::2"))
        self.assertEqual(address_key(""), "")
