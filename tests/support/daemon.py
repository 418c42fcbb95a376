"""
The real daemon in a process of its own, for tests that use it as a client does.

Everything here blocks: it is used from test cases that run without the reactor.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pkgregd.secrecy import without_secrets
from tests.support import canary
from tests.support.blobs import blobs_section
from tests.support.catalogs import ENGINE, copied_url, drop, query
from tests.support.worlds import Template, World, template

ROOT = pathlib.Path(__file__).parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 60.0
COMMAND_SECONDS = 60.0

INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "COVERAGE_PROCESS_START")
"""All that a program started by a test sees of our environment: no proxies, indexes or certificates."""


def script(name: str) -> str:
    """Return the path of a command installed beside our interpreter."""
    return str(pathlib.Path(sys.executable).parent / name)


def clean_environment(home: pathlib.Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Make the environment of a program: INHERITED, a HOME of its own, and what is given."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONUNBUFFERED": "1", **(extra or {})}


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """
    Wait for a condition, asking some hundred times a second.

    Raises:
        TimeoutError: it did not come true in time.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        pause.wait(0.005)


def free_ports(count: int) -> list[int]:
    """Pick unused ports below those that the kernel hands to clients, so that they stay ours over a restart."""
    found: list[socket.socket] = []
    try:
        while len(found) < count:
            candidate = socket.socket()
            try:
                candidate.bind(("127.0.0.1", random.randrange(18_000, 32_000)))
            except OSError:
                candidate.close()
            else:
                found.append(candidate)
        return [bound.getsockname()[1] for bound in found]
    finally:
        for bound in found:
            bound.close()


@functools.cache
def _template(engine: str) -> Template:
    return template(engine, command_line)


def shared_world() -> World:
    """Return who and what there is, for settings that speak of them, unless an engine was asked for."""
    return _template(ENGINE).world


def command_line(config: pathlib.Path, *arguments: str) -> str:
    """
    Run `pkgregd` over a configuration.

    Returns:
        Its standard output without the final line break.

    Raises:
        AssertionError: it failed; the text holds its standard error.
    """
    done = subprocess.run(
        [script("pkgregd"), "--config", str(config), *arguments],
        env=clean_environment(config.parent),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"pkgregd {' '.join(arguments)} exits {done.returncode}: {done.stderr}")
    return done.stdout.rstrip("\n")


def _descendants(pid: int) -> list[int]:
    """Return the processes that one has started, and those that they have."""
    found: list[int] = []
    for listed in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listed.read_text().split())
    return found + [below for child in found for below in _descendants(child)]


