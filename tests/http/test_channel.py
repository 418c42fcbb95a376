"""One connection: order, pauses, refusals, deadlines."""

import json
import socket
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection, Server
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.tokens import mint
from pkgregd.errors import BodyTooLarge, BodyTooSlow, ClientGone, MalformedBody
from pkgregd.http.accesslog import AccessLog
from pkgregd.http.channel import (
    CRUMBS_READ_BYTES,
    LARGE_READ_BYTES,
    PARTING_SECONDS,
    PIPELINE_BYTES,
    REQUESTS_IN_TURN,
    SHARED_READ_BYTES,
    SMALL_READ_BYTES,
)
from pkgregd.http.factory import FrontFactory
from pkgregd.http.settings import FrontSettings
from pkgregd.http.unsent import held_bytes
from pkgregd.testing.client import MemoryClient, parse_replies
from pkgregd.testing.transport import MemoryTransport
from pkgregd.values import TokenKind
from tests.http.test_parsing import REFUSED, cut

PUT = b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"


class Sink:
    """A consumer whose pauses the test commands."""

    def __init__(self):
        self.data = bytearray()
        self.sizes = []
        self.producer = None

    def registerProducer(self, producer, streaming):
        """Keep the producer."""
        assert streaming
        self.producer = producer

    def unregisterProducer(self):
        """Forget it."""
        self.producer = None

    def write(self, data):
        """Keep the bytes."""
        self.data += data
        self.sizes.append(len(data))


class ChannelCase(SynchronousTestCase):
    """A factory whose requests are answered by the test."""

    def setUp(self):
        """Make a factory and a connection."""
        self.clock = Clock()
        self.settings = FrontSettings()
        self.requests = []
        self.logged = []
        self.answer = self.requests.append
        self.start()

    def start(self, **changes):
        """Connect anew, with other settings."""
        self.settings = FrontSettings(**changes)
        self.factory = FrontFactory(
            self.clock, self.settings, lambda request: self.answer(request), AccessLog(self.clock, self)
        )
        self.client = MemoryClient(self.factory)
        self.transport = self.client.transport

    def info(self, format, **fields):
        """Stand in for a Logger."""
        self.logged += fields["requests"]

    def reply(self, request, status=200, body=b"ok"):
        """Answer a request."""
        request.begin(status, [(b"Content-Length", b"%d" % len(body))], body)
        request.finish()

    def take_turns(self):
        """Let turns of the reactor pass for as long as there is something to do in them."""
        while any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
            self.clock.advance(0)

    def reply_at_once(self, request):
        """Answer by echoing the path."""
        self.reply(request, body=request.path)

    def replies(self):
        """Return what the client has read so far."""
        return parse_replies(bytes(self.transport.received))

    def body_of(self, request, sink=None):
        """Push a request's body; return the sink and the Deferred of push_to()."""
        sink = sink or Sink()
        return sink, ensureDeferred(request.body.push_to(sink))


