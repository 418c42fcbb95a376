"""
Formats without HTTP: calls, bodies in any cuts, and the real registry over memory.

The remote is the registry's own over the in-memory catalog and store, which pass the same
contracts as the real ones: what a format sees here is what it sees in a daemon.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from attrs import Factory, define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.task import Clock
from zope.interface import implementer

from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.errors import BodyTooLarge, InvalidArchive, PkgregdError
from pkgregd.interfaces import (
    IBlobSink,
    IBlobSource,
    ICall,
    ICatalog,
    IInspections,
    Inspector,
    IPackageFormat,
    IRemote,
    IRequestBody,
)
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.deriving import Derivations
from pkgregd.registry.events import NoEvents
from pkgregd.registry.listings import Listings
from pkgregd.registry.pages import Pages
from pkgregd.registry.remotes import Remotes
from pkgregd.values import (
    ByteRange,
    FormatLimits,
    Level,
    PageBody,
    Permission,
    Principal,
    Reply,
    Route,
    Scope,
    StreamBody,
    TokenKind,
    Visibility,
)

T = TypeVar("T")

WRITER = Principal(name="writer", token_kind=TokenKind.PERSONAL, user_id=1, is_admin=True, scopes=frozenset({"api"}))


def now(coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
    """Run a coroutine that never waits, and return or raise what it does."""
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    if not results:
        raise AssertionError("the coroutine waits for something")
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    result: T = results[0]
    return result


def cut(data: bytes, *at: int) -> list[bytes]:
    """Cut bytes at these positions, in any order; pieces are never empty."""
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:stop] for start, stop in pairwise(places)]


@implementer(IRequestBody, IPushProducer)
class FakeBody:
    """
    A body in hand, delivered in given pieces.

    Like the real one it goes on with what it has in hand when it is paused, and waits for
    resumeProducing() before the next piece.

    Attributes:
        calls: what the consumer asked of its producer, in order.
        was_touched: whether anybody has asked for it; a daemon would have sent `100 Continue`.
    """

    def __init__(self, pieces: Iterable[bytes], declared_bytes: int | None = None) -> None:
        self.declared_bytes = declared_bytes
        self.turn_bytes: int | None = None
        self.calls: list[str] = []
        self.was_touched = False
        self._pieces = list(pieces)
        self._pushed_bytes = 0
        self._consumer: IConsumer | None = None
        self._done: Deferred[int] | None = None
        self._is_paused = False

    async def push_to(self, consumer: IConsumer) -> int:
        """See IRequestBody."""
        self.was_touched = True
        if not self._pieces:
            return 0
        self._consumer = consumer
        self._done = Deferred()
        consumer.registerProducer(self, True)
        try:
            self._deliver()
            return await self._done
        finally:
            consumer.unregisterProducer()

    def _deliver(self) -> None:
        assert self._consumer is not None
        assert self._done is not None
        while self._pieces and not self._is_paused and not self._done.called:
            piece = self._pieces.pop(0)
            try:
                self._consumer.write(piece)
            except Exception as error:  # it belongs to the one who pushes
                self._done.errback(error)
                return
            self._pushed_bytes += len(piece)
        if not self._pieces and not self._done.called:
            self._done.callback(self._pushed_bytes)

    async def read_all(self, limit_bytes: int) -> bytes:
        """See IRequestBody."""
        self.was_touched = True
        data = b"".join(self._pieces)
        if len(data) > limit_bytes:
            raise BodyTooLarge(limit_bytes, is_file=False)
        return data

    def pauseProducing(self) -> None:
        """The consumer is full."""
        self.calls.append("pause")
        self._is_paused = True

    def resumeProducing(self) -> None:
        """The consumer has room."""
        self.calls.append("resume")
        self._is_paused = False
        self._deliver()

    def stopProducing(self) -> None:
        """The consumer wants no more."""
        self.calls.append("stop")
        assert self._done is not None
        self._done.callback(self._pushed_bytes)


@implementer(ICall)
@define
class FakeCall:
    """See ICall; headers are by lower-case name."""

    remote: IRemote
    arguments: Mapping[str, str] = Factory(dict)
    headers: Mapping[str, str] = Factory(dict)
    queries: Mapping[str, str] = Factory(dict)
    body: IRequestBody = Factory(lambda: FakeBody([]))
    method: str = "GET"
    base_url: str = "http://registry.example.com/api/v4/projects/1/packages/toy"
    principal: Principal = WRITER
    account: Any = None
    authorised_again: bool = False
    is_relayed: bool = False

    @property
    def scope(self) -> Scope:
        """See ICall."""
        return self.remote.scope

    def header(self, name: str) -> str | None:
        """See ICall."""
        return self.headers.get(name.lower())

    def query(self, name: str) -> str | None:
        """See ICall."""
        return self.queries.get(name)

    async def authorise_again(self) -> None:
        """See ICall."""
        self.authorised_again = True

    def demand(self, permission: Permission) -> None:
        """See ICall."""
        AccessPolicy().demand(self.principal, permission, self.scope, self.scope.level)


@implementer(IInspections)
class InlineInspections:
    """See IInspections: reads archives at once and here; arguments and results still pass through JSON."""

    async def run(
        self, source: IBlobSource, inspector: Inspector, arguments: Mapping[str, object]
    ) -> Mapping[str, object]:
        """See IInspections."""
        carried = json.loads(json.dumps(arguments))
        try:
            with source.open_seekable() as file:
                result: Mapping[str, object] = json.loads(json.dumps(inspector(file, **carried), allow_nan=False))
                return result
        except PkgregdError:
            raise
        except Exception as error:
            raise InvalidArchive("the archive cannot be read") from error

    async def close(self) -> None:
        """See IInspections."""


_make_catalog: Callable[..., ICatalog] = MemoryCatalog


@contextlib.contextmanager
def making_catalogs(make: Callable[..., ICatalog]) -> Iterator[None]:
    """
    Have new_catalog() return others than those in memory for a while.

    Args:
        make: as MemoryCatalog is made; its verbs have to have their answers at once.
    """
    global _make_catalog
    before, _make_catalog = _make_catalog, make
    try:
        yield
    finally:
        _make_catalog = before


def new_catalog(seconds: Callable[[], float] = time.time) -> ICatalog:
    """Make an empty catalog for a world: in memory, unless a test has them made otherwise."""
    return _make_catalog(seconds)


async def _at_once(job: Callable[[], T]) -> T:
    return job()


@define
class FormatWorld:
    """
    A group `acme` with two projects, and one format over them.

    Attributes:
        format: under test.
        limits: of the format.
        catalog: see new_catalog().
        blobs: in memory.
        pages: kept ones.
        listings: kept ones, from which pages are brought up to date.
        last_body: of the last request.
        principal: who makes requests.
    """

    format: IPackageFormat
    limits: FormatLimits = field(default=Factory(lambda self: self.format.default_limits, takes_self=True))
    catalog: ICatalog = Factory(new_catalog)
    blobs: MemoryBlobStore = Factory(MemoryBlobStore)
    pages: Pages = Factory(lambda: Pages(_at_once))
    listings: Listings = Factory(Listings)
    last_body: FakeBody = Factory(lambda: FakeBody([]))
    principal: Principal = WRITER

    def __attrs_post_init__(self) -> None:
        now(self.catalog.add_group("acme", Visibility.PUBLIC))
        for path in ("acme/one", "acme/two"):
            now(self.catalog.add_project(path, Visibility.PUBLIC))

    def remote(self, path: str = "acme/one", principal: Principal = WRITER) -> IRemote:
        """Make the remote of a project, or of a group; with an empty path that of the instance."""
        scope = now(self.catalog.find_scope(_level_of(path), path, None))
        assert scope is not None
        remotes = Remotes(
            Clock(), self.catalog, self.blobs, AccessPolicy(), NoEvents(), {self.format.name: self.limits}
        )
        remotes.pages = self.pages
        remotes.listings = self.listings
        remotes.derivations = Derivations(Clock(), _at_once)
        remotes.inspections = InlineInspections()
        return remotes.remote(self.format, scope, principal)

    def request(
        self,
        method: str,
        rule: str,
        /,
        *pieces: bytes,
        path: str = "acme/one",
        headers: Mapping[str, str] | None = None,
        queries: Mapping[str, str] | None = None,
        principal: Principal | None = None,
        **arguments: str,
    ) -> Reply:
        """
        Run a route's check and handler.

        Args:
            rule: the route's path.
            pieces: of the body.
            path: of the project or group; empty at the instance, where the route tells whose the packages are.
            principal: who asks; that of this world unless told otherwise.
            arguments: of the route.
        """
        self.last_body = FakeBody(pieces)
        route = self.route(method, rule, _level_of(path))
        if not path and route.owner is not None:
            path = route.owner(arguments)
        call = FakeCall(
            remote=self.remote(path, principal or self.principal),
            arguments=arguments,
            headers={name.lower(): value for name, value in (headers or {}).items()},
            queries=queries or {},
            body=self.last_body,
            method=method,
            principal=principal or self.principal,
        )
        if route.check is not None:
            now(_coroutine(route.check, call))
        reply: Reply = now(_coroutine(route.handler, call))
        return reply

    def route(self, method: str, rule: str, level: Level = Level.PROJECT) -> Route:
        """Return the one route of a method and path at a level."""
        found = [route for route in self.format.routes() if method in route.methods and route.path == rule]
        at_level = [route for route in found if level in route.levels]
        if len(at_level) != 1:
            raise AssertionError(f"{rule} is mounted at this level {len(at_level)} times")
        return at_level[0]

    def is_clean(self) -> bool:
        """Whether no upload holds a blob any more."""
        return not any(self.blobs.pins.values())


def _level_of(path: str) -> Level:
    if not path:
        return Level.INSTANCE
    return Level.PROJECT if "/" in path else Level.GROUP


async def _coroutine(function: Callable[[FakeCall], Any], call: FakeCall) -> Any:
    return await function(call)


def body_of(reply: Reply, byte_range: ByteRange | None = None) -> bytes:
    """Read a reply's body, of whichever kind."""
    if isinstance(reply.body, bytes):
        return reply.body
    if isinstance(reply.body, PageBody):
        return now(_rendered(reply.body))
    collector = _Collector()

    async def read(stream: StreamBody) -> None:
        source: IBlobSource = await stream.open(byte_range)
        await source.push_to(collector)
        await source.close()

    assert isinstance(reply.body, StreamBody), "what comes piece by piece is read with a client"
    now(read(reply.body))
    return b"".join(collector.pieces)


