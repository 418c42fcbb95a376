"""From bytes on a connection to a handler and back: guards, errors, replies."""

import datetime
import json

from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pkgregd import errors
from pkgregd.http.front import make_factory, mounts
from pkgregd.http.replies import attachment
from pkgregd.http.settings import FrontSettings
from pkgregd.interfaces import (
    IAccessPolicy,
    IAccounts,
    IAuthenticator,
    IBlobSource,
    ICall,
    IPackageFormat,
    IRemotes,
    IRequestBody,
    IRequestLimits,
)
from pkgregd.testing.client import MemoryClient, parse_replies
from pkgregd.values import (
    ANONYMOUS,
    UNTOLD,
    AccountPermission,
    BlobInfo,
    ByteRange,
    Digest,
    FormatLimits,
    Incoming,
    IndexLookup,
    Level,
    Page,
    PageBody,
    Permission,
    Principal,
    Rate,
    Reply,
    Role,
    Route,
    Scope,
    Settings,
    StreamBody,
    TokenKind,
    Verdict,
    Visibility,
)

CONTENT = bytes(range(256)) * 4
MODIFIED = datetime.datetime(2026, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)
BASE = "/api/v4/projects/7/packages/toy"
LIMITS = FormatLimits(max_file_bytes=1000)


@implementer(IBlobSource)
class Source:
    """A source over bytes, in pieces."""

    opened = 0

    def __init__(self, content, fails=False):
        self.content = content
        self.info = BlobInfo(Digest.sha256("0" * 64), len(content), "x")
        self.size_bytes = len(content)
        self.fails = fails
        self.producer_calls = []
        self.may_redirect = False
        self.shared_path = None
        self.url = None
        Source.opened += 1

    def redirect_url(self, content_type, disposition):
        """What the test says."""
        return self.url

    async def push_to(self, consumer):
        """Write all."""
        consumer.registerProducer(self, True)
        try:
            for start in range(0, len(self.content), 100):
                if self.fails and start:
                    raise errors.BlobMissing("gone")
                consumer.write(self.content[start : start + 100])
        finally:
            consumer.unregisterProducer()
        return len(self.content)

    def pauseProducing(self):
        """Take note."""
        self.producer_calls.append("pause")

    def resumeProducing(self):
        """Take note."""
        self.producer_calls.append("resume")

    def stopProducing(self):
        """Take note."""
        self.producer_calls.append("stop")

    def open_seekable(self):
        """Not used here."""
        raise AssertionError

    async def close(self):
        """Count."""
        Source.opened -= 1


def foresee(arguments):
    """Foresee a look at an index, unless the name is bad."""
    if arguments["name"] == "bad":
        raise errors.InvalidName("bad")
    return IndexLookup(arguments["name"])


def owner_of(arguments):
    """Tell the group of a name such as `acme-x`."""
    owner, dash, _ = arguments["name"].partition("-")
    if not dash:
        raise errors.InvalidName("names of the instance begin with their group")
    return owner


@implementer(IPackageFormat)
class ToyFormat:
    """A format whose handlers are set by the tests."""

    name = "toy"
    title = "Toy"
    default_limits = FormatLimits(max_file_bytes=1000)
    challenge = 'Basic realm="toy"'

    def __init__(self, case):
        self.case = case

    def canonical_name(self, name):
        """Leave it."""
        return name

    def canonical_pattern(self, pattern):
        """Leave it."""
        return pattern

    def routes(self):
        """Some of each kind."""
        everywhere = frozenset({Level.PROJECT, Level.GROUP, Level.INSTANCE})
        return (
            Route(
                ("GET",),
                "/<segment:name>/<path:file>",
                Permission.READ_PACKAGE,
                self.case.handle,
                everywhere,
                foresee=foresee,
                owner=owner_of,
            ),
            Route(
                ("POST",),
                "/odd/<segment:f>/<segment:self>/<segment:request>",
                Permission.READ_PACKAGE,
                self.case.handle,
            ),
            Route(("GET",), "/<segment:name>/<path:dir>/", Permission.READ_PACKAGE, self.case.list_directory),
            Route(
                ("PUT",),
                "/<segment:name>/<path:file>",
                Permission.CREATE_PACKAGE,
                self.case.handle,
                check=self.case.check,
            ),
            Route(("POST",), "/-/sign-in", AccountPermission.SIGN_IN, self.case.handle, frozenset(Level)),
            Route(("POST",), "/-/tokens", AccountPermission.MANAGE_TOKENS, self.case.handle, frozenset(Level)),
        )

    def render_error(self, refusal):
        """Dress one error."""
        if refusal.code == "file_exists":
            return Reply(400, b"taken", "text/plain")
        return None


@frozen
class Remote:
    """What tells whose remote a handler got."""

    format: str
    scope_id: int
    limits: FormatLimits = LIMITS


