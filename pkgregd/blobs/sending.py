"""Sending an open file by the kernel: from the page cache to the socket, without a stop in our memory."""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable
from functools import partial

from attrs import frozen

from pkgregd.blobs.descriptor import Descriptor
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

SendPiece = Callable[[int, int, int], int]
"""
Sends to a socket, from an offset, so many bytes at most. Blocks for the disk, not for the socket.

Returns how many went, 0 at the end of the file. OSErrors may be the file's or the socket's.
"""


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
    consumer: IKernelConsumer, socket: Descriptor, send_piece: SendPiece, span: ByteRange, workers: IWorkers
) -> int:
    """
    Register as streaming producer, have all bytes of a span sent, unregister.

    Args:
        socket: what the consumer lent.
        send_piece: of the file.

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
            sent = await workers.run(partial(_send_some, socket, send_piece, offset, span.stop))
            consumer.count_sent(sent.size_bytes)
            offset += sent.size_bytes
            if sent.end is _End.IMPOSSIBLE:
                break
            if sent.end is _End.FULL:
                consumer.wait_for_room()
    finally:
        if not tap.is_stopped:
            consumer.unregisterProducer()
    return offset - span.start


def _send_some(socket: Descriptor, send_piece: SendPiece, start: int, stop: int) -> _Sent:
    """Send until the socket is full or the job has done its part. Blocks for the disk only."""
    wanted_bytes = min(stop - start, JOB_BYTES)
    sent_bytes = 0
    with socket.in_use() as socket_fd:
        if socket_fd is None:
            raise ClientGone
        while sent_bytes < wanted_bytes:
            try:
                count = send_piece(socket_fd, start + sent_bytes, wanted_bytes - sent_bytes)
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
