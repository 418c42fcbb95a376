"""Over HTTP: reading writes nothing, a change is told once, and what is refused is not told."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from attrs import evolve
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
from pkgregd.manage.about import AboutManagement
from pkgregd.manage.audit import AuditManagement
from pkgregd.manage.exchange import GRANT, ID_TOKEN, ExchangeRoutes, OAuthRoutes
from pkgregd.manage.jobs import JobManagement
from pkgregd.manage.metrics import MetricsRoutes
from pkgregd.manage.packages import PackageManagement
from pkgregd.manage.people import PeopleManagement
from pkgregd.manage.places import PlaceManagement
from pkgregd.manage.protection import ProtectionManagement
from pkgregd.manage.settings import SettingsManagement
from pkgregd.manage.tokens import TokenManagement
from pkgregd.plugin import find_formats
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.deriving import Derivations
from pkgregd.registry.directory import Directories
from pkgregd.registry.events import NoEvents
from pkgregd.registry.inventory import Inventories
from pkgregd.registry.limits import PrefixLimits
from pkgregd.registry.pages import Pages
from pkgregd.registry.remotes import Remotes
from pkgregd.registry.settings import PlaceSettings, known_settings
from pkgregd.registry.trail import Trail
from pkgregd.testing.calls import InlineInspections, now
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.testing.client import ClientReply, MemoryClient
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import (
    ANONYMOUS,
    Level,
    NewToken,
    PackageFile,
    Rate,
    Role,
    TokenKind,
    Verdict,
    Visibility,
    address_key,
)
from pkgregd.web import signin
from pkgregd.web.signin import SignInPages
from tests.catalog.support import ThreadedClock
from tests.catalog.test_audit import writing_verbs
from tests.support.anyexchange import AnyExchange
from tests.support.changes import (
    GROUP,
    NPM,
    PACKAGES,
    PROJECT,
    VERSION,
    Example,
    format_examples,
    npm_removal,
    rule_examples,
)
from tests.test_routes import CHANGING, whole_table

T = TypeVar("T")
URL = "https://registry.test"
WRITING_VERBS = frozenset(writing_verbs())

WRITING_READS = {
    "/-/v1/done": "npm asks by GET whether it was signed in, and is given its token once; the token is told",
}
"""Ends of rules that write at a GET, and why: how the client asks is not ours to say."""


async def at_once(job: Callable[[], T]) -> T:
    """Do here and now what a daemon does elsewhere."""
    return job()


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
        request_limits.admit_failure = lambda address, caller=None: Verdict("", Rate(1, 1), 1, 0.0, None)  # type: ignore[method-assign]
        directories = Directories(catalog, policy)
        tables = [
            PackageManagement(Inventories(catalog, blobs, policy, events), list(limits)),
            PlaceManagement(directories),
            PeopleManagement(directories),
            ProtectionManagement(catalog, formats),
            TokenManagement(TokenDesk(catalog, self.time), directories, self.time),
            JobManagement(TokenDesk(catalog, self.time), self.time),
            AboutManagement(""),
            ExchangeRoutes(),
            OAuthRoutes(),
            SettingsManagement(PlaceSettings(catalog, known_settings(formats, limits, None))),
            AuditManagement(catalog, Trail(self.clock, catalog)),
            MetricsRoutes(UNMEASURED, ()),
            SignInPages(),
        ]
        self.rules = mounts(formats, limits, tables)
        self.assertEqual([rule for rule, _ in self.rules], [rule for rule, _ in whole_table()])
        remotes = Remotes(self.clock, catalog, blobs, policy, events, limits)
        self.addCleanup(lambda: now(remotes.close()))
        self.remotes = remotes
        self.client = MemoryClient(
            make_factory(
                self.clock,
                formats=formats,
                limits_by_format=limits,
                authenticator=TokenAuthenticator(self.time),
                policy=policy,
                catalog=catalog,
                remotes=remotes,
                accounts=Accounts(
                    AccountSettings(
                        catalog,
                        request_limits,
                        address_key,
                        URL + signin.PATH,
                        self.time,
                        AnyExchange(catalog, "acme/x", self.time),
                    )
                ),
                request_limits=request_limits,
                readiness=lambda: succeed([]),
                external_url=URL,
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

    def ask(
        self, method: str, path: str, who: str = "root", fields: object = None, *, body: bytes | None = None,
        **headers: str,
    ) -> ClientReply:  # fmt: skip
        """Send a request, with a body of JSON or of anything."""
        shown = {"Authorization": f"Bearer {self.secrets[who]}", **headers} if self.secrets[who] else {**headers}
        if fields is not None:
            body, shown["Content-Type"] = json.dumps(fields).encode(), "application/json"
        elif body is None and method not in ("GET", "HEAD"):
            body = b""
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

    def setUp(self) -> None:
        """Have archives read, and what follows from them made, here and now."""
        super().setUp()
        self.remotes.inspections = InlineInspections()
        self.remotes.derivations = Derivations(self.clock, at_once)
        self.remotes.pages = Pages(at_once)

    def examples(self) -> Iterator[Example]:
        """Changes in an order in which each is possible; what it takes is made on the way."""
        for scope, place in ((PROJECT, "/api/v4/projects/1"), (GROUP, "/api/v4/groups/acme")):
            owner = {"project": "1"} if scope is PROJECT else {"group": "1"}
            yield Example("PUT", scope, place, {"visibility": "internal"})
            settings = "packages/settings" if scope is PROJECT else "-/packages/settings"
            for method, wanted in (("PUT", 1 << 40), ("PATCH", 1 << 39)):
                yield Example(method, f"{scope}/{settings}", f"{place}/{settings}", {"quota_bytes": wanted})
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
        for rest, method in (("/rotate", "POST"), ("", "DELETE")):
            shown = {"Authorization": f"Bearer {self.add_token(TokenKind.PERSONAL, 'api', user='spare')}"}
            yield Example(method, f"{mine}/self{rest}", f"{mine}/self{rest}", None, shown)
        yield Example("DELETE", user, f"{api}/users/5")
        yield from format_examples()
        yield from npm_removal(self.revision)
        yield from rule_examples()
        yield from self.account_examples()
        yield from self.job_examples()
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

    def account_examples(self) -> Iterator[Example]:
        """What npm has at each of three levels: signing in and out, and one's own tokens."""
        for rule, path in (
            (NPM, f"{PACKAGES}/npm"),
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

    def job_examples(self) -> Iterator[Example]:
        """Jobs, begun in the words of three worlds and ended in three ways; of a token that is none nothing is told."""
        exchange, mint_token, burn = "/api/v4/job_tokens/exchange", "/_/oidc/mint-token", "/_/oidc/burn-token"
        yield Example("POST", exchange, exchange, {"id_token": "1"})
        yield Example("POST", mint_token, mint_token, {"token": "2"})
        grant = {"grant_type": GRANT, "subject_token": "3", "subject_token_type": ID_TOKEN}
        yield Example("POST", "/oauth/token", "/oauth/token", grant)
        secrets = [self.add_token(TokenKind.JOB, project="acme/x", expires_at=self.time() + DAY) for _ in range(3)]
        yield Example("POST", burn, burn, {"token": secrets[0]})
        yield Example("POST", burn, burn, {"token": "none"}, entries=0)
        shown = {"Authorization": f"Bearer {secrets[1]}"}
        yield Example("DELETE", "/api/v4/job", "/api/v4/job", None, shown)
        path = f"/api/v4/projects/1/job_tokens/{self.number_of(secrets[2])}"
        yield Example("DELETE", f"{PROJECT}/job_tokens/<number:token_id>", path)

    def revision(self, name: str) -> str:
        """The revision of an npm package."""
        found: str = json.loads(self.ask("GET", f"{PACKAGES}/npm/{name}").body)["_rev"]
        return found

    def test_every_change_is_told_once(self) -> None:
        """Each route that changes something leaves what it has to, with the request's id; none is left out."""
        tried = self.sign_in()
        for example in self.examples():
            before = len(self.catalog.trail)
            reply = self.ask(example.method, example.path, "root", example.fields, body=example.body, **example.headers)
            if example.status is None:
                self.assertIn(reply.status // 100, (2, 3), (reply, example))
            else:
                self.assertEqual(reply.status, example.status, (reply, example))
            told = self.catalog.trail[before:]
            self.assertEqual(len(told), example.entries, (example, told))
            for entry in told:
                origin = entry.principal.origin
                self.assertEqual(origin and origin.request_id, reply.headers["x-request-id"], (example, entry))
            tried.add((example.method, example.rule))
        missing = [
            (method, rule)
            for rule, mount in self.rules
            for method in sorted(CHANGING & set(mount.route.methods))
            if not mount.route.is_question and (method, rule) not in tried
        ]
        self.assertEqual(missing, [])

    def sign_in(self) -> set[tuple[str, str]]:
        """Sign npm in by a page at every level: that it waits is not told, the yes and the token are."""
        tried = set()
        for rule, path in (
            (NPM, f"{PACKAGES}/npm"),
            (f"{GROUP}/-/packages/npm", "/api/v4/groups/acme/-/packages/npm"),
            ("/api/v4/packages/npm", "/api/v4/packages/npm"),
        ):
            before = len(self.catalog.trail)
            begun = self.ask("POST", f"{path}/-/v1/login", "", {})
            self.assertEqual((begun.status, len(self.catalog.trail)), (200, before), begun)
            login, done = (json.loads(begun.body)[name].removeprefix(URL) for name in ("loginUrl", "doneUrl"))
            form = f"token={self.secrets['root']}".encode()
            approval = {"body": form, "Content-Type": "application/x-www-form-urlencoded"}
            for method, step, more in (("POST", login, approval), ("GET", done, {})):
                before = len(self.catalog.trail)
                reply = self.ask(method, step, "", **more)  # type: ignore[arg-type] # a body and a header
                self.assertEqual((reply.status, len(self.catalog.trail)), (200, before + 1), reply)
            tried |= {("POST", f"{rule}/-/v1/login"), ("POST", "/-/sign-in/<segment:public_id>")}
        return tried

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
