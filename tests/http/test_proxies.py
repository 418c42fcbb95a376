"""Whose address counts: behind proxies that are trusted, and behind others."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.http.accesslog import AccessLog
from pkgregd.http.channel import PARTING_SECONDS
from pkgregd.http.factory import FrontFactory
from pkgregd.http.parsing import BadRequest
from pkgregd.http.proxied import ProxiedFactory
from pkgregd.http.proxies import MAX_HOPS, TrustedProxies
from pkgregd.http.proxyheader import MAX_BLOCK_BYTES, BadProxyHeader, ProxyHeader, read_proxy_header
from pkgregd.http.settings import FrontSettings
from pkgregd.testing.client import parse_replies
from pkgregd.testing.transport import MemoryTransport

PROXY = "10.0.0.1"
CLIENT = "198.51.100.7"
GET = b"GET /x HTTP/1.1\r\nHost: x\r\n%b\r\n"
LINE = b"PROXY TCP4 198.51.100.7 10.0.0.1 50000 8080\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def block(command: int, family: int, addresses: bytes, more: bytes = b"") -> bytes:
    """Make a header of version 2."""
    return SIGNATURE + bytes([command, family]) + len(addresses + more).to_bytes(2, "big") + addresses + more


TCP4 = block(0x21, 0x11, bytes([198, 51, 100, 7, 10, 0, 0, 1]) + b"\xc3\x50\x1f\x90")
TCP6 = block(0x21, 0x21, bytes.fromhex("20010db8" + "00" * 11 + "01") + bytes(20))


class ForwardedTests(SynchronousTestCase):
    """What X-Forwarded-For means."""

    def client(self, *values: str, address: str = PROXY, trusted: tuple[str, ...] = ("10.0.0.0/8", "fd00::/8")) -> str:
        """Return the client of a request with such headers."""
        headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in values]
        return TrustedProxies(trusted).client_of(address, headers)

    def test_the_last_that_is_no_proxy(self) -> None:
        """Proxies stand behind each other; what a client wrote before is not looked at."""
        for values, client in (
            ((CLIENT,), CLIENT),
            (("192.0.2.1, 198.51.100.7",), CLIENT),
            (("192.0.2.1", "198.51.100.7 , 10.9.9.9"), CLIENT),
            (("<script>, ,, 198.51.100.7,fd00::5,\t10.0.0.2",), CLIENT),
            (("2001:DB8::1",), "2001:db8::1"),
            (("[2001:db8::1]:443",), "2001:db8::1"),
            (("198.51.100.7:1234",), CLIENT),
            (("::ffff:198.51.100.7, ::ffff:10.0.0.2",), CLIENT),
            ((), PROXY),
            (("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ):
            self.assertEqual(self.client(*values), client, values)

    def test_what_cannot_be_understood(self) -> None:
        """A proxy that says nonsense is refused, not guessed at."""
        for value in ("", "unknown", "198.51.100.7,", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "a" * 100, "[::1", "\xe4"):
            self.assertRaises(BadRequest, self.client, value)
        self.assertEqual(self.client(", ".join(["10.0.0.1"] * MAX_HOPS)), PROXY)
        self.assertRaises(BadRequest, self.client, ", ".join(["10.0.0.1"] * (MAX_HOPS + 1)))

    def test_who_is_trusted(self) -> None:
        """Networks, single addresses, and sockets in the file system where that is said."""
        trusted = TrustedProxies(["10.0.0.0/8", "::1", "unix"])
        for address in ("10.1.2.3", "::ffff:10.1.2.3", "::1", ""):
            self.assertTrue(trusted.trusts(address), address)
        for address in ("11.0.0.1", "::2", "fe80::1%eth0", "nonsense"):
            self.assertFalse(trusted.trusts(address), address)
        self.assertFalse(TrustedProxies(["10.0.0.0/8"]).trusts(""))
        self.assertFalse(TrustedProxies([]).trusts("10.0.0.1"))

    @given(st.text(st.characters(max_codepoint=255), max_size=60))
    def test_any_text(self, text: str) -> None:
        """Whatever stands there is an address or refused; never does it travel on as it is."""
        try:
            found = self.client(text.replace("\r", "").replace("\n", ""))
        except BadRequest:
            return
        self.assertRegex(found, r"\A[0-9a-f:.]+\Z")


class ProxyHeaderTests(SynchronousTestCase):
    """Both versions of the PROXY protocol."""

    def test_what_is_read(self) -> None:
        """The client's address and where the header ends; nobody's where the proxy speaks for itself."""
        for header, address in (
            (LINE, CLIENT),
            (b"PROXY TCP6 2001:DB8::1 ::1 1 2\r\n", "2001:db8::1"),
            (b"PROXY UNKNOWN\r\n", None),
            (b"PROXY UNKNOWN ffff:f:f:f 1 2 3\r\n", None),
            (TCP4, CLIENT),
            (TCP6, "2001:db8::1"),
            (block(0x20, 0x00, b""), None),
            (block(0x20, 0x11, bytes(12)), None),
            (block(0x21, 0x00, b"", b"x" * 20), None),
            (block(0x21, 0x31, bytes(216)), None),
            (block(0x21, 0x11, TCP4[16:], b"\x04\x00\x03abc"), CLIENT),
        ):
            found = read_proxy_header(header + b"GET / HTTP/1.1\r\n")
            self.assertEqual(found, ProxyHeader(address, len(header)), header)

    def test_what_is_refused(self) -> None:
        """What is no header, or is one of something else, or too long."""
        for data in (
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 198.51.100.7 10.0.0.1 1\r\n",
            b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 999.51.100.7 10.0.0.1 1 2\r\n",
            b"PROXY UDP4 198.51.100.7 10.0.0.1 1 2\r\n",
            b"PROXY UNKNOWNX\r\n",
            b"PROXY UNKNOWN " + b"x" * 107,
            b"\r\n\r\nGET",
            block(0x31, 0x11, TCP4[16:]),
            block(0x22, 0x11, TCP4[16:]),
            block(0x21, 0x12, TCP4[16:]),
            block(0x21, 0x11, TCP4[16:-1]),
            block(0x21, 0x21, TCP4[16:]),
            block(0x21, 0x11, TCP4[16:], bytes(MAX_BLOCK_BYTES)),
        ):
            self.assertRaises(BadProxyHeader, read_proxy_header, data)

    def test_piece_by_piece(self) -> None:
        """Every beginning of a header waits for more."""
        for header in (LINE, TCP4, TCP6, block(0x21, 0x11, TCP4[16:], bytes(300))):
            for end in range(len(header)):
                self.assertIsNone(read_proxy_header(header[:end]), header[:end])

    @given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 1.2.3.4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]), st.binary())
    def test_any_bytes(self, start: bytes, data: bytes) -> None:
        """Whatever comes is read, refused, or a beginning that is bounded."""
        try:
            found = read_proxy_header(start + data)
        except BadProxyHeader:
            return
        if found is None:
            self.assertLess(len(start + data), 16 + MAX_BLOCK_BYTES)
        else:
            self.assertLessEqual(found.size_bytes, len(start + data))


class ProxyCase(SynchronousTestCase):
    """A front that answers with the address it sees."""

    settings = FrontSettings(
        trusted_proxies=("10.0.0.0/8",), max_connections_per_address=2, max_connections=6, header_timeout_seconds=5
    )

    def setUp(self) -> None:
        """Put it together."""
        super().setUp()
        self.clock = Clock()
        self.logged: list[dict[str, Any]] = []
        self.requests: list[Any] = []
        self.front = FrontFactory(self.clock, self.settings, self.requests.append, AccessLog(self.clock, self))  # type: ignore[arg-type]  # info() is all of a logger that is asked

    def info(self, format: str, **fields: Any) -> None:
        """Be the log."""
        self.logged += map(json.loads, fields["lines"].splitlines())

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of the access log."""
        self.front.access_log.flush()
        return self.logged

    def connect(self, address: str, factory: Any = None) -> MemoryTransport:
        """Connect from an address."""
        transport = MemoryTransport(address)
        transport.connect((factory or self.front).buildProtocol(transport.getPeer()))
        return transport

    def answer(self) -> None:
        """Answer every request."""
        while self.requests:
            request = self.requests.pop(0)
            request.begin(200, ((b"Content-Length", b"0"),))
            request.finish()

    def statuses(self, transport: MemoryTransport) -> list[int]:
        """Return what was answered on a connection."""
        return [reply.status for reply in parse_replies(bytes(transport.received))]

    def forwarded(self, *addresses: str) -> bytes:
        """Make a request with such a header."""
        return GET % b"".join(b"X-Forwarded-For: %b\r\n" % address.encode() for address in addresses)


