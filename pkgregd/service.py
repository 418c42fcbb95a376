"""
The service tree: everything a daemon is made of, started and stopped in order.

    start   catalog, blobs, remotes, front -> bind every endpoint -> clear what dead processes left -> ready
    stop    close the ports -> let requests finish -> periodic work -> archive readers -> blobs -> catalog
"""

from __future__ import annotations

import datetime
import gc
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from attrs import evolve, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from pkgregd.auth.accounts import Accounts, AccountSettings
from pkgregd.auth.authenticator import TokenAuthenticator
from pkgregd.auth.tokendesk import TokenDesk
from pkgregd.auth.tokenuses import WRITE_SECONDS, TokenUses
from pkgregd.blobs import open_blob_store
from pkgregd.catalog import open_catalog
from pkgregd.clockwork import PeriodicTask, start, with_deadline
from pkgregd.config import Config, FormatConfig
from pkgregd.errors import ConfigError, PkgregdError, Unavailable
from pkgregd.http.factory import FrontFactory
from pkgregd.http.front import make_factory, mounts
from pkgregd.http.openapi import describe
from pkgregd.http.proxied import ENDPOINT, ProxiedFactory
from pkgregd.http.settings import FrontSettings
from pkgregd.interfaces import (
    IBlobStore,
    IBuildFormat,
    ICatalog,
    IDueTimes,
    IIdTokenExchange,
    IPackageFormat,
    IRouteTable,
)
from pkgregd.manage.about import AboutManagement
from pkgregd.manage.audit import AuditManagement
from pkgregd.manage.exchange import ExchangeRoutes, OAuthRoutes
from pkgregd.manage.jobs import JobManagement
from pkgregd.manage.packages import PackageManagement
from pkgregd.manage.people import PeopleManagement
from pkgregd.manage.places import PlaceManagement
from pkgregd.manage.protection import ProtectionManagement
from pkgregd.manage.settings import SettingsManagement
from pkgregd.manage.tokens import TokenManagement
from pkgregd.plugin import find_formats, read_manuals
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.directory import Directories
from pkgregd.registry.events import LogEvents
from pkgregd.registry.inspector_process import InspectionLimits
from pkgregd.registry.inventory import Inventories
from pkgregd.registry.limits import PrefixLimits, address_key
from pkgregd.registry.quotas import RENEWAL_SECONDS
from pkgregd.registry.remotes import Remotes
from pkgregd.registry.settings import PlaceSettings, known_settings
from pkgregd.registry.sweep import sweep
from pkgregd.registry.tidy import Tidying, rules_of
from pkgregd.registry.trail import Trail, forget
from pkgregd.shared.duetimes import SharedDueTimes, open_due_times
from pkgregd.values import FormatLimits, PublicPages
from pkgregd.web import signin
from pkgregd.web.api import api_page, document_pages
from pkgregd.web.help import help_pages
from pkgregd.web.signin import SignInPages

log = Logger()

RECOVERY_SECONDS = 3600.0
SWEEP_SECONDS = 3600.0
SWEEP_GRACE = datetime.timedelta(hours=24)
FORGET_SECONDS = 3600.0
TIDY_SECONDS = 300.0
FORGET_SECONDS = 300.0
TIDY_TURN_SECONDS = 10.0
"""How long one turn of the removal of builds goes on; the next one goes on where it ended."""

CHECK_SECONDS = 2.0
"""How long a part may take to say whether it is ready."""

LEAST_OPEN_FILES = 4096

SWITCH_SECONDS = 0.0003
"""How long another thread may keep the interpreter from the reactor, which may want it several times a request."""


@frozen
class Parts:
    """
    What a daemon works with; tests put others in.

    Attributes:
        manuals: the manual page of each format, by its name.
    """

    catalog: ICatalog
    blobs: IBlobStore
    formats: Sequence[IPackageFormat]
    limits_by_format: Mapping[str, FormatLimits]
    manuals: Mapping[str, str] = field(factory=dict, repr=False)