@implementer(IAuthenticator, IAccessPolicy, IRequestLimits, IRemotes, IAccounts)
class World:
    """Everything around the front, commanded by the test."""

    def __init__(self):
        self.headers_seen = []
        self.principal = Principal("alice", TokenKind.PERSONAL, 1, 1)
        self.credential_error = None
        self.demand_error = None
        self.limit_error = None
        self.failures = []
        self.admitted = []
        self.given_back = []
        self.verdict = None
        self.foretold = None
        self.held_seconds = 0.0
        self.callers = []
        self.failure_verdict = Verdict("failed", Rate(30, 60), 29, 2.0, None)
        self.scope = Scope(Level.PROJECT, 7, "acme/tools", Visibility.PRIVATE)
        self.asked = []
        self.foreseen = []
        self.levels = []
        self.incoming = []

    async def authenticate(self, headers, reads, *, is_strict=False):
        """Answer as commanded."""
        self.headers_seen.append(dict(headers))
        if self.credential_error:
            raise self.credential_error
        return self.principal if headers else ANONYMOUS

    def permits(self, principal, permission, scope):
        """Not used here."""
        raise AssertionError

    def sees(self, principal, scope):
        """Not used here."""
        raise AssertionError

    def demand(self, principal, permission, scope, level):
        """Answer as commanded."""
        self.asked.append((principal.name, permission, scope))
        self.levels.append(level)
        if self.demand_error:
            raise self.demand_error

    def demand_account(self, principal, permission):
        """Answer as commanded."""
        self.asked.append((principal.name, permission))
        if self.demand_error:
            raise self.demand_error

    def account(self, principal, address):
        """Make something to recognise."""
        return ("account", principal.name, address)

    async def find_scope(self, level, ident, user_id):
        """Answer as commanded."""
        self.asked.append((level, ident, user_id))
        path = ident.lower() if isinstance(ident, str) else "acme/tools"
        return self.scope and evolve(self.scope, level=level, path=path)

    def admit(self, path, principal, address, routes, cost=1.0, caller=None):
        """Answer as commanded."""
        self.admitted.append((path, principal.name, address, routes, cost))
        if self.limit_error:
            raise self.limit_error
        return self.verdict

    def foretell(self, path, caller, routes, cost=1.0):
        """Answer as commanded, and take note of who asks."""
        self.callers.append(caller())
        return self.foretold

    def hold_seconds(self, verdict):
        """Answer as commanded."""
        return self.held_seconds

    def give_back(self, verdict, cost):
        """Take note."""
        self.given_back.append((verdict, cost))

    def admit_failure(self, address, caller=None):
        """Take note."""
        self.failures.append(address)
        return self.failure_verdict

    def foreseeing(self, foresight):
        """Keep what is foreseen."""
        self.foreseen.append(foresight)
        return self

    def remote(self, format, scope, principal, reads=None, incoming=UNTOLD):
        """Make something to recognise."""
        self.incoming.append(incoming)
        return Remote(format.name, scope.id, scope.settings.limits(format.name, format.default_limits))


class FrontCase(SynchronousTestCase):
    """A front over a commanded world."""

    pages = {}

    def setUp(self):
        """Put it together."""
        self.world = World()
        self.calls = []
        self.checks = []
        self.result = Reply(200, b"hello", "text/plain")
        self.check_error = None
        self.reasons = []
        toy = ToyFormat(self)
        self.format = toy
        self.factory = make_factory(
            Clock(),
            formats=[toy],
            limits_by_format={"toy": toy.default_limits},
            authenticator=self.world,
            policy=self.world,
            catalog=self.world,
            remotes=self.world,
            accounts=self.world,
            request_limits=self.world,
            readiness=lambda: succeed(self.reasons),
            external_url="https://registry.test/",
            settings=FrontSettings(),
            pages={path: self.make_page(text) for path, text in self.pages.items()},
        )
        self.client = MemoryClient(self.factory)

    async def handle(self, call):
        """Be the handler."""
        self.calls.append(call)
        if isinstance(self.result, Exception):
            raise self.result
        if callable(self.result):
            return await self.result(call)
        return self.result

    async def list_directory(self, call):
        """Be another handler."""
        return Reply(200, b"list of " + call.arguments["dir"].encode())

    async def check(self, call):
        """Be the check before the body."""
        self.checks.append(call)
        if self.check_error:
            raise self.check_error

    def get(self, path="/n/f", **headers):
        """GET below the toy format."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request("GET", BASE + path, fields)

    def put(self, length, path="/n/f", **headers):
        """PUT the headers only."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request("PUT", BASE + path, {"Content-Length": str(length), **fields})


class InterfaceTests(FrontCase):
    """What handlers are given keeps its promise."""

    def test_call_and_body(self):
        """The call and its body provide their interfaces."""
        self.get()
        verifyObject(ICall, self.calls[0])
        verifyObject(IRequestBody, self.calls[0].body)

    def test_every_route_has_a_permission(self):
        """No rule is mounted without one."""
        for rule, mount in mounts([self.format], {"toy": self.format.default_limits}):
            self.assertIsInstance(mount.route.permission, Permission | AccountPermission, rule)


