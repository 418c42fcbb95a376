"""What every catalog does with keys of files, and with several files published together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.errors import FileExists, PackageNotFound
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import ANONYMOUS, NO_PRECONDITION, FileOrder, OnDuplicate, Piece, Publication, Visibility

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object


class KeysContract(_Base):
    """Keys; mixed in before CatalogContract."""

    def keyed(self, file_name: str, *keys: str, data: bytes | None = None, project_id: int = 1) -> Publication:
        """A file of alpha 1.0 with keys."""
        publication = publication_of(data or file_name.encode(), project_id, file_name=file_name)
        return evolve(publication, keys=keys)

    def found_by(self, key: str, *project_ids: int, format: str = "pypi") -> str | None:
        """The name of the file that a key finds."""
        file = self.get(self.catalog.find_by_key(project_ids or (1,), format, key))
        return None if file is None else file.file_name

    def test_each_key_finds_its_file(self) -> None:
        """Of that format, in those projects, and exactly."""
        other = self.get(self.catalog.add_project("acme/other", Visibility.PRIVATE))
        self.publish(self.keyed("a", "one", "two/x"))
        self.publish(self.keyed("b", "three"))
        self.assertEqual([self.found_by(key) for key in ("one", "two/x", "three")], ["a", "a", "b"])
        self.assertEqual([self.found_by(key) for key in ("ONE", "on", "", "two%")], [None] * 4)
        self.assertIsNone(self.found_by("one", other))
        self.assertEqual(self.found_by("one", other, 1), "a")
        self.assertIsNone(self.found_by("one", format="npm"))

    def test_the_newest_of_several(self) -> None:
        """Files may share a key; when the newest goes, the one before it is found."""
        other = self.get(self.catalog.add_project("acme/other", Visibility.PRIVATE))
        self.publish(self.keyed("a", "key"))
        newest = self.publish(self.keyed("b", "key", project_id=other))
        self.assertEqual(self.found_by("key", 1, other), "b")
        self.delete(newest.file)
        self.assertEqual(self.found_by("key", 1, other), "a")

    def test_found_with_its_bytes(self) -> None:
        """The whole file is told, as find_file() tells it."""
        file = self.publish(self.keyed("a", "key")).file
        self.assertEqual(self.get(self.catalog.find_by_key([1], "pypi", "key")), file)

    def test_keys_of_other_bytes(self) -> None:
        """A file that is replaced is found by its new keys alone."""
        self.publish(self.keyed("a", "old", "both"))
        self.publish(evolve(self.keyed("a", "both", "new", data=b"new"), on_duplicate=OnDuplicate.REPLACE))
        self.assertEqual([self.found_by(key) for key in ("old", "both", "new")], [None, "a", "a"])

    def test_keys_go_with_the_file(self) -> None:
        """However it went."""
        self.publish(self.keyed("a", "first"))
        file = self.publish(self.keyed("b", "second")).file
        self.delete(file)
        self.assertEqual([self.found_by("first"), self.found_by("second")], ["a", None])
        self.assertTrue(self.get(self.catalog.delete_package(1, file.package_id, ANONYMOUS, NO_PRECONDITION)))
        self.assertIsNone(self.found_by("first"))


class TogetherContract(_Base):
    """Several files in one transaction; mixed in before CatalogContract."""

    def test_together(self) -> None:
        """All are there, in their order; equal ones again are nothing new."""
        publications = [publication_of(b"%d" % number, file_name=f"f{number}") for number in range(3)]
        done = self.get(self.catalog.publish_all(publications, ANONYMOUS))
        self.assertEqual([(each.file.file_name, each.created) for each in done], [(f"f{n}", True) for n in range(3)])
        self.assertEqual(self.files(), ["f0", "f1", "f2"])
        self.assertEqual(self.get(self.catalog.publish_all([], ANONYMOUS)), ())
        again = self.get(self.catalog.publish_all(publications, ANONYMOUS))
        self.assertEqual([each.created for each in again], [False] * 3)

    def test_nothing_of_what_fails(self) -> None:
        """When the last one is refused, the others are not there, and no index moved."""
        self.publish(publication_of(b"x", file_name="taken"))
        before = self.state(), self.state(None)
        wanted = [
            evolve(publication_of(b"1", file_name="new"), keys=("key",)),
            evolve(publication_of(b"3", name="beta", file_name="other")),
            publication_of(b"2", file_name="taken"),
        ]
        self.refused(self.catalog.publish_all(wanted, ANONYMOUS), FileExists)
        self.assertEqual(self.files(), ["taken"])
        self.assertEqual(self.files("beta"), [])
        self.assertEqual((self.state(), self.state(None)), before)
        self.assertIsNone(self.get(self.catalog.find_by_key([1], "pypi", "key")))
        self.assertTrue(self.get(self.catalog.is_blob_unused(wanted[0].blob.sha256)))

    def test_no_part_of_the_index(self) -> None:
        """What is beside another file is not listed and moves no index, whatever comes later; its name finds it."""
        self.publish(publication_of(b"m", file_name="main"))
        before = self.state(), self.state(None)
        beside = evolve(publication_of(b"s", file_name="symbols"), beside="main", keys=("key",))
        published = self.publish(beside)
        self.assertTrue(published.created)
        self.assertEqual((self.state(), self.state(None)), before)
        self.assertEqual(self.files(), ["main"])
        self.assertEqual(self.files(version="1.0", listed_only=False), ["main"])
        for found in (
            self.catalog.find_file([1], "pypi", "alpha", "1.0", "symbols"),
            self.catalog.find_by_key([1], "pypi", "key"),
        ):
            self.assertEqual(self.get(found), published.file)
        self.publish(evolve(beside, blob=publication_of(b"t").blob, on_duplicate=OnDuplicate.REPLACE))
        self.assertEqual((self.files(), self.state()), (["main"], before[0]))
        listing = self.get(self.catalog.list_package_files(published.file.package_id, FileOrder.FILE_NAME, Piece(0, 9)))
        self.assertEqual([file.file_name for file in listing.files], ["main", "symbols"])

    def test_beside_a_file(self) -> None:
        """What belongs to another file is refused without it, of whichever version, and leaves no package."""
        symbols = evolve(publication_of(b"s", file_name="symbols"), beside="main")
        self.refused(self.catalog.publish(symbols, ANONYMOUS), PackageNotFound)
        self.publish(publication_of(b"m", file_name="main", version="2.0"))
        self.publish(publication_of(b"m", file_name="other"))
        self.refused(self.catalog.publish(symbols, ANONYMOUS), PackageNotFound)
        main = self.publish(publication_of(b"m", file_name="main"))
        self.assertTrue(self.publish(symbols).created)
        self.delete(main.file)
        self.refused(self.catalog.publish(symbols, ANONYMOUS), PackageNotFound)
