"""Room for uploads: reserved before bytes come, grown while they do, settled or given back."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.errors import FileExists, FileNotFound, InvalidRequest, InvalidVersion, QuotaExceeded, Unavailable
from pkgregd.interfaces import LEASE_SECONDS, IDraft
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.duplicates import check_regex, may_replace
from pkgregd.registry.events import NoEvents
from pkgregd.registry.quotas import LEAST_GROWTH_BYTES, MeteredSink, Quotas
from pkgregd.registry.remotes import Remotes
from pkgregd.testing.calls import WRITER, FakeBody, RecordingSink
from pkgregd.values import (
    ANONYMOUS,
    UNTOLD,
    Coordinates,
    FormatLimits,
    Incoming,
    Level,
    Publication,
    Published,
    Settings,
    Usage,
    Visibility,
)


class Toy:
    """As much of a format as remotes look at."""

    name = "toy"


class SlowCatalog(MemoryCatalog):
    """Reserves when it is told to."""

    waits: Deferred[None] | None = None
    asked = 0

    async def reserve(self, *arguments: Any) -> int:
        """See IUsageCatalog."""
        self.asked += 1
        if self.waits is not None:
            await self.waits
        return await super().reserve(*arguments)


class QuotaCase(SynchronousTestCase):
    """A project with a quota of 100 bytes."""

    def setUp(self) -> None:
        """Fill the catalog."""
        self.clock = Clock()
        self.catalog = SlowCatalog(self.clock.seconds)
        self.blobs = MemoryBlobStore()
        self.get(self.catalog.add_group("acme", Visibility.PRIVATE))
        self.project_id = self.get(self.catalog.add_project("acme/one", Visibility.PRIVATE))
        self.remotes = Remotes(
            self.clock, self.catalog, self.blobs, AccessPolicy(), NoEvents(), {"toy": FormatLimits(1000)}
        )
        self.set_quota(100)

    def get(self, coroutine: Coroutine[Deferred[Any], Any, Any]) -> Any:
        """Run to the end."""
        return self.successResultOf(ensureDeferred(coroutine))

    def refused(self, coroutine: Coroutine[Deferred[Any], Any, Any], *errors: type[Exception]) -> None:
        """Run to a refusal."""
        self.failureResultOf(ensureDeferred(coroutine), *errors)

    def set_quota(self, quota_bytes: int | None) -> None:
        """Change the quota."""
        known = self.get(self.catalog.find_settings(Level.PROJECT, self.project_id))[0].settings
        changes = {"quota_bytes": quota_bytes}
        self.get(self.catalog.change_settings(Level.PROJECT, self.project_id, known, changes, ANONYMOUS))

    def draft(self, incoming: Incoming = UNTOLD) -> IDraft:
        """Start an upload."""
        scope = self.get(self.catalog.find_scope(Level.PROJECT, "acme/one", None))
        return self.remotes.remote(Toy(), scope, ANONYMOUS, None, incoming).start_publish()  # type: ignore[arg-type]

    def used(self) -> Usage:
        """Return what is used and reserved."""
        found: Usage = self.get(self.catalog.find_usage(self.project_id))
        return found

    async def publish(self, data: bytes, name: str = "f", incoming: Incoming = UNTOLD) -> Published:
        """Upload a file."""
        async with self.draft(incoming) as draft:
            sink = await draft.open_sink()
            sink.write(data)
            blob = await sink.commit()
            return await draft.publish(Publication(Coordinates("toy", self.project_id, "n", "n", "1", "1", name), blob))


class DraftTests(QuotaCase):
    """Drafts in a project with a quota."""

    def test_what_is_told_is_reserved_and_settled(self) -> None:
        """All of it before the first byte, and to the byte when it is published."""

        async def look() -> None:
            async with self.draft(Incoming(40, 40)) as draft:
                await draft.open_sink()
                self.assertEqual(self.used(), Usage(0, 40))

        self.get(look())
        self.assertEqual(self.used(), Usage(0))
        self.get(self.publish(b"x" * 40, incoming=Incoming(40, 40)))
        self.assertEqual((self.used(), self.catalog.asked), (Usage(40), 2))

    def test_no_room(self) -> None:
        """It is refused before a sink is there; and an upload that fits is not."""
        self.refused(self.publish(b"", incoming=Incoming(101, 101)), QuotaExceeded)
        self.get(self.publish(b"x" * 100, incoming=Incoming(100, 100)))
        self.refused(self.publish(b"y", "other", Incoming(1, 1)), QuotaExceeded)
        self.assertEqual(self.used(), Usage(100))

    def test_without_a_quota_nothing_is_asked(self) -> None:
        """Not even whether there is room; what is used is counted nonetheless."""
        self.set_quota(None)
        self.get(self.publish(b"x" * 200))
        self.assertEqual((self.used(), self.catalog.asked), (Usage(200), 0))

    def test_the_configured_quota(self) -> None:
        """It counts where nothing is set."""
        self.set_quota(None)
        self.remotes.quota_bytes = 10
        self.refused(self.publish(b"x" * 11), QuotaExceeded)

    def test_a_form_needs_what_is_certain(self) -> None:
        """A form whose file may fit is let in, and ends with what its file has."""
        self.get(self.publish(b"x" * 100, incoming=Incoming(90, 500)))
        self.assertEqual(self.used(), Usage(100))

    def test_failures_give_everything_back(self) -> None:
        """Whatever ends an upload, and though the catalog cannot be asked: then it runs out."""

        async def fail(error: Exception) -> None:
            async with self.draft(Incoming(100, 100)) as draft:
                (await draft.open_sink()).write(b"x")
                raise error

        self.refused(fail(InvalidVersion("no")), InvalidVersion)
        self.assertEqual(self.used(), Usage(0))
        self.get(self.publish(b"x"))
        self.refused(self.publish(b"yy", incoming=Incoming(2, 2)), FileExists)
        self.assertEqual(self.used(), Usage(1))

        async def unavailable(reservation_id: str) -> None:
            raise Unavailable("busy")

        self.catalog.release = unavailable  # type: ignore[method-assign]
        self.refused(fail(InvalidVersion("no")), InvalidVersion, QuotaExceeded)
        self.set_quota(101)
        self.refused(fail(InvalidVersion("no")), InvalidVersion)
        self.assertEqual(self.used(), Usage(1, 100))
        self.assertEqual(len(self.flushLoggedErrors(Unavailable)), 1)
        self.get(self.remotes.quotas.renew())
        self.clock.advance(LEASE_SECONDS + 1)
        self.assertEqual(self.used(), Usage(1))

    def test_an_upload_that_lasts_is_renewed(self) -> None:
        """For as long as its daemon says so."""

        async def last() -> Published:
            async with self.draft(Incoming(60, 60)) as draft:
                sink = await draft.open_sink()
                for _ in range(3):
                    self.clock.advance(LEASE_SECONDS * 2 // 3)
                    await self.remotes.quotas.renew()
                self.refused(self.publish(b"y" * 60, "other", Incoming(60, 60)), QuotaExceeded)
                sink.write(b"x" * 60)
                blob = await sink.commit()
                where = Coordinates("toy", self.project_id, "n", "n", "1", "1", "f")
                return await draft.publish(Publication(where, blob))

        self.assertTrue(self.get(last()).created)
        self.assertEqual(self.used(), Usage(60))

    def test_several_files_of_one_upload(self) -> None:
        """They share the reservation, which grows with them, and each settles its own."""

        async def both() -> None:
            async with self.draft(Incoming(30, 30)) as draft:
                blobs = []
                for data in (b"x" * 30, b"y" * 20):
                    sink = await draft.open_sink()
                    sink.write(data)
                    blobs.append(await sink.commit())
                for number, blob in enumerate(blobs):
                    where = Coordinates("toy", self.project_id, "n", "n", "1", "1", str(number))
                    await draft.publish(Publication(where, blob))
                    self.assertEqual(self.used(), Usage(*((30, 20) if number == 0 else (50, 0))))

        self.get(both())
        self.assertEqual(self.used(), Usage(50))

    def test_equal_files_of_one_upload(self) -> None:
        """Each takes the room that was reserved for it, and no more."""

        async def both() -> None:
            async with self.draft(Incoming(100, 100)) as draft:
                publications = []
                for number in range(2):
                    sink = await draft.open_sink()
                    sink.write(b"x" * 50)
                    where = Coordinates("toy", self.project_id, "n", "n", "1", "1", str(number))
                    publications.append(Publication(where, await sink.commit()))
                await draft.publish_all(publications)

        self.get(both())
        self.assertEqual(self.used(), Usage(100))


class FlowTests(QuotaCase):
    """Bytes whose number was not told."""

    def metered(self, sink: RecordingSink, quota_bytes: int) -> MeteredSink:
        """Put an allowance in front of a sink."""
        allowance = Quotas(self.catalog).allowance(self.project_id, quota_bytes, UNTOLD)
        self.get(allowance.begin())
        return MeteredSink(sink, allowance)

    def test_the_body_waits_while_room_is_reserved(self) -> None:
        """It is paused until there is some, and then goes on; what was in hand is taken."""
        sink = RecordingSink()
        metered = self.metered(sink, 10 * LEAST_GROWTH_BYTES)
        piece = b"x" * LEAST_GROWTH_BYTES
        body = FakeBody([piece, b"y", b"z"])
        self.catalog.waits = waits = Deferred()
        pushed = ensureDeferred(body.push_to(metered))
        self.assertEqual((sink.pieces, body.calls), ([piece, b"y"], ["pause"]))
        self.assertNoResult(pushed)
        waits.callback(None)
        self.successResultOf(pushed)
        self.assertEqual((sink.pieces[2:], body.calls), ([b"z"], ["pause", "resume"]))

    def test_the_sink_and_the_quota_pause_together(self) -> None:
        """The body goes on when neither wants it to wait."""
        for sink_first in (True, False):
            sink = RecordingSink(lambda sink: sink.producer.pauseProducing() if len(sink.pieces) == 1 else None)
            metered = self.metered(sink, 10 * LEAST_GROWTH_BYTES)
            body = FakeBody([b"x" * (LEAST_GROWTH_BYTES + 1), b"y"])
            self.catalog.waits = waits = Deferred()
            pushed = ensureDeferred(body.push_to(metered))
            assert sink.producer is not None
            steps = [sink.producer.resumeProducing, lambda waits=waits: waits.callback(None)]
            for step in steps if sink_first else reversed(steps):
                self.assertEqual(len(sink.pieces), 1)
                self.assertNoResult(pushed)
                step()
            self.successResultOf(pushed)
            self.assertEqual(len(sink.pieces), 2)

    def test_the_quota_ends_in_the_middle(self) -> None:
        """The body is stopped, the sink aborted, and commit() tells why, also the second time."""
        sink = RecordingSink()
        metered = self.metered(sink, 50)
        body = FakeBody([b"x" * 50, b"y", b"z"])
        self.successResultOf(ensureDeferred(body.push_to(metered)))
        self.assertEqual((sink.pieces, body.calls[-1]), ([b"x" * 50, b"y"], "stop"))
        for _ in range(2):
            self.refused(metered.commit(), QuotaExceeded)
        metered.write(b"more")
        self.assertEqual(len(sink.pieces), 2)

    def test_bytes_without_a_producer(self) -> None:
        """They are counted as well, when they are committed at the latest."""
        self.catalog.waits = waits = Deferred()

        async def write() -> None:
            async with self.draft() as draft:
                sink = await draft.open_sink()
                sink.write(b"x" * 101)
                await sink.commit()

        running = ensureDeferred(write())
        waits.callback(None)
        self.failureResultOf(running, QuotaExceeded)
        self.assertEqual(self.used(), Usage(0))

    @settings(max_examples=60, deadline=None)
    @given(sizes=st.lists(st.integers(0, 60), max_size=12), told=st.booleans(), quota_bytes=st.integers(0, 200))
    def test_never_past_the_quota(self, sizes: list[int], told: bool, quota_bytes: int) -> None:
        """Whatever is uploaded in whatever order, what is used is what was published and never more than the quota."""
        self.setUp()
        self.set_quota(quota_bytes)
        used_bytes = 0
        for number, size_bytes in enumerate(sizes):
            incoming = Incoming(size_bytes, size_bytes) if told else UNTOLD
            uploading = self.publish(bytes([number]) * size_bytes, str(number), incoming)
            if used_bytes + size_bytes > quota_bytes:
                self.refused(uploading, QuotaExceeded)
            else:
                self.get(uploading)
                used_bytes += size_bytes
            self.assertEqual(self.used(), Usage(used_bytes))


class SwitchTests(QuotaCase):
    """A group's remote over projects some of which have the format switched off."""

    def switch(self, is_on: bool | None) -> None:
        """Switch the format of the project."""
        known = self.get(self.catalog.find_settings(Level.PROJECT, self.project_id))[0].settings
        changes = {"toy_enabled": is_on}
        self.get(self.catalog.change_settings(Level.PROJECT, self.project_id, known, changes, ANONYMOUS))

    def test_projects_vanish_and_come_back(self) -> None:
        """With their packages, and the state of the index tells it each time."""
        other = self.get(self.catalog.add_project("acme/two", Visibility.PRIVATE))
        blob = self.get(self.publish(b"x")).file.blob
        self.get(self.catalog.publish(Publication(Coordinates("toy", other, "m", "m", "1", "1", "g"), blob), WRITER))
        scope = self.get(self.catalog.find_scope(Level.GROUP, "acme", None))
        group = self.remotes.remote(Toy(), scope, WRITER)  # type: ignore[arg-type]
        tokens, names = [], []
        for is_on in (True, False, None):
            self.switch(is_on)
            tokens.append(self.get(group.index_state()).token)
            names.append([name.name for name in self.get(group.list_names())])
            finding = group.find_file("n", "1", "f")
            if is_on is False:
                self.refused(finding, FileNotFound)
            else:
                self.get(finding)
        self.assertEqual(names, [["m", "n"], ["m"], ["m", "n"]])
        self.assertEqual((tokens[0], len(set(tokens))), (tokens[2], 2))

    def test_what_is_switched_off_is_not_hidden(self) -> None:
        """Who may not read a project is not asked who he is for the sake of packages that nobody gets."""
        self.get(self.publish(b"x"))
        scope = self.get(self.catalog.find_scope(Level.GROUP, "acme", None))
        group = self.remotes.remote(Toy(), scope, ANONYMOUS)  # type: ignore[arg-type]
        self.assertTrue(self.get(group.hides_packages()))
        self.switch(False)
        self.assertFalse(self.get(group.hides_packages()))


