"""Tests for pkgregd.listening and pkgregd.systemd."""

from __future__ import annotations

import os
import pathlib
import socket
import stat
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorSocket
from twisted.internet.task import Clock
from twisted.internet.tcp import Port as TCPPort
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import ConfigError, Unavailable
from pkgregd.http.factory import FrontFactory
from pkgregd.http.proxied import ProxiedFactory
from pkgregd.listening import Door, adopt_socket, open_port, read_doorways
from pkgregd.systemd import VARIABLES, InheritedSocket, Notifier, forget_systemd, handed_over, inherited_sockets
from tests.support.tls import make_certificates

FRONT: Any = FrontFactory.__new__(FrontFactory)


class DoorwayTests(SynchronousTestCase):
    """What endpoints ask for."""

    def test_one_socket_whatever_its_certificate(self) -> None:
        """Two certificates at an address are two contexts and one key."""
        folder = pathlib.Path(self.mktemp())
        folder.mkdir(parents=True)
        made = make_certificates(folder)
        text = f"ssl:8443:interface=127.0.0.1:privateKey={made.key}:certKey={made.chain}"
        [first], [second] = read_doorways([text]), read_doorways([text])
        [plain] = read_doorways(["tcp:8443:interface=127.0.0.1"])
        self.assertEqual({first.key, second.key}, {plain.key})
        self.assertIsNot(first.context, second.context)
        self.assertIsInstance(first.dressed(FRONT), TLSMemoryBIOFactory)
        self.assertIs(plain.dressed(FRONT), FRONT)

    def test_the_proxy_protocol(self) -> None:
        """It stands before a description, and changes what is behind the door."""
        [doorway] = read_doorways(["haproxy:tcp:8080"])
        self.assertIsInstance(doorway.dressed(FRONT), ProxiedFactory)

    def test_other_endpoints_are_twisteds(self) -> None:
        """What asks for more than a socket is left alone, and what is none is refused."""
        [doorway] = read_doorways(["tcp:80:nonsense=1"])
        self.assertTrue(doorway.is_other)
        with self.assertRaisesRegex(ConfigError, "http.listen: nonsense:1"):
            read_doorways(["nonsense:1"])

    def test_ports_that_the_system_chooses(self) -> None:
        """Each of them is one of its own."""
        first, second = read_doorways(["tcp:0", "tcp:0"])
        self.assertNotEqual(first.key, second.key)


class PortTests(SynchronousTestCase):
    """Sockets; nothing here turns the reactor, connections are accepted by hand."""

    def listen(self, text: str, inherited: list[InheritedSocket] | None = None) -> Any:
        """Open the port of one description."""
        [doorway] = read_doorways([text])
        port = open_port(reactor, doorway, inherited or [])
        self.addCleanup(self.close, port.port)
        return port

    def close(self, port: Any) -> None:
        """Close a port without the reactor's help."""
        if port.connected:
            port.stopReading()
            port.connectionLost(None)

    def test_an_address_that_is_taken(self) -> None:
        """It is named."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = taken.getsockname()[1]
            with self.assertRaisesRegex(Unavailable, f"cannot listen on tcp:{number}"):
                self.listen(f"tcp:{number}:interface=127.0.0.1")

    def test_a_socket_of_systemds_is_used(self) -> None:
        """The one that is bound to the address, and no other."""
        with socket.create_server(("127.0.0.1", 0)) as held, socket.create_server(("127.0.0.1", 0)) as other:
            found = [InheritedSocket(each.fileno(), socket.AF_INET, each.getsockname()) for each in (other, held)]
            number = held.getsockname()[1]
            port = self.listen(f"tcp:{number}:interface=127.0.0.1", found)
            self.assertEqual(port.port.getHost().port, number)

    def test_a_shared_port_is_not_shut_down(self) -> None:
        """Who closes it leaves it to those that have it, with those that wait in it."""
        port = self.listen("tcp:0:interface=127.0.0.1")
        self.assertTrue(TCPPort._shouldShutdown)
        port.share()
        with socket.socket(fileno=os.dup(port.number)) as copy:
            address = copy.getsockname()
            with socket.create_connection(address, 5):
                self.close(port.port)
                copy.setblocking(True)
                copy.settimeout(5)
                copy.accept()[0].close()

    def test_an_adopted_file_stays_as_it_is(self) -> None:
        """A worker neither changes the mode of a socket's file nor removes it."""
        path = pathlib.Path(self.mktemp()).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(path.parent)  # the path of a socket is short
        port = self.listen(f"unix:{path.name}:mode=600")
        port.share()
        number = os.dup(port.number)
        self.addCleanup(os.close, number)
        adopted = adopt_socket(reactor, number, socket.AF_UNIX, Door())
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.close(adopted)
        self.assertTrue(path.exists())

    def test_waiting_connections_are_taken(self) -> None:
        """A port that closes accepts what is in its queue, one at a time."""
        accepted: list[object] = []
        port = self.listen("tcp:0:interface=127.0.0.1")
        door: Any = port.door
        door.inner = type("Counting", (), {"buildProtocol": lambda _, addr: accepted.append(addr)})()
        clients = [socket.create_connection(("127.0.0.1", port.port.getHost().port), 5) for _ in range(7)]
        port.take_waiting()
        self.assertEqual(len(accepted), 7)
        for client in clients:
            client.close()
        self.assertTrue(IReactorSocket.providedBy(reactor))


