"""Whatever is done in whatever order, the catalog in memory and the one on SQLite answer alike."""

from __future__ import annotations

import datetime
import pathlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.catalog.sql import SqlCatalog
from pkgregd.catalog.sqlite import SqliteDatabase, SqliteSettings
from pkgregd.interfaces import ICatalog
from pkgregd.testing.catalog_contract import START_SECONDS, blob_of
from pkgregd.values import (
    ANONYMOUS,
    NOTHING_SET,
    Coordinates,
    Digest,
    FileOrder,
    Level,
    NewToken,
    OnDuplicate,
    PackageOrder,
    PackageQuery,
    PackageStatus,
    Piece,
    Precondition,
    Publication,
    Reservation,
    Role,
    Settlement,
    TokenKind,
    Visibility,
)
from tests.catalog.support import ThreadedClock, migrated_file

DATA = (b"x", b"y", b"z")
SHA256S = tuple(blob_of(data).sha256.hex for data in DATA)
PATHS = ("a", "a/b", "A/B", "a/b/c", "a/p", "a/b/p", "b", "b/p", "7", "a/7", "a//b")
NAMES = (("alpha", "alpha"), ("Alpha", "alpha"), ("beta", "beta"))

paths = st.sampled_from(PATHS)
users = st.sampled_from(("jane", "JANE", "john"))
roles = st.sampled_from(Role)
names = st.sampled_from(NAMES)
canonical_names = st.sampled_from(("alpha", "beta"))
versions = st.sampled_from(("1", "2"))
file_names = st.sampled_from(("f", "g"))
datas = st.sampled_from(DATA)
formats = st.sampled_from(("pypi", "generic"))
project_ids = st.integers(1, 4)
some_projects = st.lists(project_ids, max_size=4)
file_ids = st.integers(1, 8)
package_ids = st.integers(1, 6)
times = st.one_of(
    st.none(), st.integers(0, 300).map(lambda s: datetime.datetime.fromtimestamp(int(START_SECONDS) + s, datetime.UTC))
)
pieces = st.builds(Piece, st.integers(0, 3), st.integers(1, 4))
queries = st.builds(
    PackageQuery,
    format=st.one_of(st.none(), formats),
    name_part=st.sampled_from((None, None, "A", "ph", "b", "%")),
    version=st.sampled_from((None, None, "v1", "1")),
    status=st.sampled_from(PackageStatus),
    order=st.sampled_from(PackageOrder),
    is_descending=st.booleans(),
)
preconditions = st.builds(
    Precondition,
    absent=st.integers(0, 9).map(lambda number: number == 0),
    sha256_any_of=st.one_of(
        st.just(()), st.just(()), st.just(()), st.lists(st.sampled_from((*SHA256S, "*")), max_size=2).map(tuple)
    ),
    unmodified_since=times,
)
publications = st.builds(
    lambda format, project_id, name, version, file_name, data, locator, md5, **rest: Publication(
        Coordinates(format, project_id, name[0], name[1], f"v{version}", version, file_name),
        evolve(blob_of(data, **md5), locator=locator),
        **rest,
    ),
    formats,
    project_ids,
    names,
    versions,
    file_names,
    datas,
    st.sampled_from(("here", "there")),
    st.sampled_from(({}, {"md5": "0" * 32}, {"sha1": "1" * 40})),
    status=st.sampled_from((None, None, *PackageStatus)),
    package_metadata_json=st.sampled_from(("{}", '{"p": 1}', '{"p": 2}')),
    file_metadata_json=st.sampled_from(("{}", '{"f": 1}')),
    on_duplicate=st.sampled_from(OnDuplicate),
    precondition=preconditions,
    respects_tombstones=st.booleans(),
)
tokens = st.builds(
    NewToken,
    public_id=st.sampled_from(("one", "two")),
    secret_sha256=st.just("0" * 64),
    kind=st.sampled_from(TokenKind),
    name=st.just("ci"),
    scopes=st.frozensets(st.sampled_from(("api", "read_api"))),
    role=st.one_of(st.none(), roles),
    user=st.one_of(st.none(), users),
    project=st.one_of(st.none(), paths, st.just("1")),
    group=st.one_of(st.none(), paths, st.just("1")),
)


