"""A disk that is really full."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from unittest import SkipTest

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.files import FileBlobStore
from pkgregd.errors import StorageFull
from pkgregd.testing.blob_store_contract import get, put, yes
from pkgregd.testing.blob_workers import InlineWorkers
from pkgregd.values import BlobInfo
from tests.blobs.disk import Disk
from tests.blobs.test_files import staged_files

MIB = 1 << 20


class FullDiskContract:
    """What a store does when space runs out and comes back."""

    root: Path
    disk: Disk

    def check_a_full_disk(self: FullDiskContract, case: SynchronousTestCase) -> None:
        """Fill 8 MiB, and see that reading and removing go on, and that uploads come back with the space."""
        clock = Clock()
        store = FileBlobStore(
            clock, self.root, reserve_bytes=0, threads=1, operations=self.disk.operations, workers=InlineWorkers()
        )
        kept = case.successResultOf(ensureDeferred(put(store, b"k" * 5 * MIB)))
        for size_bytes in (4 * MIB, 20 * MIB):
            case.failureResultOf(ensureDeferred(self.upload(store, size_bytes)), StorageFull)
            case.assertEqual((staged_files(self.root), store.buffered_bytes), ([], 0))
        case.assertEqual(case.successResultOf(ensureDeferred(get(store, kept))), b"k" * 5 * MIB)
        case.assertTrue(case.successResultOf(ensureDeferred(store.remove(kept, yes))))
        self.free(5 * MIB)
        clock.advance(2)
        blob = case.successResultOf(ensureDeferred(self.upload(store, 4 * MIB)))
        case.assertEqual(case.successResultOf(ensureDeferred(store.stat(blob))), 4 * MIB)
        case.successResultOf(ensureDeferred(store.close()))

    def free(self, size_bytes: int) -> None:
        """Give space back where the disk does not do so by itself."""

    async def upload(self, store: FileBlobStore, size_bytes: int) -> BlobInfo:
        """Send a body in 1 MiB pieces and commit it."""
        sink = await store.open_sink()
        try:
            for number in range(size_bytes // MIB):
                sink.write(b"%d" % (number % 10) * MIB)
            return await sink.commit()
        finally:
            await sink.abort()


class SimulatedFullDiskTests(FullDiskContract, SynchronousTestCase):
    """A disk that says it is full, wherever the tests run."""

    def setUp(self) -> None:
        """Make a folder with 8 MiB of room."""
        self.root = Path(self.mktemp())
        self.disk = Disk()
        self.disk.room_bytes = 8 * MIB

    def free(self, size_bytes: int) -> None:
        """Take a failed upload's bytes and the removed blob's back."""
        self.disk.room_bytes = 8 * MIB

    def test_full(self) -> None:
        """No space left on device, as the kernel would say."""
        self.check_a_full_disk(self)


class RealFullDiskTests(FullDiskContract, SynchronousTestCase):
    """A small tmpfs. Mounting takes root; the simulation above runs anyway."""

    def mount(self, options: str) -> None:
        """Mount a tmpfs for the time of the test."""
        self.root = Path(self.mktemp())
        os.mkdir(self.root)
        self.disk = Disk()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.root], capture_output=True, text=True, check=False
        )
        if done.returncode:
            if os.geteuid() == 0:
                self.assertIn("denied", done.stderr, "root could not mount for another reason than being confined")
            raise SkipTest(f"cannot mount a tmpfs: {done.stderr.strip()}")
        self.addCleanup(lambda: subprocess.run(["umount", "--lazy", self.root], check=True))

    def test_full(self) -> None:
        """No bytes left."""
        self.mount("size=8m")
        self.check_a_full_disk(self)

    def test_no_inodes(self) -> None:
        """No inodes left: uploads are refused, and a removal makes room again."""
        self.mount("size=8m,nr_inodes=60")
        clock = Clock()
        store = FileBlobStore(
            clock, self.root, reserve_bytes=0, threads=1, operations=self.disk.operations, workers=InlineWorkers()
        )
        blobs = []
        for number in range(60):
            result = ensureDeferred(put(store, b"%d" % number))
            found: list[object] = []
            result.addBoth(found.append)
            if not isinstance(found[0], BlobInfo):
                break
            blobs.append(found[0])
        self.assertGreater(len(blobs), 10)
        self.assertLess(len(blobs), 60)
        self.failureResultOf(ensureDeferred(put(store, b"one more")), StorageFull)
        self.assertEqual(staged_files(self.root), [])
        for blob in blobs[:5]:
            self.assertTrue(self.successResultOf(ensureDeferred(store.remove(blob, yes))))
        clock.advance(2)
        again = self.successResultOf(ensureDeferred(put(store, b"0")))
        self.assertEqual(self.successResultOf(ensureDeferred(get(store, again))), b"0")
        self.successResultOf(ensureDeferred(store.close()))
