"""What every catalog tells of users, members, projects and groups to those who administer them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from attrs import evolve

from pkgregd.errors import AlreadyExists, LastAdministrator, LastOwner
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import (
    ANONYMOUS,
    Level,
    MemberRecord,
    NewSignIn,
    NewToken,
    Piece,
    PlaceOrder,
    PlaceQuery,
    PlaceRecord,
    Principal,
    Role,
    Scope,
    TokenKind,
    UserRecord,
    Visibility,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

ALL = Piece(0, 100)
GROUP, PROJECT = Level.GROUP, Level.PROJECT
PRIVATE, INTERNAL, PUBLIC = Visibility.PRIVATE, Visibility.INTERNAL, Visibility.PUBLIC


class DirectoryContract(_Base):
    """Mixed in before CatalogContract."""

    def now(self) -> datetime.datetime:
        """The present time."""
        return datetime.datetime.fromtimestamp(self.clock.seconds(), datetime.UTC)

    def populate(self) -> None:
        """Have jane, john and root, and groups and projects of every visibility."""
        for name in ("Jane", "john", "root"):
            self.get(self.catalog.add_user(name, is_admin=name == "root"))
        for path, visibility in (("lib", PUBLIC), ("lib/deep", PRIVATE), ("other", INTERNAL), ("hidden", PRIVATE)):
            self.get(self.catalog.add_group(path, visibility))
        for path, visibility in (
            ("lib/open", PUBLIC), ("lib/inner", INTERNAL), ("lib/deep/closed", PRIVATE), ("hidden/closed", PRIVATE),
        ):  # fmt: skip
            self.get(self.catalog.add_project(path, visibility))

    def user_id(self, name: str) -> int:
        """The number of a user."""
        (user,) = self.get(self.catalog.list_users(None, name, ALL)).users
        return user.id

    def viewer(self, name: str) -> Principal:
        """A user, as a token shows one."""
        return Principal(name, TokenKind.PERSONAL, 1, self.user_id(name), name == "root", frozenset({"api"}))

    def place(self, path: str, level: Level = GROUP) -> Scope:
        """A project or group."""
        scope = self.get(self.catalog.find_scope(level, path, None))
        assert scope is not None
        return scope

    def paths(self, level: Level, viewer: Principal, piece: Piece = ALL, **wanted: Any) -> list[str]:
        """The paths of what a principal sees, but for what the other contracts have made."""
        listing = self.get(self.catalog.list_places(level, viewer, PlaceQuery(**wanted), piece))
        return [place.path for place in listing.places if not place.path.startswith("acme")]

    # --- users

    def test_users(self) -> None:
        """They are found by a part of the name or the whole, by number, and in pieces."""
        self.populate()
        listing = self.get(self.catalog.list_users("J", None, ALL))
        self.assertEqual([user.name for user in listing.users], ["Jane", "john"])
        self.assertEqual(listing.total, 2)
        self.assertEqual(self.get(self.catalog.list_users("j", None, Piece(1, 1))).users, listing.users[1:])
        self.assertEqual([u.name for u in self.get(self.catalog.list_users(None, "jane", ALL)).users], ["Jane"])
        for pattern in ("%", "_", "x"):
            self.assertEqual(self.get(self.catalog.list_users(pattern, None, ALL)).total, 0)
        jane = listing.users[0]
        self.assertEqual(jane, UserRecord(jane.id, "Jane", False, self.now()))
        self.assertEqual(self.get(self.catalog.find_user(jane.id)), jane)
        for missing in (0, 99, 2**63):
            self.assertIsNone(self.get(self.catalog.find_user(missing)))

    def test_change_a_user(self) -> None:
        """An administrator is one with the next look at a token."""
        self.populate()
        self.get(self.catalog.add_token(NewToken("a", "a" * 64, TokenKind.PERSONAL, "a", user="jane")))
        self.assertTrue(self.get(self.catalog.change_user(self.user_id("jane"), True, ANONYMOUS)))
        record = self.get(self.catalog.find_token("a"))
        assert record is not None
        self.assertTrue(record.principal.is_admin)
        self.assertFalse(self.get(self.catalog.change_user(99, True, ANONYMOUS)))

    def test_the_last_administrator_stays(self) -> None:
        """Whoever asks."""
        self.populate()
        root, jane = self.user_id("root"), self.user_id("jane")
        self.refused(self.catalog.change_user(root, False, ANONYMOUS), LastAdministrator)
        self.refused(self.catalog.remove_user(root, ANONYMOUS), LastAdministrator)
        self.assertTrue(self.get(self.catalog.change_user(jane, False, ANONYMOUS)))
        self.get(self.catalog.change_user(jane, True, ANONYMOUS))
        self.assertTrue(self.get(self.catalog.change_user(root, False, ANONYMOUS)))
        self.refused(self.catalog.change_user(jane, False, ANONYMOUS), LastAdministrator)

    def test_the_last_owner_is_not_removed(self) -> None:
        """A group at the top keeps one; with another, the user may go."""
        self.populate()
        self.get(self.catalog.set_member("jane", "lib", Role.OWNER))
        self.get(self.catalog.set_member("jane", "lib/deep", Role.OWNER))
        self.refused(self.catalog.remove_user(self.user_id("jane"), ANONYMOUS), LastOwner)
        self.get(self.catalog.set_member("john", "lib", Role.OWNER))
        self.assertTrue(self.get(self.catalog.remove_user(self.user_id("jane"), ANONYMOUS)))
        self.refused(self.catalog.remove_user(self.user_id("john"), ANONYMOUS), LastOwner)

    def test_remove_a_user(self) -> None:
        """Tokens, memberships and what was approved go, too, and the name is free."""
        self.populate()
        self.get(self.catalog.set_member("jane", "lib", Role.DEVELOPER))
        self.get(self.catalog.add_token(NewToken("a", "a" * 64, TokenKind.PERSONAL, "a", user="jane")))
        record = self.get(self.catalog.find_token("a"))
        assert record is not None
        expires_at = self.now() + datetime.timedelta(minutes=5)
        self.get(self.catalog.add_sign_in(NewSignIn("s", "S", "192.0.2.1", "npm", expires_at), 9))
        self.get(self.catalog.approve_sign_in("s", record.principal, expires_at))
        jane = self.user_id("jane")
        self.assertTrue(self.get(self.catalog.remove_user(jane, ANONYMOUS)))
        self.assertFalse(self.get(self.catalog.remove_user(jane, ANONYMOUS)))
        self.assertIsNone(self.get(self.catalog.find_token("a")))
        self.assertIsNone(self.get(self.catalog.take_sign_in("S", "t", "t", "t")))
        self.assertEqual(self.get(self.catalog.list_members(self.place("lib"), None, ALL, is_inherited=True)).total, 0)
        self.assertNotEqual(self.get(self.catalog.add_user("jane")), jane)

    # --- projects and groups

    def test_what_each_sees(self) -> None:
        """The public for everybody, the internal for users, the rest for members and administrators."""
        self.populate()
        self.get(self.catalog.set_member("john", "lib/deep", Role.GUEST))
        for viewer, groups, projects in (
            (ANONYMOUS, ["lib"], ["lib/open"]),
            (self.viewer("jane"), ["lib", "other"], ["lib/open", "lib/inner"]),
            (self.viewer("john"), ["lib", "lib/deep", "other"], ["lib/open", "lib/inner", "lib/deep/closed"]),
            (
                self.viewer("root"),
                ["lib", "lib/deep", "other", "hidden"],
                ["lib/open", "lib/inner", "lib/deep/closed", "hidden/closed"],
            ),
        ):
            self.assertEqual(self.paths(GROUP, viewer), groups, viewer)
            self.assertEqual(self.paths(PROJECT, viewer), projects, viewer)

    def test_what_bound_tokens_see(self) -> None:
        """Where they are bound, and what is public."""
        self.populate()
        closed, hidden = self.place("hidden/closed", PROJECT).id, self.place("hidden").id
        of_project = Principal("token:x", TokenKind.DEPLOY, 1, project_id=closed)
        self.assertEqual(self.paths(PROJECT, of_project), ["lib/open", "hidden/closed"])
        self.assertEqual(self.paths(GROUP, of_project), ["lib"])
        of_group = Principal("token:x", TokenKind.GROUP, 1, group_id=hidden)
        self.assertEqual(self.paths(PROJECT, of_group), ["lib/open", "hidden/closed"])
        self.assertEqual(self.paths(GROUP, of_group), ["lib", "hidden"])

    def test_which_are_wanted(self) -> None:
        """By a part of the path, by visibility, by where they lie, and by the role that one has there."""
        self.populate()
        self.get(self.catalog.set_member("john", "lib", Role.DEVELOPER))
        self.get(self.catalog.set_member("john", "hidden/closed", Role.OWNER))
        john, root, lib = self.viewer("john"), self.viewer("root"), self.place("lib").id
        self.assertEqual(self.paths(PROJECT, root, text="LOSED"), ["lib/deep/closed", "hidden/closed"])
        self.assertEqual(self.paths(PROJECT, root, text="%"), [])
        self.assertEqual(self.paths(PROJECT, root, visibility=INTERNAL), ["lib/inner"])
        self.assertEqual(self.paths(PROJECT, root, parent_id=lib), ["lib/open", "lib/inner"])
        self.assertEqual(
            self.paths(PROJECT, root, parent_id=lib, is_deep=True), ["lib/open", "lib/inner", "lib/deep/closed"]
        )
        self.assertEqual(self.paths(GROUP, root, parent_id=lib), ["lib/deep"])
        self.assertEqual(self.paths(GROUP, root, top_only=True), ["lib", "other", "hidden"])
        self.assertEqual(self.paths(PROJECT, john, least_role=Role.MAINTAINER), ["hidden/closed"])
        self.assertEqual(self.paths(GROUP, john, least_role=Role.GUEST), ["lib", "lib/deep"])
        self.assertEqual(self.paths(GROUP, root, least_role=Role.GUEST), [])

    def test_orders_and_pieces(self) -> None:
        """By number or by path, either way."""
        self.populate()
        root = self.viewer("root")
        by_path = ["hidden", "lib", "lib/deep", "other"]
        self.assertEqual(self.paths(GROUP, root, order=PlaceOrder.PATH), by_path)
        self.assertEqual(self.paths(GROUP, root, order=PlaceOrder.PATH, is_descending=True), by_path[::-1])
        self.assertEqual(self.paths(GROUP, root, is_descending=True), ["hidden", "other", "lib/deep", "lib"])
        listing = self.get(self.catalog.list_places(GROUP, ANONYMOUS, PlaceQuery(), Piece(0, 1)))
        rest = self.get(self.catalog.list_places(GROUP, ANONYMOUS, PlaceQuery(), Piece(1, 9)))
        self.assertEqual(len(listing.places) + len(rest.places), listing.total)

    def test_find_and_change(self) -> None:
        """A project or group knows its parent, and may become visible or not."""
        self.populate()
        deep, lib = self.place("lib/deep"), self.place("lib")
        wanted = PlaceRecord(GROUP, deep.id, "lib/deep", PRIVATE, lib.id, self.now())
        self.assertEqual(self.get(self.catalog.find_place(GROUP, deep.id)), wanted)
        top = self.get(self.catalog.find_place(GROUP, lib.id))
        assert top is not None
        self.assertIsNone(top.parent_id)
        project = self.place("lib/open", PROJECT)
        found = self.get(self.catalog.find_place(PROJECT, project.id))
        assert found is not None
        self.assertEqual((found.path, found.parent_id), ("lib/open", lib.id))
        for level, place_id in ((GROUP, deep.id), (PROJECT, project.id)):
            self.assertTrue(self.get(self.catalog.change_place(level, place_id, INTERNAL, ANONYMOUS)))
            place = self.get(self.catalog.find_place(level, place_id))
            assert place is not None
            self.assertIs(place.visibility, INTERNAL)
        self.assertEqual(self.place("lib/open", PROJECT).visibility, INTERNAL)
        for missing in (0, 99, 2**63):
            self.assertIsNone(self.get(self.catalog.find_place(GROUP, missing)))
            self.assertFalse(self.get(self.catalog.change_place(PROJECT, missing, PUBLIC, ANONYMOUS)))

    def test_remove_a_project(self) -> None:
        """Everything in it goes, blobs are unused if nobody else has them, and the path is free."""
        self.get(self.catalog.add_user("jane"))
        project = self.get(self.catalog.add_project("acme/gone", PRIVATE))
        scope = self.place("acme/gone", PROJECT)
        self.get(self.catalog.set_member_role(scope, self.user_id("jane"), Role.GUEST, ANONYMOUS, is_new=True))
        self.get(self.catalog.add_token(NewToken("d", "d" * 64, TokenKind.DEPLOY, "d", project="acme/gone")))
        shared, own = publication_of(b"shared"), publication_of(b"own", version="2.0", file_name="alpha-2.0.zip")
        self.publish(shared)
        for publication in (shared, own):
            coordinates = evolve(publication.coordinates, project_id=project)
            self.publish(
                evolve(publication, coordinates=coordinates, tags=("latest",), documents={"info": b"x"}, keys=("k",))
            )
        self.assertTrue(self.get(self.catalog.remove_place(PROJECT, project, ANONYMOUS)))
        self.assertFalse(self.get(self.catalog.remove_place(PROJECT, project, ANONYMOUS)))
        self.assertIsNone(self.get(self.catalog.find_scope(PROJECT, "acme/gone", None)))
        self.assertIsNone(self.get(self.catalog.find_token("d")))
        self.assertEqual(self.get(self.catalog.list_files([project], "pypi", "alpha")), ())
        self.assertEqual(self.get(self.catalog.list_tags([project], "pypi", "alpha")), ())
        self.assertEqual(len(self.get(self.catalog.list_files([1], "pypi", "alpha"))), 1)
        self.clock.advance(1)
        unused = self.get(self.catalog.find_unused_blobs(self.now(), 9))
        self.assertEqual([blob.sha256 for blob in unused], [own.blob.sha256])
        again = self.get(self.catalog.add_project("acme/gone", PRIVATE))
        self.assertNotEqual(again, project)
        self.assertEqual(self.get(self.catalog.index_state([again], "pypi", "alpha")).revisions, ())

    def test_remove_a_group(self) -> None:
        """With all below it, and nothing beside it."""
        self.populate()
        self.get(
            self.catalog.add_token(NewToken("g", "g" * 64, TokenKind.GROUP, "g", role=Role.GUEST, group="lib/deep"))
        )
        self.get(self.catalog.set_member("jane", "lib", Role.OWNER))
        self.assertTrue(self.get(self.catalog.remove_place(GROUP, self.place("lib").id, ANONYMOUS)))
        root = self.viewer("root")
        self.assertEqual(self.paths(GROUP, root), ["other", "hidden"])
        self.assertEqual(self.paths(PROJECT, root), ["hidden/closed"])
        self.assertIsNone(self.get(self.catalog.find_token("g")))
        for path in ("lib", "lib/deep"):
            self.get(self.catalog.add_group(path, PRIVATE))
        self.assertEqual(self.get(self.catalog.list_members(self.place("lib"), None, ALL, is_inherited=True)).total, 0)

    def test_who_adds_a_group_owns_it(self) -> None:
        """If it lies at the top; below, the owners of the group above do."""
        self.populate()
        jane = self.viewer("jane")
        self.get(self.catalog.add_group("new", PRIVATE, jane))
        self.get(self.catalog.add_group("new/below", PRIVATE, jane))
        self.get(self.catalog.add_group("by-token", PRIVATE, Principal("token:x", TokenKind.GROUP, 1, group_id=1)))
        wanted = {"new": [("Jane", Role.OWNER)], "new/below": [], "by-token": []}
        self.assertEqual({path: self.members(self.place(path)) for path in wanted}, wanted)

    # --- members

    def members(self, scope: Scope, *, is_inherited: bool = False) -> list[tuple[str, Role]]:
        """The members of a project or group."""
        listing = self.get(self.catalog.list_members(scope, None, ALL, is_inherited=is_inherited))
        self.assertEqual(listing.total, len(listing.members))
        return [(member.name, member.role) for member in listing.members]

    def set_role(self, scope: Scope, name: str, role: Role, *, is_new: bool) -> bool:
        """Add or change a member."""
        adding = self.catalog.set_member_role(scope, self.user_id(name), role, ANONYMOUS, is_new=is_new)
        return self.get(adding)

    def test_members(self) -> None:
        """Added once, changed, found with what they inherit, removed."""
        self.populate()
        deep, closed = self.place("lib/deep"), self.place("lib/deep/closed", PROJECT)
        self.get(self.catalog.set_member("jane", "lib", Role.REPORTER))
        self.assertFalse(self.set_role(closed, "jane", Role.GUEST, is_new=False))
        self.assertTrue(self.set_role(closed, "jane", Role.GUEST, is_new=True))
        self.assertTrue(self.set_role(deep, "john", Role.OWNER, is_new=True))
        john = self.user_id("john")
        self.refused(self.catalog.set_member_role(deep, john, Role.GUEST, ANONYMOUS, is_new=True), AlreadyExists)
        self.assertEqual(self.members(closed), [("Jane", Role.GUEST)])
        self.assertEqual(self.members(closed, is_inherited=True), [("Jane", Role.REPORTER), ("john", Role.OWNER)])
        self.assertEqual(self.members(deep, is_inherited=True), [("Jane", Role.REPORTER), ("john", Role.OWNER)])
        self.assertTrue(self.set_role(closed, "jane", Role.MAINTAINER, is_new=False))
        jane = self.user_id("jane")
        found = self.get(self.catalog.find_member(closed, jane, is_inherited=True))
        self.assertEqual(found, MemberRecord(jane, "Jane", Role.MAINTAINER))
        listing = self.get(self.catalog.list_members(closed, "JA", Piece(0, 1), is_inherited=True))
        self.assertEqual(([member.name for member in listing.members], listing.total), (["Jane"], 1))
        self.assertTrue(self.get(self.catalog.remove_member(closed, jane, ANONYMOUS)))
        self.assertFalse(self.get(self.catalog.remove_member(closed, jane, ANONYMOUS)))
        self.assertIsNone(self.get(self.catalog.find_member(closed, jane, is_inherited=False)))
        self.assertIsNone(self.get(self.catalog.find_member(closed, 2**63, is_inherited=True)))
        self.assertFalse(self.get(self.catalog.set_member_role(deep, 99, Role.GUEST, ANONYMOUS, is_new=True)))
        self.get(self.catalog.remove_place(PROJECT, closed.id, ANONYMOUS))
        for is_new in (False, True):
            self.assertFalse(self.set_role(closed, "jane", Role.GUEST, is_new=is_new))

    def test_the_last_owner_stays(self) -> None:
        """Of a group at the top; others have owners above them."""
        self.populate()
        lib, deep = self.place("lib"), self.place("lib/deep")
        for scope in (lib, deep):
            self.set_role(scope, "jane", Role.OWNER, is_new=True)
        jane = self.user_id("jane")
        self.refused(self.catalog.remove_member(lib, jane, ANONYMOUS), LastOwner)
        demoting = self.catalog.set_member_role(lib, jane, Role.MAINTAINER, ANONYMOUS, is_new=False)
        self.refused(demoting, LastOwner)
        self.assertTrue(self.set_role(lib, "jane", Role.OWNER, is_new=False))
        self.assertTrue(self.get(self.catalog.remove_member(deep, jane, ANONYMOUS)))
        self.set_role(lib, "john", Role.OWNER, is_new=True)
        self.assertTrue(self.set_role(lib, "jane", Role.MAINTAINER, is_new=False))
        self.assertTrue(self.get(self.catalog.remove_member(lib, jane, ANONYMOUS)))
