"""What is refused for being too much."""

from __future__ import annotations

from attrs import frozen


@frozen
class FormatLimits:
    """
    What one format takes.

    Attributes:
        max_file_bytes: greatest size of one file.
        duplicates_allowed: whether other bytes may replace an existing file, where the format leaves the choice.
        duplicate_exceptions: shell-style patterns of names or versions for which the opposite holds.
        keep_builds: how many builds of a version are kept, where versions are made of builds (IBuildFormat); None
            keeps all of them.
    """

    max_file_bytes: int
    duplicates_allowed: bool = True
    duplicate_exceptions: tuple[str, ...] = ()
    keep_builds: int | None = None


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


@frozen
class RateLimitRule:
    """
    The configured rates of one URL prefix.

    Attributes:
        prefix: starts with `/`; `:id` stands for any one segment.
        authenticated: for each principal; None does not limit them.
        anonymous: for each address; None does not limit them.
    """

    prefix: str
    authenticated: Rate | None = None
    anonymous: Rate | None = None
