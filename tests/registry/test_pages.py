"""Rendered pages: made once, kept within bounds, and shared by those who ask at once."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import Unavailable
from pkgregd.registry.pages import GZIP_MIN_BYTES, Pages, RenderThread, compressed
from pkgregd.testing.calls import now
from pkgregd.values import Page

T = TypeVar("T")


async def at_once(job: Callable[[], T]) -> T:
    """Run a job here."""
    return job()


def loading(rows: object) -> Callable[[], Awaitable[object]]:
    """Make what loads these rows."""

    async def load() -> object:
        return rows

    return load


class PagesTests(SynchronousTestCase):
    """Pages without a thread."""

    def setUp(self) -> None:
        """Count what is rendered."""
        self.rendered: list[object] = []

    def render(self, rows: object) -> Page:
        """Make a page of a kilobyte."""
        self.rendered.append(rows)
        return compressed(str(rows).encode() * 1000)

    def get(self, pages: Pages, key: str, token: str = "") -> Page:
        """Get a page of one letter, or of a letter and its state."""
        return now(pages.get((key,), token, loading(key + token), self.render))

    def test_kept(self) -> None:
        """The same key is rendered once, another one by itself."""
        pages = Pages(at_once)
        self.assertEqual([self.get(pages, key).body[:1] for key in "aba"], [b"a", b"b", b"a"])
        self.assertEqual(self.rendered, ["a", "b"])

    def test_compressed_where_that_is_shorter(self) -> None:
        """A page carries a gzip form of the same bytes, a very small one none."""
        pages = Pages(at_once)
        page = self.get(pages, "a")
        assert page.gzip is not None
        self.assertEqual(gzip.decompress(page.gzip), page.body)
        small = now(pages.get(("s",), "", loading(0), lambda _: compressed(b"x" * (GZIP_MIN_BYTES - 1))))
        self.assertIsNone(small.gzip)

    def test_memory_is_bounded(self) -> None:
        """Past the limit the page that was not asked for longest is dropped."""
        pages = Pages(at_once, max_bytes=9000)
        for key in "abcdae":
            self.get(pages, key)
        self.assertEqual(self.rendered, list("abcde"))
        self.get(pages, "a")
        self.assertEqual(len(self.rendered), 5)
        self.get(pages, "b")
        self.assertEqual(self.rendered[-1], "b")

    def test_not_kept(self) -> None:
        """A page that is not worth it is rendered each time, and takes nobody's place."""
        pages = Pages(at_once)
        for _ in range(2):
            now(pages.get(("a",), "", loading("a"), self.render, lambda rows: rows != "a"))
            self.get(pages, "b")
        self.assertEqual(self.rendered, ["a", "b", "a"])
        kept = pages.kept_bytes
        self.get(pages, "c")
        self.assertEqual(pages.kept_bytes, 2 * kept)

    def test_only_the_last_state_is_kept(self) -> None:
        """A page takes the place of what it was before, however often it changes."""
        pages = Pages(at_once, max_bytes=9000)
        self.get(pages, "a")
        for number in range(20):
            self.get(pages, "b", str(number))
        self.get(pages, "a")
        self.get(pages, "b", "19")
        self.assertEqual(self.rendered, ["a", *(f"b{number}" for number in range(20))])
        self.get(pages, "b", "18")
        self.assertEqual(self.rendered[-1], "b18")

    def test_a_great_page_is_not_kept(self) -> None:
        """One page never drives most of the others out."""
        pages = Pages(at_once, max_bytes=3000)
        self.get(pages, "a")
        self.get(pages, "a")
        self.assertEqual(self.rendered, ["a", "a"])

    def test_many_who_ask_at_once(self) -> None:
        """Rows are loaded once for all; one who leaves takes nothing from the others."""
        pages = Pages(at_once)
        rows: Deferred[str] = Deferred()
        loads = []

        async def load() -> str:
            loads.append(1)
            return await rows

        asking = [Deferred.fromCoroutine(pages.get(("k",), "", load, self.render)) for _ in range(3)]
        asking[0].addErrback(lambda _: None)
        asking[0].cancel()
        rows.callback("a")
        self.assertEqual([self.successResultOf(page).body[:1] for page in asking[1:]], [b"a", b"a"])
        self.assertEqual((len(loads), self.rendered), (1, ["a"]))

    def test_failure_reaches_all_and_is_not_kept(self) -> None:
        """What loading raises, everybody who waits gets; the next one tries again."""
        pages = Pages(at_once)
        rows: Deferred[str] = Deferred()

        async def load() -> str:
            return await rows

        asking = [Deferred.fromCoroutine(pages.get(("k",), "", load, self.render)) for _ in range(2)]
        rows.errback(KeyError("x"))
        for page in asking:
            self.failureResultOf(page, KeyError)
        self.assertEqual(self.get(pages, "k").body[:1], b"k")


class RenderThreadTests(SynchronousTestCase):
    """The thread that pages are rendered in."""

    def test_none_is_started_at_the_end(self) -> None:
        """A page whose rows come when the threads have been stopped is not rendered: that would start one again."""
        thread = RenderThread(Clock())
        now(thread.close())
        with self.assertRaises(Unavailable):
            now(thread.run(bytes))
        self.assertEqual([thread.name for thread in threading.enumerate() if "pages" in thread.name], [])
