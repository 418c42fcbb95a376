"""The periodic work of a daemon, over the fakes."""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.tokenuses import TokenUses
from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.chores import SCRUB_TURN_SECONDS, Chores
from pkgregd.clockwork import utc_now
from pkgregd.config import parse
from pkgregd.parts import Parts
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.events import LogEvents
from pkgregd.registry.remotes import Remotes
from pkgregd.values import ANONYMOUS, Coordinates, Damage, Publication, Visibility


class InlinePool:
    """Runs on this thread what belongs on another one."""

    def callInThreadWithCallback(self, done: Callable[[bool, object], object], job: Callable[[], object]) -> None:
        """See IThreadPool."""
        done(True, job())


class PooledClock(Clock):
    """A clock with a pool."""

    def getThreadPool(self) -> InlinePool:
        """See IReactorThreads."""
        return InlinePool()

    def callFromThread(self, call: Callable[..., object], *args: Any) -> None:
        """See IReactorFromThreads."""
        call(*args)


class ScrubTests(SynchronousTestCase):
    """Reading all blobs, beside the requests."""

    def setUp(self) -> None:
        """Store three files, the last of which is damaged."""
        self.reactor = PooledClock()
        self.reactor.advance(1_700_000_000)
        self.catalog, self.blobs = MemoryCatalog(self.reactor.seconds), MemoryBlobStore()
        self.get(self.catalog.add_group("acme", Visibility.PRIVATE))
        self.project_id = self.get(self.catalog.add_project("acme/tools", Visibility.PRIVATE))
        for number in range(3):
            self.put(b"%d" % number * 1000)
        self.last = max(self.blobs.contents, key=lambda digest: digest.hex)
        self.blobs.contents[self.last] = (b"x" * 1000, datetime.datetime.now(datetime.UTC))
        self.is_stopping = False

    def put(self, data: bytes) -> None:
        """Store a file."""
        sink = self.get(self.blobs.open_sink())
        sink.write(data)
        blob = self.get(sink.commit())
        self.get(sink.abort())
        where = Coordinates("generic", self.project_id, "n", "n", "1", "1", data[:1].decode())
        self.get(self.catalog.publish(Publication(where, blob), ANONYMOUS))

    def get(self, coroutine: Any) -> Any:
        """Run to the end."""
        return self.successResultOf(ensureDeferred(coroutine))

    def start(self, text: str) -> Chores:
        """Begin the work of a daemon with a configuration."""
        events = LogEvents(self.reactor)
        remotes = Remotes(self.reactor, self.catalog, self.blobs, AccessPolicy(), events, {})
        uses = TokenUses(self.catalog, utc_now)
        config = parse(text, pathlib.Path("/srv"))
        parts = Parts(self.catalog, self.blobs, [], {})
        chores = Chores(self.reactor, config, parts, remotes, events, uses, lambda: self.is_stopping)
        chores.start()
        self.addCleanup(self.end, chores)
        return chores

    def end(self, chores: Chores) -> None:
        """Stop the daemon; what it is at ends within a moment."""
        self.is_stopping = True
        stopping = ensureDeferred(chores.stop())
        self.reactor.advance(0.5)
        self.successResultOf(stopping)

    def damage(self) -> Damage | None:
        """Tell what is known of the damaged one."""
        stored = self.get(self.catalog.find_blob(self.last))
        damage: Damage | None = stored.info.damage
        return damage

    def test_damage_is_found(self) -> None:
        """Within two minutes of the start, at the pace that is configured."""
        self.start("[scrub]\nbytes_per_second = 1024\n")
        self.reactor.pump([1] * 60)
        self.assertIsNone(self.damage())
        self.reactor.pump([0.5] * 120)
        self.assertIs(self.damage(), Damage.WRONG_BYTES)
        self.assertEqual(self.get(self.catalog.find_scrub()).blobs, 3)

    def test_a_long_blob_is_read_to_its_end(self) -> None:
        """However long it takes: a turn that is over in the middle would begin it anew, for ever."""
        self.put(b"3" * int(SCRUB_TURN_SECONDS * 1024 * 1.5))
        self.start("[scrub]\nbytes_per_second = 1024\n")
        self.reactor.pump([0.5] * int(SCRUB_TURN_SECONDS * 4))
        state = self.get(self.catalog.find_scrub())
        self.assertEqual(state.blobs, 4)
        self.assertIsNotNone(state.ended_at)

    def test_a_stop_ends_it(self) -> None:
        """It is waited for, which takes a moment, and another process goes on where it was."""
        chores = self.start("[scrub]\nbytes_per_second = 1024\n")
        while self.get(self.catalog.find_scrub()).began_at is None:
            self.reactor.advance(0.5)
        self.reactor.pump([0.5] * 2)
        self.end(chores)
        self.assertEqual(self.get(self.catalog.find_scrub()).blobs, 1)
        self.is_stopping = False
        self.start("")
        self.reactor.pump([0.5] * 240)
        self.assertIs(self.damage(), Damage.WRONG_BYTES)

    def test_never(self) -> None:
        """It can be switched off, and is for a bucket unless somebody wants it."""
        for text in (
            "[scrub]\ninterval_days = 0\n",
            '[blobs]\nurl = "s3://bucket/prefix"\nendpoint_url = "http://s3.test"\n',
        ):
            self.start(text)
            self.reactor.pump([60, 60, 60])
            self.assertIsNone(self.get(self.catalog.find_scrub()).began_at)
