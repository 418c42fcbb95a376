"""What every catalog does with settings and with what projects use, as tests beside those of CatalogContract."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred, ensureDeferred

from pkgregd.errors import ProjectNotFound, QuotaExceeded
from pkgregd.interfaces import LEASE_SECONDS
from pkgregd.testing.catalog_contract import PRIVATE, publication_of
from pkgregd.values import (
    ANONYMOUS,
    NO_PRECONDITION,
    NOTHING_SET,
    Level,
    OnDuplicate,
    Publication,
    RecountedUsage,
    Reservation,
    Settings,
    SettingsLayer,
    Settlement,
    Usage,
)

if TYPE_CHECKING:
    from pkgregd.testing.catalog_contract import CatalogContract as _Base
else:
    _Base = object


class SettingsContract(_Base):
    """What is set where, and what holds; mixed in before CatalogContract."""

    def set(self, level: Level, place_id: int, known: Settings, **changes: bool | int | str | None) -> bool:
        """Change settings of a place."""
        return self.get(self.catalog.change_settings(level, place_id, known, changes, ANONYMOUS))

    def what_holds(self, path: str, level: Level = Level.PROJECT) -> dict[str, object]:
        """Return what holds at a place, as its scope tells."""
        scope = self.get(self.catalog.find_scope(level, path, None))
        assert scope is not None
        return dict(scope.settings.values)

    def test_nothing_is_set_at_first(self) -> None:
        """The layers are there, and empty."""
        layers = self.get(self.catalog.find_settings(Level.PROJECT, self.project_id))
        here = SettingsLayer(Level.PROJECT, "acme/tools", NOTHING_SET)
        self.assertEqual(layers, (here, SettingsLayer(Level.GROUP, "acme", NOTHING_SET)))
        self.assertEqual(self.what_holds("acme/tools"), {})

    def test_the_nearest_place_decides(self) -> None:
        """A project over its group, that over the group above; each setting by itself, and null inherits again."""
        deep = self.get(self.catalog.add_group("acme/one", PRIVATE))
        project_id = self.get(self.catalog.add_project("acme/one/p", PRIVATE))
        self.assertTrue(self.set(Level.GROUP, self.group_id, NOTHING_SET, quota_bytes=1, npm_enabled=False))
        self.assertTrue(self.set(Level.GROUP, deep, NOTHING_SET, quota_bytes=2, npm_max_file_size=3))
        own = Settings({"npm_enabled": True})
        self.assertTrue(self.set(Level.PROJECT, project_id, NOTHING_SET, npm_enabled=True))
        self.assertEqual(self.what_holds("acme/one/p"), {"npm_enabled": True, "quota_bytes": 2, "npm_max_file_size": 3})
        self.assertEqual(self.what_holds("acme/tools"), {"quota_bytes": 1, "npm_enabled": False})
        self.assertEqual(
            self.what_holds("acme/one", Level.GROUP), {"quota_bytes": 2, "npm_enabled": False, "npm_max_file_size": 3}
        )
        layers = self.get(self.catalog.find_settings(Level.PROJECT, project_id))
        self.assertEqual(
            [(layer.level, layer.path) for layer in layers][1:], [(Level.GROUP, "acme/one"), (Level.GROUP, "acme")]
        )
        self.assertEqual(layers[0].settings, own)
        self.assertTrue(self.set(Level.PROJECT, project_id, own, npm_enabled=None))
        self.assertFalse(self.what_holds("acme/one/p")["npm_enabled"])

    def test_projects_below_a_group_tell_what_holds(self) -> None:
        """The scopes that a group's remote goes by have their settings."""
        self.publish(publication_of(b"x"))
        self.set(Level.PROJECT, self.project_id, NOTHING_SET, pypi_enabled=False)
        (scope,) = self.get(self.catalog.projects_with(self.group_id, "pypi", "alpha", None))
        self.assertFalse(scope.settings.has_format("pypi"))
        self.assertTrue(scope.settings.has_format("npm"))
        (below,) = self.get(self.catalog.projects_below(self.group_id, None))
        self.assertEqual(below.settings, scope.settings)

    def test_of_two_changes_at_once_one_is_told(self) -> None:
        """Who knows something else than is set changes nothing."""
        self.assertTrue(self.set(Level.PROJECT, self.project_id, NOTHING_SET, quota_bytes=1))
        self.assertFalse(self.set(Level.PROJECT, self.project_id, NOTHING_SET, npm_enabled=False))
        self.assertEqual(self.what_holds("acme/tools"), {"quota_bytes": 1})

    def test_nothing_is_set_where_nothing_is(self) -> None:
        """Of a place that is not there, or the instance."""
        for level, place_id in ((Level.PROJECT, 99), (Level.GROUP, 99), (Level.PROJECT, 2**63), (Level.INSTANCE, 0)):
            self.assertEqual(self.get(self.catalog.find_settings(level, place_id)), ())
            self.assertFalse(self.set(level, place_id, NOTHING_SET, quota_bytes=1))

    def test_settings_go_with_their_place(self) -> None:
        """Groups and projects that have some can be removed, and what comes later has none."""
        self.set(Level.GROUP, self.group_id, NOTHING_SET, quota_bytes=1)
        self.set(Level.PROJECT, self.project_id, NOTHING_SET, quota_bytes=2)
        self.assertTrue(self.get(self.catalog.remove_place(Level.GROUP, self.group_id, ANONYMOUS)))
        self.get(self.catalog.add_group("acme", PRIVATE))
        self.get(self.catalog.add_project("acme/tools", PRIVATE))
        self.assertEqual(self.what_holds("acme/tools"), {})


