"""
fsck on both databases and both kinds of store: what is planted is found exactly, and mended where that can be.

Everything is real: the files of SQLite, a server of PostgreSQL, folders, a bucket of SeaweedFS.
"""

# ruff: noqa: S608 - what is planted is ours

from __future__ import annotations

import datetime
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from attrs import frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.files import FileBlobStore
from pkgregd.blobs.s3 import S3BlobStore
from pkgregd.blobs.s3_agent import make_agent
from pkgregd.blobs.s3_bodies import bytes_body
from pkgregd.blobs.s3_client import S3Client, Timeouts
from pkgregd.blobs.s3_signing import Signer
from pkgregd.catalog import migrate, open_catalog
from pkgregd.interfaces import IBlobStore
from pkgregd.registry.fsck import Fsck, FsckOptions, FsckReport
from pkgregd.registry.sweep import sweep
from pkgregd.registry.verifying import Pace
from pkgregd.testing.blob_store_contract import sha256_of
from pkgregd.values import ANONYMOUS, BlobInfo, CatalogCheck, Coordinates, Publication, Visibility
from tests.catalog.support import emptied_database
from tests.support.catalogs import SQLITE_URL, query
from tests.support.daemon import clean_environment, script
from tests.support.seaweedfs import KEYS, shared_seaweedfs

T = TypeVar("T")

the_reactor: Any = reactor
DEADLINE_SECONDS = 60.0

BETA = "(SELECT sha256 FROM package_files WHERE file_name = 'beta.bin')"


async def at_once(job: Callable[[], None]) -> None:
    """Run a job here."""
    job()


class WorldCase(SynchronousTestCase):
    """A catalog and a store with two published files."""

    catalog_url: ClassVar[str] = SQLITE_URL

    def setUp(self) -> None:
        """Publish."""
        threads = the_reactor.getThreadPool()
        if not threads.started:  # the reactor does when it runs, and needs them to resolve names
            threads.start()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fsck-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.url = self.make_database()
        self.catalog = open_catalog(reactor, self.url, self.folder)
        self.addCleanup(lambda: self.get(self.catalog.close()))
        self.blobs: Any = self.make_store()
        self.addCleanup(lambda: self.get(self.blobs.close()))
        self.get(self.catalog.add_group("acme", Visibility.PRIVATE))
        self.project_id = self.get(self.catalog.add_project("acme/tools", Visibility.PRIVATE))
        self.alpha, self.beta = (self.get(self.publish(name)) for name in ("alpha", "beta"))

    def make_database(self) -> str:
        """Make an empty database; returns its URL."""
        migrate(SQLITE_URL, self.folder)
        return SQLITE_URL

    def make_store(self) -> IBlobStore:
        """Make an empty store."""
        return FileBlobStore(reactor, self.folder / "blobs", reserve_bytes=0, threads=2)

    def get(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Let the reactor run until a result is there."""
        deferred: Deferred[T] = ensureDeferred(coroutine)

        deadline = time.monotonic() + DEADLINE_SECONDS
        while not deferred.called or deferred.paused:
            if time.monotonic() > deadline:
                raise AssertionError("there is no result in time")
            the_reactor.iterate(0.01)
        return self.successResultOf(deferred)

    async def commit(self, data: bytes) -> BlobInfo:
        """Have bytes in the store that nobody holds."""
        sink = await self.blobs.open_sink(("md5",))
        sink.write(data)
        blob: BlobInfo = await sink.commit()
        await sink.abort()
        return blob

    async def publish(self, name: str) -> BlobInfo:
        """Publish a file of a name."""
        blob = await self.commit(name.encode() * 1000)
        where = Coordinates("generic", self.project_id, name, name, "1.0", "1.0", f"{name}.bin")
        published = await self.catalog.publish(
            Publication(where, blob, tags=("latest",), keys=(name,), documents={"d": b"d"}), ANONYMOUS
        )
        if self.blobs.has_copies and published.file.blob.locator != blob.locator:
            await self.blobs.remove(blob, yes)
        return published.file.blob

    def sql(self, statement: str) -> None:
        """Change the catalog against all rules."""
        if self.url != SQLITE_URL:
            statement = f"SET session_replication_role = replica; {statement}"
        query(self.url, self.folder, statement)

    def damage(self, blob: BlobInfo, data: bytes | None) -> None:
        """Change bytes behind the store's back."""
        path = self.folder / "blobs" / blob.locator
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)

    def leave_something(self) -> None:
        """Leave in the store what a process leaves that dies in the middle."""
        staging = self.folder / "blobs" / "staging" / "0123456789abcdef"
        staging.mkdir()
        (staging / "0").write_bytes(b"half")

    def fsck(self, **options: bool) -> FsckReport:
        """Look at everything, two days later."""
        run = Fsck(self.catalog, self.blobs, FsckOptions(**options), at_once, Pace(the_reactor, None))
        return self.get(run.go(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)))


