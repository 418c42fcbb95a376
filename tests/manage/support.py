"""The management API through the whole front, over storage in memory, with principals of every kind."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import Factory, define, field
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from pkgregd.auth.accounts import Accounts, AccountSettings
from pkgregd.auth.authenticator import TokenAuthenticator
from pkgregd.auth.tokendesk import TokenDesk
from pkgregd.auth.tokens import mint
from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.formats.generic import GenericFormat
from pkgregd.formats.npm import NpmFormat
from pkgregd.formats.pypi import PyPIFormat
from pkgregd.http.front import make_factory
from pkgregd.http.settings import FrontSettings
from pkgregd.interfaces import IEventSink, IPackageFormat, IRouteTable
from pkgregd.manage.about import AboutManagement
from pkgregd.manage.audit import AuditManagement
from pkgregd.manage.jobs import JobManagement
from pkgregd.manage.metrics import MetricsRoutes
from pkgregd.manage.packages import PackageManagement
from pkgregd.manage.people import PeopleManagement
from pkgregd.manage.places import PlaceManagement
from pkgregd.manage.protection import ProtectionManagement
from pkgregd.manage.settings import SettingsManagement
from pkgregd.manage.tokens import TokenManagement
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.directory import Directories
from pkgregd.registry.inventory import Inventories
from pkgregd.registry.limits import PrefixLimits
from pkgregd.registry.remotes import Remotes
from pkgregd.registry.settings import PlaceSettings, known_settings
from pkgregd.registry.trail import Trail
from pkgregd.testing.calls import now
from pkgregd.testing.client import ClientReply, MemoryClient
from pkgregd.testing.measures import KeptMeasures
from pkgregd.values import (
    ANONYMOUS,
    Coordinates,
    Event,
    NewToken,
    PackageFile,
    PackageStatus,
    Publication,
    Role,
    TokenKind,
    Visibility,
    address_key,
)
from tests.support.described import DescribedTable, description

URL = "https://registry.test"
START_SECONDS = 1_800_000_000.25

PLACES = {
    "acme": Visibility.PUBLIC,
    "acme/private": Visibility.PRIVATE,
    "acme/internal": Visibility.INTERNAL,
    "acme/public": Visibility.PUBLIC,
    "acme/deep": Visibility.PRIVATE,
    "acme/deep/down": Visibility.PRIVATE,
    "other": Visibility.PRIVATE,
    "other/thing": Visibility.PRIVATE,
}
"""Groups and projects, each after its group; a path of two parts is a project unless another lies below it."""

HEADERS = {"pkgr_dpl_": "Deploy-Token", "pkgr_job_": "JOB-TOKEN"}
"""Where tokens are shown, by how they begin; all others are private tokens."""

GROUPS = frozenset({"acme", "acme/deep", "other"})


@implementer(IEventSink)
@define
class KeptEvents:
    """Keeps events, as `name: text`."""

    texts: list[str] = Factory(list)

    def emit(self, event: Event) -> None:
        """See IEventSink."""
        self.texts.append(f"{event.name}: {event.coordinates_text}")


@define
class ManagedWorld:
    """
    A front with the management. Each answer is held against what is said of it.

    Attributes:
        clock: of the catalog.
        ids: numbers of groups and projects by path.
        tokens: secrets by a name for their bearer; the empty one is anonymous.
        events: what was emitted.
        last: the last reply.
        formats: that are served beside the management.
        quota_bytes: as configured.
        metrics: what was measured.
        metrics_allowed: as configured.
    """

    clock: Clock = Factory(Clock)
    catalog: MemoryCatalog = field(init=False)
    blobs: MemoryBlobStore = Factory(MemoryBlobStore)
    events: KeptEvents = Factory(KeptEvents)
    ids: dict[str, int] = Factory(dict)
    tokens: dict[str, str] = Factory(lambda: {"": ""})
    formats: tuple[IPackageFormat, ...] = ()
    quota_bytes: int | None = None
    metrics: KeptMeasures = Factory(KeptMeasures)
    metrics_allowed: tuple[str, ...] = ()
    client: MemoryClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(START_SECONDS)
        self.catalog = MemoryCatalog(self.clock.seconds)
        for path, visibility in PLACES.items():
            add = self.catalog.add_group if path in GROUPS else self.catalog.add_project
            self.ids[path] = now(add(path, visibility))
        policy, limits = AccessPolicy(), PrefixLimits((), self.clock.seconds)
        limits_by_format = {made.name: made.default_limits for made in self.formats}

        def time() -> datetime.datetime:
            return datetime.datetime.fromtimestamp(self.clock.seconds(), datetime.UTC)

        self.client = MemoryClient(
            make_factory(
                self.clock,
                formats=self.formats,
                limits_by_format=limits_by_format,
                authenticator=TokenAuthenticator(time),
                policy=policy,
                catalog=self.catalog,
                remotes=Remotes(
                    self.clock,
                    self.catalog,
                    self.blobs,
                    policy,
                    self.events,
                    limits_by_format,
                    quota_bytes=self.quota_bytes,
                ),
                accounts=Accounts(AccountSettings(self.catalog, limits, address_key, URL, time)),
                request_limits=limits,
                readiness=lambda: succeed([]),
                external_url=URL,
                settings=FrontSettings(),
                tables=[DescribedTable(table) for table in self.tables(policy, time)],
                measures=self.metrics,
            )
        )
        self.add_user("root", is_admin=True)

    def tables(self, policy: AccessPolicy, time: Callable[[], datetime.datetime]) -> Sequence[IRouteTable]:
        """Make the tables of the management."""
        directories = Directories(self.catalog, policy)
        limits_by_format = {made.name: made.default_limits for made in self.formats}
        known = known_settings(self.formats, limits_by_format, self.quota_bytes)
        return (
            PackageManagement(Inventories(self.catalog, self.blobs, policy, self.events), ["toys"]),
            PlaceManagement(directories),
            PeopleManagement(directories),
            ProtectionManagement(self.catalog, [PyPIFormat(), NpmFormat(), GenericFormat()]),
            TokenManagement(TokenDesk(self.catalog, time), directories, time),
            SettingsManagement(PlaceSettings(self.catalog, known)),
            JobManagement(TokenDesk(self.catalog, time), time),
            AboutManagement("1.2.3"),
            AuditManagement(self.catalog, Trail(self.clock, self.catalog)),
            MetricsRoutes(self.metrics, self.metrics_allowed),
        )

    # --- who there is

    def add_user(
        self, name: str, place: str = "", role: Role | None = None, *, is_admin: bool = False, scope: str = "api"
    ) -> None:
        """Add a user, perhaps a member somewhere, with a personal token."""
        now(self.catalog.add_user(name, is_admin=is_admin))
        if role is not None:
            now(self.catalog.set_member(name, place, role))
        self.add_token(name, TokenKind.PERSONAL, scope, user=name)

    def add_token(self, name: str, kind: TokenKind, *scopes: str, role: Role | None = None, **owner: str) -> None:
        """Add a token."""
        minted = mint(kind)
        token = NewToken(minted.public_id, minted.secret_sha256, kind, name, frozenset(scopes), role=role, **owner)  # type: ignore[arg-type] # owners are texts
        now(self.catalog.add_token(token))
        self.tokens[name] = minted.secret

    # --- what there is

    def publish(
        self,
        name: str = "alpha",
        version: str = "1.0",
        file_name: str = "a.zip",
        data: bytes = b"x",
        *,
        path: str = "acme/private",
        format: str = "pypi",
        status: PackageStatus | None = None,
        algorithms: tuple[str, ...] = (),
    ) -> PackageFile:
        """Publish a file, and let a second pass."""
        sink = now(self.blobs.open_sink(algorithms))
        sink.write(data)
        blob = now(sink.commit())
        now(sink.abort())
        coordinates = Coordinates(format, self.ids[path], name, name.lower(), version, version, file_name)
        published = now(self.catalog.publish(Publication(coordinates, blob, status), ANONYMOUS))
        self.clock.advance(1)
        return published.file

    # --- asking

    def request(
        self,
        method: str,
        path: str,
        who: str = "root",
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> ClientReply:
        """Ask for something below `/api/v4`, or for one of the daemon's own pages, perhaps with a body of JSON."""
        secret = self.tokens[who]
        shown = {HEADERS.get(secret[:9], "PRIVATE-TOKEN"): secret} if secret else {}
        target = path if path.startswith("/-/") else "/api/v4" + path
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        reply = self.client.request(method, target, {**shown, **(headers or {})}, data)
        description().check(method, target, reply.status, reply.headers, reply.body)
        return reply

    def get(self, path: str, who: str = "root") -> Any:
        """Get some JSON."""
        reply = self.request("GET", path, who)
        assert reply.status == 200, (path, reply)
        assert reply.headers["content-type"] == "application/json"
        return json.loads(reply.body)

    def project(self, path: str = "acme/private") -> str:
        """Where the packages of a project are, below `/api/v4`."""
        return f"/projects/{self.ids[path]}/packages"
