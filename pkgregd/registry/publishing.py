"""
From bytes to a published file, and nothing in between left behind.

A draft owns the sinks it opened. Whoever leaves it, by success, refusal or a client
that is gone, lets go of all of them; blobs that were made durable and not published
are removed, unless another upload of the same bytes needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import IO

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.clockwork import shielded, start
from pkgregd.errors import OutcomeUnknown, PkgregdError
from pkgregd.interfaces import IBlobSink, IBlobStore, ICatalog, IDraft, IEventSink, IInspections, Inspector
from pkgregd.registry.copies import is_unknown
from pkgregd.registry.deriving import Derivations
from pkgregd.registry.quotas import Allowance, MeteredSink
from pkgregd.values import BlobInfo, Digest, Event, Principal, Publication, Published, Settlement

log = Logger()

RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""How long to wait before each further try to remove a blob that was never published."""

UNSURE_SECONDS = 300.0
"""How long to wait before the first one where it is unknown: what was on its way to the server is there, or lost."""


class Leftovers:
    """
    Removes blobs that were made durable and not published.

    A blob cannot be taken while an upload with a neighbouring digest is between commit and
    publish: then it is tried again, in the background. What is left when the process ends is the
    sweep's; and so is what was published before and is not any more, which a backup may speak of.

    Args:
        clock: for the pauses between the tries.
    """

    def __init__(self, clock: IReactorTime, catalog: ICatalog, blobs: IBlobStore) -> None:
        self._clock = clock
        self._catalog = catalog
        self._blobs = blobs
        self._pauses: set[Deferred[None]] = set()
        self._is_closed = False

    async def remove(self, blob: BlobInfo) -> None:
        """Remove a blob unless the catalog knows it; returns after the first try. Never raises."""
        if not await self._try(blob):
            start(self._keep_trying(blob), "removing an unpublished blob")

    def remove_later(self, blob: BlobInfo) -> None:
        """Remove a blob unless the catalog knows it, once it is sure that no commit on its way will have it do so."""
        start(self._keep_trying(blob, (UNSURE_SECONDS, *RETRY_SECONDS)), "removing a blob that may be unpublished")

    async def _keep_trying(self, blob: BlobInfo, pauses: Sequence[float] = RETRY_SECONDS) -> None:
        for seconds in pauses:
            await self._pause(seconds)
            if self._is_closed or await self._try(blob):
                return
        log.info("an unpublished blob stays until the sweep", event="leftovers.stay", sha256=blob.sha256.hex)

    async def _try(self, blob: BlobInfo) -> bool:
        """Whether there is nothing more to do."""
        try:
            is_unpublished = partial(is_unknown, self._catalog, self._blobs, blob)
            return await self._blobs.remove(blob, is_unpublished) or not await is_unpublished()
        except PkgregdError as error:
            log.warn("an unpublished blob cannot be removed: {reason}", reason=str(error), event="leftovers.failed")
            return False

    async def _pause(self, seconds: float) -> None:
        if self._is_closed:
            return
        pause: Deferred[None] = Deferred()
        call = self._clock.callLater(seconds, pause.callback, None)
        self._pauses.add(pause)
        try:
            await pause
        finally:
            self._pauses.discard(pause)
            if call.active():
                call.cancel()

    async def close(self) -> None:
        """Stop trying."""
        self._is_closed = True
        for pause in list(self._pauses):
            pause.callback(None)


