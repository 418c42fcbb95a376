"""Proxies in front of a daemon: nginx and HAProxy with X-Forwarded-For, and with the PROXY protocol."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import ssl
from typing import TYPE_CHECKING, ClassVar

from tests.support.cases import DaemonTestCase
from tests.support.daemon import Daemon, free_ports, wait_until
from tests.support.haproxy import Haproxy, demand_haproxy
from tests.support.nginx import NginxProxy, demand_nginx
from tests.support.rawhttp import RawConnection

PREFIX = "/api/v4/projects/:id/packages/"
LINE = "PROXY TCP4 {} 127.0.0.1 50000 8080\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


class ProxiedCase(DaemonTestCase):
    """A daemon that trusts 127.0.0.1, with a port for the PROXY protocol; clients have other loopback addresses."""

    http = 'trusted_proxies = ["127.0.0.1"]'
    settings = f'[[rate_limits]]\nprefix = "{PREFIX}"\nanonymous = "3/h"\n'
    blobs: ClassVar[str] = 'url = "file:blobs"\naccel_redirect = "/-/blobs/"'
    _used: ClassVar[int] = 10

    def make_daemon(self) -> Daemon:
        """Let it listen on one more port."""
        daemon = Daemon(self.settings, http=self.http, blobs=self.blobs)
        cls = type(self)
        (cls.proxy_port,) = free_ports(1)
        listen = f'listen = ["haproxy:tcp:{cls.proxy_port}:interface=127.0.0.1", '
        daemon.config.write_text(daemon.config.read_text().replace("listen = [", listen))
        return daemon

    proxy_port: ClassVar[int]

    def setUp(self) -> None:
        """Know a page that anybody may read."""
        super().setUp()
        self.path = self.daemon.packages_path("pypi", self.daemon.world.public_id) + "/simple/"

    def new_address(self) -> str:
        """Return an address of this host that no test had before."""
        ProxiedCase._used += 1
        return f"127.0.0.{ProxiedCase._used}"

    def exchange(self, port: int, sent: bytes, source: str = "127.0.0.1") -> bytes:
        """Send bytes from an address, and return all that comes until the daemon closes."""
        with socket.create_connection(("127.0.0.1", port), 30, (source, 0)) as connection:
            try:
                connection.sendall(sent)
                received = b""
                while data := connection.recv(65536):
                    received += data
            except ConnectionError:
                pass
            return received

    def get(self, port: int, source: str = "127.0.0.1", before: bytes = b"", header: str = "") -> int:
        """Ask for the page; returns the status, 0 without an answer."""
        request = f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n".encode()
        answer = self.exchange(port, before + request, source)
        return int(answer.split(b" ", 2)[1]) if answer else 0

    def logged(self, address: str) -> int:
        """Count the requests of an address in the access log."""
        lines = [line[line.index("{") :] for line in self.daemon.log_text().splitlines() if '"address": ' in line]
        return sum(json.loads(line)["address"] == address for line in lines)


class NginxTests(ProxiedCase):
    """nginx in front."""

    def setUp(self) -> None:
        """Start nginx."""
        program = demand_nginx()
        super().setUp()
        nginx = NginxProxy(program, pathlib.Path(self.mktemp()).absolute(), self.daemon.port)
        self.addCleanup(nginx.close)
        self.port = nginx.port

    def test_each_client_has_its_budget(self) -> None:
        """Behind one proxy, over connections that it shares, each address is limited and logged by itself."""
        one, two = self.new_address(), self.new_address()
        self.assertEqual([self.get(self.port, one) for _ in range(4)], [200, 200, 200, 429])
        self.assertEqual([self.get(self.port, two) for _ in range(4)], [200, 200, 200, 429])
        wait_until(lambda: self.logged(one) == self.logged(two) == 4, "the lines of the log")

    def test_a_client_that_writes_the_header_itself(self) -> None:
        """nginx puts the true address behind it, and that counts, over either way."""
        liar = self.new_address()
        found = [self.get(self.port, liar, header=f"X-Forwarded-For: 192.0.2.{last}\r\n") for last in range(4)]
        self.assertEqual(found, [200, 200, 200, 429])
        liar = self.new_address()
        found = [self.get(self.daemon.port, liar, header=f"X-Forwarded-For: 192.0.2.{last}\r\n") for last in range(4)]
        self.assertEqual(found, [200, 200, 200, 429])
        self.assertEqual(self.logged("192.0.2.1"), 0)

    def test_bad_tokens(self) -> None:
        """Failed authentications are the client's, not the proxy's."""
        guesser = self.new_address()
        found = [self.get(self.port, guesser, header="PRIVATE-TOKEN: nonsense\r\n") for _ in range(32)]
        self.assertEqual((found[0], found[-1]), (401, 429))
        self.assertEqual(self.get(self.port, self.new_address(), header="PRIVATE-TOKEN: nonsense\r\n"), 401)


class ProxyProtocolTests(ProxiedCase):
    """The PROXY protocol, as HAProxy speaks it, over real sockets."""

    def test_the_client_is_who_is_named(self) -> None:
        """In both versions; its budget is its own and the same."""
        version_1 = LINE.format("198.51.100.7").encode()
        addresses = bytes([198, 51, 100, 7, 127, 0, 0, 1]) + b"\xc3\x50\x1f\x90"
        version_2 = SIGNATURE + b"\x21\x11" + len(addresses).to_bytes(2, "big") + addresses
        heads = (version_1, version_2, version_1, version_2)
        self.assertEqual([self.get(self.proxy_port, before=head) for head in heads], [200, 200, 200, 429])
        self.assertEqual(self.get(self.proxy_port, before=LINE.format("198.51.100.8").encode()), 200)
        wait_until(lambda: self.logged("198.51.100.7") == 4, "the lines of the log")

    def test_who_may_not(self) -> None:
        """Whoever is not trusted gets no answer, nor does a trusted one without the header."""
        head = LINE.format("198.51.100.9").encode()
        self.assertEqual(self.get(self.proxy_port, self.new_address(), head), 0)
        self.assertEqual(self.get(self.proxy_port), 0)

    def test_a_header_on_another_port(self) -> None:
        """Where it is not expected it is no request, from whomever."""
        head = LINE.format("198.51.100.9").encode()
        self.assertEqual(self.get(self.daemon.port, before=head), 400)

    def test_an_upload_behind_it(self) -> None:
        """The connection behind the header is one like any other: great bodies in, great files out, many requests."""
        body = os.urandom(3 << 20)
        path = self.daemon.packages_path("generic", self.daemon.world.private_id) + "/proxied/1.0/file"
        with RawConnection(self.proxy_port) as connection:
            connection.socket.sendall(LINE.format("198.51.100.10").encode())
            headers = {"PRIVATE-TOKEN": self.daemon.world.writer}
            sent = connection.request("PUT", path, {**headers, "Content-Length": str(len(body))}, [body])
            self.assertEqual(sent.status, 201)
            for _ in range(2):
                self.assertEqual(connection.request("GET", path, headers).body, body)


class HaproxyCase(ProxiedCase):
    """HAProxy in front, with its sample."""

    tcp_mode: ClassVar[bool]

    def setUp(self) -> None:
        """Start HAProxy."""
        program = demand_haproxy()
        super().setUp()
        target = self.proxy_port if self.tcp_mode else self.daemon.port
        self.haproxy = self.start_haproxy(program, target)
        self.haproxy.wait_until_up("one")
        self.port = self.haproxy.port
        self.tls = ssl.create_default_context(cafile=self.daemon.ca_file)

    def start_haproxy(self, program: str, target: int) -> Haproxy:
        """Start one for a daemon at a port."""
        folder = pathlib.Path(self.mktemp()).absolute()
        haproxy = Haproxy(program, folder, self.daemon.certificates, [target], tcp_mode=self.tcp_mode)
        self.addCleanup(haproxy.close)
        return haproxy

    def exchange(self, port: int, sent: bytes, source: str = "127.0.0.1") -> bytes:
        """Send bytes over TLS from an address, and return all that comes until HAProxy closes."""
        with (
            socket.create_connection(("127.0.0.1", port), 30, (source, 0)) as connection,
            self.tls.wrap_socket(connection, server_hostname="localhost") as wrapped,
        ):
            wrapped.sendall(sent)
            return b"".join(iter(lambda: wrapped.recv(65536), b""))


if TYPE_CHECKING:
    _Base = HaproxyCase
else:
    _Base = object


class HaproxyContract(_Base):
    """What holds in both of its modes."""

    def test_each_client_has_its_budget(self) -> None:
        """Behind one HAProxy each address is limited and logged by itself."""
        one, two = self.new_address(), self.new_address()
        self.assertEqual([self.get(self.port, one) for _ in range(4)], [200, 200, 200, 429])
        self.assertEqual([self.get(self.port, two) for _ in range(4)], [200, 200, 200, 429])
        wait_until(lambda: self.logged(one) == self.logged(two) == 4, "the lines of the log")

    def test_a_client_that_writes_the_header_itself(self) -> None:
        """The true address counts, whatever the client says."""
        liar = self.new_address()
        found = [self.get(self.port, liar, header=f"X-Forwarded-For: 192.0.2.{last}\r\n") for last in range(4)]
        self.assertEqual(found, [200, 200, 200, 429])
        self.assertEqual(self.logged("192.0.2.1"), 0)

    def test_a_daemon_that_says_nothing_is_asked_whether_it_lives(self) -> None:
        """The kernel probes connections to daemons, for a host that died says nothing of it."""
        port = self.proxy_port if self.tcp_mode else self.daemon.port

        def is_probed() -> bool:
            fields = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
            timers = [each[5][:2] for each in fields if each[2].endswith(f":{port:04X}") and each[3] == "01"]
            return "02" in timers  # one for probes runs

        with RawConnection(self.port, tls=self.tls) as connection:
            self.assertEqual(connection.request("GET", "/-/livez", {}).status, 200)
            wait_until(is_probed, "a connection with probes")

    def test_a_client_that_says_that_files_can_be_left_to_it(self) -> None:
        """Nobody but nginx says so with effect."""
        great = os.urandom(200_000)
        path = self.daemon.packages_path("generic", self.daemon.world.private_id) + "/left/1.0/file"
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer}
        with RawConnection(self.port, tls=self.tls) as connection:
            sent = connection.request("PUT", path, {**headers, "Content-Length": str(len(great))}, [great])
            self.assertEqual(sent.status, 201)
        said = {**headers, "X-Sendfile-Type": "X-Accel-Redirect", "Host": "x", "Connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        answer = self.exchange(self.port, f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode(), self.new_address())
        self.assertTrue(answer.endswith(great), answer[:500])


class HaproxyHttpTests(HaproxyContract, HaproxyCase):
    """The mode that reads HTTP, and says X-Forwarded-For."""

    tcp_mode = False

    def test_no_daemon(self) -> None:
        """While none is ready clients are told to come again."""
        (nowhere,) = free_ports(1)
        haproxy = self.start_haproxy(demand_haproxy(), nowhere)
        answer = self.exchange(haproxy.port, b"GET /-/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 "), answer)
        self.assertIn(b"\r\nretry-after: 5\r\n", answer.lower())
        self.assertIn(b"no daemon is ready: try again in some seconds", answer)


class HaproxyTcpTests(HaproxyContract, HaproxyCase):
    """The mode that does not, with the PROXY protocol, to an endpoint that expects it."""

    tcp_mode = True

    def test_it_finds_out_whether_the_daemon_is_ready(self) -> None:
        """Its own questions begin with the PROXY protocol too, and are the proxy's."""
        wait_until(lambda: self.haproxy.is_up("one") and '"/-/readyz"' in self.daemon.log_text(), "a look at readiness")
