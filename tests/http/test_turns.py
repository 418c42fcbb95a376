"""Turns of bodies, over real sockets and a reactor that the test turns."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection, Server
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.http.turns import TURN_BYTES, ReadTurns


class Reading(Protocol):
    """Counts what it is given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def dataReceived(self, data: bytes) -> None:
        """Count."""
        self.sizes.append(len(data))


class ReadTurnsTests(SynchronousTestCase):
    """Connections that all have more to read than one turn allows."""

    def setUp(self) -> None:
        """Begin."""
        self.clock = Clock()
        self.turns = ReadTurns(self.clock)
        self.clients: list[socket.socket] = []

    def connect(self, read_bytes: int, sent_bytes: int = 0) -> tuple[Connection, list[int]]:
        """Make a connection in turns, with bytes waiting; returns what is read from it, too."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            self.addCleanup(end.close)
        self.assertEqual(theirs.send(bytes(sent_bytes)) if sent_bytes else 0, sent_bytes)
        self.clients.append(theirs)
        reading = Reading()
        transport = Connection(ours, reading, self.clock)
        transport.bufferSize = read_bytes
        transport.connected = 1
        self.turns.begin(transport)
        return transport, reading.sizes

    def turn(self, *ready: Connection) -> list[Any]:
        """Let the reactor find some connections ready, and its turn end; returns what doRead() returned."""
        returned = [transport.doRead() for transport in ready]
        self.clock.advance(0)
        return returned

    def test_one_after_the_other(self) -> None:
        """Each turn reads of one, and everybody comes to a turn, in whatever order the reactor finds them."""
        made = [self.connect(TURN_BYTES, 150_000) for _ in range(4)]
        transports = [transport for transport, _ in made]
        order: list[int] = []
        for round_number in range(4):
            before = [len(sizes) for _, sizes in made]
            ready = transports if round_number % 2 else transports[::-1]
            self.assertEqual(self.turn(*ready), [None] * 4)
            order.extend(number for number, (_, sizes) in enumerate(made) if len(sizes) > before[number])
        self.assertEqual(sorted(order), [0, 1, 2, 3])
        self.assertEqual([sizes for _, sizes in made], [[150_000]] * 4)

    def test_small_reads_share_a_turn(self) -> None:
        """A turn has as many reads as it has time for."""
        made = [self.connect(TURN_BYTES // 4, TURN_BYTES // 4) for _ in range(6)]
        transports = [transport for transport, _ in made]
        self.turn(*transports)
        self.assertEqual([len(sizes) for _, sizes in made], [1, 1, 1, 1, 0, 0])
        self.turn(*transports[:2], *transports[4:])
        self.assertEqual([len(sizes) for _, sizes in made], [1, 1, 1, 1, 1, 1])

    def test_nothing_before_all_else(self) -> None:
        """The read comes when the reactor has served everybody it found ready."""
        transport, sizes = self.connect(1000, 1000)
        transport.doRead()
        self.assertEqual(sizes, [])
        self.clock.advance(0)
        self.assertEqual(sizes, [1000])

    def test_who_pauses_loses_the_turn(self) -> None:
        """A connection that is not to be read any more is not read, and holds nobody up."""
        first, first_sizes = self.connect(TURN_BYTES, 1000)
        second, second_sizes = self.connect(TURN_BYTES, 1000)
        first.doRead()
        self.turns.skip(first)
        self.turn(second)
        self.assertEqual((first_sizes, second_sizes), ([], [1000]))
        self.turns.skip(first)
        self.turn(first)
        self.assertEqual(first_sizes, [1000])

    def test_after_the_body(self) -> None:
        """Then it reads when there is something, and has no turn left."""
        transport, sizes = self.connect(1000, 2000)
        transport.doRead()
        self.turns.end(transport)
        self.turns.end(transport)
        self.assertEqual(sizes, [])
        self.clock.advance(0)
        self.assertEqual(sizes, [])
        transport.doRead()
        self.assertEqual(sizes, [1000])

    def test_the_client_leaves(self) -> None:
        """The end of a connection is told to the reactor, as if there were no turns."""
        transport, sizes = self.connect(1000, 500)
        self.clients[0].close()
        self.assertEqual(self.turn(transport), [None])
        self.assertEqual(sizes, [500])
        self.assertEqual(self.turn(transport), [None])
        self.assertEqual(self.turn(transport), [CONNECTION_DONE])

    def test_lost_while_it_waits(self) -> None:
        """A connection that was lost before its turn is not touched."""
        lost, sizes = self.connect(TURN_BYTES, 1000)
        other, other_sizes = self.connect(TURN_BYTES, 1000)
        lost.doRead()
        other.doRead()
        self.clock.addReader = self.clock.removeReader = lambda _: None  # type: ignore[attr-defined]
        self.clock.removeWriter = lambda _: None  # type: ignore[attr-defined]
        lost.connectionLost(Failure(CONNECTION_DONE))
        self.clock.advance(0)
        self.assertEqual((sizes, other_sizes), ([], [1000]))

    def test_aborted_while_it_waits(self) -> None:
        """A connection that is being aborted reads no more, however its body ends."""
        self.clock.addReader = lambda _: None  # type: ignore[attr-defined]
        self.clock.removeReader = self.clock.removeWriter = self.clock.addReader  # type: ignore[attr-defined]
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            self.addCleanup(end.close)
        ours.setblocking(False)
        reading = Reading()
        transport = Server(ours, reading, ("127.0.0.1", 1), None, 1, self.clock)
        self.turns.begin(transport)
        theirs.send(b"x" * 100)
        transport.doRead()
        self.patch(transport, "connectionLost", lambda _: None)
        transport.abortConnection()
        self.clock.advance(0)
        self.turns.end(transport)
        self.assertIsNone(transport.doRead())
        self.assertEqual(reading.sizes, [])

    def test_a_protocol_that_fails(self) -> None:
        """Its connection is cut: what it lost must not be missing in the middle of a body. Others are read."""
        self.clock.removeReader = self.clock.removeWriter = lambda _: None  # type: ignore[attr-defined]
        failing, _ = self.connect(1000, 1000)
        other, sizes = self.connect(1000, 1000)
        aborted: list[bool] = []

        def fail(data: bytes) -> None:
            raise ValueError("no")

        self.patch(failing.protocol, "dataReceived", fail)
        self.patch(failing, "abortConnection", lambda: aborted.append(True))
        self.turn(failing, other)
        self.assertEqual((aborted, sizes), ([True], [1000]))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_other_transports(self) -> None:
        """What is no TCP connection is left alone."""
        transport = object()
        self.turns.begin(transport)
        self.turns.skip(transport)
        self.turns.end(transport)
