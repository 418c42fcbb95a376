"""
The room that uploads take in projects with a quota.

It is reserved before a byte of the body is read, grows while bytes come whose number was not told, and becomes what the
project uses in the transaction that publishes. A project without a quota knows nothing of all this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IProducer, IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.clockwork import start
from pkgregd.errors import PkgregdError, QuotaExceeded
from pkgregd.interfaces import LEASE_SECONDS, IBlobSink, IUsageCatalog
from pkgregd.values import BlobInfo, Digest, Incoming, Publication, Reservation, Settlement

log = Logger()

RENEWAL_SECONDS = LEASE_SECONDS / 3
"""How often reservations are renewed: two times may fail."""

LEAST_GROWTH_BYTES = 1 << 20
MOST_GROWTH_BYTES = 64 << 20
"""By how much a reservation grows at once: by as much as has come already, between these."""


class Quotas:
    """
    The reservations of this process.

    Args:
        catalog: where they are.
    """

    def __init__(self, catalog: IUsageCatalog) -> None:
        self._catalog = catalog
        self._held: set[str] = set()

    def allowance(self, project_id: int, quota_bytes: int, incoming: Incoming) -> Allowance:
        """Make the allowance of one upload; nothing is reserved yet."""
        return Allowance(self._catalog, self._held, Reservation.make(project_id, quota_bytes), incoming)

    async def renew(self) -> None:
        """Say that the uploads of this process go on; to be called every RENEWAL_SECONDS."""
        if self._held:
            await self._catalog.renew(sorted(self._held))


class Allowance:
    """
    What one upload may add to its project.

    Args:
        held: where the reservation is noted for as long as it is to be renewed.
        reservation: not made yet.
        incoming: how much is known to come.
    """

    def __init__(self, catalog: IUsageCatalog, held: set[str], reservation: Reservation, incoming: Incoming) -> None:
        self._catalog = catalog
        self._held = held
        self._reservation = reservation
        self._incoming = incoming
        self._turn = DeferredLock()
        self._has_begun = False
        self._held_bytes = 0
        self._taken_bytes = 0
        self._settled_bytes = 0

    async def begin(self) -> None:
        """Reserve room for what is known to come, the first time. Raises QuotaExceeded, ProjectNotFound."""
        async with self._turn:
            if self._has_begun:
                return
            least_bytes, most_bytes = self._incoming.least_bytes, self._incoming.most_bytes
            wanted_bytes = max(least_bytes, LEAST_GROWTH_BYTES) if most_bytes is None else most_bytes
            await self._reserve(least_bytes, wanted_bytes)
            self._has_begun = True

    def take(self, size_bytes: int) -> bool:
        """Count bytes that came; whether grow() is needed before they can be published."""
        self._taken_bytes += size_bytes
        return self._lacks

    @property
    def _lacks(self) -> bool:
        return self._taken_bytes - self._settled_bytes > self._held_bytes

    async def grow(self) -> None:
        """Reserve room for all that came, and some more if it was not all there. Raises QuotaExceeded."""
        async with self._turn:
            while self._lacks:
                needed_bytes = self._taken_bytes - self._settled_bytes
                growth_bytes = min(max(needed_bytes, LEAST_GROWTH_BYTES), MOST_GROWTH_BYTES)
                await self._reserve(needed_bytes, needed_bytes + growth_bytes)

    async def _reserve(self, needed_bytes: int, wanted_bytes: int) -> None:
        self._held.add(self._reservation.id)
        try:
            self._held_bytes = await self._catalog.reserve(self._reservation, needed_bytes, wanted_bytes)
        except QuotaExceeded:
            if not self._held_bytes:
                self._held.discard(self._reservation.id)  # there is nothing to release
            raise

    def settlement(self, publications: Iterable[Publication]) -> Settlement:
        """Say what becomes of the reservation when these are published."""
        published_bytes = sum(each.blob.size_bytes for each in publications)
        rest_bytes = self._taken_bytes - self._settled_bytes - published_bytes
        return Settlement(self._reservation, max(0, rest_bytes))

    def settled(self, settlement: Settlement) -> None:
        """Note that it became so."""
        self._settled_bytes = self._taken_bytes - settlement.keep_bytes
        self._held_bytes = settlement.keep_bytes
        if not settlement.keep_bytes:
            self._held.discard(self._reservation.id)

    async def release(self) -> None:
        """Give back what was not published; what cannot be given back runs out by itself. Never raises."""
        async with self._turn:
            if self._reservation.id not in self._held:
                return
            self._held.discard(self._reservation.id)
            try:
                await self._catalog.release(self._reservation.id)
            except PkgregdError:
                log.failure("a reservation cannot be released, and runs out", event="quotas.release_failed")


@implementer(IBlobSink, IPushProducer)
class MeteredSink:
    """
    A sink whose bytes count against an allowance.

    Towards the sink it is the producer, so that either may pause the real one: the sink until it has room in memory,
    and this until there is room in the project. If there is none the sink is aborted and the producer stopped;
    commit() tells why.
    """

    def __init__(self, sink: IBlobSink, allowance: Allowance) -> None:
        self._sink = sink
        self._allowance = allowance
        self._producer: IProducer | None = None
        self._is_streaming = True
        self._is_paused = False
        self._is_asked = False
        self._is_growing = False
        self._error: PkgregdError | None = None

    # ------------------------------------------------------------------ IConsumer

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See IBlobSink."""
        if self._error is not None:
            producer.stopProducing()
            return
        self._producer, self._is_streaming = producer, streaming
        self._is_paused = self._is_asked = False
        if self._is_growing and streaming:
            producer.pauseProducing()  # type: ignore[attr-defined]  # a streaming one can be paused
        self._sink.registerProducer(self, streaming)

    def unregisterProducer(self) -> None:
        """See IBlobSink."""
        self._producer = None
        self._sink.unregisterProducer()

    def write(self, data: bytes) -> None:
        """See IBlobSink."""
        if self._error is not None:
            return
        is_short = self._allowance.take(len(data))
        self._sink.write(data)
        if is_short and not self._is_growing:
            self._is_growing = True
            if self._is_streaming and not self._is_paused and self._producer is not None:
                self._producer.pauseProducing()  # type: ignore[attr-defined]  # a streaming one can be paused
            start(self._grow(), "reserving room for an upload")

    async def _grow(self) -> None:
        try:
            await self._allowance.grow()
        except PkgregdError as error:
            await self._give_up(error)
        finally:
            self._is_growing = False
        goes_on = not self._is_paused if self._is_streaming else self._is_asked
        self._is_asked = False
        if goes_on and self._producer is not None:
            self._producer.resumeProducing()  # type: ignore[attr-defined]  # both kinds can be resumed

    async def _give_up(self, error: PkgregdError) -> None:
        self._error = self._error or error
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        await self._sink.abort()

    # ------------------------------------------------------------------ the sink's producer

    def pauseProducing(self) -> None:
        """The sink is full."""
        self._is_paused = True
        if not self._is_growing and self._producer is not None:
            self._producer.pauseProducing()  # type: ignore[attr-defined]  # only a streaming one is paused

    def resumeProducing(self) -> None:
        """The sink has room, or asks for more."""
        self._is_paused = False
        if self._is_growing:
            self._is_asked = True
        elif self._producer is not None:
            self._producer.resumeProducing()  # type: ignore[attr-defined]  # both kinds can be resumed

    def stopProducing(self) -> None:
        """The sink has given up."""
        if self._producer is not None:
            self._producer.stopProducing()

    # ------------------------------------------------------------------ IBlobSink

    @property
    def size_bytes(self) -> int:
        """See IBlobSink."""
        return self._sink.size_bytes

    def compute(self, algorithms: Iterable[str]) -> None:
        """See IBlobSink."""
        self._sink.compute(algorithms)

    async def commit(self, expected: Sequence[Digest] = ()) -> BlobInfo:
        """See IBlobSink; raises QuotaExceeded too."""
        if self._error is None:
            try:
                await self._allowance.grow()
            except PkgregdError as error:
                await self._give_up(error)
        if self._error is not None:
            raise self._error
        return await self._sink.commit(expected)

    async def abort(self) -> None:
        """See IBlobSink."""
        await self._sink.abort()
