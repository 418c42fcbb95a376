"""
Dependencies on repositories of well-known git hosts, brought to the form in which npm publishes them.

npm rewrites `user/repository` and its kin in the document that it sends, and packs package.json as its author wrote
it: to compare both, what the author wrote is rewritten here in the same way. What could only be told with all of the
URL standard is left as it is.

Source: the source of npm's package hosted-git-info 9, fromUrl() and toString().
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from attrs import frozen

_PLAIN = re.compile(r"[^\x00-\x20\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f])?")
"""What the reader of URLs would not change: no control characters, no space at either end."""

_SHORTHAND = re.compile(r"(?![./])[^\s@:/#]*(?:/[^\s@:/#]+)?", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PORT_OR_NONE = re.compile(r"(?::[0-9]{0,5})?", re.ASCII)
_USER_INFO = re.compile(r"[A-Za-z0-9._~!$&'()*+,:%-]*", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|\Z)", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@frozen
class _Host:
    """
    What is known of a host.

    Attributes:
        domain: where it is.
        protocols: in which its repositories are addressed.
        suffix: behind the name of a repository in an https URL.
        lead: before `https` in one.
        has_users: whether its repositories belong to somebody.
        refused: what may not be the segment behind a repository: then it is about something else.
    """

    domain: str
    protocols: frozenset[str]
    suffix: str = ".git"
    lead: str = "git+"
    has_users: bool = True
    refused: frozenset[str] = frozenset()


_COMMON = frozenset({"git+ssh:", "git+https:", "ssh:", "https:"})

_HOSTS: Mapping[str, _Host] = {
    "github": _Host("github.com", _COMMON | {"git:", "http:"}),
    "bitbucket": _Host("bitbucket.org", _COMMON, refused=frozenset({"get"})),
    "gitlab": _Host("gitlab.com", _COMMON),
    "gist": _Host("gist.github.com", _COMMON | {"git:"}, has_users=False, refused=frozenset({"raw"})),
    "sourcehut": _Host("git.sr.ht", frozenset({"git+ssh:", "https:"}), "", "", refused=frozenset({"archive"})),
}
_BY_DOMAIN = {host.domain: name for name, host in _HOSTS.items()}
_SHORTCUTS = {f"{name}:": name for name in _HOSTS}
_PROTOCOLS = frozenset({"git+ssh:", "ssh:", "git+https:", "git:", "http:", "https:", "git+http:"}) | _SHORTCUTS.keys()
_WITH_AUTHORITY = frozenset({"git+https:", "git:", "http:", "https:"})


@frozen
class _Url:
    """A URL, in its parts as they are written; the host is empty in one without `//`."""

    scheme: str
    user_info: str
    host: str
    path: str
    fragment: str


@frozen
class _Repository:
    """What a dependency is about: who owns the repository, if anybody, its name, and what of it."""

    user: str | None
    project: str
    committish: str


def published_form(wanted: str) -> str:
    """
    Write what is wanted of a dependency as npm publishes it.

    Returns:
        The text itself if it is no repository of a well-known host.
    """
    if not _PLAIN.fullmatch(wanted):
        return wanted
    url = _read(f"github:{wanted}" if _is_shorthand(wanted) else wanted)
    if url is None:
        return wanted
    try:
        made = _from_shortcut(url) if url.scheme in _SHORTCUTS else _from_url(url)
    except UnicodeDecodeError:
        made = None
    return wanted if made is None else made


def _is_shorthand(text: str) -> bool:
    return "/" in text and _SHORTHAND.fullmatch(text.partition("#")[0]) is not None


# -------------------------------------------------------------------- URLs


def _read(text: str) -> _Url | None:
    corrected = _with_slashes(text)
    return _split(corrected) or _split(_without_colon(corrected))


def _with_slashes(text: str) -> str:
    colon, at = text.find(":"), text.find("@")
    if text[: colon + 1] in _PROTOCOLS or text[colon : colon + 3] == "://":
        return text
    if at >= 0:
        return f"git+ssh://{text}" if at > colon else text
    return f"{text[: colon + 1]}//{text[colon + 1 :]}"


def _without_colon(text: str) -> str:
    """Have a slash in place of the colon before a path, as ssh takes it."""
    address, hash_sign, fragment = text.partition("#")
    colon = address.rfind(":")
    if colon > address.rfind("@"):
        address = f"{address[:colon]}/{address[colon + 1 :]}"
    if ":" not in address and "//" not in address + hash_sign + fragment:
        address = f"git+ssh://{address}"
    return address + hash_sign + fragment


def _split(text: str) -> _Url | None:
    """Split a URL; None if it is none, or if reading it would need more than splitting."""
    match = _SCHEME.match(text)
    if match is None:
        return None
    scheme = match[0].lower()
    rest, _, fragment = text[match.end() :].partition("#")
    rest = rest.partition("?")[0]
    is_special = scheme in ("http:", "https:")
    if is_special:
        if "\\" in rest:
            return None
        rest = "//" + rest.lstrip("/")
    if not rest.startswith("//"):
        return _Url(scheme, "", "", rest, fragment)
    authority, slash, path = rest[2:].partition("/")
    user_info, _, place = authority.rpartition("@")
    host = place.partition(":")[0]
    is_good = _USER_INFO.fullmatch(user_info) and _HOST.fullmatch(host) and _PORT_OR_NONE.fullmatch(place[len(host) :])
    if not is_good or _DOTS.search(slash + path):
        return None
    return _Url(scheme, user_info, host.lower() if is_special else host, slash + path, fragment)


def _decoded(text: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise UnicodeDecodeError("utf-8", b"", 0, 0, "a lone percent sign")
    return unquote(text, errors="strict")


# ------------------------------------------------------------ repositories


def _from_shortcut(url: _Url) -> str | None:
    """Read `host:user/repository#committish`."""
    if url.host or (url.path.startswith("/") and _DOTS.search(url.path)):
        return None
    path = url.path.removeprefix("/")
    _, at, behind = path.partition("@")
    path = behind if at else path
    user, _, project = path.rpartition("/")
    found = _Repository(
        user=_decoded(user) or None,
        project=_decoded(project).removesuffix(".git"),
        committish=_decoded(url.fragment),
    )
    name = _SHORTCUTS[url.scheme]
    owner = f"{found.user or 'null'}/" if _HOSTS[name].has_users else ""
    return f"{name}:{owner}{found.project}{_behind(found)}"


def _from_url(url: _Url) -> str | None:
    name = _BY_DOMAIN.get(url.host.removeprefix("www."))
    if name is None or url.scheme not in _HOSTS[name].protocols:
        return None
    found = _extract(name, url)
    return None if found is None else _written(_HOSTS[name], url, found)


def _extract(name: str, url: _Url) -> _Repository | None:
    """Find the repository in a path; None if it is about something else of that host."""
    host, committish = _HOSTS[name], url.fragment
    if name == "gitlab":
        user, _, project = url.path[1:].rpartition("/")
        if "/-/" in url.path[1:] or "/archive.tar.gz" in url.path[1:]:
            return None
    else:
        segments = url.path.split("/")
        _, user, project, aside = [*segments, "", "", "", ""][:4]
        if aside in host.refused or (name == "github" and aside not in ("", "tree")):
            return None
        if name == "github" and aside:
            committish = segments[4] if len(segments) > 4 else "undefined"
        if not host.has_users and not project:
            user, project = "", user
    project = project.removesuffix(".git")
    if not project or (host.has_users and not user):
        return None
    return _Repository(_decoded(user) or None, _decoded(project), _decoded(committish))


def _written(host: _Host, url: _Url, found: _Repository) -> str:
    """Write it with the protocol that it came with, but never with one that is neither encrypted nor git's own."""
    owner = f"{found.user}/" if host.has_users else ""
    where = f"{host.domain}/{owner}{found.project}"
    authority = url.user_info if url.scheme in _WITH_AUTHORITY else ""
    credentials = f"{authority.removesuffix(':')}@" if authority else ""
    if url.scheme in ("git+https:", "https:"):
        return f"{host.lead}https://{credentials}{where}{host.suffix}{_behind(found)}"
    if url.scheme == "git:":
        credentials = credentials if host.has_users else ""
        return f"git://{credentials}{where}.git{_behind(found)}"
    return f"git+ssh://git@{where}.git{_behind(found)}"


def _behind(found: _Repository) -> str:
    return f"#{found.committish}" if found.committish else ""
