"""The access log: what it says, and when."""

import json
import timeit

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.clockwork import GATHER_SECONDS, MAX_GATHERED
from pkgregd.http.accesslog import MAX_AGENT_CHARACTERS, AccessLog
from pkgregd.secrecy import without_secrets
from tests.http.front import FrontCase


class GatheringTests(SynchronousTestCase):
    """Lines that share one record of the logger."""

    def setUp(self):
        """Make a log that the test reads."""
        self.clock = Clock()
        self.records = []
        self.log = AccessLog(self.clock, self)

    def info(self, format, **fields):
        """Stand in for a Logger."""
        self.assertEqual(format, "{lines}")
        self.records.append([json.loads(line) for line in fields["lines"].split("\n")])
        self.assertEqual(self.records[-1], list(fields["requests"]))

    def test_a_moment_later(self):
        """What comes within a moment is written together, in order, and with its own time."""
        for number in range(3):
            self.log.refused("192.0.2.1", 400, f"reason {number}")
        self.assertEqual(self.records, [])
        self.clock.advance(GATHER_SECONDS)
        ((first, *_, last),) = self.records
        self.assertEqual((first["refused"], last["refused"]), ("reason 0", "reason 2"))
        self.assertRegex(first["time"], r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z$")

    def test_memory_is_bounded(self):
        """Many at once do not wait."""
        for _ in range(MAX_GATHERED + 1):
            self.log.refused("192.0.2.1", 400, "reason")
        self.assertEqual(list(map(len, self.records)), [MAX_GATHERED])
        self.clock.advance(GATHER_SECONDS)
        self.assertEqual(list(map(len, self.records)), [MAX_GATHERED, 1])

    def test_flush(self):
        """At the end nothing stays behind, and nothing is written twice."""
        self.log.refused("192.0.2.1", 400, "reason")
        self.log.flush()
        self.log.flush()
        self.clock.advance(GATHER_SECONDS)
        self.assertEqual(list(map(len, self.records)), [1])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AgentTests(FrontCase):
    """What a client calls itself."""

    def agent(self, text):
        """Return what is logged of it."""
        records = []
        self.factory.access_log._log = self
        self.info = lambda format, **fields: records.extend(fields["requests"])
        self.client.request("GET", "/-/livez", {"User-Agent": text})
        self.factory.access_log.flush()
        return records[0]["agent"]

    def test_a_secret_at_the_end(self):
        """What begins within what is written is taken out, however long it is."""
        for secret in (
            "Bearer " + "s" * 5000,
            "pkgr_usr_" + "a" * 12 + "_" + "s" * 5000,
            "http://u:" + "s" * 1000 + "@x",
        ):
            for before in range(160, 200):
                logged = self.agent("x" * before + " " + secret)
                self.assertNotIn("ss", logged)
                self.assertTrue(logged.startswith("x" * before))

    def test_a_long_one_costs_little(self):
        """However long, it is not searched longer than what is written of it asks for."""
        text = "token" + ":" * 30_000
        self.assertEqual(len(self.agent(text)), MAX_AGENT_CHARACTERS)
        seconds = min(timeit.repeat(lambda: self.agent(text), number=1, repeat=5))
        self.assertLess(seconds, min(timeit.repeat(lambda: without_secrets(text), number=1, repeat=5)) / 2)
