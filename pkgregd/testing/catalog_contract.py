"""What every catalog does, as tests that each of them passes."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pkgregd.errors import (
    AlreadyExists,
    FileExists,
    FileWasDeleted,
    GroupNotFound,
    InvalidName,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    ProjectNotFound,
)
from pkgregd.interfaces import ICatalog
from pkgregd.values import (
    ANONYMOUS,
    NO_PRECONDITION,
    BlobInfo,
    Coordinates,
    Digest,
    IndexState,
    Level,
    NewToken,
    OnDuplicate,
    PackageFile,
    PackageName,
    PackageStatus,
    Precondition,
    Principal,
    Publication,
    Published,
    Role,
    Scope,
    TokenKind,
    Visibility,
)

if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    _Base = object

T = TypeVar("T")

START_SECONDS = 1_800_000_000.25
"""When the tests begin; binary fractions keep every time exact."""

PRIVATE = Visibility.PRIVATE


def blob_of(data: bytes, **digests: str) -> BlobInfo:
    """The blob of bytes in hand, as a store would commit it."""
    sha256 = hashlib.sha256(data).hexdigest()
    return BlobInfo(Digest.sha256(sha256), len(data), f"at/{sha256}", {"sha256": sha256, **digests})


def publication_of(
    data: bytes,
    project_id: int = 1,
    name: str = "alpha",
    version: str = "1.0",
    file_name: str = "alpha-1.0.tar.gz",
    format: str = "pypi",
) -> Publication:
    """A publication with everything else left at its default."""
    return Publication(
        Coordinates(format, project_id, name, name.lower(), version, version, file_name),
        blob_of(data),
    )


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


class CatalogContract(_Base):
    """
    What every ICatalog does.

    Subclasses supply make_catalog(), whose clock is self.clock; and wait() if
    results do not come at once.
    """

    clock: Clock

    def make_catalog(self) -> ICatalog:
        """Make an empty catalog."""
        raise NotImplementedError

    def wait(self, deferred: Deferred[object]) -> None:
        """Return when the Deferred has fired."""

    def setUp(self) -> None:
        """Make a catalog with the group `acme` and the project `acme/tools`, which is number 1."""
        self.clock = Clock()
        self.clock.advance(START_SECONDS)
        self.catalog = self.make_catalog()
        self.group_id = self.get(self.catalog.add_group("acme", PRIVATE))
        self.project_id = self.get(self.catalog.add_project("acme/tools", PRIVATE))

    def tearDown(self) -> None:
        """Close the catalog."""
        self.get(self.catalog.close())

    def list_blobs(self, after: str, limit: int) -> tuple[BlobInfo, ...]:
        """List blobs, without what else is known of them."""
        return tuple(stored.info for stored in self.get(self.catalog.list_blobs(after, limit)))

    def get(self, awaitable: Awaitable[T]) -> T:
        """Return the result of a verb."""
        deferred = ensureDeferred(_awaited(awaitable))
        self.wait(deferred)  # type: ignore[arg-type]  # Deferred is invariant
        return self.successResultOf(deferred)

    def refused(self, awaitable: Awaitable[object], *errors: type[Exception]) -> str:
        """Assert that a verb raises one of these, exactly; returns the text."""
        deferred = ensureDeferred(_awaited(awaitable))
        self.wait(deferred)
        failure = self.failureResultOf(deferred)
        self.assertIn(failure.type, errors)
        return str(failure.value)

    def publish(self, publication: Publication, principal: Principal = ANONYMOUS) -> Published:
        """Publish, and let a second pass."""
        published = self.get(self.catalog.publish(publication, principal))
        self.clock.advance(1)
        return published

    def delete(self, file: PackageFile) -> bool:
        """Delete a file, and let a second pass."""
        gone = self.get(self.catalog.delete_file(file.id, ANONYMOUS, NO_PRECONDITION))
        self.clock.advance(1)
        return gone

    def files(self, name: str = "alpha", version: str | None = None, *, listed_only: bool = True) -> list[str]:
        """The file names of a package name in project 1."""
        found = self.get(self.catalog.list_files([1], "pypi", name, version, listed_only=listed_only))
        return [file.file_name for file in found]

    def scope(self, level: Level, ident: int | str, user_id: int | None = None) -> Scope:
        """A scope that is there."""
        scope = self.get(self.catalog.find_scope(level, ident, user_id))
        assert scope is not None
        return scope

    def state(self, name: str | None = "alpha", project_ids: tuple[int, ...] = (1,)) -> IndexState:
        """The state of an index in project 1."""
        return self.get(self.catalog.index_state(project_ids, "pypi", name))

    def now(self) -> datetime.datetime:
        """The time by the test's clock."""
        return datetime.datetime.fromtimestamp(self.clock.seconds(), datetime.UTC)

    # --------------------------------------------------------------- the whole

    def test_implements_the_interface(self) -> None:
        """The catalog provides ICatalog, every signature included."""
        self.assertTrue(verifyObject(ICatalog, self.catalog))

    def test_check_passes(self) -> None:
        """A fresh catalog is ready."""
        self.get(self.catalog.check())

    def test_closing_twice(self) -> None:
        """close() may be called again."""
        self.get(self.catalog.close())
        self.get(self.catalog.close())

    # ---------------------------------------------------------------- identity

    def test_user_names_are_unique_without_case(self) -> None:
        """Two users cannot differ by case alone."""
        self.get(self.catalog.add_user("Jane"))
        self.refused(self.catalog.add_user("jANE"), AlreadyExists)

    def test_user_names_have_a_grammar(self) -> None:
        """Only names of the grammar become users."""
        for name in ("", "a/b", "-a", ".a", "a b", "a\n", "jos\u00e9", "\u0661", "a" * 256, "a.git", "a.Atom", "a."):
            self.refused(self.catalog.add_user(name), InvalidName)
        for name in ("a", "_", "0", "a-b.c_d", "a" * 255):
            self.get(self.catalog.add_user(name))

    def test_paths_have_a_grammar(self) -> None:
        """Groups and projects are refused for the same reasons, at any depth."""
        for name in ("", "/", "a//b", "/a", "a/", "acme/..", "acme/.x", "acme/x.git", "acme/\u212aa", "acme/a\x00"):
            self.refused(self.catalog.add_group(name, PRIVATE), InvalidName)
            self.refused(self.catalog.add_project(name, PRIVATE), InvalidName)
        self.refused(self.catalog.add_group("acme/" + "/".join(["a" * 255] * 5), PRIVATE), InvalidName)

    def test_top_level_group_of_digits_is_refused(self) -> None:
        """A group name that reads as an id is refused; below another group it is none."""
        self.refused(self.catalog.add_group("12", PRIVATE), InvalidName)
        self.get(self.catalog.add_group("acme/12", PRIVATE))
        self.get(self.catalog.add_project("acme/13", PRIVATE))
        self.assertEqual(self.scope(Level.PROJECT, "acme/13").path, "acme/13")

    def test_project_lives_in_a_group(self) -> None:
        """A project path has a group, which must exist and be a group."""
        self.refused(self.catalog.add_project("tools", PRIVATE), InvalidName)
        self.refused(self.catalog.add_project("nobody/tools", PRIVATE), GroupNotFound)
        self.refused(self.catalog.add_project("acme/tools/x", PRIVATE), GroupNotFound)
        self.refused(self.catalog.add_group("nobody/x", PRIVATE), GroupNotFound)

    def test_groups_and_projects_share_their_paths(self) -> None:
        """No path names two things, whatever the case."""
        self.refused(self.catalog.add_group("ACME", PRIVATE), AlreadyExists)
        self.refused(self.catalog.add_group("acme/Tools", PRIVATE), AlreadyExists)
        self.refused(self.catalog.add_project("acme/TOOLS", PRIVATE), AlreadyExists)
        self.get(self.catalog.add_group("acme/deep", PRIVATE))
        self.refused(self.catalog.add_project("Acme/Deep", PRIVATE), AlreadyExists)

    def test_paths_are_spelt_as_the_group_is(self) -> None:
        """The path above the last name is taken over from the group."""
        self.get(self.catalog.add_project("ACME/Web", PRIVATE))
        self.assertEqual(self.scope(Level.PROJECT, "acme/web").path, "acme/Web")

    def test_groups_do_not_nest_without_end(self) -> None:
        """There is a deepest level."""
        path = "acme"
        for _ in range(19):
            path += "/x"
            self.get(self.catalog.add_group(path, PRIVATE))
        self.refused(self.catalog.add_group(path + "/x", PRIVATE), InvalidName)

    def test_visibility_is_kept(self) -> None:
        """Every visibility comes back for groups and projects."""
        for visibility in Visibility:
            self.get(self.catalog.add_group(visibility.value, visibility))
            self.get(self.catalog.add_project(f"{visibility.value}/p", visibility))
            self.assertIs(self.scope(Level.GROUP, visibility.value).visibility, visibility)
            self.assertIs(self.scope(Level.PROJECT, f"{visibility.value}/p").visibility, visibility)

    def test_scope_by_id_and_path(self) -> None:
        """An int is the id, a str the path without case; each level has its own numbers and names."""
        by_id = self.scope(Level.PROJECT, self.project_id)
        self.assertEqual(by_id, Scope(Level.PROJECT, self.project_id, "acme/tools", PRIVATE, (self.group_id,)))
        self.assertEqual(self.scope(Level.PROJECT, "ACME/tools"), by_id)
        group = self.scope(Level.GROUP, "acme")
        self.assertEqual(group, Scope(Level.GROUP, self.group_id, "acme", PRIVATE, (self.group_id,)))
        self.assertEqual(self.scope(Level.GROUP, self.group_id), group)

    def test_scope_of_what_is_not_there(self) -> None:
        """Whatever was asked for, what is not there is None."""
        for ident in (0, -1, 99, 2**63, 10**400, "", "1", "nobody/x", "a/../b", "acme/\x00", "\ud800", "x" * 5000):
            for level in (Level.PROJECT, Level.GROUP):
                self.assertIsNone(self.get(self.catalog.find_scope(level, ident, None)))
        self.assertIsNone(self.get(self.catalog.find_scope(Level.PROJECT, "acme", None)))
        self.assertIsNone(self.get(self.catalog.find_scope(Level.GROUP, "acme/tools", None)))

    def test_scope_of_the_instance(self) -> None:
        """The instance has the number 0 and an empty path."""
        scope = self.scope(Level.INSTANCE, 0)
        self.assertEqual((scope.level, scope.id, scope.path), (Level.INSTANCE, 0, ""))

    def nest(self) -> tuple[int, int, int, int]:
        """Make acme/one/two/thing; returns the ids of the project and of the groups, nearest first."""
        one = self.get(self.catalog.add_group("acme/one", PRIVATE))
        two = self.get(self.catalog.add_group("acme/one/two", PRIVATE))
        self.get(self.catalog.add_group("acme/other", PRIVATE))
        project = self.get(self.catalog.add_project("acme/one/two/thing", PRIVATE))
        return project, two, one, self.group_id

    def test_groups_above_nearest_first(self) -> None:
        """A project knows every group above it, and a group itself and those above."""
        project, two, one, acme = self.nest()
        self.assertEqual(self.scope(Level.PROJECT, project).group_ids, (two, one, acme))
        self.assertEqual(self.scope(Level.GROUP, two).group_ids, (two, one, acme))
        self.assertEqual(self.scope(Level.GROUP, acme).group_ids, (acme,))

    def test_role_is_the_greatest_inherited_one(self) -> None:
        """Roles come down from all groups above; the greatest counts, and none goes up or aside."""
        project, two, one, acme = self.nest()
        jane = self.get(self.catalog.add_user("jane"))
        john = self.get(self.catalog.add_user("john"))

        def roles() -> list[Role | None]:
            places = ((Level.PROJECT, project), (Level.GROUP, two), (Level.GROUP, one), (Level.GROUP, acme))
            return [self.scope(level, ident, jane).role for level, ident in places]

        self.assertEqual(roles(), [None, None, None, None])
        self.get(self.catalog.set_member("jane", "acme/one", Role.REPORTER))
        self.assertEqual(roles(), [Role.REPORTER, Role.REPORTER, Role.REPORTER, None])
        self.get(self.catalog.set_member("Jane", "Acme/One/Two/Thing", Role.GUEST))
        self.assertEqual(roles(), [Role.REPORTER, Role.REPORTER, Role.REPORTER, None])
        self.get(self.catalog.set_member("jane", "acme/one/two/thing", Role.OWNER))
        self.assertEqual(roles(), [Role.OWNER, Role.REPORTER, Role.REPORTER, None])
        self.get(self.catalog.set_member("jane", "acme", Role.MAINTAINER))
        self.assertEqual(roles(), [Role.OWNER, Role.MAINTAINER, Role.MAINTAINER, Role.MAINTAINER])
        self.get(self.catalog.set_member("jane", "acme", Role.GUEST))
        self.assertEqual(roles(), [Role.OWNER, Role.REPORTER, Role.REPORTER, Role.GUEST])
        self.assertIsNone(self.scope(Level.PROJECT, project, john).role)
        self.assertIsNone(self.scope(Level.PROJECT, project, None).role)
        self.assertIsNone(self.scope(Level.GROUP, "acme/other/".rstrip("/"), None).role)
        self.assertEqual(self.scope(Level.GROUP, "acme/other", jane).role, Role.GUEST)

    def test_member_of_nothing(self) -> None:
        """What is missing is named."""
        self.get(self.catalog.add_user("jane"))
        self.assertIn("nobody", self.refused(self.catalog.set_member("nobody", "acme", Role.GUEST), NotFound))
        self.assertIn("acme/x", self.refused(self.catalog.set_member("jane", "acme/x", Role.GUEST), NotFound))

    # ------------------------------------------------------------------ tokens

    def token(self, kind: TokenKind, public_id: str = "abc", **owner: str) -> NewToken:
        """A token about to be stored."""
        return NewToken(public_id, "0" * 64, kind, "ci", frozenset({"api", "x y"}), **owner)  # type: ignore[arg-type]

    def test_personal_token(self) -> None:
        """A personal token makes its bearer the user, with the user's rights as they are now."""
        user_id = self.get(self.catalog.add_user("Root", is_admin=True))
        expires_at = self.now() + datetime.timedelta(hours=1)
        new = evolve(self.token(TokenKind.PERSONAL, user="root"), expires_at=expires_at)
        token_id = self.get(self.catalog.add_token(new))
        record = self.get(self.catalog.find_token("abc"))
        assert record is not None
        self.assertEqual(
            record.principal,
            Principal("Root", TokenKind.PERSONAL, token_id, user_id, True, frozenset({"api", "x y"})),
        )
        self.assertEqual(
            (record.public_id, record.secret_sha256, record.name, record.created_at, record.expires_at),
            ("abc", "0" * 64, "ci", self.now(), expires_at),
        )
        self.assertIsNone(record.revoked_at)

    def test_bound_tokens(self) -> None:
        """Every other kind is named after the token and bound to its project or group, by path or number."""
        cases = (
            (TokenKind.PROJECT, {"project": "ACME/tools"}, (self.project_id, None), Role.DEVELOPER),
            (TokenKind.GROUP, {"group": str(self.group_id)}, (None, self.group_id), Role.OWNER),
            (TokenKind.DEPLOY, {"group": "acme"}, (None, self.group_id), None),
            (TokenKind.DEPLOY, {"project": str(self.project_id)}, (self.project_id, None), None),
            (TokenKind.JOB, {"project": "acme/tools"}, (self.project_id, None), None),
        )
        for number, (kind, owner, bounds, role) in enumerate(cases):
            new = evolve(self.token(kind, f"t{number}", **owner), role=role)
            token_id = self.get(self.catalog.add_token(new))
            record = self.get(self.catalog.find_token(f"t{number}"))
            assert record is not None
            principal = record.principal
            self.assertEqual((principal.project_id, principal.group_id), bounds)
            self.assertEqual((principal.name, principal.token_id, principal.role), ("token:ci", token_id, role))
            self.assertEqual((principal.user_id, principal.is_admin), (None, False))

    def test_token_without_its_owner_is_refused(self) -> None:
        """A token that belongs to nothing, to too much or to the wrong thing would be good too widely."""
        self.get(self.catalog.add_user("root"))
        every = {"user": "root", "project": "acme/tools", "group": "acme"}
        for kind in TokenKind:
            self.refused(self.catalog.add_token(self.token(kind)), InvalidRequest)
            self.refused(self.catalog.add_token(self.token(kind, **every)), InvalidRequest)
        self.refused(self.catalog.add_token(self.token(TokenKind.PERSONAL, group="acme")), InvalidRequest)
        self.refused(self.catalog.add_token(self.token(TokenKind.JOB, group="acme")), InvalidRequest)
        with_role = evolve(self.token(TokenKind.DEPLOY, group="acme"), role=Role.OWNER)
        self.refused(self.catalog.add_token(with_role), InvalidRequest)
        self.assertEqual(self.get(self.catalog.list_tokens()), ())

    def test_token_of_a_missing_owner(self) -> None:
        """What is missing is named."""
        for kind, owner in (
            (TokenKind.PERSONAL, {"user": "nobody"}),
            (TokenKind.JOB, {"project": "acme/nothing"}),
            (TokenKind.JOB, {"project": "99"}),
            (TokenKind.JOB, {"project": "9" * 30}),
            (TokenKind.GROUP, {"group": "acme/tools"}),
        ):
            text = self.refused(self.catalog.add_token(self.token(kind, **owner)), NotFound)
            self.assertIn(next(iter(owner.values())), text)

    def test_token_id_is_unique(self) -> None:
        """A second token of the same public id is refused and changes nothing."""
        self.get(self.catalog.add_token(self.token(TokenKind.GROUP, group="acme")))
        again = evolve(self.token(TokenKind.GROUP, group="acme"), secret_sha256="1" * 64)
        self.refused(self.catalog.add_token(again), AlreadyExists)
        self.assertEqual([record.secret_sha256 for record in self.get(self.catalog.list_tokens())], ["0" * 64])

    def test_revoking(self) -> None:
        """A revoked token is still found, with the time of the first revocation."""
        self.get(self.catalog.add_token(self.token(TokenKind.GROUP, "one", group="acme")))
        self.get(self.catalog.add_token(self.token(TokenKind.GROUP, "two", group="acme")))
        revoked_at = self.now()
        self.assertTrue(self.get(self.catalog.revoke_token("one")))
        self.clock.advance(5)
        self.assertTrue(self.get(self.catalog.revoke_token("one")))
        self.assertFalse(self.get(self.catalog.revoke_token("three")))
        records = self.get(self.catalog.list_tokens())
        self.assertEqual(
            [(record.public_id, record.revoked_at) for record in records], [("one", revoked_at), ("two", None)]
        )
        self.assertEqual(self.get(self.catalog.find_token("one")), records[0])
        self.assertIsNone(self.get(self.catalog.find_token("three")))

    # -------------------------------------------------------------- publishing

    def test_first_publish(self) -> None:
        """The file is there with everything that was published."""
        publication = Publication(
            Coordinates("pypi", 1, "Al.Pha", "al-pha", "v1.0", "1.0", "a-1.0.whl"),
            blob_of(b"x", md5="0" * 32),
            package_metadata_json='{"p": "\u00e9\u2603"}',
            file_metadata_json='{"f": 1}',
        )
        at = self.now()
        published = self.publish(publication)
        self.assertTrue(published.created)
        file = published.file
        self.assertEqual(
            file,
            PackageFile(
                id=file.id,
                package_id=file.package_id,
                project_id=1,
                format="pypi",
                name="Al.Pha",
                canonical_name="al-pha",
                version="v1.0",
                canonical_version="1.0",
                file_name="a-1.0.whl",
                status=PackageStatus.DEFAULT,
                blob=blob_of(b"x", md5="0" * 32),
                package_metadata_json='{"p": "\u00e9\u2603"}',
                file_metadata_json='{"f": 1}',
                created_at=at,
            ),
        )
        self.assertEqual(self.get(self.catalog.list_files([1], "pypi", "al-pha")), (file,))

    def test_project_must_exist(self) -> None:
        """Publishing into a project that went away is refused and leaves nothing."""
        self.refused(self.catalog.publish(publication_of(b"x", project_id=9), ANONYMOUS), ProjectNotFound)
        self.assertEqual(self.list_blobs("", 10), ())

    def test_equal_bytes_again(self) -> None:
        """Equal bytes succeed, create nothing and change no index."""
        first = self.publish(publication_of(b"x"))
        state, names = self.state(), self.state(None)
        again = self.publish(evolve(publication_of(b"x"), file_metadata_json='{"other": 1}'))
        self.assertEqual(again, Published(first.file, created=False))
        self.assertEqual((self.state(), self.state(None)), (state, names))

    def test_other_bytes_are_refused(self) -> None:
        """REFUSE keeps what is there; the refusal leaves no trace of the new bytes."""
        first = self.publish(publication_of(b"x"))
        state = self.state()
        text = self.refused(self.catalog.publish(publication_of(b"y"), ANONYMOUS), FileExists)
        self.assertIn("alpha-1.0.tar.gz", text)
        self.assertEqual(self.get(self.catalog.list_files([1], "pypi", "alpha")), (first.file,))
        self.assertEqual(self.state(), state)
        self.assertEqual(len(self.list_blobs("", 10)), 1)

    def test_other_bytes_replace(self) -> None:
        """REPLACE swaps bytes and metadata of the same row, and lets go of the old blob."""
        first = self.publish(evolve(publication_of(b"x"), file_metadata_json='{"old": 1}'))
        state, names = self.state(), self.state(None)
        at = self.now()
        second = self.publish(evolve(publication_of(b"y"), on_duplicate=OnDuplicate.REPLACE))
        self.assertTrue(second.created)
        self.assertEqual(second.file, evolve(first.file, blob=blob_of(b"y"), file_metadata_json="{}", created_at=at))
        self.assertEqual(self.get(self.catalog.list_files([1], "pypi", "alpha")), (second.file,))
        self.assertNotEqual(self.state().token, state.token)
        self.assertEqual(self.state(None), names)
        self.assertTrue(self.get(self.catalog.is_blob_unused(blob_of(b"x").sha256)))
        self.assertFalse(self.get(self.catalog.is_blob_unused(blob_of(b"y").sha256)))

    def test_package_metadata_is_kept_unless_given(self) -> None:
        """The first publish's metadata stays with the package until a later one brings its own."""
        self.publish(evolve(publication_of(b"1", file_name="1"), package_metadata_json='{"a": 1}'))
        self.assertEqual(self.publish(publication_of(b"2", file_name="2")).file.package_metadata_json, '{"a": 1}')
        self.publish(evolve(publication_of(b"3", file_name="3"), package_metadata_json='{"b": 2}'))
        found = self.get(self.catalog.list_files([1], "pypi", "alpha"))
        self.assertEqual([file.package_metadata_json for file in found], ['{"b": 2}'] * 3)

    def test_versions_spelt_differently_are_one_package(self) -> None:
        """A second file under another spelling joins the package and shows its spelling."""
        first = Publication(Coordinates("pypi", 1, "Alpha", "alpha", "1.0", "1", "a"), blob_of(b"a"))
        second = Publication(Coordinates("pypi", 1, "ALPHA", "alpha", "1.0.0", "1", "b"), blob_of(b"b"))
        one, two = self.publish(first).file, self.publish(second).file
        self.assertEqual((two.package_id, two.name, two.version), (one.package_id, "Alpha", "1.0"))

    def test_names_that_join_to_the_same_text_are_different(self) -> None:
        """Coordinates are never told apart by joined text."""
        self.publish(publication_of(b"1", name="a-1", version="2", file_name="f"))
        self.publish(publication_of(b"2", name="a", version="1-2", file_name="f"))
        self.assertEqual(len(self.get(self.catalog.list_files([1], "pypi", "a"))), 1)
        self.assertEqual(len(self.get(self.catalog.list_files([1], "pypi", "a-1"))), 1)

    def test_preconditions_of_a_publish(self) -> None:
        """If-None-Match and If-Match are decided inside the transaction, before anything else."""
        x, y = blob_of(b"x").sha256.hex, blob_of(b"y").sha256.hex
        new = evolve(publication_of(b"x"), on_duplicate=OnDuplicate.REPLACE)

        def attempt(data: bytes, precondition: Precondition) -> Awaitable[Published]:
            publication = evolve(new, blob=blob_of(data), precondition=precondition)
            return self.catalog.publish(publication, ANONYMOUS)

        self.refused(attempt(b"x", Precondition(sha256_any_of=("*",))), PreconditionFailed)
        self.refused(attempt(b"x", Precondition(sha256_any_of=(x,))), PreconditionFailed)
        self.assertEqual(self.files(), [])
        self.assertTrue(self.get(attempt(b"x", Precondition(absent=True))).created)
        self.refused(attempt(b"x", Precondition(absent=True)), PreconditionFailed)
        self.refused(attempt(b"y", Precondition(sha256_any_of=(y,))), PreconditionFailed)
        self.assertFalse(self.get(attempt(b"x", Precondition(sha256_any_of=(y, x)))).created)
        self.assertTrue(self.get(attempt(b"y", Precondition(sha256_any_of=(x,)))).created)
        self.assertTrue(self.get(attempt(b"x", Precondition(sha256_any_of=("*",)))).created)

    # ------------------------------------------------------------------ hiding

    def test_hidden_packages_are_found_but_not_listed(self) -> None:
        """A hidden package can be fetched by those who know it."""
        hidden = self.publish(evolve(publication_of(b"x"), status=PackageStatus.HIDDEN)).file
        self.assertIs(hidden.status, PackageStatus.HIDDEN)
        self.assertEqual(self.files(), [])
        self.assertEqual(self.files(listed_only=False), ["alpha-1.0.tar.gz"])
        self.assertEqual(self.get(self.catalog.list_names([1], "pypi")), ())
        found = self.get(self.catalog.find_file([1], "pypi", "alpha", "1.0", "alpha-1.0.tar.gz"))
        self.assertEqual(found, hidden)

    def test_status_changes_the_whole_package(self) -> None:
        """Equal bytes with another status hide or show the package, and count as a change of the index."""
        self.publish(publication_of(b"1", file_name="1"))
        self.publish(publication_of(b"2", file_name="2"))
        state, names = self.state(), self.state(None)
        hidden = self.publish(evolve(publication_of(b"1", file_name="1"), status=PackageStatus.HIDDEN))
        self.assertFalse(hidden.created)
        self.assertIs(hidden.file.status, PackageStatus.HIDDEN)
        shown = evolve(
            publication_of(b"1", file_name="1"), status=PackageStatus.DEFAULT, package_metadata_json='{"a": 1}'
        )
        self.assertEqual(self.publish(shown).file.package_metadata_json, "{}")
        self.publish(evolve(publication_of(b"1", file_name="1"), status=PackageStatus.HIDDEN))
        self.assertEqual(self.files(), [])
        self.assertNotEqual(self.state().token, state.token)
        self.assertNotEqual(self.state(None).token, names.token)
        self.publish(publication_of(b"3", file_name="3"))
        self.assertEqual(self.files(), [])
        self.publish(evolve(publication_of(b"4", file_name="4"), status=PackageStatus.DEFAULT))
        self.assertEqual(self.files(), ["1", "2", "3", "4"])

    # ----------------------------------------------------------------- reading

    def test_finding_a_file(self) -> None:
        """Every part of the question narrows the answer."""
        file = self.publish(publication_of(b"x")).file
        sha256, other = file.blob.sha256, blob_of(b"y").sha256
        name = "alpha-1.0.tar.gz"
        question_type = tuple[list[int], str, str, str | None, str, Digest | None]
        found: tuple[question_type, ...] = (
            ([1], "pypi", "alpha", "1.0", name, None),
            ([1], "pypi", "alpha", "1.0", name, sha256),
            ([1], "pypi", "alpha", None, name, None),
            ([1], "pypi", "alpha", None, name, sha256),
            ([1], "pypi", "", None, name, sha256),
            ([1], "pypi", "", "1.0", name, sha256),
            ([7, 1], "pypi", "alpha", "1.0", name, None),
        )
        for question in found:
            self.assertEqual(self.get(self.catalog.find_file(*question)), file, question)
        missing: tuple[question_type, ...] = (
            ([], "pypi", "alpha", "1.0", name, None),
            ([2], "pypi", "alpha", "1.0", name, None),
            ([2], "pypi", "", None, name, sha256),
            ([1], "npm", "alpha", "1.0", name, None),
            ([1], "pypi", "alphA", "1.0", name, None),
            ([1], "pypi", "alpha", "1", name, None),
            ([1], "pypi", "alpha", "1.0", name[:-1], None),
            ([1], "pypi", "alpha", "1.0", name, other),
            ([1], "pypi", "", None, name, other),
            ([1], "pypi", "%", None, name, sha256),
        )
        for question in missing:
            self.assertIsNone(self.get(self.catalog.find_file(*question)), question)
        self.refused(self.catalog.find_file([1], "pypi", "", None, name), ValueError)

    def test_the_newest_of_several_projects(self) -> None:
        """When several projects have the file, the one published last is found."""
        other = self.get(self.catalog.add_project("acme/other", PRIVATE))
        self.publish(publication_of(b"new", project_id=other))
        self.publish(publication_of(b"old"))
        found = self.get(self.catalog.find_file([1, other], "pypi", "alpha", "1.0", "alpha-1.0.tar.gz"))
        assert found is not None
        self.assertEqual(found.project_id, 1)

    def test_listing_by_version(self) -> None:
        """A version narrows the list; the order is that of creation."""
        for number, version in enumerate(("2", "1", "10", "1")):
            self.publish(publication_of(b"%d" % number, version=version, file_name=f"{9 - number}"))
        self.assertEqual(self.files(), ["9", "8", "7", "6"])
        self.assertEqual(self.files(version="1"), ["8", "6"])
        self.assertEqual(self.files(version="3"), [])

    def test_listing_over_many_projects(self) -> None:
        """More projects than a database allows variables may be asked at once."""
        other = self.get(self.catalog.add_project("acme/other", PRIVATE))
        self.publish(publication_of(b"x", project_id=other))
        everything = range(1, 40_000)
        self.assertEqual(len(self.get(self.catalog.list_files(everything, "pypi", "alpha"))), 1)
        self.assertEqual(len(self.get(self.catalog.list_names(everything, "pypi"))), 1)
        self.assertIsNotNone(self.get(self.catalog.index_state(everything, "pypi", "alpha")).changed_at)

    def test_names(self) -> None:
        """Names come once each, in order, spelt as the newest listed package spells them."""
        for name, version in (("beta", "1"), ("Alpha", "1"), ("ALPHA", "2"), ("alpha", "1")):
            self.publish(publication_of(name.encode() + version.encode(), name=name, version=version, file_name=name))
        self.publish(evolve(publication_of(b"h", name="alphA", version="3"), status=PackageStatus.HIDDEN))
        self.publish(publication_of(b"n", name="gamma", format="npm"))
        self.assertEqual(
            self.get(self.catalog.list_names([1], "pypi")),
            (PackageName("alpha", "ALPHA"), PackageName("beta", "beta")),
        )
        self.assertEqual(self.get(self.catalog.list_names([], "pypi")), ())

    def test_projects_below_a_group(self) -> None:
        """Projects at any depth that have the name, with the asking user's role."""
        deep, two, one, acme = self.nest()
        self.get(self.catalog.add_group("elsewhere", PRIVATE))
        elsewhere = self.get(self.catalog.add_project("elsewhere/p", PRIVATE))
        jane = self.get(self.catalog.add_user("jane"))
        self.get(self.catalog.set_member("jane", "acme/one", Role.DEVELOPER))
        for project_id in (1, deep, elsewhere):
            self.publish(publication_of(b"x", project_id=project_id))
        self.publish(publication_of(b"x", name="beta"))

        def found(group_id: int, name: str | None, user_id: int | None = jane) -> list[Scope]:
            return list(self.get(self.catalog.projects_with(group_id, "pypi", name, user_id)))

        top = Scope(Level.PROJECT, 1, "acme/tools", PRIVATE, (acme,))
        below = Scope(Level.PROJECT, deep, "acme/one/two/thing", PRIVATE, (two, one, acme), Role.DEVELOPER)
        self.assertEqual(found(acme, "alpha"), [top, below])
        self.assertEqual(found(acme, None), [top, below])
        self.assertEqual(found(acme, "beta"), [top])
        self.assertEqual(found(acme, "gamma"), [])
        self.assertEqual(found(two, "alpha"), [below])
        self.assertEqual(found(two, "alpha", None), [evolve(below, role=None)])
        self.assertEqual(found(99, "alpha"), [])
        self.assertEqual(list(self.get(self.catalog.projects_with(acme, "npm", None, jane))), [])

    # --------------------------------------------------------------- revisions

    def test_no_index_yet(self) -> None:
        """What was never published has a state, and no time."""
        self.assertIsNone(self.state().changed_at)
        self.assertIsNone(self.state(None).changed_at)
        self.assertEqual(self.state(), self.state("beta"))

    def test_every_change_has_its_own_token(self) -> None:
        """No token ever comes back, deletion and the same bytes again included; and none moves without a change."""
        tokens = [self.state().token]

        def changed() -> None:
            tokens.append(self.state().token)
            self.assertEqual(self.state().token, tokens[-1])

        file = self.publish(publication_of(b"x")).file
        changed()
        self.delete(file)
        changed()
        file = self.publish(publication_of(b"x")).file
        changed()
        self.publish(evolve(publication_of(b"y"), on_duplicate=OnDuplicate.REPLACE))
        changed()
        self.publish(evolve(publication_of(b"x"), on_duplicate=OnDuplicate.REPLACE))
        changed()
        self.delete(file)
        changed()
        self.assertEqual(len(set(tokens)), len(tokens))
        for token in tokens:
            self.assertRegex(token, r"^[0-9a-f]{32}$")

    def test_time_of_the_last_change(self) -> None:
        """changed_at is the time of the last change, by the catalog's clock."""
        self.publish(publication_of(b"x"))
        at = self.now()
        self.publish(publication_of(b"y", version="2", file_name="2"))
        self.publish(publication_of(b"z", name="beta"))
        self.assertEqual(self.state().changed_at, at)

    def test_a_change_touches_its_own_index_only(self) -> None:
        """Other names, formats and projects keep their tokens."""
        other = self.get(self.catalog.add_project("acme/other", PRIVATE))
        self.publish(publication_of(b"x", name="beta"))
        self.publish(publication_of(b"x", project_id=other))
        before = self.state("beta"), self.state("alpha", (other,))
        self.publish(publication_of(b"y"))
        self.publish(publication_of(b"y", name="beta", format="npm"))
        self.assertEqual((self.state("beta"), self.state("alpha", (other,))), before)

    def test_the_list_of_names_moves_only_when_it_shows_something_else(self) -> None:
        """First file, last file, hiding and another spelling move it; a second version does not."""
        tokens = [self.state(None).token]

        def moved() -> bool:
            tokens.append(self.state(None).token)
            return tokens[-1] != tokens[-2]

        one = self.publish(publication_of(b"1", version="1")).file
        self.assertTrue(moved())
        two = self.publish(publication_of(b"2", version="2")).file
        self.assertFalse(moved())
        self.delete(one)
        self.assertFalse(moved())
        three = self.publish(publication_of(b"3", name="ALPHA", version="3")).file
        self.assertTrue(moved())
        self.delete(three)
        self.assertTrue(moved())
        self.publish(evolve(publication_of(b"4", version="4"), status=PackageStatus.HIDDEN))
        self.assertFalse(moved())
        self.delete(two)
        self.assertTrue(moved())
        self.assertEqual(len(set(tokens)), 5)

    def test_state_over_several_projects(self) -> None:
        """The order of the projects means nothing; which project moved means everything."""
        other = self.get(self.catalog.add_project("acme/other", PRIVATE))
        seen = set()
        for project_id, version in ((1, "1"), (1, "2"), (other, "1"), (other, "2")):
            publication = publication_of(b"x", project_id=project_id, version=version)
            self.get(self.catalog.publish(publication, ANONYMOUS))
            both = self.state("alpha", (1, other))
            self.assertEqual(self.state("alpha", (other, 1, 1, 77)), both)
            seen |= {both.token, self.state("alpha", (1,)).token, self.state("alpha", (other,)).token}
        # Four states of both, the first two of which equal those of project 1; two of the other, and nothing.
        self.assertEqual(len(seen), 7)

    # ---------------------------------------------------------------- deleting

    def test_deleting(self) -> None:
        """The file goes, and its package with the last file; the second time there is nothing."""
        one = self.publish(publication_of(b"1", file_name="1")).file
        two = self.publish(publication_of(b"2", file_name="2")).file
        self.assertTrue(self.delete(one))
        self.assertFalse(self.delete(one))
        self.assertEqual(self.files(), ["2"])
        self.assertEqual(len(self.get(self.catalog.list_names([1], "pypi"))), 1)
        self.assertTrue(self.delete(two))
        self.assertEqual(self.get(self.catalog.list_names([1], "pypi")), ())
        self.assertEqual(self.get(self.catalog.projects_with(self.group_id, "pypi", None, None)), ())

    def test_row_numbers_do_not_come_back(self) -> None:
        """Whoever holds the number of a deleted file does not reach the next one by it."""
        first = self.publish(publication_of(b"x")).file
        self.delete(first)
        second = self.publish(publication_of(b"x")).file
        self.assertNotEqual(second.id, first.id)
        self.assertNotEqual(second.package_id, first.package_id)
        self.assertFalse(self.delete(first))
        self.assertEqual(len(self.files()), 1)

    def test_deleting_what_never_was(self) -> None:
        """Any number may be asked for."""
        for file_id in (0, -1, 7, 2**63, 2**64):
            self.assertFalse(self.get(self.catalog.delete_file(file_id, ANONYMOUS, NO_PRECONDITION)))

    def test_preconditions_of_a_deletion(self) -> None:
        """If-Match protects from deleting what the client has not seen."""
        file = self.publish(publication_of(b"x")).file
        other = blob_of(b"y").sha256.hex

        def attempt(precondition: Precondition) -> Awaitable[bool]:
            return self.catalog.delete_file(file.id, ANONYMOUS, precondition)

        self.refused(attempt(Precondition(sha256_any_of=(other,))), PreconditionFailed)
        self.refused(attempt(Precondition(absent=True)), PreconditionFailed)
        self.assertEqual(len(self.files()), 1)
        self.assertTrue(self.get(attempt(Precondition(sha256_any_of=(other, file.blob.sha256.hex)))))

    def test_tombstones(self) -> None:
        """A deleted file's coordinates take the same bytes again; others only where tombstones do not count."""
        self.delete(self.publish(publication_of(b"x")).file)
        wary = evolve(publication_of(b"y"), respects_tombstones=True)
        self.refused(self.catalog.publish(wary, ANONYMOUS), FileWasDeleted)
        self.assertEqual(self.files(listed_only=False), [])
        elsewhere = evolve(publication_of(b"y", file_name="other"), respects_tombstones=True)
        self.assertTrue(self.publish(elsewhere).created)
        same = self.publish(evolve(publication_of(b"x"), respects_tombstones=True))
        self.assertTrue(same.created)
        self.delete(same.file)
        self.assertTrue(self.publish(publication_of(b"y")).created)

    # ------------------------------------------------------------------- blobs

    def test_equal_bytes_share_a_blob(self) -> None:
        """The first locator stays and digests gather, whoever publishes the bytes."""
        self.publish(publication_of(b"x"))
        moved = evolve(blob_of(b"x", md5="0" * 32), locator="elsewhere")
        published = self.publish(evolve(publication_of(b"x", name="beta"), blob=moved))
        expected = blob_of(b"x", md5="0" * 32)
        self.assertEqual(published.file.blob, expected)
        found = self.get(self.catalog.find_file([1], "pypi", "alpha", "1.0", "alpha-1.0.tar.gz"))
        assert found is not None
        self.assertEqual(found.blob, expected)
        self.assertEqual(self.list_blobs("", 9), (expected,))

    def test_a_blob_is_used_while_any_file_refers_to_it(self) -> None:
        """Only the last file to go releases the blob, and the time counts from then."""
        sha256 = blob_of(b"x").sha256
        self.assertTrue(self.get(self.catalog.is_blob_unused(sha256)))
        files = [self.publish(publication_of(b"x", name=name)).file for name in ("alpha", "beta")]
        self.delete(files[0])
        self.assertFalse(self.get(self.catalog.is_blob_unused(sha256)))
        self.assertEqual(self.unused(), ())
        released_at = self.now()
        self.delete(files[1])
        self.assertTrue(self.get(self.catalog.is_blob_unused(sha256)))
        self.assertEqual(self.get(self.catalog.find_unused_blobs(released_at, 9)), ())
        self.assertEqual(self.unused(), (blob_of(b"x"),))

    def unused(self, limit: int = 9) -> tuple[BlobInfo, ...]:
        """Everything unused by now."""
        return self.get(self.catalog.find_unused_blobs(self.now(), limit))

    def test_a_blob_in_use_again_starts_anew(self) -> None:
        """Publishing a released blob again takes it off the list; the next release counts from its own time."""
        self.delete(self.publish(publication_of(b"x")).file)
        file = self.publish(publication_of(b"x")).file
        self.assertEqual(self.unused(), ())
        self.clock.advance(100)
        released_at = self.now()
        self.delete(file)
        self.assertEqual(self.get(self.catalog.find_unused_blobs(released_at, 9)), ())

    def test_forgetting_a_blob(self) -> None:
        """Only an unused blob is forgotten, and one that is not known counts as forgotten."""
        sha256 = blob_of(b"x").sha256
        self.assertTrue(self.get(self.catalog.forget_blob(sha256)))
        file = self.publish(publication_of(b"x")).file
        self.assertFalse(self.get(self.catalog.forget_blob(sha256)))
        self.assertEqual(len(self.list_blobs("", 9)), 1)
        self.delete(file)
        self.assertTrue(self.get(self.catalog.forget_blob(sha256)))
        self.assertEqual(self.list_blobs("", 9), ())
        moved = evolve(blob_of(b"x"), locator="elsewhere")
        self.assertEqual(self.publish(evolve(publication_of(b"x"), blob=moved)).file.blob, moved)

    def test_another_copy_is_unused(self) -> None:
        """Of equal bytes at two places only the one that files refer to is used, and forgetting the other keeps it."""
        blob = self.publish(publication_of(b"x")).file.blob
        self.assertFalse(self.get(self.catalog.is_blob_unused(blob.sha256, blob.locator)))
        self.assertFalse(self.get(self.catalog.forget_blob(blob.sha256, blob.locator)))
        self.assertTrue(self.get(self.catalog.is_blob_unused(blob.sha256, "elsewhere")))
        self.assertTrue(self.get(self.catalog.forget_blob(blob.sha256, "elsewhere")))
        self.assertEqual(self.list_blobs("", 9), (blob,))
        for file in self.get(self.catalog.list_files([1], "pypi", "alpha")):
            self.delete(file)
        self.assertTrue(self.get(self.catalog.forget_blob(blob.sha256, "elsewhere")))
        self.assertEqual(self.list_blobs("", 9), (blob,))
        self.assertTrue(self.get(self.catalog.forget_blob(blob.sha256, blob.locator)))
        self.assertEqual(self.list_blobs("", 9), ())
        self.assertTrue(self.get(self.catalog.is_blob_unused(blob.sha256, blob.locator)))

    def test_moving_a_blob(self) -> None:
        """All files of the bytes follow, once: who comes second with another copy learns that."""
        blob = self.publish(publication_of(b"x")).file.blob
        self.assertTrue(self.get(self.catalog.move_blob(blob.sha256, blob.locator, "new")))
        self.assertFalse(self.get(self.catalog.move_blob(blob.sha256, blob.locator, "newer")))
        self.assertTrue(self.get(self.catalog.move_blob(blob.sha256, blob.locator, "new")))
        found = self.get(self.catalog.find_file([1], "pypi", "alpha", "1.0", "alpha-1.0.tar.gz"))
        assert found is not None
        self.assertEqual(found.blob, evolve(blob, locator="new"))
        self.assertFalse(self.get(self.catalog.move_blob(blob_of(b"y").sha256, "new", "newer")))

    def test_pages_of_blobs(self) -> None:
        """Blobs come by digest, a page at a time."""
        blobs = sorted((blob_of(b"%d" % number) for number in range(7)), key=lambda blob: blob.sha256.hex)
        for number in range(7):
            self.publish(publication_of(b"%d" % number, file_name=f"{number}"))
        self.assertEqual(self.list_blobs("", 3), tuple(blobs[:3]))
        self.assertEqual(self.list_blobs(blobs[2].sha256.hex, 100), tuple(blobs[3:]))
        for file in self.get(self.catalog.list_files([1], "pypi", "alpha")):
            self.delete(file)
        self.assertEqual(self.unused(3), tuple(blobs[:3]))
