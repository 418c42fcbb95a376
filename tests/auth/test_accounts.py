"""Signing in and out, and looking after one's own tokens."""

from __future__ import annotations

import datetime

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.accounts import MAX_WAITING_PER_ADDRESS, SIGN_IN_LIFETIME, Account, Accounts, AccountSettings
from pkgregd.auth.tokens import mint
from pkgregd.errors import InvalidCredentials, InvalidRequest, NotFound, RateLimited, WrongPassword
from pkgregd.interfaces import IAccount, IAccounts
from pkgregd.registry.limits import FAILURE_RATE, PrefixLimits
from pkgregd.testing.calls import now
from pkgregd.values import ANONYMOUS, Piece, TokenKind, address_key
from tests.support.accounts import HOUR, AccountWorld

ALL = Piece(0, 100)
DAY = datetime.timedelta(days=1)


class AccountCase(SynchronousTestCase):
    """A world, and what may be done in it."""

    def setUp(self) -> None:
        """Make it."""
        self.world = AccountWorld()
        self.limits = PrefixLimits((), Clock().seconds)
        settings = AccountSettings(
            self.world.catalog, self.limits, address_key, "https://registry.test/page", self.world.time
        )
        self.accounts = Accounts(settings)

    def account(self, who: str = "") -> IAccount:
        """The account of a token's bearer."""
        principal = self.world.record(self.world.secrets[who]).principal if who else ANONYMOUS
        return self.accounts.account(principal, "192.0.2.1")

    def bad_secrets(self) -> dict[str, str]:
        """What signs nobody in, by what is wrong with it."""
        world = self.world
        world.add_token("revoked", user="jane")
        now(world.catalog.revoke_token(world.secrets["revoked"].split("_")[2]))
        world.add_token("expired", user="jane", lifetime=HOUR)
        world.clock.advance(3600)
        world.add_token("deploy", "read_package_registry", kind=TokenKind.DEPLOY, project="acme/private")
        world.add_token("job", kind=TokenKind.JOB, project="acme/private")
        named = {name: world.secrets[name] for name in ("revoked", "expired", "deploy", "job")}
        world.add_token("reads", "read_api", user="jane")
        named["reads"] = world.secrets["reads"]
        return {"none": "", "no token": "secret", "unknown": mint(TokenKind.PERSONAL).secret, **named}