async def yes() -> bool:
    """Say that nobody needs it."""
    return True


if TYPE_CHECKING:
    _Base = WorldCase
else:
    _Base = object


class Plants(_Base):
    """One thing that is wrong at a time."""

    def missing_blob(self) -> None:
        """Lose bytes."""
        self.damage(self.beta, None)

    def wrong_size(self) -> None:
        """Lose some."""
        self.damage(self.beta, b"beta")

    def wrong_bytes(self) -> None:
        """Change some."""
        self.damage(self.beta, b"atab" * 1000)

    def wrong_digests(self) -> None:
        """Lose the digests."""
        self.sql(f"UPDATE blobs SET digests_json = '{{}}' WHERE sha256 = {BETA}")

    def other_digests(self) -> None:
        """Change one, so that it is still a digest."""
        digests = json.dumps({"sha256": self.beta.sha256.hex, "md5": "0" * 32})
        self.sql(f"UPDATE blobs SET digests_json = '{digests}' WHERE sha256 = {BETA}")

    def unknown_object(self) -> None:
        """Store what nobody publishes."""
        self.get(self.commit(b"gamma"))

    def unknown_copy(self) -> None:
        """Store again what is there; a store without copies has it once."""
        if self.blobs.has_copies:
            self.get(self.commit(b"beta" * 1000))
        else:
            self.unknown_object()

    def staging_leftover(self) -> None:
        """Die in the middle."""
        self.leave_something()

    def unreleased_blob(self) -> None:
        """Add a blob that no file is of."""
        blob = self.get(self.commit(b"gamma"))
        self.sql(
            "INSERT INTO blobs (sha256, size_bytes, locator, digests_json, created_at) "
            f"VALUES ('{blob.sha256.hex}', 5, '{blob.locator}', '{json.dumps(blob.digests)}', 1)"
        )

    def released_blob(self) -> None:
        """Say that no file is of a blob."""
        self.sql(f"UPDATE blobs SET released_at = 1 WHERE sha256 = {BETA}")

    def file_without_blob(self) -> None:
        """Forget a blob."""
        self.sql(f"DELETE FROM blobs WHERE sha256 = {BETA}")

    def file_without_package(self) -> None:
        """Add a file to nothing."""
        self.sql(
            "INSERT INTO package_files (package_id, file_name, sha256, metadata_json, created_at) "
            f"VALUES (999999, 'lost.bin', {BETA}, '{{}}', 1)"
        )

    def package(self, project_id: int) -> None:
        """Add a package of the name beta."""
        self.sql(
            "INSERT INTO packages (project_id, format, name, canonical_name, version, canonical_version, status, "
            "metadata_json, created_at) "
            f"VALUES ({project_id}, 'generic', 'beta', 'beta', '2', '2', 'default', '{{}}', 1)"
        )

    def package_without_project(self) -> None:
        """Add a package to nothing."""
        self.package(999999)

    def empty_package(self) -> None:
        """Add a package without a file."""
        self.package(self.project_id)

    def missing_revision(self) -> None:
        """Forget how often an index changed."""
        self.sql("DELETE FROM index_revisions WHERE canonical_name = 'beta'")

    def revision_behind(self) -> None:
        """Count an index back."""
        self.sql("UPDATE index_revisions SET revision = 0 WHERE canonical_name = 'beta'")

    def wrong_usage(self) -> None:
        """Count wrongly."""
        self.sql("UPDATE usages SET file_bytes = file_bytes + 1")

    def dangling_tag(self) -> None:
        """Have a tag point at nothing."""
        self.sql("UPDATE tags SET package_id = 999999 WHERE canonical_name = 'beta'")

    def tag_of_another_name(self) -> None:
        """Have a tag point at another name's version."""
        other = "(SELECT id FROM packages WHERE name = 'alpha')"
        self.sql(f"UPDATE tags SET package_id = {other} WHERE canonical_name = 'beta'")

    def stale_reservation(self) -> None:
        """Forget to give room back."""
        self.sql(f"INSERT INTO reservations VALUES ('r', {self.project_id}, 5, 1)")

    def orphan_document(self) -> None:
        """Keep a document of nothing."""
        self.sql("INSERT INTO documents VALUES (999999, 'd', 'd')")

    def orphan_key(self) -> None:
        """Keep a key of nothing."""
        self.sql(f"INSERT INTO file_keys VALUES ({self.project_id}, 'generic', 'k', 999999)")

    def orphan_unconfirmed(self) -> None:
        """Wait for the checksum of nothing."""
        self.sql("INSERT INTO unconfirmed_files VALUES (999999, 1, 1)")


