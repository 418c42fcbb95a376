"""Measures that go nowhere."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from pkgregd.interfaces import IMetrics
from pkgregd.values import Gauge, Outcome, Tally


@implementer(IMetrics)
class Unmeasured:
    """Forgets what it is told."""

    def request_ended(
        self,
        table: str,
        method: str,
        status: int,
        seconds: float,
        received_bytes: int,
        sent_bytes: int,
        refusal: str | None = None,
        is_known: bool = False,
    ) -> None:
        """See IMeasures."""

    def verb_ended(self, verb: str, seconds: float, outcome: Outcome) -> None:
        """See IMeasures."""

    def event_happened(self, name: str, format: str) -> None:
        """See IMeasures."""

    def s3_answered(self, kind: str, outcome: str, seconds: float) -> None:
        """See IMeasures."""

    def count(self, tally: Tally) -> None:
        """See IMeasures."""

    def watch(self, gauge: Gauge, read: Callable[[], float]) -> None:
        """See IMeasures."""

    def start(self) -> None:
        """See IMetrics."""

    def stop(self) -> None:
        """See IMetrics."""

    async def render(self) -> bytes:
        """See IMetrics."""
        return b""


UNMEASURED = Unmeasured()
