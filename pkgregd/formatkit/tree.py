"""The tree that an archive would unpack to: each path once, nothing below a file, links that stay inside."""

from __future__ import annotations

import enum
import re

from attrs import define, field

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.names import is_printable

MAX_NAME_CHARACTERS = 1024

MAX_DEPTH = 64
"""Segments of a path."""

MAX_NAMES_CHARACTERS = 16 << 20
"""Of all paths together, folders that are only implied too; it bounds memory."""

MAX_LINKS = 4096

_DRIVE = re.compile(r"[A-Za-z]:")


class Kind(enum.Enum):
    """What a member of an archive is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    HARD_LINK = "hard link"


def check_path(path: str, what: str) -> None:
    """
    Pass if no system would take a relative path for anything else.

    Whether it leads upwards is not looked at.

    Args:
        what: names it in the message.

    Raises:
        InvalidArchive: empty, too long or deep, absolute, with a drive, a backslash or an unprintable character.
    """
    if (
        not 0 < len(path) <= MAX_NAME_CHARACTERS
        or path.count("/") > MAX_DEPTH
        or path.startswith("/")
        or "\\" in path
        or _DRIVE.match(path)
        or not is_printable(path)
    ):
        raise InvalidArchive(f"forbidden {what}: {path[:MAX_NAME_CHARACTERS]!a}")


@define
class Tree:
    """
    Every path of an archive so far.

    Names that differ in case only are different: packages for Linux do hold both, and one_spelling()
    is there for the few files that installers look for.
    """

    _kinds: dict[str, Kind] = field(factory=dict, init=False)
    _links: list[tuple[str, str]] = field(factory=list, init=False)
    _names_characters: int = field(default=0, init=False)

    def add(self, path: str, kind: Kind, target: str = "") -> None:
        """
        Put a member in its place.

        Args:
            path: passed by check_path(), without `.`, `..` and empty segments.
            target: of a link.

        Raises:
            InvalidArchive: the path is there, or one above it is no directory, or the link leads nowhere good.
        """
        known = self._kinds.get(path)
        if known is not None and not known is kind is Kind.DIRECTORY:
            raise InvalidArchive(f"the archive has two members {path!a}")
        if kind in (Kind.SYMLINK, Kind.HARD_LINK):
            check_path(target, "target of a link")
            if len(self._links) == MAX_LINKS:
                raise InvalidArchive(f"the archive has more than {MAX_LINKS} links")
            self._links.append((path, target))
        if kind is Kind.HARD_LINK and self._kinds.get(_normal(target)) is not Kind.FILE:
            raise InvalidArchive(f"the hard link {path!a} leads to no file before it")
        self._put(path, kind)
        parent = path.rpartition("/")[0]
        while parent and (known := self._kinds.get(parent)) is not Kind.DIRECTORY:
            if known is not None:
                raise InvalidArchive(f"the archive has members below {parent!a}, which is no directory")
            self._put(parent, Kind.DIRECTORY)
            parent = parent.rpartition("/")[0]

    def _put(self, path: str, kind: Kind) -> None:
        self._names_characters += len(path)
        if self._names_characters > MAX_NAMES_CHARACTERS:
            raise InvalidArchive("the names in the archive are too long together")
        self._kinds[path] = kind

    def check_links(self, top: str) -> None:
        """
        Pass if every link stays below a directory, whatever order the members are unpacked in.

        No link may lead through another one: then the text of its target says where it leads.

        Raises:
            InvalidArchive.
        Source: PEP 721, which has installers refuse links that lead out.
        """
        links = {path for path, _ in self._links}
        for path, target in self._links:
            here = path.split("/")[:-1] if self._kinds[path] is Kind.SYMLINK else []
            segments = [segment for segment in target.split("/") if segment not in ("", ".")]
            for number, segment in enumerate(segments, 1):
                if segment != "..":
                    here.append(segment)
                elif here:
                    here.pop()
                if here[:1] != [top]:
                    raise InvalidArchive(f"the link {path!a} leads out of {top!a}")
                if number < len(segments) and "/".join(here) in links:
                    raise InvalidArchive(f"the link {path!a} leads through another one")

    def tops(self) -> list[str]:
        """List what lies at the top, files too."""
        return [path for path in self._kinds if "/" not in path]

    def kind(self, path: str) -> Kind | None:
        """Return what is at a path."""
        return self._kinds.get(path)

    def demand_one_spelling(self, folder: str, names: frozenset[str] | None = None) -> None:
        """
        Pass if no system that ignores case would take one file of a folder for another.

        Args:
            names: only these count, which are lower case; None for all that lie directly in the folder.

        Raises:
            InvalidArchive.
        """
        seen: set[str] = set()
        for path in self._kinds:
            parent, _, name = path.rpartition("/")
            folded = name.casefold()
            if parent != folder or (names is not None and folded not in names):
                continue
            if folded in seen:
                raise InvalidArchive(f"the archive has {path[:255]!a} in two spellings")
            seen.add(folded)


def _normal(target: str) -> str:
    return "/".join(segment for segment in target.split("/") if segment not in ("", "."))
