"""A front with a format of its own, in front of nobody's disk: for tests of all that a request passes through."""

import datetime

from attrs import evolve, frozen
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pkgregd import errors
from pkgregd.http.front import make_factory
from pkgregd.http.settings import FrontSettings
from pkgregd.interfaces import (
    IAccessPolicy,
    IAccounts,
    IAuthenticator,
    IBlobSource,
    IPackageFormat,
    IRemotes,
    IRequestLimits,
)
from pkgregd.testing.client import MemoryClient
from pkgregd.values import (
    ANONYMOUS,
    UNTOLD,
    AccountPermission,
    BlobInfo,
    Digest,
    FormatLimits,
    IndexLookup,
    Level,
    Permission,
    Principal,
    Rate,
    Reply,
    Route,
    Scope,
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
