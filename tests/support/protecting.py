"""Adding protection rules to the projects of a daemon, as a script does."""

from __future__ import annotations

import functools
import json
import urllib.request
from collections.abc import Mapping

from tests.support.daemon import Daemon

LEVELS = "minimum_access_level_for_"


def protect(daemon: Daemon, format: str, pattern: str, **levels: str) -> Mapping[str, object]:
    """
    Add a rule to the private project.

    Args:
        levels: `push`, `delete` or both of them.

    Returns:
        What is told of it.
    """
    fields = {
        "package_name_pattern": pattern,
        "package_type": format,
        **{LEVELS + act: level for act, level in levels.items()},
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{daemon.port}/api/v4/projects/{daemon.world.private_id}/packages/protection/rules",
        json.dumps(fields).encode(),
        {"PRIVATE-TOKEN": keeper(daemon), "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        made: Mapping[str, object] = json.load(reply)
        return made


@functools.cache
def keeper(daemon: Daemon) -> str:
    """Have an owner of the group of the private project; returns a token."""
    daemon.cli("user", "add", "keeper")
    daemon.cli("member", "add", "keeper", daemon.world.group, "--role", "owner")
    return daemon.cli("token", "add", "--kind", "personal", "--user", "keeper", "--scope", "api").strip()
