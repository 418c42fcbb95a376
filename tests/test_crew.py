"""Tests for pkgregd.crew and pkgregd.supervisor: workers started, replaced and ended, with processes that are none."""

from __future__ import annotations

import atexit
import json
import os
import pathlib
import signal
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.scripts._twistd_unix import UnixApplicationRunner
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import crew as module
from pkgregd.config import parse
from pkgregd.crew import Crew, WorkerProcess
from pkgregd.errors import Unavailable
from pkgregd.process import StartRefused
from pkgregd.supervisor import Supervisor
from pkgregd.worker import Voice, Worker


class FakeProcess:
    """A worker's process, which does what a test says."""

    def __init__(self, protocol: WorkerProcess, pid: int) -> None:
        self.protocol = protocol
        self.pid = pid
        self.told: list[str] = []
        self.is_killed = False
        self.is_dying = False
        protocol.makeConnection(self)  # type: ignore[no-untyped-call]

    def writeToChild(self, number: int, data: bytes) -> None:
        """See IProcessTransport. Twisted raises KeyError where a pipe is closed already."""
        if self.is_dying:
            raise KeyError(number)
        self.told.append(data.decode().rstrip("\n"))

    def signalProcess(self, name: str) -> None:
        """See IProcessTransport."""
        if self.is_dying:
            raise ProcessExitedAlready
        self.is_killed = True

    def say(self, *message: object) -> None:
        """Have it say a line."""
        self.protocol.outReceived(json.dumps(message).encode() + b"\n")

    def die(self, number: int = 9) -> None:
        """End it by a signal."""
        self.protocol.processEnded(Failure(ProcessTerminated(None, number, number)))


