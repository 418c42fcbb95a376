"""
Pages that are rendered once per change.

A page is known by the state of its index, which counts every change in the database: so a kept page is
right in every process, without a message between them, and an old one is simply never asked for again.
"""

from __future__ import annotations

import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from pkgregd.clockwork import start
from pkgregd.errors import Unavailable
from pkgregd.values import IndexState, Page

Rows = TypeVar("Rows")
T = TypeVar("T")

PAGE_CACHE_BYTES = 32 << 20
"""What all kept pages may take together."""

RENDER_THREADS = 1
"""Rendering holds the interpreter most of the time: more threads would not be faster."""

ENTRY_BYTES = 1024
"""What a kept page takes beside its bytes, about: its key and the objects around it."""

GZIP_MIN_BYTES = 512
GZIP_LEVEL = 6

Key: TypeAlias = tuple[str, ...]


class Run(Protocol):
    """Runs a job away from the reactor."""

    async def __call__(self, job: Callable[[], T]) -> T:
        """Return what the job returns."""


class RenderThread:
    """
    Runs jobs away from the reactor, one after the other.

    Args:
        reactor: provides IReactorFromThreads.
        name: of the thread.
    """

    def __init__(self, reactor: Any, name: str = "pages") -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, RENDER_THREADS, name=name)
        self._is_closed = False

    async def run(self, job: Callable[[], T]) -> T:
        """
        Return what the job returns.

        Raises:
            Unavailable: the daemon is stopping; a thread that was started now would keep it from ending.
        """
        if self._is_closed:
            raise Unavailable("the daemon is stopping")
        if not self._pool.started:
            self._pool.start()
        return await deferToThreadPool(self._reactor, self._pool, job)

    async def close(self) -> None:
        """Stop the thread."""
        self._is_closed = True
        if self._pool.started:
            self._pool.stop()


class Pages:
    """
    Renders pages, and keeps those last used, each in the state for which it was rendered last.

    Args:
        run: runs a job away from the reactor.
        max_bytes: what is kept; a page of more than half of it is rendered every time.
    """

    def __init__(self, run: Run, max_bytes: int = PAGE_CACHE_BYTES) -> None:
        self.run = run
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Key, tuple[str, Page]] = OrderedDict()
        self._kept_bytes = 0
        self._under_way: dict[tuple[Key, str], list[Deferred[Page]]] = {}

    @property
    def kept_bytes(self) -> int:
        """What all kept pages take together, about."""
        return self._kept_bytes

    async def get(
        self,
        key: Key,
        token: str,
        load: Callable[[], Awaitable[Rows]],
        make: Callable[[Rows], Page],
        is_kept: Callable[[Rows], bool] = lambda _: True,
    ) -> Page:
        """
        Return a page; of many who ask at once, one has it rendered.

        Args:
            key: which page it is.
            token: of its state: equal keys and tokens mean equal pages, for ever.
            load: reads what the page is made of; what it raises reaches everybody who waits.
            make: called on a thread; what it raises reaches everybody, too.
            is_kept: whether a page that was made of this is kept at all.
        """
        kept_token, page = self._kept.get(key, _NOTHING)
        if page is not None and kept_token == token:
            self._kept.move_to_end(key)
            return page
        is_first = (key, token) not in self._under_way
        waiting = self._under_way.setdefault((key, token), [])
        done: Deferred[Page] = Deferred(waiting.remove)
        waiting.append(done)
        if is_first:
            start(self._make(key, token, load, make, is_kept), "rendering a page")
        return await done

    async def _make(
        self,
        key: Key,
        token: str,
        load: Callable[[], Awaitable[Rows]],
        make: Callable[[Rows], Page],
        is_kept: Callable[[Rows], bool],
    ) -> None:
        """Have a page made for all who wait for it, whoever of them leaves meanwhile."""
        try:
            rows = await load()
            page = await self.run(lambda: make(rows))
        except Exception as error:
            for done in self._under_way.pop((key, token)):
                done.errback(error)
            return
        if is_kept(rows):
            self._keep(key, token, page)
        for done in self._under_way.pop((key, token)):
            done.callback(page)

    def _keep(self, key: Key, token: str, page: Page) -> None:
        """Keep a page in place of what it was before, which nobody will ask for again."""
        _, replaced = self._kept.pop(key, _NOTHING)
        if replaced is not None:
            self._kept_bytes -= replaced.size_bytes + ENTRY_BYTES
        size_bytes = page.size_bytes + ENTRY_BYTES
        if size_bytes > self._max_bytes // 2:
            return
        self._kept[key] = token, page
        self._kept_bytes += size_bytes
        while self._kept_bytes > self._max_bytes:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._kept_bytes -= dropped.size_bytes + ENTRY_BYTES


_NOTHING: tuple[str, None] = ("", None)


def page_key(format: str, canonical_name: str, variant: str, state: IndexState) -> Key:
    """Name a page of an index: the same for all its states, another one for other projects."""
    return format, canonical_name, variant, ",".join(map(str, state.project_ids))


def compressed(body: bytes) -> Page:
    """Make a page of its bytes."""
    if len(body) < GZIP_MIN_BYTES:
        return Page(body, None)
    packed = gzip.compress(body, GZIP_LEVEL, mtime=0)
    return Page(body, packed if len(packed) < len(body) else None)
