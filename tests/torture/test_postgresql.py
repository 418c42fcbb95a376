"""PostgreSQL restarted, silent, cut off, out of connections and failed over, under a daemon with a steady load."""

from __future__ import annotations

import contextlib
import sys
import time

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import Daemon, wait_until
from tests.support.faults import FaultyProxy
from tests.support.postgresql import PostgresServer
from tests.support.steady_load import KINDS, SteadyLoad

RECOVERY_SECONDS = 5.0
"""How long after the end of a fault everything has to work again."""

DEADLINE_SECONDS = 11.0
"""No request takes longer: 2 s of waiting for a connection, 9 s of silence."""

ALIVE_SECONDS = 1.0
BLACKHOLE_SECONDS = 5.0
NOWHERE = 1
"""A port on which nobody listens."""


@frozen
class _World:
    """A server, what stands before it, and a daemon behind that."""

    server: PostgresServer
    proxy: FaultyProxy
    daemon: Daemon
    project_id: str
    secret: str

    def close(self) -> None:
        """End all of it."""
        self.daemon.close()
        self.proxy.close()
        self.server.stop()


def _make_world() -> _World:
    server = PostgresServer()
    server.administer("CREATE DATABASE packages")
    proxy = FaultyProxy(server.port)
    daemon = Daemon(catalog=f"postgresql://tests@127.0.0.1:{proxy.port}/packages")
    daemon.cli("migrate")
    daemon.cli("group", "add", "acme", "--visibility", "private")
    project_id = daemon.cli("project", "add", "acme/load", "--visibility", "private")
    daemon.cli("user", "add", "root", "--admin")
    secret = daemon.cli("token", "add", "--kind", "personal", "--user", "root", "--scope", "api")
    daemon.start()
    return _World(server, proxy, daemon, project_id, secret)


