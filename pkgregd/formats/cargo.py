"""
Rust crates: what `cargo publish` uploads, and a sparse index to build from.

At the addresses of GitLab's Cargo packages, with all that cargo can ask of a registry. The publish request is compared
with the Cargo.toml in the crate, in everything that resolvers go by; a version never changes and never comes back as
something else; names that cargo takes for one are one.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from zope.interface import implementer

from pkgregd.formatkit.challenges import demand_known
from pkgregd.formats.cargo_commands import change_owners, list_owners, search, unyank, yank
from pkgregd.formats.cargo_downloads import file_lookup, owner, send_crate
from pkgregd.formats.cargo_frame import FRAME_OVERHEAD_BYTES
from pkgregd.formats.cargo_index import index_lookup, show_config, show_crate
from pkgregd.formats.cargo_metadata import FORMAT
from pkgregd.formats.cargo_names import canonical_name, canonical_pattern, owner_of
from pkgregd.formats.cargo_publish import publish
from pkgregd.interfaces import ICall, IPackageFormat
from pkgregd.values import AccountPermission, FormatLimits, Level, Permission, Refusal, Reply, Route

_GROUP, _INSTANCE = frozenset({Level.GROUP}), frozenset({Level.INSTANCE})
_API_LEVELS = frozenset({Level.PROJECT, Level.GROUP})
"""Where there is more than an index and crates: what is searched, or asked about an owner, has no group to be in."""

_MEMBERS = "/members"
"""Where groups and the instance have an index that asks for a token: of what its bearer may read."""

_CONFIG = "/config.json"
_CRATES = "/api/v1/crates"
_VERSION = f"{_CRATES}/<segment:name>/<segment:version>"
_OWNERS = f"{_CRATES}/<segment:name>/owners"
_DOWNLOADS = ("/<segment:name>/<segment:version>/download", f"{_VERSION}/download")
_INDEX_FOLDERS = {
    "/1/<segment:name>": "1",
    "/2/<segment:name>": "2",
    "/3/<segment:first>/<segment:name>": "3/{first}",
    "/<segment:first>/<segment:second>/<segment:name>": "{first}/{second}",
}
"""Where index files are, by the path of the route."""


@implementer(IPackageFormat)
class CargoFormat:
    """See IPackageFormat."""

    name = FORMAT
    title = "Cargo"
    default_limits = FormatLimits(max_file_bytes=1 << 30)
    challenge: str | None = "Cargo"

    def canonical_name(self, name: str) -> str:
        """See IPackageFormat."""
        return canonical_name(name)

    def canonical_pattern(self, pattern: str) -> str:
        """See IPackageFormat."""
        return canonical_pattern(pattern)

    def routes(self) -> Sequence[Route]:
        """See IPackageFormat."""
        read, create, destroy = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE, Permission.DESTROY_PACKAGE
        anybody, somebody = AccountPermission.NOTHING, AccountPermission.READ_USER
        members_config = partial(show_config, folder=_MEMBERS)
        return (
            Route(("GET",), _CONFIG, read, show_config, _API_LEVELS),
            Route(("GET",), _CONFIG, anybody, show_config, _INSTANCE),
            Route(("GET",), f"{_MEMBERS}{_CONFIG}", read, partial(demand_known, members_config), _GROUP),
            Route(("GET",), f"{_MEMBERS}{_CONFIG}", somebody, members_config, _INSTANCE),
            *_reading("", _API_LEVELS, lambda handler: handler),
            *_reading(_MEMBERS, _GROUP, lambda handler: partial(demand_known, handler)),
            Route(("PUT",), f"{_CRATES}/new", create, publish, body_overhead_bytes=FRAME_OVERHEAD_BYTES),
            Route(("DELETE",), f"{_VERSION}/yank", destroy, yank),
            Route(("PUT",), f"{_VERSION}/unyank", destroy, unyank),
            Route(("PUT", "DELETE"), _OWNERS, destroy, change_owners),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Say what is wrong where cargo looks for it."""
        fields = {"errors": [{"detail": refusal.message}], "error": refusal.code, "request_id": refusal.request_id}
        return Reply(refusal.status, json.dumps(fields).encode(), "application/json")


Handler: TypeAlias = Callable[[ICall], Awaitable[Reply]]


def _reading(prefix: str, api_levels: frozenset[Level], guarded: Callable[[Handler], Handler]) -> Iterator[Route]:
    """Make the routes that read an index and what belongs to it; index and crates at the instance, too."""
    read, levels = Permission.READ_PACKAGE, api_levels | _INSTANCE
    for path, folders in _INDEX_FOLDERS.items():
        shown = guarded(partial(show_crate, folders=folders))
        yield Route(("GET",), prefix + path, read, shown, levels, foresee=index_lookup, owner=_owner)
    for path in _DOWNLOADS:
        yield Route(("GET",), prefix + path, read, guarded(send_crate), levels, foresee=file_lookup, owner=owner)
    yield Route(("GET",), prefix + _OWNERS, read, guarded(list_owners), api_levels)
    yield Route(("GET",), prefix + _CRATES, read, guarded(search), api_levels)


def _owner(arguments: Mapping[str, str]) -> str:
    return owner_of(arguments["name"])
