"""
What every catalog agrees on, whatever it stores its rows in: the grammar of
paths, who may own a token, and how index revisions become a token.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

from pkgregd.errors import InvalidName, InvalidRequest
from pkgregd.values import NOTHING_SET, IndexState, NewToken, Settings, Stretch, TokenKind

MAX_SEGMENT_CHARACTERS = 255
MAX_PATH_CHARACTERS = 1024
MAX_GROUP_DEPTH = 20
"""Every level of nesting costs a row of `group_ancestors` in all groups below, and in every role look-up."""

MAX_ID = 2**63 - 1
"""Greatest row number that the databases can hold; what is beyond it cannot exist."""

KEPT_CHANGES = 64
"""How many changes of a name's index are remembered."""

MAX_SUMMARY_CHARACTERS = 1000
MAX_SEARCH_WORDS = 8
"""What is searched for beyond these is not looked at."""

MAX_SEARCH_CHARACTERS = 200
MAX_SEARCH_TRAITS = 4
"""How many traits one search can ask for."""

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_FORBIDDEN_ENDINGS = (".git", ".atom", ".")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


# ------------------------------------------------------------------------ times


def to_microseconds(moment: datetime.datetime) -> int:
    """Turn an aware time into microseconds since 1970, as the tables keep it."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime.datetime:
    """Undo to_microseconds(), in UTC."""
    return _EPOCH + datetime.timedelta(microseconds=microseconds)


# ---------------------------------------------------------------------- numbers


def bounds_of(stretch: Stretch) -> Mapping[str, int]:
    """Say between which numbers, themselves excluded, the rows of a stretch are."""
    below = MAX_ID if stretch.below is None else min(stretch.below, MAX_ID)
    return {"above_id": min(stretch.above, MAX_ID), "below_id": below}


# ------------------------------------------------------------------------ names


def key_of(name: str) -> str:
    """Bring a path or user name to the form in which it is unique: without case."""
    return name.lower()


def is_number(text: str) -> bool:
    """Whether an operator's text means a row number and not a path."""
    return _DIGITS.fullmatch(text) is not None


def check_user_name(name: str) -> None:
    """Raise InvalidName unless it is the name of a user."""
    _check_segment(name, name)


def check_group_path(path: str) -> None:
    """
    Raise InvalidName unless it is the path of a group.

    A top-level name of digits alone is refused: it would read as an id.
    """
    segments = _check_path(path)
    if len(segments) > MAX_GROUP_DEPTH:
        raise InvalidName(f"groups nest at most {MAX_GROUP_DEPTH} deep")
    if is_number(path):
        raise InvalidName(f"the group name {path!r} would read as an id: it needs something beside digits")


def check_project_path(path: str) -> None:
    """Raise InvalidName unless it is the path of a project, which lives in a group."""
    if len(_check_path(path)) < 2:
        raise InvalidName(f"the project path {path!r} names no group: write GROUP/NAME")


def split_path(path: str) -> tuple[str, str]:
    """Split a checked path into its parent's (empty at the top) and its last segment."""
    parent, _, name = path.rpartition("/")
    return parent, name


def can_be_path(path: str) -> bool:
    """Whether a group or project could have this path at all."""
    try:
        _check_path(path)
    except InvalidName:
        return False
    return True


def _check_path(path: str) -> list[str]:
    if len(path) > MAX_PATH_CHARACTERS:
        raise InvalidName(f"a path has at most {MAX_PATH_CHARACTERS} characters")
    segments = path.split("/")
    for segment in segments:
        _check_segment(segment, path)
    return segments