def _is_alive(pid: int) -> bool:
    """Whether a process has not ended; one that only waits to be asked how has."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Daemon:
    """
    One daemon and its folder. `start()` it, and `close()` it in the end.

    Args:
        settings: TOML put behind the sections that are always there.
        http: further lines of its `[http]` section.
        blobs: all lines of its `[blobs]` section; empty for those of every test.
        external_scheme: whether external_url is that of the http or the https port.
        catalog: URL of a catalog that the test makes itself, and knows who is in it; empty for a copy of every test's.
        program: what runs it; gets `--config FILE` behind it.
        engine: one of ENGINES: what its catalog is kept in.
        beside: another daemon, whose catalog it shares, and which is closed after it.
    """

    def __init__(
        self,
        settings: str = "",
        *,
        http: str = "",
        blobs: str = "",
        external_scheme: str = "http",
        catalog: str = "",
        program: Sequence[str] | None = None,
        engine: str = ENGINE,
        beside: Daemon | None = None,
    ) -> None:
        copied = _template(engine)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="daemon-", dir=os.getcwd()))
        self._owns_catalog = beside is None
        if beside is None:
            self.catalog_url = catalog or copied_url(engine, copied.folder, self.folder)
        else:
            self.catalog_url = beside.catalog_url
        self.world = copied.world
        self.certificates = copied.certificates
        self.ca_file = str(copied.certificates.authority)
        self.port, self.tls_port = free_ports(2)
        self.http_url = f"http://127.0.0.1:{self.port}"
        self.https_url = f"https://localhost:{self.tls_port}"
        self.url = self.https_url if external_scheme == "https" else self.http_url
        self.config = self.folder / "pkgregd.toml"
        tls = f"privateKey={copied.certificates.key}:certKey={copied.certificates.chain}"
        self.config.write_text(
            "[http]\n"
            f'listen = ["tcp:{self.port}:interface=127.0.0.1", "ssl:{self.tls_port}:interface=127.0.0.1:{tls}"]\n'
            f'external_url = "{self.url}"\n{http}\n'
            f'[catalog]\nurl = "{self.catalog_url}"\n'
            f"[blobs]\n{blobs or blobs_section()}\n{settings}\n"
        )
        self._program = list(program or [script("twistd"), "--nodaemon", "--pidfile=", "pkgregd"])
        self._process: subprocess.Popen[bytes] | None = None
        self._log_file = self.folder / "daemon.log"

    # --- its life

    def start(self) -> None:
        """Start it and wait until it is ready; AssertionError with its log if it does not get there."""
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program, "--config", str(self.config)],
                cwd=self.folder,
                env=clean_environment(self.folder, {"PYTHONPATH": str(ROOT)}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._is_ready, "readiness", START_SECONDS)
        except TimeoutError as error:
            self.kill9()
            raise AssertionError(f"{error}\n{self.log_text()[-8000:]}") from None

    def _is_ready(self) -> bool:
        status = self.process.poll()
        if status is not None:
            self._process = None
            raise AssertionError(f"the daemon exits {status}\n{self.log_text()[-8000:]}")
        try:
            return self.get("/-/readyz")[0] == 200
        except OSError:
            return False

    def stop(self) -> None:
        """Ask it to end with SIGTERM; it has to exit with 0 in time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"SIGTERM does not end it\n{self.log_text()[-8000:]}") from None
        self._process = None
        if status:
            raise AssertionError(f"after SIGTERM it exits {status}\n{self.log_text()[-8000:]}")

    def kill9(self) -> None:
        """End it and its processes as a power cut would, as far as a process can tell."""
        others = _descendants(self.process.pid)
        self.process.kill()
        for pid in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._process = None
        wait_until(lambda: not any(map(_is_alive, others)), "the end of all processes")

    def close(self) -> None:
        """Stop it if it runs, and remove its folder."""
        try:
            if self._process is not None:
                self.stop()
        finally:
            canary.look_at_folder(self.folder, ("daemon.log", "pkgregd.sqlite3*"))
            if self._owns_catalog:
                drop(self.catalog_url)
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- looking at it

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute SQL that both databases know on its catalog; returns the rows, if there are any."""
        return query(self.catalog_url, self.folder, statement)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        if self._process is None:
            raise AssertionError("the daemon does not run")
        return self._process

    @property
    def pid(self) -> int | None:
        """The number of its process, None if it does not run."""
        return None if self._process is None else self._process.pid

    def log_text(self) -> str:
        """Return all that it has written so far."""
        return self._log_file.read_text("utf-8", "replace")

    def peak_bytes(self) -> int:
        """Return the greatest resident size since the start or since reset_peak()."""
        return self._memory("VmHWM")

    def resident_bytes(self) -> int:
        """Return the resident size now."""
        return self._memory("VmRSS")

    def _memory(self, key: str) -> int:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{key}:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise AssertionError(f"no {key} in /proc")
        return int(found[1]) * 1024

    def reset_peak(self) -> None:
        """Let peak_bytes() start from now."""
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    # --- talking to it

    def packages_path(self, format: str, project: str) -> str:
        """Return the URL path of a format at a project, by number or encoded path."""
        return f"/api/v4/projects/{project}/packages/{format}"

    def packages_url(self, format: str, project: str) -> str:
        """Return the same with scheme, host and port."""
        return self.url + self.packages_path(format, project)

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send a request without a body over plain HTTP; returns status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            answer = connection.getresponse()
            body = answer.read()
            if answer.status >= 400:
                asked = without_secrets(path.partition("?")[0])
                canary.look_at_text(body, f"the answer {answer.status} to {method} {asked}")
            return answer.status, answer.headers, body
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error
        finally:
            connection.close()

    def cli(self, *arguments: str) -> str:
        """Run `pkgregd` on its configuration; see command_line()."""
        return command_line(self.config, *arguments)
