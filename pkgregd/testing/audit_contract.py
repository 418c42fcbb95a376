"""What every catalog tells the audit trail, and how the trail is read."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from pkgregd.testing.catalog_contract import PRIVATE, START_SECONDS, CatalogContract, blob_of, publication_of
from pkgregd.values import (
    NO_PRECONDITION,
    NOTHING_SET,
    AuditAction,
    AuditEntry,
    AuditPosition,
    AuditQuery,
    Level,
    MintedToken,
    NewSignIn,
    NewToken,
    OnDuplicate,
    Origin,
    PeriodicPlan,
    Piece,
    Principal,
    ProtectionLevel,
    ProtectionRule,
    Role,
    RuleTerms,
    Scope,
    SpentIdToken,
    TokenKind,
    TokenOwner,
    Told,
    Visibility,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

A = AuditAction
ALL = Piece(0, 1000)
SHOWN = "abc"
ORIGIN = Origin("192.0.2.7", "0123456789abcdef")
START = datetime.datetime.fromtimestamp(START_SECONDS, datetime.UTC)


@frozen
class Step:
    """
    A change, and what the trail says of it.

    Attributes:
        verb: of the catalog.
        run: does it.
        path: of where it happened.
    """

    verb: str
    run: Callable[[], Awaitable[object]]
    action: AuditAction
    subject: str
    path: str = ""


class AuditContract(_Base):
    """Mixed in before CatalogContract."""

    def begin(self) -> None:
        """Have a catalog in which nothing was done but what CatalogContract does at first."""
        self.get(self.catalog.close())
        CatalogContract.setUp(self)

    def trail(self, **wanted: object) -> list[AuditEntry]:
        """The entries, oldest first unless something else is wanted."""
        query = AuditQuery(**{"is_descending": False, **wanted})  # type: ignore[arg-type]
        return list(self.get(self.catalog.list_audit_entries(query, ALL)).entries)

    def numbers(self, **wanted: object) -> list[int]:
        """The same as numbers."""
        return [entry.id for entry in self.trail(**wanted)]

    def principal(self) -> Principal:
        """A user who came by a request."""
        return evolve(Principal("jane", TokenKind.PERSONAL, None, 1, True), token_public_id=SHOWN, origin=ORIGIN)

    # --------------------------------------------------------------- one for each change

    def steps(self) -> list[Step]:
        """Every verb that changes something, in an order in which each does; who does it is principal()."""
        catalog, who = self.catalog, self.principal()
        mine, job = TokenOwner(TokenKind.PERSONAL, user_id=1), TokenKind.JOB
        one, two, other = publication_of(b"1"), publication_of(b"2", version="2.0"), publication_of(b"3", version="3.0")
        awaiting = evolve(publication_of(b"4", name="beta"), awaits_checksum=True)
        more = evolve(publication_of(b"5"), coordinates=evolve(one.coordinates, file_name="more.zip"))
        waiting = NewSignIn("waits", "5" * 64, "192.0.2.9", "npm/11", self.now() + datetime.timedelta(hours=1))
        minted = MintedToken("s", "new", "6" * 64)
        far = self.now() + datetime.timedelta(days=9)
        keeper = evolve(who, token_id=1)

        def token(public_id: str, **owner: str) -> NewToken:
            kind = TokenKind.PERSONAL if "user" in owner else job
            return NewToken(public_id, public_id * 16, kind, f"name of {public_id}", **owner)  # type: ignore[arg-type]

        def deep() -> Scope:
            return self.scope(Level.GROUP, "acme/deep")

        async def approve() -> object:
            await catalog.add_sign_in(waiting, 9)
            return await catalog.approve_sign_in("waits", keeper, far)

        async def run_tasks() -> object:
            await catalog.plan_tasks([PeriodicPlan("sweep", 3600)])
            return await catalog.run_tasks("sweep", who)

        async def retry_task() -> object:
            lease = await catalog.lease_task(["sweep"], "one:1", 60)
            assert lease is not None
            await catalog.fail_task(lease, "no luck", 600, "")
            return await catalog.retry_task(lease.task_id, who)

        async def withdraw() -> object:
            file = await catalog.find_file([1], "pypi", "beta", "1.0", "alpha-1.0.tar.gz")
            assert file is not None
            return await catalog.withdraw_file(file.id, blob_of(b"4").sha256, keeper)

        async def delete_files() -> object:
            file = await catalog.find_file([1], "pypi", "alpha", "1.0", "more.zip")
            assert file is not None
            ((_, revision),) = (await catalog.index_state([1], "pypi", "alpha")).revisions
            return await catalog.delete_files(1, file.package_id, [file.id], revision, who)

        async def delete_file() -> object:
            file = await catalog.find_file([1], "pypi", "alpha", "1.0", "alpha-1.0.tar.gz")
            assert file is not None
            return await catalog.delete_file(file.id, who, NO_PRECONDITION)

        async def delete_package() -> object:
            file = await catalog.find_file([1], "pypi", "alpha", "2.0", "alpha-1.0.tar.gz")
            assert file is not None
            return await catalog.delete_package(1, file.package_id, who, NO_PRECONDITION)

        async def delete_name() -> object:
            ((_, revision),) = (await catalog.index_state([1], "pypi", "alpha")).revisions
            return await catalog.delete_name(1, "pypi", "alpha", revision, who)

        kept, wanted = (
            RuleTerms("pypi", "Ze*", "ze*", ProtectionLevel.OWNER, None),
            RuleTerms("pypi", "zeta", "zeta", ProtectionLevel.OWNER, None),
        )
        rule = ProtectionRule(1, 1, kept)
        name, file = (1, "pypi", "alpha"), "alpha-1.0.tar.gz"
        tools = "acme/tools"
        soon = datetime.datetime.fromtimestamp(START_SECONDS + 60, datetime.UTC)
        built = NewToken("job", "9" * 64, TokenKind.JOB, "job", project=tools, expires_at=soon)
        return [
            Step("add_user", lambda: catalog.add_user("Jane", principal=who), A.ADD_USER, "Jane"),
            Step("add_user", lambda: catalog.add_user("john", is_admin=True, principal=who), A.ADD_USER, "john"),
            Step("add_token", lambda: catalog.add_token(token("mine", user="jane"), who), A.ADD_TOKEN, "mine"),
            Step("add_group", lambda: catalog.add_group("acme/deep", PRIVATE, who), A.ADD_GROUP, "acme/deep",
                 "acme/deep"),
            Step("add_project", lambda: catalog.add_project("acme/deep/x", PRIVATE, who), A.ADD_PROJECT, "acme/deep/x",
                 "acme/deep/x"),
            Step("set_member", lambda: catalog.set_member("jane", "acme/deep", Role.GUEST, who), A.SET_MEMBER, "jane",
                 "acme/deep"),
            Step("set_member", lambda: catalog.set_member("jane", tools, Role.GUEST, who), A.SET_MEMBER, "jane", tools),
            Step("set_member_role", lambda: catalog.set_member_role(deep(), 2, Role.OWNER, who, is_new=True),
                 A.SET_MEMBER, "john", "acme/deep"),
            Step("remove_member", lambda: catalog.remove_member(deep(), 2, who), A.REMOVE_MEMBER, "john",
                 "acme/deep"),
            Step("change_user", lambda: catalog.change_user(1, True, who), A.CHANGE_USER, "Jane"),
            Step("change_place", lambda: catalog.change_place(Level.PROJECT, 2, Visibility.PUBLIC, who),
                 A.CHANGE_PROJECT, "acme/deep/x", "acme/deep/x"),
            Step("change_place", lambda: catalog.change_place(Level.GROUP, 2, Visibility.PUBLIC, who),
                 A.CHANGE_GROUP, "acme/deep", "acme/deep"),
            Step("add_token", lambda: catalog.add_token(token("of-p", project="acme/deep/x"), who), A.ADD_TOKEN, "of-p",
                 "acme/deep/x"),
            Step("revoke_token", lambda: catalog.revoke_token("of-p", who), A.REVOKE_TOKEN, "of-p", "acme/deep/x"),
            Step("add_token", lambda: catalog.add_token(token("of-u", user="jane"), who), A.ADD_TOKEN, "of-u"),
            Step("rotate_token_of", lambda: catalog.rotate_token_of(mine, 3, minted, None, who),
                 A.ROTATE_TOKEN, "new"),
            Step("revoke_token_of", lambda: catalog.revoke_token_of(mine, 4, who), A.REVOKE_TOKEN, "new"),
            Step("approve_sign_in", approve, A.APPROVE_SIGN_IN, "npm/11"),
            Step("take_sign_in", lambda: catalog.take_sign_in("5" * 64, "taken", "7" * 64, "npm", ORIGIN), A.ADD_TOKEN,
                 "taken"),
            Step("change_settings", lambda: catalog.change_settings(
                Level.PROJECT, 1, NOTHING_SET, {"quota_bytes": 1 << 20}, who), A.CHANGE_SETTINGS, tools, tools),
            Step("add_rule", lambda: catalog.add_rule(1, kept, who), A.ADD_PROTECTION_RULE, "pypi Ze*", tools),
            Step("change_rule", lambda: catalog.change_rule(rule, wanted, who), A.CHANGE_PROTECTION_RULE, "pypi zeta",
                 tools),
            Step("remove_rule", lambda: catalog.remove_rule(1, 1, who), A.REMOVE_PROTECTION_RULE, "pypi zeta", tools),
            Step("add_job", lambda: catalog.add_job(built, SpentIdToken("https://ci.test", "1", soon), who),
                 A.ADD_TOKEN, "job", tools),
            Step("publish", lambda: catalog.publish(one, who), A.PUBLISH, f"pypi alpha 1.0 {file}", tools),
            Step("publish", lambda: catalog.publish(
                evolve(one, blob=blob_of(b"x"), on_duplicate=OnDuplicate.REPLACE), who),
                A.REPLACE, f"pypi alpha 1.0 {file}", tools),
            Step("publish_all", lambda: catalog.publish_all([two], who), A.PUBLISH, f"pypi alpha 2.0 {file}", tools),
            Step("publish", lambda: catalog.publish(other, who), A.PUBLISH, f"pypi alpha 3.0 {file}", tools),
            Step("publish", lambda: catalog.publish(more, who), A.PUBLISH, "pypi alpha 1.0 more.zip", tools),
            Step("set_tag", lambda: catalog.set_tag(*name, "1.0", "latest", who), A.TAG, "pypi alpha 1.0", tools),
            Step("remove_tag", lambda: catalog.remove_tag(*name, "latest", who), A.UNTAG, "pypi alpha 1.0", tools),
            Step("replace_metadata", lambda: catalog.replace_metadata(*name, "1.0", "{}", '{"a": 1}', who), A.DESCRIBE,
                 "pypi alpha 1.0", tools),
            Step("set_yanked", lambda: catalog.set_yanked(*name, "1.0", "why", who), A.YANK, "pypi alpha 1.0", tools),
            Step("yank_each", lambda: catalog.yank_each(*name, {"1.0": None}, who), A.UNYANK, "pypi alpha 1.0", tools),
            Step("publish", lambda: catalog.publish(awaiting, keeper), A.PUBLISH, f"pypi beta 1.0 {file}", tools),
            Step("withdraw_file", withdraw, A.WITHDRAW, f"pypi beta 1.0 {file}", tools),
            Step("delete_files", delete_files, A.DELETE_FILES, "pypi alpha 1.0", tools),
            Step("delete_file", delete_file, A.DELETE, f"pypi alpha 1.0 {file}", tools),
            Step("delete_package", delete_package, A.DELETE_PACKAGE, "pypi alpha 2.0", tools),
            Step("delete_name", delete_name, A.DELETE_NAME, "pypi alpha", tools),
            Step("remove_place", lambda: catalog.remove_place(Level.PROJECT, 2, who), A.REMOVE_PROJECT, "acme/deep/x",
                 "acme/deep"),
            Step("remove_place", lambda: catalog.remove_place(Level.GROUP, 2, who), A.REMOVE_GROUP, "acme/deep",
                 "acme"),
            Step("remove_user", lambda: catalog.remove_user(1, who), A.REMOVE_USER, "Jane"),
            Step("run_tasks", run_tasks, A.RUN_TASKS, "sweep"),
            Step("retry_task", retry_task, A.RETRY_TASK, "sweep"),
            Step("tell", lambda: catalog.tell(who, Told(A.SWEEP, "blobs")), A.SWEEP, "blobs"),
        ]  # fmt: skip

    def test_every_change_is_told_once(self) -> None:
        """Each verb leaves one entry: who, with which token and from where, what, and where."""
        self.begin()
        before = self.trail()
        for step in self.steps():
            self.assertIsNot(self.get(step.run()), False, step.verb)
            after = self.trail()
            self.assertEqual(len(after), len(before) + 1, step)
            self.assertEqual(after[:-1], before)
            entry = after[-1]
            self.assertEqual(
                (entry.told.action, entry.told.subject, entry.path), (step.action, step.subject, step.path)
            )
            who = entry.principal
            if step.verb != "take_sign_in":
                self.assertEqual((who.name, who.user_id, who.token_public_id), ("jane", 1, SHOWN), step)
            self.assertEqual((who.origin, who.token_kind), (ORIGIN, TokenKind.PERSONAL), step)
            self.assertEqual(entry.created_at, self.now())
            self.assertEqual(entry, self.get(self.catalog.find_audit_entry(Level.INSTANCE, 0, entry.id)))
            before = after
            self.clock.advance(1)

    def test_a_token_from_a_sign_in_is_told_of_its_parent(self) -> None:
        """The entry names the user who said yes, and the token that did."""
        self.begin()
        for step in self.steps():
            self.get(step.run())
            if step.verb == "take_sign_in":
                break
        who = self.trail()[-1].principal
        self.assertEqual((who.name, who.user_id, who.token_id, who.token_public_id), ("Jane", 1, 1, "mine"))

    def test_details_hold_no_secret(self) -> None:
        """Neither the digest of a token nor what a client polls with is in any entry."""
        self.begin()
        for step in self.steps():
            self.get(step.run())
        told = repr(self.trail())
        for secret in ("mine" * 16, "5" * 64, "6" * 64, "7" * 64):
            self.assertNotIn(secret, told)

    def test_details(self) -> None:
        """What there is to say beside: rights of tokens, roles, what a project was before, bytes by their digest."""
        self.begin()
        for step in self.steps():
            self.get(step.run())
        found = {(entry.told.action, entry.told.subject): entry.told for entry in self.trail()}
        self.assertEqual(
            found[A.ADD_TOKEN, "of-p"].detail,
            {
                "public_id": "of-p",
                "name": "name of of-p",
                "kind": "job",
                "scopes": [],
                "role": None,
                "expires_at": None,
            },
        )
        self.assertEqual(found[A.SET_MEMBER, "john"].detail, {"path": "acme/deep", "user": "john", "role": "owner"})
        visibility = {"visibility": "public", "before": "private"}
        self.assertEqual(found[A.CHANGE_PROJECT, "acme/deep/x"].detail, {"path": "acme/deep/x", **visibility})
        replaced = found[A.REPLACE, "pypi alpha 1.0 alpha-1.0.tar.gz"].detail
        self.assertEqual(
            (replaced["replaced_sha256"], replaced["sha256"]), (blob_of(b"1").sha256.hex, blob_of(b"x").sha256.hex)
        )
        self.assertEqual(found[A.DELETE_NAME, "pypi alpha"].detail["files"], 1)
        removed = found[A.REMOVE_PROJECT, "acme/deep/x"]
        self.assertEqual((removed.detail, removed.group_id), ({"path": "acme/deep/x", "id": 2}, 2))
        self.assertEqual(found[A.ADD_TOKEN, "of-u"].about_user_id, 1)

    def test_what_changes_nothing_tells_nothing(self) -> None:
        """Neither a refusal nor what is so already leaves an entry."""
        self.begin()
        who = self.principal()
        self.get(self.catalog.add_user("jane", is_admin=True))
        self.get(self.catalog.publish(publication_of(b"1"), who))
        self.get(self.catalog.add_token(NewToken("of-p", "x" * 64, TokenKind.JOB, "n", project="acme/tools")))
        self.get(self.catalog.revoke_token("of-p"))
        before = self.trail()
        self.get(self.catalog.publish(publication_of(b"1"), who))
        self.get(self.catalog.change_user(1, True, who))
        self.get(self.catalog.change_place(Level.PROJECT, 1, PRIVATE, who))
        self.get(self.catalog.revoke_token("of-p", who))
        self.get(self.catalog.revoke_token("missing", who))
        self.get(self.catalog.remove_tag(1, "pypi", "alpha", "missing", who))
        self.get(self.catalog.set_yanked(1, "pypi", "alpha", "1.0", None, who))
        self.get(self.catalog.remove_place(Level.PROJECT, 99, who))
        self.get(self.catalog.delete_file(99, who, NO_PRECONDITION))
        self.get(self.catalog.approve_sign_in("missing", who, self.now()))
        for refused in (
            self.catalog.add_user("Jane", principal=who),
            self.catalog.add_group("acme", PRIVATE, who),
            self.catalog.publish(publication_of(b"2"), who),
            self.catalog.publish_all([publication_of(b"3", version="3"), publication_of(b"2")], who),
            self.catalog.remove_user(1, who),
        ):
            self._fails(refused)
        self.assertEqual(self.trail(), before)

    def _fails(self, awaitable: Awaitable[object]) -> None:
        async def caught() -> bool:
            try:
                await awaitable
            except Exception:
                return True
            return False

        self.assertTrue(self.get(caught()))

    def test_who_is_not_said_is_the_operator(self) -> None:
        """No change is nobody's."""
        self.begin()
        self.assertEqual([entry.principal.name for entry in self.trail()], ["pkgregd:operator"] * 2)
        self.assertIsNone(self.trail()[0].principal.origin)

    # --------------------------------------------------------------- reading

    def tell(self, *times: float) -> None:
        """Add an entry at each of some seconds after the start."""
        for seconds in times:
            self.clock.advance(START_SECONDS + seconds - self.clock.seconds())
            self.get(self.catalog.tell(self.principal(), Told(A.SWEEP, f"{seconds}", project_id=1)))

    def test_listing_by_place(self) -> None:
        """A project and a group have the entries of what happened there, the instance has all."""
        self.begin()
        self.tell(1, 2)
        self.assertEqual(self.numbers(), [1, 2, 3, 4])
        self.assertEqual(self.numbers(level=Level.PROJECT, place_id=1), [2, 3, 4])
        self.assertEqual(self.numbers(level=Level.GROUP, place_id=1), [1])
        self.assertEqual(self.numbers(level=Level.PROJECT, place_id=9), [])
        for level, place_id, entry_id, is_found in (
            (Level.PROJECT, 1, 2, True), (Level.GROUP, 1, 2, False), (Level.GROUP, 1, 1, True),
            (Level.PROJECT, 2, 2, False), (Level.INSTANCE, 0, 4, True), (Level.INSTANCE, 0, 5, False),
            (Level.INSTANCE, 0, 2**70, False),
        ):  # fmt: skip
            found = self.get(self.catalog.find_audit_entry(level, place_id, entry_id))
            self.assertEqual(found is not None, is_found, (level, place_id, entry_id))

    def test_listing_by_time(self) -> None:
        """Both bounds are inclusive."""
        self.begin()
        self.tell(1, 2, 3)
        second = datetime.timedelta(seconds=1)
        self.assertEqual(self.numbers(created_after=START + second), [3, 4, 5])
        self.assertEqual(self.numbers(created_before=START + second), [1, 2, 3])
        self.assertEqual(self.numbers(created_after=START + second, created_before=START + 2 * second), [3, 4])
        self.assertEqual(self.numbers(created_after=START + 9 * second), [])

    def test_listing_in_pieces(self) -> None:
        """By offset or behind an entry, in both directions, with several entries of one time: each comes once."""
        self.begin()
        self.tell(1, 1, 1, 2, 2)
        for is_descending in (False, True):
            whole = self.numbers(is_descending=is_descending)
            self.assertEqual(whole, sorted(range(1, 8), reverse=is_descending))
            query = AuditQuery(is_descending=is_descending)
            by_offset, by_position = [], []
            for offset in range(0, 8, 2):
                listing = self.get(self.catalog.list_audit_entries(query, Piece(offset, 2)))
                self.assertEqual(listing.total, 7)
                by_offset += [entry.id for entry in listing.entries]
            while True:
                entries = self.get(self.catalog.list_audit_entries(query, Piece(0, 2))).entries
                by_position += [entry.id for entry in entries]
                if not entries:
                    break
                query = evolve(query, behind=AuditPosition(entries[-1].created_at, entries[-1].id))
            self.assertEqual((by_offset, by_position), (whole, whole))

    def test_following(self) -> None:
        """Entries beyond a number, some at once."""
        self.begin()
        self.tell(1, 2)
        self.assertEqual([entry.id for entry in self.get(self.catalog.follow_trail(0, 3))], [1, 2, 3])
        self.assertEqual([entry.id for entry in self.get(self.catalog.follow_trail(3, 3))], [4])
        self.assertEqual(self.get(self.catalog.follow_trail(4, 3)), ())
        self.assertEqual(self.get(self.catalog.follow_trail(2**70, 3)), ())

    def test_forgetting(self) -> None:
        """The oldest go first, as many as are wanted, and their numbers never come again."""
        self.begin()
        self.tell(1, 2, 3)
        border = START + datetime.timedelta(seconds=3)
        self.assertEqual(self.get(self.catalog.forget_audit_entries(border, 3)), 3)
        self.assertEqual(self.numbers(), [4, 5])
        self.assertEqual(self.get(self.catalog.forget_audit_entries(border, 3)), 1)
        self.assertEqual(self.get(self.catalog.forget_audit_entries(border, 3)), 0)
        self.get(self.catalog.forget_audit_entries(border + datetime.timedelta(days=1), 3))
        self.tell(4)
        self.assertEqual(self.numbers(), [6])

    def test_what_is_behind_a_gap_waits(self) -> None:
        """While an entry before it may still appear, the next is held back; then it comes without."""
        self.begin()
        self.tell(1, 2)
        self.get(self.catalog.forget_audit_entries(START + datetime.timedelta(seconds=2), 9))
        self.assertEqual(self.numbers(), [4])
        self.assertEqual(self.get(self.catalog.follow_trail(2, 9)), ())
        self.assertEqual([entry.id for entry in self.get(self.catalog.follow_trail(3, 9))], [4])
        self.clock.advance(61)
        self.assertEqual([entry.id for entry in self.get(self.catalog.follow_trail(2, 9))], [4])
