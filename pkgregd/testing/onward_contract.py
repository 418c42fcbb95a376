"""What every catalog does with listings that go on behind a row, as tests beside those of CatalogContract."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from attrs import evolve

from pkgregd.testing.catalog_contract import PRIVATE, publication_of
from pkgregd.values import (
    ANONYMOUS,
    NO_PRECONDITION,
    Level,
    PackageOrder,
    PackageQuery,
    PackageStatus,
    Piece,
    PlaceOrder,
    PlaceQuery,
    PlaceRecord,
    Principal,
    Stretch,
    TokenKind,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object

ROOT = Principal("root", TokenKind.PERSONAL, 1, user_id=1, is_admin=True)


class OnwardContract(_Base):
    """Packages, places and users behind a row; mixed in before CatalogContract."""

    def put_one(self, name: str, project_id: int = 1, **more: object) -> int:
        """Publish a package; returns its number."""
        publication = publication_of(name.encode(), project_id, name, file_name="x")
        return self.publish(evolve(publication, **more)).file.package_id  # type: ignore[arg-type] # named as they are

    def onward(
        self, *project_ids: int, query: PackageQuery | None = None, limit: int = 100, **bounds: int
    ) -> list[str]:
        """Names of packages of projects in a stretch."""
        stretch = Stretch(limit, **bounds)  # type: ignore[arg-type] # bounds are numbers
        found = self.get(self.catalog.list_packages_onward(project_ids or (1,), query or PackageQuery(), stretch))
        return [package.name for package in found]

    def test_packages_between_numbers(self) -> None:
        """Those above the one number and below the other, in both directions, of some projects."""
        other = self.get(self.catalog.add_project("acme/yard", PRIVATE))
        ids = [
            self.put_one(name, project_id) for name, project_id in zip("abcde", (1, other, 1, 1, other), strict=True)
        ]
        self.assertEqual(self.onward(), ["a", "c", "d"])
        self.assertEqual(self.onward(1, other), ["a", "b", "c", "d", "e"])
        self.assertEqual(self.onward(1, other, above=ids[1], limit=2), ["c", "d"])
        self.assertEqual(self.onward(1, other, above=ids[0], below=ids[3]), ["b", "c"])
        last_first = PackageQuery(is_descending=True, order=PackageOrder.NAME)
        self.assertEqual(self.onward(1, other, query=last_first, below=ids[4], limit=3), ["d", "c", "b"])
        self.assertEqual(self.onward(query=last_first), ["d", "c", "a"])
        self.assertEqual(self.onward(above=2**70), [])
        self.assertEqual(self.onward(below=2**70, limit=1), ["a"])
        self.assertEqual(self.get(self.catalog.list_packages_onward((), PackageQuery(), Stretch(9))), ())

    def test_conditions_hold_as_well(self) -> None:
        """What a query means is what is gone through."""
        self.put_one("alpha")
        self.put_one("beta", status=PackageStatus.HIDDEN)
        self.put_one("gamma")
        for query, names in (
            (PackageQuery(name_part="LPH"), ["alpha"]),
            (PackageQuery(status=PackageStatus.HIDDEN), ["beta"]),
            (PackageQuery(format="npm"), []),
            (PackageQuery(version="1.0", format="pypi"), ["alpha", "gamma"]),
        ):
            self.assertEqual(self.onward(query=query), names, query)

    def test_nothing_is_passed_over_or_read_twice(self) -> None:
        """While packages come, go, and the clock is set back, whoever goes on sees each that stays once."""
        stays = [self.put_one(f"p{number}") for number in range(10)]
        goes = self.put_one("goes")
        seen: list[int] = []
        number = 0
        while found := self.get(
            self.catalog.list_packages_onward((1,), PackageQuery(), Stretch(3, seen[-1] if seen else 0))
        ):
            seen += [package.id for package in found]
            number += 1
            if number < 4:
                stays.append(self.put_one(f"new{number}"))
            if number == 2:
                self.get(self.catalog.delete_package(1, goes, ANONYMOUS, NO_PRECONDITION))
        self.assertEqual(seen, stays)

    # --- places

    def test_places_behind_each_other(self) -> None:
        """Projects and groups by number or path, in both directions, as list_places() has them."""
        for name in ("Zoo", "b-x", "b.x", "a"):
            self.get(self.catalog.add_group(name, PRIVATE))
            self.get(self.catalog.add_project(f"{name}/Thing", PRIVATE))
        for level, order, is_descending, limit in product(
            (Level.PROJECT, Level.GROUP), PlaceOrder, (False, True), (1, 2, 10)
        ):
            query = PlaceQuery(order=order, is_descending=is_descending)
            if order is PlaceOrder.PATH and is_descending:
                self.refused(self.catalog.list_places_onward(level, ROOT, query, Stretch(limit)), ValueError)
                continue
            wanted = self.get(self.catalog.list_places(level, ROOT, query, Piece(0, 100))).places
            seen: list[PlaceRecord] = []
            stretch = Stretch(limit)
            while found := self.get(self.catalog.list_places_onward(level, ROOT, query, stretch)):
                seen += found
                stretch = _behind(found[-1].id, limit, is_descending=is_descending)
                if order is PlaceOrder.PATH:
                    stretch = Stretch(limit, behind=found[-1].path)
            self.assertEqual(seen, [*wanted], (level, query, limit))
            self.assertGreaterEqual(len(seen), 4)

    def test_places_in_sight_behind_each_other(self) -> None:
        """Who may not see a place is not led past it either."""
        self.get(self.catalog.add_group("hidden", PRIVATE))
        self.assertEqual(
            self.get(self.catalog.list_places_onward(Level.GROUP, ANONYMOUS, PlaceQuery(), Stretch(9))), ()
        )

    def test_users_behind_each_other(self) -> None:
        """By number, in both directions, and by a part of their names."""
        for name in ("ann", "bob", "Anna", "carl"):
            self.get(self.catalog.add_user(name))
        names = {None: ["ann", "bob", "Anna", "carl"], "AN": ["ann", "Anna"]}
        for text, is_descending, limit in product(names, (False, True), (1, 3)):
            seen: list[str] = []
            stretch = Stretch(limit)
            while found := self.get(self.catalog.list_users_onward(text, None, stretch, is_descending=is_descending)):
                seen += [user.name for user in found]
                stretch = _behind(found[-1].id, limit, is_descending=is_descending)
            self.assertEqual(seen, names[text][::-1] if is_descending else names[text])
        self.assertEqual(len(self.get(self.catalog.list_users_onward(None, "BOB", Stretch(9)))), 1)


def _behind(number: int, limit: int, *, is_descending: bool) -> Stretch:
    return Stretch(limit, below=number) if is_descending else Stretch(limit, above=number)
