"""What every subcommand works on, and what it answers."""

from __future__ import annotations

import datetime
import pwd
import re
import sys
from collections.abc import Callable
from typing import TextIO

from attrs import frozen

from pkgregd.config import Config
from pkgregd.interfaces import IBlobStore, ICatalog
from pkgregd.values import OPERATOR, Principal

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_DURATION_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class UsageError(Exception):
    """The arguments make no sense together; the text says why."""


@frozen
class Outcome:
    """
    What a subcommand answers.

    Attributes:
        text: for stdout, without the final line end; may be empty.
        data: the same for `--json`: only what the json module writes; None if the text is JSON itself.
        notes: for stderr, a line each.
        is_refused: whether the exit status is 1.
    """

    text: str
    data: object
    notes: tuple[str, ...] = ()
    is_refused: bool = False


class Instance:
    """
    The catalog and the blobs of a configuration, each opened when it is first asked for.

    Args:
        config: whose.
        clock: tells the time, aware UTC.
        make_catalog, make_blobs: open them.
        operator: who runs the command, for the audit trail.
        out: where a subcommand writes that does not come to an end; standard output if none is given.
        errors: where a subcommand tells how far it has come; standard error if none is given.
    """

    def __init__(
        self,
        config: Config,
        clock: Callable[[], datetime.datetime],
        make_catalog: Callable[[], ICatalog],
        make_blobs: Callable[[], IBlobStore],
        operator: Principal = OPERATOR,
        out: TextIO | None = None,
        errors: TextIO | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.operator = operator
        self.out = out or sys.stdout
        self.errors = errors or sys.stderr
        self._make_catalog = make_catalog
        self._make_blobs = make_blobs
        self._catalog: ICatalog | None = None
        self._blobs: IBlobStore | None = None

    @property
    def catalog(self) -> ICatalog:
        """The catalog. Raises what opening it raises."""
        if self._catalog is None:
            self._catalog = self._make_catalog()
        return self._catalog

    @property
    def blobs(self) -> IBlobStore:
        """The blobs. Raises what opening them raises."""
        if self._blobs is None:
            self._blobs = self._make_blobs()
        return self._blobs

    async def close(self) -> None:
        """Close what was opened."""
        catalog, blobs, self._catalog, self._blobs = self._catalog, self._blobs, None, None
        try:
            if blobs is not None:
                await blobs.close()
        finally:
            if catalog is not None:
                await catalog.close()


def who_operates(user_id: int) -> Principal:
    """Name who runs the command by the login of a user of this host, or by the number of one without."""
    try:
        login = pwd.getpwuid(user_id).pw_name
    except KeyError:
        login = str(user_id)
    return Principal(f"operator:{login}")


def read_duration(text: str) -> datetime.timedelta:
    """
    Read a length of time such as `30d`, `12h`, `5m` or `60s`.

    Raises:
        ValueError: anything else, zero included.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a length of time: {text[:32]!r}")
    return datetime.timedelta(**{_DURATION_UNITS[match[2]]: int(match[1])})


def show_time(time: datetime.datetime | None) -> str | None:
    """Return a time as RFC 3339 to the second, in UTC."""
    return None if time is None else time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
