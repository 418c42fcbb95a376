"""Uploads into a file store: buffers, back-pressure and the order of the jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import cast

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IProducer, IPushProducer, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.blobs.folder import StagedFile
from pkgregd.blobs.operations import as_domain_error
from pkgregd.blobs.workers import IWorkers
from pkgregd.clockwork import shielded, start
from pkgregd.errors import PkgregdError, Unavailable
from pkgregd.interfaces import IBlobSink
from pkgregd.values import BlobInfo, Digest

log = Logger()

BATCH_BYTES = 1 << 20
"""What a sink gathers before it bothers a thread. A body below it costs one job, at commit."""

HIGH_WATER_BYTES = 2 << 20
"""With so much in memory a sink pauses its producer: one batch being written, the next one gathered."""

LOW_WATER_BYTES = 1 << 20
"""Down to this a paused producer goes on."""

IN_FLIGHT_BYTES = 32 << 20
"""What all uploads of a store hold in memory together before every producer is paused."""

COALESCED_BYTES = 4096
"""Pieces below this are joined, so that a body in tiny pieces costs no more memory than another."""

COALESCED_PIECE_BYTES = 64 << 10
"""How long a piece made of tiny ones grows."""

PIN_RETRY_SECONDS = 0.005
PIN_WAIT_SECONDS = 30.0
"""How long a commit waits while blobs of the same prefix are being removed."""


class InFlight:
    """
    The memory that all uploads of a store share.

    Above the limit every sink writes out what it holds, however little, and no
    producer goes on before half of the limit is free. So uploads that trickle
    cannot keep others out: what they sent is on disk by then.

    Args:
        limit_bytes: see IN_FLIGHT_BYTES. One read of one producer may still come on top.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.held_bytes = 0
        self.is_pressed = False
        self._limit_bytes = limit_bytes
        self._sinks: dict[FileBlobSink, None] = {}

    def join(self, sink: FileBlobSink) -> None:
        """Begin to tell a sink when the pressure changes."""
        self._sinks[sink] = None

    def quit(self, sink: FileBlobSink) -> None:
        """Stop to tell it."""
        self._sinks.pop(sink, None)

    def take(self, size_bytes: int) -> None:
        """Count bytes that came."""
        self.held_bytes += size_bytes
        if not self.is_pressed and self.held_bytes > self._limit_bytes:
            self.is_pressed = True
            self._tell()

    def give(self, size_bytes: int) -> None:
        """Count bytes that went."""
        self.held_bytes -= size_bytes
        if self.is_pressed and self.held_bytes <= self._limit_bytes // 2:
            self.is_pressed = False
            self._tell()

    def _tell(self) -> None:
        # one that goes on may change the pressure again at once: each acts on what holds when its turn comes
        for sink in list(self._sinks):
            sink.regulate()


