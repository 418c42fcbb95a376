"""
Versions as the second version of the protocol shows them: chosen by what is small, their nuspecs read by and by.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from attrs import frozen

from pkgregd.formats.nuget_facts import Facts
from pkgregd.formats.nuget_filter import TEXT_PROPERTIES, Expression, Value, properties_of
from pkgregd.formats.nuget_index import ordered
from pkgregd.formats.nuget_names import Version
from pkgregd.formats.nuget_nuspec import METADATA_DOCUMENT, Nuspec
from pkgregd.interfaces import ICall
from pkgregd.values import PackageVersion

T = TypeVar("T")

CHUNK_ROWS = 64
CHUNK_BYTES = 256 << 10
"""How many nuspecs are in memory at once, and how much is kept of them; one is never too much."""


@frozen
class Row:
    """
    A version, as feeds show it.

    Attributes:
        version: the package.
        facts: what is kept small of its nuspec.
        is_latest: the newest release that is listed.
        is_absolute_latest: the newest version that is listed.
    """

    version: PackageVersion
    facts: Facts
    is_latest: bool
    is_absolute_latest: bool

    @property
    def is_listed(self) -> bool:
        """Whether searches find it."""
        return self.version.yanked_reason is None

    @property
    def is_prerelease(self) -> bool:
        """Whether it is no release."""
        return bool(Version.parse(self.facts.version).prerelease)


def rows_of(versions: Sequence[PackageVersion], *, semver2: bool) -> list[Row]:
    """
    Make rows of all versions of a name, in their order. Pure.

    Args:
        semver2: whether the client can read versions of SemVer 2.0.0.
    """
    found = [(version, Facts.from_json(version.metadata_json)) for version in ordered(versions)]
    readable = [
        (version, facts) for version, facts in found if semver2 or not Version.parse(facts.version).needs_semver2
    ]
    listed = [version for version, _ in readable if version.yanked_reason is None]
    releases = [version for version in listed if not Version.parse(version.canonical_version).prerelease]
    return [
        Row(version, facts, is_latest=version in releases[-1:], is_absolute_latest=version in listed[-1:])
        for version, facts in readable
    ]


def reads_texts(condition: Expression) -> bool:
    """Whether a condition is about what nuspecs say, beyond what is kept small of them."""
    return not TEXT_PROPERTIES.isdisjoint(properties_of(condition))


async def filtered(call: ICall, rows: Sequence[Row], condition: Expression) -> Sequence[Row]:
    """Return the rows for which a condition holds. Nuspecs are read only if it is about what they say."""
    if not reads_texts(condition):
        return await call.remote.compute(partial(_holding, condition, rows, {}))
    found: list[Row] = []
    async for some in each_chunk(call, rows, partial(_holding, condition)):
        found += some
    return found


async def each_chunk(
    call: ICall, rows: Sequence[Row], work: Callable[[Sequence[Row], Mapping[int, bytes]], T]
) -> AsyncIterator[T]:
    """
    Do something with rows and what is kept of their nuspecs, with some after the others.

    Args:
        work: pure; called off the reactor with rows and documents by package, of which one may be missing that was
            deleted meanwhile.
    """
    for some in _chunks(rows):
        documents = await call.remote.list_documents([row.version for row in some], METADATA_DOCUMENT)
        yield await call.remote.compute(partial(work, some, documents))


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    chunk: list[Row] = []
    size_bytes = 0
    for row in rows:
        size_bytes += row.facts.size_bytes
        if chunk and (len(chunk) == CHUNK_ROWS or size_bytes > CHUNK_BYTES):
            yield chunk
            chunk, size_bytes = [], row.facts.size_bytes
        chunk.append(row)
    if chunk:
        yield chunk


def _holding(condition: Expression, rows: Sequence[Row], documents: Mapping[int, bytes]) -> list[Row]:
    return [row for row in rows if condition.evaluate(_Properties(row, documents)) is True]


class _Properties:
    """Gives the properties of a version that a filter may ask for; reads its nuspec once, when it is asked for."""

    def __init__(self, row: Row, documents: Mapping[int, bytes]) -> None:
        self._row = row
        self._document = documents.get(row.version.package_id)
        self._texts: Mapping[str, str] | None = None

    def __call__(self, name: str) -> Value:
        """Return one."""
        row = self._row
        match name:
            case "Id":
                return row.facts.id
            case "Version":
                return row.facts.version
            case "NormalizedVersion":
                return Version.parse(row.facts.version).normalized
            case "IsPrerelease":
                return row.is_prerelease
            case "IsLatestVersion":
                return row.is_latest
            case "IsAbsoluteLatestVersion":
                return row.is_absolute_latest
            case "Listed":
                return row.is_listed
        return self._read_texts().get(name[0].lower() + name[1:])

    def _read_texts(self) -> Mapping[str, str]:
        if self._texts is None:
            self._texts = {} if self._document is None else Nuspec.from_json(self._document).texts
        return self._texts
