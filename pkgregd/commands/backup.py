"""`backup`, `restore`: copies of the catalog."""

from __future__ import annotations

import pathlib
from argparse import Namespace

from pkgregd.commands.instance import Instance, Outcome


async def back_up(instance: Instance, arguments: Namespace) -> Outcome:
    """Copy the catalog to a file, while daemons work on it; answers the name of the file."""
    from pkgregd.catalog import back_up as write_copy

    config = instance.config
    write_copy(config.catalog.url, config.folder, pathlib.Path(arguments.file))
    return Outcome(arguments.file, {"file": arguments.file})


async def restore(instance: Instance, arguments: Namespace) -> Outcome:
    """Put a copy of the catalog where none is; answers the revision of its schema."""
    from pkgregd.catalog import restore as put_back
    from pkgregd.catalog.schema import REVISIONS

    config = instance.config
    revision = put_back(config.catalog.url, config.folder, pathlib.Path(arguments.file))
    is_old = revision != REVISIONS[-1]
    notes = ("the copy is of an older pkgregd: run `pkgregd --config FILE migrate`",) if is_old else ()
    return Outcome(revision, {"revision": revision}, notes)
