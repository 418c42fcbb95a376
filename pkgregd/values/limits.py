"""What is refused for being too much."""

from __future__ import annotations

import enum

from attrs import field, frozen


@frozen
class FormatLimits:
    """
    What one format takes.

    Attributes:
        max_file_bytes: greatest size of one file.
        duplicates_allowed: whether other bytes may replace an existing file, where the format leaves the choice.
        duplicate_exceptions: shell-style patterns of names or versions for which the opposite holds.
        duplicate_exception_regex: a regular expression (RE2) of whole names or versions for which it does; empty means
            none of them.
        keep_builds: how many builds of a version are kept, where versions are made of builds (IBuildFormat); None
            keeps all of them.
        redirect_downloads: whether clients that are known to follow are sent to where the bytes are.
    """

    max_file_bytes: int
    duplicates_allowed: bool = True
    duplicate_exceptions: tuple[str, ...] = ()
    keep_builds: int | None = None
    duplicate_exception_regex: str = ""
    redirect_downloads: bool = False


@frozen
class Rate:
    """
    So many requests in so much time.

    Attributes:
        requests: at least 1; also the burst that is let through at once.
        seconds: at least 1.
    """

    requests: int
    seconds: int


class RouteClass(enum.Enum):
    """What a request is for, as far as rate limits tell it apart."""

    PACKAGES = "packages"
    MANAGEMENT = "management"
    PAGES = "pages"


@frozen
class RateLimitRule:
    """
    The configured rates of one URL prefix.

    Attributes:
        prefix: starts with `/`; `:id` stands for any one segment.
        authenticated: for each principal; None does not limit them.
        anonymous: for each address; None does not limit them.
        name: what clients are told that the limit is called; empty for the name that GitLab has for its like.
        routes: whose requests it counts; None counts those of all classes.
    """

    prefix: str
    authenticated: Rate | None = None
    anonymous: Rate | None = None
    name: str = ""
    routes: RouteClass | None = None


@frozen
class Verdict:
    """
    What a limiter says about one request.

    Attributes:
        name: of the limit.
        rate: of the limit.
        remaining: how many more requests would be admitted at once.
        reset_seconds: until the whole budget is there again.
        retry_after_seconds: None when the request is admitted, else when it would be.
        key: whose budget it is, for the limiter alone.
    """

    name: str
    rate: Rate
    remaining: int
    reset_seconds: float
    retry_after_seconds: float | None
    key: str = field(default="", repr=False)


TOLERANCE = 0.001
"""Which part of a request may be missing in a budget: sums of fractions of seconds are never quite right."""


def pushed(known_at: float, now: float, by_seconds: float, most_seconds: float) -> tuple[float, bool]:
    """
    Move a due time (see IDueTimes).

    Args:
        known_at: what is remembered, whatever that is.

    Returns:
        The new one, and whether it is near enough to be remembered.
    """
    due_at = (min(known_at, now + most_seconds) if known_at > now else now) + by_seconds
    return due_at, due_at - now - most_seconds <= by_seconds * TOLERANCE
