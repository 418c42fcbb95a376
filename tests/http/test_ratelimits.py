"""What answers tell of rate limits, and what counts as how much."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.http.ratelimits import CHEAP_COST, limit_headers
from pkgregd.testing.client import ClientReply
from pkgregd.values import Page, PageBody, Rate, Reply, RouteClass, Verdict
from tests.http.front import BASE, FrontCase

NAMES = ("ratelimit-limit", "ratelimit-name", "ratelimit-observed", "ratelimit-remaining", "ratelimit-reset")
PASSED = Verdict("packages", Rate(1000, 15), 990, 0.15, None)
REFUSED = Verdict("packages", Rate(1000, 15), 0, 15.0, 1.2)


class HeaderTests(SynchronousTestCase):
    """A verdict in headers."""

    def test_names_and_numbers(self) -> None:
        """The limit is for a minute; the others are about the limit as it is, and the end is a time."""
        found = dict(limit_headers(PASSED))
        reset_at = int(found.pop("RateLimit-Reset"))
        self.assertTrue(time.time() <= reset_at + 0.2 <= time.time() + 5, reset_at)
        self.assertEqual(
            found,
            {
                "RateLimit-Limit": "4000",
                "RateLimit-Name": "packages",
                "RateLimit-Observed": "10",
                "RateLimit-Remaining": "990",
            },
        )

    def test_slow_rates(self) -> None:
        """Less than one a minute is told as one."""
        slow = Verdict("x", Rate(5, 3600), 5, 0.0, None)
        self.assertEqual(dict(limit_headers(slow))["RateLimit-Limit"], "1")

    def test_refused(self) -> None:
        """The end is told as a date as well."""
        found = dict(limit_headers(REFUSED))
        date = parsedate_to_datetime(found["RateLimit-ResetTime"])
        self.assertEqual(int(date.timestamp()), int(found["RateLimit-Reset"]))
        self.assertEqual(found["RateLimit-Remaining"], "0")


class AnswerTests(FrontCase):
    """Which answers carry them."""

    def assert_told(self, reply: ClientReply, status: int, name: str = "packages") -> None:
        """An answer says where its client stands."""
        self.assertEqual(reply.status, status)
        self.assertEqual([header for header in NAMES if header not in reply.headers], [])
        self.assertEqual(reply.headers["ratelimit-name"], name)

    def test_whatever_comes_of_a_request(self) -> None:
        """Answers, pages, answers without a body, refusals and bugs tell alike."""
        self.world.verdict = PASSED
        self.assert_told(self.get(), 200)
        self.assert_told(self.client.request("HEAD", BASE + "/n/f"), 200)
        for error, status in (
            (errors.PackageNotFound(), 404),
            (errors.Unavailable("busy"), 503),
            (errors.BodyTooLarge(1), 413),
            (errors.StorageFull(), 507),
        ):
            self.result = error
            self.assert_told(self.get(), status)
        self.result = Reply(200, b"hello", "text/plain", etag="x")
        self.assert_told(self.get(If_None_Match='"x"'), 304)
        self.assert_told(self.get(If_Match='"y"'), 412)
        self.world.demand_error = errors.PermissionDenied("read_package")
        self.assert_told(self.get(), 403)

    def test_an_answer_that_fails_when_it_is_sent(self) -> None:
        """What is only known while the answer is made is told with the refusal."""

        async def fail() -> Page:
            raise errors.Unavailable("busy")

        self.world.verdict = PASSED
        self.result = Reply(200, PageBody(fail), "text/plain", etag="x")
        self.assert_told(self.get(), 503)

    def test_refused(self) -> None:
        """A request too many reaches no guard behind it, and learns in whole seconds when to come back."""
        self.world.verdict = REFUSED
        reply = self.get()
        self.assert_told(reply, 429)
        self.assertEqual(reply.headers["retry-after"], "2")
        self.assertIn("ratelimit-resettime", reply.headers)
        self.assertEqual((self.calls, self.world.asked), ([], []))

    def test_no_rule(self) -> None:
        """Where no rule holds nothing is told."""
        self.assertEqual([name for name in self.get().headers if name.startswith("ratelimit")], [])
        self.assertEqual([name for name in self.client.request("GET", "/-/livez").headers if "ratelimit" in name], [])

    def test_bad_credentials(self) -> None:
        """They are counted by themselves: the answer tells of that limit, which may be used up."""
        self.world.verdict = PASSED
        self.world.credential_error = errors.InvalidCredentials()
        self.assert_told(self.get(), 401, "failed")
        self.assertEqual(self.world.admitted, [])
        self.world.failure_verdict = REFUSED
        self.assert_told(self.get(), 429)


class CostTests(FrontCase):
    """What counts as how much, and for whom."""

    def test_what_is_counted(self) -> None:
        """The path, the caller, the class of the route; a HEAD is cheap."""
        self.get(Authorization="Bearer x")
        self.client.request("HEAD", BASE + "/n/f")
        path = BASE + "/n/f"
        self.assertEqual(
            self.world.admitted,
            [
                (path, "alice", "192.0.2.1", RouteClass.PACKAGES, 1.0),
                (path, "anonymous", "192.0.2.1", RouteClass.PACKAGES, CHEAP_COST),
            ],
        )

    def test_unchanged(self) -> None:
        """A GET that finds nothing new gets most of its cost back; one that finds something does not."""
        self.world.verdict = PASSED
        self.result = Reply(200, b"hello", "text/plain", etag="x")
        self.get(If_None_Match='"y"')
        self.assertEqual(self.world.given_back, [])
        self.get(If_None_Match='"x"')
        self.assertEqual(self.world.given_back, [(PASSED, 1.0 - CHEAP_COST)])
        self.client.request("HEAD", BASE + "/n/f", {"If-None-Match": '"x"'})
        self.assertEqual(len(self.world.given_back), 1)
        for headers in ({"If_None_Match": "*"}, {"If_None_Match": '"x"', "If_Match": "*"}):
            self.assertEqual(self.get(**headers).status, 304)
            self.assertEqual(len(self.world.given_back), 1)
