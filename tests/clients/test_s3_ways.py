"""A bucket over TLS with keys from the environment, and real clients that are sent to it for their bytes."""

from __future__ import annotations

import http.client
import json
import random
import ssl
from urllib.parse import urlsplit

from tests.clients.python_cases import PipTestCase, UvTestCase
from tests.support.cases import DaemonTestCase
from tests.support.clients import ClientTestCase, OverHttps
from tests.support.daemon import Daemon, script, wait_until
from tests.support.faults import FaultyProxy
from tests.support.npm_clients import NpmTestCase
from tests.support.seaweedfs import KEYS, s3_blobs, shared_seaweedfs

GREAT_BYTES = 300_000
"""More than a daemon streams through when it may send to the bucket."""


def great_text() -> str:
    """Return source code that no archive makes small."""
    return f'answer = 42\nrest = "{random.Random(11).randbytes(GREAT_BYTES).hex()}"\n'


class RedirectedCase(OverHttps, ClientTestCase):
    """A daemon on one host, whose bucket is on another."""

    shared_by = "redirects"

    def make_daemon(self) -> Daemon:
        """Make it, with redirects for all."""
        return Daemon(blobs=s3_blobs() + "\nredirect_downloads = true", external_scheme=self.external_scheme)

    def statuses(self, end: str) -> list[int]:
        """Return how requests for a path that ends so were answered; the log gathers its lines for a moment."""

        def written() -> list[int]:
            lines = [line[line.index("{") :] for line in self.daemon.log_text().splitlines() if '"request_id"' in line]
            found = [json.loads(line) for line in lines]
            return [line["status"] for line in found if line["method"] == "GET" and line["path"].endswith(end)]

        wait_until(lambda: bool(written()), "the line of a request")
        return written()


class PipTests(RedirectedCase, PipTestCase):
    """pip, with a token in the address of the index."""

    def test_install(self) -> None:
        """The wheel comes from the bucket, without the token."""
        name = self.package_name()
        path = self.write_wheel(name, "1.0", great_text())
        self.upload(path, name)
        self.assert_works(self.install(self.index_url(self.daemon.world.private_id), name))
        self.assertEqual(self.answer_of(name, path=self.target), "42")
        self.assertEqual(self.statuses(path.name), [307])

    def upload(self, path: object, name: str) -> None:
        """Upload by curl."""
        form = (f"name={name}", "version=1.0", f"content=@{path}")
        arguments = [part for field in form for part in ("--form", field)]
        self.assert_works(
            self.run_program(
                self.find("curl"), "--silent", "--show-error", "--fail-with-body", "--cacert", self.daemon.ca_file,
                "--user", f"__token__:{self.daemon.world.writer}", *arguments,
                self.upload_url(self.daemon.world.private_id),
            )
        )  # fmt: skip


class UvTests(RedirectedCase, UvTestCase):
    """uv, which asks for ranges of a wheel too."""

    def test_install(self) -> None:
        """The wheel comes from the bucket."""
        name = self.package_name()
        path = self.write_wheel(name, "1.0", great_text())
        self.assert_works(self.upload_files(path))
        self.assert_works(self.install(self.index_url(self.daemon.world.private_id), name))
        self.assertEqual(self.answer_of(name, path=str(self.folder / "target")), "42")
        self.assertEqual(set(self.statuses(path.name)), {307})


class NpmTests(RedirectedCase, NpmTestCase):
    """npm, with a token in its configuration."""

    def test_install(self) -> None:
        """The tarball comes from the bucket."""
        code = "module.exports = 42 // " + random.Random(12).randbytes(GREAT_BYTES).hex()
        self.assert_works(self.publish("1.0.0", code=code))
        self.assert_works(self.run_client("cache", "clean", "--force"))  # what it published is in there
        self.project()
        self.assert_works(self.in_project("install", self.name))
        self.assertEqual(self.installed_version(), "1.0.0")
        self.assertEqual(self.statuses("-1.0.0.tgz"), [307])


class CurlTests(RedirectedCase):
    """curl, which follows only when it is told to."""

    client = "curl"

    def test_download(self) -> None:
        """It gets the bytes from the daemon."""
        data = random.Random(13).randbytes(GREAT_BYTES)
        (self.folder / "big.bin").write_bytes(data)
        url = f"{self.daemon.packages_url('generic', self.daemon.world.private_id)}/big/1.0/big.bin"
        common = ("--silent", "--show-error", "--fail-with-body", "--cacert", self.daemon.ca_file,
                  "--header", f"PRIVATE-TOKEN: {self.daemon.world.writer}")  # fmt: skip
        self.assert_works(self.run_client(*common, "--upload-file", "big.bin", url))
        self.assert_works(self.run_client(*common, "--output", "back.bin", url))
        self.assertEqual((self.folder / "back.bin").read_bytes(), data)
        self.assertEqual(self.statuses("big.bin"), [200])


class PrivateServiceTests(DaemonTestCase):
    """A bucket behind TLS of a private authority, with keys from the environment."""

    def make_daemon(self) -> Daemon:
        """Make it, with a proxy that speaks TLS in front of SeaweedFS."""
        place = shared_seaweedfs().new_place()
        keys = (f"AWS_ACCESS_KEY_ID={KEYS.access_key_id}", f"AWS_SECRET_ACCESS_KEY={KEYS.secret_access_key}")
        program = ("env", *keys, f"AWS_REGION={place.region}", script("twistd"), "--nodaemon", "--pidfile=", "pkgregd")
        section = f'url = "s3://{place.bucket}/tls"\nendpoint_url = "https://localhost:PORT"\nca_file = "CA"'
        daemon = Daemon(blobs=section, program=program)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(daemon.certificates.chain, daemon.certificates.key)
        proxy = FaultyProxy(urlsplit(place.endpoint_url).port or 0, tls)
        text = daemon.config.read_text().replace("localhost:PORT", f"localhost:{proxy.port}")
        daemon.config.write_text(text.replace('ca_file = "CA"', f'ca_file = "{daemon.ca_file}"'))
        return daemon

    def test_there_and_back(self) -> None:
        """What is uploaded in several parts comes back."""
        data = random.Random(14).randbytes(12 << 20)
        path = f"{self.daemon.packages_path('generic', self.daemon.world.private_id)}/tls/1.0/a.bin"
        token = {"PRIVATE-TOKEN": self.daemon.world.writer}
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("PUT", path, data, token)
        self.assertEqual(connection.getresponse().status, 201)
        self.assertEqual(self.daemon.get(path, token)[::2], (200, data))

    def test_no_key_is_written_down(self) -> None:
        """Neither the configuration nor the log holds the secret."""
        self.assertNotIn(KEYS.secret_access_key, self.daemon.config.read_text() + self.daemon.log_text())
