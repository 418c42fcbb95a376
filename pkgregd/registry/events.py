"""Where events go."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.interfaces import IEventSink
from pkgregd.values import Event

PULLS_SECONDS = 60.0
"""How often pulls are told, in sum: each of them is a line of the access log already."""


@implementer(IEventSink)
class LogEvents:
    """
    Writes each event as a structured line; of pulls, of which there may be thousands a second, how many there were.

    Args:
        now: seconds that never go back.
    """

    log = Logger(namespace="pkgregd.events")

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._pulls: Counter[tuple[str, int]] = Counter()
        self._told_at = now()

    def emit(self, event: Event) -> None:
        """See IEventSink."""
        if event.name == "pull_package":
            self._pulls[event.format, event.project_id] += 1
            if self._now() - self._told_at >= PULLS_SECONDS:
                self.tell_pulls()
            return
        self.log.info(
            "{name} {package_format} in project {project_id} by {principal}: {coordinates}",
            event=f"package.{event.name}",
            name=event.name,
            package_format=event.format,
            project_id=event.project_id,
            principal=event.principal.name,
            coordinates=event.coordinates_text,
        )

    def tell_pulls(self) -> None:
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
        self._told_at = self._now()


@implementer(IEventSink)
class NoEvents:
    """Drops them."""

    def emit(self, event: Event) -> None:
        """See IEventSink."""