@implementer(IDraft)
class Draft:
    """
    See IDraft.

    Args:
        principal: who publishes.
        allowance: what it may add to its project; None where nothing limits that.
    """

    def __init__(
        self,
        catalog: ICatalog,
        blobs: IBlobStore,
        events: IEventSink,
        inspections: IInspections,
        leftovers: Leftovers,
        derivations: Derivations,
        principal: Principal,
        allowance: Allowance | None = None,
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._events = events
        self._inspections = inspections
        self._leftovers = leftovers
        self._derivations = derivations
        self._principal = principal
        self._allowance = allowance
        self._sinks: list[_WatchedSink] = []
        self._turn = DeferredLock()  # cleaning up waits for a publish that outlived its caller
        self._published: set[tuple[Digest, str]] = set()
        self._is_unsure = False

    async def open_sink(self, algorithms: Iterable[str] = ()) -> IBlobSink:
        """See IDraft."""
        if self._allowance is not None:
            await self._allowance.begin()
        opened = await self._blobs.open_sink(algorithms)
        sink = _WatchedSink(opened if self._allowance is None else MeteredSink(opened, self._allowance))
        self._sinks.append(sink)
        return sink

    async def inspect(self, blob: BlobInfo, inspector: Inspector, **arguments: object) -> Mapping[str, object]:
        """See IDraft."""
        source = await self._blobs.open_blob(blob)
        try:
            return await self._inspections.run(source, inspector, arguments)
        finally:
            await source.close()

    async def derive(
        self,
        blob: BlobInfo,
        pieces: Callable[[IO[bytes]], Iterator[bytes]],
        algorithms: Iterable[str] = (),
        expected: Sequence[Digest] = (),
    ) -> BlobInfo:
        """See IDraft."""
        sink = await self.open_sink(algorithms)
        source = await self._blobs.open_blob(blob)
        try:
            await self._derivations.fill(sink, source, pieces)
        finally:
            await source.close()
        return await sink.commit(expected)

    async def publish(self, publication: Publication) -> Published:
        """See IDraft."""
        (published,) = await self.publish_all((publication,))
        return published

    async def publish_all(self, publications: Sequence[Publication]) -> tuple[Published, ...]:
        """See IDraft."""
        committed = {(blob.sha256, blob.locator) for sink in self._sinks if (blob := sink.committed) is not None}
        if any((each.blob.sha256, each.blob.locator) not in committed for each in publications):
            raise RuntimeError("only a blob of this draft can be published")
        return await shielded(self._publish(publications))

    async def _publish(self, publications: Sequence[Publication]) -> tuple[Published, ...]:
        async with self._turn:
            settlement = None if self._allowance is None else self._allowance.settlement(publications)
            try:
                all_published = await self._commit(publications, settlement)
            except OutcomeUnknown:
                self._is_unsure = True
                raise
            if self._allowance is not None and settlement is not None:
                self._allowance.settled(settlement)
            kept = [published.file.blob for published in all_published]
            self._published.update((blob.sha256, blob.locator) for blob in kept)
            if self._blobs.has_copies:
                await self._choose_copies(publications, kept)
        for publication, published in zip(publications, all_published, strict=True):
            if published.created:
                where = publication.coordinates
                text = f"{where.name} {where.version} {where.file_name}"
                self._events.emit(Event("push_package", where.format, where.project_id, self._principal, text))
        return all_published

    async def _commit(
        self, publications: Sequence[Publication], settlement: Settlement | None
    ) -> tuple[Published, ...]:
        if len(publications) == 1:
            return (await self._catalog.publish(publications[0], self._principal, settlement),)
        return await self._catalog.publish_all(publications, self._principal, settlement)

    async def _choose_copies(self, publications: Sequence[Publication], kept: Sequence[BlobInfo]) -> None:
        """Put our copy in the place of one that was there before us and is damaged; else ours is superfluous."""
        for publication, blob in zip(publications, kept, strict=True):
            ours = publication.blob
            if ours.locator == blob.locator:
                continue
            try:
                if await self._blobs.stat(blob) == blob.size_bytes:
                    continue
                if await self._catalog.move_blob(ours.sha256, blob.locator, ours.locator):
                    self._published.add((ours.sha256, ours.locator))
            except PkgregdError:  # what was published stays so
                log.failure("a copy that was there before cannot be looked at", event="publish.copies")

    async def __aenter__(self) -> IDraft:
        """See IDraft."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """See IDraft."""
        await shielded(self._let_go())

    async def _let_go(self) -> None:
        async with self._turn:
            for sink in self._sinks:
                await sink.abort()
            if self._allowance is not None:
                await self._allowance.release()
            for sink in self._sinks:
                blob = sink.committed
                if blob is None or (blob.sha256, blob.locator) in self._published:
                    continue
                if self._is_unsure:
                    self._leftovers.remove_later(blob)  # the commit may come to pass after we have looked
                else:
                    await self._leftovers.remove(blob)


@implementer(IBlobSink)
class _WatchedSink:
    """
    A sink whose draft knows what was committed.

    Attributes:
        committed: the blob, once commit() has succeeded.
    """

    def __init__(self, sink: IBlobSink) -> None:
        self._sink = sink
        self.committed: BlobInfo | None = None

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See IBlobSink."""
        self._sink.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """See IBlobSink."""
        self._sink.unregisterProducer()

    def compute(self, algorithms: Iterable[str]) -> None:
        """See IBlobSink."""
        self._sink.compute(algorithms)

    def write(self, data: bytes) -> None:
        """See IBlobSink."""
        self._sink.write(data)

    async def abort(self) -> None:
        """See IBlobSink."""
        await self._sink.abort()

    @property
    def size_bytes(self) -> int:
        """See IBlobSink."""
        return self._sink.size_bytes

    async def commit(self, expected: Sequence[Digest] = ()) -> BlobInfo:
        """See IBlobSink."""
        self.committed = await self._sink.commit(expected)
        return self.committed
