"""The processes that read archives, seen from outside the daemon: killed, and gone with it."""

from __future__ import annotations

import os
import pathlib
import signal

from tests.support.cases import DaemonTestCase
from tests.support.daemon import wait_until
from tests.support.packages import make_wheel, small_form
from tests.support.rawhttp import RawConnection


def parent_pid(pid: int) -> int | None:
    """Return the parent of a process that runs, None when it is gone or a zombie."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[1])


class InspectorTests(DaemonTestCase):
    """A daemon that has read archives."""

    def inspectors(self) -> set[int]:
        """Return the processes that the daemon has started."""
        daemon_pid = self.daemon.process.pid
        return {int(name) for name in os.listdir("/proc") if name.isdigit() and parent_pid(int(name)) == daemon_pid}

    def upload(self, version: str) -> int:
        """Publish a wheel; returns the status."""
        form = small_form("inspected", version, make_wheel("inspected", version))
        headers = {**form.headers, "PRIVATE-TOKEN": self.daemon.world.writer}
        path = self.daemon.packages_path("pypi", self.daemon.world.private_id)
        with RawConnection(self.daemon.port) as connection:
            return connection.request("POST", path, headers, form.pieces).status

    def test_an_inspector_that_is_killed_is_replaced(self) -> None:
        """The next upload is read by another; the daemon has reaped the first."""
        self.assertEqual(self.upload("1.0"), 201)
        (first,) = self.inspectors()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not pathlib.Path(f"/proc/{first}").exists(), "the end of the process, reaped")
        self.assertEqual(self.upload("1.1"), 201)
        (second,) = self.inspectors()
        self.assertNotEqual(first, second)

    def test_none_outlives_the_daemon(self) -> None:
        """After SIGTERM, and after SIGKILL, no process is left, and those that got SIGTERM too were not bothered."""
        for version, end in (("2.0", self.daemon.stop), ("2.1", self.daemon.kill9)):
            self.assertEqual(self.upload(version), 201)
            (inspector,) = self.inspectors()
            os.kill(inspector, signal.SIGTERM)  # as systemd does to the whole group
            self.assertEqual(self.upload(f"{version}.1"), 201)
            self.assertEqual(self.inspectors(), {inspector})
            end()
            wait_until(lambda gone=inspector: parent_pid(gone) is None, "the end of the inspector")  # type: ignore[misc]
            self.daemon.start()
