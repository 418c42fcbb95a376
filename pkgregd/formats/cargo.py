"""
Rust crates: what `cargo publish` uploads, and a sparse index to build from.

At the addresses of GitLab's Cargo packages, with all that cargo can ask of a registry. The publish request is compared
with the Cargo.toml in the crate, in everything that resolvers go by; a version never changes and never comes back as
something else; names that cargo takes for one are one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from zope.interface import implementer

from pkgregd.formats.cargo_commands import change_owners, list_owners, search, unyank, yank
from pkgregd.formats.cargo_downloads import file_lookup, send_crate
from pkgregd.formats.cargo_frame import FRAME_OVERHEAD_BYTES
from pkgregd.formats.cargo_index import index_lookup, show_config, show_crate
from pkgregd.formats.cargo_metadata import FORMAT
from pkgregd.formats.cargo_names import canonical_name
from pkgregd.formats.cargo_publish import publish
from pkgregd.interfaces import IPackageFormat
from pkgregd.values import FormatLimits, Level, Permission, Refusal, Reply, Route

_READ_LEVELS = frozenset({Level.PROJECT, Level.GROUP})
_CRATES = "/api/v1/crates"
_VERSION = f"{_CRATES}/<segment:name>/<segment:version>"
_OWNERS = f"{_CRATES}/<segment:name>/owners"
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

    def routes(self) -> Sequence[Route]:
        """See IPackageFormat."""
        read, create, destroy = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE, Permission.DESTROY_PACKAGE
        downloads = ("/<segment:name>/<segment:version>/download", f"{_VERSION}/download")
        return (
            Route(("GET",), "/config.json", read, show_config, _READ_LEVELS),
            *(
                Route(("GET",), path, read, partial(show_crate, folders=folders), _READ_LEVELS, foresee=index_lookup)
                for path, folders in _INDEX_FOLDERS.items()
            ),
            *(Route(("GET",), path, read, send_crate, _READ_LEVELS, foresee=file_lookup) for path in downloads),
            Route(("PUT",), f"{_CRATES}/new", create, publish, body_overhead_bytes=FRAME_OVERHEAD_BYTES),
            Route(("DELETE",), f"{_VERSION}/yank", destroy, yank),
            Route(("PUT",), f"{_VERSION}/unyank", destroy, unyank),
            Route(("GET",), _OWNERS, read, list_owners, _READ_LEVELS),
            Route(("PUT", "DELETE"), _OWNERS, destroy, change_owners),
            Route(("GET",), _CRATES, read, search, _READ_LEVELS),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Say what is wrong where cargo looks for it."""
        fields = {"errors": [{"detail": refusal.message}], "error": refusal.code, "request_id": refusal.request_id}
        return Reply(refusal.status, json.dumps(fields).encode(), "application/json")
