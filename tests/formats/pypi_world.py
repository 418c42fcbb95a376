"""What tests of the Python format share: packages, forms, pages, and a world with the format."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.formats.pypi import PyPIFormat
from pkgregd.testing.calls import FormatWorld, body_of, cut
from pkgregd.values import Reply
from tests.formatkit.test_archives import make_zip
from tests.support.packages import WHEEL_TEXT

NAMES = "/simple/"
FILES = "/simple/<segment:name>/"
INTEGRITY = "/integrity/<segment:name>/<segment:version>/<segment:file_name>/provenance"
TOY = "http://registry.example.com/api/v4/projects/1/packages/toy"
FILE = "/files/<segment:sha256>/<segment:file_name>"

BASE = "https://registry.example.com/api/v4/projects/1/packages/pypi"
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
B = "xyzzy"

Fields = Sequence[tuple[str, str]]


def sha256(data: bytes) -> str:
    """Digest bytes."""
    return hashlib.sha256(data).hexdigest()


def metadata(name: str = "demo", version: str = "1.0", extra: str = "") -> bytes:
    """Write METADATA."""
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{extra}".encode()


def wheel(
    name: str = "demo", version: str = "1.0", source: bytes = b"x = 1\n", *,
    extra: str = "", folder: str | None = None, tag: str = "py3-none-any",
) -> bytes:  # fmt: skip
    """Make a wheel."""
    folder = folder or f"{name.replace('-', '_')}-{version}.dist-info"
    record = f"{name}.py,,\n{folder}/METADATA,,\n{folder}/WHEEL,,\n{folder}/RECORD,,\n"
    return make_zip(
        [
            (f"{name}.py", source),
            (f"{folder}/METADATA", metadata(name, version, extra)),
            (f"{folder}/WHEEL", WHEEL_TEXT.replace("py3-none-any", tag).encode()),
            (f"{folder}/RECORD", record.encode()),
        ]
    )


def wheel_name(name: str = "demo", version: str = "1.0") -> str:
    """Name a wheel."""
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


def statement(file_name: str, data: bytes, **changes: Any) -> dict[str, Any]:
    """Make a statement about a file."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": file_name, "digest": {"sha256": sha256(data)}}],
        "predicateType": "https://example.com/attestations/publish/v1",
        "predicate": None,
        **changes,
    }


def base64_of(data: bytes) -> str:
    """Write base64."""
    return base64.b64encode(data).decode()


def attestation(stated: object, **changes: Any) -> dict[str, Any]:
    """Make an attestation, well-formed and signed by nobody."""
    return {
        "version": 1,
        "verification_material": {"certificate": base64_of(b"cert"), "transparency_entries": [{"logIndex": "1"}]},
        "envelope": {"statement": base64_of(json.dumps(stated).encode()), "signature": base64_of(b"signature")},
        **changes,
    }


def attestations(file_name: str, data: bytes, several: Sequence[str] = ()) -> str:
    """Write the field `attestations` of a file, or of several names of it."""
    return json.dumps([attestation(statement(name, data)) for name in several or [file_name]])


def form(fields: Fields, file_name: str, data: bytes, behind: Fields = ()) -> bytes:
    """Write a form with fields before and behind the file."""

    def written(some: Fields) -> str:
        return "".join(
            f'--{B}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in some
        )

    head = f'--{B}\r\nContent-Disposition: form-data; name="content"; filename="{file_name}"\r\n\r\n'
    return (written(fields) + head).encode() + data + f"\r\n{written(behind)}--{B}--\r\n".encode()


class Links(html.parser.HTMLParser):
    """Reads the links of a page: text by address, and their other attributes."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a link."""
        if tag == "a":
            self.found.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        """Take the text of the last link."""
        if self.found and data.strip():
            attributes, text = self.found[-1]
            self.found[-1] = (attributes, text + data)


class PyPITestCase(SynchronousTestCase):
    """A world with the Python format."""

    def setUp(self) -> None:
        """Make the world."""
        self.world = FormatWorld(PyPIFormat())

    def post(
        self, fields: Fields, file_name: str, data: bytes, behind: Fields = (), *, path: str = "acme/one",
        cuts: Sequence[int] = (), rule: str = "",
    ) -> Reply:  # fmt: skip
        """Upload a form."""
        pieces = cut(form(fields, file_name, data, behind), *cuts)
        headers = {"Content-Type": f"multipart/form-data; boundary={B}"}
        return self.world.request("POST", rule, *pieces, path=path, headers=headers)

    def publish(self, name: str = "demo", version: str = "1.0", path: str = "acme/one", **more: Any) -> str:
        """Publish a wheel; returns its sha256."""
        data = wheel(name, version, **more)
        reply = self.post([("name", name), ("version", version)], wheel_name(name, version), data, path=path)
        self.assertEqual(reply.status, 201)
        return sha256(data)

    def page(
        self, rule: str = FILES, path: str = "acme/one", headers: Mapping[str, str] | None = None, **where: str
    ) -> Reply:
        """Ask for a page of the index."""
        return self.world.request("GET", rule, path=path, headers=headers, **where)

    def index(self, name: str = "demo", path: str = "acme/one") -> Any:
        """Read the page of a name as JSON."""
        return json.loads(body_of(self.page(path=path, headers=JSON, name=name)))

    def assert_refused(self, error: type[Exception], *args: Any, **kwargs: Any) -> str:
        """Fail unless an upload is refused and leaves nothing; returns why."""
        refused = self.assertRaises(error, self.post, *args, **kwargs)
        self.assertEqual(self.world.blobs.contents, {})
        self.assertTrue(self.world.is_clean())
        return str(refused)
