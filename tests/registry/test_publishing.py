"""Drafts and remotes, over the fakes."""

import datetime
import hashlib

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.errors import (
    DigestMismatch,
    FileExists,
    FileNotFound,
    InvalidArchive,
    InvalidVersion,
    OutcomeUnknown,
    Unavailable,
)
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.copies import is_unpublished
from pkgregd.registry.deriving import FILL_SECONDS, Derivations
from pkgregd.registry.publishing import RETRY_SECONDS, UNSURE_SECONDS, Leftovers
from pkgregd.registry.remotes import GroupRemote, ProjectRemote, Remotes
from pkgregd.registry.sweep import MAX_FAILURES, PAGE, sweep
from pkgregd.testing.calls import InlineInspections, RecordingSink
from pkgregd.values import (
    NO_PRECONDITION,
    Coordinates,
    Digest,
    FormatLimits,
    Level,
    OnDuplicate,
    Principal,
    Publication,
    Role,
    TokenKind,
    Visibility,
)

LIMITS = FormatLimits(1000)


class Toy:
    """As much of a format as remotes look at."""

    name = "toy"


class Events:
    """Keeps events."""

    def __init__(self):
        self.names = []

    def emit(self, event):
        """Keep."""
        self.names.append(event.name)


class StoreCase(SynchronousTestCase):
    """A catalog and a store with two projects in a group."""

    def setUp(self):
        """Fill the catalog."""
        self.clock = Clock()
        self.catalog = MemoryCatalog()
        self.blobs = MemoryBlobStore()
        self.events = Events()
        self.user_id = self.get(self.catalog.add_user("alice"))
        self.get(self.catalog.add_group("acme", Visibility.PRIVATE))
        self.one = self.get(self.catalog.add_project("acme/one", Visibility.PRIVATE))
        self.two = self.get(self.catalog.add_project("acme/two", Visibility.PRIVATE))
        self.principal = Principal("alice", TokenKind.PERSONAL, 1, self.user_id, False, frozenset({"api"}))
        self.remotes = Remotes(self.clock, self.catalog, self.blobs, AccessPolicy(), self.events, {"toy": LIMITS})
        self.remotes.inspections = InlineInspections()

    def get(self, coroutine):
        """Run to the end."""
        return self.successResultOf(ensureDeferred(coroutine))

    def remote(self, path, level=Level.PROJECT):
        """Make a remote for alice."""
        scope = self.get(self.catalog.find_scope(level, path, self.user_id))
        return self.remotes.remote(Toy(), scope, self.principal)

    def coordinates(self, file_name="f", version="1", project_id=None):
        """Name a file."""
        return Coordinates("toy", project_id or self.one, "n", "n", version, version, file_name)

    async def publish(self, data, where=None, on_duplicate=OnDuplicate.REFUSE, remote=None):
        """Publish bytes."""
        async with (remote or self.remote("acme/one")).start_publish() as draft:
            sink = await draft.open_sink()
            sink.write(data)
            blob = await sink.commit()
            return await draft.publish(Publication(where or self.coordinates(), blob, on_duplicate=on_duplicate))

    def stored(self):
        """List what is in the store."""

        async def collect():
            return sorted([blob.size_bytes async for blob, _ in self.blobs.iter_blobs()])

        return self.get(collect())


