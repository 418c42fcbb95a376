"""`kill -9` at any moment: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import hashlib
import os
import random
import re
import sys
import threading

from attrs import define, field, frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.support.blobs import ON_DISK
from tests.support.daemon import Daemon, wait_until
from tests.support.packages import make_wheel, small_form, wheel_name
from tests.support.rawhttp import RawConnection
from tests.support.stored import damaged_blobs, staged_files, stored_blobs

KILLS = int(os.environ.get("PKGREGD_TORTURE_KILLS", "40"))
SEED = int(os.environ.get("PKGREGD_TORTURE_SEED", "20261124"))
UPLOADERS = 4
SETTLE_SECONDS = 30.0


@frozen
class Attempt:
    """A file that was begun to be uploaded: where it is read, and what it holds."""

    path: str
    sha256: str


@define
class Round:
    """
    What the uploaders did between a start of the daemon and its end.

    Attributes:
        refused: answers that nobody should get.
        steps: how often something happened.
    """

    refused: list[str] = field(factory=list)
    attempts: set[Attempt] = field(factory=set)
    acknowledged: set[Attempt] = field(factory=set)
    progress: threading.Condition = field(factory=threading.Condition)
    steps: int = 0
    is_over: bool = False

    def begin(self, attempt: Attempt) -> None:
        """Note an attempt before its first byte is sent."""
        with self.progress:
            self.attempts.add(attempt)

    def step(self, acknowledged: Attempt | None = None) -> None:
        """Note that something happened: a request was sent, or an answer came."""
        with self.progress:
            if acknowledged is not None:
                self.acknowledged.add(acknowledged)
            self.steps += 1
            self.progress.notify_all()

    def wait_for_steps(self, count: int) -> bool:
        """Wait until so much has happened; False if it has not in a minute."""
        with self.progress:
            return self.progress.wait_for(lambda: self.steps >= count, 60)


class Uploader(threading.Thread):
    """
    Uploads files of random bytes, one after the other, until the daemon is gone.

    Args:
        wheel_share: how many of the files are wheels, from 0 to 1.
    """

    def __init__(self, daemon: Daemon, current: Round, name: str, chance: random.Random, wheel_share: float) -> None:
        super().__init__(name=name, daemon=True)
        self._wheel_share = wheel_share
        self._daemon = daemon
        self._round = current
        self._chance = chance

    def run(self) -> None:
        """Upload; a connection that breaks ends it."""
        number = 0
        try:
            while not self._round.is_over:
                number += 1
                if self._chance.random() < self._wheel_share:
                    self._post_wheel(number)
                else:
                    self._put_file(number)
        except OSError:
            self._round.step()

    def _size_bytes(self) -> int:
        kind = self._chance.random()
        if kind < 0.6:
            return self._chance.randrange(1, 64_000)
        return self._chance.randrange(64_000, 1_500_000 if kind < 0.9 else 5_000_000)

    def _put_file(self, number: int) -> None:
        data = self._chance.randbytes(self._size_bytes())
        base = self._daemon.packages_path("generic", self._daemon.world.private_id)
        attempt = Attempt(f"{base}/kill/1.0/{self.name}-{number}.bin", hashlib.sha256(data).hexdigest())
        headers = {"Content-Length": str(len(data))}
        self._send(attempt, "PUT", attempt.path, headers, [data])

    def _post_wheel(self, number: int) -> None:
        version = f"{self.name.replace('-', '.')}.{number}"
        wheel = make_wheel("kill", version, self._chance.randbytes(self._chance.randrange(1, 50_000)))
        base = self._daemon.packages_path("pypi", self._daemon.world.private_id)
        digest = hashlib.sha256(wheel).hexdigest()
        form = small_form("kill", version, wheel)
        attempt = Attempt(f"{base}/files/{digest}/{wheel_name('kill', version)}", digest)
        self._send(attempt, "POST", base, dict(form.headers), list(form.pieces))

    def _send(
        self, attempt: Attempt, method: str, path: str, headers: dict[str, str], pieces: list[bytes | memoryview]
    ) -> None:
        self._round.begin(attempt)
        headers["PRIVATE-TOKEN"] = self._daemon.world.writer
        with RawConnection(self._daemon.port) as connection:
            connection.send_head(method, path, headers)
            self._round.step()
            connection.send_body(pieces)
            self._round.step()
            answer = connection.read_answer()
        if answer.status == 201:
            self._round.step(attempt)
        else:
            self._round.refused.append(f"{answer.status} {answer.body!r}: {attempt.path}")
            self._round.step()


class Fleet:
    """Uploaders against one daemon, which is killed again and again."""

    def __init__(self, daemon: Daemon, seed: int, wheel_share: float) -> None:
        self.daemon = daemon
        self._wheel_share = wheel_share
        self.chance = random.Random(seed)
        self.acknowledged: set[Attempt] = set()
        self.visible: set[str] = set()
        self._number = 0

    def run_and_kill(self) -> Round:
        """Let the uploaders run and kill the daemon at some moment."""
        self._number += 1
        current = Round()
        uploaders = [
            Uploader(self.daemon, current, f"{self._number}-{number}", self._new_chance(), self._wheel_share)
            for number in range(UPLOADERS)
        ]
        for uploader in uploaders:
            uploader.start()
        came_far = current.wait_for_steps(self.chance.randrange(1, 60))
        # some moment within the work that follows the step
        threading.Event().wait(self.chance.random() * 0.02)
        current.is_over = True
        self.daemon.kill9()
        for uploader in uploaders:
            uploader.join(60)
        assert came_far, "the uploads do not get on"
        self.acknowledged |= current.acknowledged
        return current

    def _new_chance(self) -> random.Random:
        return random.Random(self.chance.random())

    def read(self, path: str) -> tuple[int, bytes]:
        """Read as a member."""
        status, _, body = self.daemon.get(path, {"PRIVATE-TOKEN": self.daemon.world.reader})
        return status, body

    def faults(self, current: Round) -> list[str]:
        """Return what is wrong with the files of a round, now that the daemon runs again."""
        found = [fault for attempt in current.attempts if (fault := self._fault(attempt, current.acknowledged))]
        return current.refused + found + self._index_faults(current)

    def _fault(self, attempt: Attempt, acknowledged: set[Attempt]) -> str | None:
        status, body = self.read(attempt.path)
        if status == 200:
            self.visible.add(attempt.sha256)
            return None if hashlib.sha256(body).hexdigest() == attempt.sha256 else f"other bytes: {attempt.path}"
        if attempt in acknowledged:
            return f"lost ({status}): {attempt.path}"
        return None if status == 404 else f"visible by half ({status}): {attempt.path}"

    def _index_faults(self, current: Round) -> list[str]:
        """Hold the index of the wheels against what was acknowledged in the round."""
        status, page = self.read(f"{self.daemon.packages_path('pypi', self.daemon.world.private_id)}/simple/kill/")
        listed = set(re.findall(r"#sha256=([0-9a-f]{64})", page.decode())) if status == 200 else set()
        acknowledged = {attempt.sha256 for attempt in current.acknowledged if "/pypi/" in attempt.path}
        lost = [f"not in the index: {digest}" for digest in acknowledged - listed]
        begun = {attempt.sha256 for attempt in current.attempts if "/pypi/" in attempt.path}
        return lost + [f"in the index, not to be read: {digest}" for digest in (listed & begun) - self.visible]


class KillTests(SynchronousTestCase):
    """Hundreds of ends without warning."""

    def make_fleet(self, daemon: Daemon, wheel_share: float) -> Fleet:
        """Start a daemon and have uploaders for it."""
        self.addCleanup(daemon.close)
        daemon.start()
        return Fleet(daemon, SEED, wheel_share)

    def test_nothing_is_lost_and_nothing_is_left(self) -> None:
        """After every end all acknowledged files are whole; after the last the disk holds them and nothing else."""
        fleet = self.make_fleet(Daemon(blobs=ON_DISK), wheel_share=0.25)
        daemon = fleet.daemon
        for _ in range(KILLS):
            current = fleet.run_and_kill()
            daemon.start()
            self.assertEqual(fleet.faults(current), [])
        sys.stdout.write(f"\n  {KILLS} ends, {len(fleet.acknowledged)} files acknowledged, none lost ")
        self.assertGreater(len(fleet.acknowledged), KILLS)
        for attempt in fleet.acknowledged:
            self.assertEqual(hashlib.sha256(fleet.read(attempt.path)[1]).hexdigest(), attempt.sha256, attempt.path)
        wait_until(lambda: not staged_files(daemon.folder), "an empty staging folder", SETTLE_SECONDS)
        wait_until(
            lambda: stored_blobs(daemon.folder) == fleet.visible,
            f"as many blobs as are referenced: {len(stored_blobs(daemon.folder))}, {len(fleet.visible)}",
            SETTLE_SECONDS,
        )
        self.assertEqual(damaged_blobs(daemon.folder), set())
        daemon.cli("fsck")
        daemon.stop()
        self.assertEqual(staged_files(daemon.folder), set())

    def test_the_check_finds_a_lie(self) -> None:
        """The control: a store that reports a blob before it is in its place is caught within a few ends."""
        daemon = Daemon(program=[sys.executable, "-m", "tests.support.variant", "lying"], blobs=ON_DISK)
        fleet = self.make_fleet(daemon, wheel_share=0)  # a wheel is looked at before it is published
        faults: list[str] = []
        for _ in range(20):
            current = fleet.run_and_kill()
            daemon.start()
            faults += fleet.faults(current)
            if faults:
                break
        sys.stdout.write(f"\n  caught: {faults[:1]} ")
        self.assertTrue([fault for fault in faults if fault.startswith("lost")], faults)