@frozen
class Plant:
    """
    Something that can be wrong.

    Attributes:
        kind: how fsck calls it.
        is_mended: whether a repair leaves nothing of it.
        verify: whether it shows only when bytes are read.
    """

    plant: Callable[[Any], None]
    kind: str
    is_mended: bool = True
    verify: bool = False


PLANTS: Mapping[str, Plant] = {
    "missing_blob": Plant(Plants.missing_blob, "missing_blob", is_mended=False),
    "wrong_size": Plant(Plants.wrong_size, "wrong_size", is_mended=False),
    "wrong_bytes": Plant(Plants.wrong_bytes, "wrong_bytes", is_mended=False, verify=True),
    "wrong_digests": Plant(Plants.wrong_digests, "wrong_digests"),
    "other_digests": Plant(Plants.other_digests, "wrong_digests", verify=True),
    "unknown_object": Plant(Plants.unknown_object, "unknown_object"),
    "unknown_copy": Plant(Plants.unknown_copy, "unknown_object"),
    "staging_leftover": Plant(Plants.staging_leftover, "staging_leftover"),
    "unreleased_blob": Plant(Plants.unreleased_blob, "unreleased_blob"),
    "released_blob": Plant(Plants.released_blob, "released_blob"),
    "file_without_blob": Plant(Plants.file_without_blob, "file_without_blob"),
    "file_without_package": Plant(Plants.file_without_package, "file_without_package", is_mended=False),
    "package_without_project": Plant(Plants.package_without_project, "package_without_project", is_mended=False),
    "empty_package": Plant(Plants.empty_package, "empty_package"),
    "missing_revision": Plant(Plants.missing_revision, "missing_revision"),
    "revision_behind": Plant(Plants.revision_behind, "revision_behind"),
    "wrong_usage": Plant(Plants.wrong_usage, "wrong_usage"),
    "dangling_tag": Plant(Plants.dangling_tag, "dangling_tag"),
    "tag_of_another_name": Plant(Plants.tag_of_another_name, "dangling_tag"),
    "stale_reservation": Plant(Plants.stale_reservation, "stale_reservation"),
    "orphan_document": Plant(Plants.orphan_document, "orphan_document"),
    "orphan_key": Plant(Plants.orphan_key, "orphan_key"),
    "orphan_unconfirmed": Plant(Plants.orphan_unconfirmed, "orphan_unconfirmed"),
}


