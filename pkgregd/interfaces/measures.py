"""What a daemon tells about itself, to be read by a monitoring system."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import Interface

from pkgregd.values import Gauge, Outcome, Tally


class IMeasures(Interface):
    """
    Where what happens is noted.

    Nothing here waits, raises, or takes more than a microsecond. No argument that names a kind is a client's words:
    each kind is kept for ever.

    Reactor: every method on the reactor thread.
    """

    def request_ended(
        table: str,
        method: str,
        status: int,
        seconds: float,
        received_bytes: int,
        sent_bytes: int,
        refusal: str | None = None,
        is_known: bool = False,
    ) -> None:
        """
        Note the end of a request.

        Args:
            table: whose route it was.
            method: as the client wrote it; unknown ones are put together.
            status: 499 when the client left before there was one.
            received_bytes, sent_bytes: of the bodies.
            refusal: the code of the error that it was answered with.
            is_known: whether it was found out who asked; not for whoever shows no token.
        """

    def verb_ended(verb: str, seconds: float, outcome: Outcome) -> None:
        """Note the end of a verb of the catalog, with the time in which it waited."""

    def event_happened(name: str, format: str) -> None:
        """Note something that happened to a package."""

    def s3_answered(kind: str, outcome: str, seconds: float) -> None:
        """
        Note the end of one try of a request to an S3 service.

        Args:
            outcome: class of the status, such as `2xx`; `none` without an answer.
        """

    def count(tally: Tally) -> None:
        """Add one."""

    def watch(gauge: Gauge, read: Callable[[], float]) -> None:
        """Have something read about once a second from now on; several readers of one gauge are added up."""


class IMetrics(IMeasures):
    """What was noted, as a page."""

    def start() -> None:
        """Begin to read gauges, and to measure the reactor."""

    def stop() -> None:
        """End that, and keep what was noted. Safe to call again."""

    async def render() -> bytes:
        """
        Write it all in Prometheus' text format, of every process of this host that keeps its numbers in one folder.

        Raises:
            Unavailable: it takes too long.

        Reactor: the work is done on a thread, once for all that ask meanwhile.
        """
