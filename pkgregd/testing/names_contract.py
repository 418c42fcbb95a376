"""What every catalog does with all packages of a name at once, as tests beside those of CatalogContract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.catalog.rules import KEPT_CHANGES
from pkgregd.errors import FileWasDeleted, PackageNotFound, PreconditionFailed
from pkgregd.testing.catalog_contract import PRIVATE, publication_of
from pkgregd.values import ANONYMOUS, PackageFile

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object


class WholeNamesContract(_Base):
    """All packages of a name; mixed in before CatalogContract."""

    def publish_versions(self, count: int) -> list[PackageFile]:
        """Publish as many versions of alpha: 0, 1 and so on."""
        return [
            self.publish(publication_of(b"%d" % number, version=str(number), file_name=f"{number}.zip")).file
            for number in range(count)
        ]

    def reasons(self) -> Mapping[str, str | None]:
        """Why each version of alpha is yanked."""
        found = self.get(self.catalog.list_files([1], "pypi", "alpha"))
        return {file.canonical_version: file.yanked_reason for file in found}

    def yank_each(self, reasons: Mapping[str, str | None]) -> frozenset[str]:
        """Yank versions of alpha, and let a second pass."""
        changed = self.get(self.catalog.yank_each(1, "pypi", "alpha", reasons, ANONYMOUS))
        self.clock.advance(1)
        return changed

    def revision(self) -> int:
        """The revision of alpha's index."""
        return dict(self.state().revisions)[1]

    def test_each_gets_its_reason(self) -> None:
        """Versions are yanked and taken back together; what is not named or not there stays as it is."""
        self.publish_versions(4)
        self.assertEqual(self.yank_each({"0": "a", "1": "", "9": "x"}), {"0", "1"})
        self.assertEqual(self.reasons(), {"0": "a", "1": "", "2": None, "3": None})
        self.assertEqual(self.yank_each({"0": "a", "1": None, "2": "c"}), {"1", "2"})
        self.assertEqual(self.reasons(), {"0": "a", "1": None, "2": "c", "3": None})

    def test_each_change_is_known(self) -> None:
        """The index tells which versions were changed; nothing changed leaves it where it was."""
        self.publish_versions(3)
        before = self.revision()
        self.yank_each({"0": "a", "2": "c"})
        after = self.revision()
        self.assertEqual(self.get(self.catalog.list_changes(1, "pypi", "alpha", before, after)), {"0", "2"})
        self.assertEqual(self.yank_each({"0": "a", "2": "c"}), frozenset())
        self.assertEqual(self.revision(), after)

    def test_too_many_changes_are_not_remembered(self) -> None:
        """After a change of very many versions it is not known which they were, and what comes later is."""
        self.publish_versions(KEPT_CHANGES + 1)
        before = self.revision()
        self.assertEqual(
            len(self.yank_each({str(number): "x" for number in range(KEPT_CHANGES + 1)})), KEPT_CHANGES + 1
        )
        after = self.revision()
        self.assertGreater(after, before)
        self.assertIsNone(self.get(self.catalog.list_changes(1, "pypi", "alpha", before, after)))
        self.yank_each({"3": None})
        self.assertEqual(self.get(self.catalog.list_changes(1, "pypi", "alpha", after, after + 1)), {"3"})

    def test_yank_of_nothing(self) -> None:
        """None of the versions there, or nothing of that name, is PackageNotFound."""
        self.publish_versions(1)
        for name, reasons in (("alpha", {"9": "x"}), ("alpha", {}), ("beta", {"0": "x"})):
            self.refused(self.catalog.yank_each(1, "pypi", name, reasons, ANONYMOUS), PackageNotFound)

    def test_delete_all_of_a_name(self) -> None:
        """Files, documents and blobs of every version are let go, and the names that are listed change."""
        files = self.publish_versions(3)
        other = self.publish(publication_of(b"0", name="beta", file_name="b.zip")).file
        names = self.state(None)
        self.assertEqual(self.get(self.catalog.delete_name(1, "pypi", "alpha", self.revision(), ANONYMOUS)), 3)
        self.assertEqual(self.files(), [])
        self.assertEqual(self.files("beta"), ["b.zip"])
        self.assertNotEqual(self.state(None).token, names.token)
        unused = [self.get(self.catalog.is_blob_unused(file.blob.sha256)) for file in files]
        self.assertEqual(unused, [False, True, True])
        self.assertFalse(self.get(self.catalog.is_blob_unused(other.blob.sha256)))

    def test_deleted_name_leaves_tombstones(self) -> None:
        """What was there does not come back with other bytes, and does with the same."""
        self.publish_versions(2)
        self.get(self.catalog.delete_name(1, "pypi", "alpha", self.revision(), ANONYMOUS))
        again = evolve(publication_of(b"new", version="1", file_name="1.zip"), respects_tombstones=True)
        self.refused(self.catalog.publish(again, ANONYMOUS), FileWasDeleted)
        self.assertTrue(self.publish(evolve(again, blob=publication_of(b"1").blob)).created)

    def test_what_came_meanwhile_is_not_deleted(self) -> None:
        """Whoever knows an earlier state deletes nothing."""
        self.publish_versions(2)
        known = self.revision()
        self.publish(publication_of(b"x", version="9", file_name="9.zip"))
        self.refused(self.catalog.delete_name(1, "pypi", "alpha", known, ANONYMOUS), PreconditionFailed)
        self.assertEqual(len(self.files()), 3)
        self.refused(self.catalog.delete_name(1, "pypi", "beta", known, ANONYMOUS), PackageNotFound)

    def test_first_published(self) -> None:
        """The oldest of what is there tells, over several projects."""
        self.get(self.catalog.add_project("acme/other", PRIVATE))
        self.assertIsNone(self.get(self.catalog.first_published([1], "pypi", "alpha")))
        first = self.now()
        files = self.publish_versions(2)
        for project_ids in ([1], [2, 1]):
            self.assertEqual(self.get(self.catalog.first_published(project_ids, "pypi", "alpha")), first)
        self.assertIsNone(self.get(self.catalog.first_published([2], "pypi", "alpha")))
        self.delete(files[0])
        self.assertGreater(self.get(self.catalog.first_published([1], "pypi", "alpha")), first)  # type: ignore[arg-type]
