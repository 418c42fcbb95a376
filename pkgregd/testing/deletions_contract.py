"""What every catalog does with files that go together, as tests beside those of CatalogContract."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, ensureDeferred

from pkgregd.errors import FileWasDeleted
from pkgregd.testing.catalog_contract import PRIVATE, blob_of, publication_of
from pkgregd.testing.spellings_contract import spelled
from pkgregd.values import ANONYMOUS, PackageFile

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object


class DeletionsContract(_Base):
    """Several files at once, and all packages in order; mixed in before CatalogContract."""

    def put_files(self, *names: str, data: bytes | None = None) -> list[PackageFile]:
        """Publish files of one package, of bytes of their own each."""
        return [self.publish(publication_of(data or name.encode(), file_name=name)).file for name in names]

    def delete_together(self, *files: PackageFile, revision: int | None = None, project_id: int = 1) -> bool:
        """Delete files of a package, chosen now."""
        ((_, now),) = self.state().revisions
        ids = [file.id for file in files]
        found = self.get(self.catalog.delete_files(project_id, files[0].package_id, ids, revision or now, ANONYMOUS))
        self.clock.advance(1)
        return found

    def test_files_deleted_together(self) -> None:
        """They are gone, the index has moved once, their names are not free, and the others are there."""
        one, two, three = self.put_files("one", "two", "three")
        before, names = self.state(), self.state(None)
        self.assertTrue(self.delete_together(one, two))
        self.assertEqual(self.files(), ["three"])
        ((_, first),), ((_, second),) = before.revisions, self.state().revisions
        self.assertEqual((second - first, self.state(None)), (1, names))
        self.assertEqual(self.get(self.catalog.list_changes(1, "pypi", "alpha", first, second)), frozenset({"1.0"}))
        self.refused(self.catalog.publish(spelled(b"other", "one"), ANONYMOUS), FileWasDeleted)
        self.assertEqual(three.file_name, "three")

    def test_the_package_goes_with_its_last_files(self) -> None:
        """Then the list of names moves, too."""
        files = self.put_files("one", "two")
        names = self.state(None)
        self.assertTrue(self.delete_together(*files))
        self.assertIsNone(self.get(self.catalog.find_package(1, files[0].package_id)))
        self.assertNotEqual(self.state(None), names)

    def test_nothing_is_deleted_if_anything_has_changed(self) -> None:
        """An index that moved, a file that is not there, another project or package: all of them stay."""
        one, two = self.put_files("one", "two")
        ((_, revision),) = self.state().revisions
        (three,) = self.put_files("three")
        before = self.state()
        self.assertFalse(self.delete_together(one, two, revision=revision))
        self.assertFalse(self.delete_together(one, project_id=2))
        other = self.publish(publication_of(b"z", version="2.0", file_name="z")).file
        self.assertFalse(self.delete_together(one, other))
        self.assertTrue(self.delete_together(three))
        self.assertFalse(self.delete_together(one, three))
        package_id, (_, now) = one.package_id, self.state().revisions[0]
        self.assertFalse(self.get(self.catalog.delete_files(1, package_id, [], now, ANONYMOUS)))
        for number in (0, -1, 99):
            self.assertFalse(self.get(self.catalog.delete_files(1, number, [one.id], now, ANONYMOUS)))
        self.assertEqual(self.files(version="1.0"), ["one", "two"])
        self.assertNotEqual(self.state(), before)

    def test_several_at_once(self) -> None:
        """Of many deletions of the same files, among publishes, at most one does anything; what comes is there."""
        one, two = self.put_files("one", "two")
        ((_, revision),) = self.state().revisions
        package_id, ids = one.package_id, [one.id, two.id]
        running: list[Deferred[object]] = []
        for number in range(8):
            publication = publication_of(b"%d" % number, file_name=f"{number}")
            deletion = self.catalog.delete_files(1, package_id, ids, revision, ANONYMOUS)
            publishing = self.catalog.publish(publication, ANONYMOUS)
            running += [ensureDeferred(_awaited(verb)) for verb in (deletion, publishing)]
        for deferred in running:
            self.wait(deferred)
        done = [self.successResultOf(deferred) for deferred in running[::2]]
        self.assertLessEqual(done.count(True), 1)
        kept = [] if True in done else ["one", "two"]
        self.assertEqual(sorted(self.files()), sorted([*map(str, range(8)), *kept]))

    def test_blobs_are_released_with_their_last_file(self) -> None:
        """Bytes that only the deleted files had are unused from then on; what another file has is not."""
        same = self.put_files("one", "two", data=b"same")
        (kept, gone) = self.put_files("three", "four", data=b"both")
        self.assertTrue(self.delete_together(*same, gone))
        before = self.now() + datetime.timedelta(seconds=1)
        unused = self.get(self.catalog.find_unused_blobs(before, 10))
        self.assertEqual([blob.sha256 for blob in unused], [blob_of(b"same").sha256])
        self.assertEqual(kept.file_name, "three")
        early = self.now() - datetime.timedelta(seconds=2)
        self.assertEqual(self.get(self.catalog.find_unused_blobs(early, 10)), ())

    def test_all_packages_in_order(self) -> None:
        """Those of all projects and formats come by their numbers, a piece at a time."""
        projects = (1, self.get(self.catalog.add_project("acme/yard", PRIVATE)))
        for number in range(5):
            name = f"n{number}"
            self.publish(
                publication_of(b"x", projects[number % 2], name, file_name="x", format=("pypi", "npm")[number % 2])
            )
        found: list[str] = []
        after = 0
        while page := self.get(self.catalog.list_all_packages(after, 2)):
            self.assertLessEqual(len(page), 2)
            found += [f"{package.project_path} {package.format} {package.name}" for package in page]
            after = page[-1].id
        self.assertEqual(
            found,
            ["acme/tools pypi n0", "acme/yard npm n1", "acme/tools pypi n2", "acme/yard npm n3", "acme/tools pypi n4"],
        )
        self.assertEqual(self.get(self.catalog.list_all_packages(2**63, 2)), ())


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable
