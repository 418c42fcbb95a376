"""Uploads into a store: buffers, back-pressure and the order of the jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IProducer, IPushProducer
from zope.interface import implementer

from pkgregd.blobs.digesting import Digester
from pkgregd.blobs.operations import as_domain_error
from pkgregd.clockwork import shielded, start
from pkgregd.errors import PkgregdError, Unavailable
from pkgregd.interfaces import IBlobSink
from pkgregd.values import BlobInfo, Digest

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
        self._sinks: dict[FlowingSink, None] = {}

    def join(self, sink: FlowingSink) -> None:
        """Begin to tell a sink when the pressure changes."""
        self._sinks[sink] = None

    def quit(self, sink: FlowingSink) -> None:
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
class FlowingSink:
    """
    The half of an IBlobSink that is alike for all stores: who is paused when, and what is done in which order.

    Jobs of one sink run one after the other; between them it lives on the reactor thread. A store derives from it and
    says what becomes of the bytes.

    Args:
        digester: computes the digests; used on one thread at a time.
        in_flight: the memory shared with the other sinks.
    """

    def __init__(self, digester: Digester, in_flight: InFlight) -> None:
        self.size_bytes = 0
        self._digester = digester
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

    # ------------------------------------------------------------------ what a store says

    async def _append(self, pieces: Sequence[bytes | bytearray]) -> None:
        """
        Hash and keep bytes, while more may come.

        Raises:
            OSError, PkgregdError: they are lost; discarding comes next.
        """
        raise NotImplementedError

    async def _place(self, pieces: Sequence[bytes | bytearray], expected: Sequence[Digest]) -> BlobInfo:
        """
        Take the last bytes, make the blob durable and pin it.

        Raises:
            OSError, PkgregdError: nothing of it may be visible; discarding comes next.
        """
        raise NotImplementedError

    async def _discard(self) -> None:
        """Throw away what was kept, or let go of the pin. Comes any number of times; never raises for I/O."""
        raise NotImplementedError

    def _hurry(self) -> None:
        """Give up what the present job waits for: its outcome is wanted by nobody any more."""

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
        missing = self._digester.missing(algorithms)
        if missing and self.size_bytes:
            raise RuntimeError(f"too late to compute {', '.join(missing)}")
        self._digester.add(missing)

    async def commit(self, expected: Sequence[Digest] = ()) -> BlobInfo:
        """See IBlobSink."""
        if self._is_committing or self._is_aborted:
            raise RuntimeError("a sink commits once, and not after abort()")
        missing = self._digester.missing(digest.algorithm for digest in expected)
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
        self._hurry()
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
                    await self._append(self._buffer.take())
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
                return await self._place(self._buffer.take(), expected)
            except (OSError, PkgregdError) as error:
                await self._discard()
                if isinstance(error, PkgregdError):
                    raise
                raise as_domain_error(error) from error
            finally:
                self._in_flight.give(size_bytes)

    async def _discard_in_turn(self) -> None:
        async with self._turn:
            await self._discard()