class PublicPageTests(FrontCase):
    """Pages that need no right."""

    pages = {"/help": "help", "/help/": "list", "/help/a.b": "page"}

    def make_page(self, text):
        """Make what answers for a page."""

        async def answer():
            if isinstance(self.result, Exception):
                raise self.result
            return Reply(200, text.encode(), "text/plain", etag=text)

        return answer

    def test_each_path_is_its_own(self):
        """What is mounted is found, by its whole path only."""
        for path, text in self.pages.items():
            self.assertEqual(self.client.request("GET", path).body, text.encode())
        for path in ("/help/a.b/", "/help//", "/help/axb", "/help/a%2Eb"):
            self.assertEqual(self.client.request("GET", path).status, 404, path)

    def test_conditions_and_methods(self):
        """HEAD and conditions work as for everything else; nothing but reading is allowed."""
        self.assertEqual(self.client.request("HEAD", "/help").headers["content-length"], "4")
        self.assertEqual(self.client.request("GET", "/help", {"If-None-Match": '"help"'}).status, 304)
        self.assertEqual(self.client.request("DELETE", "/help").status, 405)

    def test_nobody_is_asked_who_they_are(self):
        """Credentials are not looked at, and no scope is; the limits are."""
        self.world.credential_error = errors.InvalidCredentials("bad")
        self.assertEqual(self.client.request("GET", "/help", {"PRIVATE-TOKEN": "x"}).status, 200)
        self.assertEqual((self.world.headers_seen, self.world.asked), ([], []))
        self.world.limit_error = errors.RateLimited(3)
        reply = self.client.request("GET", "/help")
        self.assertEqual((reply.status, reply.headers["retry-after"]), (429, "3"))

    def test_a_page_that_fails(self):
        """An error of a page is answered like any other."""
        self.result = errors.Unavailable("later")
        self.assertEqual(self.client.request("GET", "/help").status, 503)


class RoutingTests(FrontCase):
    """Which request meets which handler."""

    def test_arguments(self):
        """Segments are decoded once and passed by name."""
        self.get("/a%20b/c%2Fd/e")
        call = self.calls[0]
        self.assertEqual(dict(call.arguments), {"name": "a b", "file": "c/d/e"})
        self.assertEqual(call.base_url, "https://registry.test" + BASE)
        self.assertEqual(call.remote, Remote("toy", 7))

    def test_scope_by_number_and_by_path(self):
        """A project is a number or an encoded path; a group has its own prefix."""
        self.get()
        self.client.request("GET", "/api/v4/projects/acme%2Ftools/packages/toy/n/f")
        self.client.request("GET", "/api/v4/groups/acme/-/packages/toy/n/f")
        asked = [entry[:2] for entry in self.world.asked if isinstance(entry[0], Level)]
        self.assertEqual(asked, [(Level.PROJECT, 7), (Level.PROJECT, "acme/tools"), (Level.GROUP, "acme")])
        self.assertEqual(
            [call.base_url for call in self.calls],
            [
                "https://registry.test" + BASE,
                "https://registry.test/api/v4/projects/acme%2Ftools/packages/toy",
                "https://registry.test/api/v4/groups/acme/-/packages/toy",
            ],
        )

    def test_spellings_of_a_scope(self):
        """However a path or number is written, the base URL, by which pages are kept, is the same."""
        for number in ("7", "007"):
            self.client.request("GET", f"/api/v4/projects/{number}/packages/toy/n/f")
            self.assertEqual(self.calls[-1].base_url, "https://registry.test" + BASE)
        for path in ("acme%2Ftools", "%61cme%2ftools", "ACME%2FTools"):
            self.client.request("GET", f"/api/v4/projects/{path}/packages/toy/n/f")
            self.assertEqual(self.calls[-1].base_url, "https://registry.test/api/v4/projects/acme%2Ftools/packages/toy")

    def test_instance(self):
        """At the instance the name tells the group whose packages they are; a name of nobody's is nowhere."""
        self.client.request("GET", "/api/v4/packages/toy/acme-x/f")
        (call,) = self.calls
        self.assertEqual(self.world.asked[0][:2], (Level.GROUP, "acme"))
        self.assertEqual((call.scope.level, dict(call.arguments)), (Level.GROUP, {"name": "acme-x", "file": "f"}))
        self.assertEqual(call.base_url, "https://registry.test/api/v4/packages/toy")
        self.assertEqual((self.world.foreseen[0].level, self.world.foreseen[0].ident), (Level.GROUP, "acme"))
        self.world.asked.clear()
        self.client.request("GET", "/api/v4/packages/toy/x/f")
        self.assertEqual(self.world.asked[0][:2], (Level.GROUP, ""))

    def test_no_instance_without_owners(self):
        """A route that does not tell whose packages it is about cannot be mounted there."""
        levels = frozenset({Level.INSTANCE})
        self.assertRaises(TypeError, Route, ("GET",), "/x", Permission.READ_PACKAGE, self.handle, levels)

    def test_argument_names_are_free(self):
        """A format may call its arguments what it likes, `f`, `self` and `request` included."""
        reply = self.client.request("GET", BASE + "-odd/a/b/c")
        self.assertEqual(reply.status, 404)
        reply = self.client.request("POST", BASE + "/odd/a/b/c")
        self.assertEqual((reply.status, dict(self.calls[-1].arguments)), (200, {"f": "a", "self": "b", "request": "c"}))

    def test_trailing_slash_is_another_rule(self):
        """A directory is not a file, and nothing is redirected."""
        self.assertEqual(self.get("/n/a/b/").body, b"list of a/b")
        self.assertEqual(self.get("/n/").status, 404)
        self.assertEqual(self.get("/n").status, 404)

    def test_query(self):
        """The last value of a parameter counts, and only what the query says."""
        self.get("/n/f?a=1&a=%C3%A9&b=")
        call = self.calls[0]
        self.assertEqual((call.query("a"), call.query("b"), call.query("c")), ("\xe9", "", None))
        self.get("/n/f?a=%ff")
        self.assertRaises(errors.InvalidRequest, self.calls[1].query, "a")
        self.get("/n/f?" + "&".join(f"p{n}=1" for n in range(200)))
        self.assertRaises(errors.InvalidRequest, self.calls[2].query, "a")
        self.get("/n/f?a=x%00")
        self.assertRaises(errors.InvalidRequest, self.calls[3].query, "a")

    def test_hostile_paths(self):
        """Nothing that climbs, hides or confuses reaches a handler."""
        for path in (
            "/%2F%2F..%2F..%2Fetc%2Fpasswd", "/..%5c..%5c/x", "/n/%252e%252e/x", "/n/./b", "/n/../b", "//n/f", "/n//f",
            "/a%00b/f", "/%c0%ae%c0%ae/f", "/n/a%0d%0ab", "/n/%", "/n/%zz", "/./n/f", "/n/f/..", "/..",
        ):  # fmt: skip
            reply = self.get(path)
            self.assertIn(reply.status, (400, 404), path)
            self.assertIn("request_id", json.loads(reply.body))
        self.assertEqual(self.calls, [])

    def test_one_spelling(self):
        """Two slashes at the beginning are not one: the rules of a proxy in front would not see whose path it is."""
        for path in ("//-/livez", "///-/livez", "/" + BASE + "/n/f"):
            reply = self.client.request("GET", path)
            self.assertEqual(reply.status, 404, path)
            self.assertIn("request_id", json.loads(reply.body))
        self.assertEqual(self.calls, [])

    def test_unknown_pages_and_methods(self):
        """What is not there is 404; what is there answers its own methods only."""
        self.assertEqual(self.client.request("GET", "/nowhere").status, 404)
        reply = self.client.request("DELETE", BASE + "/n/f")
        self.assertEqual((reply.status, reply.headers["allow"]), (405, "GET, HEAD, PUT"))

    @settings(max_examples=200, deadline=None)
    @given(st.text("/%.2eF5cabn0;=@:", max_size=40))
    def test_any_path(self, tail):
        """Whatever is asked, nothing is answered with 5xx."""
        reply = self.client.request("GET", BASE + "/" + tail)
        self.assertIn(reply.status, (200, 400, 404))

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=120))
    def test_any_bytes(self, raw):
        """Whatever comes over the wire, nothing is answered with 5xx."""
        self.client.reconnect()
        self.client.transport.send(raw + b"\r\n\r\n")
        for reply in parse_replies(bytes(self.client.transport.received)):
            self.assertIn(reply.status, (200, 400, 404, 405, 414, 417, 431, 501, 505))


