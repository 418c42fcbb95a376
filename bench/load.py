"""The client: requests as bytes, sent over some connections by one thread that costs little."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import field, frozen

GOOD = frozenset({200, 201, 204})
JOIN_BYTES = 1 << 16
"""A request below this size is sent as one piece."""

SENDS_IN_A_TURN = 4
RECEIVE_BYTES = 1 << 20
SILENCE_SECONDS = 120.0

Pieces = Sequence[bytes | memoryview]


class Unexpected(Exception):
    """A server answered something else, or nothing: what it cost means nothing."""


@frozen
class Call:
    """
    A request as it goes over the wire.

    Attributes:
        pieces: its bytes in order.
        statuses: the answers that count as good.
    """

    pieces: Pieces = field(repr=False)
    statuses: frozenset[int] = GOOD


def make_call(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: Pieces = (),
    statuses: frozenset[int] = GOOD,
) -> Call:
    """Make a request; a body needs its Content-Length among the headers or gets one."""
    size = sum(map(len, body))
    fields = {"Host": "127.0.0.1", **headers}
    if size:
        fields["Content-Length"] = str(size)
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""])
    pieces: Pieces = [head.encode("ascii"), *body]
    return Call([b"".join(pieces)] if size < JOIN_BYTES else pieces, statuses)


@frozen
class Outcome:
    """
    What came of some requests.

    Attributes:
        wall_seconds: from the first byte sent to the last received.
        latencies: seconds from the beginning of each request to the end of its answer.
        received_bytes: of bodies.
        statuses: how many answers had each.
    """

    wall_seconds: float
    latencies: Sequence[float] = field(repr=False)
    received_bytes: int
    statuses: Mapping[int, int] = field(factory=dict)

    @property
    def count(self) -> int:
        """How many requests there were."""
        return len(self.latencies)


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Put together what came of requests that were sent at different times."""
    latencies = array("d", itertools.chain.from_iterable(outcome.latencies for outcome in outcomes))
    statuses = sum((Counter(outcome.statuses) for outcome in outcomes), Counter[int]())
    wall_seconds = sum(outcome.wall_seconds for outcome in outcomes)
    return Outcome(wall_seconds, latencies, sum(outcome.received_bytes for outcome in outcomes), statuses)


def run(port: int, calls: Iterable[Call], connections: int = 1) -> Outcome:
    """
    Send requests, the next one on whichever connection has its answer.

    Args:
        calls: taken as connections become free.
        connections: how many, kept alive as long as the server does.

    Raises:
        Unexpected: an answer was not good, or did not come.
    """
    waiting = iter(calls)
    latencies, received = array("d"), 0
    statuses: Counter[int] = Counter()
    with select.epoll() as poll, contextlib.ExitStack() as lanes:
        by_number: dict[int, _Lane] = {}
        started_at = time.perf_counter()
        for call in itertools.islice(waiting, connections):
            _Lane(port, poll, by_number, lanes).begin(call)
        while by_number:
            ready = poll.poll(SILENCE_SECONDS)
            if not ready:
                raise Unexpected(f"no answer within {SILENCE_SECONDS:g} s")
            for number, _ in ready:
                lane = by_number[number]
                if not lane.advance():
                    continue
                latencies.append(lane.seconds)
                received += lane.received_bytes
                statuses[lane.status] += 1
                following = next(waiting, None)
                if following is None:
                    lane.close()
                else:
                    lane.begin(following)
        wall = time.perf_counter() - started_at
    return Outcome(wall, latencies, received, statuses)


