"""Many clients publish the same file at the same moment: one of them wins, and nothing of the others stays."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.daemon import wait_until
from tests.support.packages import make_wheel, small_form, wheel_name
from tests.support.rawhttp import Answer, RawConnection
from tests.support.stored import stored_blobs

RACERS = 64


def race(jobs: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Run all jobs at once, each in a thread; returns their answers in the same order."""
    answers: list[Answer | None] = [None] * len(jobs)
    barrier = threading.Barrier(len(jobs))

    def run(number: int) -> None:
        barrier.wait()
        answers[number] = jobs[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answer for answer in answers if answer is not None]


class RaceTests(DaemonTestCase):
    """Sixty-four at once."""

    blobs = ON_DISK
    settings = "[formats.generic]\nduplicates_allowed = false\n"

    def get(self, path: str) -> tuple[int, bytes]:
        """Read as a member."""
        status, _, body = self.daemon.get(path, {"PRIVATE-TOKEN": self.daemon.world.writer})
        return status, body

    def post(self, name: str, wheel: bytes) -> Answer:
        """Upload version 1.0 of a Python package as a developer."""
        form = small_form(name, "1.0", wheel)
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer, **form.headers}
        with RawConnection(self.daemon.port) as connection:
            path = self.daemon.packages_path("pypi", self.daemon.world.private_id)
            return connection.request("POST", path, headers, form)

    def assert_one_winner(self, answers: list[Answer], bodies: list[bytes]) -> bytes:
        """Fail unless one was created and all others were told that it is taken; returns the winner's bytes."""
        self.assertEqual(Counter(answer.status for answer in answers), {201: 1, 400: RACERS - 1})
        (winner,) = (body for answer, body in zip(answers, bodies, strict=True) if answer.status == 201)
        return winner

    def assert_stored(self, before: set[str], *contents: bytes) -> None:
        """Fail unless those bytes, and in the end no others, have come into the store."""
        wanted = before | {hashlib.sha256(content).hexdigest() for content in contents}
        wait_until(lambda: wanted <= stored_blobs(self.daemon.folder), "the winner's blob")
        try:
            wait_until(lambda: not stored_blobs(self.daemon.folder) - wanted, "removal of the losers' blobs", 10)
        except TimeoutError:
            self.assertEqual(stored_blobs(self.daemon.folder) - wanted, set())

    def test_generic_then_pypi(self) -> None:
        """Of 64 different files under one name, generic or Python, one is published and found, and its bytes alone."""
        before = stored_blobs(self.daemon.folder)
        generic_path = self.daemon.packages_path("generic", self.daemon.world.private_id) + "/race/1.0/race.bin"
        bodies = [b"%d" % number * 1000 for number in range(RACERS)]

        def put(body: bytes) -> Answer:
            headers = {"PRIVATE-TOKEN": self.daemon.world.writer, "Content-Length": str(len(body))}
            with RawConnection(self.daemon.port) as connection:
                return connection.request("PUT", generic_path, headers, [body])

        generic_winner = self.assert_one_winner(race([partial(put, body) for body in bodies]), bodies)
        self.assertEqual(self.get(generic_path), (200, generic_winner))
        self.assert_stored(before, generic_winner)

        pypi_path = self.daemon.packages_path("pypi", self.daemon.world.private_id)
        wheels = [make_wheel("race", "1.0", b"number = %d\n" % number) for number in range(RACERS)]

        wheel = self.assert_one_winner(race([partial(self.post, "race", wheel) for wheel in wheels]), wheels)
        digest = hashlib.sha256(wheel).hexdigest()
        status, page = self.get(f"{pypi_path}/simple/race/")
        self.assertEqual((status, page.count(b"#sha256=")), (200, 1))
        self.assertIn(f"#sha256={digest}".encode(), page)
        self.assertEqual(self.get(f"{pypi_path}/files/{digest}/{wheel_name('race', '1.0')}"), (200, wheel))
        self.assert_stored(before, generic_winner, wheel)

    def test_promised_equal_bytes_all_succeed(self) -> None:
        """Of 64 equal files whose digest is promised all uploads succeed, also where nothing is replaced."""
        path = self.daemon.packages_path("generic", self.daemon.world.public_id) + "/equal/1.0/equal.bin"
        body = b"equal" * 1000
        headers = {
            "PRIVATE-TOKEN": self.daemon.world.writer,
            "Content-Length": str(len(body)),
            "X-Checksum-SHA256": hashlib.sha256(body).hexdigest(),
        }

        def put() -> Answer:
            with RawConnection(self.daemon.port) as connection:
                return connection.request("PUT", path, headers, [body])

        answers = race([put] * RACERS)
        self.assertEqual(Counter(answer.status for answer in answers), {201: RACERS})
        self.assertEqual(self.get(path), (200, body))

    def test_equal_wheels_all_succeed(self) -> None:
        """Of 64 equal wheels all uploads succeed, one as the first, and one file is there."""
        wheel = make_wheel("equal", "1.0")
        path = self.daemon.packages_path("pypi", self.daemon.world.private_id)
        answers = race([partial(self.post, "equal", wheel)] * RACERS)
        self.assertEqual(Counter(answer.status for answer in answers), {201: 1, 200: RACERS - 1})
        self.assertEqual(self.get(f"{path}/simple/equal/")[1].count(b"#sha256="), 1)
