"""Due times in a file that processes share."""

from __future__ import annotations

import fcntl
import itertools
import os
import pathlib
import signal
import stat
import struct
import time
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import Unavailable
from pkgregd.interfaces import IDueTimes
from pkgregd.registry.gcra import GCRA
from pkgregd.shared.duetimes import WAYS, SharedDueTimes, open_due_times
from pkgregd.testing.limits_contract import RateLimiterContract
from pkgregd.values import Rate

NOW = 1000.0
BUDGET = 2000


class SharedCase(SynchronousTestCase):
    """Tests with files of due times in a folder of their own."""

    def setUp(self) -> None:
        """Make the folder."""
        super().setUp()
        self.folder = pathlib.Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.file = self.folder / "limits"
        self._numbers = itertools.count()

    def open(self, file: pathlib.Path | None = None, sets: int = 64, boot_id: bytes | None = None) -> SharedDueTimes:
        """Open a file, until the test ends."""
        opened = open_due_times(file or self.file, sets, boot_id)
        self.addCleanup(opened.close)
        return opened

    def in_child(self, work: Callable[[], int]) -> Callable[[], int]:
        """Fork, and have the child do something; returns what waits for its result."""
        receiver, sender = os.pipe()
        pid = os.fork()
        if not pid:  # what the child does must not get back into the tests
            try:
                os.write(sender, struct.pack("<q", work()))
                os._exit(0)
            finally:
                os._exit(1)
        os.close(sender)

        def result() -> int:
            found = os.read(receiver, 8)
            os.close(receiver)
            self.assertEqual(os.waitpid(pid, 0)[1], 0)
            return int(struct.unpack("<q", found)[0])

        return result


class SharedLimiterTests(RateLimiterContract, SharedCase):
    """The contract."""

    def make_due_times(self) -> IDueTimes:
        """Make one in a file of its own."""
        opened = open_due_times(self.folder / f"limits-{next(self._numbers)}", sets=64)
        self.addCleanup(opened.close)
        return opened


class FileTests(SharedCase):
    """What is believed of a file."""

    def used_up(self, due_times: SharedDueTimes) -> bool:
        """Whether the caller of these tests has its one request behind it; it has then."""
        return due_times.push("a", NOW, 60.0, 60.0) > NOW + 60

    def test_it_stays(self) -> None:
        """Who opens the file later knows what was counted before; it is nobody else's to read."""
        self.assertFalse(self.used_up(self.open()))
        self.assertTrue(self.used_up(self.open()))
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)

    def test_another_boot(self) -> None:
        """Times of another boot are worth nothing."""
        self.assertFalse(self.used_up(self.open(boot_id=b"a" * 16)))
        self.assertFalse(self.used_up(self.open(boot_id=b"b" * 16)))

    def test_another_size(self) -> None:
        """A file with another number of sets is made anew."""
        self.assertFalse(self.used_up(self.open()))
        self.assertFalse(self.used_up(self.open(sets=32)))

    def test_what_is_broken_is_replaced(self) -> None:
        """Cut, of another version, with a damaged header, or writable by others."""

        def damage(offset: int) -> None:
            with self.file.open("r+b") as file:
                file.seek(offset)
                byte = file.read(1)
                file.seek(offset)
                file.write(bytes([byte[0] ^ 1]))

        damages: list[Callable[[], object]] = [
            lambda: os.truncate(self.file, 100),
            lambda: os.truncate(self.file, 0),
            lambda: self.file.chmod(0o622),
            *(lambda offset=offset: damage(offset) for offset in (0, 8, 10, 12, 20, 40, 48)),
        ]
        for number, harm in enumerate(damages):
            self.used_up(self.open())
            harm()
            self.assertFalse(self.used_up(self.open()), number)
            self.assertTrue(self.used_up(self.open()), number)

    def test_what_is_not_ours_is_left_alone(self) -> None:
        """A file that was named by mistake, perhaps the catalog, is left alone, as links, folders and pipes."""
        catalog = b"SQLite format 3\0" * 10
        self.file.write_bytes(catalog)
        self.assertIn("there is another file", str(self.assertRaises(Unavailable, self.open)))
        self.assertEqual(self.file.read_bytes(), catalog)
        self.file.rename(self.folder / "catalog")
        self.file.symlink_to(self.folder / "catalog")
        self.assertRaises(Unavailable, self.open)
        self.file.unlink()
        self.file.mkdir()
        self.assertRaises(Unavailable, self.open)
        self.file.rmdir()
        os.mkfifo(self.file)
        self.assertRaises(Unavailable, self.open)
        self.assertTrue(self.file.is_fifo())
        self.assertEqual((self.folder / "catalog").read_bytes(), catalog)

    def test_who_died_while_making_it(self) -> None:
        """What a process left that had our number, as the first one of a container always has, is in nobody's way."""
        left = self.folder / f"limits.{os.getpid()}.new"
        left.write_bytes(b"half")
        self.assertFalse(self.used_up(self.open()))
        self.assertFalse(left.exists())

    def test_who_empties_it_in_use(self) -> None:
        """An operator who cuts the file while processes have it sets all counts to nothing, and ends no process."""

        def work() -> int:
            due_times = self.open()
            used = [self.used_up(due_times)]
            os.truncate(self.file, 0)
            return sum(1 << bit for bit, was in enumerate([*used, *(self.used_up(due_times) for _ in range(2))]) if was)

        self.assertEqual(self.in_child(work)(), 0b100)

    def test_what_cannot_be_read(self) -> None:
        """Everybody is admitted, and nothing is done to a file that has the number of the one that is closed."""
        opened = self.open()
        opened.push("alice", NOW, 60.0, 60.0)
        opened.close()
        other = self.folder / "other"
        with other.open("w+b"):
            self.assertEqual(opened.push("alice", NOW, 2.0, 60.0), NOW + 2.0)
        self.assertEqual(other.read_bytes(), b"")

    def test_what_cannot_be_had(self) -> None:
        """A folder of that name, a link, or no folder at all end the start with a sentence."""
        self.file.mkdir()
        self.assertRaises(Unavailable, self.open)
        link = self.folder / "link"
        link.symlink_to(self.folder / "elsewhere")
        self.assertRaises(Unavailable, self.open, link)
        self.assertRaises(Unavailable, self.open, self.folder / "none" / "limits")
        self.assertEqual([path.name for path in self.folder.glob("*.new")], [])

    @given(st.binary(min_size=128, max_size=128))
    def test_any_bytes_in_a_set(self, data: bytes) -> None:
        """Whatever a set holds, a caller is told a wait within bounds, and the next one that it was counted."""
        file = self.folder / f"bytes-{next(self._numbers)}"
        opened = open_due_times(file, sets=1)
        try:
            with file.open("r+b") as raw:
                raw.seek(64)
                raw.write(data)
            for key in ("a", "b"):
                due_at = opened.push(key, NOW, 10.0, 60.0)
                self.assertTrue(NOW <= due_at <= NOW + 70, due_at)
        finally:
            opened.close()
            file.unlink()


