"""Measures that are kept for a test to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from zope.interface import implementer

from pkgregd.interfaces import IMetrics
from pkgregd.unmeasured import Unmeasured
from pkgregd.values import Gauge, Outcome, Tally


@implementer(IMetrics)
class KeptMeasures(Unmeasured):
    """
    See IMetrics.

    Attributes:
        requests: table, method, status, received and sent bytes, refusal, and whether it was known who asked.
        verbs, events, s3: how often there was each kind.
        tallies: the counts.
        gauges: the readers.
        page: what is rendered.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, int, int, int, str | None, bool]] = []
        self.verbs: Counter[tuple[str, Outcome]] = Counter()
        self.events: Counter[tuple[str, str]] = Counter()
        self.s3: Counter[tuple[str, str]] = Counter()
        self.tallies: Counter[Tally] = Counter()
        self.gauges: dict[Gauge, Callable[[], float]] = {}
        self.page = b"pages 1\n"

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
        self.requests.append((table, method, status, received_bytes, sent_bytes, refusal, is_known))

    def verb_ended(self, verb: str, seconds: float, outcome: Outcome) -> None:
        """See IMeasures."""
        self.verbs[verb, outcome] += 1

    def event_happened(self, name: str, format: str) -> None:
        """See IMeasures."""
        self.events[name, format] += 1

    def s3_answered(self, kind: str, outcome: str, seconds: float) -> None:
        """See IMeasures."""
        self.s3[kind, outcome] += 1

    def count(self, tally: Tally) -> None:
        """See IMeasures."""
        self.tallies[tally] += 1

    def watch(self, gauge: Gauge, read: Callable[[], float]) -> None:
        """See IMeasures."""
        self.gauges[gauge] = read

    async def render(self) -> bytes:
        """See IMetrics."""
        return self.page
