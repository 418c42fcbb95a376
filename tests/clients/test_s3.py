"""The store in a bucket of a real S3 service, over real connections."""

from __future__ import annotations

import http.client
import json
import random
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.s3 import S3BlobStore
from pkgregd.blobs.s3_agent import make_agent
from pkgregd.blobs.s3_answers import read_objects
from pkgregd.blobs.s3_bodies import bytes_body
from pkgregd.blobs.s3_client import S3Client, Timeouts
from pkgregd.blobs.s3_signing import EMPTY_SHA256, S3Place, Signer
from pkgregd.interfaces import IBlobStore
from pkgregd.testing.blob_store_contract import BlobStoreContract, sha256_of
from pkgregd.testing.blob_workers import InlineWorkers
from pkgregd.values import BlobInfo
from tests.support.cases import DaemonTestCase
from tests.support.daemon import Daemon, wait_until
from tests.support.seaweedfs import KEYS, REGION, s3_blobs, shared_seaweedfs

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


class DaemonOverS3Tests(DaemonTestCase):
    """A daemon whose files are in a bucket of SeaweedFS."""

    def make_daemon(self) -> Daemon:
        """Make it, with redirects for one format."""
        return Daemon("[formats.generic]\nredirect_downloads = true", blobs=s3_blobs())

    def path(self, name: str, project: str = "") -> str:
        """Return where a file is."""
        return f"{self.daemon.packages_path('generic', project or self.daemon.world.public_id)}/s3/1.0/{name}"

    def put(self, name: str, data: bytes) -> int:
        """Upload a file."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        try:
            connection.request("PUT", self.path(name), data, {"PRIVATE-TOKEN": self.daemon.world.writer})
            return connection.getresponse().status
        finally:
            connection.close()

    def test_links(self) -> None:
        """pip is sent to the bucket with a link that works alone; others get the same bytes from the daemon."""
        data = random.Random(7).randbytes(20 << 20)
        self.assertEqual(self.put("big.bin", data), 201)
        status, headers, _ = self.daemon.get(self.path("big.bin"), {"User-Agent": "pip/26.1 {}"})
        self.assertEqual(status, 307)
        self.assertIn("X-Amz-Expires=300", headers["Location"])
        with urllib.request.urlopen(headers["Location"], timeout=30) as answer:  # noqa: S310 - our own server
            self.assertEqual(answer.read(), data)
            self.assertIn("big.bin", answer.headers["Content-Disposition"])
        for others in ({}, {"User-Agent": "pip/26.1 {}", "PRIVATE-TOKEN": self.daemon.world.reader}):
            self.assertEqual(self.daemon.get(self.path("big.bin"), others)[::2], (200, data))
        ranged = self.daemon.get(self.path("big.bin"), {"Range": "bytes=9000000-9000009"})
        self.assertEqual(ranged[::2], (206, data[9000000:9000010]))
        self.assertNotIn("X-Amz-Signature", self.daemon.log_text())

    def test_equal_bytes_and_the_sweep(self) -> None:
        """Equal bytes are kept once; when the last file is gone the sweep removes them, and fsck is content."""
        place = self.daemon.config.read_text()
        bucket, prefix = re.findall(r"s3://([^/]+)/([^\"]+)", place)[0]
        signer = Signer(S3Place(shared_seaweedfs().url, bucket, f"{prefix}/", REGION), KEYS)

        def objects() -> int:
            url = signer.place.url(None, [("list-type", "2"), ("prefix", f"{prefix}/")])
            request = urllib.request.Request(url, headers=signer.sign("GET", url, {}, EMPTY_SHA256))  # noqa: S310
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return len([each for each in read_objects(answer.read()).found if not each.key.endswith("/probe")])

        before = objects()
        for name in ("a.bin", "b.bin", "a.bin"):
            self.assertEqual(self.put(name, b"equal bytes"), 201)
        self.assertEqual(objects(), before + 1)
        self.daemon.cli("fsck")
        self.daemon.cli("user", "add", "mona")
        self.daemon.cli("member", "add", "mona", "acme", "--role", "maintainer")
        token = {
            "PRIVATE-TOKEN": self.daemon.cli("token", "add", "--kind", "personal", "--user", "mona", "--scope", "api")
        }
        listed = json.loads(self.daemon.get(f"/api/v4/projects/{self.daemon.world.public_id}/packages", token)[2])
        (package,) = [each["id"] for each in listed if each["name"] == "s3"]
        path = f"/api/v4/projects/{self.daemon.world.public_id}/packages/{package}"
        self.assertEqual(self.daemon.get(path, token, "DELETE")[0], 204)

        def is_swept() -> bool:
            self.daemon.cli("sweep", "--grace", "1s")  # the least there is
            return objects() == 0

        wait_until(is_swept, "the end of what nobody needs")