class DuplicateTests(SynchronousTestCase):
    """Whether a file may be replaced."""

    def test_a_regular_expression_that_is_set(self) -> None:
        """It is the exception both ways, of whole names or versions, and takes the place of the configured patterns."""
        for is_allowed in (False, True):
            for regex, name, version, is_exception in (
                ("n.*", "nm", "1", True),
                ("n", "nm", "1", False),
                ("1|2", "x", "2", True),
                (".*-SNAPSHOT", "x", "1-SNAPSHOT", True),
                ("", "", "", False),
                ("pattern", "x", "1", False),
            ):
                limits = FormatLimits(1, duplicates_allowed=True, duplicate_exceptions=("x",))
                set_there = {"toy_duplicates_allowed": is_allowed, "toy_duplicate_exception_regex": regex}
                found = may_replace(Settings(set_there).limits("toy", limits), name, version)
                self.assertEqual(found, is_allowed is not is_exception, (regex, name, version))

    def test_names_without_case(self) -> None:
        """Where letters of either case are the same to a format, they are so to what is set and what is configured."""
        for limits in (
            FormatLimits(1, duplicate_exception_regex=r"Acme\..*|1\.0-Beta"),
            FormatLimits(1, duplicate_exceptions=("Acme.*", "1.0-Beta")),
        ):
            for name, version in (("acme.lib", "1"), ("ACME.Lib", "1"), ("x", "1.0-beta")):
                self.assertFalse(may_replace(limits, name, version, ignores_case=True), (limits, name))
                self.assertTrue(may_replace(limits, name, version), (limits, name))
            self.assertTrue(may_replace(limits, "acmes", "1", ignores_case=True))

    def test_regular_expressions_that_are_refused(self) -> None:
        """Those that RE2 has not, and long ones; what would take others for ever takes no time."""
        for text in ("(", "(a)\\1", "(?=a)", "a" * 256, "(((a{1000}){1000}){1000}"):
            self.assertRaises(InvalidRequest, check_regex, text)
        check_regex("(a+)+$")
        limits = FormatLimits(1, duplicate_exception_regex="(a+)+$")
        self.assertTrue(may_replace(limits, "a" * 255 + "b", "1"))
