"""NuGet packages, and a world to push them to."""

from __future__ import annotations

import json
import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.formats.nuget import NuGetFormat
from pkgregd.testing.calls import FormatWorld, body_of
from pkgregd.values import Reply
from tests.support.archives import make_zip

B = "boundary"
SYMBOLS = '<packageTypes><packageType name="SymbolsPackage"/></packageTypes>'
PDB_ID = bytes.fromhex("64b3c4b64eaffd48b4974d7cdfbd58a2") + bytes(4)
SIGNATURE = "b6c4b364af4e48fdb4974d7cdfbd58a2ffffffff"
"""What debuggers ask for PDB_ID by."""


def nuspec(name: str = "Acme.Lib", version: str = "1.0.0", more: str = "") -> bytes:
    """Write a nuspec."""
    return (
        '<?xml version="1.0"?><package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"><metadata '
        f'minClientVersion="2.12"><id>{name}</id><version>{version}</version><authors>Ann</authors>'
        f"<description>Does things</description>{more}</metadata></package>"
    ).encode()


def nupkg(name: str = "Acme.Lib", version: str = "1.0.0", more: str = "", payload: bytes = b"dll") -> bytes:
    """Write a package."""
    return make_zip([(f"{name}.nuspec", nuspec(name, version, more)), ("lib/net6.0/x.dll", payload)])


def pdb(pdb_id: bytes = PDB_ID, body: bytes = b"", *, streams: int = 3) -> bytes:
    """Write a portable PDB: a metadata root, and its streams one behind the other."""
    names = [*(b"#~", b"#Strings", b"#Blob", b"#GUID", b"#US")[: streams - 1], b"#Pdb"]
    padded = [name + bytes(4 - len(name) % 4) for name in names]
    data = [bytes(24)] * (streams - 1) + [pdb_id + bytes(12) + body]
    root = struct.pack("<4s2H2L", b"BSJB", 1, 1, 0, 12) + b"PDB v1.0".ljust(12, b"\0") + struct.pack("<2H", 0, streams)
    at = len(root) + sum(8 + len(name) for name in padded)
    for name, stream in zip(padded, data, strict=True):
        root += struct.pack("<2L", at, len(stream)) + name
        at += len(stream)
    return root + b"".join(data)


def snupkg(
    name: str = "Acme.Lib",
    version: str = "1.0.0",
    more: str = SYMBOLS,
    files: dict[str, bytes] | None = None,
) -> bytes:
    """Write a symbol package."""
    found = {"lib/net6.0/Acme.Lib.pdb": pdb()} if files is None else files
    return make_zip([(f"{name}.nuspec", nuspec(name, version, more)), *found.items()])


def form(data: bytes, field: str = "package", file_name: str = "package.nupkg") -> bytes:
    """Write the form of a push, as nuget.exe does."""
    head = (
        f"--{B}\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Disposition: form-data; name={field}; filename={file_name}; "
        f"filename*=utf-8''{file_name}\r\n\r\n"
    )
    return head.encode() + data + f"\r\n--{B}--\r\n".encode()


FORM_HEADERS = {"Content-Type": f'multipart/form-data; boundary="{B}"'}


class NuGetTestCase(SynchronousTestCase):
    """A world with NuGet packages."""

    def setUp(self) -> None:
        """Make the world."""
        self.world = FormatWorld(NuGetFormat())

    def push(self, data: bytes, path: str = "acme/one", field: str = "package") -> Reply:
        """Push a package as nuget.exe does."""
        return self.world.request("PUT", "/", form(data, field), path=path, headers=FORM_HEADERS)

    def push_symbols(self, data: bytes, path: str = "acme/one") -> Reply:
        """Push a symbol package as nuget.exe does."""
        body = form(data, file_name="package.snupkg")
        return self.world.request("PUT", "/symbolpackage/", body, path=path, headers=FORM_HEADERS)

    def publish(self, *versions: str, name: str = "Acme.Lib", more: str = "", path: str = "acme/one") -> None:
        """Push versions of a package."""
        for version in versions:
            self.assertEqual(self.push(nupkg(name, version, more), path).status, 201)

    def get(self, rule: str, path: str = "acme/one", queries: dict[str, str] | None = None, **arguments: str) -> Any:
        """Read a document."""
        return json.loads(body_of(self.world.request("GET", rule, path=path, queries=queries or {}, **arguments)))

    def registration(self, name: str = "acme.lib", path: str = "acme/one") -> Any:
        """Read the registration of a name."""
        return self.get("/metadata/<segment:id>/index.json", path, id=name)

    def versions(self, name: str = "acme.lib") -> list[str]:
        """List the versions in the flat container."""
        found: list[str] = self.get("/download/<segment:id>/index.json", id=name)["versions"]
        return found

    def download(self, name: str, version: str, file: str) -> bytes:
        """Fetch a file of the flat container."""
        rule = "/download/<segment:id>/<segment:version>/<segment:file>"
        return body_of(self.world.request("GET", rule, id=name, version=version, file=file))

    def search(self, text: str = "", path: str = "acme/one", **queries: str) -> tuple[int, list[tuple[str, str]]]:
        """Search; returns how many there are, and ids with versions."""
        found = self.get("/query", path, {"q": text, **queries})
        return found["totalHits"], [(entry["id"], entry["version"]) for entry in found["data"]]