class ForwardingTests(ProxyCase):
    """Requests behind a proxy that says X-Forwarded-For."""

    def test_relayed(self) -> None:
        """The address is a client's only if a trusted proxy names it; a proxy that asks for itself adds nothing."""
        for address, header, is_relayed in (
            ("10.0.0.1", b"X-Forwarded-For: 192.0.2.1\r\nVia: 1.1 x\r\n", False),
            ("10.0.0.1", b"", False),
            ("10.0.0.1", b"Via: 1.1 x\r\n", True),
            ("10.0.0.1", b"X-Real-IP: 192.0.2.1\r\n", True),
            ("192.0.2.9", b"", False),
            ("192.0.2.9", b"X-Forwarded-For: 192.0.2.1\r\n", True),
        ):
            self.connect(address).send(GET % header)
            self.assertEqual(self.requests[0].is_relayed, is_relayed, (address, header))
            self.answer()

    def test_each_request_has_its_client(self) -> None:
        """One connection brings requests of many; the log has the client's address."""
        transport = self.connect(PROXY)
        for address in (CLIENT, "2001:db8::1", PROXY):
            transport.send(self.forwarded(address) if address != PROXY else GET % b"")
            self.assertEqual(self.requests[0].address, address)
            self.answer()
        self.assertEqual([line["address"] for line in self.log()], [CLIENT, "2001:db8::1", PROXY])

    def test_others_are_not_believed(self) -> None:
        """From anywhere else the header means nothing, nor do others from anywhere."""
        transport = self.connect("192.0.2.1")
        transport.send(self.forwarded(CLIENT))
        self.assertEqual(self.requests[0].address, "192.0.2.1")
        for header in (b"X-Real-IP", b"Forwarded", b"X_Forwarded_For", b"X-Forwarded", b"Client-IP"):
            other = self.connect(PROXY)
            other.send(GET % (header + b": 198.51.100.7\r\n"))
            self.assertEqual(self.requests[-1].address, PROXY, header)
            other.hang_up()

    def test_nonsense(self) -> None:
        """It is refused before anybody sees a request, and nothing is counted for it."""
        for _ in range(5):
            transport = self.connect(PROXY)
            transport.send(self.forwarded("nonsense"))
            self.assertEqual(self.statuses(transport), [400])
            transport.hang_up()
        self.assertEqual(self.requests, [])

    def test_connections_of_a_client(self) -> None:
        """Its requests at the same time count as connections, over whatever connections they come."""
        transports = [self.connect(PROXY) for _ in range(4)]
        for transport in transports[:3]:
            transport.send(self.forwarded(CLIENT))
        transports[3].send(self.forwarded("198.51.100.8"))
        self.assertEqual([self.statuses(transport) for transport in transports], [[], [], [503], []])
        self.assertIn(b"Retry-After: 2\r\n", transports[2].received)
        self.answer()
        transports[0].send(self.forwarded(CLIENT))
        transports[1].send(self.forwarded(CLIENT))
        self.assertEqual(len(self.requests), 2)
        transports[0].hang_up()
        direct = self.connect(CLIENT)
        direct.send(GET % b"")
        self.assertEqual(len(self.requests), 3)
        self.assertEqual(self.statuses(self.connect(CLIENT)), [503])

    def test_nothing_is_left_of_those_that_went(self) -> None:
        """However a request ends it counts no more."""
        for _ in range(5):
            transport = self.connect(PROXY)
            transport.send(self.forwarded(CLIENT))
            transport.hang_up()
        self.requests.clear()
        transport = self.connect(PROXY)
        for _ in range(5):
            transport.send(self.forwarded(CLIENT))
            self.answer()
        self.assertEqual(self.statuses(transport), [200] * 5)
        self.assertEqual(self.front._per_address, {})


