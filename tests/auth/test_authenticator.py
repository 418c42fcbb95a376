"""Tests for pkgregd.auth.authenticator."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Coroutine, Mapping
from itertools import product
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyClass, verifyObject

from pkgregd.auth.authenticator import (
    MAX_HEADER_LETTERS,
    NO_PASSWORDS,
    QUERY_PARAMETERS,
    TOKEN_HEADERS,
    ITokenCredentials,
    ShownToken,
    TokenAuthenticator,
    TokenCredentials,
    find_token,
)
from pkgregd.auth.tokens import mint
from pkgregd.errors import InvalidCredentials, Unavailable
from pkgregd.interfaces import IAuthenticator, IReads
from pkgregd.values import ANONYMOUS, JOB_USER_NAME, Principal, TokenKind, TokenRecord, user_name_beside

NOW = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)


@implementer(IReads)
class TokenTable:
    """The one question that authentication asks, with a record of its calls."""

    def __init__(self) -> None:
        self.records: dict[str, TokenRecord] = {}
        self.lookups: list[str] = []

    async def find_token(self, public_id: str) -> TokenRecord | None:
        """See IIdentityCatalog."""
        self.lookups.append(public_id)
        return self.records.get(public_id)

    async def find_scope(self, *asked: object) -> None:
        """Not asked here."""
        raise AssertionError

    index_state = find_file = find_scope


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header with Basic credentials."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


class AuthenticatorTests(SynchronousTestCase):
    """From headers to a Principal."""

    def setUp(self) -> None:
        """Make a table with one token of each kind."""
        self.now = NOW
        self.table = TokenTable()
        self.used: list[int] = []
        self.authenticator = TokenAuthenticator(lambda: self.now, self.used.append)
        self.secrets = {kind: self.add_token(kind) for kind in TokenKind}

    def add_token(self, kind: TokenKind, **changes: object) -> str:
        """Store a token and return its secret."""
        minted = mint(kind)
        principal = Principal(name=f"a {kind.value} token", token_kind=kind, token_id=len(self.table.records))
        user_name = user_name_beside(kind, 7, "Jane" if kind is TokenKind.PERSONAL else None, None)
        record = TokenRecord(
            minted.public_id, minted.secret_sha256, kind.value, principal, created_at=NOW, username=user_name
        )
        self.table.records[minted.public_id] = evolve(record, **changes)
        return minted.secret

    def ask(self, carried: Mapping[str, str], is_strict: bool) -> Coroutine[Deferred[Any], Any, Principal]:
        """Authenticate a request; underscores in the names of headers stand for dashes."""
        named = {name if name[0] == "?" else name.replace("_", "-"): value for name, value in carried.items()}
        return self.authenticator.authenticate(named, self.table, is_strict=is_strict)

    def authenticate(self, *, is_strict: bool = False, **carried: str) -> Principal:
        """Return who a request is from."""
        return self.successResultOf(self.ask(carried, is_strict))

    def refusal(self, *, is_strict: bool = False, **carried: str) -> str:
        """Return the text with which a request is refused."""
        return str(self.failureResultOf(self.ask(carried, is_strict), InvalidCredentials).value)

    def kind_of(self, **headers: str) -> TokenKind | None:
        """Return the kind of token that a request is authenticated by."""
        return self.authenticate(**headers).token_kind

    def test_provides_its_interface(self) -> None:
        """The interfaces hold."""
        verifyClass(IAuthenticator, TokenAuthenticator)
        verifyObject(ITokenCredentials, TokenCredentials(ShownToken("x", frozenset()), self.table))

    def test_nothing_shown_is_anonymous(self) -> None:
        """A request without credentials is anonymous and asks the catalog nothing."""
        self.assertEqual(self.authenticate(), ANONYMOUS)
        self.assertEqual(self.table.lookups, [])

    def test_empty_values_show_nothing(self) -> None:
        """An empty header, Bearer alone, Basic with an empty password: what unset variables look like is anonymous."""
        for value in ("", " ", basic("", ""), basic("ci", ""), "Bearer", "bearer ", "Bearer \t"):
            self.assertEqual(self.authenticate(authorization=value), ANONYMOUS)
        for name in TOKEN_HEADERS:
            self.assertEqual(self.authenticate(**{name: ""}), ANONYMOUS)
        self.assertEqual(
            self.kind_of(private_token="", job_token=self.secrets[TokenKind.JOB], authorization=basic("x", "")),
            TokenKind.JOB,
        )

    def test_authorization_takes_every_kind(self) -> None:
        """Bearer and Basic in any letter case, with any user name, and the token alone."""
        for kind, secret in self.secrets.items():
            for value in (
                f"Bearer {secret}",
                f"bearer   {secret}",
                secret,
                basic("__token__", secret),
                basic("", secret),
                basic("j\u00fcrgen", secret),
                basic("x", secret).replace("Basic", "BASIC"),
            ):
                self.assertEqual(self.kind_of(authorization=value), kind, value)

    def test_token_headers_take_their_kinds_only(self) -> None:
        """PRIVATE-TOKEN, JOB-TOKEN and Deploy-Token each refuse the tokens of the others."""
        for name, kinds in TOKEN_HEADERS.items():
            for kind, secret in self.secrets.items():
                if kind in kinds:
                    self.assertEqual(self.kind_of(**{name: secret}), kind)
                else:
                    self.refusal(**{name: secret})
        self.assertEqual(
            sorted(kind.value for kinds in TOKEN_HEADERS.values() for kind in kinds),
            sorted(kind.value for kind in TokenKind),
        )

    def test_the_same_token_twice_is_fine(self) -> None:
        """Clients that send a token in two headers are served, if it is good in both."""
        job = self.secrets[TokenKind.JOB]
        self.assertEqual(self.kind_of(job_token=job, authorization=f"Bearer {job}"), TokenKind.JOB)
        self.refusal(private_token=job, authorization=f"Bearer {job}")
        self.refusal(private_token=job, job_token=job)

    def test_two_different_tokens_are_refused(self) -> None:
        """A request cannot choose by order of headers whom it acts as, good tokens or bad."""
        job, personal = self.secrets[TokenKind.JOB], self.secrets[TokenKind.PERSONAL]
        for headers in (
            {"job_token": job, "private_token": personal},
            {"private_token": personal, "authorization": f"Bearer {job}"},
            {"private_token": "nonsense", "authorization": f"Bearer {personal}"},
        ):
            self.assertEqual(self.refusal(**headers), "the request shows two different credentials: send one token")
        self.assertEqual(self.table.lookups, [])

    def test_key_of_a_push(self) -> None:
        """NuGet's own header counts where nothing else is shown; beside other credentials it may be anything."""
        job, personal = self.secrets[TokenKind.JOB], self.secrets[TokenKind.PERSONAL]
        self.assertEqual(self.kind_of(x_nuget_apikey=job), TokenKind.JOB)
        self.assertEqual(self.kind_of(x_nuget_apikey="az", authorization=f"Bearer {personal}"), TokenKind.PERSONAL)
        self.assertEqual(self.kind_of(x_nuget_apikey=job, private_token=personal), TokenKind.PERSONAL)
        self.refusal(x_nuget_apikey="az")

    def test_every_carrier_with_every_kind(self) -> None:
        """A good token is good where its kind is; an expired, revoked, unknown or broken one is refused everywhere."""
        everywhere = frozenset(TokenKind)
        carriers: dict[str, tuple[Callable[[str], dict[str, str]], frozenset[TokenKind]]] = {
            "bearer": (lambda secret: {"authorization": f"Bearer {secret}"}, everywhere),
            "alone": (lambda secret: {"authorization": secret}, everywhere),
            "basic": (lambda secret: {"authorization": basic("x", secret)}, everywhere),
            "job in basic": (lambda secret: {"authorization": basic(JOB_USER_NAME, secret)}, {TokenKind.JOB}),
            "api key": (lambda secret: {"x_nuget_apikey": secret}, everywhere),
            **{
                name: (lambda secret, name=name: {name: secret}, kinds)  # type: ignore[misc] # a default binds it
                for name, kinds in (*TOKEN_HEADERS.items(), *QUERY_PARAMETERS.items())
            },
        }  # type: ignore[assignment] # sets of kinds
        cells = 0
        for (what, (carry, kinds)), kind in product(carriers.items(), TokenKind):
            good = self.secrets[kind]
            if kind in kinds:
                self.assertEqual(self.kind_of(**carry(good)), kind, what)
            else:
                self.refusal(**carry(good))
            bad = {
                "expired": self.add_token(kind, expires_at=NOW),
                "revoked": self.add_token(kind, revoked_at=NOW),
                "unknown": mint(kind).secret,
                "broken": good[:-1] + ("a" if good[-1] != "a" else "b"),
            }
            for secret in bad.values():
                self.refusal(**carry(secret))
                self.refusal(is_strict=True, **carry(secret))
            cells += 1 + len(bad)
        self.assertEqual(cells, len(carriers) * len(TokenKind) * 5)

    def test_strict_user_names(self) -> None:
        """Where it is strict, a token is good beside its own name alone: a user's in any case, the others exactly."""
        own = {
            TokenKind.PERSONAL: ("Jane", "jane", "JANE"),
            TokenKind.DEPLOY: ("gitlab+deploy-token-7",),
            TokenKind.JOB: ("gitlab-ci-token",),
            TokenKind.PROJECT: ("anything", ""),
            TokenKind.GROUP: ("anything", ""),
        }
        for kind, names in own.items():
            secret = self.secrets[kind]
            for name in names:
                self.assertEqual(self.kind_of(is_strict=True, authorization=basic(name, secret)), kind)
            self.assertEqual(self.kind_of(is_strict=True, authorization=f"Bearer {secret}"), kind)
            if kind in (TokenKind.PROJECT, TokenKind.GROUP):
                continue
            for name in ("", "x", "Jane ", "Gitlab+deploy-token-7", "GITLAB-CI-TOKEN", "gitlab+deploy-token-8"):
                text = self.refusal(is_strict=True, authorization=basic(name, secret))
                self.assertTrue(text.startswith("the credentials are not valid:"), (kind, name))
                self.assertEqual(self.kind_of(authorization=basic(name, secret)), kind)

    def test_the_name_of_jobs_is_theirs(self) -> None:
        """Beside gitlab-ci-token no other token is good, strict or not."""
        for kind, secret in self.secrets.items():
            for is_strict in (False, True):
                value = basic("gitlab-ci-token", secret)
                if kind is TokenKind.JOB:
                    self.assertEqual(self.kind_of(is_strict=is_strict, authorization=value), kind)
                else:
                    self.refusal(is_strict=is_strict, authorization=value)

    def test_there_are_no_passwords(self) -> None:
        """Who shows a password is told what belongs in its place; by a token, good or bad, that is never told."""
        self.assertEqual(self.refusal(authorization=basic("jane", "correct horse")), NO_PASSWORDS)
        unknown = self.refusal(authorization=basic("jane", mint(TokenKind.PERSONAL).secret))
        self.assertTrue(unknown.startswith("the credentials are not valid:"), unknown)

    def test_uses_are_noted(self) -> None:
        """The number of a token that was good is noted, and of no other."""
        self.refusal(private_token=self.add_token(TokenKind.PERSONAL, expires_at=NOW))
        self.authenticate()
        principal = self.authenticate(job_token=self.secrets[TokenKind.JOB])
        self.assertEqual(self.used, [principal.token_id])

    def test_ten_thousand_wrong_tokens_are_the_same_work(self) -> None:
        """An unknown token, and a known one with another secret, cost one look-up each; what is no token costs none."""
        known = mint(TokenKind.PERSONAL)
        stored = next(iter(self.table.records.values()))
        self.table.records[known.public_id] = evolve(stored, public_id=known.public_id)
        for number in range(10_000):
            before = len(self.table.lookups)
            self.refusal(private_token=known.secret if number % 2 else mint(TokenKind.PERSONAL).secret)
            self.assertEqual(len(self.table.lookups) - before, 1)
        before = len(self.table.lookups)
        for text in ("x" * 71, known.secret[:-1] + "!", ""):
            self.refusal(authorization=f"Bearer {text}x")
        self.assertEqual(len(self.table.lookups), before)

    def test_a_bad_credential_is_never_anonymous(self) -> None:
        """Whatever is malformed is refused, without asking the catalog."""
        good = self.secrets[TokenKind.PERSONAL]
        for value in (
            "Bearer x",
            f"Bearer {good[:-1]}",
            f"Bearer {good} {good}",
            f"Bearer x {good}",
            f"Token {good}",
            "Digest username=x",
            "Basic",
            "Basic !!!!",
            "Basic e",
            "Basic " + base64.b64encode(b"no colon").decode(),
            "Basic " + base64.b64encode(b"x:\xff\xfe").decode(),
            f"Basic {good}",
            basic("x", f"{good}:"),
            basic("x", " "),
            basic(good, "x"),
            "Basic \u00e9",
            "\u00e9",
            "x" * (MAX_HEADER_LETTERS + 1),
            " " * (MAX_HEADER_LETTERS + 1),
            "Bearer" + " " * MAX_HEADER_LETTERS + good,
        ):
            self.refusal(authorization=value)
        for name in TOKEN_HEADERS:
            for value in ("x", f"Bearer {good}", f"{good}, {good}", "\u00e9" * 71, " " * 5000):
                self.refusal(**{name: value})
        self.assertEqual(self.table.lookups, [])

    def test_an_unknown_token_is_refused(self) -> None:
        """A well-formed token that nobody stored is refused after one lookup."""
        minted = mint(TokenKind.PERSONAL)
        self.refusal(private_token=minted.secret)
        self.assertEqual(self.table.lookups, [minted.public_id])

    def test_a_known_id_with_another_secret_is_refused(self) -> None:
        """The public id opens nothing."""
        stored, other = mint(TokenKind.PERSONAL), self.secrets[TokenKind.PERSONAL]
        record = evolve(self.table.records[other[9:21]], public_id=stored.public_id)
        self.table.records[stored.public_id] = record
        self.refusal(private_token=stored.secret)

    def test_a_stored_digest_is_no_secret(self) -> None:
        """What a thief of the database has does not authenticate."""
        record = next(iter(self.table.records.values()))
        self.refusal(authorization=f"Bearer {record.secret_sha256}")
        self.refusal(authorization=f"Bearer {record.public_id}")

    def test_expiry_is_exact(self) -> None:
        """A token works until the second that it expires at, and not in it."""
        secret = self.add_token(TokenKind.JOB, expires_at=NOW)
        self.now = NOW - SECOND
        self.assertEqual(self.kind_of(job_token=secret), TokenKind.JOB)
        self.now = NOW
        self.refusal(job_token=secret)

    def test_revocation_works_at_once(self) -> None:
        """Nothing is remembered between two requests."""
        secret = self.secrets[TokenKind.DEPLOY]
        self.assertEqual(self.kind_of(deploy_token=secret), TokenKind.DEPLOY)
        public_id = secret[9:21]
        self.table.records[public_id] = evolve(self.table.records[public_id], revoked_at=NOW)
        self.refusal(deploy_token=secret)

    def test_every_refusal_of_a_token_reads_the_same(self) -> None:
        """Unknown, expired, revoked, of the wrong kind, mistyped: the bearer learns nothing from the words."""
        texts = {
            self.refusal(authorization="Bearer x"),
            self.refusal(private_token=mint(TokenKind.PERSONAL).secret),
            self.refusal(private_token=self.add_token(TokenKind.PERSONAL, expires_at=NOW)),
            self.refusal(private_token=self.add_token(TokenKind.PERSONAL, revoked_at=NOW)),
            self.refusal(private_token=self.secrets[TokenKind.JOB]),
        }
        self.assertEqual(texts, {str(InvalidCredentials())})

    def test_the_operator_learns_why(self) -> None:
        """A token that was good once is logged by its public id with the reason, its secret never."""
        events: list[Mapping[str, object]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        secret = self.add_token(TokenKind.PERSONAL, expires_at=NOW)
        self.refusal(private_token=secret)
        logged = [event for event in events if event.get("event") == "auth.refused"]
        self.assertEqual([(event["public_id"], event["reason"]) for event in logged], [(secret[9:21], "expired")])
        self.assertNotIn(secret, str(logged))

    def test_a_broken_catalog_is_not_a_bad_credential(self) -> None:
        """When the catalog does not answer the request fails for that reason, and is not called anonymous."""

        class Broken(TokenTable):
            async def find_token(self, public_id: str) -> TokenRecord | None:
                raise Unavailable("the catalog does not answer")

        headers = {"private-token": self.secrets[TokenKind.PERSONAL]}
        self.failureResultOf(self.authenticator.authenticate(headers, Broken()), Unavailable)

    def test_a_client_that_leaves_cancels_the_lookup(self) -> None:
        """Cancelling reaches the catalog."""
        lookup: Deferred[TokenRecord | None] = Deferred()

        class Slow(TokenTable):
            async def find_token(self, public_id: str) -> TokenRecord | None:
                return await lookup

        headers = {"private-token": self.secrets[TokenKind.PERSONAL]}
        asking = ensureDeferred(self.authenticator.authenticate(headers, Slow()))
        asking.cancel()
        self.failureResultOf(asking)
        self.assertTrue(lookup.called)

    @given(
        st.dictionaries(
            st.sampled_from([*TOKEN_HEADERS, "authorization"]),
            st.text(max_size=80)
            | st.text(max_size=40).map(lambda text: f"Bearer {text}")
            | st.binary(max_size=60).map(lambda data: "Basic " + base64.b64encode(data).decode("ascii"))
            | st.text(alphabet="Basicer =:AZ09+/\t", max_size=40),
        )
    )
    @settings(max_examples=300, deadline=None)
    def test_any_headers_are_nothing_credentials_or_a_refusal(self, headers: dict[str, str]) -> None:
        """No header makes anything but one token, none, or InvalidCredentials."""
        try:
            shown = find_token(headers)
        except InvalidCredentials:
            return
        if shown is not None:
            self.assertNotEqual(shown.text, "")
            self.assertEqual(repr(shown), f"ShownToken(kinds={shown.kinds!r}, user_name={shown.user_name!r})")
            self.assertNotIn("text", repr(TokenCredentials(shown, self.table)))
