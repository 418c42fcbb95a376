"""
Measures as Prometheus reads them.

The only part that knows prometheus_client; that is imported when a daemon opens its measures, and by no command.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from pkgregd.errors import Unavailable
from pkgregd.interfaces import IMetrics
from pkgregd.unmeasured import Unmeasured

log = Logger()

__all__ = ["open_metrics"]


class Roomless(Unmeasured):
    """Measures nothing, for want of room, and does not pretend that there was nothing."""

    async def render(self) -> bytes:
        """See IMetrics."""
        raise Unavailable("this process measures nothing: there was no room for it when it began")


def open_metrics(reactor: Any, release: str) -> IMetrics:
    """
    Open the measures of this process.

    With PROMETHEUS_MULTIPROC_DIR in the environment they are kept in files of that folder, which is made if it is
    missing, and pages are about all processes whose files are there; see `workers` for who looks after it. Without
    room for them nothing is measured, and everything else goes on.

    Args:
        reactor: provides IReactorTime, IReactorThreads.
        release: version of pkgregd.
    """
    from pkgregd.metrics.workers import make_folder

    try:
        make_folder()  # before prometheus_client is imported, which looks for it then
        from pkgregd.metrics.measures import Measures
        from pkgregd.metrics.room import have_room

        have_room()
        return Measures(reactor, release)
    except OSError as error:
        log.error("nothing is measured by this process: {reason}", reason=str(error), event="metrics.unmeasured")
        return Roomless()
