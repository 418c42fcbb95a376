"""Bytes: sinks, sources and stores."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import IO

from twisted.internet.interfaces import IConsumer
from zope.interface import Attribute, Interface

from pkgregd.values import BlobInfo, ByteRange, Digest


class IBlobSink(IConsumer):
    """
    One push target for the bytes of one blob.

    * write() never blocks and never raises for I/O. A disk error is kept, the
      producer is told stopProducing(), and commit() raises it.
    * At high water the sink calls pauseProducing() on its producer, below low
      water resumeProducing(). A paused producer may still deliver what it had
      in hand (one read): the sink takes it. Without a producer nothing is paused.
    * resumeProducing() may call write() before it returns.
    * commit() makes the bytes durable and pins them: no remove() takes the blob
      until abort(). abort() before commit() throws the bytes away.
    * abort() may be called any number of times, also after commit(), when it
      only lets go of the pin. Every user of a sink ends with abort().

    Reactor: every method on the reactor thread; files are written and hashed on the blob threads.
    Cancellation: cancelling commit() abandons the wait, not the work.
    """

    size_bytes: int = Attribute("bytes taken by write() so far")

    def compute(algorithms: Iterable[str]) -> None:
        """
        Ask for more digests than open_sink() did.

        Args:
            algorithms: keys of HEX_LENGTHS; sha256 is always computed.

        Raises:
            RuntimeError: bytes have been written already and an algorithm is new.
        """

    async def commit(expected: Sequence[Digest] = ()) -> BlobInfo:
        """
        Finish: all bytes were written.

        Args:
            expected: digests the bytes must have; only of algorithms being computed.

        Returns:
            The durable, pinned blob, with every digest that was computed.

        Raises:
            DigestMismatch: nothing is stored.
            StorageFull: no space, quota or inodes; nothing is stored.
            Unavailable: another I/O error, logged; nothing is stored.
        """

    async def abort() -> None:
        """Let go: throw uncommitted bytes away, or unpin a committed blob. Never raises."""


class IKernelConsumer(IConsumer):
    """A consumer whose bytes the kernel may copy from a file to a socket, without a stop in memory."""

    def lend_socket() -> int | None:
        """
        Return a descriptor of the socket: not blocking, of the borrower, who closes it.

        Called before a producer is registered; as long as the socket is lent, nothing is written.

        Returns:
            None if bytes have to pass through write(): for TLS, or while written ones still wait.
        """

    def count_sent(size_bytes: int) -> None:
        """Take note of bytes that went by the socket. Nothing if the client left."""

    def wait_for_room() -> None:
        """Pause the producer until the socket takes bytes again. Nothing if the client left."""


class IBlobSource(Interface):
    """A blob, or a range of one, open for reading. Whoever opened it closes it."""

    info: BlobInfo = Attribute("the whole blob")
    size_bytes: int = Attribute("how many bytes push_to() delivers")
    shared_path: str | None = Attribute(
        "where the whole blob lies below the store's folder, for a proxy on this host; None if there is no such file, "
        "or its bytes are in hand"
    )
    may_redirect: bool = Attribute("whether redirect_url() may answer; False until who opened it says otherwise")

    def redirect_url(content_type: str, disposition: str) -> str | None:
        """
        Return where a client may fetch the whole blob itself, for some minutes and without a credential.

        Args:
            content_type, disposition: what it should be told there; empty for nothing.

        Returns:
            None if it has to come by push_to().
        """

    async def push_to(consumer: IConsumer) -> int:
        """
        Register as streaming producer and write all bytes.

        Pauses and resumes as the consumer asks. Unregisters when done or failed. Into an IKernelConsumer the kernel
        may copy instead.

        Returns:
            Bytes written, equal to size_bytes.

        Raises:
            BlobMissing: the bytes ended early (damage), or reading failed.
        Cancellation: stops producing and unregisters.
        """

    def open_seekable() -> IO[bytes]:
        """Open the whole blob for an archive reader. Worker thread only: it blocks."""

    async def close() -> None:
        """Release everything. Safe any number of times."""


class IBlobStore(Interface):
    """
    Immutable bytes by sha256.

    Equal sha256 means equal bytes; nothing is visible before commit; putting twice
    is fine. Where the digest says where bytes lie, putting again repairs a damaged blob; a store that
    has_copies keeps what was put again beside it, and its user says which copy is needed.
    """

    has_copies: bool = Attribute("whether equal bytes may lie at several locators: then remove() is about one of them")
    unsettled_seconds: float = Attribute(
        "how long after it was written a blob that no catalog knows may be of an upload of another living process, "
        "which remove() cannot see; 0 where it can"
    )

    async def open_sink(algorithms: Iterable[str] = ()) -> IBlobSink:
        """
        Start a blob; no I/O happens before the first write.

        Args:
            algorithms: digests wanted beside sha256.
        """

    async def open_blob(blob: BlobInfo, byte_range: ByteRange | None = None) -> IBlobSource:
        """
        Open for reading.

        Raises:
            BlobMissing: no bytes at the locator.
        """

    async def stat(blob: BlobInfo) -> int | None:
        """
        Return the stored length in bytes, or None if it is not there, or a damaged disk has lost it.

        Raises:
            Unavailable: the store does not answer, or lets nobody look.
        """

    def iter_blobs() -> AsyncIterator[tuple[BlobInfo, datetime.datetime]]:
        """Go through everything stored, in no order, with the time each was written."""

    async def remove(blob: BlobInfo, is_unused: Callable[[], Awaitable[bool]]) -> bool:
        """
        Remove a blob unless someone needs it.

        Args:
            is_unused: asked once no upload of the same bytes can be between commit and
                publish; the blob stays if it answers False.

        Returns:
            Whether the blob is gone now. False when it is pinned or in use.
        """

    async def recover(is_unused: Callable[[Digest], Awaitable[bool]]) -> int:
        """
        Clear what dead processes left: staging files, and blobs that were made durable but never published.

        Args:
            is_unused: whether no catalog row refers to this sha256.

        Returns:
            How many files were removed. Never touches what a living process is writing.
        """

    async def list_leftovers() -> tuple[str, ...]:
        """Name what dead processes left and recover() clears, each in words of the store."""

    async def check() -> None:
        """
        Find out whether writing would work now (for readiness).

        Raises:
            StorageFull: below the free-space reserve.
            Unavailable: the store cannot be written; the text says why.
        """

    async def close() -> None:
        """Wait for the threads to finish what they hold, then release them."""