class FaultTests(SynchronousTestCase):
    """
    One fault after another, of which the last is for ever.

    Whatever is the matter with the database, clients get what they ask for or 503 with Retry-After, in time; what was
    acknowledged stays; the daemon lives, says that it is not ready while that is so, and is well soon afterwards.
    """

    def setUp(self) -> None:
        """Start everything."""
        self.world = _make_world()
        self.addCleanup(self.world.close)

    def test_faults(self) -> None:
        """A restart, silence, cuts, no connection to be had, and a failover to a server that reads at first."""
        world = self.world
        with SteadyLoad(world.daemon, world.project_id, world.secret) as self.load:
            self.restart()
            self.fall_silent()
            self.cut()
            self.have_no_connections()
            self.fail_over()
        self.check_answers()
        self.check_promises()

    # ------------------------------------------------------------------ the faults

    def restart(self) -> None:
        """The server ends at once, is away for a moment, and recovers."""
        self.all_is_well(time.monotonic())
        began_at = time.monotonic()
        self.world.server.go_down()
        self.is_not_ready(began_at)
        status, _, page = self.world.daemon.get("/-/metrics")
        self.assertEqual(status, 200)
        self.assertIn(b'pkgregd_catalog_verbs_total{outcome="unavailable",verb="read_foreseen"}', page)
        self.assertIn(b'pkgregd_http_requests_total{method="GET",status="5xx",table="health"}', page)
        self.world.server.come_up()
        self.recovers("restarted", began_at)

    def fall_silent(self) -> None:
        """Nothing gets through in either direction, and then what was held up and the rest does."""
        began_at = time.monotonic()
        self.world.proxy.swallow()
        self.is_not_ready(began_at)
        time.sleep(max(0.0, began_at + BLACKHOLE_SECONDS - time.monotonic()))
        self.world.proxy.pass_on()
        self.recovers("silent for 5 s", began_at)

    def cut(self) -> None:
        """Every connection breaks in the middle of whatever it does, ten times."""
        began_at = time.monotonic()
        for _ in range(10):
            uploads = self.load.count("upload", 201)
            self.world.proxy.cut()
            wait_until(lambda seen=uploads: self.load.count("upload", 201) > seen, "an upload after a cut")  # type: ignore[misc]
        self.recovers("cut ten times", began_at)

    def have_no_connections(self) -> None:
        """Others have all connections that the server gives."""
        proxy, server = self.world.proxy, self.world.server
        began_at = time.monotonic()
        proxy.lead_to(NOWHERE)
        proxy.cut()
        with contextlib.ExitStack() as others:
            for connection in server.fill():
                others.callback(connection.close)
            proxy.lead_to(server.port)
            led_at = time.monotonic()
            self.is_not_ready(led_at)
            # what is refused at first may be so for the sake of the server that was nowhere
            wait_until(lambda: "too many clients" in self.world.daemon.log_text(), "the server's own words")
        self.recovers("out of connections", began_at)

    def fail_over(self) -> None:
        """The server goes, and one that followed it takes its place: for a while it only reads."""
        standby = self.world.server.make_standby()
        self.addCleanup(standby.stop)
        uploads = self.load.count("upload", 201)
        wait_until(lambda: self.load.count("upload", 201) > uploads + 10, "uploads that the standby confirms")
        began_at = time.monotonic()
        self.world.proxy.lead_to(standby.port)
        self.world.server.go_down()
        wait_until(lambda: self.load.first("upload", 503, began_at) < RECOVERY_SECONDS, "a refused upload")
        read_at = time.monotonic()
        for kind in ("download", "index", "token"):
            wait_until(lambda kind=kind: self.load.count(kind, 200, read_at) > 3, f"{kind} of the standby")  # type: ignore[misc]
        standby.administer("ALTER SYSTEM RESET synchronous_standby_names")
        standby.administer("SELECT pg_promote()")
        self.recovers("failed over", began_at)

    # ------------------------------------------------------------------ what is seen of them

    def is_not_ready(self, since: float) -> None:
        """Wait until the daemon says so."""
        wait_until(lambda: self.load.count("ready", 503, since) > 0, "unreadiness")

    def all_is_well(self, since: float) -> None:
        """Wait until everything worked at least once after a time."""
        kinds = {"upload": 201, **dict.fromkeys((*KINDS[1:], "ready"), 200)}
        wait_until(lambda: all(self.load.count(kind, status, since) for kind, status in kinds.items()), "recovery")

    def recovers(self, what: str, began_at: float) -> None:
        """From now on everything works soon."""
        ended_at = time.monotonic()
        self.all_is_well(ended_at)
        first = {kind: self.load.first(kind, 201 if kind == "upload" else 200, ended_at) for kind in (*KINDS, "ready")}
        refused = sum(1 for each in list(self.load.asked) if each.status == 503 and each.ended_at > began_at)
        shown = ", ".join(f"{kind} {seconds:.2f}" for kind, seconds in first.items())
        sys.stdout.write(f"\n  {what}: {refused} times 503; s until well again: {shown} ")
        self.assertLess(max(first.values()), RECOVERY_SECONDS)

    def check_answers(self) -> None:
        """Nobody got anything but what he asked for or 503, in time."""
        slowest: dict[str, float] = {}
        for each in self.load.asked:
            allowed = (200,) if each.kind == "alive" else (200, 201, 503)
            self.assertIn(each.status, allowed, each)
            self.assertEqual(bool(each.retry_after), each.status == 503, each)
            slowest[each.kind] = max(slowest.get(each.kind, 0.0), each.seconds)
        sys.stdout.write("\n  slowest: " + ", ".join(f"{kind} {took:.2f} s" for kind, took in slowest.items()) + " ")
        self.assertLess(slowest.pop("alive"), ALIVE_SECONDS)
        self.assertLess(max(slowest.values()), DEADLINE_SECONDS)
        trace = self.world.daemon.log_text().partition("Traceback")[2]
        self.assertFalse(trace, trace[:3000])

    def check_promises(self) -> None:
        """Every file that was acknowledged is there."""
        found = {path: self.load.ask("check", "GET", path) for path in self.load.promised}
        self.assertGreater(len(found), 10)
        self.assertEqual(found, self.load.promised)
        sys.stdout.write(f"\n  {len(found)} acknowledged uploads are there ")