class RequestOrderTests(ChannelCase):
    """Requests of one connection."""

    def test_starts_when_the_headers_are_complete(self):
        """A request is handed over before any byte of its body is read."""
        self.transport.send(PUT % 10)
        self.assertEqual(len(self.requests), 1)
        self.assertFalse(self.transport.is_reading)

    def test_pipelined_requests_are_answered_in_order(self):
        """One after the other, however they arrive."""
        self.answer = self.reply_at_once
        self.transport.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(5)))
        self.take_turns()
        self.assertEqual([reply.body for reply in self.replies()], [b"/0", b"/1", b"/2", b"/3", b"/4"])

    def test_the_next_request_waits(self):
        """A second request starts only after the first is answered."""
        self.transport.send(GET + GET)
        self.assertEqual(len(self.requests), 1)
        self.reply(self.requests[0])
        self.assertEqual(len(self.requests), 2)

    def test_ten_thousand_pipelined_requests_do_not_recurse(self):
        """Requests answered at once are taken in a loop."""
        self.answer = self.reply_at_once
        self.transport.send(GET * 10_000)
        self.take_turns()
        self.assertEqual(self.transport.received.count(b"HTTP/1.1 200 "), 10_000)

    def test_pipelining_is_bounded(self):
        """A client that sends requests without end is paused while one is answered."""
        for _ in range(40):
            self.transport.send(GET * 1000)
        self.assertFalse(self.transport.is_reading)
        read_bytes = 40 * 1000 * len(GET) - self.transport.waiting_bytes
        self.assertLessEqual(read_bytes, PIPELINE_BYTES + 2 * SMALL_READ_BYTES)

    def test_pipelining_without_reading_the_replies_is_bounded(self):
        """Requests are not answered while the client takes no replies."""
        self.answer = lambda request: self.reply(request, body=b"x" * 1000)
        self.transport.stalls = True
        for _ in range(10):
            self.transport.send(GET * 1000)
            self.take_turns()
        self.assertLess(len(self.transport.dataBuffer), 100_000)
        self.assertFalse(self.transport.is_reading)
        while self.transport.dataBuffer:
            self.transport.take()
            self.take_turns()
        self.assertEqual(self.transport.received.count(b"HTTP/1.1 200 "), 10_000)

    def test_pipelined_requests_take_turns(self):
        """Each turn of the reactor answers a few, and then the others; more of them wait for their turn, too."""
        self.answer = self.reply_at_once
        other = MemoryClient(self.factory)
        self.transport.send(GET * 9)
        other.transport.send(GET)
        self.assertEqual((len(self.replies()), other.transport.received.count(b"HTTP/1.1 200 ")), (REQUESTS_IN_TURN, 1))
        self.transport.send(GET)
        self.assertEqual(len(self.replies()), REQUESTS_IN_TURN)
        self.take_turns()
        self.assertEqual(len(self.replies()), 10)

    def test_a_client_that_leaves_before_its_turn(self):
        """Nothing of what it sent is begun any more."""
        self.answer = self.reply_at_once
        self.transport.send(GET * 9)
        self.transport.hang_up()
        self.take_turns()
        self.assertEqual(len(self.replies()), REQUESTS_IN_TURN)

    def test_the_daemon_stops_before_a_turn(self):
        """The next request is the last one."""
        self.answer = self.reply_at_once
        self.transport.send(GET * 9)
        drained = ensureDeferred(self.factory.drain(10))
        self.take_turns()
        self.assertEqual(len(self.replies()), REQUESTS_IN_TURN + 1)
        self.assertEqual(self.replies()[-1].headers["connection"], "close")
        self.transport.hang_up()
        self.successResultOf(drained)

    def test_a_body_is_followed_by_the_next_request(self):
        """The end of a body is the beginning of a request."""
        for body in (
            PUT % 3 + b"abc",
            PUT.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n",
        ):
            self.start()
            self.requests.clear()
            self.transport.send(body + GET)
            sink, done = self.body_of(self.requests[0])
            self.assertEqual((self.successResultOf(done), bytes(sink.data)), (3, b"abc"))
            self.reply(self.requests[0])
            self.assertEqual(self.requests[1].method, b"GET")

    def test_one_empty_line_is_forgiven(self):
        """Some clients send a line end too many after a body."""
        self.answer = self.reply_at_once
        self.transport.send(b"\r\n" + GET)
        self.assertEqual(self.replies()[0].status, 200)
        self.transport.send(b"\r\n\r\n")
        self.assertEqual(self.replies()[-1].status, 400)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(0, 260), max_size=10))
    def test_any_cut_gives_the_same_requests(self, places):
        """However the network cuts them, requests and bodies are the same."""
        self.start()
        bodies = []

        def answer(request):
            sink, done = self.body_of(request)
            done.addCallback(lambda _: (bodies.append((request.path, bytes(sink.data))), self.reply(request)))

        self.answer = answer
        raw = (
            PUT % 4
            + b"abcd"
            + b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
            + GET
        )
        for piece in cut(raw, places):
            self.transport.send(piece)
        self.assertEqual(bodies, [(b"/x", b"abcd"), (b"/c", b"xyz"), (b"/x", b"")])
        self.assertEqual(self.factory.bodies, 0)