class CatalogMachine(RuleBasedStateMachine):
    """Does everything to both catalogs and compares what they answer, errors and their texts included."""

    @initialize()
    def open(self) -> None:
        """Open both, with some groups and projects."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="catalog-"))
        self.reactor = ThreadedClock()
        self.reactor.advance(START_SECONDS)
        path = migrated_file(self.folder / "catalog.sqlite3")
        self.database = SqliteDatabase(self.reactor, path, SqliteSettings(reader_threads=1))
        self.catalogs: tuple[ICatalog, ...] = (MemoryCatalog(self.reactor.seconds), SqlCatalog(self.database))
        # By the state of an index, what it showed: equal tokens mean an identical index.
        self.shown: dict[tuple[Any, ...], object] = {}
        self.add_group("a", Visibility.PRIVATE)
        self.add_group("a/b", Visibility.INTERNAL)
        self.add_project("a/p", Visibility.PUBLIC)
        self.add_project("a/b/p", Visibility.PRIVATE)
        self.both(lambda catalog: catalog.add_user("jane"))

    def teardown(self) -> None:
        """Close both."""
        if hasattr(self, "database"):
            self.both(lambda catalog: catalog.close())
            shutil.rmtree(self.folder)

    def both(self, verb: Callable[[ICatalog], Awaitable[Any]]) -> Any:
        """Run a verb on both, compare, and return the answer."""

        async def run(catalog: ICatalog) -> Any:
            return await verb(catalog)

        answers: list[Any] = []
        for catalog in self.catalogs:
            deferred = ensureDeferred(run(catalog))
            self.reactor.wait(deferred)
            deferred.addBoth(answers.append)
        seen = [(answer.type, str(answer.value)) if isinstance(answer, Failure) else answer for answer in answers]
        assert seen[0] == seen[1], seen
        return seen[0]

    @rule(path=paths, visibility=st.sampled_from(Visibility))
    def add_group(self, path: str, visibility: Visibility) -> None:
        """Add a group."""
        self.both(lambda catalog: catalog.add_group(path, visibility))

    @rule(path=paths, visibility=st.sampled_from(Visibility))
    def add_project(self, path: str, visibility: Visibility) -> None:
        """Add a project."""
        self.both(lambda catalog: catalog.add_project(path, visibility))

    @rule(name=users, is_admin=st.booleans())
    def add_user(self, name: str, is_admin: bool) -> None:
        """Add a user."""
        self.both(lambda catalog: catalog.add_user(name, is_admin=is_admin))

    @rule(user=users, path=paths, role=roles)
    def set_member(self, user: str, path: str, role: Role) -> None:
        """Set a role."""
        self.both(lambda catalog: catalog.set_member(user, path, role))

    @rule(token=tokens)
    def add_token(self, token: NewToken) -> None:
        """Add a token, and look it up."""
        self.both(lambda catalog: catalog.add_token(token))
        self.both(lambda catalog: catalog.find_token(token.public_id))

    @rule(public_id=st.sampled_from(("one", "two")))
    def revoke_token(self, public_id: str) -> None:
        """Revoke a token."""
        self.both(lambda catalog: catalog.revoke_token(public_id))
        self.both(lambda catalog: catalog.list_tokens())

    @rule(
        level=st.sampled_from(Level), ident=st.one_of(paths, st.integers(0, 4)), user_id=st.sampled_from((None, 1, 2))
    )
    def find_scope(self, level: Level, ident: int | str, user_id: int | None) -> None:
        """Resolve something."""
        self.both(lambda catalog: catalog.find_scope(level, ident, user_id))

    @rule(publication=publications)
    def publish(self, publication: Publication) -> None:
        """Publish."""
        self.both(lambda catalog: catalog.publish(publication, ANONYMOUS))

    @rule(publication=publications, data=datas)
    def replace(self, publication: Publication, data: bytes) -> None:
        """Publish without conditions, so that there is something to see."""
        forced = evolve(
            publication,
            coordinates=evolve(publication.coordinates, project_id=1, format="pypi"),
            blob=blob_of(data),
            on_duplicate=OnDuplicate.REPLACE,
            precondition=Precondition(),
            respects_tombstones=False,
        )
        self.both(lambda catalog: catalog.publish(forced, ANONYMOUS))

    @rule(file_id=file_ids, precondition=preconditions)
    def delete_file(self, file_id: int, precondition: Precondition) -> None:
        """Delete."""
        self.both(lambda catalog: catalog.delete_file(file_id, ANONYMOUS, precondition))

    @rule(project_id=project_ids, package_id=package_ids, since=times)
    def delete_package(self, project_id: int, package_id: int, since: datetime.datetime | None) -> None:
        """Delete a package."""
        precondition = Precondition(unmodified_since=since)
        self.both(lambda catalog: catalog.delete_package(project_id, package_id, ANONYMOUS, precondition))

    @rule(projects=some_projects, query=queries, piece=pieces)
    def list_packages(self, projects: list[int], query: PackageQuery, piece: Piece) -> None:
        """List packages of any format."""
        self.both(lambda catalog: catalog.list_packages(projects, query, piece))

    @rule(
        project_id=project_ids,
        package_id=package_ids,
        file_id=file_ids,
        order=st.sampled_from(FileOrder),
        piece=pieces,
        is_descending=st.booleans(),
    )
    def look_into_package(
        self, project_id: int, package_id: int, file_id: int, order: FileOrder, piece: Piece, is_descending: bool
    ) -> None:
        """Look at a package, its files and one of them."""
        self.both(lambda catalog: catalog.find_package(project_id, package_id))
        self.both(lambda catalog: catalog.list_package_files(package_id, order, piece, is_descending=is_descending))
        self.both(lambda catalog: catalog.find_package_file(project_id, package_id, file_id))

    @rule(group_id=st.integers(1, 4), user=st.sampled_from((None, 1)), direct_only=st.booleans())
    def projects_below(self, group_id: int, user: int | None, direct_only: bool) -> None:
        """Look below a group for packages of any format."""
        self.both(lambda catalog: catalog.projects_below(group_id, user, direct_only=direct_only))

    @rule(sha256=st.sampled_from(SHA256S))
    def forget_blob(self, sha256: str) -> None:
        """Sweep one blob."""
        self.both(lambda catalog: catalog.forget_blob(Digest.sha256(sha256)))

    @rule(
        projects=some_projects,
        format=formats,
        name=st.sampled_from(("alpha", "beta", "")),
        version=st.one_of(st.none(), versions),
        file_name=file_names,
        sha256=st.one_of(st.none(), st.sampled_from(SHA256S)),
    )
    def find_file(
        self, projects: list[int], format: str, name: str, version: str | None, file_name: str, sha256: str | None
    ) -> None:
        """Look for a file."""
        digest = None if sha256 is None else Digest.sha256(sha256)
        self.both(lambda catalog: catalog.find_file(projects, format, name, version, file_name, digest))

    @rule(projects=some_projects, format=formats, name=canonical_names, version=st.one_of(st.none(), versions))
    def list_everything(self, projects: list[int], format: str, name: str, version: str | None) -> None:
        """List files of a version, hidden ones included."""
        self.both(lambda catalog: catalog.list_files(projects, format, name, version, listed_only=False))

    @rule(
        group_id=st.integers(1, 4),
        format=formats,
        name=st.one_of(st.none(), canonical_names),
        user=st.sampled_from((None, 1)),
    )
    def projects_with(self, group_id: int, format: str, name: str | None, user: int | None) -> None:
        """Look below a group."""
        self.both(lambda catalog: catalog.projects_with(group_id, format, name, user))

    @rule(
        project_id=project_ids,
        number=st.integers(0, 3),
        quota_bytes=st.integers(0, 5),
        needed_bytes=st.integers(0, 3),
        wanted_bytes=st.integers(0, 5),
    )
    def reserve(self, project_id: int, number: int, quota_bytes: int, needed_bytes: int, wanted_bytes: int) -> None:
        """Reserve room, or more of it."""
        reservation = Reservation(f"{project_id}/{number}", project_id, quota_bytes)
        self.both(lambda catalog: catalog.reserve(reservation, needed_bytes, wanted_bytes))

    @rule(publication=publications, number=st.integers(0, 3), quota_bytes=st.integers(0, 5), keep=st.integers(0, 2))
    def settle(self, publication: Publication, number: int, quota_bytes: int, keep: int) -> None:
        """Publish what was reserved, or was not."""
        project_id = publication.coordinates.project_id
        settlement = Settlement(Reservation(f"{project_id}/{number}", project_id, quota_bytes), keep)
        self.both(lambda catalog: catalog.publish(publication, ANONYMOUS, settlement))

    @rule(project_id=project_ids, number=st.integers(0, 3), is_renewed=st.booleans())
    def let_go(self, project_id: int, number: int, is_renewed: bool) -> None:
        """Renew or release what was reserved."""
        reservation_id = f"{project_id}/{number}"
        if is_renewed:
            self.both(lambda catalog: catalog.renew([reservation_id]))
        else:
            self.both(lambda catalog: catalog.release(reservation_id))

    @rule(project_id=project_ids, level=st.sampled_from((Level.PROJECT, Level.GROUP)))
    def remove_place(self, project_id: int, level: Level) -> None:
        """Remove a project or group with all that is in it."""
        if project_id > 1 or level is Level.GROUP:
            self.both(lambda catalog: catalog.remove_place(level, project_id + 1, ANONYMOUS))

    @rule(
        level=st.sampled_from((Level.PROJECT, Level.GROUP)),
        place_id=project_ids,
        changes=st.dictionaries(st.sampled_from(("quota_bytes", "npm_max_file_size")), st.sampled_from((None, 1, 2))),
    )
    def change_settings(self, level: Level, place_id: int, changes: dict[str, Any]) -> None:
        """Change settings of a place."""
        layers = self.both(lambda catalog: catalog.find_settings(level, place_id))
        known = layers[0].settings if layers else NOTHING_SET
        self.both(lambda catalog: catalog.change_settings(level, place_id, known, changes, ANONYMOUS))

    @invariant()
    def usage_is_what_the_files_have(self) -> None:
        """Whatever was done, what is counted is the sum of what is there."""
        if not hasattr(self, "catalogs"):
            return
        for project_id in (1, 2):
            self.both(lambda catalog, p=project_id: catalog.find_usage(p))
            recounted = self.both(lambda catalog, p=project_id: catalog.recount_usage(p))
            assert recounted is None or recounted.counted_bytes == recounted.file_bytes, recounted

    @rule(seconds=st.sampled_from((0.5, 60.0, 200.0)), ago=st.sampled_from((0, 30)), limit=st.integers(1, 3))
    def pass_time(self, seconds: float, ago: int, limit: int) -> None:
        """Let time pass, and ask which blobs are not needed."""
        self.reactor.advance(seconds)
        before = datetime.datetime.fromtimestamp(self.reactor.seconds() - ago, datetime.UTC)
        self.both(lambda catalog: catalog.find_unused_blobs(before, limit))

    @invariant()
    def equal_tokens_mean_equal_indexes(self) -> None:
        """Over one project and over all, each state of an index has shown one thing only."""
        if not hasattr(self, "catalogs"):
            return
        for projects in ((1,), (1, 2, 3, 4)):
            self.see(("names", projects), projects, None, lambda catalog, p=projects: catalog.list_names(p, "pypi"))
            for name in ("alpha", "beta"):
                self.see(
                    (name, projects),
                    projects,
                    name,
                    lambda catalog, p=projects, name=name: catalog.list_files(p, "pypi", name),
                )
        self.both(lambda catalog: catalog.list_blobs("", 10))

    def see(
        self, key: tuple[Any, ...], projects: tuple[int, ...], name: str | None, show: Callable[..., Awaitable[Any]]
    ) -> None:
        """Compare what an index shows with what it showed under the same token."""
        state = self.both(lambda catalog: catalog.index_state(projects, "pypi", name))
        index = self.both(show)
        if name is not None:
            # Digests of shared bytes may be added by another project's publish, which no index of names shows.
            index = [evolve(file, blob=file.blob.sha256) for file in index]
        assert self.shown.setdefault((*key, state.token), index) == index, (key, state)


class MachineTests(SynchronousTestCase):
    """The machine, run."""

    def test_both_catalogs_answer_alike(self) -> None:
        """No sequence of verbs tells one from the other."""
        run_state_machine_as_test(
            CatalogMachine,
            settings=settings(
                max_examples=30,
                stateful_step_count=30,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