class Findings(Plants):
    """Each by itself, and several together; has a test for each plant."""

    def assert_found(self, found: Mapping[str, int], **options: bool) -> None:
        """Fail unless that is found, and nothing else."""
        report = self.fsck(**options)
        self.assertEqual(report.found, found, [finding.where for finding in report.named])

    def look_at(self, plant: Plant) -> None:
        """Plant something: it is found exactly, a repair says what it did, and it is found again only if it is left."""
        self.assert_found({}, verify=True)
        plant.plant(self)
        for _ in range(2):  # looking changes nothing
            self.assert_found({plant.kind: 1}, verify=plant.verify)
        report = self.fsck(repair=True, verify=plant.verify)
        self.assertEqual(report.found, {plant.kind: 1})
        self.assertEqual(report.left, 0 if plant.is_mended else 1)
        self.assert_found({} if plant.is_mended else {plant.kind: 1})
        if plant.kind in ("missing_blob", "wrong_size", "wrong_bytes"):
            self.get(self.publish("beta"))
            # the damaged copy, if the store has kept it beside the new one
            self.fsck(repair=True)
            self.assert_found({}, verify=True)

    def test_all_at_once(self) -> None:
        """What does not hide each other is found together, each once."""
        # they are about the bytes or the name that another one is about
        others = {"missing_blob", "wrong_size", "wrong_digests", "other_digests", "file_without_blob", "unknown_copy"}
        others |= {"unreleased_blob", "missing_revision", "tag_of_another_name"}
        several = [plant for name, plant in PLANTS.items() if name not in others]
        self.assertGreaterEqual(len(several), 12)
        for plant in several:
            plant.plant(self)
        self.assert_found(dict.fromkeys([plant.kind for plant in several], 1), verify=True)
        report = self.fsck(repair=True, verify=True)
        self.assertEqual(report.left, sum(not plant.is_mended for plant in several))
        self.assert_found({plant.kind: 1 for plant in several if not plant.is_mended}, verify=True)

    def test_a_tag_that_was_set_meanwhile(self) -> None:
        """One that points at a version again stays, although it was found before."""
        self.dangling_tag()
        (fault,) = self.get(self.catalog.find_faults(CatalogCheck.DANGLING_TAG, None, 9))
        self.sql(
            "UPDATE tags SET package_id = (SELECT id FROM packages WHERE name = 'beta') WHERE canonical_name = 'beta'"
        )
        self.assertFalse(self.get(self.catalog.mend_fault(CatalogCheck.DANGLING_TAG, fault)))
        self.assertEqual(len(query(self.url, self.folder, "SELECT tag FROM tags")), 2)

    def test_what_is_lost_for_good(self) -> None:
        """A file whose blob is neither in the catalog nor in the store is listed again, and mended by its bytes."""
        self.file_without_blob()
        self.damage(self.beta, None)
        self.assert_found({"file_without_blob": 1})
        report = self.fsck(repair=True)
        self.assertEqual(report.found, {"file_without_blob": 1, "missing_blob": 1, "wrong_usage": 1})
        self.assertEqual(report.left, 1)
        self.assert_found({"missing_blob": 1})
        self.get(self.publish("beta"))
        self.assert_found({}, verify=True)

    def test_what_is_put_back(self) -> None:
        """Bytes that a backup has are served again, wherever they are put, and whatever is still known of them."""
        for forget in (lambda: None, self.file_without_blob):
            forget()
            self.damage(self.beta, None)
            self.assertEqual(self.fsck(repair=True).left, 1)
            self.beta = self.get(self.commit(b"beta" * 1000))
            now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
            self.assertEqual(self.get(sweep(self.catalog, self.blobs, grace=datetime.timedelta(0), now=now)).removed, 0)
            self.assertEqual(self.fsck(repair=True).left, 0)
            self.assert_found({}, verify=True)
            self.assertEqual(self.get(self.blobs.stat(self.beta)), 4000)

    def test_another_copy_stays(self) -> None:
        """Bytes of which nobody knows yet that they are the last ones are not removed."""
        self.damage(self.beta, None)
        self.get(self.commit(b"beta" * 1000))
        self.assertEqual(self.fsck(repair=True).left, 0)
        self.assert_found({}, verify=True)

    def test_the_last_copy_stays(self) -> None:
        """Bytes that a file needs are not removed by a sweep or a repair because the catalog has forgotten them."""
        self.file_without_blob()
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
        report = self.get(sweep(self.catalog, self.blobs, grace=datetime.timedelta(0), now=now))
        self.assertEqual(report.removed, 0)
        self.assertEqual(self.fsck(repair=True).left, 0)
        self.assert_found({}, verify=True)


def _test_of(plant: Plant) -> Callable[[Findings], None]:
    def test(self: Findings) -> None:
        self.look_at(plant)

    test.__doc__ = plant.plant.__doc__
    return test


