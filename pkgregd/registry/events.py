"""Where events go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.clockwork import Gathering
from pkgregd.interfaces import IEventSink, IMeasures
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import Event

PULLS_SECONDS = 60.0
"""How often pulls are told, in sum: each of them is a line of the access log already."""


@implementer(IEventSink)
class LogEvents:
    """
    Writes what happens to packages to the log, a moment later and what happened meanwhile together.

    Of pulls, of which there may be thousands a second, it tells once a minute how many there were.

    Args:
        clock: for gathering and summing up.
        measures: told of each.
    """

    log = Logger(namespace="pkgregd.events")

    def __init__(self, clock: IReactorTime, measures: IMeasures = UNMEASURED) -> None:
        self._clock = clock
        self._measures = measures
        self._events: Gathering[Event] = Gathering(clock, self._write)
        self._pulls: Counter[tuple[str, int]] = Counter()
        self._told_at = clock.seconds()

    def emit(self, event: Event) -> None:
        """See IEventSink."""
        self._measures.event_happened(event.name, event.format)
        if event.name != "pull_package":
            self._events.add(event)
            return
        self._pulls[event.format, event.project_id] += 1
        if self._clock.seconds() - self._told_at >= PULLS_SECONDS:
            self._tell_pulls()

    def flush(self) -> None:
        """Write what is not written yet."""
        self._events.flush()
        self._tell_pulls()

    def _write(self, events: Sequence[Event]) -> None:
        lines = "\n".join(
            f"{event.name} {event.format} in project {event.project_id} by {event.principal.name}: "
            f"{event.coordinates_text}"
            for event in events
        )
        self.log.info("{lines}", event="package.events", lines=lines, events=events)

    def _tell_pulls(self) -> None:
        """Tell how many pulls there were of each format in each project since the last time."""
        for (package_format, project_id), count in sorted(self._pulls.items()):
            self.log.info(
                "{count} pulls of {package_format} in project {project_id}",
                event="package.pulls",
                count=count,
                package_format=package_format,
                project_id=project_id,
            )
        self._pulls.clear()
        self._told_at = self._clock.seconds()


@implementer(IEventSink)
class NoEvents:
    """Drops them."""

    def emit(self, event: Event) -> None:
        """See IEventSink."""
