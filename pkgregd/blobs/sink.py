"""Uploads into a file store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from pkgregd.blobs.flow import FlowingSink, InFlight
from pkgregd.blobs.folder import StagedFile
from pkgregd.blobs.workers import IWorkers
from pkgregd.errors import Unavailable
from pkgregd.interfaces import IBlobSink
from pkgregd.values import BlobInfo, Digest

log = Logger()

PIN_RETRY_SECONDS = 0.005
PIN_WAIT_SECONDS = 30.0
"""How long a commit waits while blobs of the same prefix are being removed."""


@implementer(IBlobSink)
class FileBlobSink(FlowingSink):
    """
    See IBlobSink.

    Args:
        file: where the bytes go.
        workers: where its jobs run.
        clock: for waiting until the blob can be pinned.
        in_flight: the memory shared with the other sinks.
    """

    def __init__(self, file: StagedFile, workers: IWorkers, clock: IReactorTime, in_flight: InFlight) -> None:
        super().__init__(file.digester, in_flight)
        self._file = file
        self._workers = workers
        self._clock = clock

    async def _append(self, pieces: Sequence[bytes | bytearray]) -> None:
        await self._workers.run(partial(self._file.append, pieces))

    async def _place(self, pieces: Sequence[bytes | bytearray], expected: Sequence[Digest]) -> BlobInfo:
        info = await self._workers.run(partial(self._file.commit, pieces, expected))
        give_up_at = self._clock.seconds() + PIN_WAIT_SECONDS
        while info is None:
            # not a job that waits for the lock: its holder may need the same threads to let go of it
            if self._clock.seconds() >= give_up_at:
                raise Unavailable("a blob is being removed and does not come to an end")
            await deferLater(self._clock, PIN_RETRY_SECONDS)
            info = await self._workers.run(self._file.finish)
        return info

    async def _discard(self) -> None:
        if not self._file.is_on_disk:
            return
        try:
            await self._workers.run(self._file.discard)
        except Unavailable:
            log.info("an upload outlives its store; recovery will clear it away", event="blobs.late_discard")
