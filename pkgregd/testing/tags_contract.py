"""What every catalog does with tags, searches and owners, as tests beside those of CatalogContract."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.errors import PackageNotFound
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import (
    ANONYMOUS,
    Level,
    NameListing,
    PackageName,
    PackageStatus,
    Piece,
    Publication,
    Role,
    Tag,
    Visibility,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object


class TagsContract(_Base):
    """Tags; mixed in before CatalogContract."""

    def tags(self, *project_ids: int) -> list[tuple[str, str, int]]:
        """The tags of alpha: name, version, project."""
        found = self.get(self.catalog.list_tags(project_ids or (1,), "pypi", "alpha"))
        return [(tag.name, tag.version, tag.project_id) for tag in found]

    def set_tag(self, tag: str, version: str, project_id: int = 1) -> bool:
        """Set a tag of alpha, and let a second pass."""
        changed = self.get(self.catalog.set_tag(project_id, "pypi", "alpha", version, tag, ANONYMOUS))
        self.clock.advance(1)
        return changed

    def version(self, version: str, *tags: str, project_id: int = 1) -> Publication:
        """A version of alpha that publishes tags."""
        publication = publication_of(version.encode(), version=version, file_name=f"alpha-{version}.zip")
        coordinates = evolve(publication.coordinates, project_id=project_id)
        return evolve(publication, coordinates=coordinates, tags=tags)

    def test_tags_of_a_publish(self) -> None:
        """A publish points its tags at the version, away from where they were."""
        self.publish(self.version("1.0", "latest", "old"))
        self.publish(self.version("2.0", "latest"))
        self.assertEqual(self.tags(), [("latest", "2.0", 1), ("old", "1.0", 1)])

    def test_tag_has_both_spellings_of_its_version(self) -> None:
        """As published, and as compared."""
        self.publish(self.version("1.0", "latest"))
        self.assertEqual(self.get(self.catalog.list_tags([1], "pypi", "alpha")), (Tag("latest", "1.0", "1.0", 1),))

    def test_equal_bytes_do_not_move_tags(self) -> None:
        """A publish that is repeated late does not undo what came in between."""
        self.publish(self.version("1.0", "latest"))
        self.publish(self.version("2.0", "latest"))
        self.publish(self.version("1.0", "latest"))
        self.assertEqual(self.tags(), [("latest", "2.0", 1)])

    def test_setting_and_removing(self) -> None:
        """A tag is set, moved and removed; each change moves the index once, and tells which version to look at."""
        self.publish(self.version("1.0"))
        self.publish(self.version("2.0"))
        states = [self.state()]
        for expected, tag, version in ((True, "t", "1.0"), (False, "t", "1.0"), (True, "t", "2.0")):
            self.assertEqual(self.set_tag(tag, version), expected)
            states.append(self.state())
        for expected in (True, False):
            self.assertEqual(self.get(self.catalog.remove_tag(1, "pypi", "alpha", "t", ANONYMOUS)), expected)
            self.clock.advance(1)
            states.append(self.state())
        moved = [before.token != after.token for before, after in itertools.pairwise(states)]
        self.assertEqual(moved, [True, False, True, True, False])
        self.assertEqual(self.tags(), [])
        first, last = dict(states[0].revisions)[1], dict(states[-1].revisions)[1]
        changes = self.get(self.catalog.list_changes(1, "pypi", "alpha", first, last))
        self.assertEqual(changes, {"1.0", "2.0"})

    def test_no_tag_without_its_version(self) -> None:
        """A version that is not there, or is elsewhere, is PackageNotFound; its tags go with a deleted one."""
        first = self.publish(self.version("1.0", "latest", "stable"))
        for version, project_id in (("3.0", 1), ("1.0", 2)):
            self.refused(self.catalog.set_tag(project_id, "pypi", "alpha", version, "t", ANONYMOUS), PackageNotFound)
        self.publish(self.version("2.0", "latest"))
        self.delete(first.file)
        self.assertEqual(self.tags(), [("latest", "2.0", 1)])
        self.publish(self.version("1.0"))
        self.assertEqual(self.tags(), [("latest", "2.0", 1)])

    def test_tags_go_with_a_deleted_package(self) -> None:
        """However its files went."""
        file = self.publish(self.version("1.0", "latest")).file
        self.assertTrue(
            self.get(self.catalog.delete_package(1, file.package_id, ANONYMOUS, publication_of(b"").precondition))
        )
        self.assertEqual(self.tags(), [])

    def test_each_project_has_its_own(self) -> None:
        """Tags of several projects are listed beside each other."""
        self.get(self.catalog.add_project("acme/other", Visibility.PRIVATE))
        self.publish(self.version("1.0", "latest"))
        self.publish(self.version("2.0", "latest", project_id=2))
        self.assertEqual(self.tags(1, 2), [("latest", "1.0", 1), ("latest", "2.0", 2)])
        self.assertEqual(self.tags(2), [("latest", "2.0", 2)])


class SearchContract(_Base):
    """Searching; mixed in before CatalogContract."""

    def named(self, name: str, summary: str = "", project_id: int = 1, content: bytes = b"x") -> Publication:
        """A package of a name, and what is said of it."""
        publication = publication_of(content, name=name, file_name=f"{name}-{len(content)}.zip")
        return evolve(
            publication,
            coordinates=evolve(publication.coordinates, project_id=project_id),
            summary=summary,
        )

    def search(self, text: str, *project_ids: int, offset: int = 0, limit: int = 10) -> NameListing:
        """Search."""
        return self.get(self.catalog.search_names(project_ids or (1,), "pypi", text, Piece(offset, limit)))

    def found(self, text: str, *project_ids: int) -> list[str]:
        """The names found."""
        return [name.canonical_name for name in self.search(text, *project_ids).names]

    def test_by_name_and_summary(self) -> None:
        """Parts of the name or of the summary find it, in any case; all words have to be there."""
        self.publish(self.named("left-pad", "Pads a STRING on the left"))
        self.publish(self.named("right-pad", "Pads on the right"))
        for text, expected in (
            ("pad", ["left-pad", "right-pad"]),
            ("LEFT", ["left-pad"]),
            ("string", ["left-pad"]),
            ("pads right", ["right-pad"]),
            ("string right", []),
            ("", ["left-pad", "right-pad"]),
        ):
            self.assertEqual(self.found(text), expected, text)

    def test_the_name_itself_comes_first(self) -> None:
        """Then the others by name."""
        for name in ("aa-zeta", "zeta", "zeta-b"):
            self.publish(self.named(name))
        self.assertEqual(self.found("Zeta"), ["zeta", "aa-zeta", "zeta-b"])

    def test_pieces_of_a_search(self) -> None:
        """A piece of the names, and how many there are."""
        for name in ("a1", "a2", "a3"):
            self.publish(self.named(name))
        listing = self.search("a", offset=1, limit=1)
        self.assertEqual([name.canonical_name for name in listing.names], ["a2"])
        self.assertEqual(listing.total, 3)
        self.assertEqual(self.search("a", offset=5).total, 3)

    def test_nothing_in_a_text_is_a_pattern(self) -> None:
        """Signs of the database's own mean themselves."""
        self.publish(self.named("abc", "100% sure"))
        self.publish(self.named("abd", "1000 times"))
        self.assertEqual(self.found("100%"), ["abc"])
        self.assertEqual(self.found("a_c"), [])
        self.assertEqual(self.found("\\"), [])

    def test_a_summary_with_nul(self) -> None:
        """It is kept with the metadata as it is, and what is found by it is what stands around."""
        self.publish(self.named("abc", "left\0right"))
        for text in ("left", "right", "left right"):
            self.assertEqual(self.found(text), ["abc"])

    def test_only_what_is_listed(self) -> None:
        """Hidden and deleted packages, other formats and other projects are not found."""
        self.get(self.catalog.add_project("acme/other", Visibility.PRIVATE))
        self.publish(evolve(self.named("hidden"), status=PackageStatus.HIDDEN))
        gone = self.publish(self.named("gone"))
        self.delete(gone.file)
        self.publish(self.named("elsewhere", project_id=2))
        self.assertEqual(self.search(""), NameListing((), 0))
        self.assertEqual(self.get(self.catalog.search_names([1, 2], "npm", "", Piece(0, 9))).total, 0)

    def test_several_projects(self) -> None:
        """A name is found once, in whichever project it or its summary matches."""
        self.get(self.catalog.add_project("acme/other", Visibility.PRIVATE))
        self.publish(self.named("same", "one thing"))
        self.publish(self.named("same", "another", project_id=2))
        self.assertEqual(self.found("thing", 1, 2), ["same"])
        self.assertEqual(self.search("same", 1, 2).total, 1)
        self.assertEqual(self.found("thing", 2), [])

    def test_names_are_spelt_as_they_are_listed(self) -> None:
        """Whatever matched, it is the newest project's spelling."""
        self.get(self.catalog.add_project("acme/other", Visibility.PRIVATE))
        for project_id, spelling in ((1, "Name"), (2, "NAME")):
            publication = self.named("name", f"word{project_id}", project_id=project_id)
            self.publish(evolve(publication, coordinates=evolve(publication.coordinates, name=spelling)))
        for text in ("word1", "word2", "name"):
            self.assertEqual(self.search(text, 1, 2).names, (PackageName("name", "NAME"),))

    def test_one_name(self) -> None:
        """A name is found as it is listed, in the newest project that lists it."""
        self.get(self.catalog.add_project("acme/other", Visibility.PRIVATE))
        find = self.catalog.find_name
        self.assertIsNone(self.get(find([1, 2], "pypi", "name")))
        self.publish(self.named("name"))
        publication = self.named("name", project_id=2)
        spelt = evolve(publication, coordinates=evolve(publication.coordinates, name="NAME"))
        self.publish(evolve(spelt, status=PackageStatus.HIDDEN))
        self.assertEqual(self.get(find([1, 2], "pypi", "name")), PackageName("name", "name"))
        self.publish(evolve(spelt, status=PackageStatus.DEFAULT))
        self.assertEqual(self.get(find([1, 2], "pypi", "name")), PackageName("name", "NAME"))
        self.assertEqual(self.get(self.catalog.list_names([1, 2], "pypi")), (PackageName("name", "NAME"),))
        self.assertIsNone(self.get(find([1, 2], "npm", "name")))

    def test_the_last_publish_says_what_it_is(self) -> None:
        """A publish that says nothing leaves what was said before."""
        self.publish(self.named("name", "first words"))
        self.publish(self.named("name", "second words", content=b"xx"))
        self.publish(self.named("name", content=b"xxx"))
        self.assertEqual([self.found("first"), self.found("second")], [[], ["name"]])


class OwnersContract(_Base):
    """Owners; mixed in before CatalogContract."""

    def test_owners(self) -> None:
        """Maintainers of the project and of the groups above, each once, by name."""
        for name, path, role in (
            ("zoe", "acme", Role.OWNER),
            ("zoe", "acme/tools", Role.MAINTAINER),
            ("ann", "acme/tools", Role.MAINTAINER),
            ("bob", "acme/tools", Role.DEVELOPER),
        ):
            if name != "zoe" or path == "acme":
                self.get(self.catalog.add_user(name))
            self.get(self.catalog.set_member(name, path, role))
        scope = self.scope(Level.PROJECT, "acme/tools")
        owners = self.get(self.catalog.list_owners(scope.id, scope.group_ids))
        self.assertEqual([owner.name for owner in owners], ["ann", "zoe"])
        self.assertEqual([owner.name for owner in self.get(self.catalog.list_owners(None, scope.group_ids))], ["zoe"])
