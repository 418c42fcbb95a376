"""Pages that are kept, and how they are put together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from pkgregd.values.blobs import ByteRange
from pkgregd.values.packages import PackageFile, PackageVersion

if TYPE_CHECKING:
    from pkgregd.interfaces import IBlobSource


@frozen
class StreamBody:
    """
    A reply body that is streamed from a blob.

    Attributes:
        size_bytes: of the whole.
        open: opens the whole (None) or a piece; only called when bytes are really sent.
        damaged: the name of the file if its bytes are known to be damaged: then open() refuses, and so is whoever only
            asks what there is.
    """

    size_bytes: int
    open: Callable[[ByteRange | None], Awaitable[IBlobSource]]
    damaged: str | None = None

    @classmethod
    def of(
        cls, file: PackageFile, open_file: Callable[[PackageFile, ByteRange | None], Awaitable[IBlobSource]]
    ) -> StreamBody:
        """Make the body that a published file is."""
        damaged = None if file.blob.damage is None else file.file_name
        return cls(file.blob.size_bytes, partial(open_file, file), damaged)


@frozen
class FlowBody:
    """
    A reply body whose length nobody knows, and which may have no end.

    Attributes:
        pieces: of it, none empty; the next is made when the client has room for it.
    """

    pieces: AsyncGenerator[bytes, None]


@frozen
class Page:
    """
    A rendered page, ready to be sent any number of times.

    Attributes:
        body: its bytes.
        gzip: the same, compressed; None where that would not be shorter.
    """

    body: bytes = field(repr=False)
    gzip: bytes | None = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """How much memory its bytes take."""
        return len(self.body) + len(self.gzip or b"")


@frozen
class PageSection:
    """
    A part of a page that has a piece for each version.

    Attributes:
        lead: comes before the first piece.
        separator: stands between pieces.
        render: makes the piece of one version from its files, of which there is at least one, by creation. Pure.
    """

    lead: bytes
    separator: bytes
    render: Callable[[Sequence[PackageFile]], bytes]


@frozen
class PageLayout:
    """
    How a page of a name's files is put together from pieces.

    Attributes:
        sections: one behind the other.
        tail: comes behind the last piece.
        order: by what canonical versions are sorted. Pure.
        sum_up: makes what comes between the last piece and the tail, from all versions in their order, of which there
            is at least one. Pure.
        is_shown: whether a version with these files, of which there is at least one, is on the page. Pure. None if
            every one is.
    """

    sections: tuple[PageSection, ...]
    tail: bytes
    order: Callable[[str], Any]
    sum_up: Callable[[Sequence[str]], bytes] | None = None
    is_shown: Callable[[Sequence[PackageFile]], bool] | None = None


MakeLayout: TypeAlias = "Callable[[], Awaitable[PageLayout]]"
"""Makes a layout when a page has to be rendered: it may ask the remote for what the page shows beside the files."""


@frozen
class ChosenVersions:
    """
    Which versions a page shows.

    Attributes:
        versions: those whose documents it needs.
        is_kept: whether the page is worth being kept: not if it is one of any number that can be asked for.
    """

    versions: Sequence[PackageVersion]
    is_kept: bool = True


@frozen
class VersionLayout:
    """
    How a page of a name's versions is made.

    Attributes:
        choose: chooses versions out of all, of which there is at least one, and bounds what their documents take
            together; raises PackageNotFound where there is no such page. Pure.
        document: the name of the document that stands beside each of them.
        render: makes the page of all versions, the chosen ones, and their documents by package, of which one may be
            missing that was deleted meanwhile: in pieces, between which others get the interpreter. Pure.
    """

    choose: Callable[[Sequence[PackageVersion]], ChosenVersions]
    document: str
    render: Callable[[Sequence[PackageVersion], Sequence[PackageVersion], Mapping[int, bytes]], Iterable[bytes]]


@frozen
class PageBody:
    """
    A reply body that is rendered when it is needed: not for an answer that conditions decide.

    Attributes:
        render: returns the page; may raise an error of `pkgregd.errors`.
    """

    render: Callable[[], Awaitable[Page]]