class SignInTests(AccountCase):
    """Exchanging a token for another, at once or later."""

    def test_provides(self) -> None:
        """What the seams promise."""
        self.assertTrue(IAccounts.providedBy(self.accounts))
        self.assertTrue(IAccount.implementedBy(Account))

    def test_a_token_of_its_own(self) -> None:
        """The client's token is of the same user and scopes, bears its name, and expires."""
        secret = now(self.account().sign_in("jane", self.world.secrets["jane"], "npm/11.0.0 node/v20"))
        record = self.world.record(secret)
        self.assertEqual((record.principal.name, record.principal.scopes), ("jane", frozenset({"api"})))
        self.assertEqual(record.name, "npm at 192.0.2.1")
        self.assertEqual(record.expires_at, self.world.time() + SIGN_IN_LIFETIME)
        shown = self.world.record(self.world.secrets["jane"])
        self.assertEqual(record.parent_id, shown.principal.token_id)
        now(self.world.catalog.revoke_token(shown.public_id))
        self.assertIsNotNone(self.world.record(secret).revoked_at)

    def test_not_longer_than_what_was_shown(self) -> None:
        """A token that expires soon makes none that lasts."""
        self.world.add_token("short", user="jane", lifetime=HOUR)
        secret = now(self.account().sign_in("JANE", self.world.secrets["short"], ""))
        self.assertEqual(self.world.record(secret).expires_at, self.world.time() + HOUR)

    def test_bad_credentials(self) -> None:
        """Nothing but a good personal token of that very user signs in, and each try counts."""
        bad = {**self.bad_secrets(), "somebody else's": self.world.secrets["john"]}
        before = len(now(self.world.catalog.list_tokens()))
        for what, secret in bad.items():
            with self.assertRaises(WrongPassword, msg=what):
                now(self.account().sign_in("jane", secret, "npm"))
        self.assertEqual(len(now(self.world.catalog.list_tokens())), before)
        for _ in range(FAILURE_RATE.requests - len(bad) + 1):  # a good one that may only read does not count
            self.assertRaises(WrongPassword, now, self.account().sign_in("jane", "x", "npm"))
        self.assertRaises(RateLimited, now, self.account().sign_in("jane", "x", "npm"))

    def test_on_a_page(self) -> None:
        """Started by nobody, approved by a user, finished once."""
        started = now(self.account().start_sign_in("npm/11.0.0 node/v20"))
        page, _, public_id = started.page_url.rpartition("/")
        self.assertEqual(page, "https://registry.test/page")
        waiting = now(self.account().find_sign_in(public_id))
        self.assertEqual((waiting.address, waiting.client), ("192.0.2.1", "npm/11.0.0"))
        self.assertIsNone(now(self.account().finish_sign_in(started.poll_secret, "npm/11.0.0")))
        self.assertEqual(now(self.account().approve_sign_in(public_id, f" {self.world.secrets['jane']}\n")), "jane")
        self.assertRaises(NotFound, now, self.account().approve_sign_in(public_id, self.world.secrets["john"]))
        secret = now(self.account().finish_sign_in(started.poll_secret, "npm/11.0.0"))
        assert secret is not None
        record = self.world.record(secret)
        self.assertEqual((record.principal.name, record.principal.scopes), ("jane", frozenset({"api"})))
        self.assertEqual(record.expires_at, self.world.time() + SIGN_IN_LIFETIME)
        self.assertEqual(record.name, "npm at 192.0.2.1")
        self.assertRaises(NotFound, now, self.account().finish_sign_in(started.poll_secret, "npm/11.0.0"))
        self.assertRaises(NotFound, now, self.account().find_sign_in(public_id))

    def test_bad_credentials_on_a_page(self) -> None:
        """They sign nobody in, and the client waits on."""
        bad = self.bad_secrets()
        started = now(self.account().start_sign_in("npm"))
        public_id = started.page_url.rpartition("/")[2]
        for what, secret in bad.items():
            with self.assertRaises(WrongPassword, msg=what):
                now(self.account().approve_sign_in(public_id, secret))
        self.assertIsNone(now(self.account().finish_sign_in(started.poll_secret, "npm/11.0.0")))

    def test_the_page_does_not_lead_to_the_token(self) -> None:
        """Who knows the page's address only, or nothing, cannot fetch the token."""
        started = now(self.account().start_sign_in("npm"))
        public_id = started.page_url.rpartition("/")[2]
        now(self.account().approve_sign_in(public_id, self.world.secrets["jane"]))
        for secret in (public_id, "", "\udcff", "x" * 5000):
            self.assertRaises(NotFound, now, self.account().finish_sign_in(secret, "npm"))

    def test_what_a_client_calls_itself(self) -> None:
        """Only a product and its version: free text could speak to whoever reads the page."""
        for text, kept in (
            ("npm/11.19.1 node/v20", "npm/11.19.1"), ("npm", "npm"), ("npm/v1-rc.1+x", "npm/v1-rc.1+x"), ("", ""),
            ("npm your token is needed", "npm"), ("your-registry/moved: look", ""), ("<b>", ""), ("x" * 99, ""),
            ("npm/11/12", ""), ("\x00npm", ""), ("npm/1\n", ""),
        ):  # fmt: skip
            started = now(self.account().start_sign_in(text))
            waiting = now(self.account().find_sign_in(started.page_url.rpartition("/")[2]))
            self.assertEqual(waiting.client, kept, text)

    def test_a_revoked_token_makes_no_other(self) -> None:
        """Even if it was good a moment ago."""
        self.world.add_token("short", user="jane")
        account = self.account()
        record = self.world.record(self.world.secrets["short"])
        adding = self.world.catalog.add_token

        async def revoke_first(*arguments: object) -> int:
            await self.world.catalog.revoke_token(record.public_id)
            return await adding(*arguments)  # type: ignore[arg-type] # as it was called

        self.patch(self.world.catalog, "add_token", revoke_first)
        signing = account.sign_in("jane", self.world.secrets["short"], "npm")
        self.assertRaises(InvalidCredentials, now, signing)

    def test_too_many_wait(self) -> None:
        """One address cannot fill the catalog, nor one network of IPv6."""
        for _ in range(MAX_WAITING_PER_ADDRESS):
            now(self.account().start_sign_in("npm"))
        error = self.assertRaises(RateLimited, now, self.account().start_sign_in("npm"))
        self.assertIn("configure a token instead", str(error))
        now(self.accounts.account(ANONYMOUS, "192.0.2.2").start_sign_in("npm"))
        for number in range(MAX_WAITING_PER_ADDRESS):
            now(self.accounts.account(ANONYMOUS, f"2001:db8::{number:x}").start_sign_in("npm"))
        self.assertRaises(RateLimited, now, self.accounts.account(ANONYMOUS, "2001:db8::ffff").start_sign_in("npm"))

    def test_sign_out(self) -> None:
        """A personal token is revoked; one that others may use as well stays; nonsense is refused."""
        bad = self.bad_secrets()
        now(self.account().sign_out(self.world.secrets["john"]))
        self.assertIsNotNone(self.world.record(self.world.secrets["john"]).revoked_at)
        del bad["reads"]
        for kept in ("deploy", "job"):
            now(self.account().sign_out(bad.pop(kept)))
            self.assertIsNone(self.world.record(self.world.secrets[kept]).revoked_at)
        for what, secret in bad.items():
            with self.assertRaises(WrongPassword, msg=what):
                now(self.account().sign_out(secret))


