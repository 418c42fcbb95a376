"""Archives in processes of their own: real ones, under the real reactor."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import IO, Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from pkgregd import formats
from pkgregd.blobs.files import FileBlobStore
from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.errors import BlobMissing, InvalidArchive, InvalidName, MetadataMismatch, Unavailable
from pkgregd.inspector.wire import MAX_MESSAGE_CHARACTERS, BadAnswer, read_refusal
from pkgregd.interfaces import IBlobSource, IBlobStore, Inspector
from pkgregd.registry import inspections
from pkgregd.registry.inspections import Inspections
from pkgregd.registry.inspector_process import InspectionLimits
from tests.registry import inspectors

SMALL = b"headtail"
GREAT = b"head" + bytes(300_000) + b"tail"
PACKAGES = ("tests.registry",)
ARCHIVE_MODULES = [f"pkgregd.formats.{file.stem}" for file in Path(formats.__path__[0]).glob("*_inspection.py")]


async def stored(store: IBlobStore, data: bytes) -> IBlobSource:
    """Put bytes into a store and open them."""
    sink = await store.open_sink()
    sink.write(data)
    blob = await sink.commit()
    await sink.abort()
    return await store.open_blob(blob)


def open_fds() -> set[str]:
    """Return what this process has open."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
    return found


def is_alive(pid: object) -> bool:
    """Whether there is such a process, also as a zombie."""
    return Path(f"/proc/{pid}").exists()


class OtherReactor:
    """The reactor with other methods in place of some."""

    def __init__(self, **others: Callable[..., Any]) -> None:
        vars(self).update(others)

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class InspectionCase(TestCase):
    """A few processes with small limits, and a source of SMALL."""

    timeout = 60
    limits = InspectionLimits(processes=1, memory_bytes=256 << 20, cpu_seconds=1, deadline_seconds=20)

    async def setUp(self) -> None:
        """Make them; nothing is started before the first job."""
        self.inspections = self.make()
        self.source = await stored(MemoryBlobStore(), SMALL)

    def make(self, limits: InspectionLimits | None = None, **options: Any) -> Inspections:
        """Make others, closed after the test."""
        made = Inspections(reactor, limits or self.limits, packages=PACKAGES, **options)
        self.addCleanup(lambda: ensureDeferred(made.close()))
        return made

    def run_it(
        self, inspector: Inspector, source: IBlobSource | None = None, **arguments: object
    ) -> Coroutine[Deferred[Any], Any, Mapping[str, object]]:
        """Run an inspector."""
        return self.inspections.run(source or self.source, inspector, arguments)

    async def refused(self, inspector: Inspector, **arguments: object) -> str:
        """Run an inspector to an InvalidArchive; return its text."""
        with self.assertRaises(InvalidArchive) as caught:
            await self.run_it(inspector, **arguments)
        return str(caught.exception)

    async def pid(self) -> object:
        """Have an archive read, and return by which process."""
        return (await self.run_it(inspectors.read))["pid"]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the reactor turn until something is so; the test's timeout bounds it."""
        while not condition():
            await deferLater(reactor, 0.005)


