"""What every catalog tells of the names below a path, as tests beside those of CatalogContract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.testing.catalog_contract import PRIVATE, publication_of
from pkgregd.values import IndexState, NewestVersion, PackageFile, PackageStatus

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

WORD = "a-plugin"


class BranchesContract(_Base):
    """Branches; mixed in before CatalogContract."""

    def put_named(
        self, name: str, version: str = "1.0", *, package: str = "{}", file: str = "{}", summary: str = WORD,
        file_name: str = "a", project_id: int = 1,
    ) -> PackageFile:  # fmt: skip
        """Publish a file of a package that says something of itself."""
        data = f"{name} {version} {file_name}".encode()
        publication = publication_of(data, project_id, name, version, file_name)
        return self.publish(
            evolve(publication, package_metadata_json=package, file_metadata_json=file, summary=summary)
        ).file

    def branch(self, branch: str, project_ids: tuple[int, ...] = (1,), limit: int = 10) -> list[tuple[str, str, str]]:
        """List a branch as (name, version, what package and file say)."""
        found = self.get(self.catalog.list_branch(project_ids, "pypi", branch, WORD, limit))
        return [
            (each.canonical_name, each.version, each.package_metadata_json + each.file_metadata_json) for each in found
        ]

    def branch_state(self, branch: str, project_ids: tuple[int, ...] = (1,)) -> IndexState:
        """The state of a branch."""
        return self.get(self.catalog.branch_state(project_ids, "pypi", branch, WORD))

    def test_names_of_a_branch(self) -> None:
        """Those directly below it that the word finds, by name; whatever is in its path stands for itself."""
        for name in ("com/a_b/two", "com/a_b/one", "com/a_b", "com/a_b/x/deep", "com/axb/other", "com/a_bc/other"):
            self.put_named(name, package=f'"{name}"')
        self.put_named("com/a_b/three", package='"3"', summary="nothing of the kind")
        self.put_named("com/a_b/foreign", package='"4"', project_id=2)
        one, two = ("com/a_b/one", "1.0", '"com/a_b/one"{}'), ("com/a_b/two", "1.0", '"com/a_b/two"{}')
        self.assertEqual(self.branch("com/a_b"), [one, two])
        self.assertEqual(self.branch("com/a_b", limit=1), [one])
        self.assertEqual(self.branch("com/a_b", (1, 2))[0][0], "com/a_b/foreign")
        self.assertEqual(self.branch("com/a_b/x"), [("com/a_b/x/deep", "1.0", '"com/a_b/x/deep"{}')])
        self.assertEqual((self.branch("com/none"), self.branch("com/a_b", ())), ([], []))

    def test_newest_version(self) -> None:
        """The version published last that says anything counts, with its newest file that does."""
        self.put_named("g/p", "2.0", package='"2"', file='"jar 2"', file_name="p.jar")
        self.put_named("g/p", "1.0", package='"1"', file='"jar 1"', file_name="p.jar")
        self.put_named("g/p", "1.0", file='"jar 1b"', file_name="q.jar")
        self.put_named("g/p", "1.0", file_name="r.jar")
        found = ("g/p", "1.0", '"1""jar 1b"')
        self.assertEqual(self.branch("g"), [found])
        coming = self.put_named("g/p", "3.0", file='"jar 3"', file_name="p.jar")
        self.assertEqual(self.branch("g"), [found])
        self.put_named("g/p", "3.0", package='"3"', file_name="p.pom")
        self.assertEqual(self.branch("g"), [("g/p", "3.0", '"3""jar 3"')])
        self.publish(evolve(publication_of(b"h", name="g/p", version="4.0"), status=PackageStatus.HIDDEN))
        self.assertEqual(self.branch("g")[0][1], "3.0")
        self.assertEqual(coming.version, "3.0")

    def test_of_several_projects_the_newest(self) -> None:
        """A name counts once."""
        self.put_named("g/p", "1.0", package='"one"', project_id=2)
        self.put_named("g/p", "1.0", package='"two"')
        self.assertEqual(self.branch("g", (1, 2)), [("g/p", "1.0", '"two"{}')])
        found = self.get(self.catalog.list_branch([2], "pypi", "g", WORD, 1))
        self.assertEqual(found, (NewestVersion("g/p", "1.0", '"one"', "{}"),))

    def test_state_of_a_branch(self) -> None:
        """It moves with everything that the branch shows and with nothing else; equal states show the same."""
        self.get(self.catalog.add_project("acme/yard", PRIVATE))
        seen = [self.branch_state("g").token]
        self.assertIsNone(self.branch_state("g").changed_at)

        def moved() -> bool:
            token = self.branch_state("g").token
            is_new, is_other = token not in seen, token != seen[-1]
            self.assertEqual(is_new, is_other)
            seen.append(token)
            return is_other

        one = self.put_named("g/one", package='"1"')
        self.assertTrue(moved())
        self.put_named("g/two", package='"2"')
        self.assertTrue(moved())
        self.put_named("g/two", "2.0", file_name="b")
        self.assertTrue(moved())
        for name in ("g", "other/three", "g/x/deep"):
            self.put_named(name)
            self.assertFalse(moved())
        self.put_named("g/four", summary="nothing of the kind")
        self.put_named("g/five", project_id=2)
        self.assertFalse(moved())
        self.put_named("g/two", "3.0", summary="not any more", file_name="c")
        self.assertEqual((self.branch_state("g").token, self.branch("g")), (seen[1], [("g/one", "1.0", '"1"{}')]))
        self.delete(one)
        self.assertTrue(moved())
        self.assertEqual(self.branch("g"), [])
        self.assertEqual(self.branch_state("g", ()).changed_at, None)
