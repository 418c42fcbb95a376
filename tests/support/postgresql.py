"""A PostgreSQL server of the tests' own: started when it is first needed, ended with the process that started it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from typing import IO, Any

import psycopg2
import psycopg2.extensions

DEADLINE_SECONDS = 60.0
UNPRIVILEGED = "nobody"
"""Who runs the server if the tests run as root, which the server refuses."""


def programs() -> pathlib.Path:
    """Return the folder of the server's programs."""
    found = shutil.which("pg_ctl")
    if found is not None:
        return pathlib.Path(found).resolve().parent
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    if not folders:
        raise RuntimeError("there is no PostgreSQL server here: install the package postgresql")
    return folders[-1].parent


LOCALE = ("--locale=C", "--locale-provider=icu", "--icu-locale=en-US")
"""A database as many have it, whose own order of texts is not that of their bytes."""


@functools.cache
def server() -> PostgresServer:
    """Return the server of this process."""
    return PostgresServer()


class PostgresServer:
    """
    A server on a free port of the loopback interface, which trusts whoever reaches it.

    It syncs nothing, unless PKGREGD_TEST_FSYNC=on when it starts.

    Args:
        followed: the server that this one follows, and does not write; None for one by itself.

    Attributes:
        port: where it listens.
    """

    def __init__(self, followed: PostgresServer | None = None) -> None:
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._identity = _identity()
        if self._identity:
            os.chown(self._folder, self._identity["user"], self._identity["group"])
        self._data = self._folder / "data"
        self._pid = os.getpid()
        self.port = _free_port()
        if followed is None:
            options = ("-U", "tests", "-A", "trust", "-E", "UTF8", "-N", *LOCALE)
            self._run("initdb", "-D", str(self._data), *options)
        else:
            self._run("pg_basebackup", "-D", str(self._data), "-R", "-N", "-c", "fast", "-d", followed.url())
        self._process = self._start()
        atexit.register(self.stop)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://tests@127.0.0.1:{self.port}/{database}"

    def administer(self, statement: str) -> None:
        """Do what needs to be outside of a transaction, such as making a database."""
        writes = "-c default_transaction_read_only=off"
        with contextlib.closing(psycopg2.connect(self.url(), options=writes)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)

    def dump(self, database: str, path: pathlib.Path) -> None:
        """Write a database to a file."""
        path.write_bytes(self._run("pg_dump", "-d", self.url(database)))

    def load(self, database: str, path: pathlib.Path) -> None:
        """Fill an empty database from a file of dump()."""
        with path.open("rb") as script:
            self._run("psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), stdin=script)

    def _run(self, program: str, *arguments: str, stdin: IO[bytes] | None = None) -> bytes:
        command = [str(programs() / program), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, stdin=stdin, cwd=self._folder, **self._identity)
        return done.stdout

    @property
    def pid(self) -> int:
        """The first of its processes."""
        return self._process.pid

    def _start(self) -> subprocess.Popen[bytes]:
        syncs = os.environ.get("PKGREGD_TEST_FSYNC", "off")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
            "fsync": syncs,
            "synchronous_commit": syncs,
            "full_page_writes": syncs,
            "max_connections": "100",
            "shared_buffers": "32MB",
        }
        command = [str(programs() / "postgres"), "-D", str(self._data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, **self._identity
            )
        self._wait(process)
        return process

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            ready = subprocess.run(
                [str(programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
            )
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start: {(self._folder / 'log').read_text()[-2000:]}")

    def restart(self) -> None:
        """End it as `pg_ctl stop -m immediate` would, and start it again."""
        self.go_down()
        self.come_up()

    def go_down(self) -> None:
        """End it as `pg_ctl stop -m immediate` would."""
        self._end(signal.SIGQUIT)

    def come_up(self) -> None:
        """Start it again."""
        self._process = self._start()

    def make_standby(self) -> PostgresServer:
        """Start a server that follows this one, which tells nobody that it has committed before the other one knows."""
        standby = PostgresServer(self)
        self.administer("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.administer("SELECT pg_reload_conf()")
        return standby

    def fill(self) -> list[psycopg2.extensions.connection]:
        """Open as many connections as it takes, and one in vain; returns those that are to be closed."""
        found: list[psycopg2.extensions.connection] = []
        with contextlib.suppress(psycopg2.OperationalError):
            while True:
                found.append(psycopg2.connect(self.url()))
        return found

    def stop(self) -> None:
        """End it, and remove its folder; a fork of the process that started it leaves it alone."""
        if os.getpid() != self._pid:
            return
        self._end(signal.SIGINT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(DEADLINE_SECONDS)


def _identity() -> dict[str, Any]:
    """Say as whom the server runs, as arguments of subprocess."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam(UNPRIVILEGED)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
