"""Events as lines of the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.clockwork import GATHER_SECONDS
from pkgregd.registry.events import PULLS_SECONDS, LogEvents
from pkgregd.testing.measures import KeptMeasures
from pkgregd.values import ANONYMOUS, Event


class LogEventsTests(SynchronousTestCase):
    """What is written, and when."""

    def setUp(self) -> None:
        """Read the log."""
        self.clock = Clock()
        self.measures = KeptMeasures()
        self.events = LogEvents(self.clock, self.measures)
        self.seen: list[Any] = []
        globalLogPublisher.addObserver(self.seen.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.seen.append)

    def emit(self, name: str, project_id: int = 1) -> None:
        """Let something happen."""
        self.events.emit(Event(name, "pypi", project_id, ANONYMOUS, "demo 1.0 demo.whl"))

    def test_pushes_are_told_together(self) -> None:
        """A moment later, in order, each in a line with who, what and where."""
        self.emit("push_package")
        self.emit("delete_package", 2)
        self.assertEqual(self.seen, [])
        self.clock.advance(GATHER_SECONDS)
        (record,) = self.seen
        self.assertEqual(
            record["lines"].split("\n"),
            [
                "push_package pypi in project 1 by anonymous: demo 1.0 demo.whl",
                "delete_package pypi in project 2 by anonymous: demo 1.0 demo.whl",
            ],
        )
        self.assertEqual([event.name for event in record["events"]], ["push_package", "delete_package"])

    def test_pulls_are_told_in_sum(self) -> None:
        """Once a minute, for each project; and what is left at the end."""
        for project_id in (1, 2, 1):
            self.emit("pull_package", project_id)
        self.assertEqual(self.measures.events, {("pull_package", "pypi"): 3})
        self.assertEqual(self.seen, [])
        self.clock.advance(PULLS_SECONDS)
        self.emit("pull_package")
        self.assertEqual([(event["project_id"], event["count"]) for event in self.seen], [(1, 3), (2, 1)])
        self.emit("pull_package", 3)
        self.events.flush()
        self.events.flush()
        self.assertEqual([(event["project_id"], event["count"]) for event in self.seen[2:]], [(3, 1)])