class BodyTests(ChannelCase):
    """Bodies and their pauses."""

    def test_continue_is_sent_on_first_touch(self):
        """The interim reply waits until the handler wants the body."""
        self.transport.send(PUT[:-2] % 3 + b"Expect: 100-continue\r\n\r\n")
        self.assertEqual(bytes(self.transport.received), b"")
        sink, done = self.body_of(self.requests[0])
        self.assertEqual(bytes(self.transport.received), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.transport.send(b"abc")
        self.assertEqual(self.successResultOf(done), 3)
        self.assertEqual(bytes(sink.data), b"abc")

    def test_no_continue_when_the_body_is_here(self):
        """A client that did not wait is not told to go on."""
        self.transport.send(PUT[:-2] % 3 + b"Expect: 100-continue\r\n\r\nabc")
        self.body_of(self.requests[0])
        self.assertEqual(bytes(self.transport.received), b"")

    def test_a_full_sink_pauses_the_socket(self):
        """Past one read nothing more is taken, and everything arrives in the end."""
        self.transport.send(PUT % 500_000)
        sink, done = self.body_of(self.requests[0])
        self.transport.send(b"a" * 1000)
        sink.producer.pauseProducing()
        self.transport.send(b"b" * 499_000)
        self.assertEqual(len(sink.data), 1000)
        self.assertEqual(self.transport.waiting_bytes, 499_000)
        sink.producer.resumeProducing()
        self.assertEqual(self.successResultOf(done), 500_000)

    def test_bytes_in_hand_at_a_pause_are_kept(self):
        """A pause in the middle of one read loses nothing."""

        class Pausing(Sink):
            def write(self, data):
                super().write(data)
                self.producer.pauseProducing()

        self.transport.send(PUT % 6 + b"abc")
        sink, done = self.body_of(self.requests[0], Pausing())
        self.transport.protocol.dataReceived(b"def")
        self.assertEqual(bytes(sink.data), b"abc")
        sink.producer.resumeProducing()
        self.assertEqual(self.successResultOf(done), 6)
        self.assertEqual(bytes(sink.data), b"abcdef")

    def test_reads_are_large_during_a_body_only(self):
        """The size of a read follows what is being read."""
        self.transport.send(PUT % 10)
        self.body_of(self.requests[0])
        self.assertEqual(self.transport.bufferSize, LARGE_READ_BYTES)
        self.transport.send(b"0123456789")
        self.assertEqual(self.transport.bufferSize, SMALL_READ_BYTES)

    def test_reads_of_chunks_follow_their_size(self):
        """A body in chunks is read in small pieces until the chunks are seen to be large."""
        self.transport.send(b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.body_of(self.requests[0])
        self.assertEqual(self.transport.bufferSize, CRUMBS_READ_BYTES)
        self.transport.send(b"%x\r\n%s\r\n" % (4096, b"a" * 4096))
        self.assertEqual(self.transport.bufferSize, LARGE_READ_BYTES)
        self.transport.send(b"1\r\na\r\n" * 100)
        self.assertEqual(self.transport.bufferSize, CRUMBS_READ_BYTES)
        self.transport.send(b"0\r\n\r\n")
        self.assertEqual(self.transport.bufferSize, SMALL_READ_BYTES)

    def test_reads_share_a_bound(self):
        """The more bodies come at once, the smaller their reads."""
        clients = [MemoryClient(self.factory) for _ in range(80)]
        for client in clients:
            client.transport.send(PUT % 10)
        for request in self.requests:
            self.body_of(request)
        sizes = [client.transport.bufferSize for client in clients]
        self.assertEqual((sizes[0], sizes[-1]), (LARGE_READ_BYTES, SMALL_READ_BYTES))
        self.assertEqual(sizes, sorted(sizes, reverse=True))

    def test_reads_follow_the_number_of_bodies(self):
        """A body that came first reads less once there is another, and more again when it is alone."""
        clients = [MemoryClient(self.factory) for _ in range(2)]
        clients[0].transport.send(PUT % 10)
        self.body_of(self.requests[0])
        self.assertEqual(clients[0].transport.bufferSize, LARGE_READ_BYTES)
        clients[1].transport.send(PUT % 10)
        self.body_of(self.requests[1])
        clients[0].transport.send(b"0")
        self.assertEqual(clients[0].transport.bufferSize, SHARED_READ_BYTES)
        clients[1].transport.send(b"0123456789")
        clients[0].transport.send(b"1")
        self.assertEqual(clients[0].transport.bufferSize, LARGE_READ_BYTES)

    def test_limit_in_the_middle_of_a_chunked_body(self):
        """A body that declared nothing is stopped when it grows too large."""
        self.transport.send(b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.requests[0].body.limit_bytes = 5
        _, done = self.body_of(self.requests[0])
        self.transport.send(b"6\r\nabcdef\r\n")
        self.failureResultOf(done, BodyTooLarge)
        self.reply(self.requests[0], 413)
        reply = self.replies()[0]
        self.assertEqual((reply.status, reply.headers["connection"]), (413, "close"))

    def test_broken_chunk_framing(self):
        """Bad framing fails the body and ends the connection."""
        self.transport.send(b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        _, done = self.body_of(self.requests[0])
        self.transport.send(b"zz\r\n" + GET)
        self.failureResultOf(done, MalformedBody)
        self.reply(self.requests[0], 400)
        self.assertEqual([reply.status for reply in self.replies()], [400])
        self.assertEqual(len(self.requests), 1)

    def test_the_client_leaves(self):
        """A body whose client left fails, and nothing stays counted."""
        self.transport.send(PUT % 10 + b"abc")
        _, done = self.body_of(self.requests[0])
        self.transport.hang_up()
        self.failureResultOf(done, ClientGone)
        self.assertEqual(self.factory.bodies, 0)
        self.factory.access_log.flush()
        self.assertTrue(self.logged[-1]["aborted"])

    def test_the_consumer_gives_up(self):
        """A sink that stops gets no more bytes, and its user goes on at once."""
        self.transport.send(PUT % 1000 + b"abc")
        sink, done = self.body_of(self.requests[0])
        sink.producer.stopProducing()
        self.assertEqual(self.successResultOf(done), 3)
        self.transport.send(b"d" * 100)
        self.assertEqual(bytes(sink.data), b"abc")
        self.reply(self.requests[0], 507)
        self.assertEqual(self.replies()[0].status, 507)

    def test_the_consumer_raises(self):
        """An error of the consumer comes out of push_to()."""

        class Broken(Sink):
            def write(self, data):
                raise MalformedBody("no")

        self.transport.send(PUT % 3 + b"abc")
        _, done = self.body_of(self.requests[0], Broken())
        self.failureResultOf(done, MalformedBody)

    def test_read_all(self):
        """A small body in one piece, within its limit."""
        self.transport.send(PUT % 3 + b"abc")
        self.assertEqual(self.successResultOf(ensureDeferred(self.requests[0].body.read_all(3))), b"abc")
        self.start()
        self.transport.send(PUT % 4 + b"abcd")
        self.failureResultOf(ensureDeferred(self.requests[1].body.read_all(3)), BodyTooLarge)

    def test_twice_is_a_mistake(self):
        """A body is used once."""
        self.transport.send(PUT % 3 + b"abc")
        self.body_of(self.requests[0])
        self.failureResultOf(self.body_of(self.requests[0])[1], RuntimeError)


class EarlyRefusalTests(ChannelCase):
    """Replies before the body was read."""

    def test_the_reply_is_complete_and_the_rest_is_not_a_request(self):
        """What follows an early refusal is thrown away, whatever it looks like."""
        self.transport.send(PUT % 1000)
        self.reply(self.requests[0], 401)
        self.transport.send(GET * 10)
        self.assertEqual([reply.status for reply in self.replies()], [401])
        self.assertEqual(len(self.requests), 1)
        self.assertTrue(self.transport.is_half_closed)
        self.assertIsNone(self.transport.closed)

    def test_five_mebibytes_after_the_refusal_are_drained(self):
        """The connection is not reset while the client still sends."""
        self.transport.send(PUT % (5 << 20))
        self.reply(self.requests[0], 401)
        self.transport.send(b"x" * (5 << 20))
        self.assertEqual(self.transport.waiting_bytes, 0)
        self.assertIsNone(self.transport.closed)
        self.transport.hang_up()

    def test_draining_is_bounded_in_bytes(self):
        """A client that never stops is cut off."""
        self.start(drain_max_bytes=100_000)
        self.transport.send(PUT % (1 << 30))
        self.reply(self.requests[0], 401)
        self.transport.send(b"x" * 200_000)
        self.assertEqual(self.transport.closed, "done")

    def test_draining_is_bounded_in_time(self):
        """A client that neither sends nor closes is cut off."""
        self.transport.send(PUT % (1 << 30))
        self.reply(self.requests[0], 401)
        self.clock.advance(self.settings.drain_seconds)
        self.assertEqual(self.transport.closed, "done")

    def test_expecting_client_gets_no_interim_reply(self):
        """A refusal comes instead of the interim reply."""
        self.transport.send(PUT[:-2] % (10 << 30) + b"Expect: 100-continue\r\n\r\n")
        self.reply(self.requests[0], 401)
        self.assertEqual([reply.status for reply in self.replies()], [401])

    def test_every_malformed_head_ends_the_connection(self):
        """Each is answered once, completely, as JSON, and nothing after it is read."""
        for name, (text, status) in REFUSED.items():
            self.start()
            self.transport.send(text.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + GET)
            replies = self.replies()
            self.assertEqual([(reply.status, reply.is_complete) for reply in replies], [(status, True)], name)
            self.assertIn("request_id", json.loads(replies[0].body))
        self.assertEqual(self.requests, [])

    def test_bare_line_feeds_are_refused_at_once(self):
        """A client that ends its lines wrongly hears so, and does not wait for the deadline."""
        self.transport.send(b"GET / HTTP/1.1\nHost: x\n\n")
        self.assertEqual(self.replies()[0].status, 400)

    def test_a_head_too_large(self):
        """A head without an end is refused at its limit."""
        self.transport.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000)
        self.assertEqual(self.replies()[0].status, 431)


class DeadlineTests(ChannelCase):
    """Nobody holds a connection for nothing."""

    def test_no_request(self):
        """A connection without a request is closed."""
        self.clock.advance(15)
        self.assertTrue(self.transport.is_half_closed)
        self.clock.advance(10)
        self.assertEqual(self.transport.closed, "done")

    def test_a_slow_head(self):
        """A byte now and then does not move the deadline of the headers."""
        self.transport.send(b"GET / HTTP/1.1\r\n")
        for _ in range(14):
            self.clock.advance(1)
            self.transport.send(b"x")
        self.clock.advance(1)
        self.assertEqual(self.replies()[0].status, 408)

    def test_idle_between_requests(self):
        """A kept connection stays for the idle time and not longer."""
        self.answer = self.reply_at_once
        self.transport.send(GET)
        self.clock.advance(74)
        self.transport.send(GET)
        self.assertEqual(len(self.replies()), 2)
        self.clock.advance(76)
        self.assertTrue(self.transport.is_half_closed)

    def test_a_slow_body(self):
        """A body below the least rate fails."""
        self.transport.send(PUT % 1_000_000)
        _, done = self.body_of(self.requests[0])
        for _ in range(29):
            self.clock.advance(1)
            self.transport.send(b"x" * 1000)
        self.clock.advance(1)
        self.failureResultOf(done, BodyTooSlow)

    def test_a_steady_body(self):
        """A body above the least rate goes on."""
        self.transport.send(PUT % 1_000_000)
        _, done = self.body_of(self.requests[0])
        for _ in range(100):
            self.clock.advance(1)
            self.transport.send(b"x" * 1100)
        self.assertNoResult(done)
        self.transport.hang_up()
        self.failureResultOf(done)

    def test_our_own_pause_does_not_count(self):
        """A client is not blamed for a slow disk."""
        self.transport.send(PUT % 1_000_000)
        sink, done = self.body_of(self.requests[0])
        sink.producer.pauseProducing()
        self.clock.pump([10] * 60)
        self.assertNoResult(done)
        self.transport.hang_up()
        self.failureResultOf(done)

    def test_a_pause_before_anything_is_read_does_not_count(self):
        """Nor for whoever takes the body being late; afterwards the client has to keep the pace."""

        class Late(Sink):
            def registerProducer(self, producer, streaming):
                super().registerProducer(producer, streaming)
                producer.pauseProducing()

        self.transport.send(PUT % 1_000_000)
        sink, done = self.body_of(self.requests[0], Late())
        self.clock.advance(29)
        sink.producer.resumeProducing()
        self.transport.send(b"x" * 1000)
        self.clock.advance(1)
        self.assertNoResult(done)
        self.clock.advance(30)
        self.failureResultOf(done, BodyTooSlow)

    def test_a_body_has_an_end(self):
        """However steady, a body is over in time."""
        self.start(max_body_seconds=60)
        self.transport.send(PUT % 10_000_000)
        _, done = self.body_of(self.requests[0])
        for _ in range(60):
            self.clock.advance(1)
            self.transport.send(b"x" * 2000)
        self.failureResultOf(done, BodyTooSlow)

    def test_a_stalled_reader_is_cut(self):
        """Who takes nothing of a reply is cut."""
        self.transport.stalls = True
        self.transport.send(GET)
        self.requests[0].write(b"x" * 100_000)
        self.clock.advance(60)
        self.assertEqual(self.transport.closed, "aborted")

    def test_a_slow_reader_is_not_cut(self):
        """Who takes a little at a time is not cut, even after the reply was handed over."""
        self.transport.stalls = True
        self.transport.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        self.reply(self.requests[0], body=b"x" * 100_000)
        for _ in range(20):
            self.clock.advance(30)
            self.transport.take(1000)
        self.assertIsNone(self.transport.closed)
        self.transport.take()
        self.clock.pump([60] * 3)
        self.assertEqual(self.transport.closed, "done")
        self.assertTrue(self.replies()[0].is_complete)

    def test_what_is_malformed_has_an_id_too(self):
        """By which it is found in the log."""
        self.transport.send(b"nonsense\r\n\r\n")
        self.factory.access_log.flush()
        (line,) = self.logged
        self.assertIn(b"X-Request-Id: " + line["request_id"].encode(), self.transport.received)

    def test_no_timer_outlives_its_connection(self):
        """Whatever a connection was doing, its timers end with it."""
        self.transport.send(PUT % 100 + b"x")
        _, done = self.body_of(self.requests[0])
        self.transport.hang_up()
        self.failureResultOf(done)
        self.factory.access_log.flush()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CountingTests(ChannelCase):
    """All connections together."""

    def test_too_many_connections_of_one_address(self):
        """One address cannot take all, and hears why."""
        self.start(max_connections_per_address=2)
        MemoryClient(self.factory)
        third = MemoryClient(self.factory)
        reply = parse_replies(bytes(third.transport.received))[0]
        self.assertEqual((reply.status, reply.headers["retry-after"]), (503, "2"))
        self.factory.access_log.flush()
        (line,) = self.logged
        self.assertEqual((line["status"], line["refused"]), (503, "too many connections"))
        self.assertIn(line["request_id"].encode(), reply.body)
        self.assertEqual(reply.headers["x-request-id"], line["request_id"])
        other = MemoryClient(self.factory, "192.0.2.9")
        self.assertEqual(bytes(other.transport.received), b"")

    def test_too_many_connections_of_one_network(self):
        """Whoever has an IPv6 network has not one address after the other's share."""
        self.start(max_connections_per_address=2)
        clients = [MemoryClient(self.factory, f"2001:db8::{number}") for number in (1, 2, 3)]
        self.assertEqual([bool(client.transport.received) for client in clients], [False, False, True])
        other = MemoryClient(self.factory, "2001:db8:0:1::1")
        self.assertEqual(bytes(other.transport.received), b"")
        clients[0].transport.hang_up()
        self.assertEqual(bytes(MemoryClient(self.factory, "2001:db8::4").transport.received), b"")

    def test_a_closed_connection_makes_room(self):
        """The count goes down again."""
        self.start(max_connections=1)
        self.transport.hang_up()
        again = MemoryClient(self.factory)
        self.assertEqual(bytes(again.transport.received), b"")

    def test_drain_waits_for_the_running_request(self):
        """Idle connections close soon, busy ones after their reply."""
        busy = MemoryClient(self.factory)
        busy.transport.send(GET)
        drained = ensureDeferred(self.factory.drain(30))
        self.assertFalse(self.transport.is_half_closed)
        self.clock.advance(PARTING_SECONDS)
        self.assertTrue(self.transport.is_half_closed)
        self.transport.hang_up()
        self.assertNoResult(drained)
        self.reply(self.requests[0])
        reply = parse_replies(bytes(busy.transport.received))[0]
        self.assertEqual(reply.headers["connection"], "close")
        busy.transport.hang_up()
        self.successResultOf(drained)

    def test_drain_answers_who_asks_just_then(self):
        """A request that crosses the end of its connection is answered, and told that it was the last."""
        self.answer = self.reply_at_once
        drained = ensureDeferred(self.factory.drain(30))
        self.transport.send(GET)
        reply = parse_replies(bytes(self.transport.received))[0]
        self.assertEqual(reply.headers["connection"], "close")
        self.assertTrue(self.transport.is_half_closed)
        self.transport.hang_up()
        self.successResultOf(drained)

    def test_drain_ends(self):
        """What does not finish in time is cut."""
        self.transport.send(GET)
        drained = ensureDeferred(self.factory.drain(30))
        self.clock.advance(30)
        self.successResultOf(drained)
        self.assertEqual(self.transport.closed, "aborted")

    def test_the_log_holds_no_query(self):
        """Tokens in a query never reach the log."""
        self.answer = self.reply_at_once
        self.transport.send(b"GET /x?private_token=secret HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n")
        self.factory.access_log.flush()
        self.assertNotIn("secret", repr(self.logged))
        self.assertEqual(self.logged[0]["path"], "/x")

    def test_the_log_holds_no_token(self):
        """Some clients have theirs in the path; of that the log has the part that may be known."""
        self.answer = self.reply_at_once
        for kind in TokenKind:
            self.logged.clear()
            minted = mint(kind)
            for shown in (minted.secret, minted.secret.replace("_", "%5F"), "%70" + minted.secret[1:]):
                self.logged.clear()
                self.transport.send(f"GET /-/user/token/{shown}/x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                self.factory.access_log.flush()
                self.assertNotIn(minted.secret[-49:], repr(self.logged))
                self.assertTrue(self.logged[0]["path"].endswith(f"_{minted.public_id}_.../x"), self.logged)


class TurnTests(ChannelCase):
    """How much of a body is handed over in one turn of the reactor."""

    def turns(self, sink):
        """Let turns pass; returns how many bytes the sink got at once, each time."""
        self.clock.advance(0)
        return sink.sizes

    def test_what_the_consumer_wants(self):
        """A consumer that has much to do gets the rest in later turns, and in order; then what follows is read."""
        self.transport.send(PUT % 10 + b"0123456789" + GET)
        request = self.requests[0]
        request.body.turn_bytes = 4
        sink, done = self.body_of(request)
        self.assertEqual(sink.sizes, [4])
        self.assertEqual(self.turns(sink), [4, 4, 2])
        self.assertEqual((bytes(sink.data), self.successResultOf(done)), (b"0123456789", 10))
        self.reply(request)
        self.assertEqual(len(self.requests), 2)

    def test_bytes_that_come_meanwhile(self):
        """They wait behind those that came before."""
        self.transport.send(PUT % 10 + b"01234")
        self.requests[0].body.turn_bytes = 3
        sink, done = self.body_of(self.requests[0])
        self.transport.send(b"56789")
        self.turns(sink)
        self.assertEqual((bytes(sink.data), self.successResultOf(done)), (b"0123456789", 10))

    def test_the_consumer_changes_its_mind(self):
        """Without a wish all that came is handed over."""
        self.transport.send(PUT % 10 + b"0123456789")
        body = self.requests[0].body
        body.turn_bytes = 2
        sink, _ = self.body_of(self.requests[0])
        body.turn_bytes = None
        self.assertEqual(self.turns(sink), [2, 8])

    def test_crumbs(self):
        """Thousands of tiny chunks are decoded over several turns, big ones at once."""
        head = b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.transport.send(head + b"1\r\nx\r\n" * 8000 + b"0\r\n\r\n")
        sink, done = self.body_of(self.requests[0])
        sizes = self.turns(sink)
        self.assertEqual(self.successResultOf(done), 8000)
        self.assertLessEqual(max(sizes), CRUMBS_READ_BYTES // 6 + 1)
        self.reply(self.requests[0])
        self.transport.send(head + b"9c40\r\n" + b"x" * 40000 + b"\r\n0\r\n\r\n")
        sink, _ = self.body_of(self.requests[1])
        self.assertEqual(sink.sizes, [40000])

    def test_lines_of_a_text_are_no_chunks(self):
        """A body in few chunks is taken in one turn, however many lines it has."""
        text = b"a line\r\n" * 8000
        self.transport.send(b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        sink, done = self.body_of(self.requests[0])
        chunk = b"%x\r\n%b\r\n" % (len(text), text)
        for some in (chunk, chunk + b"0\r\n\r\n" + GET):  # reads grow with the first one
            self.transport.send(some)
        self.assertEqual((self.successResultOf(done), bytes(sink.data)), (2 * len(text), text * 2))
        self.reply(self.requests[0])
        self.assertEqual(len(self.requests), 2)

    def test_what_waits_for_a_turn_is_bounded(self):
        """Past one read nothing more is taken before the consumer had its turns, and all of it arrives."""
        in_hand = []

        transport = self.transport

        class Watching(Sink):
            def write(self, data):
                super().write(data)
                in_hand.append((4 << 20) - transport.waiting_bytes - len(self.data))

        transport.send(PUT % (4 << 20))
        self.requests[0].body.turn_bytes = 1 << 16
        sink, done = self.body_of(self.requests[0], Watching())
        transport.send(bytes(4 << 20))
        self.turns(sink)
        self.assertEqual(self.successResultOf(done), 4 << 20)
        self.assertLess(max(in_hand), LARGE_READ_BYTES + PIPELINE_BYTES)

    def test_body_ends_within_the_first_turn(self):
        """What lies behind it is the next request, even if the reply is out before it was kept."""
        self.transport.send(PUT % 3)
        request = self.requests[0]
        request.body.turn_bytes = 10
        _, done = self.body_of(request)
        done.addCallback(lambda _: self.reply(request))
        self.transport.send(b"abc" + GET)
        self.successResultOf(done)
        self.assertEqual([request.method for request in self.requests], [b"PUT", b"GET"])

    def test_client_leaves_between_turns(self):
        """What was kept is dropped with the connection."""
        self.transport.send(PUT % 10 + b"0123456789")
        self.requests[0].body.turn_bytes = 4
        sink, done = self.body_of(self.requests[0])
        self.transport.hang_up()
        self.failureResultOf(done, ClientGone)
        self.assertEqual(self.turns(sink), [4])


class RealTransportTests(ChannelCase):
    """A connection over TCP, whose reactor does nothing by itself."""

    def setUp(self):
        """Connect two sockets, and the server's to a channel."""
        super().setUp()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.theirs = socket.create_connection(listening.getsockname())
            self.addCleanup(self.theirs.close)
            ours, address = listening.accept()
        ours.setblocking(False)
        self.theirs.settimeout(10)
        self.reactor = MemoryReactorClock()
        self.channel = self.factory.buildProtocol(IPv4Address("TCP", *address))
        self.channel.makeConnection(Server(ours, self.channel, address, None, 0, self.reactor))

    def test_nothing_follows_a_torn_reply(self):
        """The reply to the next request must not pass for the rest of a file that was cut short."""
        self.answer = self.requests.append
        self.channel.dataReceived(GET + GET)
        torn = self.requests[0]
        torn.begin(200, [(b"Content-Length", b"1000")], b"torn")
        self.channel.abort()
        torn.finish()
        for request in self.requests[1:]:
            self.reply(request)
        self.reactor.advance(0)
        self.assertEqual(self.theirs.recv(10_000).partition(b"\r\n\r\n")[2], b"torn")
        with self.assertRaises(ConnectionResetError):
            self.theirs.recv(10_000)

    def test_a_body_waits_for_its_turn(self):
        """While a body comes in, the connection reads after all else; before and behind it, and paused, it does not."""
        transport = self.channel.transport
        self.theirs.sendall(PUT % 300_000)
        transport.doRead()
        sink, done = self.body_of(self.requests[0])
        self.theirs.sendall(bytes(100_000))
        transport.doRead()
        self.assertEqual(sink.data, b"")
        self.channel.pause_body()
        self.clock.advance(0)
        self.assertEqual(sink.data, b"")
        self.channel.resume_body()
        transport.doRead()
        self.clock.advance(0)
        self.assertEqual(len(sink.data), 100_000)
        self.theirs.sendall(bytes(200_000))
        while not done.called:
            transport.doRead()
            self.clock.advance(0)
        self.reply(self.requests[0])
        self.theirs.sendall(GET)
        transport.doRead()
        self.assertEqual(len(self.requests), 2)


class PinnedNameTests(SynchronousTestCase):
    """Names of Twisted that we use without being promised them."""

    def test_transport_attributes(self):
        """TCP transports hold unsent bytes where we count them, and read as much as we say."""
        transport = FileDescriptor(Clock())
        for name in ("bufferSize", "dataBuffer", "_tempDataLen", "offset"):
            self.assertTrue(hasattr(transport, name), name)

    def test_what_small_replies_need(self):
        """A TCP connection writes at once when asked, as much as we say, and tells how much that was."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        transport = Connection(ours, None, Clock())
        self.addCleanup(ours.close)
        self.assertEqual((held_bytes(transport), transport.connected, transport.disconnecting), (0, 0, False))
        self.assertEqual(transport.writeSomeData(b"hello"), 5)
        self.assertEqual(theirs.recv(10), b"hello")
        transport.SEND_LIMIT = 2
        self.assertEqual(transport.writeSomeData(b"hello"), 2)
        transport.SEND_LIMIT = 1 << 20
        while transport.writeSomeData(bytes(1 << 20)):
            pass
        theirs.close()
        self.assertIsInstance(transport.writeSomeData(b"hello"), Exception)

    def test_what_lending_the_socket_needs(self):
        """A connection that says its producer is paused, and wants to write nothing, resumes it when it could."""
        clock = Clock()
        clock.addWriter = clock.removeWriter = lambda transport: None
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        self.addCleanup(ours.close)
        transport = Connection(ours, None, clock)
        self.assertEqual(transport.fileno(), ours.fileno())
        told = []
        producer = SimpleNamespace(resumeProducing=lambda: told.append("resume"))
        transport.registerProducer(producer, True)
        transport.doWrite()
        self.assertEqual(told, [])
        transport.producerPaused = True
        transport.startWriting()
        self.assertIsNone(transport.doWrite())
        self.assertEqual((told, transport.producerPaused), (["resume"], False))

    def test_memory_transport_has_them_too(self):
        """The stand-in is measured the same way."""
        transport = MemoryTransport()
        self.assertEqual((transport.bufferSize, len(transport.dataBuffer), transport.offset), (65536, 0, 0))
