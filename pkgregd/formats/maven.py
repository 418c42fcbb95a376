"""
Maven packages: a repository that Maven, Gradle and their like deploy to and resolve from.

Compatible with GitLab's Maven packages. Beyond it: metadata is made from what is published and always whole, every
checksum is compared, POMs are compared with their paths, releases never change, and errors say why.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus

from zope.interface import implementer

from pkgregd.formatkit.challenges import ask_who
from pkgregd.formats.maven_builds import superseded_builds
from pkgregd.formats.maven_downloads import download, lookup
from pkgregd.formats.maven_paths import check_name, check_name_pattern, owner_of
from pkgregd.formats.maven_upload import FORMAT, check_upload, upload
from pkgregd.formats.maven_versions import is_snapshot
from pkgregd.interfaces import IBuildFormat, IReplacingFormat
from pkgregd.values import (
    FileRecord,
    FormatLimits,
    Level,
    Permission,
    Refusal,
    Reply,
    Route,
    SupersededBuild,
)

_FILE = "/<path:file>"
_READ_LEVELS = frozenset({Level.PROJECT, Level.GROUP, Level.INSTANCE})
_STATUSES = {"digest_mismatch": HTTPStatus.CONFLICT}
"""Where GitLab answers something else than is usual here."""


@implementer(IBuildFormat, IReplacingFormat)
class MavenFormat:
    """See IPackageFormat, and IBuildFormat: the builds are those of snapshots."""

    name = FORMAT
    title = "Maven"
    default_limits = FormatLimits(max_file_bytes=3 << 30, duplicates_allowed=False)
    challenge: str | None = 'Basic realm="pkgregd"'

    def canonical_name(self, name: str) -> str:
        """Check a name, `com/acme/lib`; names are compared as they are written."""
        return check_name(name)

    def canonical_pattern(self, pattern: str) -> str:
        """See IPackageFormat."""
        return check_name_pattern(pattern)

    def routes(self) -> Sequence[Route]:
        """See IPackageFormat."""
        return (
            Route(("PUT",), _FILE, Permission.CREATE_PACKAGE, upload, check=check_upload),
            Route(
                ("GET",),
                _FILE,
                Permission.READ_PACKAGE,
                partial(ask_who, download),
                _READ_LEVELS,
                foresee=lookup,
                owner=_owner,
            ),
        )

    def has_builds(self, version: str) -> bool:
        """See IBuildFormat."""
        return is_snapshot(version)

    def superseded(
        self,
        name: str,
        version: str,
        files: Sequence[FileRecord],
        keep_builds: int,
        settled_before: datetime.datetime,
    ) -> Sequence[SupersededBuild]:
        """See IBuildFormat."""
        return superseded_builds(name, version, files, keep_builds, settled_before)

    def render_error(self, refusal: Refusal) -> Reply:
        """Say what is wrong as problem details, which Maven's newer transports show."""
        status = HTTPStatus(_STATUSES.get(refusal.code, refusal.status))
        fields = {
            "type": "about:blank",
            "status": status.value,
            "title": status.phrase,
            "detail": refusal.message,
            "error": refusal.code,
            "message": f"{status.value} {status.phrase} - {refusal.message}",
            "request_id": refusal.request_id,
        }
        return Reply(status.value, json.dumps(fields).encode(), "application/problem+json")


def _owner(arguments: Mapping[str, str]) -> str:
    return owner_of(arguments["file"])