class TokenTests(AccountCase):
    """One's own tokens."""

    def test_add_list_and_revoke(self) -> None:
        """A token is as good as what it was made with, listed until it is revoked, and revoked once and for all."""
        account = self.account("jane")
        issued = now(account.add_token(self.world.secrets["jane"], "ci", is_read_only=False, lifetime=DAY))
        self.assertEqual(issued.token.expires_at, self.world.time() + DAY)
        self.assertEqual(self.world.record(issued.secret).principal.scopes, frozenset({"api"}))
        self.assertEqual([found.name for found in now(account.list_tokens(ALL))], ["ci", "jane"])
        now(account.revoke_token(issued.token.public_id))
        self.assertEqual([found.name for found in now(account.list_tokens(ALL))], ["jane"])
        self.assertEqual(len(now(self.account("john").list_tokens(ALL))), 1)

    def test_not_better_than_what_was_shown(self) -> None:
        """A short-lived token makes none that lasts; a new one may only read."""
        account = self.account("jane")
        self.world.add_token("short", user="jane", lifetime=HOUR)
        issued = now(account.add_token(self.world.secrets["short"], "ci", is_read_only=True, lifetime=DAY))
        self.assertEqual(issued.token.expires_at, self.world.time() + HOUR)
        self.assertEqual(self.world.record(issued.secret).principal.scopes, frozenset({"read_api"}))

    def test_bad_credentials(self) -> None:
        """What is shown for a token is a personal one of the same user."""
        for what, secret in {**self.bad_secrets(), "somebody else's": self.world.secrets["john"]}.items():
            with self.assertRaises(WrongPassword, msg=what):
                now(self.account("jane").add_token(secret, "ci", is_read_only=True, lifetime=DAY))

    def test_names(self) -> None:
        """They are fit to be listed."""
        for name in ("", "a\nb", "x" * 256):
            adding = self.account("jane").add_token(self.world.secrets["jane"], name, is_read_only=True, lifetime=DAY)
            self.assertRaises(InvalidRequest, now, adding)

    def test_revoking_what_is_not_ones_own(self) -> None:
        """It is not found, whether it is somebody's or nonsense."""
        johns = self.world.secrets["john"].split("_")[2]
        for public_id in (johns, "0" * 12, "", "../../x", "é" * 12):
            self.assertRaises(NotFound, now, self.account("jane").revoke_token(public_id))
        self.assertIsNone(self.world.record(self.world.secrets["john"]).revoked_at)
