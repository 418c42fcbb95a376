"""The store of files, without threads."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs import open_blob_store
from pkgregd.blobs.files import FileBlobStore
from pkgregd.blobs.operations import FileOperations
from pkgregd.blobs.sink import PIN_WAIT_SECONDS
from pkgregd.blobs.source import SMALL_BYTES
from pkgregd.errors import BlobMissing, ConfigError, StorageFull, Unavailable
from pkgregd.interfaces import IBlobStore
from pkgregd.testing.blob_store_contract import (
    CollectingConsumer,
    OneCopyContract,
    all_digests,
    get,
    info_of,
    no,
    put,
    sha256_of,
    yes,
)
from pkgregd.testing.blob_workers import InlineWorkers, SteppedWorkers
from pkgregd.values import BlobInfo, ByteRange, Digest
from tests.blobs.disk import Disk


def staged_files(root: Path) -> list[str]:
    """Every file below staging but lock files."""
    return [name for _, _, names in os.walk(root / "staging") for name in names if name != ".lock"]


class FileBlobStoreTests(OneCopyContract, SynchronousTestCase):
    """FileBlobStore keeps the contract."""

    def setUp(self) -> None:
        """Make a folder; whatever a test does, staging is empty once its sinks are let go of."""
        self.clock = Clock()
        self.root = Path(self.mktemp())
        self.addCleanup(lambda: self.assertEqual(staged_files(self.root), []))

    def make_store(self) -> FileBlobStore:
        """Make an empty store."""
        return FileBlobStore(self.clock, self.root, reserve_bytes=0, threads=1, workers=InlineWorkers())

    def damage(self, store: IBlobStore, blob: BlobInfo, data: bytes | None) -> None:
        """Change the file behind the store's back."""
        path = self.root / blob.locator
        path.unlink()
        if data is not None:
            path.write_bytes(data)

    def pass_time(self, store: IBlobStore) -> None:
        """Let a commit try its pin again."""
        self.clock.advance(0.1)