class DraftTests(StoreCase):
    """From bytes to a file."""

    def test_published(self):
        """The file is there, its blob is let go of, an event says so."""
        published = self.get(self.publish(b"abc"))
        self.assertTrue(published.created)
        self.assertEqual(self.stored(), [3])
        self.assertEqual(self.events.names, ["push_package"])

    def test_equal_bytes_again(self):
        """The same upload again succeeds, and is no event."""
        self.get(self.publish(b"abc"))
        self.assertFalse(self.get(self.publish(b"abc")).created)
        self.assertEqual(self.events.names, ["push_package"])
        self.assertEqual(self.stored(), [3])

    def test_refused(self):
        """The loser's blob is gone at once."""
        self.get(self.publish(b"abc"))
        self.failureResultOf(ensureDeferred(self.publish(b"other")), FileExists)
        self.assertEqual(self.stored(), [3])

    def test_nothing_published(self):
        """Leaving a draft in any way leaves nothing."""

        async def leave(commits):
            async with self.remote("acme/one").start_publish() as draft:
                sink = await draft.open_sink()
                sink.write(b"abc")
                if commits:
                    await sink.commit()
                raise InvalidVersion("no")

        for commits in (False, True):
            self.failureResultOf(ensureDeferred(leave(commits)), InvalidVersion)
            self.assertEqual(self.stored(), [])

    def test_a_refused_blob_that_others_need_stays(self):
        """Equal bytes published under another name are not taken away."""
        self.get(self.publish(b"abc"))
        self.get(self.publish(b"def", self.coordinates("g")))
        self.failureResultOf(ensureDeferred(self.publish(b"abc", self.coordinates("g"))), FileExists)
        self.assertEqual(self.stored(), [3, 3])

    def test_a_refused_blob_that_was_needed_lately_stays(self):
        """Equal bytes of a file that was deleted a moment ago stay until the sweep: a backup may speak of them."""
        file = self.get(self.publish(b"abc")).file
        self.get(self.publish(b"def", self.coordinates("g")))
        self.get(self.catalog.delete_file(file.id, self.principal, NO_PRECONDITION))
        self.failureResultOf(ensureDeferred(self.publish(b"abc", self.coordinates("g"))), FileExists)
        self.assertEqual(self.stored(), [3, 3])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)
        self.get(sweep(self.catalog, self.blobs, grace=datetime.timedelta(days=1), now=now))
        self.assertEqual(self.stored(), [3])

    def test_only_its_own_blobs(self):
        """A draft publishes what it committed and nothing else."""
        blob = self.get(self.publish(b"abc")).file.blob

        async def cheat():
            async with self.remote("acme/one").start_publish() as draft:
                await draft.publish(Publication(self.coordinates("g"), blob))

        self.failureResultOf(ensureDeferred(cheat()), RuntimeError)

    def test_cleaning_waits_for_a_publish_that_outlives_its_caller(self):
        """A caller who leaves in the middle of the commit takes nothing away from it."""
        held = Deferred()

        class SlowCatalog(MemoryCatalog):
            async def publish(self, publication, principal, settlement=None):
                await held
                return await super().publish(publication, principal, settlement)

        self.catalog.__class__ = SlowCatalog
        running = ensureDeferred(self.publish(b"abc"))
        self.assertNoResult(running)
        running.cancel()
        self.assertNoResult(running)
        held.callback(None)
        self.failureResultOf(running)
        self.assertEqual(self.stored(), [3])
        self.assertEqual(len(self.get(self.remote("acme/one").list_files("n"))), 1)

    def test_a_blob_stays_while_the_commit_may_come(self):
        """Where nobody knows whether it was published, it is looked at when nothing can be on its way any more."""

        class LateCatalog(MemoryCatalog):
            async def publish(self, publication, principal, settlement=None):
                self.late = (publication, principal, settlement)
                raise OutcomeUnknown("the database went away")

        self.catalog.__class__ = LateCatalog
        self.failureResultOf(ensureDeferred(self.publish(b"abc")), OutcomeUnknown)
        self.failureResultOf(ensureDeferred(self.publish(b"defgh", self.coordinates("g"))), OutcomeUnknown)
        self.assertEqual(self.stored(), [3, 5])
        self.get(MemoryCatalog.publish(self.catalog, *self.catalog.late))
        self.clock.advance(UNSURE_SECONDS)
        self.assertEqual(self.stored(), [5])

    def test_inspect(self):
        """An inspector sees the committed bytes and its arguments."""

        def read(file, *, times):
            return {"found": file.read().decode() * times}

        async def inspect():
            async with self.remote("acme/one").start_publish() as draft:
                sink = await draft.open_sink()
                sink.write(b"abc")
                return await draft.inspect(await sink.commit(), read, times=2)

        self.assertEqual(self.get(inspect()), {"found": "abcabc"})