class ProxyProtocolTests(ProxyCase):
    """Connections that begin with the PROXY protocol."""

    def setUp(self) -> None:
        """Make the factory of such connections."""
        super().setUp()
        self.proxied = ProxiedFactory(self.front)

    def test_the_client_is_the_one_that_is_named(self) -> None:
        """In both versions, whole and byte by byte; requests follow at once or later."""
        for header, address in ((LINE, CLIENT), (TCP4, CLIENT), (TCP6, "2001:db8::1"), (b"PROXY UNKNOWN\r\n", PROXY)):
            for size_bytes in (1, 1000):
                transport = self.connect(PROXY, self.proxied)
                data = header + GET % b""
                for start in range(0, len(data), size_bytes):
                    transport.send(data[start : start + size_bytes])
                self.assertEqual(self.requests[0].address, address)
                self.answer()
                transport.send(GET % b"")
                self.answer()
                self.assertEqual(self.statuses(transport), [200, 200])
                transport.hang_up()
        self.assertEqual((self.front._per_address, self.front._channels), ({}, set()))

    def test_a_client_that_is_not_known_names_nobody(self) -> None:
        """Where the proxy does not know whose bytes it passes on, they are not believed to be its own."""
        for header in (b"PROXY UNKNOWN\r\n", TCP4[:13] + b"\x00\x00\x00"):
            transport = self.connect(PROXY, self.proxied)
            transport.send(header + self.forwarded("203.0.113.99"))
            self.assertEqual(self.requests[0].address, PROXY)
            self.answer()
            transport.hang_up()
        self.assertEqual((self.front._per_address, self.front._channels), ({}, set()))

    def test_who_is_not_trusted(self) -> None:
        """The connection is closed whatever it says."""
        self.assertIsNone(self.proxied.buildProtocol(MemoryTransport("192.0.2.1").getPeer()))
        self.assertEqual(self.log()[0]["address"], "192.0.2.1")

    def test_without_the_header(self) -> None:
        """A trusted proxy that says nothing, or something else, is cut off."""
        for data in (GET % b"", b"\x16\x03\x01"):
            transport = self.connect(PROXY, self.proxied)
            transport.send(data)
            self.assertEqual(transport.closed, "aborted")
        transport = self.connect(PROXY, self.proxied)
        transport.send(LINE[:20])
        self.clock.advance(5)
        self.assertEqual(transport.closed, "aborted")
        self.assertEqual((self.requests, self.front._channels), ([], set()))

    def test_a_client_cannot_name_another(self) -> None:
        """Neither by a second header nor by X-Forwarded-For."""
        transport = self.connect(PROXY, self.proxied)
        transport.send(LINE + LINE.replace(b".7", b".8") + GET % b"")
        self.assertEqual(self.statuses(transport), [400])
        transport = self.connect(PROXY, self.proxied)
        transport.send(LINE + self.forwarded("192.0.2.99"))
        self.assertEqual(self.requests[0].address, CLIENT)

    def test_a_proxy_behind_a_balancer(self) -> None:
        """Where the address that is named is itself a trusted proxy's its X-Forwarded-For holds."""
        transport = self.connect(PROXY, self.proxied)
        transport.send(LINE.replace(CLIENT.encode(), b"10.0.0.9") + self.forwarded(CLIENT))
        self.assertEqual(self.requests[0].address, CLIENT)

    def test_limits_of_connections(self) -> None:
        """They are counted for the client; those that have not said anything yet count in all."""
        transports = [self.connect(PROXY, self.proxied) for _ in range(6)]
        self.assertEqual(self.statuses(self.connect(PROXY, self.proxied)), [503])
        for transport in transports[:3]:
            transport.send(LINE)
        self.assertEqual([self.statuses(transport) for transport in transports[:3]], [[], [], [503]])
        for transport in transports:
            transport.hang_up()
        self.assertEqual((self.front._per_address, self.front._channels), ({}, set()))

    def test_draining(self) -> None:
        """A connection that has not said anything yet holds up nothing."""
        transport = self.connect(PROXY, self.proxied)
        drained = ensureDeferred(self.front.drain(5))
        self.clock.advance(PARTING_SECONDS)
        self.successResultOf(drained)
        self.assertEqual(transport.closed, "aborted")
