"""Who gets past the guards on every route of a daemon: each principal at each project, group and the instance."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from attrs import evolve
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pkgregd.auth.accounts import Accounts, AccountSettings
from pkgregd.auth.authenticator import TokenAuthenticator
from pkgregd.auth.tokens import mint
from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.http.front import make_factory, mounts
from pkgregd.http.settings import FrontSettings
from pkgregd.interfaces import ICall, IPackageFormat, IRouteTable
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.events import NoEvents
from pkgregd.registry.limits import PrefixLimits
from pkgregd.registry.remotes import Remotes
from pkgregd.testing.calls import now
from pkgregd.testing.client import MemoryClient
from pkgregd.values import (
    OPERATOR,
    AccountPermission,
    FormatLimits,
    Level,
    NewToken,
    Permission,
    Rate,
    Refusal,
    Reply,
    Role,
    Route,
    TokenKind,
    Verdict,
    Visibility,
    address_key,
)
from tests.test_routes import whole_table

P, A = Permission, AccountPermission
PASSED = 299
"""The status of a request that got past the guards: nothing answers it here."""

READS = {P.READ_PACKAGE, P.READ_PROJECT}
SEES = READS | {P.READ_MEMBERS}
WRITES = SEES | {P.CREATE_PACKAGE}
TENDS = WRITES | {P.DESTROY_PACKAGE, P.CREATE_PROJECT}
KEEPS = TENDS | {P.ADMINISTER, P.READ_AUDIT_EVENTS}
EVERY = set(P)
NONE: set[Permission] = set()

WHO: Mapping[str, Mapping[str, tuple[bool, set[Permission]]]] = {
    # who: at each place, whether it is in sight, and which permissions there are
    "": {"public": (True, READS), "internal": (False, NONE), "private": (False, NONE), "group": (False, NONE)},
    "stranger": {"public": (True, SEES), "internal": (True, SEES), "private": (False, NONE), "group": (False, NONE)},
    "guest": {
        "public": (True, SEES), "internal": (True, SEES), "private": (True, SEES - {P.READ_PACKAGE}),
        "group": (True, SEES - {P.READ_PACKAGE}),
    },
    "reporter": dict.fromkeys(("public", "internal", "private", "group"), (True, SEES)),
    "developer": dict.fromkeys(("public", "internal", "private", "group"), (True, WRITES)),
    "maintainer": {
        **dict.fromkeys(("public", "internal", "private"), (True, KEEPS)), "group": (True, TENDS),
    },
    "owner": dict.fromkeys(("public", "internal", "private", "group"), (True, EVERY)),
    "owner who reads": dict.fromkeys(("public", "internal", "private", "group"), (True, SEES | {P.READ_AUDIT_EVENTS})),
    "root": dict.fromkeys(("public", "internal", "private", "group"), (True, EVERY)),
    "root who reads": dict.fromkeys(("public", "internal", "private", "group"), (True, SEES | {P.READ_AUDIT_EVENTS})),
    "deploy reader": {
        "public": (True, READS), "internal": (False, NONE), "private": (True, READS), "group": (True, {P.READ_PACKAGE}),
    },
    "deploy writer": {
        "public": (True, READS), "internal": (False, NONE), "private": (True, {P.READ_PROJECT, P.CREATE_PACKAGE}),
        "group": (True, NONE),
    },
    "deploy of the group": dict.fromkeys(("public", "internal", "private", "group"), (True, READS)),
    "deploy of another": {
        "public": (True, READS), "internal": (False, NONE), "private": (False, NONE), "group": (False, NONE),
    },
    "job": {
        "public": (True, READS), "internal": (False, NONE), "private": (True, READS | {P.CREATE_PACKAGE}),
        "group": (True, {P.READ_PACKAGE}),
    },
    "project maintainer": {
        "public": (True, READS), "internal": (False, NONE), "private": (True, TENDS), "group": (True, {P.READ_PACKAGE}),
    },
    "project guest": {
        "public": (True, READS), "internal": (False, NONE), "private": (True, SEES - {P.READ_PACKAGE}),
        "group": (True, NONE),
    },
    "group owner": dict.fromkeys(("public", "internal", "private", "group"), (True, TENDS)),
    "expired": {},
    "revoked": {},
    "expired job": {},
    "ended job": {},
    "child of a revoked one": {},
    "nonsense": {},
}  # fmt: skip
"""A group, private, holds the three projects; a token of a project is one of the private project."""

LOOKS = {A.SIGN_IN, A.NOTHING, A.READ_USER, A.READ_USERS}
WHOLE = LOOKS | {A.MANAGE_TOKENS}
BAD = frozenset({"expired", "revoked", "expired job", "ended job", "child of a revoked one", "nonsense"})
ACCOUNTS: Mapping[str, set[AccountPermission]] = {
    "": {A.SIGN_IN, A.NOTHING},
    "root": set(A) - {A.READ_JOB},
    "job": {A.SIGN_IN, A.NOTHING, A.READ_USER, A.READ_JOB},
    "owner who reads": LOOKS,
    "root who reads": LOOKS | {A.READ_AUDIT_TRAIL},
    "project maintainer": LOOKS,
    "project guest": LOOKS,
    "group owner": LOOKS,
    **dict.fromkeys(("stranger", "guest", "reporter", "developer", "maintainer", "owner"), WHOLE),
    **{name: {A.SIGN_IN} for name in BAD},
}
"""The permissions that concern no place; whoever is not here is known, and no more."""

PLACES = {"public": Visibility.PUBLIC, "internal": Visibility.INTERNAL, "private": Visibility.PRIVATE}
SECONDS = 1_800_000_000


async def pass_on(call: ICall) -> Reply:
    """Stand in for every handler."""
    return Reply(PASSED)


@implementer(IRouteTable)
class StubTable:
    """The routes of a table with nothing behind them."""

    def __init__(self, table: IRouteTable) -> None:
        self.name = table.name
        self.challenge = table.challenge
        self._table = table

    def routes(self) -> Sequence[Route]:
        """The same, answered by nobody."""
        return [
            evolve(route, handler=pass_on, check=None, owner=None if route.owner is None else lambda _: "closed")
            for route in self._table.routes()
        ]

    def render_error(self, refusal: Refusal) -> Reply | None:
        """As the table does."""
        return self._table.render_error(refusal)


@implementer(IPackageFormat)
class StubFormat(StubTable):
    """The same of a format."""

    def __init__(self, table: IPackageFormat) -> None:
        super().__init__(table)
        self.title = table.title
        self.default_limits = FormatLimits(max_file_bytes=1000)

    def canonical_name(self, name: str) -> str:
        """Not asked here."""
        raise AssertionError

    def canonical_pattern(self, pattern: str) -> str:
        """Not asked here."""
        raise AssertionError


class MatrixTests(SynchronousTestCase):
    """Route by principal."""

    def setUp(self) -> None:
        """Have every table with stubs, and every principal."""
        self.clock = Clock()
        self.clock.advance(SECONDS)
        self.catalog = MemoryCatalog(self.clock.seconds)
        self.secrets = {"": "", "nonsense": "nonsense"}
        self.populate()
        tables = {mount.table.name: mount for _, mount in whole_table()}
        formats = [StubFormat(mount.format) for mount in tables.values() if mount.format is not None]
        others = [StubTable(mount.table) for mount in tables.values() if mount.format is None]
        limits = {made.name: made.default_limits for made in formats}
        policy, request_limits = AccessPolicy(), PrefixLimits((), Clock().seconds)
        # failures would be limited: here they are the point
        request_limits.admit_failure = lambda address, caller=None: Verdict("", Rate(1, 1), 1, 0.0, None)  # type: ignore[method-assign]
        self.rules = mounts(formats, limits, others)
        self.client = MemoryClient(
            make_factory(
                self.clock,
                formats=formats,
                limits_by_format=limits,
                authenticator=TokenAuthenticator(self.time),
                policy=policy,
                catalog=self.catalog,
                remotes=Remotes(self.clock, self.catalog, MemoryBlobStore(), policy, NoEvents(), limits),
                accounts=Accounts(AccountSettings(self.catalog, request_limits, address_key, "", self.time)),
                request_limits=request_limits,
                readiness=lambda: succeed([]),
                external_url="https://registry.test",
                settings=FrontSettings(max_connections=1 << 20, max_connections_per_address=1 << 20),
                tables=others,
            )
        )

    def time(self) -> datetime.datetime:
        """The present time."""
        return datetime.datetime.fromtimestamp(self.clock.seconds(), datetime.UTC)

    def populate(self) -> None:
        """Add places and principals."""
        now(self.catalog.add_group("closed", Visibility.PRIVATE))
        now(self.catalog.add_group("other", Visibility.PRIVATE))
        for name, visibility in PLACES.items():
            now(self.catalog.add_project(f"closed/{name}", visibility))
        for name in ("stranger", "root", *(role.name.lower() for role in Role)):
            now(self.catalog.add_user(name, is_admin=name == "root"))
            self.add_token(name, TokenKind.PERSONAL, "api", user=name)
        for role in Role:
            now(self.catalog.set_member(role.name.lower(), "closed", role))
        self.add_token("owner who reads", TokenKind.PERSONAL, "read_api", user="owner")
        self.add_token("root who reads", TokenKind.PERSONAL, "read_api", user="root")
        reads, writes = "read_package_registry", "write_package_registry"
        self.add_token("deploy reader", TokenKind.DEPLOY, reads, project="closed/private")
        self.add_token("deploy writer", TokenKind.DEPLOY, writes, project="closed/private")
        self.add_token("deploy of the group", TokenKind.DEPLOY, reads, group="closed")
        self.add_token("deploy of another", TokenKind.DEPLOY, reads, writes, group="other")
        self.add_token("job", TokenKind.JOB, project="closed/private")
        self.add_token("project maintainer", TokenKind.PROJECT, "api", role=Role.MAINTAINER, project="closed/private")
        self.add_token("project guest", TokenKind.PROJECT, "api", role=Role.GUEST, project="closed/private")
        self.add_token("group owner", TokenKind.GROUP, "api", role=Role.OWNER, group="closed")
        self.add_token("expired", TokenKind.PERSONAL, "api", user="owner", expires_at=self.time())
        self.add_token("revoked", TokenKind.PERSONAL, "api", user="owner")
        self.add_token("child of a revoked one", TokenKind.PERSONAL, "api", user="owner", parent="revoked")
        now(self.catalog.revoke_token(self.public_id("revoked")))
        self.add_token("expired job", TokenKind.JOB, project="closed/private", expires_at=self.time())
        self.add_token("ended job", TokenKind.JOB, project="closed/private")
        now(self.catalog.revoke_token(self.public_id("ended job")))
        self.assertEqual(set(self.secrets), set(WHO))

    def public_id(self, name: str) -> str:
        """What may be shown of a token."""
        return self.secrets[name].split("_")[2]

    def add_token(
        self,
        name: str,
        kind: TokenKind,
        *scopes: str,
        role: Role | None = None,
        expires_at: datetime.datetime | None = None,
        parent: str | None = None,
        **owner: str,
    ) -> None:
        """Store a token."""
        minted = mint(kind)
        token = NewToken(
            minted.public_id,
            minted.secret_sha256,
            kind,
            name,
            frozenset(scopes),
            role,
            expires_at=expires_at,
            **owner,  # type: ignore[arg-type] # owners are texts
        )
        shown = None if parent is None else now(self.catalog.find_token(self.public_id(parent)))
        now(self.catalog.add_token(token, OPERATOR if shown is None else shown.principal))
        self.secrets[name] = minted.secret

    def places_of(self, level: Level) -> Sequence[str]:
        """Which places a route is tried at."""
        return (*PLACES, "missing") if level is Level.PROJECT else ("group", "missing")

    def expected(self, who: str, permission: Permission | AccountPermission, place: str) -> int:
        """The status that the guards give, by the table above."""
        if isinstance(permission, AccountPermission):
            had = ACCOUNTS.get(who, {A.SIGN_IN, A.NOTHING, A.READ_USER})
            if permission in had:
                return PASSED
            return 401 if not who or who in BAD else 403
        if who in BAD:
            return 401
        sees, permissions = WHO[who].get(place, (False, NONE))
        if permission in permissions:
            return PASSED
        return 401 if not who else 403 if sees else 404

    def cells(self) -> Iterator[tuple[str, str, str, str, int]]:
        """(who, method, path, rule, expected status) of everything."""
        for rule, mount in self.rules:
            permission = mount.route.permission
            for method, place, who in product(mount.route.methods, self.places_of(mount.level), WHO):
                path = _fill(rule, "closed" if place == "group" else f"closed%2F{place}")
                # at the instance the stubs tell that what is asked for is the group's
                expected = self.expected(who, permission, "group" if mount.level is Level.INSTANCE else place)
                yield who, method, path, rule, expected

    def test_every_cell(self) -> None:
        """No route lets in who may not, none keeps out who may, and each refusal is of its kind."""
        cells, wrong, bodies = 0, [], {}
        for who, method, path, rule, expected in self.cells():
            shown = {"Authorization": f"Bearer {self.secrets[who]}"} if who else {}
            reply = self.client.request(method, path, {**shown, "Content-Length": "0"} if method != "GET" else shown)
            if reply.headers.get("connection") == "close":
                self.client.transport.hang_up()
                self.client.reconnect()
            cells += 1
            if reply.status != expected:
                wrong.append((who, method, path, reply.status, expected))
            if reply.status in (401, 404) and who not in BAD:
                # what is hidden and what is missing are refused in the same bytes
                body = reply.body.replace(reply.headers["x-request-id"].encode(), b"ID")
                bodies.setdefault((who, method, rule, reply.status), set()).add(body)
        self.assertEqual(wrong[:5], [], f"{len(wrong)} cells")
        self.assertEqual({key: found for key, found in bodies.items() if len(found) > 1}, {})
        self.assertGreater(cells, 5000)
        sys.stdout.write(f"\n  {len(self.rules)} routes, {len(WHO)} principals, {cells} cells\n")


def _fill(rule: str, scope: str) -> str:
    """Make a path of a rule."""
    parts = []
    for part in rule.split("/"):
        if part == "<scope:scope>":
            parts.append(scope)
        elif part.startswith("<number:"):
            parts.append("1")
        elif "<" in part:
            parts.append(part[: part.index("<")] + "x" + part[part.index(">") + 1 :])
        else:
            parts.append(part)
    return "/".join(parts)
