"""Requests that are refused before anybody looks at who sends them."""

from __future__ import annotations

import re

from pkgregd import errors
from pkgregd.http.callers import Callers, LooksAt
from pkgregd.testing.client import MemoryClient, parse_replies
from pkgregd.testing.measures import KeptMeasures
from pkgregd.values import Rate, Reply, Verdict
from tests.http.front import BASE, FrontCase

REFUSED = Verdict("packages", Rate(1000, 15), 0, 15.0, 1.2, "user:1")
PATH = BASE + "/n/f"
VARYING = re.compile(
    rb"(?<=X-Request-Id: )\w+|(?<=\"request_id\": \")\w+|(?<=Date: )[^\r]+|(?<=Reset: )\d+|(?<=Time: )[^\r]+"
)


class DoorstepTests(FrontCase):
    """What a caller gets whose budget is spent."""

    pages = {"/help": "help"}

    def make_page(self, text):
        """Make what answers for a page."""

        async def answer():
            return Reply(200, text.encode(), "text/plain")

        return answer

    def raw(self, method, path=PATH, **headers):
        """Send a request, and return the bytes of its answer."""
        self.client.request(method, path, headers)
        return VARYING.sub(b"x", bytes(self.client.transport.received))

    def test_the_same_bytes(self):
        """The answer is that of a request too many which was looked at, whatever was asked."""
        early_late = []
        for foretold in (REFUSED, None):
            self.world.foretold, self.world.verdict = foretold, REFUSED
            early_late.append(
                [
                    self.raw("GET"),
                    self.raw("HEAD"),
                    self.raw("PUT", **{"Content-Length": "9"}),
                    self.raw("GET", "/help"),
                ]
            )
        early, late = early_late
        self.assertEqual(early, late)
        for answer in early:
            self.assertTrue(answer.startswith(b"HTTP/1.1 429 Too Many Requests - too many requests: try again in 2"))
            self.assertIn(b"RateLimit-Remaining: 0\r\n", answer)
            self.assertIn(b"Retry-After: 2\r\n", answer)

    def test_nobody_is_asked(self):
        """Neither who it is nor what is there."""
        self.world.foretold = REFUSED
        self.assertEqual(self.get(PRIVATE_TOKEN="x").status, 429)
        self.assertEqual(self.put(10).status, 429)
        world = self.world
        self.assertEqual(
            (world.headers_seen, world.asked, world.foreseen, world.admitted, self.calls), ([], [], [], [], [])
        )

    def test_it_is_logged(self):
        """As every refusal is; who it was is not known."""
        lines = []
        self.factory.access_log._log = self
        self.info = lambda format, **fields: lines.extend(fields["requests"])
        self.world.foretold = REFUSED
        self.get(PRIVATE_TOKEN="x")
        self.factory.access_log.flush()
        (line,) = lines
        self.assertEqual((line["status"], line["error"], line["aborted"]), (429, "rate_limited", False))
        self.assertTrue(line["route"].endswith("/toy/<segment:name>/<path:file>"), line["route"])
        self.assertNotIn("principal", line)

    def test_a_broken_limiter(self):
        """Its bug is answered with 500, and whoever asks next over the connection is answered, too."""
        self.world.foretell = None
        self.factory._measures = self.measures = KeptMeasures()
        client = MemoryClient(self.factory)
        client.transport.send(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 6)
        self.factory.clock.advance(0)
        self.assertEqual([reply.status for reply in parse_replies(bytes(client.transport.received))], [500] * 6)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 6)
        refusals = {refusal for *_, refusal, is_known in self.measures.requests}
        self.assertEqual(refusals, {"internal_error"})

    def test_what_no_limit_is_for(self):
        """Whether it lives, and what is nowhere, is told to everybody."""
        self.world.foretold = REFUSED
        self.assertEqual(self.client.request("GET", "/-/livez").status, 200)
        self.assertEqual(self.client.request("GET", "/nowhere").status, 404)
        self.assertEqual(self.world.callers, [])

    def test_a_token_in_the_query(self):
        """Its bearer is told every time that it does not belong there."""
        self.world.foretold = REFUSED
        self.assertEqual(self.get("/n/f?private_token=x").status, 400)
        self.assertEqual(self.get("/n/f?a=%41").status, 429)
        self.assertEqual(self.client.request("GET", "/help?private_token=x").status, 429)

    def test_a_caller_is_known_again(self):
        """What is remembered of a request is what the next one is asked for by."""
        remembered = []
        admit, failure = self.world.admit, self.world.admit_failure

        def remember(*arguments):
            remembered.append(arguments[-1]())
            return admit(*arguments)

        def remember_failure(address, caller):
            remembered.append(caller())
            return failure(address)

        self.world.admit, self.world.admit_failure = remember, remember_failure
        self.get(PRIVATE_TOKEN="x")
        self.client.request("POST", BASE + "/-/sign-in", {"PRIVATE-TOKEN": "x"})
        self.client.request("GET", "/help", {"PRIVATE-TOKEN": "x"})
        self.world.credential_error = errors.InvalidCredentials()
        self.get(PRIVATE_TOKEN="y")
        self.assertEqual(remembered, self.world.callers)
        signed_in, page = remembered[1:3]
        self.assertEqual((signed_in, len(set(remembered))), (page, 3))