async def _rendered(body: PageBody) -> bytes:
    return (await body.render()).body


@implementer(IConsumer)
class _Collector:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Nothing is paused."""

    def unregisterProducer(self) -> None:
        """Nothing is kept."""

    def write(self, data: bytes) -> None:
        """Keep."""
        self.pieces.append(data)


@implementer(IBlobSink)
class RecordingSink:
    """
    A sink that keeps what is written, and does to its producer what a test asks.

    Attributes:
        pieces: the very objects that were written.
        computed: algorithms that were asked for.
        producer: while one is registered.
        commit_error: what commit() raises, if anything.
        on_write: called after every write.
    """

    def __init__(self, on_write: Callable[[RecordingSink], None] | None = None) -> None:
        self.pieces: list[bytes] = []
        self.computed: list[str] = []
        self.producer: IPushProducer | None = None
        self.commit_error: Exception | None = None
        self._on_write = on_write

    @property
    def size_bytes(self) -> int:
        """See IBlobSink."""
        return sum(map(len, self.pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer."""
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self.producer = None

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        self.pieces.append(data)
        if self._on_write is not None:
            self._on_write(self)

    def compute(self, algorithms: Iterable[str]) -> None:
        """See IBlobSink."""
        self.computed += algorithms

    async def commit(self, expected: Sequence[Any] = ()) -> Any:
        """Fail as a test asked; nothing is stored."""
        if self.commit_error is not None:
            raise self.commit_error
        raise AssertionError("nothing commits this sink")

    async def abort(self) -> None:
        """See IBlobSink."""


__all__ = [
    "WRITER",
    "FakeBody",
    "FakeCall",
    "FormatWorld",
    "RecordingSink",
    "body_of",
    "cut",
    "making_catalogs",
    "new_catalog",
    "now",
]