class LayoutTests(SynchronousTestCase):
    """How a FileBlobStore uses its folder, alone and together with others."""

    def setUp(self) -> None:
        """Make two stores over one folder, as two processes do."""
        self.clock = Clock()
        self.root = Path(self.mktemp())
        self.disk = Disk()
        self.workers = InlineWorkers()
        self.store = self.make_store(operations=self.disk.operations, workers=self.workers)
        self.other = self.make_store()

    def make_store(
        self,
        *,
        reserve_bytes: int = 0,
        operations: FileOperations = FileOperations(),  # noqa: B008 - frozen
        workers: InlineWorkers | SteppedWorkers | None = None,
    ) -> FileBlobStore:
        """Make a store over the folder."""
        return FileBlobStore(
            self.clock,
            self.root,
            reserve_bytes=reserve_bytes,
            threads=1,
            operations=operations,
            workers=workers or InlineWorkers(),
        )

    def test_nothing_is_made_before_it_is_needed(self) -> None:
        """Making a store touches nothing, so that it can be made before a daemon forks."""
        self.assertFalse(self.root.exists())
        self.assertEqual(self.disk.calls, [])

    def test_the_layout(self) -> None:
        """A blob lies where its digest says, readable for the group, as one ordinary file."""
        blob = self.successResultOf(ensureDeferred(put(self.store, b"x")))
        digits = sha256_of(b"x").hex
        self.assertEqual(blob.locator, f"sha256/{digits[:2]}/{digits[2:4]}/{digits}")
        status = (self.root / blob.locator).stat()
        self.assertEqual(status.st_nlink, 1)
        self.assertEqual(status.st_mode & 0o137, 0)

    def test_locators_are_never_trusted(self) -> None:
        """Paths are made of the digest; what a catalog says of the place cannot lead elsewhere."""
        blob = self.successResultOf(ensureDeferred(put(self.store, b"x")))
        lying = BlobInfo(blob.sha256, 1, "../../../etc/passwd", {})
        self.assertEqual(self.successResultOf(ensureDeferred(get(self.store, lying))), b"x")

    def test_small_blob_costs_one_job(self) -> None:
        """Up to a batch the whole of commit() is one job; reading is none, or one where a disk would be waited for."""
        sink = self.successResultOf(ensureDeferred(self.store.open_sink()))
        before = self.workers.job_count
        for _ in range(8):
            sink.write(b"x" * 16_384)
        blob = self.successResultOf(ensureDeferred(sink.commit()))
        self.assertEqual(self.workers.job_count - before, 1)
        self.successResultOf(ensureDeferred(sink.abort()))
        before = self.workers.job_count
        small = self.successResultOf(ensureDeferred(put(self.store, b"small")))
        before = self.workers.job_count
        self.assertEqual(self.successResultOf(ensureDeferred(get(self.store, small))), b"small")
        self.assertEqual(self.workers.job_count - before, 0)
        cold = FileOperations(pread_cached=lambda fd, size_bytes, offset: None)
        store = self.make_store(operations=cold, workers=self.workers)
        self.assertEqual(self.successResultOf(ensureDeferred(get(store, small))), b"small")
        self.assertEqual(self.workers.job_count - before, 1)
        self.assertEqual(len(self.successResultOf(ensureDeferred(get(self.store, blob)))), 8 * 16_384)

    def test_where_a_proxy_finds_it(self) -> None:
        """A file that is open is named by its digest, whatever the catalog calls it; bytes in hand are not named."""
        store = self.make_store()
        great, small = b"x" * (SMALL_BYTES + 1), b"x"
        for data, span in ((great, None), (small, None), (great, ByteRange(0, 10))):
            blob = evolve(info_of(data), locator="../../etc/passwd")
            stored = self.successResultOf(ensureDeferred(put(store, data)))
            source = self.successResultOf(ensureDeferred(store.open_blob(blob, span)))
            named = stored.locator if data is great and span is None else None
            self.assertEqual(source.shared_path, named)
            self.successResultOf(ensureDeferred(source.close()))

    def test_pins_hold_across_processes(self) -> None:
        """What one process has committed and not published, another one does not remove."""
        sink = self.successResultOf(ensureDeferred(self.store.open_sink()))
        sink.write(b"x")
        blob = self.successResultOf(ensureDeferred(sink.commit()))
        self.assertFalse(self.successResultOf(ensureDeferred(self.other.remove(blob, yes))))
        self.successResultOf(ensureDeferred(sink.abort()))
        self.assertTrue(self.successResultOf(ensureDeferred(self.other.remove(blob, yes))))

    def test_locks_belong_to_whom_the_folder_does(self) -> None:
        """A sweep that root runs leaves nothing behind that the daemon cannot open."""
        owner = (
            (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        )  # others make files for themselves
        blob = self.successResultOf(ensureDeferred(put(self.store, b"x")))
        os.chown(self.root / "locks", *owner)
        lock = self.root / "locks" / blob.sha256.hex[:2]

        async def unused() -> bool:
            return True

        self.assertTrue(self.successResultOf(ensureDeferred(self.other.remove(blob, unused))))
        self.assertEqual((lock.stat().st_uid, lock.stat().st_gid), owner)

    def test_commit_gives_up_on_an_endless_removal(self) -> None:
        """A removal elsewhere that never ends makes the upload fail, and nothing stays of it."""
        blob = self.successResultOf(ensureDeferred(put(self.other, b"x")))
        answer: Deferred[bool] = Deferred()

        async def ask() -> bool:
            return await answer

        removing = ensureDeferred(self.other.remove(blob, ask))
        sink = self.successResultOf(ensureDeferred(self.store.open_sink()))
        sink.write(b"x")
        committing = ensureDeferred(sink.commit())
        self.clock.pump([0.01] * 10)
        self.assertNoResult(committing)
        self.clock.pump([PIN_WAIT_SECONDS] * 2)
        self.failureResultOf(committing, Unavailable)
        self.assertEqual(staged_files(self.root), [])
        answer.callback(False)
        self.assertFalse(self.successResultOf(removing))

    def test_recover_leaves_the_living_alone(self) -> None:
        """Neither our own unfinished upload nor another process's is touched."""
        sinks = [self.successResultOf(ensureDeferred(store.open_sink())) for store in (self.store, self.other)]
        for number, sink in enumerate(sinks):
            sink.write(b"%d" % number * 2_000_000)
        committed = self.successResultOf(ensureDeferred(self.other.open_sink()))
        committed.write(b"committed, not published yet")
        blob = self.successResultOf(ensureDeferred(committed.commit()))

        async def unused(_: Digest) -> bool:
            return True

        for store in (self.store, self.other):
            self.assertEqual(self.successResultOf(ensureDeferred(store.list_leftovers())), ())
            self.assertEqual(self.successResultOf(ensureDeferred(store.recover(unused))), 0)
        for sink in sinks:
            self.successResultOf(ensureDeferred(sink.commit()))
        self.assertIn(blob.sha256, self.successResultOf(ensureDeferred(all_digests(self.store))))

    def test_recover_asks_again_about_a_pinned_blob(self) -> None:
        """A dead process's blob that a living upload has pinned is decided about the next time."""
        dead = self.successResultOf(ensureDeferred(self.store.open_sink()))
        dead.write(b"x")
        blob = self.successResultOf(ensureDeferred(dead.commit()))
        self.disk.bury()
        living = self.successResultOf(ensureDeferred(self.other.open_sink()))
        living.write(b"x")
        self.successResultOf(ensureDeferred(living.commit()))

        async def unused(_: Digest) -> bool:
            return True

        for _ in range(2):  # to list them clears nothing
            (left,) = self.successResultOf(ensureDeferred(self.other.list_leftovers()))
            self.assertTrue(left.startswith("staging/") and left.endswith(f".{blob.sha256.hex}"))
        self.assertEqual(self.successResultOf(ensureDeferred(self.other.recover(unused))), 0)
        self.successResultOf(ensureDeferred(living.abort()))
        self.assertEqual(self.successResultOf(ensureDeferred(self.other.recover(unused))), 2)
        self.assertEqual(self.successResultOf(ensureDeferred(self.other.list_leftovers())), ())
        self.assertIsNone(self.successResultOf(ensureDeferred(self.other.stat(blob))))
        self.assertEqual(staged_files(self.root), [])

    def test_recover_meets_a_process_that_starts(self) -> None:
        """A staging folder that is cleared away before its maker has locked it is made anew."""

        async def unused(_: Digest) -> bool:
            return True

        real = FileOperations()
        self.successResultOf(ensureDeferred(put(self.other, b"y")))
        for moment in ("made", "opened", "never"):
            happened: list[str] = []

            def happen(path: str, now: str, moment: str = moment, happened: list[str] = happened) -> None:
                if now == moment and "staging/" in path and not happened:
                    happened.append(path)
                    self.successResultOf(ensureDeferred(self.other.recover(unused)))

            def mkdir(path: str, mode: int) -> None:
                real.mkdir(path, mode)
                happen(path, "made")

            def flock(fd: int, kind: int) -> None:
                happen(os.readlink(f"/proc/self/fd/{fd}"), "opened")
                real.flock(fd, kind)

            store = self.make_store(operations=FileOperations(mkdir=mkdir, flock=flock))
            sink = self.successResultOf(ensureDeferred(store.open_sink()))
            sink.write(b"x" * 2_000_000)
            self.assertEqual(self.successResultOf(ensureDeferred(self.other.recover(unused))), 0)
            self.successResultOf(ensureDeferred(sink.commit()))
            self.successResultOf(ensureDeferred(sink.abort()))
            self.successResultOf(ensureDeferred(store.close()))
            self.assertEqual(len(happened), moment != "never")
            self.assertEqual(len(os.listdir(self.root / "staging")), 1)

    def test_two_recoveries_meet(self) -> None:
        """One that finds the other done, or meets a new lock file in its way, leaves it at that."""

        async def unused(_: Digest) -> bool:
            return True

        real = FileOperations()
        dead = self.root / "staging" / "dead"

        def flock(fd: int, kind: int) -> None:
            if os.readlink(f"/proc/self/fd/{fd}").endswith("/dead/.lock") and kind & fcntl.LOCK_EX:
                self.assertEqual(self.successResultOf(ensureDeferred(self.other.recover(unused))), 1)
            real.flock(fd, kind)

        def rmdir(path: str) -> None:
            (dead / ".lock").touch()
            real.rmdir(path)

        for operations, found in ((FileOperations(flock=flock), 0), (FileOperations(rmdir=rmdir), 1)):
            self.successResultOf(ensureDeferred(put(self.store, b"x")))
            dead.mkdir()
            (dead / "0").touch()
            store = self.make_store(operations=operations)
            self.assertEqual(self.successResultOf(ensureDeferred(store.recover(unused))), found)
        self.assertEqual(os.listdir(dead), [".lock"])

    def test_recover_passes_by_what_is_not_ours(self) -> None:
        """A stray file or folder in staging stops nobody; a folder without a lock file is a dead one."""
        self.successResultOf(ensureDeferred(put(self.store, b"x")))
        (self.root / "staging" / "stray").write_bytes(b"")
        (self.root / "staging" / "unlocked").mkdir()
        (self.root / "staging" / "unlocked" / "0").write_bytes(b"half an upload")

        async def unused(_: Digest) -> bool:
            return True

        self.assertEqual(self.successResultOf(ensureDeferred(self.other.recover(unused))), 1)
        self.assertFalse((self.root / "staging" / "unlocked").exists())

    def test_strangers_in_the_blob_folder_are_not_blobs(self) -> None:
        """iter_blobs() goes by the names that the store makes."""
        blob = self.successResultOf(ensureDeferred(put(self.store, b"x")))
        folder = (self.root / blob.locator).parent
        (folder / "README").write_bytes(b"")
        (folder / ("0" * 64)).write_bytes(b"a blob of another prefix")
        (folder.parent / "lost+found").mkdir()
        (self.root / "sha256" / ".backup").mkdir()
        other = next(prefix for prefix in ("aa", "bb") if prefix != blob.sha256.hex[:2])
        (self.root / "sha256" / other).mkdir()
        (self.root / "sha256" / other / "00").write_bytes(b"a file where folders are")
        (self.root / "sha256" / other / "11" / f"{other}11{'0' * 60}").mkdir(parents=True)
        (self.root / "sha256" / "cc").write_bytes(b"as well")
        self.assertEqual(self.successResultOf(ensureDeferred(all_digests(self.store))), {blob.sha256})

    def test_a_blob_that_cannot_be_got_at(self) -> None:
        """It is not there, as if it were gone; but where all cannot, nobody knows."""
        blob = self.successResultOf(ensureDeferred(put(self.store, b"x")))
        path = self.root / blob.locator
        path.unlink()
        path.symlink_to(path.name)
        self.assertIsNone(self.successResultOf(ensureDeferred(self.store.stat(blob))))
        self.root = Path("x" * 1000)
        store = self.make_store()
        self.failureResultOf(ensureDeferred(store.stat(blob)), Unavailable)
        self.failureResultOf(ensureDeferred(all_digests(store)), Unavailable)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)

    def test_close_takes_its_staging_folder_along(self) -> None:
        """An orderly end leaves no staging folder behind."""
        self.successResultOf(ensureDeferred(put(self.store, b"x")))
        self.assertEqual(len(os.listdir(self.root / "staging")), 1)
        self.successResultOf(ensureDeferred(self.store.close()))
        self.assertEqual(os.listdir(self.root / "staging"), [])
        self.assertEqual(self.disk.fds, {})

    def test_reserve(self) -> None:
        """Below the reserve uploads and readiness are refused; reading and removing go on."""
        blob = self.successResultOf(ensureDeferred(put(self.store, b"x")))
        full = self.make_store(reserve_bytes=1 << 62)
        self.failureResultOf(ensureDeferred(full.open_sink()), StorageFull)
        self.failureResultOf(ensureDeferred(full.check()), StorageFull)
        self.assertEqual(self.successResultOf(ensureDeferred(get(full, blob))), b"x")
        self.assertTrue(self.successResultOf(ensureDeferred(full.remove(blob, yes))))

    def test_the_look_at_free_space_is_shared(self) -> None:
        """Uploads of the same second cost one look, those of the next see what changed."""
        self.successResultOf(ensureDeferred(self.store.open_sink()))
        before = self.workers.job_count
        for _ in range(100):
            self.successResultOf(ensureDeferred(self.store.open_sink()))
        self.assertEqual(self.workers.job_count, before)
        self.clock.advance(1.0)
        self.successResultOf(ensureDeferred(self.store.open_sink()))
        self.assertEqual(self.workers.job_count, before + 1)

    def test_a_long_upload_stops_at_the_reserve(self) -> None:
        """The free space is looked at again while an upload goes on."""
        free = [1 << 30]
        real = os.statvfs

        def statvfs(path: str) -> os.statvfs_result:
            found = list(real(path))
            found[1], found[4] = 1, free[0]
            return os.statvfs_result(found)

        store = self.make_store(reserve_bytes=1 << 20, operations=FileOperations(statvfs=statvfs))
        sink = self.successResultOf(ensureDeferred(store.open_sink()))
        piece = bytes(4 << 20)
        sink.write(piece)
        free[0] = 0
        for _ in range(16):
            sink.write(piece)
        self.failureResultOf(ensureDeferred(sink.commit()), StorageFull)
        self.assertEqual(staged_files(self.root), [])

    def test_check_writes(self) -> None:
        """Readiness really writes, but not on every question."""
        self.successResultOf(ensureDeferred(self.store.check()))
        writes = self.disk.names().count("writev")
        self.successResultOf(ensureDeferred(self.store.check()))
        self.assertEqual((writes, self.disk.names().count("writev")), (1, 1))
        self.clock.advance(10)
        self.disk.room_bytes = 0
        self.failureResultOf(ensureDeferred(self.store.check()), StorageFull)
        self.disk.fail_at = (len(self.disk.calls), errno.EROFS)
        self.failureResultOf(ensureDeferred(self.store.check()), Unavailable)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(staged_files(self.root), [])

    def test_a_root_that_cannot_be_made(self) -> None:
        """A folder that is a file makes the store unavailable, with a logged reason."""
        self.root.write_bytes(b"")
        self.failureResultOf(ensureDeferred(self.store.check()), Unavailable)
        self.failureResultOf(ensureDeferred(self.store.open_sink()), Unavailable)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)

    def test_unreadable_blob(self) -> None:
        """An I/O error in the middle of reading is a missing blob, and is logged."""

        def pread(fd: int, size_bytes: int, offset: int) -> bytes:
            if offset:
                raise OSError(errno.EIO, "broken")
            return os.pread(fd, size_bytes, offset)

        blob = self.successResultOf(ensureDeferred(put(self.store, b"x" * 5_000_000)))
        store = self.make_store(operations=FileOperations(pread=pread))
        consumer = CollectingConsumer()
        source = self.successResultOf(ensureDeferred(store.open_blob(blob)))
        self.failureResultOf(ensureDeferred(source.push_to(consumer)), BlobMissing)
        self.assertIsNone(consumer.producer)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.successResultOf(ensureDeferred(source.close()))

    def test_short_reads_are_completed(self) -> None:
        """A read that gives less than asked is not the end of the blob."""
        blob = self.successResultOf(ensureDeferred(put(self.store, b"0123456789" * 300_000)))
        short = FileOperations(pread=lambda fd, size_bytes, offset: os.pread(fd, min(size_bytes, 99_999), offset))
        self.assertEqual(
            self.successResultOf(ensureDeferred(get(self.make_store(operations=short), blob))), b"0123456789" * 300_000
        )

    def test_short_writes_are_completed(self) -> None:
        """A write that takes less than it was given goes on where it stopped."""

        def writev(fd: int, views: Sequence[memoryview]) -> int:
            # now a part of the first piece, now the whole of it and a part of the next
            rest = [view[:100] for view in views[1:2]]
            return os.writev(fd, [views[0], *rest] if len(views[0]) < 30_001 else [views[0][:30_001]])

        store = self.make_store(operations=FileOperations(writev=writev))
        data = b"".join(b"%07d" % number for number in range(300_000))
        sink = self.successResultOf(ensureDeferred(store.open_sink()))
        for offset in range(0, len(data), 50_001):
            sink.write(data[offset : offset + 50_001])
        blob = self.successResultOf(ensureDeferred(sink.commit()))
        self.successResultOf(ensureDeferred(sink.abort()))
        self.assertEqual(self.successResultOf(ensureDeferred(get(self.store, blob))), data)

    def test_a_write_that_takes_nothing(self) -> None:
        """Writing nothing for ever is an error, not an endless loop."""
        store = self.make_store(operations=FileOperations(writev=lambda fd, views: 0))
        self.failureResultOf(ensureDeferred(put(store, b"x")), Unavailable)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_blob_that_shrinks_while_it_is_read(self) -> None:
        """Bytes that end early end the push with an error, never with a short success."""
        for left_bytes in (0, 2_500_000, 4_999_999):
            blob = self.successResultOf(ensureDeferred(put(self.store, b"x" * 5_000_000)))
            source = self.successResultOf(ensureDeferred(self.store.open_blob(blob)))
            os.truncate(self.root / blob.locator, left_bytes)
            self.failureResultOf(ensureDeferred(source.push_to(CollectingConsumer())), BlobMissing)
            self.successResultOf(ensureDeferred(source.close()))
        self.assertEqual([path for path in self.disk.fds.values() if path.endswith(blob.sha256.hex)], [])

    def test_close_of_a_source_during_a_read(self) -> None:
        """The file stays open as long as a thread reads from it, and no longer."""
        blob = self.successResultOf(ensureDeferred(put(self.store, b"x" * 5_000_000)))
        disk, workers = Disk(), SteppedWorkers()
        store = self.make_store(operations=disk.operations, workers=workers)
        opening = ensureDeferred(store.open_blob(blob))
        workers.run_all()
        source = self.successResultOf(opening)
        pushing = ensureDeferred(source.push_to(CollectingConsumer()))
        self.assertEqual(len(workers.waiting), 1)
        self.successResultOf(ensureDeferred(source.close()))
        self.assertEqual(disk.fds, {})
        workers.run_all()
        self.failureResultOf(pushing, BlobMissing)

    def test_cancelled_opening(self) -> None:
        """A file that is opened for somebody who left meanwhile is closed."""
        blob = self.successResultOf(ensureDeferred(put(self.store, b"x" * 5_000_000)))
        disk, workers = Disk(), SteppedWorkers()
        store = self.make_store(operations=disk.operations, workers=workers)
        opening = ensureDeferred(store.open_blob(blob))
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        workers.run_all()
        self.assertEqual([call.name for call in disk.calls], ["open", "close"])
        self.assertEqual(disk.fds, {})

    def test_removing_fails_with_the_disk(self) -> None:
        """An I/O error of a removal is reported, and the lock is let go of."""
        blob = self.successResultOf(ensureDeferred(put(self.store, b"x")))
        before = len(self.disk.calls)
        self.assertFalse(self.successResultOf(ensureDeferred(self.store.remove(blob, no))))
        per_lock = len(self.disk.calls) - before
        self.assertEqual(self.disk.names()[before:], ["open", "flock", "flock", "close"])
        self.disk.fail_at = (len(self.disk.calls) + per_lock - 2, errno.EIO)
        self.failureResultOf(ensureDeferred(self.store.remove(blob, yes)), Unavailable)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertTrue(self.successResultOf(ensureDeferred(self.store.remove(blob, yes))))


