"""What every catalog does with protection rules, as tests beside those of CatalogContract."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import evolve
from twisted.internet.defer import Deferred, ensureDeferred

from pkgregd.catalog.sql import SqlCatalog
from pkgregd.errors import PackageProtected, ProjectNotFound, RuleRejected
from pkgregd.interfaces import MAX_RULES, ICatalog, IInventoryCatalog, IPackageCatalog
from pkgregd.testing.catalog_contract import PRIVATE, publication_of
from pkgregd.values import (
    ANONYMOUS,
    NO_PRECONDITION,
    Level,
    PackageFile,
    Piece,
    Principal,
    ProtectedAct,
    ProtectionLevel,
    ProtectionRule,
    Role,
    RuleTerms,
    TokenKind,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

MAINTAINER, OWNER, ADMIN = ProtectionLevel
PUSH, DELETE = ProtectedAct
ALL = Piece(0, MAX_RULES)

Write: TypeAlias = Callable[[ICatalog, PackageFile, int, Principal], Awaitable[object]]

WRITES: Mapping[str, tuple[ProtectedAct, Write]] = {
    "publish": (PUSH, lambda at, file, now, who: at.publish(publication_of(b"more", file_name="more"), who)),
    "publish_all": (
        PUSH,
        lambda at, file, now, who: at.publish_all(
            [publication_of(b"z", name="other", file_name="z"), publication_of(b"more", file_name="more")], who
        ),
    ),
    "replace_metadata": (
        PUSH,
        lambda at, file, now, who: at.replace_metadata(1, "pypi", "alpha", "1.0", "{}", '{"a":1}', who),
    ),
    "set_tag": (PUSH, lambda at, file, now, who: at.set_tag(1, "pypi", "alpha", "1.0", "new", who)),
    "remove_tag": (PUSH, lambda at, file, now, who: at.remove_tag(1, "pypi", "alpha", "old", who)),
    "set_yanked": (PUSH, lambda at, file, now, who: at.set_yanked(1, "pypi", "alpha", "1.0", "bad", who)),
    "yank_each": (PUSH, lambda at, file, now, who: at.yank_each(1, "pypi", "alpha", {"1.0": "bad"}, who)),
    "withdraw_file": (PUSH, lambda at, file, now, who: at.withdraw_file(file.id, file.blob.sha256, who)),
    "delete_file": (DELETE, lambda at, file, now, who: at.delete_file(file.id, who, NO_PRECONDITION)),
    "delete_name": (DELETE, lambda at, file, now, who: at.delete_name(1, "pypi", "alpha", now, who)),
    "delete_package": (DELETE, lambda at, file, now, who: at.delete_package(1, file.package_id, who, NO_PRECONDITION)),
    "delete_files": (DELETE, lambda at, file, now, who: at.delete_files(1, file.package_id, [file.id], now, who)),
}
"""Every verb that changes packages, how rules take it, and how to have it change alpha 1.0."""

UNRULED = {"confirm_file"}
"""Verbs that write and obey no rule: that bytes came as they were sent changes nothing that anybody is served."""


def terms(
    pattern: str = "al*",
    push: ProtectionLevel | None = MAINTAINER,
    delete: ProtectionLevel | None = None,
    format: str = "pypi",
) -> RuleTerms:
    """The terms of a rule whose pattern is written in its canonical form."""
    return RuleTerms(format, pattern, pattern, push, delete)


class ProtectionContract(_Base):
    """Rules, and who obeys them; mixed in before CatalogContract."""

    def add_rule(self, **named: object) -> ProtectionRule:
        """Add a rule to project 1."""
        return self.get(self.catalog.add_rule(1, terms(**named), ANONYMOUS))  # type: ignore[arg-type]

    def rules(self, project_id: int = 1) -> list[ProtectionRule]:
        """The rules of a project."""
        return list(self.get(self.catalog.list_rules(project_id, ALL)).rules)

    def person(self, name: str, role: Role | None, path: str = "acme/tools", *, is_admin: bool = False) -> Principal:
        """Add a user, perhaps with a role."""
        user_id = self.get(self.catalog.add_user(name, is_admin=is_admin))
        if role is not None:
            self.get(self.catalog.set_member(name, path, role))
        return Principal(name=name, token_kind=TokenKind.PERSONAL, token_id=1, user_id=user_id)

    def may(self, who: Principal, act: ProtectedAct = PUSH, name: str = "alpha", format: str = "pypi") -> bool:
        """Whether somebody may do something to a name in project 1."""
        try:
            self.get(self.catalog.demand_unprotected(1, format, name, act, who))
        except self.failureException as failure:
            if "PackageProtected" not in str(failure):
                raise
            return False
        return True

    # --- tending

    def test_life_of_a_rule(self) -> None:
        """Added, found, changed, removed; of another project it is none."""
        other = self.get(self.catalog.add_project("acme/yard", PRIVATE))
        rule = self.add_rule(delete=OWNER)
        self.assertEqual((rule.project_id, rule.terms), (1, terms(delete=OWNER)))
        self.assertEqual(self.rules(), [rule])
        self.assertEqual(self.get(self.catalog.find_rule(1, rule.id)), rule)
        for project_id, rule_id in ((other, rule.id), (1, 99), (1, 0), (1, 2**63)):
            self.assertIsNone(self.get(self.catalog.find_rule(project_id, rule_id)))
            self.assertFalse(self.get(self.catalog.remove_rule(project_id, rule_id, ANONYMOUS)))
        self.assertTrue(self.get(self.catalog.change_rule(rule, terms("be*", ADMIN), ANONYMOUS)))
        changed = evolve(rule, terms=terms("be*", ADMIN))
        self.assertEqual(self.rules(), [changed])
        self.assertFalse(self.get(self.catalog.change_rule(rule, terms(), ANONYMOUS)), "it is not as it was known")
        self.assertTrue(self.get(self.catalog.remove_rule(1, rule.id, ANONYMOUS)))
        self.assertFalse(self.get(self.catalog.change_rule(changed, terms(), ANONYMOUS)))
        self.assertEqual(self.rules(), [])
        self.assertGreater(self.add_rule().id, rule.id)

    def test_one_rule_for_the_same_names(self) -> None:
        """A second one is refused, also by a change; of another format or project it is another rule."""
        other = self.get(self.catalog.add_project("acme/yard", PRIVATE))
        first = self.add_rule()
        self.assertIn("taken", self.refused(self.catalog.add_rule(1, terms(push=OWNER), ANONYMOUS), RuleRejected))
        written = evolve(terms(), pattern="AL*")
        self.refused(self.catalog.add_rule(1, written, ANONYMOUS), RuleRejected)
        second = self.add_rule(format="npm")
        self.get(self.catalog.add_rule(other, terms(), ANONYMOUS))
        self.refused(self.catalog.change_rule(second, terms(), ANONYMOUS), RuleRejected)
        self.assertTrue(self.get(self.catalog.change_rule(first, terms(push=OWNER), ANONYMOUS)))
        self.assertEqual([rule.terms for rule in self.rules()], [terms(push=OWNER), terms(format="npm")])

    def test_rules_are_numbered_pieces(self) -> None:
        """A piece of a listing, and how long all of it is."""
        made = [self.add_rule(pattern=f"a{number}") for number in range(5)]
        listing = self.get(self.catalog.list_rules(1, Piece(2, 2)))
        self.assertEqual((list(listing.rules), listing.total), (made[2:4], 5))

    def test_a_project_has_so_many_rules(self) -> None:
        """One more than MAX_RULES is refused; one less makes room."""
        made = [self.add_rule(pattern=f"a{number}") for number in range(MAX_RULES)]
        self.assertIn(f"{MAX_RULES}", self.refused(self.catalog.add_rule(1, terms(), ANONYMOUS), RuleRejected))
        self.get(self.catalog.remove_rule(1, made[7].id, ANONYMOUS))
        self.add_rule()

    def test_rules_go_with_their_project(self) -> None:
        """A project that is gone has none, and gets none."""
        rule = self.add_rule()
        self.publish(publication_of(b"x", name="beta", file_name="x"))
        self.assertTrue(self.get(self.catalog.remove_place(Level.PROJECT, 1, ANONYMOUS)))
        self.assertIsNone(self.get(self.catalog.find_rule(1, rule.id)))
        self.refused(self.catalog.add_rule(1, terms(), ANONYMOUS), ProjectNotFound)

    # --- obeying

    def test_every_verb_that_changes_packages_is_known(self) -> None:
        """A verb that is new has to say here what it is to rules."""
        asked = {
            name
            for interface in (IPackageCatalog, IInventoryCatalog)
            for name in interface.names()
            if "principal" in interface[name].getSignatureInfo()["positional"]
        }
        self.assertEqual(asked, set(WRITES))

    def test_no_verb_writes_unasked(self) -> None:
        """Whatever of these verbs runs as a write is asked, or said to change nothing that rules are about."""
        verbs = {*IPackageCatalog.names(), *IInventoryCatalog.names()}
        writing = {name for name in verbs if "_database.write" in inspect.getsource(getattr(SqlCatalog, name))}
        self.assertEqual(writing, {*WRITES, *UNRULED})

    def test_every_verb_obeys(self) -> None:
        """Each is refused by a rule on what it does, changes nothing then, and works for who may and for others."""
        own = self.person("olga", Role.OWNER)
        developer = self.person("dev", Role.DEVELOPER)
        for number, (verb, (act, write)) in enumerate(WRITES.items()):
            publication = evolve(publication_of(b"x", file_name=f"{number}"), tags=("old",), awaits_checksum=True)
            file = self.publish(publication, developer).file
            before = self.state()
            ((_, revision),) = before.revisions
            levels = {"push": OWNER, "delete": None} if act is PUSH else {"push": None, "delete": OWNER}
            rule = self.add_rule(pattern="al*a", **levels)
            text = self.refused(write(self.catalog, file, revision, developer), PackageProtected)
            self.assertIn("owners and above", text, verb)
            self.assertEqual(self.state(), before, verb)
            self.get(self.catalog.demand_unprotected(1, "pypi", "alpha", act, own))
            other = DELETE if act is PUSH else PUSH
            self.get(self.catalog.demand_unprotected(1, "pypi", "alpha", other, developer))
            self.get(self.catalog.remove_rule(1, rule.id, ANONYMOUS))
            self.get(write(self.catalog, file, revision, developer))
            self.assertNotEqual(self.state(), before, verb)
            for left in self.get(self.catalog.list_files([1], "pypi", "alpha")):
                self.delete(left)

    def test_all_or_nothing(self) -> None:
        """Of several files that are published together a protected one keeps the others from being published."""
        self.add_rule()
        _, write = WRITES["publish_all"]
        file = self.publish(publication_of(b"x", name="beta", file_name="x")).file
        self.refused(write(self.catalog, file, 0, ANONYMOUS), PackageProtected)
        self.assertEqual(self.files("other"), [])

    def test_publishes_beside_a_rule_that_is_made(self) -> None:
        """Of many at once each is either done before the rule or refused by it, and none after it."""
        running: list[Deferred[object]] = []
        for number in range(20):
            if number == 10:
                running.append(ensureDeferred(_awaited(self.catalog.add_rule(1, terms(), ANONYMOUS))))
            publication = publication_of(b"%d" % number, file_name=f"{number}")
            running.append(ensureDeferred(_awaited(self.catalog.publish(publication, ANONYMOUS))))
        refused = 0
        for deferred in running:
            deferred.addErrback(lambda failure: failure.trap(PackageProtected))
            self.wait(deferred)
            refused += self.successResultOf(deferred) is PackageProtected
        self.assertEqual(len(self.files()) + refused, 20)
        self.refused(self.catalog.publish(publication_of(b"x"), ANONYMOUS), PackageProtected)

    def test_a_yank_can_be_a_deletion(self) -> None:
        """Where a client calls it one, the level for deletions counts, and the other does not."""
        self.publish(publication_of(b"x"))
        self.add_rule(push=None, delete=OWNER)
        developer = self.person("dev", Role.DEVELOPER)
        verb = (1, "pypi", "alpha", "1.0")
        self.refused(self.catalog.set_yanked(*verb, "", developer, act=DELETE), PackageProtected)
        self.assertTrue(self.get(self.catalog.set_yanked(*verb, "", developer)))

    def test_equal_bytes_are_a_push_as_well(self) -> None:
        """Who may not publish is not told either whether the bytes are there."""
        self.publish(publication_of(b"x"))
        self.add_rule()
        self.refused(self.catalog.publish(publication_of(b"x"), ANONYMOUS), PackageProtected)

    def test_levels(self) -> None:
        """A role counts where it is inherited, an administrator is above owners; only some tokens reach a level."""
        tools: dict[str, Any] = {"project_id": 1, "project_path": "acme/tools"}
        group: dict[str, Any] = {"group_id": self.group_id}
        elsewhere = self.get(self.catalog.add_project("acme/yard", PRIVATE))
        kinds = TokenKind

        def token(kind: TokenKind, role: Role | None = None, **bound: Any) -> Principal:
            return Principal("token:x", kind, 1, role=role, **bound)

        people = {
            0: [
                ANONYMOUS, self.person("d", Role.DEVELOPER), self.person("s", None),
                self.person("elsewhere", Role.OWNER, "acme/yard"),
                token(kinds.DEPLOY, **tools), token(kinds.DEPLOY, **group), token(kinds.JOB, **tools),
                token(kinds.PROJECT, Role.DEVELOPER, **tools), token(kinds.GROUP, Role.REPORTER, **group),
                token(kinds.PROJECT, Role.OWNER, project_id=elsewhere), token(kinds.GROUP, Role.OWNER, group_id=99),
                Principal("gone", kinds.PERSONAL, 1, user_id=99, is_admin=True),
            ],
            1: [self.person("m", Role.MAINTAINER), token(kinds.PROJECT, Role.MAINTAINER, **tools)],
            2: [
                self.person("o", Role.OWNER, "acme"), token(kinds.PROJECT, Role.OWNER, **tools),
                token(kinds.GROUP, Role.OWNER, **group),
            ],
            3: [self.person("root", None, is_admin=True)],
        }  # fmt: skip
        for reaches, level in enumerate(ProtectionLevel, 1):
            rule = self.add_rule(push=level, delete=max(level, OWNER))
            for reached, everybody in people.items():
                for who in everybody:
                    self.assertEqual(self.may(who), reached >= reaches, (who, level))
                    self.assertEqual(self.may(who, DELETE), reached >= max(reaches, 2), (who, level))
            self.get(self.catalog.remove_rule(1, rule.id, ANONYMOUS))

    def test_rules_and_roles_of_now_count(self) -> None:
        """What was allowed is not any more with a new rule, or a role that was taken away; and the other way round."""
        ann = self.person("ann", Role.MAINTAINER)
        self.assertTrue(self.may(ANONYMOUS))
        rule = self.add_rule()
        self.assertEqual((self.may(ANONYMOUS), self.may(ann)), (False, True))
        self.get(self.catalog.set_member("ann", "acme/tools", Role.DEVELOPER))
        self.assertFalse(self.may(ann))
        self.get(self.catalog.set_member("ann", "acme", Role.OWNER))
        self.assertTrue(self.may(ann))
        self.get(self.catalog.change_rule(rule, terms("beta"), ANONYMOUS))
        self.assertTrue(self.may(ANONYMOUS))
        self.get(self.catalog.change_rule(evolve(rule, terms=terms("beta")), terms(push=ADMIN), ANONYMOUS))
        self.assertFalse(self.may(ann))
        self.assertTrue(self.get(self.catalog.change_user(ann.user_id or 0, True, ANONYMOUS)))
        self.assertTrue(self.may(ann))

    def test_the_strictest_rule_counts(self) -> None:
        """Of several rules for a name; those of other names, formats and projects say nothing."""
        other = self.get(self.catalog.add_project("acme/yard", PRIVATE))
        ann = self.person("ann", Role.MAINTAINER)
        self.add_rule(pattern="*")
        self.add_rule(pattern="beta", push=ADMIN)
        self.add_rule(pattern="al*", push=ADMIN, format="npm")
        self.get(self.catalog.add_rule(other, terms(push=ADMIN), ANONYMOUS))
        self.assertEqual((self.may(ann), self.may(ann, name="beta")), (True, False))
        self.add_rule(pattern="*ha", push=OWNER)
        self.assertFalse(self.may(ann))
        self.assertTrue(self.may(ANONYMOUS, format="generic"))
        text = self.refused(self.catalog.demand_unprotected(1, "pypi", "alpha", PUSH, ann), PackageProtected)
        self.assertEqual(text, "Package protected. In this project only owners and above may publish *ha")


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable
