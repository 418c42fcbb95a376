"""What every catalog does with listings and with packages by number, as tests beside those of CatalogContract."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.errors import FileWasDeleted, PreconditionFailed
from pkgregd.testing.catalog_contract import PRIVATE, blob_of, publication_of
from pkgregd.values import (
    ANONYMOUS,
    NO_PRECONDITION,
    FileOrder,
    OnDuplicate,
    PackageFile,
    PackageOrder,
    PackageQuery,
    PackageRecord,
    PackageStatus,
    Piece,
    Precondition,
    Role,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

ALL = Piece(0, 100)
SECOND = datetime.timedelta(seconds=1)
NOWHERE = (0, -1, 99, 2**63, 10**30)
"""Numbers that no row has."""


class ListingsContract(_Base):
    """Packages and files by number; mixed in before CatalogContract."""

    def setUp(self) -> None:
        """Add the project `acme/zoo`, which is number 2."""
        super().setUp()
        self.assertEqual(self.get(self.catalog.add_project("acme/zoo", PRIVATE)), 2)

    def put(
        self, name: str, version: str = "1.0", *, project_id: int = 1, format: str = "pypi", hidden: bool = False
    ) -> PackageFile:
        """Publish a package with one file."""
        publication = publication_of(f"{name} {version}".encode(), project_id, name, version, f"{version}.zip", format)
        if hidden:
            publication = evolve(publication, status=PackageStatus.HIDDEN)
        return self.publish(publication).file

    def list(
        self, query: PackageQuery | None = None, piece: Piece = ALL, project_ids: tuple[int, ...] = (1,)
    ) -> list[str]:
        """List packages as `name version`; what is counted has to fit what is listed."""
        listing = self.get(self.catalog.list_packages(project_ids, query or PackageQuery(), piece))
        if piece == ALL:
            self.assertEqual(listing.total, len(listing.packages))
        return [f"{package.name} {package.version}" for package in listing.packages]

    def package(self, package_id: int, project_id: int = 1) -> PackageRecord | None:
        """A package by its number."""
        return self.get(self.catalog.find_package(project_id, package_id))

    def delete_package(self, package_id: int, project_id: int = 1) -> bool:
        """Delete a package, and let a second pass."""
        gone = self.get(self.catalog.delete_package(project_id, package_id, ANONYMOUS, NO_PRECONDITION))
        self.clock.advance(1)
        return gone

    # ---------------------------------------------------------------- packages

    def test_package_by_number(self) -> None:
        """All that is known of a package comes back, by its number in its project alone."""
        began = self.now()
        file = self.put("Alpha")
        self.put("Alpha", project_id=2)
        record = PackageRecord(
            file.package_id, 1, "acme/tools", "pypi", "Alpha", "1.0", PackageStatus.DEFAULT, began, None
        )
        self.assertEqual(self.package(file.package_id), record)
        self.assertEqual(self.get(self.catalog.list_packages((1,), PackageQuery(), ALL)).packages, (record,))
        self.assertIsNone(self.package(file.package_id, project_id=2))
        for number in NOWHERE:
            self.assertIsNone(self.package(number))

    def test_package_keeps_its_age(self) -> None:
        """A package is as old as its first file, whatever becomes of that."""
        began = self.now()
        first = self.put("alpha")
        self.publish(publication_of(b"other", file_name="other.zip"))
        self.delete(first)
        package = self.package(first.package_id)
        assert package is not None
        self.assertEqual(package.created_at, began)

    def test_hidden_and_yanked(self) -> None:
        """A hidden package is listed with its own kind alone; a yanked one stays and says why."""
        shown, hidden = self.put("alpha"), self.put("beta", hidden=True)
        self.get(self.catalog.set_yanked(1, "pypi", "alpha", "1.0", "broken", ANONYMOUS))
        self.assertEqual(self.list(), ["alpha 1.0"])
        self.assertEqual(self.list(PackageQuery(status=PackageStatus.HIDDEN)), ["beta 1.0"])
        package = self.package(shown.package_id)
        assert package is not None
        self.assertEqual(package.yanked_reason, "broken")
        self.assertIsNotNone(self.package(hidden.package_id))

    def test_conditions(self) -> None:
        """Every condition holds for what is listed, and all of them together."""
        for name, version, format in (
            ("Alpha", "1.0", "pypi"), ("alphabet", "2.0", "pypi"), ("beta", "1.0", "generic"),
            ("al_pha", "1", "generic"), ("100%", "1.0", "generic"), ("back\\slash", "1.0", "generic"),
            ("\xc9t\xe9", "1.0", "generic"),
        ):  # fmt: skip
            self.put(name, version, format=format)
        for query, names in (
            (PackageQuery(format="generic", version="1.0"), ["beta", "100%", "back\\slash", "\xc9t\xe9"]),
            (PackageQuery(format="npm"), []),
            (PackageQuery(version="1"), ["al_pha"]),
            (PackageQuery(name_part="ALPH"), ["Alpha", "alphabet"]),
            (PackageQuery(name_part="ha"), ["Alpha", "alphabet", "al_pha"]),
            (PackageQuery(name_part="l_p"), ["al_pha"]),
            (PackageQuery(name_part="%"), ["100%"]),
            (PackageQuery(name_part="k\\s"), ["back\\slash"]),
            (PackageQuery(name_part="\xc9t"), ["\xc9t\xe9"]),
            (PackageQuery(name_part="' OR 1=1 --"), []),
            (PackageQuery(format="pypi", version="1.0", name_part="a"), ["Alpha"]),
        ):
            self.assertEqual([text.split(" ")[0] for text in self.list(query)], names, query)

    def test_orders(self) -> None:
        """Every order, both ways, equals by number."""
        self.put("b", "2", format="pypi")
        self.put("a", "10", format="generic")
        self.put("b", "1", format="pypi", project_id=2)
        self.put("B", "2", format="npm")
        for order, listed in (
            (PackageOrder.CREATED_AT, ["b 2", "a 10", "b 1", "B 2"]),
            (PackageOrder.NAME, ["B 2", "a 10", "b 2", "b 1"]),
            (PackageOrder.VERSION, ["b 1", "a 10", "b 2", "B 2"]),
            (PackageOrder.TYPE, ["a 10", "B 2", "b 2", "b 1"]),
            (PackageOrder.PROJECT_PATH, ["b 2", "a 10", "B 2", "b 1"]),
        ):
            query = PackageQuery(order=order)
            self.assertEqual(self.list(query, project_ids=(1, 2)), listed, order)
            backwards = evolve(query, is_descending=True)
            self.assertEqual(self.list(backwards, project_ids=(1, 2)), listed[::-1], order)
            alone = [text for text in listed if text != "b 1"]
            self.assertEqual(self.list(query), alone, order)
            self.assertEqual(self.list(backwards), alone[::-1], order)

    def test_equal_times(self) -> None:
        """What came in one moment is in the order of its numbers, and backwards the other way round."""
        for name in ("c", "a", "b"):
            self.get(self.catalog.publish(publication_of(b"x", name=name), ANONYMOUS))
        self.assertEqual(self.list(), ["c 1.0", "a 1.0", "b 1.0"])
        self.assertEqual(self.list(PackageQuery(is_descending=True)), ["b 1.0", "a 1.0", "c 1.0"])

    def test_pieces(self) -> None:
        """Pieces make up the whole without gap or overlap, and each knows how long that is."""
        for number in range(7):
            self.put(f"p{number}", project_id=1 + number % 2)
        everything = self.list(project_ids=(1, 2))
        self.assertEqual(len(everything), 7)
        query, found = PackageQuery(), []
        for offset in range(0, 9, 3):
            listing = self.get(self.catalog.list_packages((1, 2), query, Piece(offset, 3)))
            self.assertEqual(listing.total, 7)
            found += [f"{package.name} {package.version}" for package in listing.packages]
        self.assertEqual(found, everything)
        listing = self.get(self.catalog.list_packages((1,), PackageQuery(name_part="p2"), Piece(5, 5)))
        self.assertEqual((listing.packages, listing.total), ((), 1))

    def test_no_projects(self) -> None:
        """Nothing is listed of nothing."""
        self.put("alpha")
        self.assertEqual(self.list(project_ids=()), [])
        self.assertEqual(self.list(project_ids=(99,)), [])

    def test_projects_below(self) -> None:
        """Projects with a package at any depth, or directly below alone, with the user's role in each."""
        jane = self.get(self.catalog.add_user("jane"))
        deep = self.get(self.catalog.add_group("acme/deep", PRIVATE))
        project = self.get(self.catalog.add_project("acme/deep/one", PRIVATE))
        self.get(self.catalog.set_member("jane", "acme/deep", Role.REPORTER))
        self.put("alpha")
        self.put("beta", project_id=project, format="generic", hidden=True)

        def below(group_id: int, *, direct_only: bool = False) -> list[tuple[str, Role | None]]:
            scopes = self.get(self.catalog.projects_below(group_id, jane, direct_only=direct_only))
            return [(scope.path, scope.role) for scope in scopes]

        self.assertEqual(below(self.group_id), [("acme/tools", None), ("acme/deep/one", Role.REPORTER)])
        self.assertEqual(below(self.group_id, direct_only=True), [("acme/tools", None)])
        self.assertEqual(below(deep, direct_only=True), [("acme/deep/one", Role.REPORTER)])
        self.assertEqual(below(99), [])

    # ------------------------------------------------------------------- files

    def test_files_of_a_package(self) -> None:
        """Files in every order and in pieces, with every digest that is known."""
        file = self.publish(evolve(publication_of(b"x", file_name="b"), blob=blob_of(b"x", md5="0" * 32))).file
        for name in ("c", "a"):
            self.publish(publication_of(b"y" + name.encode(), file_name=name))
        self.put("beta")

        def listed(order: FileOrder, piece: Piece = ALL, *, is_descending: bool = False) -> list[str]:
            listing = self.get(
                self.catalog.list_package_files(file.package_id, order, piece, is_descending=is_descending)
            )
            self.assertEqual(listing.total, 3)
            return [found.file_name for found in listing.files]

        for order, names in (
            (FileOrder.ID, ["b", "c", "a"]),
            (FileOrder.CREATED_AT, ["b", "c", "a"]),
            (FileOrder.FILE_NAME, ["a", "b", "c"]),
        ):
            self.assertEqual(listed(order), names, order)
            self.assertEqual(listed(order, is_descending=True), names[::-1], order)
            self.assertEqual(listed(order, Piece(1, 1)), names[1:2], order)
            self.assertEqual(listed(order, Piece(3, 1)), [], order)
        first = self.get(self.catalog.list_package_files(file.package_id, FileOrder.ID, Piece(0, 1))).files[0]
        self.assertEqual((first.id, first.package_id, first.size_bytes), (file.id, file.package_id, 1))
        self.assertEqual((first.created_at, dict(first.digests)), (file.created_at, dict(file.blob.digests)))
        self.assertEqual(first.digests["md5"], "0" * 32)

    def test_replaced_file_is_newer(self) -> None:
        """The order of time is that of the present bytes."""
        old = self.publish(publication_of(b"x", file_name="b")).file
        self.publish(publication_of(b"y", file_name="c"))
        self.replace(old)
        listing = self.get(self.catalog.list_package_files(old.package_id, FileOrder.CREATED_AT, ALL))
        self.assertEqual([found.file_name for found in listing.files], ["c", "b"])

    def replace(self, file: PackageFile) -> None:
        """Put other bytes into a file of alpha."""
        publication = publication_of(b"other bytes", file_name=file.file_name)
        self.publish(evolve(publication, on_duplicate=OnDuplicate.REPLACE))

    def test_file_by_number(self) -> None:
        """A file is found through its own package and project alone."""
        file, other = self.put("alpha"), self.put("beta")
        found = self.get(self.catalog.find_package_file(1, file.package_id, file.id))
        self.assertEqual(found, file)
        for numbers in ((2, file.package_id, file.id), (1, other.package_id, file.id), (1, file.package_id, other.id)):
            self.assertIsNone(self.get(self.catalog.find_package_file(*numbers)))
        for number in NOWHERE:
            self.assertIsNone(self.get(self.catalog.find_package_file(1, file.package_id, number)))
            self.assertIsNone(self.get(self.catalog.find_package_file(1, number, file.id)))

    # ---------------------------------------------------------------- deletion

    def test_delete_package(self) -> None:
        """All files go at once, another version and another project stay, and a second time there is nothing."""
        first = self.publish(publication_of(b"x")).file
        self.publish(publication_of(b"y", file_name="alpha-1.0.zip"))
        self.publish(publication_of(b"z", version="2.0", file_name="alpha-2.0.zip"))
        self.put("alpha", project_id=2)
        self.assertTrue(self.delete_package(first.package_id))
        self.assertEqual(self.files(), ["alpha-2.0.zip"])
        self.assertEqual(self.list(), ["alpha 2.0"])
        self.assertEqual(self.list(project_ids=(2,)), ["alpha 1.0"])
        self.assertIsNone(self.package(first.package_id))
        self.assertIsNone(self.get(self.catalog.find_package_file(1, first.package_id, first.id)))
        self.assertFalse(self.delete_package(first.package_id))

    def test_delete_what_is_elsewhere(self) -> None:
        """A package is deleted through its own project alone."""
        file = self.put("alpha")
        self.assertFalse(self.delete_package(file.package_id, project_id=2))
        for number in NOWHERE:
            self.assertFalse(self.delete_package(number))
        self.assertEqual(self.list(), ["alpha 1.0"])

    def test_every_deleted_file_leaves_a_tombstone(self) -> None:
        """No file name comes back with other bytes; with its own it does, under new numbers."""
        first = self.publish(publication_of(b"x")).file
        self.publish(publication_of(b"y", file_name="alpha-1.0.zip"))
        self.delete_package(first.package_id)
        for file_name in ("alpha-1.0.tar.gz", "alpha-1.0.zip"):
            publication = evolve(publication_of(b"other", file_name=file_name), respects_tombstones=True)
            self.refused(self.catalog.publish(publication, ANONYMOUS), FileWasDeleted)
        again = self.publish(evolve(publication_of(b"x"), respects_tombstones=True)).file
        self.assertGreater(again.package_id, first.package_id)
        self.assertGreater(again.id, first.id)
        self.delete_package(again.package_id)
        publication = evolve(publication_of(b"other"), respects_tombstones=True)
        self.refused(self.catalog.publish(publication, ANONYMOUS), FileWasDeleted)

    def test_deleted_package_lets_go_of_its_blobs(self) -> None:
        """Bytes that nothing else refers to are unused from then on, and no others."""
        first = self.publish(publication_of(b"x")).file
        self.publish(publication_of(b"y", file_name="alpha-1.0.zip"))
        self.publish(publication_of(b"y", file_name="copy.zip"))
        self.publish(publication_of(b"x", name="beta"))
        self.delete_package(first.package_id)
        unused = self.get(self.catalog.find_unused_blobs(self.now(), 10))
        self.assertEqual([blob.sha256 for blob in unused], [blob_of(b"y").sha256])
        earlier = self.now() - 2 * SECOND
        self.assertEqual(self.get(self.catalog.find_unused_blobs(earlier, 10)), ())

    def test_deleted_package_takes_its_documents(self) -> None:
        """Documents go with their files."""
        file = self.publish(evolve(publication_of(b"x"), documents={"info": b"one"})).file
        self.delete_package(file.package_id)
        self.assertIsNone(self.get(self.catalog.find_document(file.id, "info")))

    def test_deletion_moves_the_index(self) -> None:
        """The name's index changes with every version, the list of names with the last one."""
        one = self.publish(publication_of(b"x")).file
        two = self.publish(publication_of(b"z", version="2.0", file_name="alpha-2.0.zip")).file
        name, names = self.state(), self.state(None)
        self.delete_package(one.package_id)
        self.assertNotEqual(self.state(), name)
        self.assertEqual(self.state(None), names)
        self.delete_package(two.package_id)
        self.assertNotEqual(self.state(None), names)

    def test_package_newer_than_the_client_knows(self) -> None:
        """A package is as new as its newest file; the second of the last change still counts as unmodified."""
        file = self.publish(publication_of(b"x")).file
        changed_at = self.now()
        self.publish(publication_of(b"y", file_name="alpha-1.0.zip"))
        for since, error in ((changed_at - SECOND, True), (changed_at.replace(microsecond=0), False)):
            precondition = Precondition(unmodified_since=since)
            deletion = self.catalog.delete_package(1, file.package_id, ANONYMOUS, precondition)
            if error:
                self.refused(deletion, PreconditionFailed)
                self.assertEqual(len(self.files()), 2)
            else:
                self.assertTrue(self.get(deletion))

    def test_file_newer_than_the_client_knows(self) -> None:
        """A file that was replaced since is kept."""
        file = self.publish(publication_of(b"x")).file
        precondition = Precondition(unmodified_since=self.now() - SECOND)
        self.clock.advance(5)
        self.replace(file)
        self.refused(self.catalog.delete_file(file.id, ANONYMOUS, precondition), PreconditionFailed)
        since_then = Precondition(unmodified_since=self.now())
        self.assertTrue(self.get(self.catalog.delete_file(file.id, ANONYMOUS, since_then)))