class OpenBlobStoreTests(SynchronousTestCase):
    """open_blob_store() picks by scheme."""

    def test_file_urls(self) -> None:
        """A path is relative to the folder of the configuration, or absolute."""
        for url, place in (("file:blobs", "blobs"), ("file:deep/blobs", "deep/blobs")):
            folder = Path(self.mktemp())
            workers_free = open_blob_store(Clock(), url, folder, reserve_bytes=0, threads=1)
            self.assertIsInstance(workers_free, FileBlobStore)
            assert isinstance(workers_free, FileBlobStore)
            self.assertEqual(workers_free.root, folder / place)
        for url in ("file:/srv/blobs", "file:///srv/blobs"):
            store = open_blob_store(Clock(), url, Path("/etc"), reserve_bytes=0, threads=1)
            assert isinstance(store, FileBlobStore)
            self.assertEqual(store.root, Path("/srv/blobs"))

    def test_other_urls(self) -> None:
        """Anything else is refused with what would be right."""
        for url in ("", "blobs", "file:", "ftp:blobs", "file://host/blobs", "s3://bucket", "file:a\0b"):
            with self.assertRaisesRegex(ConfigError, "file:PATH"):
                open_blob_store(Clock(), url, Path("/srv"), reserve_bytes=0, threads=1)

    def test_missing_blob_before_first_use(self) -> None:
        """A store whose folder is not there yet holds nothing, and says so."""
        store = FileBlobStore(Clock(), Path(self.mktemp()), reserve_bytes=0, threads=1, workers=InlineWorkers())
        self.failureResultOf(ensureDeferred(store.open_blob(info_of(b"x"))), BlobMissing)
        self.assertEqual(self.successResultOf(ensureDeferred(all_digests(store))), set())
