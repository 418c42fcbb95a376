"""Over HTTP: reading writes nothing, a change is told once, and what is refused is not told."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.accounts import Accounts, AccountSettings
from pkgregd.auth.authenticator import TokenAuthenticator
from pkgregd.auth.tokendesk import TokenDesk
from pkgregd.auth.tokens import mint
from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.http.front import make_factory, mounts
from pkgregd.http.settings import FrontSettings
from pkgregd.manage.audit import AuditManagement
from pkgregd.manage.packages import PackageManagement
from pkgregd.manage.people import PeopleManagement
from pkgregd.manage.places import PlaceManagement
from pkgregd.manage.tokens import TokenManagement
from pkgregd.plugin import find_formats
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.directory import Directories
from pkgregd.registry.events import NoEvents
from pkgregd.registry.inventory import Inventories
from pkgregd.registry.limits import PrefixLimits, address_key
from pkgregd.registry.remotes import Remotes
from pkgregd.registry.trail import Trail
from pkgregd.testing.calls import now
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.testing.client import ClientReply, MemoryClient
from pkgregd.values import ANONYMOUS, Level, NewSignIn, NewToken, PackageFile, Role, TokenKind, Visibility
from pkgregd.web.signin import SignInPages
from tests.catalog.support import ThreadedClock
from tests.catalog.test_audit import writing_verbs
from tests.test_routes import CHANGING, whole_table

WRITING_VERBS = frozenset(writing_verbs())
PROJECT, GROUP = "/api/v4/projects/<scope:scope>", "/api/v4/groups/<scope:scope>"
VERSION = "1.0.0"
NPM, NUGET = f"{PROJECT}/packages/npm", f"{PROJECT}/packages/nuget"

WRITING_READS = {
    "/-/v1/done": "npm asks by GET whether it was signed in, and is given its token once; the token is told",
}
"""Ends of rules that write at a GET, and why: how the client asks is not ours to say."""

NOT_TRIED = {
    "packages/cargo/api/v1/crates/new": "its body is a crate; tests.formats.test_cargo",
    "packages/maven/<path:file>": "what it does depends on the file; tests.formats.test_maven",
    "packages/npm/<path:where>": "its body is a document with a tarball; tests.formats.test_npm",
    "packages/pypi": "its body is a form with an archive; tests.formats.test_pypi",
    "packages/pypi/": "the same",
    **{
        f"packages/nuget{rest}{slash}": "its body is a package; tests.formats.test_nuget"
        for rest in ("", "/v2", "/v2/package", "/symbolpackage")
        for slash in ("", "/")
    },
    "/owners": "changes nothing: it says where members are changed",
    "/-/v1/login": "a client begins to wait, which is not told",
}
"""Ends of rules whose success is shown elsewhere: what they write goes through verbs that the catalog's tests count."""