for _name, _plant in PLANTS.items():
    setattr(Findings, f"test_{_name}", _test_of(_plant))


class OnPostgreSQL(WorldCase):
    """The catalog is on a server."""

    def make_database(self) -> str:
        """Make one whose tables are empty."""
        return emptied_database()


class OnS3(WorldCase):
    """The store is a bucket."""

    def make_store(self) -> IBlobStore:
        """Make one in which any unfinished upload is an abandoned one."""
        self.place = shared_seaweedfs().new_place()
        self.agent, close = make_agent(reactor, None)
        self.addCleanup(lambda: self.get(_awaited(close())))
        self.client = S3Client(the_reactor, self.agent, Signer(self.place, KEYS), Timeouts())
        return S3BlobStore(
            reactor,
            self.agent,
            Signer(self.place, KEYS),
            self.folder / "parts",
            threads=2,
            abandoned_seconds=-60,
        )

    def damage(self, blob: BlobInfo, data: bytes | None) -> None:
        """Change the object."""
        self.get(self.client.delete(blob.locator))
        if data is not None:
            self.get(self.client.put(blob.locator, bytes_body([data], sha256_of(data).hex)))

    def leave_something(self) -> None:
        """Begin an upload in parts, and no more."""
        self.get(self.client.create_upload(f"large/{'0' * 32}", lambda: None))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


class FindingsInFilesTests(Findings, WorldCase):
    """SQLite and a folder."""

    def run_command(self, *arguments: str, config: str = "pkgregd.toml") -> tuple[int, str, str]:
        """Run `pkgregd`; returns its status and what it wrote."""
        done = subprocess.run(
            [script("pkgregd"), "--config", str(self.folder / config), *arguments],
            env=clean_environment(self.folder),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def test_the_command(self) -> None:
        """It ends with 0 if nothing is wrong or all was mended, 1 if something is left, and 2 if it cannot tell."""
        (self.folder / "pkgregd.toml").write_text("")
        self.assertEqual(self.run_command("fsck")[0], 0)
        self.wrong_usage()
        self.missing_blob()
        status, out, _ = self.run_command("fsck", "--json")
        self.assertEqual(status, 1)
        answer = json.loads(out)
        self.assertEqual((answer["is_clean"], answer["left"]), (False, 2))
        self.assertEqual(answer["found"], {"wrong_usage": 1, "missing_blob": 1})
        missing = next(finding for finding in answer["findings"] if finding["kind"] == "missing_blob")
        self.assertEqual(missing["sha256"], self.beta.sha256.hex)
        self.assertEqual(missing["files"], ["acme/tools: generic beta 1.0 beta.bin"])
        self.assertIn("publish the same file again", missing["to_do"])
        status, out, _ = self.run_command("fsck", "--repair")
        self.assertEqual(status, 1)
        self.assertIn("2 findings, 1 repaired, 1 left", out)
        self.get(self.publish("beta"))
        self.staging_leftover()
        self.assertEqual(self.run_command("fsck", "--repair")[0], 0)
        self.wrong_bytes()
        self.assertEqual(self.run_command("fsck")[0], 0)
        status, out, _ = self.run_command("scrub", "--json", "--bytes-per-second", "1000000000")
        self.assertEqual(status, 1)
        self.assertEqual(json.loads(out)["named"], [{"sha256": self.beta.sha256.hex, "damage": "wrong_bytes"}])
        self.assertEqual(self.run_command("fsck")[0], 1)
        self.get(self.publish("beta"))
        self.assertEqual(self.run_command("scrub")[0], 0)
        for command in (["fsck"], ["sweep"], ["scrub"]):
            status, out, errors = self.run_command(*command, config="missing.toml")
            self.assertEqual((status, out, errors.count("\n")), (2, "", 1))
        os.rename(self.folder / "pkgregd.sqlite3", self.folder / "elsewhere")
        self.assertEqual(self.run_command("fsck")[0], 2)


class FindingsOnPostgreSQLTests(Findings, OnPostgreSQL):
    """PostgreSQL and a folder."""


class FindingsOnS3Tests(Findings, OnS3):
    """SQLite and a bucket."""


class FindingsOnBothTests(Findings, OnPostgreSQL, OnS3):
    """PostgreSQL and a bucket."""
