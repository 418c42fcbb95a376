"""Two hosts' worth of daemons on one PostgreSQL and one bucket, behind HAProxy as the sample has it."""

from __future__ import annotations

import os
import pathlib
import re
import ssl

from tests.support.catalogs import POSTGRESQL
from tests.support.daemon import Daemon, free_ports
from tests.support.haproxy import Haproxy
from tests.support.seaweedfs import s3_blobs

WORKERS = int(os.environ.get("PKGREGD_TEST_WORKERS", "2"))
"""Processes of each daemon."""

DELAY_SECONDS = 3.0
"""How long a daemon that is to stop still takes requests; HAProxy of the sample looks away after 2 s at the latest."""


class ScaledOut:
    """
    The daemons `one` and `two` behind HAProxy, running; `close()` it in the end.

    Args:
        program: HAProxy's path.
        folder: where HAProxy keeps everything; made.
        workers: processes of each daemon.

    Attributes:
        daemons: by the names that HAProxy has for them.
        port, url: where HAProxy takes HTTPS.
        tls: for connections there.
    """

    def __init__(self, program: str, folder: pathlib.Path, workers: int = WORKERS) -> None:
        (self.port,) = free_ports(1)
        self.url = f"https://localhost:{self.port}"
        http = f'trusted_proxies = ["127.0.0.1"]\nshutdown_delay_seconds = {DELAY_SECONDS:g}\nworkers = {workers}\n'
        blobs = s3_blobs()
        one = Daemon(http=http, blobs=blobs, engine=POSTGRESQL)
        two = Daemon(http=http, blobs=blobs, engine=POSTGRESQL, beside=one)
        self.daemons = {"one": one, "two": two}
        self.world = one.world
        self.certificates = one.certificates
        self.tls = ssl.create_default_context(cafile=one.ca_file)
        self.haproxy: Haproxy | None = None
        try:
            for daemon in self.daemons.values():
                text = daemon.config.read_text()
                daemon.config.write_text(re.sub(r"external_url = .*", f'external_url = "{self.url}"', text))
                daemon.start()
            ports = [daemon.port for daemon in self.daemons.values()]
            self.haproxy = Haproxy(program, folder, one.certificates, ports, port=self.port)
            self.wait_until_up(*self.daemons)
        except BaseException:
            self.close()
            raise

    def wait_until_up(self, *names: str) -> None:
        """Wait until HAProxy gives requests to these daemons."""
        assert self.haproxy is not None
        for name in names:
            self.haproxy.wait_until_up(name)

    def restart(self, name: str) -> None:
        """End one with SIGTERM and start it again."""
        self.daemons[name].stop()
        self.daemons[name].start()
        self.wait_until_up(name)

    def start_again(self, name: str) -> None:
        """Start one that was killed."""
        self.daemons[name].start()
        self.wait_until_up(name)

    def close(self) -> None:
        """End all of it; the catalog belongs to the first daemon, which comes last."""
        if self.haproxy is not None:
            self.haproxy.close()
        for daemon in reversed(self.daemons.values()):
            daemon.close()
