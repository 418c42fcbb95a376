"""
The service tree: everything a daemon is made of, started and stopped in order.

    start   catalog, blobs, remotes, front -> bind every endpoint -> clear what dead processes left -> ready
    stop    close the ports -> let requests finish -> periodic work -> archive readers -> blobs -> catalog
"""

from __future__ import annotations

import gc
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from pkgregd.auth.accounts import Accounts, AccountSettings
from pkgregd.auth.authenticator import TokenAuthenticator
from pkgregd.auth.tokendesk import TokenDesk
from pkgregd.auth.tokenuses import TokenUses
from pkgregd.chores import Chores
from pkgregd.clockwork import start, utc_now, with_deadline
from pkgregd.config import Config
from pkgregd.errors import ConfigError, PkgregdError, Unavailable
from pkgregd.http.factory import FrontFactory
from pkgregd.http.front import make_factory, mounts
from pkgregd.http.openapi import describe
from pkgregd.http.proxied import ENDPOINT, ProxiedFactory
from pkgregd.interfaces import (
    IDueTimes,
    IIdTokenExchange,
    IRouteTable,
)
from pkgregd.manage.about import AboutManagement
from pkgregd.manage.audit import AuditManagement
from pkgregd.manage.exchange import ExchangeRoutes, OAuthRoutes
from pkgregd.manage.jobs import JobManagement
from pkgregd.manage.metrics import MetricsRoutes
from pkgregd.manage.packages import PackageManagement
from pkgregd.manage.people import PeopleManagement
from pkgregd.manage.places import PlaceManagement
from pkgregd.manage.protection import ProtectionManagement
from pkgregd.manage.settings import SettingsManagement
from pkgregd.manage.tokens import TokenManagement
from pkgregd.parts import Parts, front_settings, inspection_limits, make_parts
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.directory import Directories
from pkgregd.registry.events import LogEvents
from pkgregd.registry.inventory import Inventories
from pkgregd.registry.limits import PrefixLimits, address_key
from pkgregd.registry.remotes import Remotes
from pkgregd.registry.settings import PlaceSettings, known_settings
from pkgregd.registry.trail import Trail
from pkgregd.shared.duetimes import SharedDueTimes, open_due_times
from pkgregd.values import PublicPages
from pkgregd.web import signin
from pkgregd.web.api import api_page, document_pages
from pkgregd.web.help import help_pages
from pkgregd.web.signin import SignInPages

log = Logger()

CHECK_SECONDS = 2.0
"""How long a part may take to say whether it is ready."""

LEAST_OPEN_FILES = 4096

SWITCH_SECONDS = 0.0003
"""How long another thread may keep the interpreter from the reactor, which may want it several times a request."""


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
        self._chores: Chores | None = None
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
        policy, events = AccessPolicy(), LogEvents(self._reactor, parts.metrics)
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
            MetricsRoutes(parts.metrics, self._config.metrics.allowed),
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
            measures=parts.metrics,
        )
        for description in self._config.http.listen:
            self._bind(description, self._factory)
        self._chores = Chores(
            self._reactor, self._config, parts, self._remotes, events, self._uses, lambda: self._is_stopping
        )

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
        if self._chores is not None:
            self._chores.start()
        if self._parts is not None:
            self._parts.metrics.start()
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
        assert self._chores is not None
        try:
            removed = await self._chores.recover()
        finally:
            self._recovered = True
        log.info("ready; {removed} files of dead processes removed", removed=removed, event="daemon.ready")

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
        if self._chores is not None:
            await self._chores.stop()
        if self._uses is not None:
            await self._step("noting when tokens were used", self._uses.write)
        if self._remotes is not None:
            await self._step("closing archive readers", self._remotes.close)
        if self._events is not None:
            self._events.flush()
        if self._parts is not None:
            await self._step("closing blobs", self._parts.blobs.close)
            await self._step("closing the catalog", self._parts.catalog.close)
            self._parts.metrics.stop()
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


def raise_open_files() -> None:
    """Allow as many open files as the system lets us; warn if that is few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < LEAST_OPEN_FILES:
        log.warn("only {hard} files may be open at once (RLIMIT_NOFILE)", hard=hard, event="daemon.few_files")