class UsageContract(_Base):
    """What projects use, and the room that uploads hold in them; mixed in before CatalogContract."""

    def used(self) -> Usage:
        """Return what the project uses."""
        return self.get(self.catalog.find_usage(self.project_id))

    def assert_used(self, file_bytes: int) -> None:
        """Fail unless that is counted, and is what there is."""
        self.assertEqual(self.used(), Usage(file_bytes))
        recounted = self.get(self.catalog.recount_usage(self.project_id))
        self.assertEqual(recounted, RecountedUsage(self.project_id, file_bytes, file_bytes))

    def hold_room(self, quota_bytes: int, needed_bytes: int, wanted_bytes: int = 0) -> Reservation:
        """Reserve room."""
        reservation = Reservation.make(self.project_id, quota_bytes)
        self.get(self.catalog.reserve(reservation, needed_bytes, wanted_bytes))
        return reservation

    def publish_settled(self, publication: Publication, settlement: Settlement) -> Awaitable[object]:
        """Publish what was reserved."""
        return self.catalog.publish(publication, ANONYMOUS, settlement)

    def test_each_file_counts(self) -> None:
        """Equal bytes of two files count twice, the same upload once, a replaced file what it has now."""
        self.assert_used(0)
        self.publish(publication_of(b"abc"))
        self.publish(publication_of(b"abc"))
        self.assert_used(3)
        self.publish(publication_of(b"abc", file_name="again"))
        self.assert_used(6)
        self.publish(evolve(publication_of(b"abcdefgh"), on_duplicate=OnDuplicate.REPLACE))
        self.assert_used(11)

    def test_what_is_deleted_counts_no_more(self) -> None:
        """Files, builds, packages, names."""
        one = self.publish(publication_of(b"1")).file
        two = self.publish(publication_of(b"22", file_name="two")).file
        three = self.publish(publication_of(b"333", file_name="three", version="2")).file
        self.publish(publication_of(b"4444", file_name="four", version="3"))
        self.assertTrue(self.get(self.catalog.delete_file(one.id, ANONYMOUS, NO_PRECONDITION)))
        self.assert_used(9)
        state = self.get(self.catalog.index_state([self.project_id], "pypi", "alpha"))
        ((_, revision),) = state.revisions
        self.assertTrue(self.get(self.catalog.delete_files(1, two.package_id, [two.id], revision, ANONYMOUS)))
        self.assert_used(7)
        self.assertTrue(self.get(self.catalog.delete_package(1, three.package_id, ANONYMOUS, NO_PRECONDITION)))
        self.assert_used(4)
        state = self.get(self.catalog.index_state([self.project_id], "pypi", "alpha"))
        self.get(self.catalog.delete_name(1, "pypi", "alpha", state.revisions[0][1], ANONYMOUS))
        self.assert_used(0)

    def test_all_of_several_files_count(self) -> None:
        """Files that are published together."""
        both = [publication_of(b"1"), publication_of(b"22", file_name="two")]
        self.get(self.catalog.publish_all(both, ANONYMOUS))
        self.assert_used(3)

    def test_room_is_held_for_one(self) -> None:
        """What one upload has reserved no other gets; it is given back when it is released."""
        first = self.hold_room(10, 7)
        text = self.refused(self.catalog.reserve(Reservation.make(self.project_id, 10), 4, 4), QuotaExceeded)
        self.assertIn("quota of 10 bytes has room for 3 more", text)
        self.assertEqual(self.used(), Usage(0, 7))
        self.hold_room(10, 3)
        self.get(self.catalog.release(first.id))
        self.get(self.catalog.release(first.id))
        self.assertEqual(self.used(), Usage(0, 3))

    def test_what_is_wanted_is_had_as_far_as_there_is_room(self) -> None:
        """What is needed is had or refused; what is wanted beyond is had in part, and grows in place."""
        reservation = Reservation.make(self.project_id, 10)
        self.assertEqual(self.get(self.catalog.reserve(reservation, 2, 5)), 5)
        self.assertEqual(self.get(self.catalog.reserve(reservation, 6, 50)), 10)
        self.refused(self.catalog.reserve(reservation, 11, 11), QuotaExceeded)
        self.assertEqual(self.used(), Usage(0, 10))
        self.assertEqual(self.get(self.catalog.reserve(Reservation.make(self.project_id, 10), 0, 5)), 0)

    def test_publishing_settles(self) -> None:
        """What was reserved becomes what is used, to the byte, and the rest is free at once."""
        reservation = self.hold_room(10, 3, 8)
        self.get(self.publish_settled(publication_of(b"abc"), Settlement(reservation)))
        self.assertEqual(self.used(), Usage(3))
        reservation = self.hold_room(10, 7)
        self.get(self.publish_settled(publication_of(b"abc"), Settlement(reservation)))
        self.assertEqual(self.used(), Usage(3))

    def test_what_is_kept_stays_reserved(self) -> None:
        """An upload of two files settles one after the other."""
        reservation = self.hold_room(10, 7)
        self.get(self.publish_settled(publication_of(b"abc"), Settlement(reservation, 4)))
        self.assertEqual(self.used(), Usage(3, 4))
        self.get(self.publish_settled(publication_of(b"abcd", file_name="two"), Settlement(reservation)))
        self.assertEqual(self.used(), Usage(7))

    def test_a_refused_publish_leaves_what_was_reserved(self) -> None:
        """It is all or nothing: whoever reserved it releases it."""
        reservation = self.hold_room(2, 2)
        self.refused(self.publish_settled(publication_of(b"abc"), Settlement(reservation)), QuotaExceeded)
        self.assertEqual(self.used(), Usage(0, 2))
        self.assertEqual(self.get(self.catalog.list_names([self.project_id], "pypi")), ())

    def test_room_that_nobody_renews_is_free_again(self) -> None:
        """A daemon that died holds nothing for long; one that lives holds it as long as it likes."""
        living, _ = self.hold_room(10, 4), self.hold_room(10, 6)
        self.clock.advance(LEASE_SECONDS - 1)
        self.get(self.catalog.renew([living.id]))
        self.refused(self.catalog.reserve(Reservation.make(self.project_id, 10), 1, 1), QuotaExceeded)
        self.clock.advance(2)
        self.assertEqual(self.used(), Usage(0, 4))
        self.hold_room(10, 6)
        self.get(self.catalog.renew([living.id, "never"]))
        self.assertEqual(self.used(), Usage(0, 10))

    def test_an_upload_that_outlived_its_reservation_needs_room(self) -> None:
        """It is published if there is room still, and never past the quota."""
        slow, slower = self.hold_room(6, 3), self.hold_room(6, 3)
        self.clock.advance(LEASE_SECONDS + 1)
        self.hold_room(6, 3)
        self.get(self.publish_settled(publication_of(b"abc"), Settlement(slow)))
        self.refused(self.publish_settled(publication_of(b"xyz", file_name="two"), Settlement(slower)), QuotaExceeded)
        self.assertEqual(self.used(), Usage(3, 3))

    def test_a_quota_that_came_later(self) -> None:
        """A project that has more than its quota keeps it, and gets nothing more."""
        self.publish(publication_of(b"abcdef"))
        self.refused(self.catalog.reserve(Reservation.make(self.project_id, 3), 1, 1), QuotaExceeded)
        self.assertEqual(self.get(self.catalog.reserve(Reservation.make(self.project_id, 3), 0, 1)), 0)

    def test_usage_goes_with_the_project(self) -> None:
        """A project with uploads on their way can be removed; they find it gone, and others of equal bytes do not."""
        other = self.get(self.catalog.add_project("acme/other", PRIVATE))
        self.publish(publication_of(b"abc"))
        self.publish(publication_of(b"abc", project_id=other))
        self.hold_room(10, 2)
        self.assertTrue(self.get(self.catalog.remove_place(Level.PROJECT, self.project_id, ANONYMOUS)))
        self.assertEqual(self.used(), Usage(0))
        self.assertEqual(self.get(self.catalog.find_usage(other)), Usage(3))
        self.refused(self.catalog.reserve(Reservation.make(self.project_id, 10), 1, 1), ProjectNotFound)
        self.assertIsNone(self.get(self.catalog.recount_usage(self.project_id)))
        there = self.get(self.catalog.list_project_ids(0, 10))
        self.assertEqual((self.project_id in there, there[-1]), (False, other))
        self.assertEqual(self.get(self.catalog.list_project_ids(0, 1)), there[:1])
        self.assertEqual(self.get(self.catalog.list_project_ids(other, 10)), ())

    def test_fifty_at_once(self) -> None:
        """Of fifty that are asked for at once exactly those that fit are had."""
        asked: list[Deferred[int]] = [
            ensureDeferred(self.catalog.reserve(Reservation.make(self.project_id, 701), 100, 100)) for _ in range(50)
        ]
        outcomes: list[object] = []
        for deferred in asked:
            self.wait(deferred)  # type: ignore[arg-type]  # Deferred is invariant
            deferred.addErrback(lambda failure: failure.trap(QuotaExceeded))
            deferred.addCallback(outcomes.append)
        self.assertEqual((outcomes.count(100), outcomes.count(QuotaExceeded)), (7, 43))
