"""HTTP libraries that other clients are made of: each reads a refusal that comes while it still sends 5 MiB."""

from __future__ import annotations

import sys
from typing import ClassVar

from tests.support.clients import ClientTestCase, OverHttps

BODY_BYTES = 5 << 20


class LibraryTestCase(ClientTestCase):
    """
    Runs a short program which uploads with a wrong token and prints the status that it sees.

    Attributes:
        source: of the program, whose arguments are the URL and the size of the body.
    """

    source: ClassVar[str]

    def upload(self, size_bytes: int = BODY_BYTES) -> str:
        """Run the program; returns what it prints."""
        url = self.daemon.packages_url("generic", self.daemon.world.private_id) + "/library/1.0/refused.bin"
        script = self.folder / "upload"
        script.write_text(self.source)
        environment = {
            "SSL_CERT_FILE": self.daemon.ca_file,
            "REQUESTS_CA_BUNDLE": self.daemon.ca_file,
            "NODE_EXTRA_CA_CERTS": self.daemon.ca_file,
        }
        run = self.run_client(str(script), url, str(size_bytes), env=environment)
        return self.assert_works(run).strip()

    def assert_sees_the_refusal(self) -> None:
        """Fail unless the library sees 401, five times in a row: it is a race."""
        self.assertEqual([self.upload() for _ in range(5)], ["401"] * 5)


class PythonLibraryTestCase(LibraryTestCase):
    """Programs for our interpreter."""

    client = "python"

    def find(self, name: str, environment: str = "") -> str:
        """Return our interpreter, which has the libraries."""
        return sys.executable


class HttpClientTests(PythonLibraryTestCase):
    """Python's own http.client."""

    source = """
import http.client, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
make = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
connection = make(url.hostname, url.port, timeout=60)
body = bytes(int(sys.argv[2]))
connection.request("PUT", url.path, body, {"PRIVATE-TOKEN": "nonsense"})
print(connection.getresponse().status)
"""

    def test_early_refusal(self) -> None:
        """http.client writes all of the body before it reads, and does not know of broken pipes."""
        self.assert_sees_the_refusal()


class HttpClientOverHttpsTests(OverHttps, HttpClientTests):
    """The same over HTTPS."""


class Urllib3Tests(PythonLibraryTestCase):
    """urllib3, below pip and twine."""

    source = """
import sys, os, urllib3
pool = urllib3.PoolManager(ca_certs=os.environ["SSL_CERT_FILE"], retries=False)
answer = pool.request("PUT", sys.argv[1], body=bytes(int(sys.argv[2])), headers={"PRIVATE-TOKEN": "nonsense"})
print(answer.status)
"""

    def test_early_refusal(self) -> None:
        """urllib3 reads the status."""
        self.assert_sees_the_refusal()


class Urllib3OverHttpsTests(OverHttps, Urllib3Tests):
    """The same over HTTPS."""


class RequestsTests(PythonLibraryTestCase):
    """requests with a body that is a generator, so chunked."""

    source = """
import sys, requests
pieces = (bytes(65536) for _ in range(int(sys.argv[2]) // 65536))
print(requests.put(sys.argv[1], data=pieces, headers={"PRIVATE-TOKEN": "nonsense"}, timeout=60).status_code)
"""

    def test_early_refusal_of_a_chunked_body(self) -> None:
        """requests reads the status."""
        self.assert_sees_the_refusal()


class RequestsOverHttpsTests(OverHttps, RequestsTests):
    """The same over HTTPS."""


class NodeHttpTests(LibraryTestCase):
    """Node's http and https modules."""

    client = "node"
    source = """
const url = new URL(process.argv[2]);
const library = require(url.protocol === "https:" ? "https" : "http");
const size = Number(process.argv[3]);
const options = {method: "PUT", headers: {"PRIVATE-TOKEN": "nonsense", "Content-Length": size}};
const request = library.request(url, options, (answer) => {
  console.log(answer.statusCode);
  answer.resume();
  answer.on("end", () => process.exit(0));
});
request.on("error", (error) => { console.log(error.code); process.exit(1); });
request.end(Buffer.alloc(size));
"""

    def test_early_refusal(self) -> None:
        """Node reads the status."""
        self.assert_sees_the_refusal()


class NodeHttpOverHttpsTests(OverHttps, NodeHttpTests):
    """The same over HTTPS."""


class NodeFetchTests(LibraryTestCase):
    """Node's fetch()."""

    client = "node"
    source = """
const options = {method: "PUT", headers: {"PRIVATE-TOKEN": "nonsense"}, body: Buffer.alloc(Number(process.argv[3]))};
fetch(process.argv[2], options)
  .then(async (answer) => { await answer.text(); console.log(answer.status); })
  .catch((error) => { console.log(String(error.cause || error)); process.exit(1); });
"""

    def test_early_refusal(self) -> None:
        """fetch() resolves to the answer."""
        self.assert_sees_the_refusal()


class NodeFetchOverHttpsTests(OverHttps, NodeFetchTests):
    """The same over HTTPS."""
