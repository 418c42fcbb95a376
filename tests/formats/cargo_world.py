"""What tests of the Cargo format share: crates, publish requests, and a world with the format."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.formats.cargo import CargoFormat
from pkgregd.testing.calls import FormatWorld, body_of, cut, now
from pkgregd.values import Reply
from tests.support.archives import member, tar_gz

NEW = "/api/v1/crates/new"
VERSION = "/api/v1/crates/<segment:name>/<segment:version>"
DOWNLOAD = f"{VERSION}/download"
SHORT_DOWNLOAD = "/<segment:name>/<segment:version>/download"
FILE = "/<segment:first>/<segment:second>/<segment:name>"
OWNERS = "/api/v1/crates/<segment:name>/owners"
SEARCH = "/api/v1/crates"

OURS = "sparse+http://127.0.0.1/api/v4/projects/1/packages/toy/"
"""The index of the world's first project, at another address of its host."""

ELSEWHERE = "sparse+https://other.example.com/index/"


def manifest(name: str = "demo", version: str = "1.0.0", more: str = "") -> bytes:
    """Write Cargo.toml."""
    return f'[package]\nname = "{name}"\nversion = "{version}"\n{more}'.encode()


def crate(name: str = "demo", version: str = "1.0.0", more: str = "", *, source: bytes = b"// 1\n") -> bytes:
    """Make a crate."""
    folder = f"{name}-{version}".encode()
    toml = manifest(name, version, more)
    return tar_gz(member(folder + b"/Cargo.toml", toml), member(folder + b"/src/lib.rs", source))


def metadata(name: str = "demo", version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    """Make what cargo says of a crate."""
    fields: dict[str, Any] = {
        "name": name, "vers": version, "deps": [], "features": {}, "authors": [], "description": "A demo",
        "documentation": None, "homepage": None, "readme": None, "readme_file": None, "keywords": ["rusty"],
        "categories": [], "license": "MIT", "license_file": None, "repository": None, "badges": {}, "links": None,
        "rust_version": None,
    }  # fmt: skip
    return {**fields, **more}


def dependency(name: str = "base", requirement: str = "^1", **more: Any) -> dict[str, Any]:
    """Make what cargo says of a dependency on a crate of the same registry."""
    fields: dict[str, Any] = {
        "optional": False, "default_features": True, "name": name, "features": [], "version_req": requirement,
        "target": None, "kind": "normal",
    }  # fmt: skip
    return {**fields, **more}


def frame(said: object, data: bytes) -> bytes:
    """Write a publish request."""
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    return struct.pack("<I", len(text)) + text + struct.pack("<I", len(data)) + data


class CargoTestCase(SynchronousTestCase):
    """A world with the Cargo format."""

    def setUp(self) -> None:
        """Make the world."""
        self.world = FormatWorld(CargoFormat())

    def put(self, body: bytes, *, path: str = "acme/one", cuts: Sequence[int] = ()) -> Reply:
        """Send a publish request."""
        return self.world.request("PUT", NEW, *cut(body, *cuts), path=path)

    def publish(
        self, name: str = "demo", version: str = "1.0.0", more: str = "", *, path: str = "acme/one",
        said: Mapping[str, Any] | None = None, source: bytes = b"// 1\n",
    ) -> bytes:  # fmt: skip
        """Publish a crate; returns its bytes."""
        data = crate(name, version, more, source=source)
        reply = self.put(frame(metadata(name, version, **(said or {})), data), path=path)
        self.assertEqual(reply.status, 200)
        return data

    def page(self, name: str = "demo", path: str = "acme/one") -> Reply:
        """Ask for the index file of a crate with four letters or more."""
        lower = name.lower()
        return self.world.request("GET", FILE, path=path, first=lower[:2], second=lower[2:4], name=name)

    def index(self, name: str = "demo", path: str = "acme/one") -> list[dict[str, Any]]:
        """Read the index file of a crate."""
        return [json.loads(line) for line in body_of(self.page(name, path)).splitlines()]

    def snapshot(self) -> object:
        """Look at all that a publish request could leave."""
        names = now(self.world.remote().list_names())
        state = now(self.world.remote().index_state("demo"))
        return dict(self.world.blobs.contents), self.world.is_clean(), names, state

    def assert_refused(self, error: type[Exception], body: bytes, **more: Any) -> str:
        """Fail unless a publish request is refused and leaves nothing; returns why."""
        before = self.snapshot()
        refused = self.assertRaises(error, self.put, body, **more)
        self.assertEqual(self.snapshot(), before)
        return str(refused)