class GuardTests(FrontCase):
    """Everything that ends a request before its body."""

    def assert_refused(self, reply, status):
        """The refusal is complete, closes, and came without an interim reply or a handler."""
        self.assertEqual((reply.status, reply.is_complete, reply.headers["connection"]), (status, True, "close"))
        statuses = [answer.status for answer in parse_replies(bytes(self.client.transport.received))]
        self.assertEqual(statuses, [status])
        self.assertEqual(self.calls, [])

    def test_before_the_body(self):
        """Each guard answers a client that waits with its 10 GiB."""
        ten_gib = 10 << 30
        for attribute, error, status in (
            ("credential_error", errors.InvalidCredentials(), 401),
            ("demand_error", errors.AuthenticationRequired(), 401),
            ("demand_error", errors.PermissionDenied("create_package"), 403),
            ("demand_error", errors.ProjectNotFound(), 404),
            ("limit_error", errors.RateLimited(1.2), 429),
        ):
            setattr(self.world, attribute, error)
            self.assert_refused(self.put(ten_gib, Expect="100-continue"), status)
            setattr(self.world, attribute, None)
        self.assert_refused(self.put(ten_gib, Expect="100-continue"), 413)
        self.assertEqual(self.checks, [])

    def set(self, **values):
        """Have settings hold at the project."""
        self.world.scope = evolve(self.world.scope, settings=Settings(values))

    def test_a_format_that_is_switched_off(self):
        """It answers 404 and says so, to those who passed the guards before, and before the size is looked at."""
        for values, what in (({"toy_enabled": False}, "Toy"), ({"packages_enabled": False}, "the package registry")):
            self.set(**values)
            for reply in (self.put(10 << 30, Expect="100-continue"), self.get()):
                message = json.loads(reply.body)["error"]
                self.assertEqual((reply.status, json.loads(reply.body)["error_code"]), (404, "switched_off"))
                self.assertTrue(message.startswith(f"{what} is switched off in this project"), message)
                self.client.reconnect()
            self.assertEqual(self.calls, [])
            self.world.demand_error = errors.ProjectNotFound()
            self.assertNotIn(b"switched", self.get().body)
            self.world.demand_error = None
        self.set(other_enabled=False, toy_enabled=True)
        self.assertEqual(self.get().status, 200)

    def test_a_limit_that_is_set(self):
        """It counts instead of the configured one, and the refusal tells it and what to raise."""
        self.set(toy_max_file_size=5)
        refused = self.put(6, Expect="100-continue")
        self.assert_refused(refused, 413)
        remedy = "ask an administrator to raise toy_max_file_size of the project"
        text = f"the file is too large: the limit is 5 bytes; {remedy}"
        self.assertEqual(json.loads(refused.body)["error"], text)
        self.set(toy_max_file_size=2000)
        self.client.reconnect()
        self.assert_passes_check(1500)

    def assert_passes_check(self, size_bytes):
        """Fail unless a body of this size gets as far as the route's own check."""
        self.check_error = errors.FileExists("f")
        self.assertEqual(self.put(size_bytes, Expect="100-continue").status, 400)

    def test_what_is_told_of_the_files(self):
        """The length of a bare body is that of its file; where there is none nothing is known."""
        self.put(7)
        self.assertEqual(self.world.incoming, [Incoming(7, 7)])
        self.client.reconnect()
        self.client.request("PUT", BASE + "/n/f", {"Transfer-Encoding": "chunked"})
        self.assertEqual(self.world.incoming[1:], [UNTOLD])

    def test_the_check_runs_before_the_body(self):
        """What URL and headers alone can refuse is refused early, in the format's words."""
        self.check_error = errors.FileExists("f")
        self.assert_refused(self.put(500, Expect="100-continue"), 400)

    def test_challenge_and_retry(self):
        """401 challenges, 429 and 503 say when to come back, 413 and 507 never do."""
        for error, name in (
            (errors.InvalidCredentials(), "www-authenticate"),
            (errors.RateLimited(1.2), "retry-after"),
            (errors.Unavailable("busy"), "retry-after"),
        ):
            self.result = error
            self.assertIn(name, self.get().headers)
        for error in (errors.BodyTooLarge(5), errors.StorageFull(), errors.QuotaExceeded(1, 1, 2)):
            self.result = error
            self.assertNotIn("retry-after", self.get().headers)
        self.result = errors.RateLimited(1.2)
        self.assertEqual(self.get().headers["retry-after"], "2")

    def test_credentials(self):
        """Only credential headers are shown, and a repeated one is refused and counted."""
        self.get(Authorization="Bearer x", User_Agent="me")
        self.assertEqual(self.world.headers_seen[-1], {"authorization": "Bearer x"})
        self.client.reconnect()
        self.client.transport.send(
            b"GET " + BASE.encode() + b"/n/f HTTP/1.1\r\nHost: x\r\nPrivate-Token: a\r\nPrivate-Token: a\r\n\r\n"
        )
        self.assertEqual(parse_replies(bytes(self.client.transport.received))[0].status, 401)
        self.assertEqual(self.world.failures, ["192.0.2.1"])

    def test_order(self):
        """The scope is not looked up for a caller who is over the limit or not authenticated."""
        self.world.limit_error = errors.RateLimited(1)
        self.get()
        self.world.credential_error = errors.InvalidCredentials()
        self.get()
        self.assertEqual(self.world.asked, [])

    def test_what_a_route_foresees(self):
        """The catalog is told before anything is asked; an argument that is refused later foresees nothing."""
        self.get("/n/f")
        self.get("/bad/f")
        found = [(seen.level, seen.ident, seen.format, seen.lookup) for seen in self.world.foreseen]
        self.assertEqual(found, [(Level.PROJECT, 7, "toy", IndexLookup("n")), (Level.PROJECT, 7, "toy", None)])

    def test_a_handler_demands_more(self):
        """What only the body tells apart is asked of the same policy, about the same scope."""
        self.get()
        self.world.demand_error = errors.PermissionDenied("destroy_package")
        self.assertRaises(errors.PermissionDenied, self.calls[0].demand, Permission.DESTROY_PACKAGE)
        self.assertEqual(self.world.asked[-1][1:], (Permission.DESTROY_PACKAGE, self.calls[0].scope))

    def test_the_level_that_was_asked_for(self):
        """It decides the refusal, whether or not there is something of that name."""
        self.world.scope, self.world.demand_error = None, errors.GroupNotFound()
        for path, level in ((BASE, Level.PROJECT), ("/api/v4/groups/9/-/packages/toy", Level.GROUP)):
            self.client.request("GET", path + "/n/f")
            self.assertIs(self.world.levels[-1], level)

    def test_authorising_again(self):
        """A handler that has waited for a body asks again who it is for, and what that is worth by now."""
        self.get(Authorization="Bearer x")
        call = self.calls[0]
        self.world.principal = evolve(self.world.principal, is_admin=True)
        self.world.scope = evolve(self.world.scope, role=Role.GUEST)
        self.successResultOf(ensureDeferred(call.authorise_again()))
        self.assertEqual((call.principal.is_admin, call.scope.role), (True, Role.GUEST))
        self.world.demand_error = errors.PermissionDenied("read_package")
        self.failureResultOf(ensureDeferred(call.authorise_again()), errors.PermissionDenied)
        self.world.credential_error = errors.InvalidCredentials()
        self.failureResultOf(ensureDeferred(call.authorise_again()), errors.InvalidCredentials)

    def test_account_routes(self):
        """They concern no project: none is looked for, at any level, and the policy is asked about the caller alone."""
        for base in (BASE, "/api/v4/groups/9/-/packages/toy", "/api/v4/packages/toy"):
            reply = self.client.request(
                "POST", base + "/-/tokens", {"Authorization": "Bearer x", "Content-Length": "0"}
            )
            self.assertEqual(reply.status, 200)
            looked, asked = self.world.asked[-2:]
            self.assertEqual(looked[:2], (Level.INSTANCE, ""))
            self.assertEqual(asked, ("alice", AccountPermission.MANAGE_TOKENS))
            self.assertEqual(self.calls[-1].account, ("account", "alice", "192.0.2.1"))
            self.assertEqual(self.calls[-1].base_url, "https://registry.test" + base)
        self.world.demand_error = errors.PermissionDenied("manage_tokens")
        self.assertEqual(self.client.request("POST", BASE + "/-/tokens", {"Content-Length": "0"}).status, 403)

    def test_who_signs_in_is_nobody_yet(self):
        """A credential beside it may be out of date, and is not looked at; limits are those of the address."""
        self.world.credential_error = errors.InvalidCredentials()
        reply = self.client.request("POST", BASE + "/-/sign-in", {"Authorization": "Bearer x", "Content-Length": "0"})
        self.assertEqual((reply.status, self.world.headers_seen), (200, []))
        self.assertEqual(self.world.asked[-1], ("anonymous", AccountPermission.SIGN_IN))
        self.world.limit_error = errors.RateLimited(1)
        self.assertEqual(self.client.request("POST", BASE + "/-/sign-in", {"Content-Length": "0"}).status, 429)

    def test_chunked_body_is_limited(self):
        """A body without a length is stopped at the format's limit."""

        async def read(call):
            return Reply(200, await call.body.read_all(10_000))

        self.result = read
        body = b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n"
        reply = self.client.request("PUT", BASE + "/n/f", {"Transfer-Encoding": "chunked"}, body)
        self.assertEqual(reply.status, 413)


