"""What every catalog does with tokens that were made by others, with jobs, and with what it is told of their use."""

from __future__ import annotations

import datetime

from attrs import evolve

from pkgregd.errors import InvalidCredentials, NotFound, SpentIdTokenShown
from pkgregd.interfaces import KEPT_JOB_SECONDS
from pkgregd.testing.signins_contract import UserTokensContract, owner_of
from pkgregd.values import (
    ANONYMOUS,
    JobOrigin,
    MintedToken,
    NewSignIn,
    NewToken,
    SpentIdToken,
    TokenKind,
    TokenRecord,
)

SECOND = datetime.timedelta(seconds=1)
ORIGIN = JobOrigin("https://ci.test", "repo:acme/tool", "acme/tool", "refs/heads/main", "42")


class LineageContract(UserTokensContract):
    """Mixed in before CatalogContract."""

    def present(self) -> datetime.datetime:
        """The present time."""
        return datetime.datetime.fromtimestamp(self.clock.seconds(), datetime.UTC)

    def is_revoked(self, public_id: str) -> bool:
        """Whether a token is revoked."""
        return self.stored(public_id).revoked_at is not None

    def stored(self, public_id: str) -> TokenRecord:
        """A stored token."""
        record = self.get(self.catalog.find_token(public_id))
        assert record is not None, public_id
        return record

    def add_family(self) -> None:
        """Have a token, its child and grandchild, the child of another one, and a child of another user's."""
        for name in ("jane", "john"):
            self.get(self.catalog.add_user(name))
        first = self.add_personal("first")
        child = self.add_personal("child", principal=first.principal)
        self.add_personal("grandchild", principal=child.principal)
        self.add_personal("for john", "john", first.principal)
        other = self.add_personal("other")
        self.add_personal("of other", principal=other.principal)

    def all_revoked(self) -> set[str]:
        """The public ids of what is revoked."""
        return {record.public_id for record in self.get(self.catalog.list_tokens()) if record.revoked_at is not None}

    # --- lineage

    def test_parents_are_remembered(self) -> None:
        """A personal token knows by which it was made; the operator's, and those of machines, by none."""
        self.add_family()
        first = self.stored("first").principal
        self.assertEqual(self.stored("child").parent_id, first.token_id)
        self.assertEqual(self.stored("for john").parent_id, first.token_id)
        self.assertIsNone(self.stored("first").parent_id)
        deploy = NewToken("deploy", "d" * 64, TokenKind.DEPLOY, "deploy", project="acme/tools")
        self.get(self.catalog.add_token(deploy, first))
        self.assertIsNone(self.stored("deploy").parent_id)

    def test_revoking_revokes_what_was_made(self) -> None:
        """By the operator or by whose it is: all that came of it goes in the same moment, and nothing else."""
        self.add_family()
        self.assertTrue(self.get(self.catalog.revoke_token("first")))
        self.assertEqual(self.all_revoked(), {"first", "child", "grandchild", "for john"})
        self.assertTrue(self.revoke(owner_of(self.stored("other")), self.stored("other")))
        self.assertEqual(self.all_revoked() & {"other", "of other"}, {"other", "of other"})

    def test_children_do_not_revoke_their_parents(self) -> None:
        """Signing a client out leaves what it was signed in with; when it was revoked does not change later."""
        self.add_family()
        self.get(self.catalog.revoke_token("child"))
        self.assertEqual(self.all_revoked(), {"child", "grandchild"})
        at = self.stored("grandchild").revoked_at
        self.clock.advance(10)
        self.get(self.catalog.revoke_token("first"))
        self.assertEqual(self.stored("grandchild").revoked_at, at)

    def test_rotation_ends_what_the_old_one_made(self) -> None:
        """The new token has the parent of the old one, and the children of the old one are revoked."""
        self.add_family()
        child = self.stored("child")
        assert child.principal.token_id is not None
        minted = MintedToken("secret", "turned", "f" * 64)
        rotate = self.catalog.rotate_token_of(owner_of(child), child.principal.token_id, minted, None, ANONYMOUS)
        self.assertTrue(self.get(rotate))
        self.assertEqual(self.all_revoked(), {"child", "grandchild"})
        self.assertEqual(self.stored("turned").parent_id, child.parent_id)
        self.get(self.catalog.revoke_token("first"))
        self.assertTrue(self.is_revoked("turned"))

    def test_a_token_that_ended_meanwhile_rotates_none(self) -> None:
        """Who was known when the request came, and is not any more, comes by no new secret."""
        self.add_family()
        other, first = self.stored("other"), self.stored("first").principal
        assert other.principal.token_id is not None
        self.get(self.catalog.revoke_token("first"))
        minted = MintedToken("secret", "turned", "f" * 64)
        rotate = self.catalog.rotate_token_of(owner_of(other), other.principal.token_id, minted, None, first)
        self.refused(rotate, InvalidCredentials)
        self.assertFalse(self.is_revoked("other"))

    def test_a_signed_in_client_goes_with_what_it_was_signed_in_by(self) -> None:
        """The token of a client is the child of the one that said yes."""
        self.get(self.catalog.add_user("jane"))
        approver = self.add_personal("approver")
        sign_in = NewSignIn("page", "a" * 64, "192.0.2.1", "npm", self.present() + SECOND)
        self.get(self.catalog.add_sign_in(sign_in, 10))
        self.get(self.catalog.approve_sign_in("page", approver.principal, self.present() + SECOND))
        self.assertTrue(self.get(self.catalog.take_sign_in("a" * 64, "taken", "b" * 64, "npm")))
        self.assertEqual(self.stored("taken").parent_id, approver.principal.token_id)
        self.get(self.catalog.revoke_token("approver"))
        self.assertTrue(self.is_revoked("taken"))

    def test_a_removed_user_leaves_no_good_tokens(self) -> None:
        """What a user's tokens made for others is revoked when the user goes."""
        self.add_family()
        jane = self.stored("first").principal
        assert jane.user_id is not None
        self.assertTrue(self.get(self.catalog.remove_user(jane.user_id, ANONYMOUS)))
        self.assertEqual([record.public_id for record in self.get(self.catalog.list_tokens())], ["for john"])
        self.assertEqual(self.all_revoked(), {"for john"})

    # --- names

    def test_user_names(self) -> None:
        """What belongs beside each token: whose it is, what it was given or its number, and one for all jobs."""
        self.get(self.catalog.add_user("jane"))
        self.assertEqual(self.add_personal("p").username, "jane")
        made = self.add_other("d", TokenKind.DEPLOY, project="acme/tools")
        self.assertEqual(made.username, f"gitlab+deploy-token-{made.principal.token_id}")
        self.assertEqual(
            self.add_other("n", TokenKind.DEPLOY, project="acme/tools", username="robot").username, "robot"
        )
        self.assertEqual(self.add_other("j", TokenKind.JOB, project="acme/tools").username, "gitlab-ci-token")
        self.assertIsNone(self.add_other("r", TokenKind.PROJECT, project="acme/tools").username)

    # --- jobs

    def job(self, public_id: str, seconds: int = 900, project: str = "acme/tools") -> NewToken:
        """A job token about to be made."""
        expires_at = self.present() + seconds * SECOND
        token = NewToken(public_id, "c" * 64, TokenKind.JOB, "acme/tool 42", project=project, origin=ORIGIN)
        return evolve(token, expires_at=expires_at)

    def spent(self, jti: str, seconds: int = 400, issuer: str = ORIGIN.issuer) -> SpentIdToken:
        """An ID token about to be spent."""
        return SpentIdToken(issuer, jti, self.present() + seconds * SECOND)

    def test_a_job_knows_its_origin(self) -> None:
        """What the CI said stays with the token."""
        token_id = self.get(self.catalog.add_job(self.job("job"), self.spent("x"), ANONYMOUS))
        record = self.stored("job")
        self.assertEqual((record.origin, record.principal.token_id), (ORIGIN, token_id))
        self.assertEqual(record.principal.project_path, "acme/tools")

    def test_an_id_token_is_good_once(self) -> None:
        """The second exchange makes nothing; another issuer has identifiers of its own."""
        self.get(self.catalog.add_job(self.job("job"), self.spent("x"), ANONYMOUS))
        self.refused(self.catalog.add_job(self.job("again"), self.spent("x"), ANONYMOUS), SpentIdTokenShown)
        self.assertIsNone(self.get(self.catalog.find_token("again")))
        self.get(self.catalog.add_job(self.job("other"), self.spent("x", issuer="https://other.test"), ANONYMOUS))

    def test_a_failed_exchange_spends_nothing(self) -> None:
        """Without its project nothing is made, and the ID token is good still."""
        missing = self.catalog.add_job(self.job("job", project="acme/missing"), self.spent("x"), ANONYMOUS)
        self.refused(missing, NotFound)
        self.get(self.catalog.add_job(self.job("job"), self.spent("x"), ANONYMOUS))

    def test_forgetting(self) -> None:
        """ID tokens are forgotten at their time and not before, jobs long after they ended, other tokens never."""
        self.get(self.catalog.add_job(self.job("job"), self.spent("x"), ANONYMOUS))
        other = evolve(self.job("deploy"), kind=TokenKind.DEPLOY, origin=None)
        self.get(self.catalog.add_token(other))
        self.clock.advance(399)
        self.assertEqual(self.get(self.catalog.forget_ended(10)), 0)
        self.refused(self.catalog.add_job(self.job("2"), self.spent("x"), ANONYMOUS), SpentIdTokenShown)
        self.clock.advance(1)
        self.assertEqual(self.get(self.catalog.forget_ended(10)), 1)
        self.get(self.catalog.add_job(self.job("3"), self.spent("x"), ANONYMOUS))
        self.clock.advance(500 + KEPT_JOB_SECONDS - 1)
        self.assertEqual([self.get(self.catalog.forget_ended(10)) for _ in range(2)], [1, 0])
        self.clock.advance(1)
        self.assertEqual(self.get(self.catalog.forget_ended(10)), 1)
        left = [record.public_id for record in self.get(self.catalog.list_tokens())]
        self.assertEqual(left, ["deploy", "3"])

    def test_forgetting_piece_by_piece(self) -> None:
        """As many of each as was said, until none is left: others write in between."""
        for number in range(3):
            self.get(self.catalog.add_job(self.job(f"job-{number}"), self.spent(f"x-{number}"), ANONYMOUS))
        self.clock.advance(900 + KEPT_JOB_SECONDS)
        self.assertEqual([self.get(self.catalog.forget_ended(2)) for _ in range(3)], [4, 2, 0])
        self.assertEqual(self.get(self.catalog.list_tokens()), ())

    # --- use

    def test_last_use(self) -> None:
        """It is told, and never goes back, whichever process tells of it later; a token that is gone is no matter."""
        record = self.add_other("d", TokenKind.DEPLOY, project="acme/tools")
        other = self.add_other("e", TokenKind.DEPLOY, project="acme/tools")
        number = record.principal.token_id
        assert number is not None
        self.assertIsNone(record.last_used_at)
        later = self.present() + 60 * SECOND
        self.get(self.catalog.note_uses({number: later, 12345: later}))
        self.get(self.catalog.note_uses({number: later - SECOND}))
        self.assertEqual(self.stored("d").last_used_at, later)
        self.assertIsNone(self.stored(other.public_id).last_used_at)
        self.get(self.catalog.note_uses({}))
