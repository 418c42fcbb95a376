"""Crashes, power cuts and broken disks, at every call of an upload."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.files import FileBlobStore
from pkgregd.errors import StorageFull, Unavailable
from pkgregd.testing.blob_store_contract import all_digests, get, info_of, put, sha256_of
from pkgregd.testing.blob_workers import InlineWorkers
from pkgregd.values import Digest
from tests.blobs.disk import Died, Disk, PowerCut
from tests.blobs.test_files import staged_files

DATA = b"a large blob " * 200_000
"""Written in several batches."""


async def upload(store: FileBlobStore, acknowledged: list[bool]) -> None:
    """Store DATA as a client does, and note when the commit has returned."""
    sink = await store.open_sink()
    try:
        for offset in range(0, len(DATA), 500_000):
            sink.write(DATA[offset : offset + 500_000])
        await sink.commit([sha256_of(DATA)])
        acknowledged.append(True)
    finally:
        await sink.abort()


class DurabilityTests(SynchronousTestCase):
    """What is left when an upload does not come to its end."""

    def make_store(self, disk: Disk, root: Path) -> FileBlobStore:
        """Make a process's store."""
        return FileBlobStore(
            Clock(), root, reserve_bytes=0, threads=1, operations=disk.operations, workers=InlineWorkers()
        )

    def let_die(self, disk: Disk, result: Deferred[Any]) -> None:
        """Swallow the end of a process that is being killed, and do what the kernel does then."""
        result.addErrback(lambda failure: failure.trap(Died, Unavailable))
        self.flushLoggedErrors(Died)
        disk.bury()

    def count_calls(self) -> int:
        """How many calls one whole upload into an empty folder makes."""
        disk = Disk()
        self.successResultOf(ensureDeferred(upload(self.make_store(disk, Path(self.mktemp())), [])))
        return len(disk.calls)

    def assert_recovers(self, root: Path, *, is_used: bool, present: bool) -> None:
        """Recover as the next process does: the blob is there whole or not at all, and staging is empty."""
        store = self.make_store(Disk(), root)

        async def is_unused(digest: Digest) -> bool:
            self.assertEqual(digest, sha256_of(DATA))
            return not is_used

        self.successResultOf(ensureDeferred(store.recover(is_unused)))
        if present:
            self.assertEqual(self.successResultOf(ensureDeferred(get(store, info_of(DATA)))), DATA)
        else:
            self.assertEqual(self.successResultOf(ensureDeferred(all_digests(store))), set())
        self.successResultOf(ensureDeferred(store.close()))
        self.assertEqual(os.listdir(root / "staging") if (root / "staging").exists() else [], [])

    def test_order_of_calls(self) -> None:
        """Bytes are synced before they get their name, the name before commit() returns, the pin in between."""
        disk = Disk()
        store = self.make_store(disk, Path(self.mktemp()))
        self.successResultOf(ensureDeferred(put(store, b"make the folders")))
        start = len(disk.calls)
        self.successResultOf(ensureDeferred(put(store, DATA)))
        digits = sha256_of(DATA).hex
        calls = [str(call) for call in disk.calls[start:] if call.name not in ("open", "close", "mkdir")]
        self.assertEqual(
            calls,
            [
                *["writev 1"] * calls.count("writev 1"),
                "fsync 1",
                f"link 1 1.{digits}",
                f"flock {digits[:2]}",
                # the directories are new
                "fsync sha256",
                f"fsync {digits[:2]}",
                f"rename 1 {digits}",
                f"fsync {digits[2:4]}",
                # abort()
                f"unlink 1.{digits}",
                f"flock {digits[:2]}",
            ],
        )

    def test_equal_bytes_are_synced_as_well(self) -> None:
        """A blob that is there already may be another process's, not yet synced: ours is, before commit() returns."""
        disk = Disk()
        store = self.make_store(disk, Path(self.mktemp()))
        self.successResultOf(ensureDeferred(put(store, DATA)))
        start = len(disk.calls)
        self.successResultOf(ensureDeferred(put(store, DATA)))
        names = [call.name for call in disk.calls[start:]]
        self.assertEqual(names.count("fsync"), 2)
        self.assertLess(names.index("fsync"), names.index("rename"))
        self.assertIn("fsync", names[names.index("rename") :])

    def test_killed_at_every_call(self) -> None:
        """Nothing half visible, no orphan: an unpublished blob goes with the process that made it."""
        for number in range(self.count_calls() + 1):
            disk, root, acknowledged = Disk(), Path(self.mktemp()), list[bool]()
            disk.die_at = number
            uploading = ensureDeferred(upload(self.make_store(disk, root), acknowledged))
            self.let_die(disk, uploading)
            whole = self.successResultOf(ensureDeferred(all_digests(self.make_store(Disk(), root))))
            if whole:
                got = self.successResultOf(ensureDeferred(get(self.make_store(Disk(), root), info_of(DATA))))
                self.assertEqual(got, DATA)
            # what was acknowledged has been published since
            self.assert_recovers(root, is_used=bool(acknowledged), present=bool(acknowledged))

    def test_killed_over_a_published_blob(self) -> None:
        """Whenever an upload of bytes that somebody published dies, the published blob is whole."""
        for number in range(self.count_calls() + 1):
            disk, root = Disk(), Path(self.mktemp())
            first = self.make_store(Disk(), root)
            self.successResultOf(ensureDeferred(put(first, DATA)))
            self.successResultOf(ensureDeferred(first.close()))
            disk.die_at = number
            self.let_die(disk, ensureDeferred(upload(self.make_store(disk, root), [])))
            self.assert_recovers(root, is_used=True, present=True)

    def test_recovery_killed_at_every_call(self) -> None:
        """A recovery that dies is finished by the next one."""
        number = 0
        while True:
            dead, root = Disk(), Path(self.mktemp())
            store = self.make_store(dead, root)
            for commits in (True, False):
                sink = self.successResultOf(ensureDeferred(store.open_sink()))
                sink.write(DATA)
                if commits:
                    self.successResultOf(ensureDeferred(sink.commit()))
            dead.bury()

            async def unused(_: Digest) -> bool:
                return True

            recovering = Disk()
            recovering.die_at = number
            self.let_die(recovering, ensureDeferred(self.make_store(recovering, root).recover(unused)))
            done = len(recovering.calls) < number
            self.assert_recovers(root, is_used=False, present=False)
            if done:
                break
            number += 1
        self.assertGreater(number, 8)

    def test_power_cut_after_commit(self) -> None:
        """What commit() acknowledged survives a power cut, even if only what was synced does."""
        for data in (b"", b"small", DATA):
            disk, root = Disk(), Path(self.mktemp())
            os.mkdir(root)
            store = self.make_store(disk, root)
            sink = self.successResultOf(ensureDeferred(store.open_sink()))
            sink.write(data)
            blob = self.successResultOf(ensureDeferred(sink.commit()))
            left = PowerCut(disk.calls, os.path.abspath(root))
            self.assertEqual(left.size_bytes(os.path.abspath(root / blob.locator)), len(data))
            self.successResultOf(ensureDeferred(sink.abort()))

    def test_power_cut_after_another_process_died(self) -> None:
        """Directories that a dead process made and never synced do not take our blob along."""
        for number in range(self.count_calls() + 1):
            disk, root = Disk(), Path(self.mktemp())
            os.mkdir(root)
            disk.die_at = number
            self.let_die(disk, ensureDeferred(upload(self.make_store(disk, root), [])))
            disk.die_at = None
            blob = self.successResultOf(ensureDeferred(put(self.make_store(disk, root), DATA)))
            left = PowerCut(disk.calls, os.path.abspath(root))
            self.assertEqual(left.size_bytes(os.path.abspath(root / blob.locator)), len(DATA), number)

    def test_the_model_of_a_power_cut_can_tell(self) -> None:
        """Without its fsync calls the same upload is lost: the tests above can fail."""
        disk, root = Disk(), Path(self.mktemp())
        os.mkdir(root)
        blob = self.successResultOf(ensureDeferred(put(self.make_store(disk, root), DATA)))
        final = os.path.abspath(root / blob.locator)
        for path in {call.paths[0] for call in disk.calls if call.name == "fsync"} - {os.path.abspath(root.parent)}:
            calls = [call for call in disk.calls if call.name != "fsync" or call.paths[0] != path]
            self.assertNotEqual(PowerCut(calls, os.path.abspath(root)).size_bytes(final), len(DATA), path)

    def test_errors_at_every_call(self) -> None:
        """A full or broken disk at any call fails the upload in our words, and nothing stays of it."""
        calls = self.count_calls()
        failed = 0
        for number in range(calls):
            for code in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                disk, root, acknowledged = Disk(), Path(self.mktemp()), list[bool]()
                disk.fail_at = (number, code)
                store = self.make_store(disk, root)
                result = self.outcome(ensureDeferred(upload(store, acknowledged)))
                if isinstance(result, Failure):
                    failed += 1
                    result.trap(Unavailable if code == errno.EIO else StorageFull)
                    self.assertEqual(acknowledged, [])
                self.flushLoggedErrors(OSError)
                name, path = disk.calls[number].name, disk.calls[number].paths[0]
                if name == "fsync":
                    self.assertNotIn((name, path), [(call.name, call.paths[0]) for call in disk.calls[number + 1 :]])
                self.assertEqual(self.store_fds(disk), [], disk.calls[number])
                self.assertEqual(store.buffered_bytes, 0)
                self.successResultOf(ensureDeferred(store.close()))
                self.assert_recovers(root, is_used=bool(acknowledged), present=bool(acknowledged))
        self.assertGreater(failed, calls)

    def test_the_store_works_again_after_an_error(self) -> None:
        """Whatever call failed once, the next upload through the same store succeeds."""
        for number in range(self.count_calls()):
            disk, root = Disk(), Path(self.mktemp())
            disk.fail_at = (number, errno.ENOSPC)
            clock = Clock()
            store = FileBlobStore(
                clock, root, reserve_bytes=0, threads=1, operations=disk.operations, workers=InlineWorkers()
            )
            self.outcome(ensureDeferred(upload(store, [])))
            clock.advance(2)
            blob = self.successResultOf(ensureDeferred(put(store, DATA)))
            self.assertEqual(self.successResultOf(ensureDeferred(get(store, blob))), DATA)
            self.flushLoggedErrors(OSError)

    def test_failed_fsync_of_the_bytes_leaves_nothing(self) -> None:
        """Pages that the kernel could not write are never given a name."""
        disk, root = Disk(), Path(self.mktemp())
        store = self.make_store(disk, root)
        sink = self.successResultOf(ensureDeferred(store.open_sink()))
        sink.write(DATA)
        staged = next(index for index, call in enumerate(disk.calls) if call.name == "writev")
        disk.fail_at = (staged + 1, errno.EIO)
        self.failureResultOf(ensureDeferred(sink.commit()), Unavailable)
        self.assertEqual(disk.calls[staged + 1].name, "fsync")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(staged_files(root), [])
        self.assertEqual(self.successResultOf(ensureDeferred(all_digests(store))), set())

    def store_fds(self, disk: Disk) -> list[str]:
        """What is still open, except the lock that a process holds for life."""
        return [path for path in disk.fds.values() if not path.endswith("/.lock")]

    def outcome(self, result: Deferred[Any]) -> object:
        """What a Deferred has come to, success or not."""
        found: list[object] = []
        result.addBoth(found.append)
        self.assertEqual(len(found), 1)
        return found[0]