class HeldTests(FrontCase):
    """Refusals that are kept back."""

    def setUp(self):
        """Have them kept back for half a second."""
        super().setUp()
        self.clock = self.factory.clock
        self.world.held_seconds = 0.5

    def ask(self, *requests):
        """Send requests over one connection."""
        self.client = MemoryClient(self.factory)
        heads = [f"{request}\r\nHost: registry.test\r\n" for request in requests]
        self.client.transport.send("".join(head + "\r\n" for head in heads).encode())

    def statuses(self):
        """Return what has been answered."""
        return [reply.status for reply in parse_replies(bytes(self.client.transport.received))]

    def each_way(self):
        """Refuse on the doorstep, and behind it."""
        for foretold in (REFUSED, None):
            self.world.foretold, self.world.verdict = foretold, REFUSED
            yield

    def test_late(self):
        """The answer comes later, nothing is read meanwhile, and then all goes on."""
        for _ in self.each_way():
            self.ask(f"GET {PATH} HTTP/1.1")
            self.clock.advance(0.49)
            self.assertEqual((self.statuses(), self.client.transport.is_reading), ([], False))
            self.clock.advance(0.02)
            self.assertEqual((self.statuses(), self.client.transport.is_reading), ([429], True))
            self.world.foretold = self.world.verdict = None
            self.client.transport.send(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            self.assertEqual(self.statuses(), [429, 200])

    def test_one_behind_the_other(self):
        """A connection that does not wait for its answers gets one after each wait."""
        for _ in self.each_way():
            self.ask(*[f"GET {PATH} HTTP/1.1"] * 3)
            for count in range(4):
                self.assertEqual(self.statuses(), [429] * count)
                self.clock.advance(0.51)

    def test_a_body(self):
        """Nothing of a body is read."""
        for _ in self.each_way():
            self.ask(f"PUT {PATH} HTTP/1.1\r\nContent-Length: 100")
            self.client.transport.send(b"x" * 50)
            self.assertFalse(self.client.transport.is_reading)
            self.clock.advance(0.51)
            self.assertEqual(self.statuses(), [429])

    def test_the_client_leaves(self):
        """Nobody is answered, and no timer of the wait stays."""
        for _ in self.each_way():
            self.ask(f"GET {PATH} HTTP/1.1")
            self.client.transport.hang_up()
            self.clock.advance(1)
            self.assertEqual(self.statuses(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_the_client_of_an_upload_leaves(self):
        """As well."""
        for _ in self.each_way():
            self.ask(f"PUT {PATH} HTTP/1.1\r\nContent-Length: 100")
            self.client.transport.hang_up()
            self.clock.advance(1)
            self.assertEqual(self.statuses(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_the_daemon_stops(self):
        """The one that waits is answered, and its connection ends."""
        for _ in self.each_way():
            self.ask(f"GET {PATH} HTTP/1.1")
            self.factory.is_draining = True
            self.clock.advance(0.51)
            self.assertEqual(self.statuses(), [429])
            self.assertIn(b"Connection: close\r\n", self.client.transport.received)
            self.factory.is_draining = False


class CallerTests(FrontCase):
    """What makes two callers one."""

    def digest(self, headers=None, looks_at=LooksAt.TOKEN, target=PATH, address="192.0.2.1", *, accepts_query=False):
        """Return the digest of a request."""
        seen = []
        serve, self.factory.serve = self.factory.serve, seen.append
        client = MemoryClient(self.factory, address)
        client.request("GET", target, headers or {})
        self.factory.serve = serve
        self.callers.setdefault(accepts_query, Callers(accepts_query=accepts_query))
        return self.callers[accepts_query].digest(seen[0], looks_at)

    def setUp(self):
        """Begin with a salt of its own."""
        super().setUp()
        self.callers = {}

    def test_what_is_shown(self):
        """All of each credential counts, with the header it is in; nothing else does."""
        known = self.digest({"PRIVATE-TOKEN": "a"})
        self.assertEqual(self.digest({"private-token": "a", "Accept": "x"}, target="/x?y"), known)
        others = [
            {},
            {"PRIVATE-TOKEN": "b"},
            {"PRIVATE-TOKEN": "a" * 3000},
            {"PRIVATE-TOKEN": "a" * 3000 + "b"},
            {"JOB-TOKEN": "a"},
            {"PRIVATE-TOKEN": "a", "JOB-TOKEN": "a"},
            {"Authorization": "Bearer a"},
            {"Authorization": "Basic YTpi"},
            {"X-NuGet-ApiKey": "a"},
        ]
        found = {self.digest(headers) for headers in others}
        self.assertEqual(len(found | {known}), len(others) + 1)
        self.assertNotEqual(self.digest({"PRIVATE-TOKEN": "a"}, address="192.0.2.2"), known)
        self.assertNotEqual(self.digest({"PRIVATE-TOKEN": "a"}, LooksAt.TOKEN_AND_NAME), known)

    def test_borders(self):
        """What is moved from one part to the next makes another caller."""
        self.assertNotEqual(
            self.digest({"PRIVATE-TOKEN": "ajob-token", "JOB-TOKEN": "b"}),
            self.digest({"PRIVATE-TOKEN": "a", "JOB-TOKEN": "job-tokenb"}),
        )

    def test_where_nothing_is_looked_at(self):
        """The address is all."""
        known = self.digest({}, LooksAt.NOTHING)
        self.assertEqual(self.digest({"PRIVATE-TOKEN": "a"}, LooksAt.NOTHING), known)
        self.assertNotEqual(self.digest({}, LooksAt.NOTHING, address="192.0.2.2"), known)

    def test_the_query(self):
        """Tokens in it count where they are taken."""
        for accepts_query in (False, True):
            one, two = (
                self.digest(target=PATH + query, accepts_query=accepts_query)
                for query in ("?private_token=a", "?private_token=b")
            )
            self.assertEqual(one != two, accepts_query)

    def test_processes_differ(self):
        """Nobody can tell from a digest of one what it would be in another."""
        known = self.digest()
        self.callers.clear()
        self.assertNotEqual(self.digest(), known)