class ReadingTests(InspectionCase):
    """Archives that are what they should be, from every kind of store."""

    async def test_small_and_great_from_both_stores(self) -> None:
        """Within the job, as a descriptor, or through reads: the inspector sees the same bytes, in the same process."""
        files = FileBlobStore(reactor, Path(self.mktemp()), reserve_bytes=0, threads=1)
        self.addCleanup(lambda: ensureDeferred(files.close()))
        pids = set()
        for store in (MemoryBlobStore(), files):
            for data in (SMALL, GREAT):
                source = await stored(store, data)
                found = dict(await self.run_it(inspectors.read, source))
                pids.add(found.pop("pid"))
                self.assertEqual(found, {"start": "head", "end": "tail", "size": len(data)})
                self.assertEqual(await self.run_it(inspectors.read_all, source), {"size": len(data)})
                await source.close()
        self.assertEqual(len(pids), 1)
        self.assertNotIn(os.getpid(), pids)

    async def test_errors_of_ours_keep_their_kind_and_text(self) -> None:
        """A refusal arrives as it was raised; what is none of an inspector's is InvalidArchive."""
        with self.assertRaises(MetadataMismatch) as caught:
            await self.run_it(inspectors.refuse, kind="mismatch")
        self.assertEqual(str(caught.exception), str(MetadataMismatch("version", ("form", "1"), ("archive", "2"))))
        with self.assertRaisesRegex(InvalidName, "^not a name$"):
            await self.run_it(inspectors.refuse, kind="name")
        pid = await self.pid()
        for kind in ("unavailable", "deep", "other"):
            self.assertEqual(await self.refused(inspectors.refuse, kind=kind), "the archive cannot be read")
        for kind in ("bytes", "nan", "surrogate"):
            self.assertEqual(await self.refused(inspectors.return_odd, kind=kind), "the archive cannot be read")
        self.assertIn("more than 4194304 bytes", await self.refused(inspectors.return_odd, kind="much"))
        self.assertEqual(await self.pid(), pid, "a refusal costs no process")

    async def test_only_inspectors_are_run(self) -> None:
        """A function elsewhere, or within another, is a mistake of ours."""
        for wrong in (os.getcwd, lambda file: {}, InspectionCase.pid):
            with self.assertRaises(ValueError):
                await self.run_it(wrong)  # type: ignore[arg-type]
        with self.assertRaises(ValueError):
            await Inspections(reactor).run(self.source, inspectors.read, {})

    async def test_archive_that_cannot_be_read_on(self) -> None:
        """Damage in the store is not the client's mistake."""

        class Damaged(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise BlobMissing("damaged")

        whole = await stored(MemoryBlobStore(), GREAT)

        class Source:
            info = whole.info

            def open_seekable(self) -> IO[bytes]:
                return Damaged(GREAT)

        with self.assertRaises(BlobMissing):
            await self.run_it(inspectors.read, Source())  # type: ignore[arg-type]
        await self.pid()


class ConfinedTests(InspectionCase):
    """What an inspector has, and has not."""

    async def test_surroundings(self) -> None:
        """No environment, no descriptors, no Twisted even with the readers of every format; nice, and in the root."""
        for module in ARCHIVE_MODULES:
            found: Any = await self.run_it(inspectors.describe, imports=module)
        self.assertEqual([name for name in found["modules"] if name.split(".")[0] in ("twisted", "zope")], [])
        self.assertIn("pkgregd.formats.pypi_inspection", found["modules"])
        self.assertLessEqual(set(found["fds"]), {0, 1, 2, 3})  # 3 is that of the listing
        self.assertLessEqual(set(found["environment"]), {"LC_CTYPE"})  # Python's own
        self.assertEqual((found["folder"], found["limits"]), ("/", [0, 0]))
        self.assertEqual(found["nice"], os.nice(0) + 5)
        self.assertIn("NoNewPrivs:\t1", found["status"])

    async def test_nothing_is_written(self) -> None:
        """Neither a file nor the archive."""
        files = FileBlobStore(reactor, Path(self.mktemp()), reserve_bytes=0, threads=1)
        self.addCleanup(lambda: ensureDeferred(files.close()))
        source = await stored(files, GREAT)
        self.assertEqual(await self.run_it(inspectors.write, source), {"done": []})
        await source.close()


class HostileTests(InspectionCase):
    """Bytes that make a reader die, hang, swell or lie: one upload is refused, the next one is read."""

    async def test_crash(self) -> None:
        """An inspector that dies is replaced."""
        for kind in ("segfault", "killed", "exit"):
            before = await self.pid()
            self.assertEqual(await self.refused(inspectors.crash, kind=kind), "the archive cannot be read")
            self.assertFalse(is_alive(before))
            self.assertNotEqual(await self.pid(), before)

    async def test_processor_time_is_for_each_archive(self) -> None:
        """An endless loop ends with the processor time of one archive; others before it do not count."""
        before = await self.pid()
        self.assertEqual(await self.refused(inspectors.spin), "the archive takes too long to read")
        self.assertFalse(is_alive(before))
        await self.pid()

    async def test_deadline(self) -> None:
        """A reader that waits for ever ends by the clock."""
        self.inspections = self.make(InspectionLimits(processes=1, deadline_seconds=1.5))
        pid = await self.pid()
        self.assertEqual(await self.refused(inspectors.sleep, seconds=60), "the archive takes too long to read")
        self.assertNotEqual(await self.pid(), pid)
        await self.until(lambda: not is_alive(pid))

    async def test_memory(self) -> None:
        """A bomb is refused when it reaches the limit."""
        self.assertEqual(await self.refused(inspectors.swell), "the archive takes too much memory to read")
        await self.pid()

    async def test_lies(self) -> None:
        """What is not the answer of an inspector is a refusal, and the end of the process."""
        for kind in (
            "not JSON", "not UTF-8", "not an object", "too deep", "NaN", "a kind that is none",
            "a refusal that is none", "half a refusal", "too long", "two frames", "a read of nothing",
            "a read behind the end", "a read of a file", "half a read",
        ):  # fmt: skip
            before = await self.pid()
            self.assertEqual(await self.refused(inspectors.lie, kind=kind), "the archive cannot be read", kind)
            await self.until(lambda before=before: not is_alive(before))  # type: ignore[misc]
        await self.pid()

    async def test_no_descriptor_is_left(self) -> None:
        """After all that the daemon has open what it had before."""
        await deferLater(reactor, 0)  # the reactor has opened what it needs
        before = open_fds()
        files = FileBlobStore(reactor, Path(self.mktemp()), reserve_bytes=0, threads=1)
        source = await stored(files, GREAT)
        for inspector in (inspectors.read, inspectors.crash, inspectors.read, inspectors.refuse):
            arguments = {} if inspector is inspectors.read else {"kind": "exit"}
            try:
                await self.run_it(inspector, source, **arguments)
            except InvalidArchive:
                self.assertIsNot(inspector, inspectors.read)
        await source.close()
        await files.close()
        await self.inspections.close()
        self.assertEqual(open_fds(), before)


class PoolTests(InspectionCase):
    """How many, how long, and the end."""

    async def test_a_process_killed_while_idle(self) -> None:
        """It is noticed before the next archive, which is read by another."""
        pid = await self.pid()
        os.kill(pid, 9)  # type: ignore[arg-type]
        await self.until(lambda: not is_alive(pid))
        self.assertNotEqual(await self.pid(), pid)

    async def test_as_many_at_once_as_configured(self) -> None:
        """Two archives are read at once by two processes, a third waits."""
        self.inspections = self.make(InspectionLimits(processes=2))
        jobs = [ensureDeferred(self.run_it(inspectors.sleep, seconds=0.1)) for _ in range(5)]
        self.assertEqual(len({found["pid"] for found in await gatherResults(jobs)}), 2)

    async def test_too_many_waiting(self) -> None:
        """Who would have to wait for too many others is asked to come back."""
        jobs = [ensureDeferred(self.run_it(inspectors.sleep, seconds=0)) for _ in range(inspections.MAX_WAITING + 1)]
        with self.assertRaises(Unavailable):
            await self.pid()
        await gatherResults(jobs)
        await self.pid()

    async def test_no_process_can_be_started(self) -> None:
        """That is no fault of the archive: it may be sent again."""

        def fail(*_: object, **__: object) -> None:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        await deferLater(reactor, 0)
        before = open_fds()
        full = Inspections(OtherReactor(spawnProcess=fail), self.limits, packages=PACKAGES)
        with self.assertRaises(Unavailable):
            await full.run(self.source, inspectors.read, {})
        self.assertEqual((open_fds(), full._living), (before, set()))
        await full.close()

    async def test_a_process_that_does_not_come_up(self) -> None:
        """A process that dies before its first job, or greets in another way, is no fault of the archive either."""
        for program in (
            "raise SystemExit(3)",
            "import os; os.write(0, b'HTTP/1.1')",
            "import os; os.write(0, bytes(5))",
        ):

            def spawn(protocol: Any, python: str, _: object, program: str = program, **options: Any) -> Any:
                return reactor.spawnProcess(protocol, python, [python, "-c", program], **options)

            broken = Inspections(OtherReactor(spawnProcess=spawn), self.limits, packages=PACKAGES)
            with self.assertRaises(Unavailable):
                await broken.run(self.source, inspectors.read, {})
            await broken.close()

    async def test_a_worn_process_is_replaced(self) -> None:
        """After its number of archives another one comes, and the old one is gone."""
        self.inspections = self.make(max_jobs=2)
        first, second, third = [await self.pid() for _ in range(3)]
        self.assertEqual(first, second)
        self.assertNotEqual(second, third)
        await self.until(lambda: not is_alive(first))

    async def test_idle_processes_end(self) -> None:
        """A process that has had nothing to do for long goes; one that had something a moment ago stays."""
        clock = Clock()
        timed: Any = OtherReactor(callLater=clock.callLater, seconds=clock.seconds)
        idle = Inspections(timed, self.limits, packages=PACKAGES)
        first = (await idle.run(self.source, inspectors.read, {}))["pid"]
        clock.advance(inspections.IDLE_SECONDS - 1)
        self.assertEqual((await idle.run(self.source, inspectors.read, {}))["pid"], first)
        clock.advance(1)
        self.assertEqual((await idle.run(self.source, inspectors.read, {}))["pid"], first)
        clock.advance(inspections.IDLE_SECONDS)
        await self.until(lambda: not is_alive(first))
        self.assertEqual(clock.getDelayedCalls(), [])
        await idle.close()

    async def test_a_cancelled_wait_and_a_cancelled_job(self) -> None:
        """Who leaves frees the place at once."""
        running = ensureDeferred(self.run_it(inspectors.sleep, seconds=60))
        waiting = ensureDeferred(self.run_it(inspectors.sleep, seconds=60))
        await self.until(lambda: bool(self.inspections._living))
        for job in (waiting, running):
            job.cancel()
            with self.assertRaises(CancelledError):
                await job
        await self.pid()

    async def test_close(self) -> None:
        """No process is left; what is being read or waits may be sent again, and so may what comes later."""
        pid = await self.pid()
        jobs = [ensureDeferred(self.run_it(inspectors.sleep, seconds=60)) for _ in range(2)]
        await self.inspections.close()
        self.assertFalse(is_alive(pid))
        for job in jobs:
            with self.assertRaises(Unavailable):
                await job
        with self.assertRaises(Unavailable):
            await self.pid()
        await self.inspections.close()

    async def test_close_does_not_wait_for_a_stuck_store(self) -> None:
        """A thread that a store keeps must not keep the daemon from ending."""
        entered, opened = threading.Event(), threading.Event()
        self.addCleanup(opened.set)
        great = await stored(MemoryBlobStore(), GREAT)

        timeout = self.timeout

        class Stuck:
            info = great.info

            def open_seekable(self) -> IO[bytes]:
                entered.set()
                opened.wait(timeout)
                return great.open_seekable()

        job = ensureDeferred(self.run_it(inspectors.read, Stuck()))  # type: ignore[arg-type]
        await self.until(entered.is_set)
        await self.inspections.close()
        kept = [thread for thread in threading.enumerate() if "inspections" in thread.name]
        self.assertEqual([thread.daemon for thread in kept], [True])
        opened.set()
        with self.assertRaises(Unavailable):
            await job


class RefusalTests(SynchronousTestCase):
    """Refusals as the daemon takes them."""

    def test_messages_are_bounded_and_printable(self) -> None:
        """Whatever an inspector says stays one line of bounded length."""
        long = read_refusal(b'["InvalidName", "%s"]' % (b"x" * 10_000)).error
        self.assertEqual(len(str(long)), MAX_MESSAGE_CHARACTERS)
        self.assertEqual(str(read_refusal(rb'["InvalidName", "a\nb"]').error), r"'a\nb'")

    def test_only_the_family(self) -> None:
        """An error that is not of the client's making is not taken."""
        for name in ("PkgregdError", "Unavailable", "annotations", "Exception"):
            self.assertRaises(BadAnswer, read_refusal, f'["{name}", "x"]'.encode())
