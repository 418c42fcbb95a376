"""
Pages of a name's versions that are brought up to date instead of made anew.

A page is made of pieces, one for each version and section, in the order of the versions. Neighbours share a block,
which is compressed by itself: after a change only the pieces of the changed versions are rendered, only their blocks
compressed, and the rest is put together as it is.

Source: RFC 1951 and RFC 1952. Deflated data may be cut wherever the compressor was told to forget what was before
(a full flush), and its parts put together in any way: so the compressed page is whole and one gzip member.
"""

from __future__ import annotations

import struct
import threading
import zlib
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import define

from pkgregd.registry.pages import GZIP_LEVEL, Key, compressed
from pkgregd.values import PackageFile, Page, PageLayout

BLOCK_VERSIONS = 64
"""How many versions a new block has; one with twice as many is split."""

LISTINGS_BYTES = 16 << 20
"""What all kept listings may take together."""

KEPT_MIN_BYTES = 16 << 10
"""A page below this is made anew as fast."""

PIECE_BYTES = 128
"""What a piece takes beside its bytes, about."""

_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_DEFLATE_END = b"\x03\x00"  # an empty last block

Versions: TypeAlias = Mapping[str, Sequence[PackageFile]]
"""Files by canonical version, those of a version by creation. Nothing for a version that is gone."""


@define(eq=False)
class _Block:
    """
    Some versions that follow each other.

    Attributes:
        versions: canonical, in order.
        pieces: for each version, one for each section.
        packed: for each section, all pieces with the separators between them, deflated; None when out of date.
    """

    versions: list[str]
    pieces: list[tuple[bytes, ...]]
    packed: list[bytes] | None = None
    _size_bytes: int | None = None

    def pack(self, separators: Sequence[bytes]) -> list[bytes]:
        """Bring what is deflated up to date."""
        if self.packed is None:
            self.packed = [
                _deflated(separator.join([pieces[number] for pieces in self.pieces]))
                for number, separator in enumerate(separators)
            ]
        return self.packed

    @property
    def size_bytes(self) -> int:
        """How much memory it takes, about."""
        if self._size_bytes is None:
            self._size_bytes = sum(len(piece) + PIECE_BYTES for pieces in self.pieces for piece in pieces)
        return self._size_bytes + sum(map(len, self.packed or ()))

    def changed(self) -> None:
        """Forget what was made of the pieces."""
        self.packed = self._size_bytes = None


