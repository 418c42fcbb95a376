"""Two daemons behind HAProxy that are restarted and killed while packages are published and installed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from urllib.parse import urljoin, urlsplit

from attrs import define, field, frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import clean_environment
from tests.support.haproxy import demand_haproxy
from tests.support.npm import make_document, make_package
from tests.support.packages import make_wheel, small_form, wheel_name
from tests.support.rawhttp import Answer, RawConnection
from tests.support.scaled import DELAY_SECONDS, ScaledOut

REQUESTS = int(os.environ.get("PKGREGD_TORTURE_REQUESTS", "300"))
"""Publishes and installs of the phase with kills; the one without has half as many."""

SEED = int(os.environ.get("PKGREGD_TORTURE_SEED", "20261128"))
USERS = 6
NAMES = 5
PAUSE_SECONDS = 0.03
REQUEST_SECONDS = 30.0
RETRIES = 20
RETRY_SECONDS = 0.5

SLOW_SECONDS = DELAY_SECONDS + 2
SLOW_PIECES = 20

KILL_SECONDS = 1.0
"""How long after a kill HAProxy may still take a connection that it kept for a living one."""

JSON = "application/vnd.pypi.simple.v1+json"


@frozen
class Published:
    """
    A file that is listed or should be: its ecosystem, its name, what tells it from others, and the digest that is told.
    """

    format: str
    name: str
    file: str
    digest: str


@frozen
class Failure:
    """A request that nobody answered well, and when."""

    what: str
    why: str
    began_at: float
    ended_at: float


@define
class Record:
    """
    What happened in a phase.

    Attributes:
        done: how many publishes and installs came to their end.
        failures: requests that failed, whether or not a later try did not.
        faults: what must not be.
        kills: when a daemon was killed, and when all of its processes had ended: on a busy machine that takes
            seconds, for which the kernel goes on to take connections.
        fetched: files that were listed and read.
        clients: how often real clients came to their end.
        changes: how often a daemon was restarted or killed.
        slow: how many slow uploads came to their end.
    """

    lock: threading.Lock = field(factory=threading.Lock)
    done: int = 0
    failures: list[Failure] = field(factory=list)
    faults: list[str] = field(factory=list)
    acknowledged: set[Published] = field(factory=set)
    kills: list[tuple[float, float]] = field(factory=list)
    fetched: set[Published] = field(factory=set)
    clients: int = 0
    changes: int = 0
    slow: int = 0
    latencies: list[float] = field(factory=list)

    def unexplained(self) -> list[Failure]:
        """Return failures of requests that were not in flight when a daemon was killed."""
        return [
            failure
            for failure in self.failures
            if not any(
                failure.began_at <= ended_at + KILL_SECONDS and failure.ended_at >= began_at
                for began_at, ended_at in self.kills
            )
        ]


class Refused(Exception):
    """An answer that means that nothing is known of how the request went: it may be sent again."""


def _slowly(body: bytes) -> Iterator[bytes]:
    """Cut a body into pieces, with pauses between them."""
    size_bytes = -(-len(body) // SLOW_PIECES)
    for start in range(0, len(body), size_bytes):
        yield body[start : start + size_bytes]
        threading.Event().wait(SLOW_SECONDS / SLOW_PIECES)


class User:
    """
    Publishes and installs over one connection at a time, through HAProxy.

    Args:
        number: no other user has it.
    """

    def __init__(self, scaled: ScaledOut, record: Record, number: int) -> None:
        self._scaled = scaled
        self._record = record
        self._number = number
        self._chance = random.Random(SEED + number)
        self._versions = 0
        self._connection: RawConnection | None = None
        self._acts = (
            self._publish_wheel,
            self._publish_npm,
            self._publish_generic,
            self._install_wheel,
            self._install_npm,
            self._install_generic,
        )

    def act(self) -> None:
        """Publish or install something."""
        self._chance.choice(self._acts)()
        with self._record.lock:
            self._record.done += 1

    # ------------------------------------------------------------------ requests

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"", *, is_slow: bool = False
    ) -> Answer:
        """
        Send a request, again as long as nothing is known of it, as clients do; each failure is noted.

        Args:
            is_slow: take SLOW_SECONDS for the body, which is more than a daemon waits before it closes its port.
        """
        fields = {"PRIVATE-TOKEN": self._scaled.world.writer, **(headers or {})}
        if body:
            fields["Content-Length"] = str(len(body))
        for _ in range(RETRIES):
            began_at = time.monotonic()
            try:
                answer = self._exchange(method, path, fields, _slowly(body) if is_slow else [body])
            except (OSError, Refused) as error:
                self.hang_up()
                failure = Failure(f"{method} {path}", repr(error), began_at, time.monotonic())
                with self._record.lock:
                    self._record.failures.append(failure)
                threading.Event().wait(RETRY_SECONDS)
            else:
                with self._record.lock:
                    self._record.latencies.append(time.monotonic() - began_at)
                return answer
        raise AssertionError(f"{method} {path} does not come through")

    def _exchange(self, method: str, path: str, headers: dict[str, str], pieces: Iterable[bytes]) -> Answer:
        if self._connection is None:
            port, tls = self._scaled.port, self._scaled.tls
            self._connection = RawConnection(port, tls=tls, timeout_seconds=REQUEST_SECONDS)
        answer = self._connection.request(method, path, headers, pieces)
        if answer.headers.get("connection", "").lower() == "close":
            self.hang_up()
        if answer.status >= 500:
            raise Refused(f"{answer.status} {answer.body[:200]!r}")
        return answer

    def hang_up(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _path(self, format: str) -> str:
        world = self._scaled.world
        return f"/api/v4/projects/{world.private_id}/packages/{format}"

    # ------------------------------------------------------------------ publishing

    def _new_version(self) -> str:
        self._versions += 1
        return f"{self._number + 1}.{self._versions}.0"

    def _name(self) -> str:
        return f"scale-{self._chance.randrange(NAMES)}"

    def _payload(self) -> bytes:
        return self._chance.randbytes(self._chance.choice((100, 5_000, 100_000, 1_000_000)))

    def _publish_wheel(self) -> None:
        name, version = self._name(), self._new_version()
        wheel = make_wheel(name, version, self._payload())
        form = small_form(name, version, wheel)
        body = b"".join(bytes(piece) for piece in form.pieces)
        answer = self.ask("POST", self._path("pypi"), dict(form.headers), body)
        digest = hashlib.sha256(wheel).hexdigest()
        self._note(answer, Published("pypi", name, wheel_name(name, version), digest))

    def _publish_npm(self) -> None:
        name, version = self._name(), self._new_version()
        manifest = {"name": name, "version": version}
        tarball = make_package(manifest, self._payload())
        body = json.dumps(make_document(manifest, tarball)).encode()
        answer = self.ask("PUT", f"{self._path('npm')}/{name}", {"Content-Type": "application/json"}, body)
        integrity = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
        self._note(answer, Published("npm", name, f"{name}-{version}.tgz", f"sha512-{integrity}"))

    def _publish_generic(self, *, is_slow: bool = False) -> None:
        name, version, data = self._name(), self._new_version(), self._payload()
        answer = self.ask("PUT", f"{self._path('generic')}/{name}/{version}/file", None, data, is_slow=is_slow)
        self._note(answer, Published("generic", name, f"{version}/file", hashlib.sha256(data).hexdigest()))

    def publish_slowly(self) -> None:
        """Publish a file whose upload is longer than the end of a daemon."""
        self._publish_generic(is_slow=True)
        with self._record.lock:
            self._record.done += 1
            self._record.slow += 1

    def _note(self, answer: Answer, published: Published) -> None:
        with self._record.lock:
            if answer.status in (200, 201):
                self._record.acknowledged.add(published)
            else:
                self._record.faults.append(f"{answer.status} {answer.body[:200]!r} for {published}")

    # ------------------------------------------------------------------ installing

    def listed(self, format: str, name: str) -> dict[Published, str]:
        """Return what an index lists, with the path of each file; whatever was acknowledged before has to be there."""
        with self._record.lock:
            expected = {one for one in self._record.acknowledged if (one.format, one.name) == (format, name)}
        if format == "generic":
            return {one: f"{self._path('generic')}/{name}/{one.file}" for one in expected}
        found = dict(self._index(format, name))
        missing = expected - found.keys()
        if missing:
            with self._record.lock:
                self._record.faults += [f"not listed: {one}" for one in missing]
        return found

    def _index(self, format: str, name: str) -> Iterator[tuple[Published, str]]:
        if format == "pypi":
            path = f"{self._path('pypi')}/simple/{name}/"
            answer = self.ask("GET", path, {"Accept": JSON})
            for file in json.loads(answer.body)["files"] if answer.status == 200 else ():
                one = Published("pypi", name, file["filename"], file["hashes"]["sha256"])
                yield one, urlsplit(urljoin(path, file["url"])).path
        else:
            answer = self.ask("GET", f"{self._path('npm')}/{name}")
            for version in json.loads(answer.body)["versions"].values() if answer.status == 200 else ():
                url = version["dist"]["tarball"]
                yield Published("npm", name, url.rpartition("/")[2], version["dist"]["integrity"]), urlsplit(url).path

    def fetch(self, one: Published, path: str) -> None:
        """Read a file that is listed; it has to be there, and whole."""
        answer = self.ask("GET", path)
        digest = hashlib.sha256(answer.body).hexdigest()
        if one.format == "npm":
            digest = "sha512-" + base64.b64encode(hashlib.sha512(answer.body).digest()).decode()
        with self._record.lock:
            if answer.status != 200 or digest != one.digest:
                self._record.faults.append(f"listed and not to be had ({answer.status}): {one}")
            self._record.fetched.add(one)

    def _install(self, format: str) -> None:
        found = sorted(self.listed(format, self._name()).items(), key=lambda pair: pair[1])
        if found:
            self.fetch(*self._chance.choice(found))

    def _install_wheel(self) -> None:
        self._install("pypi")

    def _install_npm(self) -> None:
        self._install("npm")

    def _install_generic(self) -> None:
        self._install("generic")


class Phase:
    """
    Users, a reader of all indexes and pip, at work until it is enough.

    Args:
        number: no other phase has it.
    """

    def __init__(self, scaled: ScaledOut, record: Record, folder: pathlib.Path, number: int) -> None:
        self._scaled = scaled
        self._record = record
        self._folder = folder
        self._is_over = threading.Event()
        self._errors: list[BaseException] = []
        works = [*[self._use] * USERS, self._use_slowly, self._check, self._run_pip]
        self._threads = [
            threading.Thread(target=self._guard, args=(work, number * 100 + place), daemon=True)
            for place, work in enumerate(works)
        ]

    def _guard(self, work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            self._errors.append(error)

    def _use(self, number: int) -> None:
        user = User(self._scaled, self._record, number)
        while not self._is_over.wait(PAUSE_SECONDS):
            user.act()
        user.hang_up()

    def _use_slowly(self, number: int) -> None:
        user = User(self._scaled, self._record, number)
        while not self._is_over.wait(PAUSE_SECONDS):
            user.publish_slowly()
        user.hang_up()

    def _check(self, number: int) -> None:
        """Read every index, and fetch what nobody has fetched yet."""
        user = User(self._scaled, self._record, number)
        while not self._is_over.wait(PAUSE_SECONDS):
            for format in ("pypi", "npm"):
                for index in range(NAMES):
                    for one, path in user.listed(format, f"scale-{index}").items():
                        if one not in self._record.fetched and not self._is_over.is_set():
                            user.fetch(one, path)
        user.hang_up()

    def _run_pip(self, number: int) -> None:
        """Download by pip what was acknowledged; it tries again by itself."""
        world, chance = self._scaled.world, random.Random(SEED)
        index = f"https://__token__:{world.writer}@localhost:{self._scaled.port}/api/v4/projects/{world.private_id}"
        while not self._is_over.wait(0.5):
            with self._record.lock:
                wheels = sorted(one.file for one in self._record.acknowledged if one.format == "pypi")
            if not wheels:
                continue
            name, version, *_ = chance.choice(wheels).split("-")
            self._download(f"{index}/packages/pypi/simple/", f"{name}=={version}")

    def _download(self, index: str, wanted: str) -> None:
        command = [
            sys.executable, "-m", "pip", "--isolated", "download", "--no-deps", "--no-cache-dir", "--quiet",
            "--disable-pip-version-check", "--cert", str(self._scaled.certificates.authority),
            "--index-url", index, "--dest", str(self._folder / "pip"), wanted,
        ]  # fmt: skip
        for _ in range(3):
            began_at = time.monotonic()
            done = subprocess.run(
                command, env=clean_environment(self._folder), capture_output=True, text=True, timeout=120, check=False
            )
            with self._record.lock:
                if not done.returncode:
                    self._record.clients += 1
                    return
                failure = Failure(f"pip download {wanted}", done.stderr[-500:], began_at, time.monotonic())
                self._record.failures.append(failure)
        with self._record.lock:
            self._record.faults.append(f"pip does not get {wanted}")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Have all of them work."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join(180)
        if self._errors:
            raise self._errors[0]


class ScaleOutTests(SynchronousTestCase):
    """What clients see of restarts and kills: nothing of the first, and a broken connection of the second."""

    def setUp(self) -> None:
        """Start two daemons and HAProxy."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.scaled = ScaledOut(demand_haproxy(), self.folder / "haproxy")
        self.addCleanup(self.scaled.close)
        self._chance = random.Random(SEED)
        self._phases = 0

    def run_phase(self, requests: int, changes: list[Callable[[Record], None]]) -> Record:
        """Have users at work while daemons change in turns, each change once at least; then look at everything."""
        self._phases += 1
        record = Record()
        with Phase(self.scaled, record, self.folder, self._phases).running():
            while record.done < requests or record.changes < len(changes):
                changes[record.changes % len(changes)](record)
                record.changes += 1
        self.assert_all_is_there(record)
        return record

    def assert_all_is_there(self, record: Record) -> None:
        """What was acknowledged is listed and whole, and whatever is listed is to be had."""
        user = User(self.scaled, record, 1000)
        for format in ("pypi", "npm", "generic"):
            for index in range(NAMES):
                for one, path in user.listed(format, f"scale-{index}").items():
                    user.fetch(one, path)
        user.hang_up()
        self.assertEqual(record.acknowledged - record.fetched, set())
        self.assertEqual(record.faults[:5], [])
        for daemon in self.scaled.daemons.values():
            self.assertNotIn("Traceback", daemon.log_text())

    def report(self, record: Record) -> None:
        """Say what there was."""
        longest = max(record.latencies)
        sys.stdout.write(
            f"\n  {record.done} publishes and installs ({len(record.latencies)} requests), {record.changes} changes, "
            f"{len(record.acknowledged)} files acknowledged, {len(record.fetched)} listed and fetched, "
            f"{record.clients} runs of pip, {record.slow} slow uploads, {len(record.failures)} failed requests, "
            f"longest {longest:.2f} s "
        )
        for failure in record.failures[:10]:
            sys.stdout.write(f"\n    {failure} ")

    def restart(self, name: str, record: Record) -> None:
        """Restart one in good order."""
        self.scaled.restart(name)

    def kill(self, record: Record) -> None:
        """End one without warning at some moment, and start it again."""
        threading.Event().wait(self._chance.random() * 2)
        began_at = time.monotonic()
        self.scaled.daemons["one"].kill9()
        record.kills.append((began_at, time.monotonic()))
        self.scaled.start_again("one")

    def test_restarts_and_kills(self) -> None:
        """
        Restarts cost no request: not one fails, though each daemon stops in the middle of them. Of a kill only what was
        in flight on the killed daemon fails, and comes through when it is sent again.
        """
        gentle = self.run_phase(REQUESTS // 2, [partial(self.restart, "one"), partial(self.restart, "two")])
        self.report(gentle)
        self.assertEqual(gentle.failures, [])
        hard = self.run_phase(REQUESTS, [self.kill, partial(self.restart, "two")])
        self.report(hard)
        self.assertEqual(hard.unexplained(), [])
        self.lose_something()
        with self.assertRaises(self.failureException):  # the control: the look at everything does see a loss
            self.assert_all_is_there(hard)

    def lose_something(self) -> None:
        """Remove a package that was acknowledged in the last phase."""
        daemon = self.scaled.daemons["one"]
        token = daemon.cli(
            "token", "add", "--kind", "project", "--project", "acme/private", "--role", "maintainer", "--scope", "api",
            "--name", "maintainer",
        )  # fmt: skip
        ((package,),) = daemon.query("SELECT max(id) FROM packages")
        path = f"/api/v4/projects/{self.scaled.world.private_id}/packages/{package}"
        self.assertEqual(daemon.get(path, {"PRIVATE-TOKEN": token}, "DELETE")[0], 204)