def make_parts(reactor: Any, config: Config) -> Parts:
    """
    Open what the configuration names.

    Raises:
        ConfigError, SchemaError, Unavailable: fit to be printed.
    """
    known = find_formats()
    config.require_formats(known)
    config.require_builds([name for name, made in known.items() if IBuildFormat.providedBy(made)])
    enabled = {name: made for name, made in known.items() if config.formats.get(name, FormatConfig()).enabled}
    if not enabled:
        raise ConfigError("no format is enabled")
    redirects = config.blobs.redirect_downloads
    limits = {
        name: config.formats.get(name, FormatConfig()).limits(evolve(made.default_limits, redirect_downloads=redirects))
        for name, made in enabled.items()
    }
    manuals = read_manuals(enabled)
    catalog = open_catalog(
        reactor, config.catalog.url, config.folder, config.catalog.readers, config.catalog.connections
    )
    blobs = open_blob_store(
        reactor,
        config.blobs.url,
        config.folder,
        reserve_bytes=config.blobs.reserve_bytes,
        threads=config.blobs.threads,
        s3=config.blobs,
    )
    return Parts(catalog, blobs, list(enabled.values()), limits, manuals)


def front_settings(config: Config) -> FrontSettings:
    """Take the front's settings from the configuration."""
    http = config.http
    return FrontSettings(
        handshake_timeout_seconds=http.handshake_timeout_seconds,
        header_timeout_seconds=http.header_timeout_seconds,
        idle_timeout_seconds=http.idle_timeout_seconds,
        body_min_bytes_per_second=http.body_min_bytes_per_second,
        body_grace_seconds=http.body_grace_seconds,
        max_body_seconds=http.max_body_seconds,
        write_stall_seconds=http.write_stall_seconds,
        drain_max_bytes=http.drain_max_bytes,
        drain_seconds=http.drain_seconds,
        max_connections=http.max_connections,
        max_connections_per_address=http.max_connections_per_address,
        too_large_status=http.too_large_status,
        trusted_proxies=http.trusted_proxies,
    )


def inspection_limits(config: Config) -> InspectionLimits:
    """Take the limits of archive readers from the configuration."""
    inspection = config.inspection
    return InspectionLimits(
        processes=inspection.processes,
        memory_bytes=inspection.memory_bytes,
        cpu_seconds=inspection.cpu_seconds,
        deadline_seconds=inspection.deadline_seconds,
    )


def make_service(reactor: Any, config: Config, parts: Callable[[Any, Config], Parts] = make_parts) -> Daemon:
    """Make the daemon; nothing is opened before it starts."""
    return Daemon(reactor, config, parts)


