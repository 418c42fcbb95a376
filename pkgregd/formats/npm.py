"""
npm packages: a registry that npm, pnpm, yarn and bun publish to and install from.

Compatible with GitLab's npm packages. Beyond it: tarballs stream while they arrive, their package.json is compared
with what installers resolve by, digests are verified, documents are abbreviated on demand and carry validators, tags
move with the version that they come with, and versions can be deprecated, unpublished and searched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from zope.interface import implementer

from pkgregd.formats.npm_accounts import account_routes
from pkgregd.formats.npm_changes import check_tag_path, list_tags, remove_tag, set_tag, unpublish
from pkgregd.formats.npm_downloads import download, lookup
from pkgregd.formats.npm_names import Place, canonical_name, canonical_pattern, owner_of
from pkgregd.formats.npm_provenance import split_coordinates, tell_attestations
from pkgregd.formats.npm_search import ping, search, tell_advisories, tell_audit, tell_keys
from pkgregd.formats.npm_upload import BODY_OVERHEAD_BYTES, FORMAT, change, check_change
from pkgregd.interfaces import IPackageFormat
from pkgregd.values import FormatLimits, Level, Permission, Refusal, Reply, Route

_PATH = "/<path:where>"
_ATTESTATIONS = "/-/npm/v1/attestations/<path:what>"
_TAGS = "/-/package/<path:name>/dist-tags"
_TAG = f"{_TAGS}/<segment:tag>"
_READ_LEVELS = frozenset({Level.PROJECT, Level.GROUP})
_ALL_LEVELS = _READ_LEVELS | {Level.INSTANCE}
_AUDITS = {
    "/-/npm/v1/security/advisories/bulk": tell_advisories,
    "/-/npm/v1/security/audits": tell_audit,
    "/-/npm/v1/security/audits/quick": tell_audit,
}
_TAKEN = "You cannot publish over the previously published versions"
_TAKEN_STATUS = 403


@implementer(IPackageFormat)
class NpmFormat:
    """See IPackageFormat."""

    name = FORMAT
    title = "npm"
    default_limits = FormatLimits(max_file_bytes=512 << 20, duplicates_allowed=False)
    challenge: str | None = 'bearer realm="pkgregd"'  # spelt otherwise npm takes it for a bad token and tells no more

    def canonical_name(self, name: str) -> str:
        """Check a name, `lib` or `@acme/lib`; names are compared as they are written."""
        return canonical_name(name)

    def canonical_pattern(self, pattern: str) -> str:
        """See IPackageFormat."""
        return canonical_pattern(pattern)

    def routes(self) -> Sequence[Route]:
        """See IPackageFormat."""
        read, create, destroy = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE, Permission.DESTROY_PACKAGE
        return (
            Route(("GET",), "/-/ping", read, ping, _READ_LEVELS),
            *account_routes(),
            Route(("GET",), "/-/v1/search", read, search, _READ_LEVELS),
            Route(("GET",), "/-/npm/v1/keys", read, tell_keys, _READ_LEVELS),
            Route(("GET",), _ATTESTATIONS, read, tell_attestations, _ALL_LEVELS, owner=_owner_by_coordinates),
            *(Route(("POST",), path, read, answer, _READ_LEVELS, is_question=True) for path, answer in _AUDITS.items()),
            Route(("GET",), _TAGS, read, list_tags, _ALL_LEVELS, owner=_owner_by_name),
            Route(("PUT",), _TAG, create, set_tag, check=check_tag_path),
            Route(("DELETE",), _TAG, destroy, remove_tag, check=check_tag_path),
            Route(("GET",), _PATH, read, download, _ALL_LEVELS, foresee=lookup, owner=_owner_by_path),
            Route(("PUT",), _PATH, create, change, check=check_change, body_overhead_bytes=BODY_OVERHEAD_BYTES),
            Route(("DELETE",), _PATH, destroy, unpublish),
        )

    def render_error(self, refusal: Refusal) -> Reply:
        """Say what is wrong where each of the clients looks for it."""
        is_taken = refusal.code == "file_exists"
        status = _TAKEN_STATUS if is_taken else refusal.status
        message = f"{_TAKEN}: {refusal.message}" if is_taken else refusal.message
        fields = {"error": message, "message": message, "code": refusal.code, "request_id": refusal.request_id}
        return Reply(status, json.dumps(fields).encode("ascii"), "application/json")


def _owner_by_path(arguments: Mapping[str, str]) -> str:
    return owner_of(Place.parse(arguments["where"]).name)


def _owner_by_coordinates(arguments: Mapping[str, str]) -> str:
    return owner_of(split_coordinates(arguments["what"])[0])


def _owner_by_name(arguments: Mapping[str, str]) -> str:
    return owner_of(arguments["name"])
