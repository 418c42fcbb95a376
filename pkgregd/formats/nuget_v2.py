"""
The second version of the protocol, for clients that speak no other: OData over Atom.

Source: OData 2.0, "URI conventions"; what nuget, Chocolatey and PowerShellGet ask; GitLab's NuGet API, "v2".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlencode

from attrs import frozen

from pkgregd.errors import FileNotFound, InvalidRequest, PackageNotFound
from pkgregd.formats.nuget_feed import (
    ENTRY_TYPE,
    FEED_TYPE,
    XML_TYPE,
    Row,
    render_entry,
    render_feed,
    render_metadata,
    render_service,
)
from pkgregd.formats.nuget_filter import Expression, Value, id_of, parse_filter, read_text
from pkgregd.formats.nuget_index import newest_files
from pkgregd.formats.nuget_names import Version, canonical_name, canonical_version
from pkgregd.interfaces import ICall
from pkgregd.values import Level, PackageFile, Reply

MAX_TOP = 100
"""How many versions a feed has at most; it then says where it goes on."""

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

    def choose(self, files: Sequence[PackageFile]) -> list[Row]:
        """Take the versions of a name that are wanted. Pure."""
        versions = [
            file for file in newest_files(files) if self.semver2 or not Version.parse(file.version).needs_semver2
        ]
        listed = [file for file in versions if file.yanked_reason is None]
        releases = [file for file in listed if not Version.parse(file.version).prerelease]
        rows = [Row(file, file in releases[-1:], file in listed[-1:]) for file in versions]
        return [row for row in (rows[::-1] if self.newest_first else rows) if self._takes(row)]

    def _takes(self, row: Row) -> bool:
        if not (self.unlisted or row.is_listed) or (row.is_prerelease and not self.prerelease):
            return False
        return self.condition is None or self.condition.evaluate(partial(_property, row)) is True


def _property(row: Row, name: str) -> Value:
    """Return a property of a version that a filter may ask for."""
    match name:
        case "Id":
            return row.file.name
        case "Version":
            return row.file.version
        case "NormalizedVersion":
            return row.file.canonical_version
        case "IsPrerelease":
            return row.is_prerelease
        case "IsLatestVersion":
            return row.is_latest
        case "IsAbsoluteLatestVersion":
            return row.is_absolute_latest
        case "Listed":
            return row.is_listed
    return row.nuspec().texts.get(name[0].lower() + name[1:])


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


async def _show_version(call: ICall, name: str, version: str) -> Reply:
    wanted = canonical_version(version)
    everything = Question(canonical_name(name), "", None, True, True, True, False, 0, MAX_TOP)
    for row in await _rows_of(call, everything, canonical_name(name)):
        if row.file.canonical_version == wanted:
            body = await call.remote.compute(partial(render_entry, _base(call), row))
            return Reply(200, body, ENTRY_TYPE, (_ASK_AGAIN,))
    raise PackageNotFound


async def _show_feed(call: ICall, title: str) -> Reply:
    question = _question(call, title)
    window = range(question.skip, question.skip + min(question.top, MAX_TOP))
    found = await _find(call, question, window)
    is_cut = found.goes_on and question.top > MAX_TOP
    next_url = _next_url(call, title, question, len(found.rows)) if is_cut else None
    body = await call.remote.compute(partial(render_feed, _base(call), title, found.rows, next_url))
    return Reply(200, body, FEED_TYPE, (_ASK_AGAIN,))


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
        InvalidRequest: that goes through too many names.
    """
    rows: list[Row] = []
    seen = 0
    for offset in range(0, MAX_NAMES, NAMES_AT_ONCE):
        names, is_last = await _names(call, question, offset)
        for name in names:
            chosen = await _rows_of(call, question, name)
            rows += chosen[max(window.start - seen, 0) : max(window.stop - seen, 0)]
            seen += len(chosen)
            if seen > window.stop and not counts_all:
                return Found(rows, seen, goes_on=True)
        if is_last:
            _demand_somebody(call, seen)
            return Found(rows, seen, goes_on=False)
    raise InvalidRequest(f"this goes through more than {MAX_NAMES} packages: search, or ask by the third version")


async def _names(call: ICall, question: Question, offset: int) -> tuple[Sequence[str], bool]:
    """Return some names that may have an answer, from there on; and whether they are the last ones."""
    if question.name is not None:
        return (question.name,), True
    listing = await call.remote.search(question.term, offset, NAMES_AT_ONCE)
    return [name.canonical_name for name in listing.names], offset + NAMES_AT_ONCE >= listing.total


async def _rows_of(call: ICall, question: Question, name: str) -> list[Row]:
    files = await call.remote.list_files(name)
    return await call.remote.compute(partial(question.choose, files))


def _demand_somebody(call: ICall, seen: int) -> None:
    """
    Have the anonymous asked who they are if they find nothing at a group.

    Raises:
        PackageNotFound: to them alone: for others an empty feed is the answer.
    """
    if not seen and call.principal.is_anonymous and call.scope.level is not Level.PROJECT:
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