class _Lane:
    """One connection, opened again when the server has closed it."""

    _buffer = memoryview(bytearray(RECEIVE_BYTES))  # of all lanes: nothing stays in it

    def __init__(self, port: int, poll: select.epoll, by_number: dict[int, _Lane], lanes: contextlib.ExitStack) -> None:
        self._port, self._poll, self._by_number = port, poll, by_number
        self._socket: socket.socket | None = None
        self._events = 0
        lanes.callback(self.close)

    def begin(self, call: Call) -> None:
        """Send a request, or as much of it as the kernel takes now."""
        self._call = call
        self._answer = _Answer()
        self._pieces: Iterator[bytes | memoryview] = iter(call.pieces)
        self._piece = memoryview(b"")
        self._is_sending = True
        self._began_at = time.perf_counter()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), SILENCE_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
            self._events = select.EPOLLIN
            self._poll.register(self._socket, self._events)
            self._by_number[self._socket.fileno()] = self
        self._send(self._socket)

    def advance(self) -> bool:
        """Go on where the socket is ready; returns whether the answer is complete, and checks it then."""
        assert self._socket is not None
        if self._is_sending:
            self._send(self._socket)
        try:
            count = self._socket.recv_into(self._buffer)
        except BlockingIOError:
            return False
        is_complete = self._answer.feed(self._buffer[:count]) if count else self._answer.end()
        if not is_complete:
            return False
        self.seconds = time.perf_counter() - self._began_at
        self.received_bytes = self._answer.received_bytes
        self.status = self._answer.status
        if self._answer.status not in self._call.statuses:
            asked = bytes(self._call.pieces[0][:300]).split(b"\r\n")[0]
            raise Unexpected(f"{asked!r} is answered {self._answer.head_text()!r}")
        if self._is_sending or self._answer.is_last or not count:
            self.close()
        return True

    def _send(self, to: socket.socket) -> None:
        try:
            for _ in range(SENDS_IN_A_TURN):
                if not self._piece:
                    following = next(self._pieces, None)
                    if following is None:
                        self._is_sending = False
                        break
                    self._piece = memoryview(following)
                self._piece = self._piece[to.send(self._piece) :]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self._is_sending = False  # the answer may be there to read
        events = select.EPOLLIN | (select.EPOLLOUT if self._is_sending else 0)
        if events != self._events:
            self._events = events
            self._poll.modify(to, events)

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._socket is not None:
            del self._by_number[self._socket.fileno()]
            self._poll.unregister(self._socket)
            self._socket.close()
            self._socket = None


class _Answer:
    """An answer as it comes: its body is counted and forgotten."""

    def __init__(self) -> None:
        self.status = 0
        self.is_last = False
        self.received_bytes = 0
        self._head = bytearray()
        self._left: int | None = None
        self._chunks: _Chunks | None = None

    def head_text(self) -> str:
        """Return the status line and headers, and the beginning of the body if it came with them."""
        return self._head[:1000].decode("latin-1")

    def feed(self, data: memoryview) -> bool:
        """Take bytes; returns whether the answer is complete."""
        if self.status:
            return self._take(data)
        self._head += data
        while (end := self._head.find(b"\r\n\r\n")) >= 0:
            lines = self._head[:end].decode("latin-1").lower().split("\r\n")
            status = int(lines[0].split()[1])
            if status >= 200:
                self._read_head(status, lines)
                return self._take(memoryview(bytes(self._head[end + 4 :])))
            del self._head[: end + 4]
        return False

    def end(self) -> bool:
        """The connection has ended; returns whether that completes the answer."""
        if not self.status or self._left or self._chunks:
            raise Unexpected(f"the connection ends within the answer {self.head_text()!r}")
        return True

    def _read_head(self, status: int, lines: Sequence[str]) -> None:
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.status = status
        is_kept = lines[0].startswith("http/1.1") or headers.get("connection") == "keep-alive"
        self.is_last = not is_kept or headers.get("connection") == "close"
        if status in (204, 304):
            self._left = 0
        elif headers.get("transfer-encoding") == "chunked":
            self._chunks = _Chunks()
        elif "content-length" in headers:
            self._left = int(headers["content-length"])

    def _take(self, data: memoryview) -> bool:
        if self._chunks is not None:
            is_complete = self._chunks.feed(data)
            self.received_bytes = self._chunks.received_bytes
            return is_complete
        self.received_bytes += len(data)
        if self._left is None:
            return False
        self._left -= len(data)
        if self._left < 0:
            raise Unexpected(f"there are bytes behind the answer {self.head_text()!r}")
        return self._left == 0


class _Chunks:
    """A chunked body."""

    def __init__(self) -> None:
        self.received_bytes = 0
        self._rest = bytearray()
        self._skip_bytes = 0
        self._is_last = False

    def feed(self, data: memoryview) -> bool:
        """Take bytes; returns whether the last chunk is complete."""
        self._rest += data
        while True:
            skipped = min(self._skip_bytes, len(self._rest))
            del self._rest[:skipped]
            self._skip_bytes -= skipped
            if self._skip_bytes:
                return False
            if self._is_last:
                return True
            end = self._rest.find(b"\r\n")
            if end < 0:
                return False
            size = int(self._rest[:end].split(b";")[0], 16)
            del self._rest[: end + 2]
            self.received_bytes += size
            self._skip_bytes = size + 2
            self._is_last = size == 0
