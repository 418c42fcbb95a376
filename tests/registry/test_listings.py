"""Pages that are brought up to date."""

from __future__ import annotations

import datetime
import gzip
import json
import zlib
from collections.abc import Sequence
from functools import partial, total_ordering

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.catalog.rules import KEPT_CHANGES
from pkgregd.errors import PackageNotFound
from pkgregd.registry import listings
from pkgregd.registry.filepages import MAX_CHANGED_VERSIONS, FilePages
from pkgregd.registry.listings import BLOCK_VERSIONS, KEPT_MIN_BYTES, KeptListing, Listing, Listings
from pkgregd.registry.pages import Pages
from pkgregd.testing.calls import now
from pkgregd.testing.catalog_contract import START_SECONDS, blob_of, publication_of
from pkgregd.values import (
    ANONYMOUS,
    NO_PRECONDITION,
    PackageFile,
    PackageStatus,
    Page,
    PageLayout,
    PageSection,
    Visibility,
)
from tests.registry.test_pages import at_once

WHEN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def file_of(version: int, text: str = "") -> PackageFile:
    """Make a file of a version."""
    name = str(version)
    blob = blob_of(text.encode())
    return PackageFile(
        1, 1, 1, "pypi", "demo", "demo", name, name, f"{name}{text}", PackageStatus.DEFAULT, blob, "{}", "{}", WHEN
    )


def layout_of(title: str = "", padding: str = "") -> PageLayout:
    """Make a JSON object of two lists."""

    def name(files: Sequence[PackageFile]) -> bytes:
        return json.dumps(files[0].version).encode()

    def all_names(files: Sequence[PackageFile]) -> bytes:
        return ",".join(json.dumps(file.file_name + padding) for file in files).encode()

    lead = json.dumps({"title": title}).removesuffix("}").encode()
    sections = (PageSection(lead + b',"versions":[', b",", name), PageSection(b'],"files":[', b", ", all_names))

    def sum_up(versions: Sequence[str]) -> bytes:
        return b'],"sum":[%d,' % len(versions) + json.dumps([versions[0], versions[-1]]).encode()

    return PageLayout(sections, b"]}", int, sum_up)


def whole(page: Page | None) -> dict[str, object]:
    """Read a page in both encodings, as strictly as the strictest client."""
    assert page is not None
    if page.gzip is not None:
        one_member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        unpacked = one_member.decompress(page.gzip) + one_member.flush()
        assert one_member.eof
        assert not one_member.unused_data
        assert unpacked == gzip.decompress(page.gzip) == page.body
    found: dict[str, object] = json.loads(page.body)
    return found


@total_ordering
class Circle:
    """A key in an order that goes round in circles, as that of scissors, paper and stone does."""

    def __init__(self, version: str) -> None:
        self.number = int(version)

    def __lt__(self, other: Circle) -> bool:
        small, great = sorted((self.number, other.number))
        return self != other and (self.number == small) == bool(zlib.crc32(f"{small} {great}".encode()) & 1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Circle) and other.number == self.number

    def __hash__(self) -> int:
        return self.number


