"""A package of npm with very many versions, written into the catalog of a daemon without their tarballs."""

from __future__ import annotations

import hashlib
import json

from twisted.internet.defer import Deferred

from pkgregd.catalog.postgresql import PostgresDatabase
from pkgregd.catalog.sql import SqlCatalog
from pkgregd.catalog.sqlite import SqliteDatabase
from pkgregd.values import ANONYMOUS, BlobInfo, Coordinates, Digest, Publication
from tests.catalog.support import PollingClock, ThreadedClock
from tests.support.catalogs import SQLITE_URL
from tests.support.daemon import Daemon

DEPENDENCIES = {f"dependency-{number}": f"^{number}.0.0" for number in range(12)}


def account(name: str, version: str) -> dict[str, object]:
    """Make what is kept of a version: as much as packages have."""
    people = [{"name": f"Person {number}", "email": f"person{number}@example.com"} for number in range(4)]
    return {
        "name": name, "version": version, "description": "does this and that", "main": "index.js", "license": "MIT",
        "dependencies": DEPENDENCIES, "devDependencies": DEPENDENCIES, "contributors": people,
        "scripts": {"test": "node test", "build": "node build"}, "engines": {"node": ">=18"},
        "repository": {"type": "git", "url": "git+https://git.example.com/acme/it.git"}, "_nodeVersion": "20.0.0",
    }  # fmt: skip


def add_versions(daemon: Daemon, project_id: int, name: str, count: int) -> None:
    """Publish versions 1.0.0, 1.0.1 and so on in the catalog of a daemon, which may run."""
    clock: ThreadedClock | PollingClock
    if daemon.catalog_url == SQLITE_URL:
        clock = ThreadedClock()
        catalog = SqlCatalog(SqliteDatabase(clock, daemon.folder / SQLITE_URL.partition(":")[2]))
    else:
        clock = PollingClock()
        catalog = SqlCatalog(PostgresDatabase(clock, daemon.catalog_url))

    for number in range(count):
        publication = _publication(project_id, name, f"1.0.{number}")
        clock.wait(Deferred.fromCoroutine(catalog.publish(publication, ANONYMOUS)))
    clock.wait(Deferred.fromCoroutine(catalog.close()))


def _publication(project_id: int, name: str, version: str) -> Publication:
    data = f"{name} {version}".encode()
    digests = {kind: hashlib.new(kind, data).hexdigest() for kind in ("sha1", "sha256", "sha512")}
    file_name = f"{name.rpartition('/')[2]}-{version}.tgz"
    return Publication(
        Coordinates("npm", project_id, name, name, version, version, file_name),
        BlobInfo(Digest.sha256(digests["sha256"]), len(data), "nowhere", digests),
        file_metadata_json=json.dumps(account(name, version)),
    )