class Listing:
    """
    The pieces of one page.

    Args:
        layout: how the page is made of them.
        versions: all that there are.

    Thread safety: one thread at a time.
    """

    def __init__(self, layout: PageLayout, versions: Versions) -> None:
        self._layout = layout
        rendered = [(version, self._render(files)) for version, files in versions.items() if self._is_shown(files)]
        rendered.sort(key=lambda pair: self._order(pair[0]))
        self._blocks = [
            _Block([version for version, _ in some], [pieces for _, pieces in some])
            for some in (rendered[first : first + BLOCK_VERSIONS] for first in range(0, len(rendered), BLOCK_VERSIONS))
        ]
        self._block_of = {version: block for block in self._blocks for version in block.versions}

    @property
    def size_bytes(self) -> int:
        """How much memory it takes, about."""
        whole = sum(len(section.lead) for section in self._layout.sections) + len(self._layout.tail)
        return whole + sum(block.size_bytes for block in self._blocks)

    def update(self, layout: PageLayout, versions: Versions) -> None:
        """
        Bring some versions up to date.

        Args:
            layout: like the one before, but for what it says of the whole page.
            versions: those that changed, as they are now.
        """
        self._layout = layout
        for version, files in versions.items():
            self._place(version, self._render(files) if self._is_shown(files) else None)

    def page(self) -> Page | None:
        """Put the page together; None if there is no version left."""
        if not self._blocks:
            return None
        parts: list[bytes] = []
        for number, section in enumerate(self._layout.sections):
            pieces = [pieces[number] for block in self._blocks for pieces in block.pieces]
            parts.append(section.lead)
            parts.extend(pieces if not section.separator else _separated(pieces, section.separator))
        end = self._end()
        parts.append(end)
        body = b"".join(parts)  # at once: it may be some mebibytes
        return compressed(body) if len(self._blocks) == 1 else Page(body, self._packed(body, end))

    def _end(self) -> bytes:
        """Make what comes behind the pieces."""
        layout = self._layout
        if layout.sum_up is None:
            return layout.tail
        return layout.sum_up([version for block in self._blocks for version in block.versions]) + layout.tail

    def _packed(self, body: bytes, end: bytes) -> bytes:
        """Put the compressed page together."""
        separators = [section.separator for section in self._layout.sections]
        packed = [block.pack(separators) for block in self._blocks]
        parts = [_GZIP_HEAD]
        for number, section in enumerate(self._layout.sections):
            parts.append(_deflated(section.lead))
            parts.extend(_separated([sections[number] for sections in packed], _deflated(section.separator)))
        parts.append(_deflated(end))
        parts.append(_DEFLATE_END + struct.pack("<II", zlib.crc32(body), len(body) & 0xFFFFFFFF))
        return b"".join(parts)

    def _render(self, files: Sequence[PackageFile]) -> tuple[bytes, ...]:
        return tuple(section.render(files) for section in self._layout.sections)

    def _is_shown(self, files: Sequence[PackageFile]) -> bool:
        return bool(files) and (self._layout.is_shown is None or self._layout.is_shown(files))

    def _place(self, version: str, pieces: tuple[bytes, ...] | None) -> None:
        """
        Put the pieces of a version where they belong, or take them away.

        What is there is found by its name: an order that goes round in circles would lead past it.
        """
        block = self._block_of.get(version)
        if block is not None:
            place = block.versions.index(version)
            if pieces is not None:
                block.pieces[place] = pieces
            else:
                del block.versions[place], block.pieces[place], self._block_of[version]
        elif pieces is not None:
            block = self._insert(version, pieces)
        else:
            return
        block.changed()
        self._balance(block)

    def _insert(self, version: str, pieces: tuple[bytes, ...]) -> _Block:
        """Add a version where its order has it; returns the block that it is in."""
        if not self._blocks:
            self._blocks = [_Block([], [])]
        wanted = self._order(version)
        firsts = self._blocks[1:]
        block = self._blocks[bisect_right(firsts, wanted, key=lambda block: self._order(block.versions[0]))]
        place = bisect_left(block.versions, wanted, key=self._order)
        block.versions.insert(place, version)
        block.pieces.insert(place, pieces)
        self._block_of[version] = block
        return block

    def _balance(self, block: _Block) -> None:
        """Drop a block that is empty, split a great one."""
        blocks = tuple(_balanced(block))
        if blocks == (block,):
            return
        number = self._blocks.index(block)
        self._blocks[number : number + 1] = blocks
        self._block_of |= {version: part for part in blocks for version in part.versions}

    def _order(self, version: str) -> tuple[Any, str]:
        return self._layout.order(version), version


def _balanced(block: _Block) -> Iterable[_Block]:
    """Drop an empty block, split a great one."""
    if not block.versions:
        return ()
    if len(block.versions) < 2 * BLOCK_VERSIONS:
        return (block,)
    half = len(block.versions) // 2
    return (
        _Block(block.versions[:half], block.pieces[:half]),
        _Block(block.versions[half:], block.pieces[half:]),
    )


def _separated(pieces: Sequence[bytes], separator: bytes) -> Sequence[bytes]:
    """Put a separator between pieces."""
    parts = [separator] * (2 * len(pieces) - 1)
    parts[::2] = pieces
    return parts


def _deflated(data: bytes) -> bytes:
    """Compress what can stand between any other compressed data."""
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH)


@define
class KeptListing:
    """
    A listing, and what it shows.

    Attributes:
        revisions: of the index, as IndexState has them, at or after which its versions were read.
    """

    listing: Listing
    revisions: Mapping[int, int]
    size_bytes: int = 0


class Listings:
    """
    Keeps the listings last used, each for one user at a time.

    Thread safety: any thread.
    """

    def __init__(self, max_bytes: int = LISTINGS_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Key, KeptListing] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def take(self, key: Key) -> KeptListing | None:
        """Take a listing out: whoever has it may change it. None if there is none, or somebody has it."""
        with self._lock:
            kept = self._kept.pop(key, None)
            if kept is not None:
                self._kept_bytes -= kept.size_bytes
            return kept

    def put(self, key: Key, kept: KeptListing) -> None:
        """Keep a listing, if it is neither so small nor so great that it is not worth it."""
        kept.size_bytes = kept.listing.size_bytes
        if not KEPT_MIN_BYTES <= kept.size_bytes <= self._max_bytes // 2:
            return
        with self._lock:
            replaced = self._kept.pop(key, None)
            self._kept[key] = kept
            self._kept_bytes += kept.size_bytes - (replaced.size_bytes if replaced is not None else 0)
            while self._kept_bytes > self._max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= dropped.size_bytes