class WatchedCatalog(MemoryCatalog):
    """
    A catalog that knows which of its verbs were called.

    Attributes:
        written: the verbs that write, in their order.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.written: list[str] = []
        super().__init__(seconds)

    def __getattribute__(self, name: str) -> Any:
        if name in WRITING_VERBS:
            self.written.append(name)
        return super().__getattribute__(name)


@frozen
class Example:
    """A request that changes something."""

    method: str
    rule: str
    path: str
    fields: dict[str, object] | None = None
    headers: dict[str, str] = field(factory=dict)
    entries: int = 1


class ChangesCase(SynchronousTestCase):
    """A front with every format and table, over a catalog in memory with something in it."""

    def setUp(self) -> None:
        """Put it together."""
        self.clock = ThreadedClock()
        self.clock.advance(1_800_000_000)
        self.catalog = catalog = WatchedCatalog(self.clock.seconds)
        formats = list(find_formats().values())
        limits = {made.name: made.default_limits for made in formats}
        policy, events, blobs = AccessPolicy(), NoEvents(), MemoryBlobStore()
        self.blobs = blobs
        request_limits = PrefixLimits((), Clock().seconds)
        request_limits.admit_failure = lambda address: None  # type: ignore[method-assign]
        directories = Directories(catalog, policy)
        tables = [
            PackageManagement(Inventories(catalog, blobs, policy, events), list(limits)),
            PlaceManagement(directories),
            PeopleManagement(directories),
            TokenManagement(TokenDesk(catalog, self.time), directories, self.time),
            AuditManagement(catalog, Trail(self.clock, catalog)),
            SignInPages(),
        ]
        self.rules = mounts(formats, limits, tables)
        self.assertEqual([rule for rule, _ in self.rules], [rule for rule, _ in whole_table()])
        remotes = Remotes(self.clock, catalog, blobs, policy, events, limits)
        self.client = MemoryClient(
            make_factory(
                self.clock,
                formats=formats,
                limits_by_format=limits,
                authenticator=TokenAuthenticator(self.time),
                policy=policy,
                catalog=catalog,
                remotes=remotes,
                accounts=Accounts(AccountSettings(catalog, request_limits, address_key, "", self.time)),
                request_limits=request_limits,
                readiness=lambda: succeed([]),
                external_url="https://registry.test",
                settings=FrontSettings(max_connections=1 << 20, max_connections_per_address=1 << 20),
                tables=tables,
            )
        )
        self.secrets = {"": ""}
        self.populate()

    def time(self) -> datetime.datetime:
        """The present time."""
        return datetime.datetime.fromtimestamp(self.clock.seconds(), datetime.UTC)

    def populate(self) -> None:
        """Have users, members, tokens, and a package of every format."""
        catalog = self.catalog
        now(catalog.add_group("acme", Visibility.PRIVATE))
        now(catalog.add_project("acme/x", Visibility.PRIVATE))
        for number, name in enumerate(("root", "stranger", "reporter", "member", "spare"), 1):
            self.assertEqual(now(catalog.add_user(name, is_admin=name == "root")), number)
        now(catalog.set_member("root", "acme", Role.OWNER))
        for name in ("reporter", "member"):
            for path in ("acme", "acme/x"):
                now(catalog.set_member(name, path, Role.REPORTER))
        for name in ("root", "stranger", "reporter"):
            self.secrets[name] = self.add_token(TokenKind.PERSONAL, "api", user=name)
        for made in find_formats():
            name, file = ("com/acme/x", "x-1.0.jar") if made == "maven" else ("alpha", "alpha-1.0.zip")
            self.publish(made.encode(), name, file, made)

    def publish(self, data: bytes, name: str, file_name: str = "x.zip", made: str = "generic") -> PackageFile:
        """Publish a file of one version, with its bytes in the store."""
        sink = now(self.blobs.open_sink())
        sink.write(data)
        blob = now(sink.commit())
        made_of = publication_of(data, 1, name, VERSION, file_name, made)
        canonical = "1" if made == "pypi" else VERSION
        coordinates = evolve(made_of.coordinates, canonical_version=canonical)
        publication = evolve(made_of, blob=blob, coordinates=coordinates)
        return now(self.catalog.publish(publication, ANONYMOUS)).file

    def add_token(self, kind: TokenKind, *scopes: str, **owner: Any) -> str:
        """Store a token; returns the secret."""
        minted = mint(kind)
        now(
            self.catalog.add_token(
                NewToken(minted.public_id, minted.secret_sha256, kind, "t", frozenset(scopes), **owner)
            )
        )
        return minted.secret

    def ask(self, method: str, path: str, who: str = "root", fields: object = None, **headers: str) -> ClientReply:
        """Send a request, with a body of JSON."""
        shown = {"Authorization": f"Bearer {self.secrets[who]}", **headers} if self.secrets[who] else {**headers}
        body = None if method in ("GET", "HEAD") else b"" if fields is None else json.dumps(fields).encode()
        if fields is not None:
            shown["Content-Type"] = "application/json"
        return self.client.request(method, path, shown, body)


def fill(rule: str, level: Level) -> str:
    """Make a path of a rule that leads to what there is."""
    given = {
        "<scope:scope>": "acme" if level is Level.GROUP else "1",
        "<segment:name>": "alpha", "<segment:id>": "alpha", "<path:name>": "alpha", "<segment:version>": VERSION,
        "<path:file>": "com/acme/x/1.0/x-1.0.jar" if "maven" in rule else "alpha-1.0.zip", "<path:where>": "alpha",
    }  # fmt: skip
    parts = []
    for part in rule.split("/"):
        if part in given:
            parts.append(given[part])
        elif part.startswith("<number:"):
            parts.append("1")
        else:
            parts.append(part if "<" not in part else part[: part.index("<")] + "x" + part[part.index(">") + 1 :])
    return "/".join(parts)


class ReadingTests(ChangesCase):
    """GET and HEAD."""

    def test_no_read_writes(self) -> None:
        """No verb that writes is called by any route, found or not; the others have no connection that could."""
        asked, wrong = 0, []
        for rule, mount in self.rules:
            if "GET" not in mount.route.methods or any(end in rule for end in WRITING_READS):
                continue
            for method in ("GET", "HEAD"):
                for who in self.secrets:
                    self.catalog.written.clear()
                    reply = self.ask(method, fill(rule, mount.level), who)
                    asked += 1
                    if self.catalog.written or reply.status >= 500:
                        wrong.append((method, rule, who, reply.status, list(self.catalog.written)))
        self.assertEqual(wrong, [])
        self.assertGreater(asked, 500)

    def test_questions_write_nothing(self) -> None:
        """Nor do questions that are asked with a body."""
        for rule, mount in self.rules:
            if mount.route.is_question:
                self.catalog.written.clear()
                self.ask("POST", fill(rule, mount.level), fields={})
                self.assertEqual(self.catalog.written, [], rule)


class TellingTests(ChangesCase):
    """All other methods."""

    def examples(self) -> Iterator[Example]:
        """Changes in an order in which each is possible; what it takes is made on the way."""
        for scope, place in ((PROJECT, "/api/v4/projects/1"), (GROUP, "/api/v4/groups/acme")):
            owner = {"project": "1"} if scope is PROJECT else {"group": "1"}
            yield Example("PUT", scope, place, {"visibility": "internal"})
            members = f"{place}/members"
            yield Example("POST", f"{scope}/members", members, {"user_id": 5, "access_level": 30})
            yield Example("PUT", f"{scope}/members/<number:user_id>", f"{members}/5", {"access_level": 20})
            yield Example("DELETE", f"{scope}/members/<number:user_id>", f"{members}/5")
            for what, kind in (("deploy_tokens", TokenKind.DEPLOY), ("access_tokens", None)):
                kind = kind or (TokenKind.PROJECT if scope is PROJECT else TokenKind.GROUP)
                scopes = ["read_package_registry"] if kind is TokenKind.DEPLOY else ["api"]
                yield Example("POST", f"{scope}/{what}", f"{place}/{what}", {"name": "n", "scopes": scopes})
                role = None if kind is TokenKind.DEPLOY else Role.GUEST
                one = f"{scope}/{what}/<number:token_id>"
                if kind is not TokenKind.DEPLOY:
                    number = self.number_of(self.add_token(kind, *scopes, role=role, **owner))
                    yield Example("POST", f"{one}/rotate", f"{place}/{what}/{number}/rotate")
                number = self.number_of(self.add_token(kind, *scopes, role=role, **owner))
                yield Example("DELETE", one, f"{place}/{what}/{number}")
        api, user = "/api/v4", "/api/v4/users/<number:user_id>"
        yield Example("POST", f"{api}/groups", f"{api}/groups", {"path": "new"})
        yield Example("POST", f"{api}/projects", f"{api}/projects", {"path": "new", "namespace_id": 1})
        yield Example("POST", f"{api}/users", f"{api}/users", {"username": "newcomer"})
        yield Example("PUT", user, f"{api}/users/5", {"admin": True})
        made = {"name": "n", "scopes": ["api"]}
        yield Example("POST", f"{user}/personal_access_tokens", f"{api}/users/5/personal_access_tokens", made)
        mine = f"{api}/personal_access_tokens"
        for rest, method in (("/rotate", "POST"), ("", "DELETE")):
            number = self.number_of(self.add_token(TokenKind.PERSONAL, "api", user="root"))
            yield Example(method, f"{mine}/<number:token_id>{rest}", f"{mine}/{number}{rest}")
        secret = self.add_token(TokenKind.PERSONAL, "api", user="spare")
        yield Example("DELETE", f"{mine}/self", f"{mine}/self", None, {"Authorization": f"Bearer {secret}"})
        yield Example("DELETE", user, f"{api}/users/5")
        yield from self.format_examples()
        packages = f"{PROJECT}/packages/<number:package_id>"
        file = self.publish(b"1", "one")
        path = f"/api/v4/projects/1/packages/{file.package_id}"
        yield Example("DELETE", f"{packages}/package_files/<number:file_id>", f"{path}/package_files/{file.id}")
        file = self.publish(b"2", "two")
        yield Example("DELETE", packages, f"/api/v4/projects/1/packages/{file.package_id}")
        yield Example("DELETE", PROJECT, "/api/v4/projects/1")
        yield Example("DELETE", GROUP, "/api/v4/groups/acme")

    def number_of(self, secret: str) -> int:
        """The number of a token."""
        record = now(self.catalog.find_token(secret.split("_")[2]))
        assert record is not None
        return record.principal.token_id or 0

    def format_examples(self) -> Iterator[Example]:
        """Those of formats whose bodies are small."""
        base = "/api/v4/projects/1/packages"
        file = f"{PROJECT}/packages/generic/<segment:name>/<segment:version>/<path:file>"
        yield Example("PUT", file, f"{base}/generic/new/1.0/f.txt", {"a": 1})
        yield Example("DELETE", file, f"{base}/generic/new/1.0/f.txt")
        yank = f"{PROJECT}/packages/pypi/yank/<segment:name>/<segment:version>"
        for method in ("PUT", "DELETE"):
            yield Example(method, yank, f"{base}/pypi/yank/alpha/{VERSION}")
        crate = f"{PROJECT}/packages/cargo/api/v1/crates/<segment:name>/<segment:version>"
        yield Example("DELETE", f"{crate}/yank", f"{base}/cargo/api/v1/crates/alpha/{VERSION}/yank")
        yield Example("PUT", f"{crate}/unyank", f"{base}/cargo/api/v1/crates/alpha/{VERSION}/unyank")
        version = "<segment:id>/<segment:version>"
        for rest in ("", "v2/", "v2/package/"):
            yield Example("DELETE", f"{NUGET}/{rest}{version}", f"{base}/nuget/{rest}alpha/1.0")
            if not rest or rest == "v2/":
                yield Example("POST", f"{NUGET}/{version}", f"{base}/nuget/alpha/{VERSION}")
        yield from self.npm_examples(base)

    def npm_examples(self, base: str) -> Iterator[Example]:
        """Tags; and at each of three levels signing in and out, and one's own tokens."""
        for method in ("PUT", "DELETE"):
            rule = f"{NPM}/-/package/<path:name>/dist-tags/<segment:tag>"
            yield Example(
                method, rule, f"{base}/npm/-/package/alpha/dist-tags/next", VERSION if method == "PUT" else None
            )  # type: ignore[arg-type]
        for rule, path in (
            (NPM, f"{base}/npm"),
            (f"{GROUP}/-/packages/npm", "/api/v4/groups/acme/-/packages/npm"),
            ("/api/v4/packages/npm", "/api/v4/packages/npm"),
        ):
            whole = self.add_token(TokenKind.PERSONAL, "api", user="root")
            user = {"name": "root", "password": whole}
            yield Example("PUT", f"{rule}/-/user/<segment:user>", f"{path}/-/user/org.couchdb.user:root", user)
            tokens = f"{rule}/-/npm/v1/tokens"
            yield Example("POST", tokens, f"{path}/-/npm/v1/tokens", {"password": whole, "readonly": True, "name": "n"})
            public_id = self.add_token(TokenKind.PERSONAL, "api", user="root").split("_")[2]
            yield Example("DELETE", f"{tokens}/token/<segment:key>", f"{path}/-/npm/v1/tokens/token/{public_id}")
            secret = self.add_token(TokenKind.PERSONAL, "api", user="root")
            yield Example("DELETE", f"{rule}/-/user/token/<segment:secret>", f"{path}/-/user/token/{secret}")

    def test_every_change_is_told_once(self) -> None:
        """Each route that changes something leaves one entry with the request's id, or is shown elsewhere."""
        tried = set()
        for example in self.examples():
            before = len(self.catalog.trail)
            reply = self.ask(example.method, example.path, "root", example.fields, **example.headers)
            self.assertIn(reply.status // 100, (2, 3), (example, reply))
            told = self.catalog.trail[before:]
            self.assertEqual(len(told), example.entries, (example, told))
            origins = [entry.principal.origin for entry in told]
            self.assertEqual([origin and origin.request_id for origin in origins], [reply.headers["x-request-id"]])
            tried.add((example.method, example.rule))
        tried.add(self.approve())
        missing = [
            (method, rule)
            for rule, mount in self.rules
            for method in sorted(CHANGING & set(mount.route.methods))
            if not mount.route.is_question and (method, rule) not in tried and not rule.endswith(tuple(NOT_TRIED))
        ]
        self.assertEqual(missing, [])

    def approve(self) -> tuple[str, str]:
        """Say yes to a client that waits."""
        now(self.catalog.add_sign_in(NewSignIn("w", "5" * 64, "192.0.2.9", "npm/11", self.time() + DAY), 9))
        before = len(self.catalog.trail)
        form = f"token={self.secrets['root']}".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = self.client.request("POST", "/-/sign-in/w", headers, form)
        self.assertEqual((reply.status, len(self.catalog.trail)), (200, before + 1), reply)
        return "POST", "/-/sign-in/<segment:public_id>"

    def test_what_is_refused_is_not_told(self) -> None:
        """No route tells anything of who may not, or of a body that is nonsense."""
        before, asked = len(self.catalog.trail), 0
        for rule, mount in self.rules:
            for method in sorted(CHANGING & set(mount.route.methods)):
                for who in ("", "stranger", "reporter"):
                    reply = self.ask(method, fill(rule, mount.level), who, {"nonsense": 1})
                    asked += 1
                    if reply.status >= 400:
                        self.assertEqual(len(self.catalog.trail), before, (method, rule, who))
                    before = len(self.catalog.trail)
        self.assertGreater(asked, 150)


DAY = datetime.timedelta(days=1)