class PieceBuffer:
    """Bytes in the order they came, in few pieces, never joined when they are big."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.pieces: list[bytes | bytearray] = []

    def append(self, data: bytes) -> None:
        """Take a piece."""
        self.size_bytes += len(data)
        if len(data) >= COALESCED_BYTES:
            self.pieces.append(data)
            return
        last = self.pieces[-1] if self.pieces else None
        if isinstance(last, bytearray) and len(last) < COALESCED_PIECE_BYTES:
            last += data
        else:
            self.pieces.append(bytearray(data))

    def take(self) -> list[bytes | bytearray]:
        """Hand everything over."""
        pieces, self.pieces, self.size_bytes = self.pieces, [], 0
        return pieces


@implementer(IBlobSink)
class FileBlobSink:
    """
    See IBlobSink.

    Jobs of one sink run one after the other; between them it lives on the reactor thread.

    Args:
        file: where the bytes go.
        workers: where its jobs run.
        clock: for waiting until the blob can be pinned.
        in_flight: the memory shared with the other sinks.
    """

    def __init__(self, file: StagedFile, workers: IWorkers, clock: IReactorTime, in_flight: InFlight) -> None:
        self.size_bytes = 0
        self._file = file
        self._workers = workers
        self._clock = clock
        self._in_flight = in_flight
        self._buffer = PieceBuffer()
        self._turn = DeferredLock()
        self._error: PkgregdError | None = None
        self._working_bytes = 0
        self._is_draining = False
        self._is_committing = False
        self._is_aborted = False
        self._producer: IProducer | None = None
        self._is_streaming = True
        self._is_paused = False
        self._is_pulling = False
        self._write_count = 0

    # ------------------------------------------------------------------ IConsumer

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Take a push producer, or a pull producer (streaming=False) which is asked until the buffer is full."""
        if self._producer is not None:
            raise RuntimeError("the sink has a producer already")
        if self._is_over:
            producer.stopProducing()
            return
        self._producer = producer
        self._is_streaming = streaming
        self._is_paused = False
        self._in_flight.join(self)
        self.regulate()
        self._pull()

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self._producer = None

    def write(self, data: bytes) -> None:
        """Take bytes; after a failure or abort() they are dropped."""
        if self._is_over:
            return
        if self._is_committing:
            raise RuntimeError("write() after commit()")
        self._in_flight.join(self)
        self.size_bytes += len(data)
        self._write_count += 1
        self._buffer.append(data if isinstance(data, bytes) else bytes(data))
        self._in_flight.take(len(data))
        self.regulate()
        self._pull()

    # ------------------------------------------------------------------ IBlobSink

    def compute(self, algorithms: Iterable[str]) -> None:
        """See IBlobSink."""
        missing = self._file.digester.missing(algorithms)
        if missing and self.size_bytes:
            raise RuntimeError(f"too late to compute {', '.join(missing)}")
        self._file.digester.add(missing)

    async def commit(self, expected: Sequence[Digest] = ()) -> BlobInfo:
        """See IBlobSink."""
        if self._is_committing or self._is_aborted:
            raise RuntimeError("a sink commits once, and not after abort()")
        missing = self._file.digester.missing(digest.algorithm for digest in expected)
        if missing:
            raise RuntimeError(f"{', '.join(missing)} was not computed")
        self._is_committing = True
        info = await shielded(self._commit(tuple(expected)))
        if info is None:
            raise RuntimeError("abort() overtook commit()")
        return info

    async def abort(self) -> None:
        """See IBlobSink."""
        self._is_aborted = True
        self._let_go()
        await shielded(self._discard_in_turn())

    # ------------------------------------------------------------------ flow

    @property
    def _is_over(self) -> bool:
        return self._is_aborted or self._error is not None

    def regulate(self) -> None:
        """Pause or resume the producer, and start writing if there is a reason to."""
        held_bytes = self._buffer.size_bytes + self._working_bytes
        if not self._is_paused:
            if self._in_flight.is_pressed or held_bytes >= HIGH_WATER_BYTES:
                self._is_paused = True
                if self._producer is not None and self._is_streaming:
                    cast(IPushProducer, self._producer).pauseProducing()
        elif not self._in_flight.is_pressed and held_bytes <= LOW_WATER_BYTES:
            self._is_paused = False
            if self._producer is not None and self._is_streaming:
                cast(IPushProducer, self._producer).resumeProducing()
            self._pull()
        if self._wants_to_write and not self._is_draining:
            self._is_draining = True
            start(self._drain(), "writing a blob")

    @property
    def _wants_to_write(self) -> bool:
        # paused: whoever waits for room must not wait for more bytes to come
        has_enough = self._buffer.size_bytes >= BATCH_BYTES or (self._is_paused and self._buffer.size_bytes > 0)
        return has_enough and not self._is_over and not self._is_committing

    def _pull(self) -> None:
        """Ask a pull producer for more, as long as it answers at once and there is room."""
        if self._is_pulling:
            return
        self._is_pulling = True
        try:
            seen_count = -1
            while self._producer is not None and not self._is_streaming and not self._is_paused:
                if self._write_count == seen_count:
                    return
                seen_count = self._write_count
                cast(IPushProducer, self._producer).resumeProducing()
        finally:
            self._is_pulling = False

    def _fail(self, error: OSError | PkgregdError) -> None:
        self._error = as_domain_error(error) if isinstance(error, OSError) else error
        self._let_go()

    def _let_go(self) -> None:
        """Drop the bytes that no job has, and the producer."""
        size_bytes = self._buffer.size_bytes
        self._buffer.take()
        self._in_flight.quit(self)
        producer, self._producer = self._producer, None
        self._in_flight.give(size_bytes)
        if producer is not None:
            producer.stopProducing()

    # ------------------------------------------------------------------ jobs, each in its turn

    async def _drain(self) -> None:
        async with self._turn:
            while self._wants_to_write:
                self._working_bytes = size_bytes = self._buffer.size_bytes
                try:
                    await self._workers.run(partial(self._file.append, self._buffer.take()))
                except (OSError, PkgregdError) as error:
                    self._fail(error)
                    await self._discard()
                except BaseException:
                    # whatever it was, bytes are missing now: there must be no commit
                    self._fail(Unavailable("the upload could not be written"))
                    raise
                finally:
                    self._working_bytes = 0
                    self._in_flight.give(size_bytes)
                self.regulate()
            self._is_draining = False

    async def _commit(self, expected: Sequence[Digest]) -> BlobInfo | None:
        async with self._turn:
            if self._error is not None:
                raise self._error
            if self._is_aborted:
                return None
            self._in_flight.quit(self)
            size_bytes = self._buffer.size_bytes
            try:
                return await self._place(expected)
            except (OSError, PkgregdError) as error:
                await self._discard()
                if isinstance(error, PkgregdError):
                    raise
                raise as_domain_error(error) from error
            finally:
                self._in_flight.give(size_bytes)

    async def _place(self, expected: Sequence[Digest]) -> BlobInfo:
        info = await self._workers.run(partial(self._file.commit, self._buffer.take(), expected))
        give_up_at = self._clock.seconds() + PIN_WAIT_SECONDS
        while info is None:
            # not a job that waits for the lock: its holder may need the same threads to let go of it
            if self._clock.seconds() >= give_up_at:
                raise Unavailable("a blob is being removed and does not come to an end")
            await deferLater(self._clock, PIN_RETRY_SECONDS)
            info = await self._workers.run(self._file.finish)
        return info

    async def _discard_in_turn(self) -> None:
        async with self._turn:
            await self._discard()

    async def _discard(self) -> None:
        if not self._file.is_on_disk:
            return
        try:
            await self._workers.run(self._file.discard)
        except Unavailable:
            log.info("an upload outlives its store; recovery will clear it away", event="blobs.late_discard")