class ListingTests(SynchronousTestCase):
    """Pieces, blocks and pages."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.sets(st.integers(0, 400), max_size=400),
        st.lists(st.dictionaries(st.integers(0, 400), st.sampled_from(["", "a", "b"]), max_size=150), max_size=5),
    )
    def test_any_history(self, first: set[int], updates: list[dict[int, str]]) -> None:
        """However a listing came to be what it is, its page is that of one made anew."""
        versions = dict.fromkeys(first, "x")
        listing = Listing(layout_of("0"), {str(version): [file_of(version, "x")] for version in versions})
        for number, update in enumerate(updates):
            listing.page()
            title = str(number)
            changed = {str(version): [file_of(version, text)] if text else [] for version, text in update.items()}
            listing.update(layout_of(title), changed)
            versions |= update
        versions = {version: text for version, text in versions.items() if text}
        page = listing.page()
        if not versions:
            self.assertIsNone(page)
            return
        files = [f"{version}{versions[version]}" for version in sorted(versions)]
        title = str(max(0, len(updates) - 1))
        names = [str(version) for version in sorted(versions)]
        summed_up = [len(names), [names[0], names[-1]]]
        expected = {"title": title, "versions": names, "files": files, "sum": summed_up}
        self.assertEqual(whole(page), expected)
        anew = Listing(layout_of(title), {str(each): [file_of(each, text)] for each, text in versions.items()})
        self.assertEqual(anew.page().body, page.body)  # type: ignore[union-attr]

    @settings(max_examples=40, deadline=None)
    @given(
        st.sets(st.integers(0, 400), max_size=400),
        st.lists(st.dictionaries(st.integers(0, 400), st.booleans(), max_size=150), max_size=5),
    )
    def test_an_order_that_goes_round_in_circles(self, first: set[int], updates: list[dict[int, bool]]) -> None:
        """Each version is there once and those that are gone are gone, however bad the order of a format is."""
        layout = evolve(layout_of(), order=Circle)
        listing = Listing(layout, {str(version): [file_of(version)] for version in first})
        versions = set(first)
        for update in updates:
            listing.update(layout, {str(each): [file_of(each)] if stays else [] for each, stays in update.items()})
            versions |= update.keys()
            versions -= {version for version, stays in update.items() if not stays}
        page = listing.page()
        found: list[str] = whole(page)["versions"] if page is not None else []  # type: ignore[assignment]
        self.assertEqual(sorted(found), sorted(map(str, versions)))

    def test_versions_that_are_not_shown(self) -> None:
        """A version comes when its files are such that it is shown, goes when they are not, and is not summed up."""

        def is_shown(files: Sequence[PackageFile]) -> bool:
            return any(file.file_name.endswith("x") for file in files)

        layout = evolve(layout_of(), is_shown=is_shown)
        listing = Listing(layout, {"1": [file_of(1, "x")], "2": [file_of(2)]})
        self.assertEqual(whole(listing.page())["sum"], [1, ["1", "1"]])
        listing.update(layout, {"2": [file_of(2), file_of(2, "x")], "3": [file_of(3)]})
        self.assertEqual(whole(listing.page())["versions"], ["1", "2"])
        listing.update(layout, {"1": [file_of(1)], "2": [file_of(2)]})
        self.assertIsNone(listing.page())

    def test_only_what_changed_is_made(self) -> None:
        """One change renders one version and compresses one block, however many there are."""
        rendered: list[str] = []
        packed: list[int] = []

        def count(files: Sequence[PackageFile]) -> bytes:
            rendered.append(files[0].version)
            return files[0].file_name.encode() * 20

        real = listings._deflated

        def deflated(data: bytes) -> bytes:
            packed.append(len(data))
            return real(data)

        self.patch(listings, "_deflated", deflated)
        layout = PageLayout((PageSection(b"<", b"", count),), b">", int)
        many = 40 * BLOCK_VERSIONS
        listing = Listing(layout, {str(each): [file_of(each)] for each in range(0, 2 * many, 2)})
        listing.page()
        self.assertEqual(len(rendered), many)
        rendered.clear()
        packed.clear()
        listing.update(layout, {"1001": [file_of(1001)]})
        page = listing.page()
        assert page is not None
        self.assertEqual(rendered, ["1001"])
        self.assertEqual(len([size for size in packed if size > 1]), 1)
        self.assertLess(sum(packed), 2 * BLOCK_VERSIONS * 4 * 20)
        assert page.gzip is not None
        self.assertEqual(gzip.decompress(page.gzip), page.body)

    def test_splitting_compresses_well(self) -> None:
        """Blocks cost little: the page is hardly longer than one that was compressed as a whole."""
        files = {str(each): [file_of(each, f"-{each * 7919 % 10007:05}.tar.gz" * 3)] for each in range(5000)}
        page = Listing(layout_of(), files).page()
        assert page is not None
        assert page.gzip is not None
        self.assertLess(len(page.gzip), 1.1 * len(gzip.compress(page.body, 6)))


class ListingsTests(SynchronousTestCase):
    """What is kept."""

    def kept(self, count: int) -> KeptListing:
        """Make a listing of so many versions."""
        return KeptListing(Listing(layout_of(), {str(each): [file_of(each)] for each in range(count)}), {1: 1})

    def test_one_has_it(self) -> None:
        """A listing that is taken is not there for others, until it is put back."""
        kept_listings, listing = Listings(), self.kept(500)
        kept_listings.put(("a",), listing)
        self.assertIs(kept_listings.take(("a",)), listing)
        self.assertIsNone(kept_listings.take(("a",)))
        kept_listings.put(("a",), listing)
        self.assertIs(kept_listings.take(("a",)), listing)

    def test_what_counts(self) -> None:
        """What a page shows beside its versions is memory, too."""
        versions = {"1": [file_of(1)]}
        plain = Listing(layout_of(), versions)
        long = Listing(evolve(layout_of(), tail=b"x" * 10_000), versions)
        self.assertGreaterEqual(long.size_bytes - plain.size_bytes, 10_000 - len(layout_of().tail))

    def test_bounds(self) -> None:
        """The smallest and the greatest are not kept, and of the others those last used."""
        one = self.kept(500)
        size_bytes = one.listing.size_bytes
        self.assertGreater(size_bytes, KEPT_MIN_BYTES)
        kept_listings = Listings(max_bytes=size_bytes * 3)
        for name in "abcd":
            kept_listings.put((name,), self.kept(500))
        self.assertIsNone(kept_listings.take(("a",)))
        for name in "bcd":
            self.assertIsNotNone(kept_listings.take((name,)))
        kept_listings.put(("small",), self.kept(2))
        self.assertIsNone(kept_listings.take(("small",)))
        kept_listings.put(("great",), self.kept(1200))
        self.assertIsNone(kept_listings.take(("great",)))


class FilePagesTests(SynchronousTestCase):
    """Pages over a catalog in memory, which counts what is read of it."""

    def setUp(self) -> None:
        """Publish some versions in two projects."""
        self.clock = Clock()
        self.clock.advance(START_SECONDS)
        self.catalog = MemoryCatalog(self.clock.seconds)
        now(self.catalog.add_group("acme", Visibility.PRIVATE))
        for name in ("one", "two"):
            now(self.catalog.add_project(f"acme/{name}", Visibility.PRIVATE))
        for number in range(100):
            self.publish(number)
        self.asked: list[str | None] = []
        list_files = self.catalog.list_files

        def listed(
            project_ids: Sequence[int], format: str, name: str, version: str | None = None, *, listed_only: bool = True
        ) -> object:
            self.asked.append(version)
            return list_files(project_ids, format, name, version, listed_only=listed_only)

        self.patch(self.catalog, "list_files", listed)
        self.pages = FilePages(self.catalog, Pages(at_once), Listings())

    def publish(self, number: int, text: str = "", project_id: int = 1, *, is_hidden: bool = False) -> PackageFile:
        """Publish a file of a version."""
        publication = publication_of(
            f"{number}{text}".encode(), project_id, version=str(number), file_name=f"{number}{text}"
        )
        if is_hidden:
            publication = evolve(publication, status=PackageStatus.HIDDEN)
        return now(self.catalog.publish(publication, ANONYMOUS)).file

    def page(self, *project_ids: int) -> list[str]:
        """Get the page, and check it against one that is made anew; returns which versions were read for it."""
        self.asked.clear()
        state = now(self.catalog.index_state(project_ids or (1,), "pypi", "alpha"))
        layout = layout_of(padding="-" * 200)
        page = now(self.pages.get("pypi", "alpha", state, "v", layout))
        asked = [version or "all" for version in self.asked]
        fresh = FilePages(self.catalog, Pages(at_once), Listings())
        anew = now(fresh.get("pypi", "alpha", state, "v", layout))
        self.assertEqual(page.body, anew.body)
        whole(page)
        return sorted(asked)

    def test_a_change_reads_a_version(self) -> None:
        """After a publish, a yank, a hide or a delete only that version is read, and the page is right."""
        self.assertEqual(self.page(), ["all"])
        self.assertEqual(self.page(), [])
        file = self.publish(50, "b")
        self.assertEqual(self.page(), ["50"])
        now(self.catalog.set_yanked(1, "pypi", "alpha", "7", "why", ANONYMOUS))
        self.publish(101)
        self.assertEqual(self.page(), ["101", "7"])
        now(self.catalog.delete_file(file.id, ANONYMOUS, NO_PRECONDITION))
        self.publish(3, is_hidden=True)
        self.assertEqual(self.page(), ["3", "50"])

    def test_layout_made_when_needed(self) -> None:
        """What makes a layout is asked when the page is rendered, and what it then says of the whole page is shown."""
        made: list[int] = []

        async def make() -> PageLayout:
            made.append(len(made))
            return evolve(layout_of(padding="-" * 200), sum_up=lambda versions: b"%d" % made[-1])

        def page() -> bytes:
            state = now(self.catalog.index_state((1,), "pypi", "alpha"))
            return now(self.pages.get("pypi", "alpha", state, "v", make)).body

        first = page()
        self.assertEqual((page(), made), (first, [0]))
        self.publish(101)
        self.assertNotEqual(page(), first)
        self.assertEqual(made, [0, 1])
        self.assertEqual(self.asked, [None, "101"])

    def test_too_much_is_made_anew(self) -> None:
        """Many changes, changes that are forgotten and other projects are read as a whole."""
        self.page()
        for number in range(200, 201 + MAX_CHANGED_VERSIONS):
            self.publish(number)
        self.assertEqual(self.page(), ["all"])
        for number in range(KEPT_CHANGES + 1):
            self.publish(300, str(number))
        self.assertEqual(self.page(), ["all"])
        self.publish(500, project_id=2)
        self.assertEqual(self.page(1, 2), ["all"])
        self.publish(501, project_id=2)
        self.publish(502)
        self.assertEqual(self.page(1, 2), ["501", "502"])

    def test_a_state_from_before(self) -> None:
        """Whoever asks with an older state than somebody else gets a page all the same."""
        old = now(self.catalog.index_state((1,), "pypi", "alpha"))
        self.publish(600)
        self.page()
        page = now(self.pages.get("pypi", "alpha", old, "v", layout_of(padding="-" * 200)))
        self.assertIn("600", whole(page)["versions"])  # type: ignore[arg-type]
        self.publish(601)
        self.page()

    def test_nothing_left(self) -> None:
        """When the last version goes the page is not there, and comes back with the next one."""
        files = now(self.catalog.list_files((1,), "pypi", "alpha"))
        for file in files[1:]:
            now(self.catalog.delete_file(file.id, ANONYMOUS, NO_PRECONDITION))
        self.page()
        now(self.catalog.delete_file(files[0].id, ANONYMOUS, NO_PRECONDITION))
        state = now(self.catalog.index_state((1,), "pypi", "alpha"))
        asking = partial(self.pages.get, "pypi", "alpha", state, "v", layout_of())
        self.assertRaises(PackageNotFound, now, asking())
        self.publish(1000)
        self.page()
