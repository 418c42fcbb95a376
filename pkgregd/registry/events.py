"""Where events go."""

from __future__ import annotations

from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.interfaces import IEventSink
from pkgregd.values import Event


@implementer(IEventSink)
class LogEvents:
    """Writes each event as a structured line."""

    log = Logger(namespace="pkgregd.events")

    def emit(self, event: Event) -> None:
        """See IEventSink."""
        self.log.info(
            "{name} {package_format} in project {project_id} by {principal}: {coordinates}",
            event=f"package.{event.name}",
            name=event.name,
            package_format=event.format,
            project_id=event.project_id,
            principal=event.principal.name,
            coordinates=event.coordinates_text,
        )


@implementer(IEventSink)
class NoEvents:
    """Drops them."""

    def emit(self, event: Event) -> None:
        """See IEventSink."""
