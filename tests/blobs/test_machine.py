"""Uploads, publishes, removals, recoveries and crashes of two processes, in any order, against a model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.files import FileBlobStore
from pkgregd.interfaces import IBlobSink
from pkgregd.testing.blob_store_contract import all_digests, get, info_of, sha256_of
from pkgregd.testing.blob_workers import InlineWorkers
from pkgregd.values import BlobInfo, Digest
from tests.blobs.disk import Disk

CONTENTS = (b"", b"one", b"two", b"large " * 200_000, b"other " * 200_000)
"""Each has a sha256 with another first byte, so that locks by prefix never touch two of them."""


class Upload:
    """A sink and what it is expected to hold."""

    def __init__(self, process: int, data: bytes, sink: IBlobSink) -> None:
        self.process = process
        self.data = data
        self.sink = sink
        self.digest: Digest | None = None


def result_of(result: Deferred[object]) -> object:
    """What a Deferred has come to; a failure is raised."""
    found: list[object] = []
    failed: list[object] = []
    result.addCallbacks(found.append, failed.append)
    if failed:
        getattr(failed[0], "raiseException")()  # noqa: B009 - a Failure, which mypy sees as object
    assert len(found) == 1
    return found[0]


class BlobStoreMachine(RuleBasedStateMachine):
    """The model: what is present, what files refer to, what each process holds, what the dead left."""

    uploads = Bundle("uploads")
    processes = st.sampled_from([0, 1])
    contents = st.sampled_from(CONTENTS)

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.disks = [Disk(), Disk()]
        self.stores = [self.make_store(disk) for disk in self.disks]
        self.living: set[Upload] = set()
        self.present: set[Digest] = set()
        self.used: set[Digest] = set()
        self.left: list[Digest] = []

    def make_store(self, disk: Disk) -> FileBlobStore:
        """Start a process."""
        return FileBlobStore(
            Clock(), self.root, reserve_bytes=0, threads=1, operations=disk.operations, workers=InlineWorkers()
        )

    def teardown(self) -> None:
        """Let everything die and recover: what files refer to is there, and staging is empty."""
        for process in (0, 1):
            self.crash(process)
        self.recover(0)
        self.everything_is_as_the_model_says()
        assert not self.left
        result_of(ensureDeferred(self.stores[0].close()))
        assert [path.name for path in (self.root / "staging").glob("*")] == []
        shutil.rmtree(self.root)

    @property
    def pinned(self) -> set[Digest]:
        """What is between commit and abort in some process."""
        return {upload.digest for upload in self.living if upload.digest is not None}

    @rule(target=uploads, process=processes, data=contents)
    def start(self, process: int, data: bytes) -> Upload:
        """Send a body, not its end yet."""
        sink = result_of(ensureDeferred(self.stores[process].open_sink()))
        assert IBlobSink.providedBy(sink)
        for offset in range(0, len(data), 300_000):
            sink.write(data[offset : offset + 300_000])
        upload = Upload(process, data, sink)
        self.living.add(upload)
        return upload

    @rule(upload=uploads)
    def commit(self, upload: Upload) -> None:
        """Make it durable, once."""
        if upload in self.living and upload.digest is None:
            blob = result_of(ensureDeferred(upload.sink.commit([sha256_of(upload.data)])))
            assert isinstance(blob, BlobInfo)
            upload.digest = blob.sha256
            self.present.add(blob.sha256)

    @rule(upload=uploads)
    def publish(self, upload: Upload) -> None:
        """Let a file refer to it."""
        if upload in self.living and upload.digest is not None:
            self.used.add(upload.digest)

    @rule(target=uploads, upload=consumes(uploads), again=st.booleans())
    def abort(self, upload: Upload, again: bool) -> object:
        """Let go, maybe twice."""
        if upload in self.living:
            result_of(ensureDeferred(upload.sink.abort()))
            self.living.discard(upload)
        return upload if again else multiple()

    @rule(data=contents)
    def delete(self, data: bytes) -> None:
        """Delete the last file that refers to some bytes."""
        self.used.discard(sha256_of(data))

    @rule(process=processes, data=contents)
    def remove(self, process: int, data: bytes) -> None:
        """Sweep a blob."""
        digest = sha256_of(data)

        async def is_unused() -> bool:
            assert digest not in self.pinned
            return digest not in self.used

        gone = result_of(ensureDeferred(self.stores[process].remove(info_of(data), is_unused)))
        assert gone is (digest not in self.pinned and digest not in self.used)
        if gone:
            self.present.discard(digest)

    @rule(data=contents, bad=st.sampled_from([b"", b"rotten"]))
    def damage(self, data: bytes, bad: bytes) -> None:
        """Lose the bytes of a blob that no file refers to; the next upload brings them back."""
        digest = sha256_of(data)
        if digest in self.present and digest not in self.used and digest not in self.pinned:
            path = self.root / "sha256" / digest.hex[:2] / digest.hex[2:4] / digest.hex
            path.unlink()
            path.write_bytes(bad)
            self.present.discard(digest)

    @rule(process=processes)
    def crash(self, process: int) -> None:
        """Kill a process and start another in its place."""
        for upload in [upload for upload in self.living if upload.process == process]:
            self.living.discard(upload)
            if upload.digest is not None:
                self.left.append(upload.digest)
        self.disks[process].die_at = 0
        self.disks[process].bury()
        self.disks[process] = Disk()
        self.stores[process] = self.make_store(self.disks[process])

    @rule(process=processes)
    def recover(self, process: int) -> None:
        """Clear what the dead left."""

        async def is_unused(digest: Digest) -> bool:
            return digest not in self.used

        result_of(ensureDeferred(self.stores[process].recover(is_unused)))
        self.present -= set(self.left) - self.used - self.pinned
        self.left = [digest for digest in self.left if digest in self.pinned]

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        """Each blob that should be there can be read, whole; the others are not there, or were damaged."""
        for digest in self.present:
            data = next(data for data in CONTENTS if sha256_of(data) == digest)
            assert result_of(ensureDeferred(get(self.stores[0], info_of(data)))) == data
        found = result_of(ensureDeferred(all_digests(self.stores[1])))
        assert isinstance(found, set)
        assert found >= self.present
        assert self.used <= self.present

    @invariant()
    def nothing_is_held_in_memory_for_nothing(self) -> None:
        """What sinks hold is counted, and only that."""
        for process, store in enumerate(self.stores):
            if not any(upload.process == process and upload.digest is None for upload in self.living):
                assert store.buffered_bytes == 0


BlobStoreMachine.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


class MachineTests(SynchronousTestCase):
    """Runs the machine under trial."""

    def test_any_order(self) -> None:
        """No order of uploads, publishes, removals, crashes and recoveries loses or leaks a blob."""
        self.assertEqual(len({sha256_of(data).hex[:2] for data in CONTENTS}), len(CONTENTS))
        BlobStoreMachine.TestCase("runTest").runTest()
