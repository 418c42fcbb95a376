"""What every catalog does with yanked packages and with documents, as tests beside those of CatalogContract."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.errors import PackageNotFound
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import ANONYMOUS, OnDuplicate, PackageFile

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object


class YanksContract(_Base):
    """Yanked packages; mixed in before CatalogContract."""

    def yank(self, reason: str | None, version: str = "1.0", project_id: int = 1) -> bool:
        """Yank alpha, or undo it, and let a second pass."""
        changed = self.get(self.catalog.set_yanked(project_id, "pypi", "alpha", version, reason, ANONYMOUS))
        self.clock.advance(1)
        return changed

    def listed(self) -> tuple[PackageFile, ...]:
        """The files of alpha."""
        return self.get(self.catalog.list_files([1], "pypi", "alpha"))

    def test_yank_reaches_every_file_of_the_version(self) -> None:
        """All files of the version carry the reason, those of another none, and all stay listed."""
        self.publish(publication_of(b"x"))
        self.publish(publication_of(b"y", file_name="alpha-1.0.zip"))
        self.publish(publication_of(b"z", version="2.0", file_name="alpha-2.0.zip"))
        self.assertTrue(self.yank("breaks <things>"))
        self.assertEqual([file.yanked_reason for file in self.listed()], ["breaks <things>", "breaks <things>", None])

    def test_yank_moves_the_index_once(self) -> None:
        """A yank changes the state of the name's index, the same yank again does not, undoing it does."""
        self.publish(publication_of(b"x"))
        states = [self.state()]
        for reason, changes in (("", True), ("", False), ("why", True), (None, True), (None, False)):
            self.assertEqual(self.yank(reason), changes, reason)
            states.append(self.state())
        moved = [before.token != after.token for before, after in itertools.pairwise(states)]
        self.assertEqual(moved, [True, False, True, True, False])

    def test_yank_leaves_the_list_of_names(self) -> None:
        """A yanked package keeps its place among the names."""
        self.publish(publication_of(b"x"))
        names = self.state(None)
        self.yank("")
        self.assertEqual(self.state(None), names)

    def test_file_added_to_a_yanked_version_is_yanked(self) -> None:
        """What is published later belongs to the same package."""
        self.publish(publication_of(b"x"))
        self.yank("why")
        published = self.publish(publication_of(b"y", file_name="alpha-1.0.zip"))
        self.assertEqual(published.file.yanked_reason, "why")

    def test_yank_of_what_is_not_there(self) -> None:
        """No package of that version, or in that project, is PackageNotFound."""
        self.publish(publication_of(b"x"))
        for version, project_id in (("2.0", 1), ("1.0", 2)):
            self.refused(self.catalog.set_yanked(project_id, "pypi", "alpha", version, "", ANONYMOUS), PackageNotFound)

    def test_deleted_version_comes_back_without_its_yank(self) -> None:
        """The yank goes with the package."""
        first = self.publish(publication_of(b"x"))
        self.yank("why")
        self.delete(first.file)
        self.assertIsNone(self.publish(publication_of(b"x")).file.yanked_reason)


class DocumentsContract(_Base):
    """Documents beside files; mixed in before CatalogContract."""

    def document(self, file: PackageFile, name: str = "info") -> bytes | None:
        """A document of a file."""
        return self.get(self.catalog.find_document(file.id, name))

    def test_documents_are_kept_with_their_file(self) -> None:
        """Each file has its own, byte for byte; there are none by another name."""
        one = self.publish(evolve(publication_of(b"x"), documents={"info": b"\0\xff", "other": b""})).file
        two = self.publish(evolve(publication_of(b"y", file_name="b.zip"), documents={"info": b"two"})).file
        self.assertEqual([self.document(one), self.document(two)], [b"\0\xff", b"two"])
        self.assertEqual([self.document(one, "other"), self.document(two, "other")], [b"", None])

    def test_equal_bytes_keep_the_first_documents(self) -> None:
        """A repeat changes nothing."""
        file = self.publish(evolve(publication_of(b"x"), documents={"info": b"one"})).file
        self.publish(evolve(publication_of(b"x"), documents={"info": b"two"}))
        self.assertEqual(self.document(file), b"one")

    def test_replacing_a_file_replaces_its_documents(self) -> None:
        """Documents belong to the bytes they came with."""
        file = self.publish(evolve(publication_of(b"x"), documents={"info": b"one", "other": b"o"})).file
        self.publish(evolve(publication_of(b"y"), documents={"info": b"two"}, on_duplicate=OnDuplicate.REPLACE))
        self.assertEqual([self.document(file), self.document(file, "other")], [b"two", None])

    def test_documents_go_with_their_file(self) -> None:
        """A deleted file leaves none behind."""
        file = self.publish(evolve(publication_of(b"x"), documents={"info": b"one"})).file
        self.assertTrue(self.delete(file))
        self.assertIsNone(self.document(file))
