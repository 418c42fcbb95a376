"""HAProxy in front of daemons, as the sample has it."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from unittest import SkipTest

from tests.support.daemon import clean_environment, free_ports, wait_until
from tests.support.rawhttp import RawConnection
from tests.support.samples import lay_certificates, sample
from tests.support.tls import Certificates

STOP_SECONDS = 20.0
UP_SECONDS = 30.0
SERVERS = {"one": "10.20.0.11:8080", "two": "10.20.0.12:8080"}
"""Names and addresses of the daemons in the sample."""

_TCP_MODE = "#frontend packages_tcp\n"


def haproxy_program() -> str | None:
    """Return where HAProxy is installed, None if it is not."""
    return shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def demand_haproxy() -> str:
    """Return its path; skip the test without it, or fail where clients have to be there."""
    program = haproxy_program()
    if program is None:
        if os.environ.get("PKGREGD_REQUIRE_CLIENTS") == "1":
            raise AssertionError("haproxy is not installed")
        raise SkipTest("haproxy is not installed")
    return program


class Haproxy:
    """
    One HAProxy with the sample, running.

    Args:
        program: its path.
        folder: where it keeps everything; made.
        targets: ports of the daemons, one or two.
        changes: what else is different from the sample.
        tcp_mode: take the part of the sample that does not read HTTP.
        port: where it listens; any that is free if 0.
    """

    def __init__(
        self,
        program: str,
        folder: pathlib.Path,
        certificates: Certificates,
        targets: Sequence[int],
        *,
        changes: Mapping[str, str] | None = None,
        tcp_mode: bool = False,
        port: int = 0,
    ) -> None:
        folder.mkdir(parents=True)
        lay_certificates(folder, certificates)
        self.port = port or free_ports(1)[0]
        self._control = pathlib.Path(tempfile.mkdtemp(prefix="haproxy-"))  # a socket has a short path
        self._socket = self._control / "socket"
        text = sample(
            "haproxy.cfg",
            {
                "    log /dev/log local0\n": f"    stats socket {self._socket} level admin\n",
                "    maxconn 10000\n": "    maxconn 1000\n",
                "    user haproxy\n    group haproxy\n": "",
                **_ports(targets),
                **(changes or {}),
            },
        )
        if tcp_mode:
            text = _without_http(text)
        config = folder / "haproxy.cfg"
        config.write_text(text.replace(":443", f"127.0.0.1:{self.port}"))
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-db", "-f", str(config)],
                env=clean_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._answers, "HAProxy")
        except TimeoutError:
            self.close()
            raise

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"HAProxy exits {self._process.returncode}: {self._log.read_text()}")
        try:
            self.ask("show info")
            RawConnection(self.port).close()
        except OSError:
            return False
        return True

    def ask(self, command: str) -> str:
        """Give it a command, and return what it says."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self._socket))
            control.sendall(f"{command}\n".encode())
            answer = b""
            while data := control.recv(65536):
                answer += data
        return answer.decode()

    def is_up(self, server: str) -> bool:
        """Whether a daemon gets requests."""
        return self._status(server).startswith("UP")

    def _status(self, server: str) -> str:
        head, *lines = self.ask("show stat").lstrip("# ").splitlines()
        names = head.split(",")
        for line in lines:
            fields = dict(zip(names, line.split(","), strict=False))
            if fields.get("svname") == server:
                return fields["status"]
        raise AssertionError(f"HAProxy knows no server {server}")

    def wait_until_up(self, server: str) -> None:
        """Wait until a daemon that has started gets requests again."""
        wait_until(lambda: self._status(server) == "UP", f"HAProxy's use of {server}", UP_SECONDS)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._control, ignore_errors=True)


def _ports(targets: Sequence[int]) -> dict[str, str]:
    changes = {}
    for number, (name, address) in enumerate(SERVERS.items()):
        line = f"server {name} {address}"
        changes[line] = f"server {name} 127.0.0.1:{targets[number]}" if number < len(targets) else f"# {name} is away"
    return changes


def _without_http(text: str) -> str:
    """Take the comment off what does not read HTTP, and leave out what does."""
    start, end = text.index("frontend packages\n"), text.index(_TCP_MODE)
    tcp_mode = "".join(line.removeprefix("#") for line in text[end:].splitlines(keepends=True))
    return text[:start] + tcp_mode
