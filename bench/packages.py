"""Packages of npm, NuGet, Cargo and Maven, as the requests that publish them, and great ones as files."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from bench.load import Call, make_call
from bench.tally import Server
from tests.formats import cargo_world
from tests.support.archives import make_zip
from tests.support.npm import make_document, make_package
from tests.support.packages import BOUNDARY
from tests.support.rawhttp import repeated

GROUP_ID = "com.acme"
JSON_BODY = {"Content-Type": "application/json"}

FORM_HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="package"; filename="package.nupkg"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
FORM_END = f"\r\n--{BOUNDARY}--\r\n".encode()


class NpmServer(Server, Protocol):
    """Whoever takes and sends npm packages; `npm_path` is that of the registry, without a slash at its end."""

    name: str
    npm_path: str
    secret: str

    @property
    def token(self) -> Mapping[str, str]:
        """What authorises a request."""


class PackagesServer(Server, Protocol):
    """Whoever takes packages of all formats."""

    @property
    def token(self) -> Mapping[str, str]:
        """What authorises a request."""

    def packages_path(self, format: str) -> str:
        """Return the URL path of a format."""


def publish_npm(server: NpmServer, name: str, version: str, code: bytes = b"module.exports = 42\n") -> Call:
    """Publish an npm package of one module."""
    manifest = {"name": name, "version": version, "description": "Does things", "main": "index.js", "license": "MIT"}
    document = make_document(manifest, make_package(manifest, code))
    return make_call("PUT", f"{server.npm_path}/{name}", {**server.token, **JSON_BODY}, [json.dumps(document).encode()])


def push_nuget(server: PackagesServer, name: str, version: str) -> Call:
    """Push a NuGet package."""
    nuspec = (
        f'<?xml version="1.0"?><package><metadata><id>{name}</id><version>{version}</version><authors>Ann</authors>'
        "<description>Does things</description></metadata></package>"
    )
    data = make_zip([(f"{name}.nuspec", nuspec.encode()), ("lib/net6.0/x.dll", b"dll")])
    headers = {**server.token, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return make_call("PUT", f"{server.packages_path('nuget')}/", headers, [FORM_HEAD, data, FORM_END])


def crates_index(server: PackagesServer) -> str:
    """Return where cargo finds the index."""
    return f"sparse+http://127.0.0.1:{server.port}{server.packages_path('cargo')}/"


def publish_crate(server: PackagesServer, name: str, version: str, needs: Sequence[str] = ()) -> Call:
    """Publish a crate, which may need the first versions of others."""
    listed = "".join(
        f'[dependencies.{need}]\nversion = "1"\nregistry-index = "{crates_index(server)}"\n' for need in needs
    )
    data = cargo_world.crate(name, version, f'edition = "2021"\n{listed}', source=_uses(needs))
    said = cargo_world.metadata(name, version, deps=[cargo_world.dependency(need) for need in needs])
    path = f"{server.packages_path('cargo')}/api/v1/crates/new"
    return make_call("PUT", path, server.token, [cargo_world.frame(said, data)])


def _uses(needs: Sequence[str]) -> bytes:
    total = " + ".join(["1", *(f"{need.replace('-', '_')}::answer()" for need in needs)])
    return f"pub fn answer() -> u64 {{ {total} }}\n".encode()


def deploy_jar(server: PackagesServer, artifact_id: str, version: str, jar: bytes) -> Iterator[Call]:
    """Publish a jar and the POM that belongs to it."""
    pom = f"<project><modelVersion>4.0.0</modelVersion>{coordinates(artifact_id, version)}</project>"
    folder = f"{server.packages_path('maven')}/{GROUP_ID.replace('.', '/')}/{artifact_id}/{version}"
    for ending, data in (("jar", jar), ("pom", pom.encode())):
        yield make_call("PUT", f"{folder}/{artifact_id}-{version}.{ending}", server.token, [data])


def coordinates(artifact_id: str, version: str) -> str:
    """Say which Maven package, as a POM does."""
    return f"<groupId>{GROUP_ID}</groupId><artifactId>{artifact_id}</artifactId><version>{version}</version>"


def write_tarball(path: pathlib.Path, name: str, version: str, size_bytes: int) -> None:
    """Write an npm package with one module of that size, which does not compress."""
    manifest = json.dumps({"name": name, "version": version}).encode()
    with gzip.open(path, "wb", compresslevel=0) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        archive.addfile(_member("package.json", len(manifest)), io.BytesIO(manifest))
        archive.addfile(_member("index.js", size_bytes), io.BufferedReader(_Repeated(size_bytes)))


def _member(name: str, size_bytes: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"package/{name}")
    member.size = size_bytes
    return member


class _Repeated(io.RawIOBase):
    """A file of random bytes that come again and again."""

    def __init__(self, size_bytes: int) -> None:
        self._pieces = repeated(size_bytes)
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # whoever reads it gives that
        self._piece = self._piece or next(self._pieces, memoryview(b""))
        count = min(len(buffer), len(self._piece))
        buffer[:count], self._piece = self._piece[:count], self._piece[count:]
        return count


def write_jar(path: pathlib.Path, mark: str, size_bytes: int) -> None:
    """Write a jar with one file of that size, which is stored as it is, and a small one that holds a mark."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mark.txt", mark)
        with archive.open("data.bin", "w", force_zip64=True) as member:
            for piece in repeated(size_bytes):
                member.write(piece)
