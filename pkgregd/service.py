"""
Everything a daemon is made of, started and stopped in order; who listens for it is in pkgregd.process.

    start   catalog, blobs, remotes, front -> clear what dead processes left -> ready
    stop    let requests finish -> periodic work -> archive readers -> blobs -> catalog
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from twisted.logger import Logger

from pkgregd.auth.accounts import Accounts, AccountSettings
from pkgregd.auth.authenticator import TokenAuthenticator
from pkgregd.auth.tokendesk import TokenDesk
from pkgregd.auth.tokenuses import TokenUses
from pkgregd.chores import Chores
from pkgregd.clockwork import utc_now
from pkgregd.config import Config
from pkgregd.errors import ConfigError, Unavailable
from pkgregd.http.factory import FrontFactory
from pkgregd.http.front import make_factory, mounts
from pkgregd.http.openapi import describe
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
from pkgregd.readiness import Readiness
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.directory import Directories
from pkgregd.registry.events import LogEvents
from pkgregd.registry.inventory import Inventories
from pkgregd.registry.limits import PrefixLimits
from pkgregd.registry.remotes import Remotes
from pkgregd.registry.settings import PlaceSettings, known_settings
from pkgregd.registry.trail import Trail
from pkgregd.shared.duetimes import SharedDueTimes, open_due_times
from pkgregd.values import PublicPages, address_key
from pkgregd.web import signin
from pkgregd.web.api import api_page, document_pages
from pkgregd.web.help import help_pages
from pkgregd.web.signin import SignInPages

log = Logger()


class Daemon:
    """
    What one configuration makes: a reload makes another one, and closes this.

    Args:
        parts: opens catalog, blobs and formats.
        due_times: where callers are counted, unless the configuration names a file.

    Attributes:
        factory: makes the connections; there once it is open.
    """

    factory: FrontFactory

    def __init__(
        self,
        reactor: Any,
        config: Config,
        parts: Callable[[Any, Config], Parts] = make_parts,
        due_times: IDueTimes | None = None,
    ) -> None:
        self._reactor = reactor
        self._config = config
        self._make_parts = parts
        self._parts: Parts | None = None
        self._remotes: Remotes | None = None
        self._events: LogEvents | None = None
        self._trail: Trail | None = None
        self._given_due_times = due_times
        self._is_open = False
        self._chores: Chores | None = None
        self._uses: TokenUses | None = None
        self._due_times: SharedDueTimes | None = None
        self._readiness: Readiness | None = None
        self._recovered = False
        self._is_stopping = False

    # ------------------------------------------------------------------ start

    def open(self) -> None:
        """
        Open everything at once.

        Raises:
            PkgregdError: fit to be printed; close() is still needed.
        """
        self._parts = parts = self._make_parts(self._reactor, self._config)
        checks = {"catalog": parts.catalog.check, "blobs": parts.blobs.check}
        self._readiness = Readiness(self._reactor, checks)
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
        self.factory = make_factory(
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
        self._is_open = True
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
        return self._due_times or self._given_due_times

    async def start(self) -> None:
        """Begin the periodic work, and clear what dead processes left: then it is ready."""
        assert self._parts is not None
        assert self._chores is not None
        self._parts.metrics.start()
        self._chores.start()
        try:
            removed = await self._chores.recover()
        finally:
            self._recovered = True
        log.info("ready; {removed} files of dead processes removed", removed=removed, event="daemon.ready")

    # ------------------------------------------------------------------ health

    async def readiness(self) -> Sequence[str]:
        """Return why the daemon cannot serve at the moment; empty when it can."""
        if self._is_stopping:
            return ["the daemon is stopping"]  # at once: a balancer has to see it before the ports close
        assert self._readiness is not None
        reasons = await self._readiness.complaints()
        if not self._recovered:
            return ["staging files of dead processes are being removed", *reasons]
        return reasons

    # ------------------------------------------------------------------ stop

    def announce_stop(self) -> None:
        """Say that it is not ready any more, while everything is still served."""
        self._is_stopping = True

    async def close(self) -> None:
        """Let running requests finish, and close everything, in order. No port may lead here any more."""
        self._is_stopping = True
        log.info("stopping: running requests may finish", event="daemon.stopping")
        if self._trail is not None:
            self._trail.stop()
        if self._is_open:
            await self._step("draining", partial(self.factory.drain, self._config.http.shutdown_grace_seconds))
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
