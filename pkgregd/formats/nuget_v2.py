"""
The second version of the protocol, for clients that speak no other: OData over Atom.

Source: OData 2.0, "URI conventions"; what nuget, Chocolatey and PowerShellGet ask; GitLab's NuGet API, "v2".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from urllib.parse import urlencode

from attrs import frozen

from pkgregd.errors import FileNotFound, InvalidRequest, PackageNotFound
from pkgregd.formats.nuget_facts import RELEASE, SEMVER1
from pkgregd.formats.nuget_feed import (
    ENTRY_TYPE,
    FEED_TYPE,
    UNLISTED_AT,
    XML_TYPE,
    render_entries,
    render_entry,
    render_feed,
    render_metadata,
    render_service,
)
from pkgregd.formats.nuget_filter import Expression, id_of, parse_filter, read_text
from pkgregd.formats.nuget_names import canonical_name, canonical_version, file_name
from pkgregd.formats.nuget_rows import Row, each_chunk, filtered, reads_texts, rows_of
from pkgregd.interfaces import ICall
from pkgregd.values import Level, PackageFile, PackageVersion, Reply

MAX_TOP = 100
"""How many versions a feed has at most; it then says where it goes on."""

MAX_FEED_BYTES = 4 << 20
"""How much may be kept of the nuspecs of a feed; of one version it is never too much."""

MAX_READ_BYTES = 64 << 20
"""How much of what is kept of nuspecs a question goes through that is about what they say."""

MAX_SKIP = 100_000
MAX_NAMES = 1000
"""Through how many names a question goes that is not about one of them."""

NAMES_AT_ONCE = 100
MAX_TERM_CHARACTERS = 256

_ASK_AGAIN = ("Cache-Control", "no-cache")
_KEY = re.compile(r"Packages\(Id='([^']{1,100})',\s*Version='([^']{1,128})'\)", re.ASCII)
_PARAMETERS = ("id", "searchTerm", "targetFramework", "includePrerelease", "semVerLevel", "$filter", "$orderby", "$top")


@frozen
class Question:
    """
    Which versions are wanted.

    Attributes:
        name: canonical, of the only package that is asked about; None for any.
        term: what a search is for.
        condition: what must hold of each version; None for nothing.
        prerelease: whether versions that are no releases are.
        semver2: whether the client can read versions of SemVer 2.0.0.
        unlisted: whether versions that are not listed are.
        newest_first: the other way round.
        skip, top: the piece of the answer.
    """

    name: str | None
    term: str
    condition: Expression | None
    prerelease: bool
    semver2: bool
    unlisted: bool
    newest_first: bool
    skip: int
    top: int

    @property
    def traits(self) -> tuple[str, ...]:
        """What a listed version has to have to be wanted; see Facts.traits."""
        return (*(() if self.prerelease else (RELEASE,)), *(() if self.semver2 else (SEMVER1,)))

    def choose(self, versions: Sequence[PackageVersion]) -> list[Row]:
        """Take the versions of a name that are wanted, whatever the condition. Pure."""
        rows = rows_of(versions, semver2=self.semver2)
        return [row for row in (rows[::-1] if self.newest_first else rows) if self._takes(row)]

    def _takes(self, row: Row) -> bool:
        return (self.unlisted or row.is_listed) and (self.prerelease or not row.is_prerelease)


async def show_service(call: ICall) -> Reply:
    """Tell which collections there are."""
    return Reply(200, render_service(_base(call)), XML_TYPE, (_ASK_AGAIN,))


async def show_resource(call: ICall) -> Reply:
    """Answer what one segment asks: the schema, a version, or a feed."""
    resource = call.arguments["resource"]
    key = _KEY.fullmatch(resource)
    if key is not None:
        return await _show_version(call, key[1], key[2])
    if resource == "$metadata":
        return Reply(200, render_metadata(), XML_TYPE, (_ASK_AGAIN,))
    return await _show_feed(call, resource.removesuffix("()"))


async def show_count(call: ICall) -> Reply:
    """Tell how many versions a feed would have."""
    if call.arguments["option"] != "$count":
        raise FileNotFound
    question = _question(call, call.arguments["resource"].removesuffix("()"))
    found = await _find(call, question, range(0), counts_all=True)
    return Reply(200, str(found.seen).encode(), "text/plain; charset=utf-8", (_ASK_AGAIN,))


async def _show_version(call: ICall, asked: str, version: str) -> Reply:
    name, wanted = canonical_name(asked), canonical_version(version)
    versions = await call.remote.list_versions(name)
    rows = await call.remote.compute(partial(rows_of, versions, semver2=True))
    row = [row for row in rows if row.version.canonical_version == wanted]
    files = await _files(call, row)
    bodies = [body async for body in each_chunk(call, row, partial(render_entry, _base(call), files)) if body]
    if not bodies:
        raise PackageNotFound
    return Reply(200, bodies[0], ENTRY_TYPE, (_ASK_AGAIN,))


async def _show_feed(call: ICall, title: str) -> Reply:
    question = _question(call, title)
    found = await _find(call, question, range(question.skip, question.skip + min(question.top, MAX_TOP)))
    rows = _cut(found.rows)
    goes_on = (found.goes_on or len(rows) < len(found.rows)) and question.top > len(rows)
    next_url = _next_url(call, title, question, len(rows)) if goes_on else None
    files = await _files(call, rows)
    entries: list[str] = []
    async for some in each_chunk(call, rows, partial(render_entries, _base(call), files)):
        entries += some
    updated_at = max((file.created_at for file in files.values()), default=UNLISTED_AT)
    body = await call.remote.compute(partial(render_feed, _base(call), title, entries, updated_at, next_url))
    return Reply(200, body, FEED_TYPE, (_ASK_AGAIN,))


def _cut(rows: Sequence[Row]) -> Sequence[Row]:
    """Take as many rows from the first one on as are not too much for a feed."""
    sizes_bytes = accumulate(row.facts.size_bytes for row in rows)
    return [
        row
        for number, (row, size) in enumerate(zip(rows, sizes_bytes, strict=True))
        if not number or size <= MAX_FEED_BYTES
    ]


async def _files(call: ICall, rows: Sequence[Row]) -> Mapping[int, PackageFile]:
    """Find the packages of rows, by the number of each."""
    by_name: dict[str, list[PackageVersion]] = {}
    for row in rows:
        by_name.setdefault(canonical_name(row.facts.id), []).append(row.version)
    found: dict[int, PackageFile] = {}
    for name, versions in by_name.items():
        only = versions[0].canonical_version if len(versions) == 1 else None
        wanted = {version.package_id: file_name(name, version.canonical_version) for version in versions}
        files = await call.remote.list_files(name, only)
        found |= {file.package_id: file for file in files if wanted.get(file.package_id) == file.file_name}
    return found


def _next_url(call: ICall, title: str, question: Question, shown: int) -> str:
    given = {name: value for name in _PARAMETERS if (value := call.query(name)) is not None}
    if "$top" in given:
        given["$top"] = str(question.top - shown)
    return f"{_base(call)}/{title}()?{urlencode({**given, '$skip': str(question.skip + shown)})}"


@frozen
class Found:
    """
    A piece of an answer.

    Attributes:
        rows: those of the piece.
        seen: how many there were up to where the search ended.
        goes_on: whether there are more behind the piece.
    """

    rows: Sequence[Row]
    seen: int
    goes_on: bool


async def _find(call: ICall, question: Question, window: range, *, counts_all: bool = False) -> Found:
    """
    Find versions, in the order of their names; of one name after the other, so that no more than its versions and the
    piece are in memory.

    Args:
        window: the numbers of those that are wanted.
        counts_all: whether to go on behind the piece, for their number.

    Raises:
        InvalidRequest: that goes through too many names, or too much of what packages say.
    """
    rows: list[Row] = []
    seen, read_bytes = 0, 0
    for offset in range(0, MAX_NAMES, NAMES_AT_ONCE):
        names, is_last = await _names(call, question, offset)
        for name in names:
            chosen = await _choose(call, question, name)
            if question.condition is not None:
                if reads_texts(question.condition):
                    read_bytes += sum(row.facts.size_bytes for row in chosen)
                if read_bytes > MAX_READ_BYTES:
                    raise InvalidRequest("this goes through too much of what packages say: search, or ask for an Id")
                chosen = await filtered(call, chosen, question.condition)
            rows += chosen[max(window.start - seen, 0) : max(window.stop - seen, 0)]
            seen += len(chosen)
            if seen > window.stop and not counts_all:
                return Found(rows, seen, goes_on=True)
        if is_last:
            await _demand_somebody(call, seen)
            return Found(rows, seen, goes_on=False)
    raise InvalidRequest(f"this goes through more than {MAX_NAMES} packages: search, or ask by the third version")


async def _names(call: ICall, question: Question, offset: int) -> tuple[Sequence[str], bool]:
    """Return some names that may have an answer, from there on; and whether they are the last ones."""
    if question.name is not None:
        return (question.name,), True
    listing = await call.remote.search(question.term, offset, NAMES_AT_ONCE, question.traits)
    return [name.canonical_name for name in listing.names], offset + NAMES_AT_ONCE >= listing.total


async def _choose(call: ICall, question: Question, name: str) -> Sequence[Row]:
    versions = await call.remote.list_versions(name)
    return await call.remote.compute(partial(question.choose, versions))


async def _demand_somebody(call: ICall, seen: int) -> None:
    """
    Have the anonymous asked who they are if they find nothing at a group that hides something.

    Raises:
        PackageNotFound: to them alone: for others an empty feed is the answer.
    """
    is_of_several = call.principal.is_anonymous and call.scope.level is not Level.PROJECT
    if not seen and is_of_several and await call.remote.hides_packages():
        raise PackageNotFound


# ------------------------------------------------------------------ what is asked


def _question(call: ICall, title: str) -> Question:
    """
    Read a question out of the query.

    Raises:
        FileNotFound: there is no such collection or function. InvalidRequest.
    """
    if title not in ("Packages", "FindPackagesById", "Search"):
        raise FileNotFound
    text = call.query("$filter")
    condition = parse_filter(text) if text else None
    name = id_of(condition) if condition is not None else None
    if title == "FindPackagesById":
        name = read_text(call.query("id") or "")
        if not name:
            raise InvalidRequest("FindPackagesById needs the parameter id")
    is_search = title == "Search"
    term = read_text(call.query("searchTerm") or "") if is_search else ""
    if len(term) > MAX_TERM_CHARACTERS:
        raise InvalidRequest(f"the searchTerm is longer than {MAX_TERM_CHARACTERS} characters")
    return Question(
        name=None if name is None or is_search else canonical_name(name),
        term=term,
        condition=condition,
        prerelease=not is_search or (call.query("includePrerelease") or "").lower() == "true",
        semver2=(call.query("semVerLevel") or "").startswith("2"),
        unlisted=not is_search and name is not None,
        newest_first=(call.query("$orderby") or "").lower().endswith("version desc"),
        skip=_number(call, "$skip", 0),
        top=_number(call, "$top", MAX_SKIP),
    )


def _number(call: ICall, name: str, default: int) -> int:
    text = call.query(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) > MAX_SKIP:
        raise InvalidRequest(f"{name} is a number of at most {MAX_SKIP}")
    return int(text)


def _base(call: ICall) -> str:
    return f"{call.base_url}/v2"