class ForgettingTests(SharedCase):
    """A set that is full."""

    def test_who_has_the_most_left_is_forgotten(self) -> None:
        """A caller that used its budget up is remembered while others come and go."""
        due_times = self.open(sets=1)
        due_times.push("greedy", NOW, 60.0, 60.0)
        for number in range(50 * WAYS):
            due_times.push(f"other {number}", NOW, 1.0, 60.0)
        self.assertGreater(due_times.push("greedy", NOW, 1.0, 60.0), NOW + 60)

    def test_the_file_does_not_grow(self) -> None:
        """However many there are."""
        due_times = self.open(sets=4)
        size_bytes = self.file.stat().st_size
        for number in range(1000):
            due_times.push(str(number), NOW, 1.0, 60.0)
        self.assertEqual(self.file.stat().st_size, size_bytes)


class ProcessTests(SharedCase):
    """Several at once. Their clock stands still, so that every admitted request is one of the budget."""

    def admitted(self, due_times: SharedDueTimes) -> int:
        """Ask for as much as the whole budget; return how much was admitted."""
        limiter = GCRA(Rate(BUDGET, 3600), lambda: NOW, due_times)
        return sum(limiter.admit("a").retry_after_seconds is None for _ in range(BUDGET))

    def assert_exact(self, counts: list[int]) -> None:
        """All together had the budget, within a twentieth: on a busy machine some locks are not to be had in time."""
        self.assertTrue(BUDGET <= sum(counts) <= BUDGET * 1.05, counts)

    def test_opened_before_the_fork(self) -> None:
        """Two and four processes that inherited the file admit together what one would."""
        for processes in (2, 4):
            due_times = self.open(self.folder / f"before-{processes}")
            waiting = [self.in_child(lambda due_times=due_times: self.admitted(due_times)) for _ in range(processes)]
            self.assert_exact([wait() for wait in waiting])

    def test_opened_after_the_fork(self) -> None:
        """The same with processes that open it themselves, all at once, and make it if it is not there."""
        for processes in (2, 4):
            file = self.folder / f"after-{processes}"
            waiting = [
                self.in_child(lambda file=file: self.admitted(open_due_times(file, 64))) for _ in range(processes)
            ]
            self.assert_exact([wait() for wait in waiting])

    def hold(self) -> int:
        """Have a child take every lock of the file, and keep it; returns its process when it has."""
        receiver, sender = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                number = os.open(self.file, os.O_RDWR)
                fcntl.lockf(number, fcntl.LOCK_EX)
                os.write(sender, b"x")
                while True:
                    signal.pause()
            finally:
                os._exit(1)
        os.close(sender)
        os.read(receiver, 1)
        os.close(receiver)
        return pid

    def test_a_lock_that_is_not_to_be_had(self) -> None:
        """Requests are counted all the same, at no great cost, and its owner's end sets it free."""
        due_times = self.open()
        pid = self.hold()
        try:
            started_at = time.monotonic()
            found = [due_times.push("a", NOW, 30.0, 60.0) for _ in range(100)]
            self.assertLess(time.monotonic() - started_at, 5)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.assertEqual(found[:3], [NOW + 30, NOW + 60, NOW + 90])
        self.assertEqual(due_times.unguarded, 100)
        self.assertEqual(due_times.push("b", NOW, 30.0, 60.0), NOW + 30)
        self.assertEqual(due_times.unguarded, 100)
