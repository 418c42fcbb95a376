"""What every catalog does with traits, versions and documents of packages, as tests beside those of CatalogContract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import ANONYMOUS, OnDuplicate, PackageStatus, Piece, Publication, Visibility

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object


class TraitsContract(_Base):
    """Searching for traits, and versions without their files; mixed in before CatalogContract."""

    def having(self, version: str, *traits: str, name: str = "alpha", project_id: int = 1) -> Publication:
        """A version with traits."""
        publication = publication_of(f"{name} {version}".encode(), name=name, version=version)
        return evolve(
            publication,
            coordinates=evolve(publication.coordinates, project_id=project_id, file_name=f"{name}-{version}.zip"),
            traits=traits,
            package_metadata_json=f'{{"traits": "{len(traits)}"}}',
        )

    def with_traits(self, *traits: str, project_ids: tuple[int, ...] = (1,)) -> list[str]:
        """The names with these traits, which are as many as the search says."""
        listing = self.get(self.catalog.search_names(project_ids, "pypi", "", Piece(0, 9), traits))
        self.assertEqual(listing.total, len(listing.names))
        return [name.canonical_name for name in listing.names]

    def test_one_version_has_them_all(self) -> None:
        """Traits of different versions do not add up; a part of one is none."""
        self.publish(self.having("1.0", "release"))
        self.publish(self.having("2.0", "type:tool", "small"))
        self.publish(self.having("1.0", name="beta"))
        self.assertEqual(self.with_traits(), ["alpha", "beta"])
        self.assertEqual(self.with_traits("type:tool"), ["alpha"])
        self.assertEqual(self.with_traits("small", "type:tool"), ["alpha"])
        for traits in (("release", "type:tool"), ("type",), ("tool",), ("type%",), ("_elease",)):
            self.assertEqual(self.with_traits(*traits), [], traits)

    def test_they_go_with_their_version(self) -> None:
        """A yanked, hidden, deleted or replaced version does not count."""
        published = self.publish(self.having("1.0", "release"))
        self.get(self.catalog.set_yanked(1, "pypi", "alpha", "1.0", "", ANONYMOUS))
        self.assertEqual(self.with_traits("release"), [])
        self.assertEqual(self.get(self.catalog.search_names([1], "pypi", "", Piece(0, 9))).total, 1)
        self.get(self.catalog.set_yanked(1, "pypi", "alpha", "1.0", None, ANONYMOUS))
        self.assertEqual(self.with_traits("release"), ["alpha"])
        other = evolve(self.having("1.0", "other"), blob=publication_of(b"zz").blob, on_duplicate=OnDuplicate.REPLACE)
        self.publish(other)
        self.assertEqual([self.with_traits("release"), self.with_traits("other")], [[], ["alpha"]])
        self.publish(evolve(other, status=PackageStatus.HIDDEN))
        self.assertEqual(self.with_traits("other"), [])
        self.publish(evolve(other, status=PackageStatus.DEFAULT))
        self.delete(published.file)
        self.assertEqual(self.with_traits("other"), [])

    def test_bad_traits(self) -> None:
        """A trait is a word, and so many can be asked for."""
        self.publish(self.having("1.0", "release"))
        for traits in (("a b",), ("",), ("a",) * 5):
            self.refused(self.catalog.search_names([1], "pypi", "", Piece(0, 9), traits), ValueError)

    def test_versions(self) -> None:
        """Each package once, the first one first, whatever the number of its files; with what its format keeps."""
        self.get(self.catalog.add_project("acme/other", Visibility.PRIVATE))
        first = self.publish(self.having("2.0", project_id=2)).file
        self.publish(self.having("2.0", "a"))
        self.publish(self.having("1.0"))
        again = self.having("1.0")
        self.publish(evolve(again, coordinates=evolve(again.coordinates, file_name="second.zip")))
        self.publish(evolve(self.having("3.0"), status=PackageStatus.HIDDEN))
        self.get(self.catalog.set_yanked(1, "pypi", "alpha", "1.0", "bad", ANONYMOUS))
        versions = self.get(self.catalog.list_versions([1, 2], "pypi", "alpha"))
        self.assertEqual(
            [(found.project_id, found.canonical_version, found.yanked_reason) for found in versions],
            [(2, "2.0", None), (1, "2.0", None), (1, "1.0", "bad")],
        )
        self.assertEqual((versions[0].package_id, versions[0].created_at), (first.package_id, first.created_at))
        self.assertEqual([found.metadata_json for found in versions[:2]], ['{"traits": "0"}', '{"traits": "1"}'])
        one = self.get(self.catalog.list_versions([1, 2], "pypi", "alpha", "2.0"))
        self.assertEqual(one, versions[:2])
        self.assertEqual(self.get(self.catalog.list_versions([1, 2], "npm", "alpha")), ())

    def test_nothing_but_files_beside_others(self) -> None:
        """A package whose own files were all deleted is no version, and found by none of its traits."""
        wanted = self.having("1.0", "release")
        own = self.publish(wanted).file
        place = evolve(wanted.coordinates, file_name="symbols")
        self.publish(evolve(publication_of(b"s"), coordinates=place, beside=own.file_name))
        self.assertEqual(len(self.get(self.catalog.list_versions([1], "pypi", "alpha"))), 1)
        self.assertEqual(self.with_traits("release"), ["alpha"])
        self.delete(own)
        for version in (None, "1.0"):
            self.assertEqual(self.get(self.catalog.list_versions([1], "pypi", "alpha", version)), ())
        self.assertEqual([self.with_traits("release"), self.with_traits()], [[], []])

    def test_documents_of_packages(self) -> None:
        """Those of one name, of the packages that have one."""
        files = [
            self.publish(evolve(self.having(version), documents={"info": version.encode(), "more": b"x"})).file
            for version in ("1.0", "2.0")
        ]
        bare = self.publish(self.having("3.0")).file
        wanted = [file.package_id for file in (*files, bare)]
        found = self.get(self.catalog.list_documents(wanted, "info"))
        self.assertEqual(dict(found), {wanted[0]: b"1.0", wanted[1]: b"2.0"})
        self.assertEqual(dict(self.get(self.catalog.list_documents(wanted[1:2], "info"))), {wanted[1]: b"2.0"})
        self.assertEqual(dict(self.get(self.catalog.list_documents([], "info"))), {})