class ErrorTests(FrontCase):
    """What a client reads when something is wrong."""

    def test_common_shape(self):
        """JSON with GitLab's message, a word for programs, and the id from the header."""
        self.result = errors.PackageNotFound()
        reply = self.get()
        fields = json.loads(reply.body)
        self.assertEqual(fields["message"], f"404 Not Found - {self.result}")
        self.assertEqual(fields["error_code"], "not_found")
        self.assertIn(fields["error"], fields["message"])
        self.assertEqual(fields["request_id"], reply.headers["x-request-id"])
        self.assertEqual(reply.headers["content-type"], "application/json")

    def status_line(self):
        """Return the first line of the last reply."""
        return bytes(self.client.transport.received).partition(b"\r\n")[0]

    def test_the_status_line_says_why(self):
        """Clients that show nothing of a body show this line, however the format dresses the error."""
        self.result = errors.PackageNotFound()
        self.get()
        self.assertEqual(self.status_line(), f"HTTP/1.1 404 Not Found - {self.result}".encode())
        self.result = errors.FileExists("f")
        self.get()
        self.assertEqual(self.status_line(), f"HTTP/1.1 400 Bad Request - {self.result}".encode())

    def test_the_status_line_stays_a_line(self):
        """Whatever an error quotes, it is printable and short there."""
        self.result = errors.InvalidRequest("a\r\nSet-Cookie: b\x7f\u00e9\u2028" + "x" * 10_000)
        self.assertNotIn("set-cookie", self.get().headers)
        self.assertRegex(self.status_line(), rb"^HTTP/1\.1 400 Bad Request - a\?\?Set-Cookie: b\?\?\?x{100,300}$")

    def test_a_format_dresses_its_own(self):
        """The ecosystem's own status and words."""
        self.result = errors.FileExists("f")
        self.assertEqual((self.get().status, self.get().body), (400, b"taken"))

    def test_a_bug_is_500_with_an_id(self):
        """A bug says nothing about itself to the client and everything to the log."""
        self.result = ZeroDivisionError("secret detail")
        reply = self.get()
        self.assertEqual(reply.status, 500)
        self.assertNotIn(b"secret", reply.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_path_refused_by_a_converter(self):
        """A malformed path is refused in the same shape."""
        reply = self.get("/n/%ff")
        self.assertEqual((reply.status, json.loads(reply.body)["error_code"]), (400, "bad_request"))

    def test_the_client_leaves_during_a_read(self):
        """Its handler is cancelled."""
        cancelled = []
        waiting = Deferred(lambda _: cancelled.append(True))

        async def wait(call):
            await waiting
            return Reply()

        self.result = wait
        self.get()
        self.client.transport.hang_up()
        self.assertEqual(cancelled, [True])

    def test_the_client_leaves_during_a_write(self):
        """Its handler goes on to the end."""
        cancelled = []
        done = []
        waiting = Deferred(lambda _: cancelled.append(True))

        async def wait(call):
            await waiting
            done.append(True)
            return Reply()

        self.result = wait
        self.put(0)
        self.client.transport.hang_up()
        waiting.callback(None)
        self.assertEqual((cancelled, done), ([], [True]))


class ReplyTests(FrontCase):
    """Validators, ranges, safe headers."""

    def setUp(self):
        """Answer with a stream."""
        super().setUp()
        Source.opened = 0
        self.ranges = []

        async def open_source(piece):
            self.ranges.append(piece)
            return Source(CONTENT if piece is None else CONTENT[piece.start : piece.stop])

        self.result = Reply(
            200, StreamBody(len(CONTENT), open_source), "application/octet-stream", etag="e1", last_modified=MODIFIED,
            download_name="a.bin",
        )  # fmt: skip

    def test_clients_that_follow_are_sent_elsewhere(self):
        """Those that are known to, unless their credential would go along; nobody keeps the link."""
        url = "https://s3.example/b/k?X-Amz-Signature=abc"

        async def open_elsewhere(piece):
            source = Source(CONTENT)
            source.url = url
            return source

        self.result = evolve(self.result, body=StreamBody(len(CONTENT), open_elsewhere))
        pip = {"User_Agent": "pip/26.1 {}"}
        uv = {"User_Agent": "uv/0.9.1"}
        for headers in (pip, uv, {**pip, "Authorization": "Bearer x"}, {**pip, "Range": "bytes=0-3"}):
            answer = self.get(**headers)
            self.assertEqual((answer.status, answer.headers["location"]), (307, url), headers)
            self.assertEqual(answer.headers["cache-control"], "private, no-store")
            self.assertEqual(answer.body, b"")
            self.assertNotIn("etag", answer.headers)
        others = ({}, {"User_Agent": "curl/8.1"}, {"User_Agent": "my pip/1"})
        for headers in (*others, {**pip, "Private_Token": "x"}, {**pip, "Cookie": "a=b"}):
            self.assertEqual(self.get(**headers).status, 200, headers)
        url = "http://registry.test:9000/b/k"
        self.assertEqual(self.get(**pip, Authorization="Bearer x").status, 200)
        self.assertEqual(self.get(**pip).status, 307)

    def tearDown(self):
        """Every source that was opened is closed."""
        self.assertEqual(Source.opened, 0)

    def test_whole(self):
        """The whole body, with everything a cache and a browser need."""
        reply = self.get()
        self.assertEqual((reply.status, reply.body), (200, CONTENT))
        for name, value in (
            ("content-length", "1024"), ("etag", '"e1"'), ("accept-ranges", "bytes"),
            ("x-content-type-options", "nosniff"), ("last-modified", "Wed, 04 Mar 2026 05:06:07 GMT"),
            ("content-disposition", 'attachment; filename="a.bin"'),
            ("content-security-policy", "sandbox; default-src 'none'"),
        ):  # fmt: skip
            self.assertEqual(reply.headers[name], value)

    def test_head(self):
        """The same headers, no body, and no blob is opened."""
        reply = self.client.request("HEAD", BASE + "/n/f")
        self.assertEqual((reply.status, reply.headers["content-length"]), (200, "1024"))
        self.assertTrue(self.client.transport.received.endswith(b"\r\n\r\n"))
        self.assertEqual(self.ranges, [])

    def test_not_modified(self):
        """304 without a body, and no blob is opened."""
        for headers in ({"If_None_Match": '"e1"'}, {"If_Modified_Since": "Wed, 04 Mar 2026 05:06:07 GMT"}):
            reply = self.get(**headers)
            self.assertEqual((reply.status, reply.body, reply.headers["etag"]), (304, b"", '"e1"'))
            self.assertNotIn("content-length", reply.headers)
        self.assertEqual(self.ranges, [])

    def test_ranges(self):
        """A part, the last part, and a part of nothing."""
        reply = self.get(Range="bytes=10-19")
        self.assertEqual((reply.status, reply.body), (206, CONTENT[10:20]))
        self.assertEqual(reply.headers["content-range"], "bytes 10-19/1024")
        self.assertEqual(self.get(Range="bytes=-24").body, CONTENT[-24:])
        self.assertEqual(self.get(Range="bytes=0-1", If_Range='"old"').body, CONTENT)
        reply = self.get(Range="bytes=5000-")
        self.assertEqual((reply.status, reply.headers["content-range"]), (416, "bytes */1024"))
        self.assertEqual(self.ranges[0], ByteRange(10, 20))

    def test_precondition(self):
        """412 when If-Match does not hold."""
        self.assertEqual(self.get(If_Match='"other"').status, 412)

    def test_a_torn_body_cuts_the_connection(self):
        """The client cannot take half a body for a whole one."""

        async def open_broken(piece):
            return Source(CONTENT, fails=True)

        self.result = evolve(self.result, body=StreamBody(len(CONTENT), open_broken))
        reply = self.get()
        self.assertFalse(reply.is_complete)
        self.assertEqual(self.client.transport.closed, "aborted")
        self.assertEqual(len(self.flushLoggedErrors(errors.BlobMissing)), 1)

    def test_the_client_leaves_in_the_middle(self):
        """Its download ends quietly: the producer is stopped, nothing is answered, the source is closed."""

        class Endless(Source):
            async def push_to(self, consumer):
                consumer.registerProducer(self, True)
                consumer.write(b"x")
                self.stopped = Deferred()
                await self.stopped
                raise errors.ClientGone

            def stopProducing(self):
                self.stopped.callback(None)

        async def open_endless(piece):
            return Endless(CONTENT)

        self.result = evolve(self.result, body=StreamBody(len(CONTENT), open_endless))
        events = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.get()
        self.client.transport.hang_up()
        self.factory.access_log.flush()
        logged = [event["requests"] for event in events if event.get("event") == "http.requests"]
        aborted = [fields["aborted"] for requests in logged for fields in requests]
        self.assertEqual(aborted, [True])
        self.assertEqual(Source.opened, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_missing_blob(self):
        """Damage that shows before the first byte is a 503, and logged: what the store says of it is not told."""

        async def missing(piece):
            raise errors.BlobMissing("gone")

        self.result = evolve(self.result, body=StreamBody(1, missing))
        reply = self.get()
        self.assertEqual(reply.status, 503)
        self.assertNotIn(b"gone", reply.body)
        self.assertEqual(len(self.flushLoggedErrors(errors.BlobMissing)), 1)

    def test_a_damaged_blob(self):
        """Where it is known who asks what there is learns it as well, and no byte is looked for."""

        async def never(piece):
            raise AssertionError("opened")

        self.result = evolve(self.result, body=StreamBody(1, never, "f.bin"))
        reply = self.client.request("HEAD", BASE + "/n/f")
        self.assertEqual((reply.status, reply.body), (503, b""))
        self.assertNotIn("etag", reply.headers)

    def test_keep_alive_after_a_stream(self):
        """The connection serves the next request."""
        self.get()
        self.client.transport.send(b"GET " + BASE.encode() + b"/n/f HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual([reply.body for reply in parse_replies(bytes(self.client.transport.received))], [CONTENT] * 2)

    def test_no_content(self):
        """204 has neither body nor length."""
        self.result = Reply(204)
        reply = self.get()
        self.assertEqual(reply.status, 204)
        self.assertNotIn("content-length", reply.headers)
        self.assertNotIn("transfer-encoding", reply.headers)


class PageTests(FrontCase):
    """Pages that are rendered when they are needed."""

    def setUp(self):
        """Answer with a page that has a compressed form."""
        super().setUp()
        self.renderings = 0
        self.page = Page(b"x" * 1000, b"small")

        async def render():
            self.renderings += 1
            return self.page

        self.result = Reply(200, PageBody(render), "text/plain", headers=(("Vary", "Accept"),), etag="e1")

    def test_plain(self):
        """Who asks for no encoding gets the plain page."""
        for accepted in (None, "br", "gzip;q=0", "identity, gzip; q=0.000, *;q=0", "*;q=0"):
            reply = self.get(**({} if accepted is None else {"Accept_Encoding": accepted}))
            self.assertEqual((reply.status, reply.body, reply.headers["etag"]), (200, self.page.body, '"e1"'), accepted)
            self.assertNotIn("content-encoding", reply.headers)

    def test_gzip(self):
        """Who takes gzip gets the compressed page, under an ETag of its own."""
        for accepted in ("gzip", "GZIP, deflate", "*", "br, gzip;q=0.1"):
            reply = self.get(Accept_Encoding=accepted)
            self.assertEqual((reply.status, reply.body), (200, b"small"), accepted)
            self.assertEqual((reply.headers["content-encoding"], reply.headers["etag"]), ("gzip", '"e1-gzip"'))
            self.assertIn("accept-encoding", reply.headers["vary"].lower())

    def test_page_without_compressed_form(self):
        """A page that does not get shorter is sent as it is."""
        self.page = Page(b"x", None)
        reply = self.get(Accept_Encoding="gzip")
        self.assertEqual(reply.body, b"x")
        self.assertNotIn("content-encoding", reply.headers)

    def test_dates_are_no_validators_of_pages(self):
        """A page may change twice in a second, and by what its reader may see; so only its tag tells."""
        self.result = evolve(self.result, last_modified=MODIFIED)
        later = "Wed, 04 Mar 2026 05:06:08 GMT"
        self.assertEqual(self.get(If_Modified_Since=later).status, 200)
        self.assertEqual(self.get(If_Modified_Since=later, If_None_Match='"e1"').status, 304)

    def test_page_that_the_client_has_is_not_rendered(self):
        """304 costs no rendering; a validator of the other form does not count."""
        for encoding, etag, status in (
            ("identity", '"e1"', 304),
            ("identity", 'W/"e1"', 304),
            ("gzip", '"x", "e1-gzip"', 304),
            ("gzip", '"e1"', 200),
            ("identity", '"e1-gzip"', 200),
        ):
            before = self.renderings
            reply = self.get(Accept_Encoding=encoding, If_None_Match=etag)
            self.assertEqual((reply.status, self.renderings - before), (status, int(status == 200)), (encoding, etag))

    def test_rendering_that_fails(self):
        """An error from rendering is an answer like another."""

        async def render():
            raise errors.PackageNotFound

        self.result = evolve(self.result, body=PageBody(render))
        self.assertEqual(self.get().status, 404)
        for header in ("If_None_Match", "If_Match"):
            self.assertEqual(self.get(**{header: "*"}).status, 404)


class DispositionTests(SynchronousTestCase):
    """Names of downloads."""

    def test_plain_and_odd_names(self):
        """Plain names stay; others get an extended form and a harmless one."""
        self.assertEqual(attachment("a-1.0.whl"), 'attachment; filename="a-1.0.whl"')
        self.assertEqual(
            attachment('a";x="b.whl'), "attachment; filename=\"a__x__b.whl\"; filename*=UTF-8''a%22%3Bx%3D%22b.whl"
        )

    @given(st.text(max_size=60))
    def test_any_name(self, name):
        """Whatever the name, the value is printable ASCII with two quotes."""
        value = attachment(name)
        self.assertTrue(all(32 <= ord(character) < 127 for character in value))
        self.assertEqual(value.count('"'), 2)


class HealthTests(FrontCase):
    """For supervisors and balancers."""

    def test_alive(self):
        """Alive needs nothing."""
        self.reasons = ["catalog: down"]
        self.assertEqual(self.client.request("GET", "/-/livez").status, 200)

    def test_ready(self):
        """Ready says why not."""
        self.assertEqual(json.loads(self.client.request("GET", "/-/readyz").body)["status"], "ready")
        self.reasons = ["catalog: down"]
        reply = self.client.request("GET", "/-/readyz")
        self.assertEqual((reply.status, json.loads(reply.body)["reasons"]), (503, ["catalog: down"]))