class NotifierTests(SynchronousTestCase):
    """What systemd is told, and how it is told from anybody else's variables."""

    def setUp(self) -> None:
        """Listen in systemd's place."""
        self.clock = Clock()
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.ear.close)
        name = f"pkgregd-notify-{os.getpid()}-{id(self)}"
        self.ear.bind("\0" + name)
        self.ear.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": "@" + name, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())}

    def heard(self) -> list[str]:
        """Return what was told."""
        found = []
        while True:
            try:
                found.append(self.ear.recv(4096).decode())
            except BlockingIOError:
                return found

    def test_words(self) -> None:
        """Each is one message of its own."""
        notifier = Notifier(self.clock, self.environment)
        notifier.ready("serving")
        notifier.reloading()
        notifier.stopping("soon")
        ready, reloading, stopping = self.heard()
        self.assertEqual(ready, "READY=1\nSTATUS=serving")
        self.assertRegex(reloading, r"^RELOADING=1\nMONOTONIC_USEC=[0-9]+$")
        self.assertEqual(stopping, "STOPPING=1\nSTATUS=soon")

    def test_signs_of_life(self) -> None:
        """They come twice in the time that systemd waits."""
        Notifier(self.clock, self.environment).start()
        self.clock.pump([1.0] * 8)
        self.assertEqual(self.heard(), ["WATCHDOG=1"] * 5)

    def test_nobody_asked(self) -> None:
        """Without a socket, with one that is gone, or with another process's watchdog nothing happens."""
        silent = Notifier(self.clock, {})
        silent.start()
        silent.ready("x")
        Notifier(self.clock, {"NOTIFY_SOCKET": "@pkgregd-nobody"}).ready("x")
        Notifier(self.clock, {**self.environment, "WATCHDOG_PID": "1"}).start()
        Notifier(self.clock, {**self.environment, "WATCHDOG_USEC": "x"}).start()
        self.clock.advance(10)
        self.assertEqual(self.heard(), [])

    def test_an_address_that_cannot_be(self) -> None:
        """The log says what is wrong with it."""
        with capturedLogs() as events:
            Notifier(self.clock, {"NOTIFY_SOCKET": "@" + "x" * 300}).ready("x")
        self.assertIn("too long", formatEvent(events[0]))

    def test_only_listening_sockets_count(self) -> None:
        """What systemd hands over may be other things, and even closed."""
        self.assertEqual(list(handed_over()), [])
        with socket.create_server(("127.0.0.1", 0)) as held, pathlib.Path(os.devnull).open() as file:
            [found] = inherited_sockets([self.ear.fileno(), file.fileno(), held.fileno(), 1_000_000])
            self.assertEqual((found.number, found.address), (held.fileno(), held.getsockname()))

    def test_children_do_not_inherit(self) -> None:
        """Nothing of systemd's is left in an environment."""
        environment = dict.fromkeys(VARIABLES, "1") | {"PATH": "/bin"}
        forget_systemd(environment)
        self.assertEqual(environment, {"PATH": "/bin"})
