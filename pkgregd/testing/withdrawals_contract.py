"""What every catalog does with files that may be taken back, and with metadata that changes, beside CatalogContract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.errors import PackageNotFound
from pkgregd.interfaces import WITHDRAWAL_SECONDS
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import ANONYMOUS, NO_PRECONDITION, OnDuplicate, PackageFile, Principal, Publication, TokenKind

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

JANE = Principal(name="jane", token_kind=TokenKind.PERSONAL, token_id=7, user_id=1)
HERS = Principal(name="jane", token_kind=TokenKind.PERSONAL, token_id=8, user_id=1)


class WithdrawalsContract(_Base):
    """Files that their publisher takes back; mixed in before CatalogContract."""

    def awaiting(self, data: bytes = b"x", **names: str) -> Publication:
        """Make a publication that awaits a checksum."""
        return evolve(publication_of(data, **names), awaits_checksum=True)  # type: ignore[arg-type]

    def published(self, principal: Principal = JANE) -> PackageFile:
        """Publish a file that awaits a checksum."""
        return self.publish(self.awaiting(), principal).file

    def withdraw(self, file: PackageFile, principal: Principal = JANE) -> bool:
        """Take a file back."""
        return self.get(self.catalog.withdraw_file(file.id, file.blob.sha256, principal))

    def test_withdrawn_as_if_it_had_never_been(self) -> None:
        """The file and its package go, the index moves, the blob is free, and other bytes may come."""
        file = self.published()
        before, names_before = self.state(), self.state(None)
        self.assertTrue(self.withdraw(file))
        self.assertFalse(self.withdraw(file))
        self.assertEqual(self.files(), [])
        self.assertIsNone(self.get(self.catalog.find_package(1, file.package_id)))
        self.assertNotEqual(self.state(), before)
        self.assertNotEqual(self.state(None), names_before)
        self.assertTrue(self.get(self.catalog.is_blob_unused(file.blob.sha256)))
        other = evolve(self.awaiting(b"y"), respects_tombstones=True)
        self.assertTrue(self.publish(other, JANE).created)

    def test_the_others_stay(self) -> None:
        """Other files of the package are left alone."""
        file = self.published()
        self.publish(self.awaiting(file_name="alpha-1.0.zip"), JANE)
        self.assertTrue(self.withdraw(file))
        self.assertEqual(self.files(), ["alpha-1.0.zip"])

    def test_only_by_the_token_that_published_it(self) -> None:
        """Another token, were it of the same user, or none at all takes nothing back."""
        file = self.published()
        self.assertFalse(self.withdraw(file, HERS))
        self.assertFalse(self.withdraw(file, ANONYMOUS))
        nobodys = self.publish(self.awaiting(file_name="alpha-1.0.zip"), ANONYMOUS).file
        self.assertFalse(self.withdraw(nobodys, ANONYMOUS))
        self.assertEqual(len(self.files()), 2)

    def test_only_while_nothing_confirmed_it(self) -> None:
        """A checksum that fits makes it stay, and so do the same bytes of somebody else."""
        file = self.published()
        self.publish(self.awaiting(), JANE)
        self.get(self.catalog.confirm_file(file.id, file.blob.sha256))
        self.assertFalse(self.withdraw(file))
        self.publish(self.awaiting(), JANE)
        self.assertFalse(self.withdraw(file))
        self.delete(file)
        file = self.published()
        self.publish(self.awaiting(), HERS)
        self.assertFalse(self.withdraw(file))
        self.assertFalse(self.withdraw(file, HERS))

    def test_only_for_a_while(self) -> None:
        """Later than WITHDRAWAL_SECONDS it stays, and what is known of it is forgotten at another publish."""
        file = self.published()
        self.clock.advance(WITHDRAWAL_SECONDS + 1)
        self.assertFalse(self.withdraw(file))
        self.publish(self.awaiting(file_name="alpha-1.0.zip"), HERS)
        self.assertFalse(self.withdraw(file))

    def test_only_these_bytes(self) -> None:
        """Bytes that took their place are somebody else's business, or nobody's."""
        file = self.published()
        replacing = evolve(self.awaiting(b"y"), on_duplicate=OnDuplicate.REPLACE)
        replaced = self.publish(replacing, HERS).file
        self.assertFalse(self.withdraw(file))
        self.assertFalse(self.withdraw(replaced))
        self.get(self.catalog.confirm_file(replaced.id, file.blob.sha256))
        self.assertTrue(self.withdraw(replaced, HERS))
        self.published()
        settled = self.publish(evolve(replacing, awaits_checksum=False), JANE).file
        self.assertFalse(self.withdraw(settled))

    def test_only_if_it_awaits_a_checksum(self) -> None:
        """What was published for good stays."""
        self.assertFalse(self.withdraw(self.publish(publication_of(b"x"), JANE).file))

    def test_deleted_meanwhile(self) -> None:
        """A deletion takes what is known of it along, of a file and of a package."""
        file = self.published()
        self.delete(file)
        self.assertFalse(self.withdraw(file))
        self.get(self.catalog.confirm_file(file.id, file.blob.sha256))
        file = self.published()
        self.get(self.catalog.delete_package(1, file.package_id, JANE, NO_PRECONDITION))
        self.assertFalse(self.withdraw(file))


class MetadataContract(_Base):
    """What is kept of a package, changed; mixed in before CatalogContract."""

    def describe(self, known: str, new: str, version: str = "1.0") -> bool:
        """Change it."""
        return self.get(self.catalog.replace_metadata(1, "pypi", "alpha", version, known, new, ANONYMOUS))

    def test_changed_if_it_is_known(self) -> None:
        """Of two who know the same the first changes it, and the index moves with it alone."""
        self.publish(evolve(publication_of(b"x"), package_metadata_json='{"a":1}'))
        states = [self.state()]
        for known, new, changes in (
            ('{"a":1}', '{"a":2}', True),
            ('{"a":1}', '{"a":3}', False),
            ('{"a":2}', '{"a":2}', False),
        ):
            self.assertEqual(self.describe(known, new), changes)
            states.append(self.state())
            self.clock.advance(1)
        self.assertEqual([states[0] != states[1], states[1] == states[2] == states[3]], [True, True])
        files = self.get(self.catalog.list_files([1], "pypi", "alpha"))
        self.assertEqual([file.package_metadata_json for file in files], ['{"a":2}'])
        changed = self.get(self.catalog.list_changes(1, "pypi", "alpha", 1, 2))
        self.assertEqual(changed, {"1.0"})

    def test_of_what_is_not_there(self) -> None:
        """There is nothing to change."""
        self.refused(self.catalog.replace_metadata(1, "pypi", "alpha", "1.0", "{}", "[]", ANONYMOUS), PackageNotFound)
