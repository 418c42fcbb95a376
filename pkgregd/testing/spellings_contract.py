"""What every catalog does with several spellings of one file's name, as tests beside those of CatalogContract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.errors import FileSpelledOtherwise, FileWasDeleted
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import ANONYMOUS, Publication

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object


def spelled(data: bytes, file_name: str, version: str = "1.0") -> Publication:
    """A publication whose file names are compared without their case."""
    return evolve(
        publication_of(data, file_name=file_name, version=version), file_key=str.lower, respects_tombstones=True
    )


class SpellingsContract(_Base):
    """One file under several spellings; mixed in before CatalogContract."""

    def test_one_spelling_is_kept(self) -> None:
        """Another spelling is refused with whatever bytes, and changes nothing; the first can be repeated."""
        first = self.publish(spelled(b"x", "Alpha.zip")).file
        before = self.state()
        for data in (b"x", b"y"):
            error = self.refused(self.catalog.publish(spelled(data, "alpha.ZIP"), ANONYMOUS), FileSpelledOtherwise)
            self.assertIn("Alpha.zip", str(error))
        self.assertFalse(self.publish(spelled(b"x", "Alpha.zip")).created)
        self.assertEqual(self.state(), before)
        self.assertEqual(self.get(self.catalog.list_files([1], "pypi", "alpha")), (first,))

    def test_other_names_and_versions(self) -> None:
        """Names that are not the same file live beside each other, and so do versions."""
        for publication in (spelled(b"x", "a.zip"), spelled(b"y", "b.zip"), spelled(b"z", "A.ZIP", version="2.0")):
            self.assertTrue(self.publish(publication).created)

    def test_names_count_as_they_are_without_a_key(self) -> None:
        """Where the format knows no spellings there are none."""
        self.publish(spelled(b"x", "a.zip"))
        self.assertTrue(self.publish(publication_of(b"y", file_name="A.zip")).created)

    def test_deleted_names_in_another_spelling(self) -> None:
        """A deleted file comes back with its own bytes only, however its name is spelt."""
        self.delete(self.publish(spelled(b"x", "Alpha.zip")).file)
        names = self.state(None)
        self.refused(self.catalog.publish(spelled(b"y", "alpha.zip"), ANONYMOUS), FileWasDeleted)
        self.assertEqual(self.state(None), names)
        self.assertTrue(self.publish(spelled(b"x", "alpha.zip")).created)
