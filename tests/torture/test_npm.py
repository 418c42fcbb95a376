"""A great tarball inside a JSON document, and documents of thousands of versions, in constant memory."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import pathlib
import tarfile
from collections.abc import Iterator

from tests.support.cases import DaemonTestCase
from tests.support.npm_many import add_versions

MIB = 1 << 20
TARBALL_BYTES = int(float(os.environ.get("PKGREGD_TORTURE_GIB", "1")) * 400) * MIB
GROWTH_BYTES = 40 * MIB
"""What the daemon may take for it: far below the tarball."""

PIECE_BYTES = 3 << 16
MANIFEST = {"name": "great", "version": "1.0.0"}


def write_tarball(path: pathlib.Path) -> None:
    """Write a package with one great file, stored and not compressed."""
    package = json.dumps(MANIFEST).encode()
    block = os.urandom(MIB)
    with tarfile.open(path, "w:gz", compresslevel=0) as archive:
        for name, data in [("package.json", package), *((f"{number}.bin", block) for number in range(_blocks()))]:
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _blocks() -> int:
    return TARBALL_BYTES // MIB


def document(path: pathlib.Path) -> Iterator[bytes]:
    """Write the document that publishes a tarball."""
    size_bytes = path.stat().st_size
    rest = json.dumps({"versions": {"1.0.0": MANIFEST}, "dist-tags": {"latest": "1.0.0"}})[1:]
    yield f'{{"name":"great","_attachments":{{"great-1.0.0.tgz":{{"length":{size_bytes},"data":"'.encode()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield base64.b64encode(piece)
    yield f'"}}}},{rest}'.encode()


class GreatTarballTests(DaemonTestCase):
    """The daemon's peak of resident memory while a tarball goes through it."""

    def send(self, pieces: Iterator[bytes], size_bytes: int) -> tuple[int, bytes]:
        """Send a document; returns status and body of the answer."""
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer, "Content-Length": str(size_bytes)}
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=120)
        try:
            path = self.daemon.packages_path("npm", self.daemon.world.private_id)
            connection.request("PUT", f"{path}/great", pieces, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def test_published_in_constant_memory(self) -> None:
        """It is published, and the daemon has grown by a small part of it."""
        path = pathlib.Path(self.mktemp())
        write_tarball(path)
        size_bytes = sum(map(len, document(path)))
        self.daemon.reset_peak()
        before = self.daemon.resident_bytes()
        status, answer = self.send(document(path), size_bytes)
        self.assertEqual(status, 200, answer)
        self.assertLess(self.daemon.peak_bytes() - before, GROWTH_BYTES)
        headers = {"PRIVATE-TOKEN": self.daemon.world.reader}
        where = f"{self.daemon.packages_path('npm', self.daemon.world.private_id)}/great/-/great-1.0.0.tgz"
        status, found, _ = self.daemon.get(where, headers, "HEAD")
        self.assertEqual((status, found["Content-Length"]), (200, str(path.stat().st_size)))
        path.unlink()


VERSIONS = 5000


class ManyVersionsTests(DaemonTestCase):
    """A package with thousands of versions."""

    def test_all_deprecated_in_constant_memory(self) -> None:
        """The whole document comes back with a word at each version, and the daemon grows by a small part of it."""
        project_id = self.daemon.world.private_id
        add_versions(self.daemon, int(project_id), "many", VERSIONS)
        token = self.daemon.cli(
            "token", "add", "--kind", "project", "--project", "acme/private", "--role", "maintainer",
            "--scope", "api", "--name", "maintainer",
        )  # fmt: skip
        path = f"{self.daemon.packages_path('npm', project_id)}/many"
        document = json.loads(self.daemon.get(path, {"PRIVATE-TOKEN": token})[2])
        for version in document["versions"].values():
            version["deprecated"] = "use another"
        body = json.dumps(document).encode()
        self.daemon.reset_peak()
        before = self.daemon.resident_bytes()
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=120)
        connection.request("PUT", path, body, {"PRIVATE-TOKEN": token})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200, answer.read())
        connection.close()
        self.assertLess(self.daemon.peak_bytes() - before, len(body))
        document = json.loads(self.daemon.get(path, {"PRIVATE-TOKEN": token})[2])
        self.assertEqual(
            [version["deprecated"] for version in document["versions"].values()], ["use another"] * VERSIONS
        )