def _check_segment(segment: str, whole: str) -> None:
    if len(segment) > MAX_SEGMENT_CHARACTERS:
        raise InvalidName(f"a name has at most {MAX_SEGMENT_CHARACTERS} characters")
    if not _SEGMENT.fullmatch(segment):
        raise InvalidName(
            f"{whole[:MAX_SEGMENT_CHARACTERS]!r} is not a valid name: letters, digits, '_', '-' and '.' are allowed, "
            "and the first character is a letter, a digit or '_'"
        )
    if key_of(segment).endswith(_FORBIDDEN_ENDINGS):
        raise InvalidName(f"{whole!r} is not a valid name: it may not end in '.git', '.atom' or '.'")


# ----------------------------------------------------------------------- tokens

_OWNERS = {
    TokenKind.PERSONAL: ({"user"},),
    TokenKind.PROJECT: ({"project"},),
    TokenKind.GROUP: ({"group"},),
    TokenKind.DEPLOY: ({"project"}, {"group"}),
    TokenKind.JOB: ({"project"},),
}


def check_token_owner(token: NewToken) -> None:
    """
    Raise InvalidRequest unless the token belongs to exactly what its kind demands.

    A token without its bound would be good everywhere.
    """
    owners = {name for name in ("user", "project", "group") if getattr(token, name) is not None}
    allowed = _OWNERS[token.kind]
    if owners not in allowed:
        wanted = " or ".join(f"a {name}" for owner in allowed for name in owner)
        raise InvalidRequest(f"a {token.kind.value} token belongs to {wanted}, and to nothing else")
    if token.role is not None and token.kind not in (TokenKind.PROJECT, TokenKind.GROUP):
        raise InvalidRequest(f"a {token.kind.value} token carries no role")


# --------------------------------------------------------------------- packages


def index_state(revisions: Iterable[tuple[int, int, int]]) -> IndexState:
    """
    Sum up the revisions of an index.

    The times are part of the token: a database restored from a backup counts
    the same revisions again, for other rows.

    Args:
        revisions: (project_id, revision, changed_at in microseconds) of each project that ever had something to show.
    """
    ordered = sorted(revisions)
    text = ";".join(f"{project_id}:{revision}:{changed_at}" for project_id, revision, changed_at in ordered)
    return IndexState(
        token=hashlib.sha256(text.encode("ascii")).hexdigest()[:32],
        revisions=tuple((project_id, revision) for project_id, revision, _ in ordered),
        changed_at=from_microseconds(max(changed_at for _, _, changed_at in ordered)) if ordered else None,
    )


# --------------------------------------------------------------------- settings


def merged(nearest_first: Iterable[Settings]) -> Settings:
    """Return what holds where these are set, at the place itself and above it."""
    holds = NOTHING_SET
    for settings in nearest_first:
        if settings.values:
            holds = holds.over(settings)
    return holds


# ----------------------------------------------------------------------- search


def search_text(canonical_name: str, summary: str = "") -> str:
    """Put together what a name is found by, without case; and without NUL, which PostgreSQL keeps in no text."""
    words = summary[:MAX_SUMMARY_CHARACTERS].replace("\0", " ")
    return f"{canonical_name} {words}".strip().casefold()


def search_words(text: str) -> list[str]:
    """Split what is searched for into the words that all have to be found."""
    return text[:MAX_SEARCH_CHARACTERS].casefold().split()[:MAX_SEARCH_WORDS]


def traits_text(traits: Iterable[str]) -> str:
    """
    Put traits together so that each stands between spaces; empty if there are none.

    Raises:
        ValueError: one of them is no single word.
    """
    words = list(traits)
    if any(word.split() != [word] for word in words):
        raise ValueError("a trait is a word without spaces")
    return f" {' '.join(words)} " if words else ""


def trait_texts(traits: Sequence[str]) -> list[str]:
    """
    Say what traits_text() holds for each trait that is asked for.

    Raises:
        ValueError: more than can be asked for.
    """
    if len(traits) > MAX_SEARCH_TRAITS:
        raise ValueError(f"a search asks for {MAX_SEARCH_TRAITS} traits at most")
    return [traits_text((trait,)) for trait in traits]
