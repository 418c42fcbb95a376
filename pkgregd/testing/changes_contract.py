"""What every catalog remembers of changes, as tests beside those of CatalogContract."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.catalog.rules import KEPT_CHANGES
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import (
    ANONYMOUS,
    NO_PRECONDITION,
    OnDuplicate,
    PackageFile,
    PackageOrder,
    PackageQuery,
    PackageStatus,
    Piece,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

Listing = Mapping[str, tuple[PackageFile, ...]]


class ChangesContract(_Base):
    """Which versions changed between two states of an index; mixed in before CatalogContract."""

    def changes(self, after: int, upto: int, name: str = "alpha", project_id: int = 1) -> frozenset[str] | None:
        """Ask for the changes of a name."""
        return self.get(self.catalog.list_changes(project_id, "pypi", name, after, upto))

    def revision(self, name: str = "alpha") -> int:
        """How many changes a name has seen."""
        return dict(self.state(name).revisions)[1]

    def listing(self, versions: frozenset[str] | None = None) -> Listing:
        """The listed files of alpha by version: of some versions, or of all."""
        if versions is None:
            versions = frozenset(
                file.canonical_version for file in self.get(self.catalog.list_files([1], "pypi", "alpha"))
            )
        found = {version: self.get(self.catalog.list_files([1], "pypi", "alpha", version)) for version in versions}
        return {version: files for version, files in found.items() if files}

    def test_each_change_tells_its_version(self) -> None:
        """Publishing, yanking, hiding and deleting are changes of one version each, whatever else happens."""
        first = self.publish(publication_of(b"x")).file
        self.publish(publication_of(b"b", name="beta", file_name="beta.zip"))
        self.publish(publication_of(b"y", version="2.0", file_name="alpha-2.0.zip"))
        self.get(self.catalog.set_yanked(1, "pypi", "alpha", "2.0", "why", ANONYMOUS))
        self.publish(evolve(publication_of(b"x"), status=PackageStatus.HIDDEN))
        self.delete(first)
        self.assertEqual(self.revision(), 5)
        told = [self.changes(revision - 1, revision) for revision in range(1, 6)]
        self.assertEqual(told, [{"1.0"}, {"2.0"}, {"2.0"}, {"1.0"}, {"1.0"}])
        self.assertEqual(self.changes(0, 5), {"1.0", "2.0"})
        self.assertEqual(self.changes(1, 3), {"2.0"})
        self.assertEqual(self.changes(5, 5), frozenset())

    def test_what_is_not_known(self) -> None:
        """Changes that have not happened, or of names that nobody knows, are not known."""
        self.publish(publication_of(b"x"))
        self.assertIsNone(self.changes(0, 2))
        self.assertIsNone(self.changes(1, 0))
        self.assertIsNone(self.changes(0, 2**80))
        self.assertIsNone(self.changes(0, 1, "beta"))
        self.assertIsNone(self.changes(0, 1, project_id=2))

    def test_long_ago_is_forgotten(self) -> None:
        """As many changes as promised are known, and no more."""
        for number in range(KEPT_CHANGES + 3):
            self.publish(publication_of(b"%d" % number, version=str(number), file_name=f"{number}.zip"))
        last = self.revision()
        expected = {str(number) for number in range(3, KEPT_CHANGES + 3)}
        self.assertEqual(self.changes(last - KEPT_CHANGES, last), expected)
        self.assertIsNone(self.changes(last - KEPT_CHANGES - 1, last))
        self.assertIsNone(self.changes(0, 1))

    def test_changed_versions_bring_any_listing_up_to_date(self) -> None:
        """After any history: what was listed once, with the versions that changed since read again, is what is now."""
        chance = random.Random(20)  # noqa: S311 - a test that can be repeated
        history: list[tuple[int, Listing]] = []
        for step in range(60):
            self.change(chance, step)
            revision = self.revision()
            now = self.listing()
            history.append((revision, now))
            for before, listing in history[-4:]:
                changed = self.changes(before, revision)
                assert changed is not None
                kept = {version: files for version, files in listing.items() if version not in changed}
                self.assertEqual({**kept, **self.listing(changed)}, now)
        self.assertGreater(self.revision(), 30)

    def change(self, chance: random.Random, step: int) -> None:
        """Do something to one of a few versions."""
        version = chance.choice(("1.0", "2.0", "3.0"))
        file_name = f"alpha-{version}.{chance.choice(('zip', 'tar.gz'))}"
        publication = evolve(
            publication_of(b"%d" % step, version=version, file_name=file_name),
            on_duplicate=OnDuplicate.REPLACE,
            respects_tombstones=False,
            status=chance.choice((None, PackageStatus.DEFAULT, PackageStatus.HIDDEN)),
        )
        files = self.get(self.catalog.list_files([1], "pypi", "alpha", listed_only=False))
        kind = chance.randrange(6) if files else 0
        if kind in (0, 1, 2):
            self.publish(publication)
        elif kind == 3:
            self.delete(chance.choice(files))
        elif kind == 4:
            reason = chance.choice((None, "", "why"))
            of = chance.choice(files).canonical_version
            self.get(self.catalog.set_yanked(1, "pypi", "alpha", of, reason, ANONYMOUS))
        else:
            query = PackageQuery(format="pypi", order=PackageOrder.NAME)
            listed = self.get(self.catalog.list_packages([1], query, Piece(10, 0))).packages
            if listed:
                package = chance.choice(listed)
                self.get(self.catalog.delete_package(1, package.id, ANONYMOUS, NO_PRECONDITION))
