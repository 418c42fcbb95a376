"""Sending an open file by the kernel: from the page cache to the socket, without a stop in our memory."""

from __future__ import annotations

import enum
import errno
from functools import partial
from typing import Protocol

from attrs import frozen

from pkgregd.blobs.descriptor import Descriptor
from pkgregd.blobs.downloads import Downloads
from pkgregd.blobs.operations import as_read_error
from pkgregd.blobs.push import Tap
from pkgregd.blobs.workers import IWorkers
from pkgregd.errors import BlobMissing, ClientGone
from pkgregd.interfaces import IKernelConsumer
from pkgregd.values import ByteRange

JOB_BYTES = 4 << 20
"""What one job sends at most, so that downloads share the threads."""

_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""From file systems that cannot hand their pages over."""

_SOCKET_IS_LOST = frozenset(
    {
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
    }
)

HERE_BYTES = 1 << 20
"""What is sent at most on the reactor thread before it looks at others: some tenths of a millisecond."""


class SentFile(Protocol):
    """The file, open."""

    def send(self, socket_fd: int, offset: int, size_bytes: int) -> int:
        """
        Send at most so many bytes from an offset. Blocks for the disk, not for the socket.

        Returns:
            How many went, 0 at the end of the file. OSErrors may be the file's or the socket's.
        """

    def is_cached(self, offset: int, size_bytes: int) -> bool:
        """Whether that piece can be sent without a wait for the disk."""


class _End(enum.Enum):
    """Why a job sent no more."""

    DONE = "it was all, or enough for one job"
    FULL = "the socket takes no more for now"
    IMPOSSIBLE = "the kernel cannot send this file"


@frozen
class _Sent:
    """What came of a job."""

    size_bytes: int
    end: _End


async def send(
    consumer: IKernelConsumer,
    socket: Descriptor,
    file: SentFile,
    span: ByteRange,
    workers: IWorkers,
    downloads: Downloads,
) -> int:
    """
    Register as streaming producer, have all bytes of a span sent, unregister.

    What is in memory is sent on the reactor thread, since a thread takes longer to be asked than to send it; the rest
    on a thread.

    Args:
        socket: what the consumer lent.

    Returns:
        The bytes sent: all of the span, or fewer if the kernel cannot send this file.

    Raises:
        BlobMissing: the bytes end before the span does, or reading failed.
        ClientGone: the consumer said stopProducing(), or its socket takes nothing any more.
    """
    tap = Tap()
    consumer.registerProducer(tap, True)
    offset = span.start
    try:
        while offset < span.stop:
            await tap.opened()
            here_bytes = min(HERE_BYTES, span.stop - offset)
            is_here = downloads.may_use_reactor and file.is_cached(offset, here_bytes)
            if is_here:
                sent = downloads.run_here(partial(_send_some, socket, file, offset, here_bytes))
            else:
                wanted_bytes = min(JOB_BYTES, span.stop - offset)
                sent = await workers.run(partial(_send_some, socket, file, offset, wanted_bytes))
            consumer.count_sent(sent.size_bytes)
            offset += sent.size_bytes
            if sent.end is _End.IMPOSSIBLE:
                break
            if offset < span.stop and (is_here or sent.end is _End.FULL):
                consumer.wait_for_room()  # when there is some at once, others still come first
    finally:
        if not tap.is_stopped:
            consumer.unregisterProducer()
    return offset - span.start


def _send_some(socket: Descriptor, file: SentFile, start: int, wanted_bytes: int) -> _Sent:
    """Send until the socket is full or all is sent that was wanted. Blocks for the disk only."""
    sent_bytes = 0
    with socket.in_use() as socket_fd:
        if socket_fd is None:
            raise ClientGone
        while sent_bytes < wanted_bytes:
            try:
                count = file.send(socket_fd, start + sent_bytes, wanted_bytes - sent_bytes)
            except BlockingIOError:
                return _Sent(sent_bytes, _End.FULL)
            except OSError as error:
                if error.errno in _SOCKET_IS_LOST:
                    raise ClientGone from None
                if error.errno in _CANNOT:
                    return _Sent(sent_bytes, _End.IMPOSSIBLE)
                raise as_read_error(error) from error
            if not count:
                raise BlobMissing("a stored blob is shorter than it was")
            sent_bytes += count
    return _Sent(sent_bytes, _End.DONE)
