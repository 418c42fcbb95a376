"""What every catalog does with several spellings of one file's name, as tests beside those of CatalogContract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import ensureDeferred

from pkgregd.errors import FileSpelledOtherwise, FileWasDeleted, NameSpelledOtherwise
from pkgregd.interfaces import ICatalog
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import ANONYMOUS, PackageStatus, Publication

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object


def spelled(data: bytes, file_name: str, version: str = "1.0") -> Publication:
    """A publication whose file names are compared without their case."""
    return evolve(
        publication_of(data, file_name=file_name, version=version), file_key=str.lower, respects_tombstones=True
    )


def named(name: str, version: str) -> Publication:
    """A publication that holds on to the spelling of its name."""
    publication = publication_of(version.encode(), name=name, version=version, file_name=f"{name}-{version}.zip")
    return evolve(publication, demands_spelling=True)


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

    def test_one_spelling_of_a_name(self) -> None:
        """A further version spells the name as the newest one does; hidden ones count, and deleted ones do not."""
        first = self.publish(evolve(named("Alpha", "1.0"), status=PackageStatus.HIDDEN)).file
        before, names = self.state(), self.state(None)
        text = self.refused(self.catalog.publish(named("alpha", "2.0"), ANONYMOUS), NameSpelledOtherwise)
        self.assertIn("'alpha' is another spelling of 'Alpha'", text)
        self.assertEqual((self.state(), self.state(None)), (before, names))
        self.assertEqual(self.files("alpha", listed_only=False), ["Alpha-1.0.zip"])
        self.publish(named("Alpha", "2.0"))
        self.assertTrue(self.publish(evolve(named("ALPHA", "3.0"), demands_spelling=False)).created)
        for file in (first, *self.get(self.catalog.list_files([1], "pypi", "alpha"))):
            self.delete(file)
        self.assertTrue(self.publish(named("alpha", "2.0")).created)

    def test_two_spellings_at_once(self) -> None:
        """Of versions of one new name that come at the same moment, all that get in are spelt alike."""
        spellings = ["alpha", "Alpha", "ALPHA", "aLpha"]
        coming = [
            ensureDeferred(_published(self.catalog, named(spellings[number % 4], f"{number}.0")))
            for number in range(24)
        ]
        for deferred in coming:
            self.wait(deferred)  # type: ignore[arg-type]  # Deferred is invariant
        found = [self.successResultOf(deferred) for deferred in coming]
        names = {file.name for file in self.get(self.catalog.list_files([1], "pypi", "alpha"))}
        self.assertEqual((len(names), found.count(True)), (1, 6))


async def _published(catalog: ICatalog, publication: Publication) -> bool:
    try:
        await catalog.publish(publication, ANONYMOUS)
    except NameSpelledOtherwise:
        return False
    return True