class Daemon(Service):
    """
    One daemon.

    Starting opens and binds everything at once (after twistd's fork, before it sheds privileges) and
    raises SystemExit with one line if that fails.

    Args:
        parts: opens catalog, blobs and formats.
    """

    def __init__(self, reactor: Any, config: Config, parts: Callable[[Any, Config], Parts]) -> None:
        self._reactor = reactor
        self._config = config
        self._make_parts = parts
        self._parts: Parts | None = None
        self._remotes: Remotes | None = None
        self._events: LogEvents | None = None
        self._trail: Trail | None = None
        self._factory: FrontFactory | None = None
        self._ports: list[IListeningPort] = []
        self._tasks: list[PeriodicTask] = []
        self._tidying: Tidying | None = None
        self._uses: TokenUses | None = None
        self._due_times: SharedDueTimes | None = None
        self._recovered = False
        self._is_stopping = False

    # ------------------------------------------------------------------ start

    def privilegedStartService(self) -> None:
        """Open and bind."""
        raise_open_files()
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            self._open()
        except PkgregdError as error:
            raise SystemExit(f"pkgregd: {error}") from None

    def _open(self) -> None:
        self._parts = parts = self._make_parts(self._reactor, self._config)
        policy, events = AccessPolicy(), LogEvents(self._reactor)
        self._uses = TokenUses(parts.catalog, utc_now)
        self._events = events
        self._remotes = Remotes(
            self._reactor,
            parts.catalog,
            parts.blobs,
            policy,
            events,
            parts.limits_by_format,
            inspection_limits(self._config),
            self._config.packages.quota_bytes,
        )
        external_url = self._config.http.external_url
        request_limits = PrefixLimits(self._config.rate_limits, time.monotonic, self._open_due_times())
        page_url = external_url.rstrip("/") + signin.PATH
        directories, desk = Directories(parts.catalog, policy), TokenDesk(parts.catalog, utc_now)
        self._trail = Trail(self._reactor, parts.catalog)
        inventories = Inventories(parts.catalog, parts.blobs, policy, events)
        settings = known_settings(parts.formats, parts.limits_by_format, self._config.packages.quota_bytes)
        tables: list[IRouteTable] = [
            PackageManagement(inventories, [made.name for made in parts.formats]),
            PlaceManagement(directories),
            PeopleManagement(directories),
            ProtectionManagement(parts.catalog, parts.formats),
            TokenManagement(desk, directories, utc_now),
            JobManagement(desk, utc_now),
            AboutManagement(version("pkgregd")),
            SettingsManagement(PlaceSettings(parts.catalog, settings)),
            AuditManagement(parts.catalog, self._trail),
            ExchangeRoutes(),
            OAuthRoutes(),
            SignInPages(),
        ]
        self._factory = make_factory(
            self._reactor,
            formats=parts.formats,
            limits_by_format=parts.limits_by_format,
            authenticator=TokenAuthenticator(utc_now, self._uses.note),
            policy=policy,
            catalog=parts.catalog,
            remotes=self._remotes,
            accounts=Accounts(
                AccountSettings(parts.catalog, request_limits, address_key, page_url, utc_now, self._exchange(parts))
            ),
            request_limits=request_limits,
            readiness=self.readiness,
            external_url=external_url,
            settings=front_settings(self._config),
            tables=tables,
            pages=_pages(parts, tables, external_url),
            accepts_query_tokens=self._config.auth.query_tokens,
        )
        for description in self._config.http.listen:
            self._bind(description, self._factory)
        self._tasks = [
            PeriodicTask(self._reactor, RECOVERY_SECONDS, self._recover, "clearing staging files"),
            PeriodicTask(self._reactor, SWEEP_SECONDS, self._sweep, "sweeping blobs"),
            PeriodicTask(self._reactor, WRITE_SECONDS, self._uses.write, "noting when tokens were used"),
            PeriodicTask(self._reactor, FORGET_SECONDS, parts.catalog.forget_ended, "forgetting jobs that ended"),
            PeriodicTask(self._reactor, RENEWAL_SECONDS, self._remotes.quotas.renew, "renewing reservations"),
        ]
        if self._config.audit.keep_days:
            task = PeriodicTask(self._reactor, FORGET_SECONDS, self._forget, "removing old audit entries")
            self._tasks.append(task)
        rules = rules_of(parts.formats, parts.limits_by_format)
        if rules:
            self._tidying = Tidying(parts.catalog, rules, self._remotes.pages.run, events.emit, utc_now)
            self._tasks.append(PeriodicTask(self._reactor, TIDY_SECONDS, self._tidy, "removing old builds"))

    def _exchange(self, parts: Parts) -> IIdTokenExchange | None:
        if not self._config.oidc:
            return None
        # treq, and all that it brings, is for those alone who have a CI system configured
        from pkgregd.auth.exchange import make_exchange

        return make_exchange(self._reactor, self._config.oidc, parts.catalog, utc_now)

    def _open_due_times(self) -> IDueTimes | None:
        """Open what the processes of this host count in together, if it is configured."""
        file = self._config.rate_limiting.shared_state
        if file:
            try:
                self._due_times = open_due_times(self._config.folder / file)
            except Unavailable as error:
                raise ConfigError(f"rate_limiting.shared_state: {error}") from None
        return self._due_times

    def _bind(self, description: str, factory: FrontFactory) -> None:
        """Listen now; a plain endpoint service would only log that it cannot."""
        failures: list[Failure] = []
        try:
            plain = description.removeprefix(ENDPOINT)
            made = factory if plain == description else ProxiedFactory(factory)
            listening = serverFromString(self._reactor, plain).listen(made)
        except Exception as error:  # an endpoint is a plug-in, and its parser raises what it likes
            raise ConfigError(f"http.listen: {description}: {error}") from None
        listening.addCallbacks(self._ports.append, failures.append)
        if failures:
            raise Unavailable(f"cannot listen on {description}: {failures[0].getErrorMessage()}")

    def startService(self) -> None:
        """Begin the work that needs the reactor."""
        super().startService()
        for task in self._tasks:
            task.startService()
        self._reactor.callWhenRunning(self._running)

    def _running(self) -> None:
        # what was imported and made so far stays: looking through all of it again would stop the reactor for 50 ms
        gc.collect()
        gc.freeze()
        # twistd would end by the signal again; a stop in good order is exit status 0
        signal.signal(signal.SIGTERM, self._terminate)
        start(self._first_recovery(), "clearing staging files")

    def _terminate(self, number: int, frame: object) -> None:
        """Stop in order on the first SIGTERM; the next one ends the process at once."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._reactor.callFromThread(self._reactor.stop)

    async def _first_recovery(self) -> None:
        try:
            removed = await self._recover()
        finally:
            self._recovered = True
        log.info("ready; {removed} files of dead processes removed", removed=removed, event="daemon.ready")

    async def _recover(self) -> int:
        assert self._parts is not None
        return await self._parts.blobs.recover(self._parts.catalog.forget_blob)

    async def _sweep(self) -> None:
        assert self._parts is not None
        report = await sweep(self._parts.catalog, self._parts.blobs, grace=SWEEP_GRACE, now=utc_now())
        log.info(
            "sweep removed {removed} blobs, {removed_bytes} bytes",
            removed=report.removed,
            removed_bytes=report.removed_bytes,
            event="sweep.done",
        )

    async def _forget(self) -> None:
        assert self._parts is not None
        before = utc_now() - datetime.timedelta(days=self._config.audit.keep_days)
        removed = await forget(self._parts.catalog, before, lambda: self._is_stopping)
        if removed:
            log.info("{removed} old audit entries removed", removed=removed, event="audit.forgotten")

    async def _tidy(self) -> None:
        assert self._tidying is not None
        ends_at = self._reactor.seconds() + TIDY_TURN_SECONDS
        report = await self._tidying.go_on(lambda: self._is_stopping or self._reactor.seconds() >= ends_at)
        if report.builds:
            log.info(
                "{builds} old builds removed, {files} files, {file_bytes} bytes",
                builds=report.builds,
                files=report.files,
                file_bytes=report.file_bytes,
                event="tidy.done",
            )

    # ------------------------------------------------------------------ health

    async def readiness(self) -> Sequence[str]:
        """Return why the daemon cannot serve at the moment; empty when it can."""
        assert self._parts is not None
        reasons = []
        if self._is_stopping:
            reasons.append("the daemon is stopping")
        if not self._recovered:
            reasons.append("staging files of dead processes are being removed")
        checks: Mapping[str, Callable[[], Coroutine[Deferred[Any], Any, None]]] = {
            "catalog": self._parts.catalog.check,
            "blobs": self._parts.blobs.check,
        }
        for name, check in checks.items():
            slow = partial(Unavailable, f"no answer within {CHECK_SECONDS:g} seconds")
            try:
                await with_deadline(self._reactor, CHECK_SECONDS, ensureDeferred(check()), slow)
            except PkgregdError as error:
                reasons.append(f"{name}: {error}")
        return reasons

    # ------------------------------------------------------------------ stop

    def stopService(self) -> Deferred[None]:
        """Stop in order; fires when everything is closed."""
        super().stopService()
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        self._is_stopping = True
        log.info("stopping: running requests may finish", event="daemon.stopping")
        await self._step("closing ports", self._close_ports)
        if self._trail is not None:
            self._trail.stop()
        if self._factory is not None:
            await self._step("draining", partial(self._factory.drain, self._config.http.shutdown_grace_seconds))
        for task in self._tasks:
            await self._step("stopping periodic work", partial(_awaitable, task.stopService))
        if self._uses is not None:
            await self._step("noting when tokens were used", self._uses.write)
        if self._remotes is not None:
            await self._step("closing archive readers", self._remotes.close)
        if self._events is not None:
            self._events.flush()
        if self._parts is not None:
            await self._step("closing blobs", self._parts.blobs.close)
            await self._step("closing the catalog", self._parts.catalog.close)
        if self._due_times is not None:
            self._due_times.close()

    async def _close_ports(self) -> None:
        ports, self._ports = self._ports, []
        for port in ports:
            await _awaitable(port.stopListening)

    async def _step(self, what: str, step: Callable[[], Awaitable[object]]) -> None:
        """Do one step of stopping; a failed one is logged and the others still come."""
        try:
            await step()
        except Exception:
            log.failure("{what} failed", what=what, event="daemon.stop_failed")


def _pages(parts: Parts, tables: Sequence[IRouteTable], external_url: str) -> PublicPages:
    """Make what everybody may read: the manual, and the description of all that is answered."""
    rules = mounts(parts.formats, parts.limits_by_format, tables)
    document = describe(rules, external_url, version("pkgregd"))
    return {**help_pages(parts.manuals, external_url, [api_page(document)]), **document_pages(document)}


async def _awaitable(function: Callable[[], object]) -> object:
    return await maybeDeferred(function)


def utc_now() -> datetime.datetime:
    """Return the present time, aware."""
    return datetime.datetime.now(datetime.UTC)


def raise_open_files() -> None:
    """Allow as many open files as the system lets us; warn if that is few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < LEAST_OPEN_FILES:
        log.warn("only {hard} files may be open at once (RLIMIT_NOFILE)", hard=hard, event="daemon.few_files")