class DerivedTests(StoreCase):
    """Blobs made out of a committed one."""

    def setUp(self):
        """Run jobs here."""
        super().setUp()

        async def run(job):
            return job()

        self.remotes.derivations = Derivations(self.clock, run)

    async def publish_with_derived(self, pieces, expected=(), file_name="g"):
        """Publish bytes, and what is made of them beside them, together."""
        async with self.remote("acme/one").start_publish() as draft:
            sink = await draft.open_sink()
            sink.write(b"abcdef")
            blob = await sink.commit()
            derived = await draft.derive(blob, pieces, ("md5",), expected)
            return await draft.publish_all(
                [Publication(self.coordinates(), blob), Publication(self.coordinates(file_name), derived)]
            )

    @staticmethod
    def halves(file):
        """Give the last half of a file, in pieces."""
        file.seek(3)
        while piece := file.read(2):
            yield piece

    def test_published_together(self):
        """Both files are there, with an event each; the derived bytes are what the function gave."""
        _, derived = self.get(self.publish_with_derived(self.halves))
        self.assertEqual(derived.file.blob.sha256.hex, hashlib.sha256(b"def").hexdigest())
        self.assertEqual(derived.file.blob.digests["md5"], hashlib.md5(b"def").hexdigest())
        self.assertEqual(self.events.names, ["push_package"] * 2)
        self.assertEqual(self.stored(), [3, 6])

    def test_other_bytes_than_expected(self):
        """Nothing is left when the bytes are not those that were promised, or cannot be made."""

        def broken(file):
            yield file.read(1)
            raise InvalidArchive("damaged")

        wrong = Digest.sha256("0" * 64)
        for pieces, expected, error in ((self.halves, (wrong,), DigestMismatch), (broken, (), InvalidArchive)):
            self.failureResultOf(ensureDeferred(self.publish_with_derived(pieces, expected)), error)
            self.assertEqual(self.stored(), [])
        self.assertEqual(self.events.names, [])

    def test_refused_together(self):
        """When one file is refused, the blobs of all are gone."""
        self.get(self.publish(b"other", self.coordinates("g")))
        self.failureResultOf(ensureDeferred(self.publish_with_derived(self.halves)), FileExists)
        self.assertEqual(self.stored(), [5])
        self.assertEqual(len(self.get(self.remote("acme/one").list_files("n"))), 1)

    def test_a_full_sink_is_waited_for(self):
        """No piece is made while the sink has no room, and none after it gave up."""
        made = []

        def pieces(file):
            for number in range(3):
                made.append(number)
                yield b"x"

        sink = RecordingSink(lambda sink: sink.producer.pauseProducing())
        source = self.get(self.blobs.open_blob(self.get(self.publish(b"abc")).file.blob))
        filling = ensureDeferred(self.remotes.derivations.fill(sink, source, pieces))
        producer = sink.producer
        self.assertEqual(made, [0])
        producer.resumeProducing()
        self.assertEqual(made, [0, 1])
        producer.stopProducing()
        self.successResultOf(filling)
        self.assertEqual(made, [0, 1])
        self.assertIsNone(sink.producer)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_sink_that_never_has_room(self):
        """It is waited for within a deadline."""
        sink = RecordingSink(lambda sink: sink.producer.pauseProducing())
        source = self.get(self.blobs.open_blob(self.get(self.publish(b"abcdef")).file.blob))
        filling = ensureDeferred(self.remotes.derivations.fill(sink, source, self.halves))
        self.clock.advance(FILL_SECONDS - 1)
        self.assertNoResult(filling)
        self.clock.advance(1)
        self.failureResultOf(filling, Unavailable)
        self.assertIsNone(sink.producer)


