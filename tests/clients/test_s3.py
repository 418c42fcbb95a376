"""The store in a bucket of a real S3 service, over real connections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.s3 import S3BlobStore
from pkgregd.blobs.s3_agent import make_agent
from pkgregd.blobs.s3_bodies import bytes_body
from pkgregd.blobs.s3_client import S3Client, Timeouts
from pkgregd.blobs.s3_signing import Signer
from pkgregd.interfaces import IBlobStore
from pkgregd.testing.blob_store_contract import BlobStoreContract, sha256_of
from pkgregd.testing.blob_workers import InlineWorkers
from pkgregd.values import BlobInfo
from tests.support.daemon import wait_until
from tests.support.seaweedfs import KEYS, shared_seaweedfs

the_reactor: Any = reactor


def turn() -> None:
    """Let the reactor look at its connections."""
    the_reactor.iterate(0.001)


class SeaweedFSTests(BlobStoreContract, SynchronousTestCase):
    """S3BlobStore keeps the contract over SeaweedFS: a test waits where it asks for results."""

    def setUp(self) -> None:
        """Make a bucket; whatever a test does, no upload is left in it."""
        threads = the_reactor.getThreadPool()
        if not threads.started:  # the reactor does when it runs, and needs them to resolve names
            threads.start()
        self.place = shared_seaweedfs().new_place()
        self.agent, close = make_agent(reactor, None)
        self.client = S3Client(the_reactor, self.agent, Signer(self.place, KEYS), Timeouts())
        self.addCleanup(lambda: self.did(close()))
        self.addCleanup(lambda: self.assertEqual(self.did(self.uploads()), []))

    async def uploads(self) -> list[str]:
        """List unfinished uploads."""
        return [found.key async for found in self.client.list_uploads("")]

    def make_store(self) -> S3BlobStore:
        """Make a store whose errands end before the test does."""
        store = S3BlobStore(
            reactor,
            self.agent,
            Signer(self.place, KEYS),
            Path(self.mktemp()),
            threads=1,
            workers=InlineWorkers(),
            wait=lambda job: self.did(job()),
        )
        self.addCleanup(lambda: self.did(store.close()))
        return store

    def damage(self, store: IBlobStore, blob: BlobInfo, data: bytes | None) -> None:
        """Change the object behind the store's back."""
        self.did(self.client.delete(blob.locator))
        if data is not None:
            self.did(self.client.put(blob.locator, bytes_body([data], sha256_of(data).hex)))

    def pass_time(self, store: IBlobStore) -> None:
        """Let what is under way go on."""
        self.wait_for(deferLater(the_reactor, 0.2))

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the reactor run until something holds."""

        def holds() -> bool:
            turn()
            return condition()

        wait_until(holds, "it")

    def wait_for(self, result: Any) -> None:
        """Let the reactor run until a result is there."""
        waiting: Deferred[Any] = result
        self.until(lambda: waiting.called and not waiting.paused)

    def successResultOf(self, deferred: Any) -> Any:
        """Wait, then see."""
        deferred = ensureDeferred(deferred)
        self.wait_for(deferred)
        return super().successResultOf(deferred)

    def failureResultOf(self, deferred: Any, *expected: Any) -> Any:
        """Wait, then see."""
        deferred = ensureDeferred(deferred)
        self.wait_for(deferred)
        return super().failureResultOf(deferred, *expected)
