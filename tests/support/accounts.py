"""A front in memory with accounts, the sign-in page and npm, to be known at."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from attrs import Factory, define, field
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from pkgregd.auth.accounts import Accounts, AccountSettings
from pkgregd.auth.authenticator import TokenAuthenticator
from pkgregd.auth.tokendesk import TokenDesk
from pkgregd.auth.tokens import mint
from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.formats.npm import NpmFormat
from pkgregd.formats.nuget import NuGetFormat
from pkgregd.http.front import make_factory
from pkgregd.http.settings import FrontSettings
from pkgregd.interfaces import IPackageFormat
from pkgregd.manage.jobs import JobManagement
from pkgregd.manage.people import PeopleManagement
from pkgregd.manage.tokens import TokenManagement
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.directory import Directories
from pkgregd.registry.events import NoEvents
from pkgregd.registry.limits import PrefixLimits, address_key
from pkgregd.registry.remotes import Remotes
from pkgregd.testing.calls import now
from pkgregd.testing.client import ClientReply, MemoryClient
from pkgregd.values import NewToken, TokenKind, TokenRecord, Visibility
from pkgregd.web.signin import PATH, SignInPages

URL = "https://registry.test/base"
REGISTRY = "/api/v4/projects/acme%2Fprivate/packages/npm"
START_SECONDS = 1_800_000_000
HOUR = datetime.timedelta(hours=1)


@define
class AccountWorld:
    """
    Two users, jane and john, and a private project that neither is a member of.

    Attributes:
        clock: of everything.
        secrets: of tokens, by the names they were given.
        accepts_query_tokens: whether a token may be in the query.
    """

    clock: Clock = Factory(Clock)
    secrets: dict[str, str] = Factory(lambda: {"": ""})
    accepts_query_tokens: bool = False
    catalog: MemoryCatalog = field(init=False)
    client: MemoryClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(START_SECONDS)
        self.catalog = MemoryCatalog(self.clock.seconds)
        now(self.catalog.add_group("acme", Visibility.PRIVATE))
        now(self.catalog.add_project("acme/private", Visibility.PRIVATE))
        for name in ("jane", "john"):
            now(self.catalog.add_user(name))
            self.add_token(name, user=name)
        policy, limits = AccessPolicy(), PrefixLimits((), self.clock.seconds)
        formats: list[IPackageFormat] = [NpmFormat(), NuGetFormat()]
        of_formats = {made.name: made.default_limits for made in formats}
        desk = TokenDesk(self.catalog, self.time)
        directories = Directories(self.catalog, policy)
        self.client = MemoryClient(
            make_factory(
                self.clock,
                formats=formats,
                limits_by_format=of_formats,
                authenticator=TokenAuthenticator(self.time),
                policy=policy,
                catalog=self.catalog,
                remotes=Remotes(self.clock, self.catalog, MemoryBlobStore(), policy, NoEvents(), of_formats),
                accounts=Accounts(AccountSettings(self.catalog, limits, address_key, URL + PATH, self.time)),
                request_limits=limits,
                readiness=lambda: succeed([]),
                external_url=URL,
                settings=FrontSettings(),
                tables=[
                    SignInPages(),
                    TokenManagement(desk, directories, self.time),
                    JobManagement(desk, self.time),
                    PeopleManagement(directories),
                ],
                accepts_query_tokens=self.accepts_query_tokens,
            )
        )

    def time(self) -> datetime.datetime:
        """The present time."""
        return datetime.datetime.fromtimestamp(self.clock.seconds(), datetime.UTC)

    def add_token(
        self,
        name: str,
        *scopes: str,
        kind: TokenKind = TokenKind.PERSONAL,
        lifetime: datetime.timedelta | None = None,
        **owner: str,
    ) -> str:
        """Store a token; returns its public id."""
        minted = mint(kind)
        expires_at = None if lifetime is None else self.time() + lifetime
        token = NewToken(
            minted.public_id,
            minted.secret_sha256,
            kind,
            name,
            frozenset(scopes or ("api",)),
            expires_at=expires_at,
            **owner,  # type: ignore[arg-type] # owners are texts
        )
        now(self.catalog.add_token(token))
        self.secrets[name] = minted.secret
        return minted.public_id

    def record(self, secret: str) -> TokenRecord:
        """What is stored of a token."""
        record = now(self.catalog.find_token(secret.split("_")[2]))
        assert record is not None
        return record

    def ask(
        self, method: str, path: str, fields: Mapping[str, object] | None = None, *, who: str = "", at: str = REGISTRY
    ) -> ClientReply:
        """Ask npm's registry; `who` is the name of a token."""
        headers = {"User-Agent": "npm/11.0.0 node/v20"}
        if who:
            headers["Authorization"] = f"Bearer {self.secrets[who]}"
        body = b"" if fields is None else json.dumps(fields).encode()
        if fields is not None:
            headers["Content-Type"] = "application/json"
        return self.client.request(method, at + path, headers, body)

    def answer(
        self, method: str, path: str, fields: Mapping[str, object] | None = None, *, who: str = "", status: int = 200
    ) -> Any:
        """Ask, and read the JSON of an answer of that status."""
        reply = self.ask(method, path, fields, who=who)
        assert reply.status == status, reply
        return json.loads(reply.body) if reply.body else None

    def start_login(self) -> tuple[str, str]:
        """Begin as npm does; returns the paths of the page and of the poll."""
        urls = self.answer("POST", "/-/v1/login", {})
        page, done = (urlsplit(urls[key].removeprefix(URL)) for key in ("loginUrl", "doneUrl"))
        return page.path, f"{done.path.removeprefix(REGISTRY)}?{done.query}"

    def send_form(self, page: str, secret: str) -> ClientReply:
        """Send the form of a page."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.client.request("POST", page, headers, urlencode({"token": secret}).encode())
