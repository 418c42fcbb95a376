"""Tables of routes, and formats."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from zope.interface import Attribute, Interface

from pkgregd.values import FileRecord, FormatLimits, Refusal, Reply, Route, SupersededBuild


class IRouteTable(Interface):
    """Routes that belong together, each behind the same guards. Never sees a request."""

    name: str = Attribute("short name")
    challenge: str | None = Attribute("value of WWW-Authenticate on 401, or None")

    def routes() -> Sequence[Route]:
        """What is answered; the same each time."""

    def render_error(refusal: Refusal) -> Reply | None:
        """Dress an error in the shape that the clients of these routes know; None for the common JSON."""


class IStrictTable(Interface):
    """
    Marks a table of routes, or a format, where GitLab is strict about user names in Basic authentication.

    A user's token needs the user's name beside it, in any case of letters, a deploy token its own, and a job's token
    `gitlab-ci-token`.
    """


class IPackageFormat(IRouteTable):
    """
    One ecosystem: pure, stateless, never sees a store. Its name is also the URL segment, e.g. `pypi`.
    """

    title: str = Attribute("for people, e.g. `PyPI`")
    default_limits: FormatLimits = Attribute("what holds unless configured")

    def canonical_name(name: str) -> str:
        """
        Check a name and bring it to the form in which names are compared.

        Raises:
            InvalidName.
        """

    def canonical_pattern(pattern: str) -> str:
        """
        Bring a pattern for names to the form in which canonical names are compared with it.

        A name is compared in its canonical form, however it was written: so no other spelling slips past a pattern.

        Args:
            pattern: printable ASCII of a length that the caller has bounded; `*` stands for any letters, or none.

        Raises:
            InvalidName: no name could fit.
        """


class IReplacingFormat(IPackageFormat):
    """A format that leaves it to its limits whether other bytes may take the place of a file; see FormatLimits."""


class IBuildFormat(IPackageFormat):
    """A format of which some versions are made of builds, each of which takes the place of the one before."""

    def has_builds(version: str) -> bool:
        """Whether a version, as published, is one of those. Pure and quick."""

    def superseded(
        name: str,
        version: str,
        files: Sequence[FileRecord],
        keep_builds: int,
        settled_before: datetime.datetime,
    ) -> Sequence[SupersededBuild]:
        """
        Choose the builds of a version that newer ones have taken the place of. Pure; called off the reactor.

        Args:
            files: of the version, all of them or the oldest ones: no build may be chosen because a file is not there,
                unless it is one of the build's own.
            keep_builds: how many of the newest settled builds stay, at least 1.
            settled_before: a build whose last file is not older is still being published: it stays and does not count.

        Returns:
            Whole builds, oldest first; none that a client would be led to by the version's index.
        """