class FakeReactor(Clock):
    """A clock that starts FakeProcess, or is out of processes."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[FakeProcess] = []
        self.is_full = False
        self.running = True

    def spawnProcess(self, protocol: WorkerProcess, *arguments: object, **others: Mapping[str, Any]) -> FakeProcess:
        """See IReactorProcess."""
        if self.is_full:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        self.started.append(FakeProcess(protocol, 1000 + len(self.started)))
        return self.started[-1]

    def stop(self) -> None:
        """See IReactorCore."""
        self.running = False


class CrewTests(SynchronousTestCase):
    """The workers of one configuration."""

    def setUp(self) -> None:
        """Make a crew of two."""
        self.reactor = FakeReactor()
        self.lines: list[str] = []
        self.crew = Crew(self.reactor, parse("[http]\nworkers = 2\n", pathlib.Path("/x")), [], pathlib.Path("/x"))
        globalLogPublisher.addObserver(self.note)
        self.addCleanup(globalLogPublisher.removeObserver, self.note)

    def note(self, event: LogEvent) -> None:
        """Keep a line of the log."""
        self.lines.append(formatEvent(event))

    def start(self) -> Deferred[None]:
        """Start it, with all its workers ready."""
        starting = ensureDeferred(self.crew.start())
        for number in range(2):
            self.reactor.started[number].say("ready")
        self.successResultOf(starting)
        return starting

    def count_starts(self, seconds: int) -> int:
        """Have each worker but the first two refuse after six seconds; returns how many were started in some time."""
        before = seen = 2
        for _ in range(seconds):
            self.reactor.advance(1)
            for process in self.reactor.started[seen:]:
                self.reactor.advance(6)
                process.say("refused", "the certificate is gone")
                process.die(15)
                seen += 1
        return seen - before

    def test_the_log_says_how_a_worker_ended(self) -> None:
        """By the signal, or with what it said itself."""
        self.start()
        self.reactor.started[0].die(9)
        self.assertIn("worker 1 is gone, and is replaced: it was ended by signal 9", self.lines)
        self.reactor.advance(1)
        self.reactor.started[2].say("refused", "the certificate is gone")
        self.reactor.started[2].die(15)
        self.assertIn("worker 1 is gone, and is replaced: the certificate is gone", self.lines)

    def test_a_worker_that_never_gets_ready_is_tried_less_and_less(self) -> None:
        """However long it takes to find out that it will not."""
        self.start()
        self.reactor.advance(60)
        self.reactor.started[1].die()
        self.assertLess(self.count_starts(600), 40)

    def test_no_process_can_be_had_for_a_while(self) -> None:
        """A worker is replaced when there are processes again."""
        self.start()
        self.reactor.is_full = True
        self.reactor.started[1].die()
        self.reactor.pump([1.0] * 60)
        self.assertEqual(len(self.reactor.started), 2)
        self.reactor.is_full = False
        self.reactor.advance(module.MAX_PAUSE_SECONDS)
        self.assertEqual(len(self.reactor.started), 3)
        self.assertTrue(any("no process can be started" in line for line in self.lines))

    def test_no_process_can_be_had_at_the_start(self) -> None:
        """It is said."""
        self.reactor.is_full = True
        failure = self.failureResultOf(ensureDeferred(self.crew.start()), Unavailable)
        self.assertIn("no process can be started", str(failure.value))

    def test_a_worker_that_is_dying_keeps_no_other_from_its_end(self) -> None:
        """Its pipe may be closed, and its status known, before it counts as gone."""
        self.start()
        first, second = self.reactor.started
        first.is_dying = True
        draining = ensureDeferred(self.crew.drain())
        self.assertEqual(second.told[-1], "drain")
        self.crew.kill()
        self.assertTrue(second.is_killed)
        self.assertNoResult(draining)
        first.die()
        second.die()
        self.successResultOf(draining)

    def test_a_worker_that_hangs(self) -> None:
        """It is killed when its reactor has not turned for long; one that speaks is not, however long it starts."""
        starting = ensureDeferred(self.crew.start())
        first = self.reactor.started[0]
        for _ in range(100):
            first.say("alive")
            self.reactor.advance(module.ALIVE_SECONDS)
        first.say("ready")
        second = self.reactor.started[1]
        second.say("alive")
        second.say("ready")
        self.successResultOf(starting)
        for _ in range(int(module.SILENT_SECONDS / module.ALIVE_SECONDS) + 1):
            self.assertFalse(second.is_killed)
            first.say("log", 0.0, "info", "x", "a line")
            self.reactor.advance(module.ALIVE_SECONDS)
        self.assertEqual((first.is_killed, second.is_killed), (False, True))
        second.die()
        self.reactor.advance(1000)
        self.assertEqual(self.lines.count("worker 2 hangs, and is killed"), 1)

    def test_a_halt_of_the_supervisor(self) -> None:
        """Workers that it could not hear meanwhile are none that hang."""
        self.start()
        for process in self.reactor.started:
            process.say("alive")
        self.reactor.advance(100 * module.SILENT_SECONDS)
        self.assertFalse(any(process.is_killed for process in self.reactor.started))


class FakePort:
    """A port of a worker, which knows whether it takes connections."""

    def __init__(self) -> None:
        self.port = self
        self.acts: list[str] = []

    def startReading(self) -> None:
        """See IReadDescriptor."""
        self.acts.append("listen")

    def take_waiting(self) -> None:
        """See Port."""
        self.acts.append("take")

    async def close(self) -> None:
        """See Port."""


class FakeDaemon:
    """A daemon that cannot reach its store."""

    async def start(self) -> None:
        """See Daemon."""

    async def readiness(self) -> list[str]:
        """See Daemon."""
        return ["blobs: no answer"]

    async def close(self) -> None:
        """See Daemon."""


class WorkerTests(SynchronousTestCase):
    """A worker, from the inside."""

    def test_threads_that_log_at_once(self) -> None:
        """Lines that a pipe does not take in one piece stay whole."""
        reading, writing = os.pipe()
        voice = Voice(writing)

        def talk(letter: str) -> None:
            for _ in range(50):
                voice.say(letter * 20_000)

        threads = [threading.Thread(target=talk, args=(letter,)) for letter in "abcd"]
        for thread in threads:
            thread.start()
        with os.fdopen(reading, "rb") as pipe:
            found = [pipe.readline() for _ in range(200)]
            for thread in threads:
                thread.join()
            os.close(writing)
            self.assertEqual(pipe.read(), b"")
        self.assertEqual(set(found), {json.dumps([letter * 20_000]).encode() + b"\n" for letter in "abcd"})

    def begin(self, orders: Mapping[str, object]) -> list[object]:
        """Have it become ready if it can; returns what it says."""
        said: list[object] = []
        voice: Any = type("FakeVoice", (), {"say": lambda _, *message: said.append(message)})()
        worker = Worker(FakeReactor(), voice, orders)
        made: Any = worker
        self.port = FakePort()
        made._daemon, made._ports = FakeDaemon(), [self.port]
        if not orders["is_beside"]:
            worker._listen()
        self.successResultOf(ensureDeferred(worker.begin()))
        return said

    def test_a_reload_into_what_does_not_answer(self) -> None:
        """The worker refuses, and has taken no connection."""
        said = self.begin({"is_beside": True})
        self.assertEqual(said, [("alive",), ("refused", "blobs: no answer")])
        self.assertEqual(self.port.acts, [])

    def test_a_start_with_what_does_not_answer(self) -> None:
        """There is no other worker: this one serves, and says that it is not ready to whoever asks."""
        said = self.begin({"is_beside": False})
        self.assertEqual(said, [("alive",), ("ready",)])
        self.assertEqual(self.port.acts, ["listen"])


class SupervisorTests(SynchronousTestCase):
    """The process that has a crew."""

    def setUp(self) -> None:
        """Make one of two workers, and keep what is to be done when this process ends."""
        self.reactor = FakeReactor()
        config = parse("[http]\nworkers = 2\n", pathlib.Path("/x"))
        self.supervisor = Supervisor(self.reactor, config)
        self.last_acts: list[object] = []
        self.patch(atexit, "register", self.last_acts.append)

    def test_no_folder_can_be_made(self) -> None:
        """It ends, and with status 1: nobody would serve."""
        self.patch(tempfile, "tempdir", "/nonexistent")
        self.successResultOf(ensureDeferred(self.supervisor.begin()))
        self.assertFalse(self.reactor.running)
        self.assertEqual(len(self.last_acts), 1)

    def begin(self) -> None:
        """Have it serve with two workers."""
        beginning = ensureDeferred(self.supervisor.begin())
        for number in range(2):
            self.reactor.started[number].say("ready")
        self.successResultOf(beginning)

    def reload(self) -> Deferred[None]:
        """Begin a reload of which the first worker of the new ones is ready."""
        self.supervisor.read_doorways = lambda config: []  # type: ignore[method-assign]
        reloading = ensureDeferred(self.supervisor.exchange(self.supervisor.config))
        self.reactor.started[2].say("ready")
        return reloading

    def test_a_reload_that_fails_cuts_no_request(self) -> None:
        """A new worker that was ready has accepted connections: it finishes them."""
        self.begin()
        reloading = self.reload()
        fresh, other = self.reactor.started[2:]
        other.say("refused", "no")
        other.die()
        self.failureResultOf(reloading, Unavailable)
        self.assertEqual((fresh.is_killed, fresh.told[-1]), (False, "drain"))
        self.assertNotIn("drain", self.reactor.started[0].told)

    def test_a_stop_during_a_reload(self) -> None:
        """All that are ready finish at the same time, and only who is not ready is killed."""
        self.begin()
        self.supervisor.is_stopping = True
        reloading = self.reload()
        ending = ensureDeferred(self.supervisor.end())
        *ready, starting = self.reactor.started
        self.assertEqual([process.told[-1] for process in ready], ["drain"] * 3)
        starting.die()
        self.failureResultOf(reloading, Unavailable)
        self.assertFalse(any(process.is_killed for process in ready))
        self.assertNoResult(ending)
        for process in ready:
            process.die()
        self.successResultOf(ending)

    def test_the_second_signal_ends_workers_of_all_configurations(self) -> None:
        """Those of the configuration before may have requests yet."""
        self.begin()
        reloading = self.reload()
        self.reactor.started[3].say("ready")
        self.successResultOf(reloading)
        self.patch(signal, "raise_signal", lambda number: None)
        self.supervisor._kill_all()
        self.assertTrue(all(process.is_killed for process in self.reactor.started))


class StartRefusedTests(SynchronousTestCase):
    """A start in the background that cannot be."""

    def test_who_waits_for_it_is_told(self) -> None:
        """The twistd that was started gets the reason, and the file of the number goes."""
        folder = pathlib.Path(self.mktemp())
        folder.mkdir(parents=True)
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        pid_file = folder / "number"
        pid_file.write_text("1")
        runner = UnixApplicationRunner({"statusPipe": writing, "pidfile": str(pid_file)})
        runner.application = None

        def refuse(application: object) -> None:
            raise StartRefused("pkgregd: the port is taken")

        runner.startApplication = refuse
        self.assertRaises(SystemExit, runner.postApplication)
        self.assertIn(b"the port is taken", os.read(reading, 1000))
        self.assertFalse(pid_file.exists())