class LeftoverTests(StoreCase):
    """Blobs that cannot be removed at once."""

    def test_tried_again(self):
        """A pinned neighbour only delays the removal."""

        async def pin():
            sink = await self.blobs.open_sink()
            sink.write(b"abc")
            return sink, await sink.commit()

        sink, blob = self.get(pin())
        leftovers = Leftovers(self.clock, self.catalog, self.blobs)
        self.get(leftovers.remove(blob))
        self.assertEqual(self.stored(), [3])
        self.get(sink.abort())
        self.clock.advance(RETRY_SECONDS[0])
        self.assertEqual(self.stored(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_was_published_is_not_left_over(self):
        """What a dead process left is cleared only if the catalog never knew it, or has forgotten it."""
        file = self.get(self.publish(b"abc")).file
        self.assertFalse(self.get(is_unpublished(self.catalog, file.blob.sha256)))
        self.get(self.catalog.delete_file(file.id, self.principal, NO_PRECONDITION))
        self.assertFalse(self.get(is_unpublished(self.catalog, file.blob.sha256)))
        self.get(self.catalog.forget_blob(file.blob.sha256))
        self.assertTrue(self.get(is_unpublished(self.catalog, file.blob.sha256)))

    def test_close_ends_the_tries(self):
        """Nothing is scheduled after closing."""

        async def pin():
            sink = await self.blobs.open_sink()
            sink.write(b"abc")
            return await sink.commit()

        leftovers = Leftovers(self.clock, self.catalog, self.blobs)
        self.get(leftovers.remove(self.get(pin())))
        self.get(leftovers.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class RemoteTests(StoreCase):
    """What a format sees at each level."""

    def setUp(self):
        """Publish into both projects; alice may read one of them."""
        super().setUp()
        self.get(self.catalog.set_member("alice", "acme/one", Role.DEVELOPER))
        self.get(self.publish(b"abc"))
        self.get(self.publish(b"defg", self.coordinates("secret", project_id=self.two), remote=self.remote("acme/two")))

    def test_a_group_shows_what_may_be_read(self):
        """Projects without the right are as if they were not there."""
        group = self.remote("acme", Level.GROUP)
        self.assertIsInstance(group, GroupRemote)
        self.assertEqual([file.file_name for file in self.get(group.list_files("n"))], ["f"])
        self.failureResultOf(ensureDeferred(group.find_file("n", "1", "secret")), FileNotFound)
        before = self.get(group.index_state("n")).token
        self.get(self.catalog.set_member("alice", "acme", Role.REPORTER))
        self.assertEqual([file.file_name for file in self.get(group.list_files("n"))], ["f", "secret"])
        self.assertNotEqual(self.get(group.index_state("n")).token, before)
        self.assertEqual([name.name for name in self.get(group.list_names())], ["n"])

    def test_a_group_does_not_write(self):
        """Publishing and deleting belong to projects."""
        group = self.remote("acme", Level.GROUP)
        self.assertRaises(RuntimeError, group.start_publish)
        file = self.get(self.remote("acme/one").find_file("n", "1", "f"))
        self.failureResultOf(ensureDeferred(group.delete_file(file, NO_PRECONDITION)), RuntimeError)

    def test_tags(self):
        """A tag is set and removed with one event each; a group shows the newest project's and sets none."""
        one, two = self.remote("acme/one"), self.remote("acme/two")
        self.events.names.clear()
        self.assertEqual([self.get(one.set_tag("n", "1", "latest")) for _ in range(2)], [True, False])
        self.assertEqual(self.events.names, ["tag_package"])
        group = self.remote("acme", Level.GROUP)
        self.get(two.set_tag("n", "1", "latest"))
        self.assertEqual([tag.project_id for tag in self.get(group.list_tags("n"))], [self.one])
        self.get(self.catalog.set_member("alice", "acme", Role.REPORTER))
        self.assertEqual([tag.project_id for tag in self.get(group.list_tags("n"))], [self.two])
        self.failureResultOf(ensureDeferred(group.set_tag("n", "1", "t")), RuntimeError)
        self.failureResultOf(ensureDeferred(group.remove_tag("n", "latest")), RuntimeError)
        self.events.names.clear()
        self.assertEqual([self.get(one.remove_tag("n", "latest")) for _ in range(2)], [True, False])
        self.assertEqual(self.events.names, ["untag_package"])

    def test_search_and_owners(self):
        """A group finds what may be read, and names who decides."""
        group = self.remote("acme", Level.GROUP)
        self.assertEqual(self.get(group.search("n", 0, 10)).total, 1)
        self.assertEqual(self.get(self.remote("acme/one").list_owners()), ())
        self.get(self.catalog.set_member("alice", "acme/one", Role.MAINTAINER))
        self.assertEqual([owner.name for owner in self.get(self.remote("acme/one").list_owners())], ["alice"])
        self.assertEqual(self.get(group.list_owners()), ())

    def test_open_and_delete(self):
        """A download is an event, a part that is not the first is none; a deleted file is gone."""
        remote = self.remote("acme/one")
        self.assertIsInstance(remote, ProjectRemote)
        self.events.names.clear()
        file = self.get(remote.find_file("n", "1", "f"))
        source = self.get(remote.open_file(file))
        self.get(source.close())
        self.get(remote.delete_file(file, NO_PRECONDITION))
        self.failureResultOf(ensureDeferred(remote.delete_file(file, NO_PRECONDITION)), FileNotFound)
        self.assertEqual(self.events.names, ["pull_package", "delete_package"])

    def test_duplicate_rule(self):
        """The exception turns the rule around, for names and versions."""
        for allowed in (True, False):
            limits = FormatLimits(1, allowed, ("nightly-*", "*-SNAPSHOT"))
            self.remotes._limits_by_format = {"toy": limits}
            remote = self.remote("acme/one")
            self.assertIs(remote.duplicate_rule("n", "1"), allowed)
            self.assertIs(remote.duplicate_rule("nightly-x", "1"), not allowed)
            self.assertIs(remote.duplicate_rule("n", "1-SNAPSHOT"), not allowed)


class SweepTests(StoreCase):
    """Blobs that nothing refers to."""

    def sweep(self, **options):
        """Sweep as if it were next year."""
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)
        return self.get(sweep(self.catalog, self.blobs, grace=datetime.timedelta(days=1), now=now, **options))

    def test_replaced_bytes_go_and_used_ones_stay(self):
        """The old bytes of a replaced file are removed after the grace period."""
        self.get(self.publish(b"abc"))
        self.get(self.publish(b"defg", on_duplicate=OnDuplicate.REPLACE))
        self.assertEqual(self.stored(), [3, 4])
        self.assertEqual(self.sweep(dry_run=True).removed, 1)
        self.assertEqual(self.stored(), [3, 4])
        report = self.sweep()
        self.assertEqual((report.removed, report.removed_bytes), (1, 3))
        self.assertEqual(self.stored(), [4])
        self.assertEqual(self.sweep().removed, 0)

    def test_it_can_be_ended(self):
        """Told that it is over, it leaves the rest to the next one."""
        for data in (b"abc", b"defg", b"hijkl"):
            self.get(self.publish(data, on_duplicate=OnDuplicate.REPLACE))
        self.assertEqual(self.sweep(is_over=iter((False, True, True)).__next__).removed, 1)
        self.assertEqual(len(self.stored()), 2)
        self.assertEqual(self.sweep().removed, 1)

    def test_strangers_go(self):
        """A stored blob that the catalog never knew is removed."""

        async def leak():
            sink = await self.blobs.open_sink()
            sink.write(b"leak")
            await sink.commit()
            await sink.abort()

        self.get(self.publish(b"abc"))
        self.get(leak())
        self.assertEqual(self.sweep(dry_run=True).removed, 1)
        self.assertEqual(self.sweep().removed, 1)
        self.assertEqual(self.stored(), [3])

    def test_a_new_catalog_removes_nothing(self):
        """Files of a registry whose catalog is still to be restored stay."""
        self.get(self.publish(b"abc"))
        self.catalog = MemoryCatalog()
        for dry_run in (True, False):
            report = self.sweep(dry_run=dry_run)
            self.assertEqual((report.removed, report.kept_unknown), (0, 1))
        self.assertEqual(self.stored(), [3])

    def test_grace(self):
        """What was in use a moment ago stays."""
        self.get(self.publish(b"abc"))
        self.get(self.publish(b"defg", on_duplicate=OnDuplicate.REPLACE))
        now = datetime.datetime.now(datetime.UTC)
        report = self.get(sweep(self.catalog, self.blobs, grace=datetime.timedelta(days=1), now=now))
        self.assertEqual(report.removed, 0)

    def test_a_pinned_blob_stays(self):
        """An upload that is about to publish the same bytes keeps them."""
        self.get(self.publish(b"abc"))
        self.get(self.publish(b"defg", on_duplicate=OnDuplicate.REPLACE))

        async def upload():
            sink = await self.blobs.open_sink()
            sink.write(b"abc")
            await sink.commit()
            return sink

        sink = self.get(upload())
        report = self.sweep()
        self.assertEqual((report.removed, report.kept_in_use), (0, 1))
        self.get(sink.abort())
        self.assertEqual(self.sweep().removed, 1)

    def test_many_are_counted_once(self):
        """A dry run counts what a sweep removes, page by page, whether it has a row or not."""
        number = PAGE + 3

        async def leak():
            for count in range(number):
                blob = await self.commit(b"%d" % count)
                if count % 2:
                    where = self.coordinates(str(count))
                    published = await self.catalog.publish(Publication(where, blob), self.principal)
                    await self.catalog.delete_file(published.file.id, self.principal, NO_PRECONDITION)

        self.get(leak())
        self.assertEqual(self.sweep(dry_run=True).removed, number)
        report = self.sweep()
        self.assertEqual((report.removed, report.kept_in_use, self.stored()), (number, 0, []))

    async def commit(self, data):
        """Have bytes in the store, and nobody holding them."""
        sink = await self.blobs.open_sink()
        sink.write(data)
        blob = await sink.commit()
        await sink.abort()
        return blob

    def test_one_that_cannot_be_removed(self):
        """The others are removed all the same, and it is counted; if nothing can be, the sweep gives up."""
        self.get(self.publish(b"abc"))
        blobs = [self.get(self.commit(b"%d" % count)) for count in range(30)]
        bad, remove = {blobs[3].sha256}, self.blobs.remove

        async def refuse(blob, is_unused):
            if blob.sha256 in bad:
                raise Unavailable("no")
            return await remove(blob, is_unused)

        self.blobs.remove = refuse
        report = self.sweep()
        self.assertEqual((report.removed, report.failed, self.stored()), (29, 1, [1, 3]))
        bad.update(blob.sha256 for blob in blobs)
        for count in range(30):
            self.get(self.commit(b"%d" % count))
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)
        self.failureResultOf(
            ensureDeferred(sweep(self.catalog, self.blobs, grace=datetime.timedelta(days=1), now=now)), Unavailable
        )
        self.assertEqual(len(self.flushLoggedErrors(Unavailable)), 1 + MAX_FAILURES)
