"""What is asked of the parts of a daemon, and for how long a balancer waits for it."""

from __future__ import annotations

import re
from typing import cast

from twisted.internet.defer import CancelledError, Deferred, FirstError, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.config import Config
from pkgregd.errors import Unavailable
from pkgregd.readiness import CHECK_SECONDS, Readiness, complaints
from pkgregd.service import Daemon
from tests.support.samples import FOLDER


async def works() -> None:
    """Be a part that works."""


async def fails() -> None:
    """Be one that does not."""
    raise Unavailable("it is away")


async def is_silent() -> None:
    """Be one that says nothing."""
    await Deferred()


class ComplaintsTests(SynchronousTestCase):
    """complaints()."""

    def test_what_is_wrong(self) -> None:
        """Parts are named, with what they say."""
        checks = {"one": works, "two": fails}
        self.assertEqual(self.successResultOf(ensureDeferred(complaints(Clock(), checks))), ["two: it is away"])

    def test_all_at_once(self) -> None:
        """Several silent parts take no longer than one."""
        clock = Clock()
        asking = ensureDeferred(complaints(clock, {"one": is_silent, "two": works, "three": is_silent}))
        self.assertNoResult(asking)
        clock.advance(CHECK_SECONDS)
        found = [text.partition(":")[0] for text in self.successResultOf(asking)]
        self.assertEqual((found, clock.getDelayedCalls()), (["one", "three"], []))

    def test_who_asks_leaves(self) -> None:
        """Nothing goes on, and nothing is logged."""
        clock = Clock()
        asking = ensureDeferred(complaints(clock, {"one": is_silent, "two": is_silent}))
        asking.addErrback(lambda _: None)
        asking.cancel()
        self.assertEqual(clock.getDelayedCalls(), [])


class ReadinessTests(SynchronousTestCase):
    """Readiness."""

    def setUp(self) -> None:
        """Have one part, which says when."""
        self.asked: list[Deferred[None]] = []
        self.clock = Clock()
        self.readiness = Readiness(self.clock, {"one": self.check})

    async def check(self) -> None:
        """Be asked."""
        self.asked.append(Deferred())
        await self.asked[-1]

    def test_many_who_ask_are_one_question(self) -> None:
        """All of them are told the same, also after the first one has left; the next one asks anew."""
        asking = [ensureDeferred(self.readiness.complaints()) for _ in range(5)]
        asking[0].cancel()
        self.failureResultOf(asking[0], CancelledError)
        self.asked[0].errback(Unavailable("it is away"))
        self.assertEqual([self.successResultOf(each) for each in asking[1:]], [["one: it is away"]] * 4)
        last = ensureDeferred(self.readiness.complaints())
        self.asked[1].callback(None)
        self.assertEqual((self.successResultOf(last), len(self.asked)), ([], 2))

    def test_a_bug_is_told(self) -> None:
        """What no part should raise reaches everybody who waits."""
        asking = [ensureDeferred(self.readiness.complaints()) for _ in range(2)]
        self.asked[0].errback(ZeroDivisionError())
        for each in asking:
            self.failureResultOf(each, FirstError)


class StoppingTests(SynchronousTestCase):
    """A daemon that is to stop."""

    def test_says_so_at_once(self) -> None:
        """No part is asked, so that a balancer sees it in time."""
        daemon = Daemon(Clock(), cast(Config, None))
        daemon.announce_stop()
        self.assertEqual(self.successResultOf(ensureDeferred(daemon.readiness())), ["the daemon is stopping"])


class SampleTests(SynchronousTestCase):
    """The sample for HAProxy."""

    def test_waits_for_longer(self) -> None:
        """A daemon that is ready, and slow to say so, stays in use."""
        found = re.findall(r"^ +timeout check ([0-9]+)s$", (FOLDER / "haproxy.cfg").read_text(), re.MULTILINE)
        self.assertEqual(len(found), 1)
        self.assertGreater(float(found[0]), CHECK_SECONDS)
