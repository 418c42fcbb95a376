"""Python packages, without HTTP."""

from __future__ import annotations

import hashlib
import html.parser
import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.formats.pypi import PyPIFormat
from pkgregd.formats.pypi_index import FileMetadata, Representation, render_files
from pkgregd.testing.calls import FormatWorld, body_of, cut, now
from pkgregd.testing.format_contract import FormatContract
from pkgregd.values import NO_PRECONDITION, FormatLimits, PackageFile, Refusal, Reply
from tests.formatkit.test_archives import make_zip

NAMES = "/simple/"
FILES = "/simple/<segment:name>/"
FILE = "/files/<segment:sha256>/<segment:file_name>"

JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
B = "xyzzy"

Fields = Sequence[tuple[str, str]]


def sha256(data: bytes) -> str:
    """Digest bytes."""
    return hashlib.sha256(data).hexdigest()


def wheel(
    name: str = "demo", version: str = "1.0", source: bytes = b"x = 1\n", *, extra: str = "", folder: str | None = None
) -> bytes:
    """Make a wheel."""
    folder = folder or f"{name.replace('-', '_')}-{version}.dist-info"
    info = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{extra}"
    return make_zip(
        [
            (f"{name}.py", source),
            (f"{folder}/METADATA", info.encode()),
            (f"{folder}/WHEEL", b""),
            (f"{folder}/RECORD", b""),
        ]
    )


def wheel_name(name: str = "demo", version: str = "1.0") -> str:
    """Name a wheel."""
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


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


class PyPIContractTests(FormatContract, SynchronousTestCase):
    """The Python format is a format."""

    good_names = {"demo": "demo", "Demo.Pkg__x": "demo-pkg-x", "a": "a", "zope.interface": "zope-interface", "1": "1"}
    other_statuses = {"file_exists": 400}

    def make_format(self) -> PyPIFormat:
        """Make the Python format."""
        return PyPIFormat()

    def test_words_that_twine_looks_for(self) -> None:
        """A duplicate is told as GitLab tells it."""
        reply = PyPIFormat().render_error(Refusal(409, "file_exists", "taken", "r"))
        assert reply is not None
        self.assertIn(b"File name has already been taken", body_of(reply))


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


class UploadTests(PyPITestCase):
    """Forms of real clients, and refusals."""

    def test_twine(self) -> None:
        """Digests and repeated fields come before the file."""
        data = wheel("demo-pkg", "1.0", extra="Requires-Python: >=3.8\n")
        fields = [
            ("name", "demo-pkg"), ("metadata_version", "2.1"), ("version", "1.0"), ("filetype", "bdist_wheel"),
            ("classifiers", "A :: B"), ("classifiers", "A :: C"), ("pyversion", "py3"), ("requires_python", ">=3.8"),
            ("sha256_digest", sha256(data)), ("blake2_256_digest", hashlib.blake2b(data, digest_size=32).hexdigest()),
            (":action", "file_upload"), ("protocol_version", "1"),
        ]  # fmt: skip
        reply = self.post(fields, wheel_name("demo-pkg"), data, rule="/")
        self.assertEqual((reply.status, body_of(reply)), (201, b'{"message": "201 Created"}'))
        found = now(self.world.remote().find_file("demo-pkg", "1", wheel_name("demo-pkg")))
        self.assertEqual(set(found.blob.digests), {"sha256", "blake2b_256"})
        self.assertEqual(FileMetadata.from_json(found.file_metadata_json), FileMetadata("bdist_wheel", ">=3.8"))

    def test_curl_with_the_file_first(self) -> None:
        """With the fields behind the file every digest that may come is computed, and compared."""
        data = wheel()
        behind = [("version", "1.0"), ("name", "demo"), ("md5_digest", hashlib.md5(data).hexdigest())]
        self.assertEqual(self.post([], wheel_name(), data, behind).status, 201)
        found = now(self.world.remote().find_file("demo", "1", wheel_name()))
        self.assertEqual(set(found.blob.digests), {"sha256", "md5", "blake2b_256"})

    def test_sdists(self) -> None:
        """Source distributions, zipped ones and ones with an old name too."""
        info = b"Metadata-Version: 1.0\nName: demo_pkg\nVersion: 1.0.0\n"
        data = make_zip([("demo-pkg-1.0.0/PKG-INFO", info)])
        fields = [("name", "demo-pkg"), ("version", "1.0.0"), ("filetype", "sdist")]
        self.assertEqual(self.post(fields, "demo-pkg-1.0.0.zip", data).status, 201)
        self.assertEqual(self.index("demo-pkg")["files"][0]["filename"], "demo-pkg-1.0.0.zip")

    def test_repeated(self) -> None:
        """The same bytes again succeed and change nothing; other bytes never replace a file."""
        self.publish()
        token = now(self.world.remote().index_state("demo")).token
        fields = [("name", "Demo"), ("version", "1.0.0")]
        self.assertEqual(self.post(fields, wheel_name(), wheel()).status, 200)
        self.assertRaises(errors.FileExists, self.post, fields, wheel_name(), wheel(source=b"x = 2\n"))
        self.assertEqual(now(self.world.remote().index_state("demo")).token, token)
        self.assertTrue(self.world.is_clean())
        self.assertEqual(len(self.world.blobs.contents), 1)

    def test_deleted_names_do_not_come_back(self) -> None:
        """After a deletion the same bytes may return, others not."""
        self.publish()
        remote = self.world.remote()
        now(remote.delete_file(now(remote.find_file("demo", "1", wheel_name())), NO_PRECONDITION))
        fields = [("name", "demo"), ("version", "1.0")]
        self.assertRaises(errors.FileWasDeleted, self.post, fields, wheel_name(), wheel(source=b"x = 2\n"))
        self.publish()

    def test_archive_decides(self) -> None:
        """Name, version and what Python it needs are the archive's words."""
        data = wheel("Demo.Pkg", "1.0.0", extra="Requires-Python: >=3.9\n", folder="demo_pkg-1.0.dist-info")
        self.post([("name", "demo_pkg"), ("version", "v1")], "demo_pkg-1.0-py3-none-any.whl", data)
        found = now(self.world.remote().find_file("demo-pkg", "1", "demo_pkg-1.0-py3-none-any.whl"))
        self.assertEqual((found.name, found.version, found.canonical_name), ("Demo.Pkg", "1.0.0", "demo-pkg"))
        self.assertEqual(self.index("demo-pkg")["files"][0]["requires-python"], ">=3.9")

    def test_disagreement(self) -> None:
        """Form, file name and archive say the same, or nothing is published; both sides are told."""
        good = [("name", "demo"), ("version", "1.0")]
        mismatch = errors.MetadataMismatch
        self.assertIn(
            "evil", self.assert_refused(mismatch, [("name", "evil"), ("version", "1.0")], wheel_name(), wheel())
        )
        self.assertIn(
            "2.0", self.assert_refused(mismatch, [("name", "demo"), ("version", "2.0")], wheel_name(), wheel())
        )
        folder = "demo-1.0.dist-info"
        text = self.assert_refused(mismatch, good, wheel_name(), wheel("evil", folder=folder))
        self.assertIn("archive says 'evil'", text)
        text = self.assert_refused(mismatch, good, wheel_name(), wheel(version="6.6", folder=folder))
        self.assertIn("archive says '6.6'", text)
        self.assert_refused(mismatch, good, wheel_name(), wheel(folder="evil-1.0.dist-info"))
        self.assert_refused(mismatch, [*good, ("filetype", "sdist")], wheel_name(), wheel())
        data = wheel(extra="Requires-Python: >=3.9\n")
        self.assert_refused(mismatch, [*good, ("requires_python", ">=2")], wheel_name(), data)
        self.assertEqual(self.post([*good, ("requires_python", " >= 3.9 ")], wheel_name(), data).status, 201)

    def test_digests(self) -> None:
        """A wrong digest of any kind, before or behind the file, is refused, and so is one that is none."""
        good = [("name", "demo"), ("version", "1.0")]
        for name, digits in (("sha256_digest", 64), ("md5_digest", 32), ("blake2_256_digest", 64)):
            wrong = (name, "0" * digits)
            self.assert_refused(errors.DigestMismatch, [*good, wrong], wheel_name(), wheel())
            self.assert_refused(errors.DigestMismatch, [], wheel_name(), wheel(), [*good, wrong])
            self.assert_refused(errors.InvalidDigest, [*good, (name, "abc")], wheel_name(), wheel())
        self.post([*good, ("sha256_digest", sha256(wheel()).upper()), ("md5_digest", "")], wheel_name(), wheel())

    def test_digest_that_comes_too_late(self) -> None:
        """A promise that was not computed is refused: nothing is stored unverified."""
        good = [("name", "demo"), ("version", "1.0")]
        late = [("md5_digest", hashlib.md5(wheel()).hexdigest())]
        self.assert_refused(errors.MalformedBody, good, wheel_name(), wheel(), late)
        self.assertEqual(self.post(good, wheel_name(), wheel(), [("sha256_digest", sha256(wheel()))]).status, 201)

    def test_fields(self) -> None:
        """Missing, repeated and unknown values of the fields that matter."""
        good = [("name", "demo"), ("version", "1.0")]
        for fields, error in (
            ([], errors.MalformedBody),
            (good[:1], errors.MalformedBody),
            (good[1:], errors.MalformedBody),
            ([*good, ("name", "demo")], errors.MalformedBody),
            ([*good, (":action", "file_upload"), (":action", "file_upload")], errors.MalformedBody),
            ([*good, (":action", "remove_pkg")], errors.InvalidRequest),
            ([*good, ("protocol_version", "2")], errors.InvalidRequest),
            ([*good, ("filetype", "bdist_egg")], errors.InvalidRequest),
            ([*good, ("[name]", "demo")], errors.MalformedBody),
            ([("name", "demo\u200b"), good[1]], errors.InvalidName),
            ([("name", "\u212aubernetes"), good[1]], errors.InvalidName),
            ([good[0], ("version", "1.0\n")], errors.InvalidVersion),
            ([good[0], ("version", "1" * 5000)], errors.InvalidVersion),
        ):
            self.assert_refused(error, fields, wheel_name(), wheel())

    def test_file_names_are_refused_before_the_bytes(self) -> None:
        """A file that is not taken is not even read."""
        for file_name in ("demo-1.0.egg", "../demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl.exe"):
            self.assert_refused(errors.InvalidFileName, [("name", "demo")], file_name, b"x" * 1000, cuts=[200])

    def test_not_an_archive(self) -> None:
        """What calls itself a wheel or a source distribution is one."""
        fields = [("name", "demo"), ("version", "1.0")]
        for file_name in (wheel_name(), "demo-1.0.tar.gz", "demo-1.0.zip"):
            self.assert_refused(errors.InvalidArchive, fields, file_name, b"<html>not an archive</html>")
        self.assert_refused(errors.InvalidArchive, fields, "demo-1.0.tar.gz", wheel())

    def test_too_large(self) -> None:
        """The configured size is that of the file."""
        data = wheel()
        fields = [("name", "demo"), ("version", "1.0")]
        self.world.limits = FormatLimits(max_file_bytes=len(data) - 1)
        self.assert_refused(errors.BodyTooLarge, fields, wheel_name(), data)
        self.world.limits = FormatLimits(max_file_bytes=len(data))
        self.assertEqual(self.post(fields, wheel_name(), data).status, 201)

    @settings(max_examples=40)
    @given(st.lists(st.integers(0, 5000), max_size=10), st.data())
    def test_damaged_uploads(self, cuts: list[int], data: st.DataObject) -> None:
        """An upload with bytes changed is published or refused for a reason, and a refused one leaves nothing."""
        self.world = FormatWorld(PyPIFormat())
        body = bytearray(form([("name", "demo"), ("version", "1.0")], wheel_name(), wheel()))
        for _ in range(data.draw(st.integers(1, 5))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        headers = {"Content-Type": f"multipart/form-data; boundary={B}"}
        try:
            self.world.request("POST", "", *cut(bytes(body), *cuts), headers=headers)
        except errors.InvalidRequest:
            self.assertEqual(self.world.blobs.contents, {})
        self.assertTrue(self.world.is_clean())


class IndexTests(PyPITestCase):
    """The simple index."""

    def test_html(self) -> None:
        """A page has a link for each file, relative, with its digest."""
        digest = self.publish("demo-pkg", "1.0", extra="Requires-Python: >=3.8,<4\n")
        reply = self.page(name="Demo_Pkg")
        self.assertEqual(reply.content_type, "text/html; charset=utf-8")
        ((attributes, text),) = Links(body_of(reply)).found
        self.assertEqual(text, wheel_name("demo-pkg"))
        self.assertEqual(attributes["href"], f"../../files/{digest}/{wheel_name('demo-pkg')}#sha256={digest}")
        self.assertEqual(attributes["data-requires-python"], ">=3.8,<4")
        self.assertIn(b"&gt;=3.8,&lt;4", body_of(reply))

    def test_json(self) -> None:
        """The same in JSON, with what PEP 700 adds."""
        digest = self.publish(version="1.10")
        self.publish(version="1.9")
        page = self.index("DEMO")
        self.assertEqual((page["name"], page["meta"]), ("demo", {"api-version": "1.1"}))
        self.assertEqual(page["versions"], ["1.9", "1.10"])
        file = page["files"][0]
        self.assertEqual((file["filename"], file["hashes"]), (wheel_name(version="1.10"), {"sha256": digest}))
        self.assertEqual(file["size"], len(wheel(version="1.10")))
        self.assertRegex(file["upload-time"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
        self.assertNotIn("requires-python", file)

    def test_names(self) -> None:
        """The list of names leads to their pages, with or without the slash behind `simple`."""
        self.publish("demo-pkg")
        self.publish("Another.One")
        links = Links(body_of(self.page(NAMES))).found
        self.assertEqual(
            [(a["href"], text) for a, text in links], [("another-one/", "Another.One"), ("demo-pkg/", "demo-pkg")]
        )
        links = Links(body_of(self.page("/simple"))).found
        self.assertEqual(links[0][0]["href"], "simple/another-one/")
        page = json.loads(body_of(self.page(NAMES, headers=JSON)))
        self.assertEqual(page["projects"], [{"name": "Another.One"}, {"name": "demo-pkg"}])
        self.assertNotEqual(self.page(NAMES).etag, self.page("/simple").etag)

    def test_empty(self) -> None:
        """No names are an empty list, a name without files is not found, and a bad one is refused."""
        self.assertEqual(Links(body_of(self.page(NAMES))).found, [])
        self.assertRaises(errors.PackageNotFound, body_of, self.page(name="demo"))
        self.assertRaises(errors.InvalidName, self.page, name="a b")

    def test_redirect(self) -> None:
        """Without its slash a page leads to the one with it, on whatever address the client uses."""
        reply = self.page("/simple/<segment:name>", name="Demo.Pkg")
        self.assertEqual((reply.status, reply.headers), (301, (("Location", "Demo.Pkg/"),)))
        self.assertRaises(errors.InvalidName, self.page, "/simple/<segment:name>", name="a\r\nX: y")

    def test_negotiation(self) -> None:
        """Each representation has its own type and validator; a client that takes none gets 406."""
        self.publish()
        replies = [self.page(name="demo", headers={"Accept": kind.value.partition(";")[0]}) for kind in Representation]
        self.assertEqual([reply.content_type for reply in replies], [kind.value for kind in Representation])
        self.assertEqual(len({reply.etag for reply in replies}), 3)
        refused = self.page(name="demo", headers={"Accept": "image/png"})
        self.assertEqual(refused.status, 406)
        for reply in (*replies, refused, self.page(NAMES)):
            self.assertIn(("Vary", "Accept"), reply.headers)

    def test_validators(self) -> None:
        """The ETag moves with every publish of that name, and only then."""
        self.publish()
        first = self.page(name="demo")
        self.publish("other")
        self.assertEqual(self.page(name="demo").etag, first.etag)
        self.publish(version="2.0")
        second = self.page(name="demo")
        self.assertNotEqual(second.etag, first.etag)
        self.assertIsNotNone(second.last_modified)

    def test_page_is_made_once_per_change(self) -> None:
        """A page that was made is sent again until something is published."""
        self.publish()
        first = body_of(self.page(name="demo"))
        self.assertIs(body_of(self.page(name="demo")), first)
        self.publish(version="2.0")
        self.assertIn(wheel_name(version="2.0").encode(), body_of(self.page(name="demo")))

    def test_group(self) -> None:
        """A group's index has the files of all its projects; of one file name the newest."""
        self.publish()
        newest = self.publish(path="acme/two", source=b"x = 2\n")
        self.publish(version="2.0", path="acme/two")
        files = {file["filename"]: file["hashes"]["sha256"] for file in self.index(path="acme")["files"]}
        self.assertEqual(set(files), {wheel_name(), wheel_name(version="2.0")})
        self.assertEqual(files[wheel_name()], newest)
        self.assertEqual(len(Links(body_of(self.page(NAMES, path="acme"))).found), 1)

    def test_nothing_breaks_out_of_the_page(self) -> None:
        """Whatever the rows hold, an attribute stays an attribute: the writer escapes by itself."""
        self.publish()
        (row,) = now(self.world.remote().list_files("demo"))
        evil = '>=3"><a href="http://evil.example.com/">\'&'
        hostile: PackageFile = evolve(
            row, file_name=f"{evil}.whl", file_metadata_json=FileMetadata("bdist_wheel", evil).to_json()
        )
        ((attributes, text),) = Links(render_files("demo", [hostile], Representation.HTML)).found
        self.assertEqual((text, attributes["data-requires-python"]), (f"{evil}.whl", evil))
        self.assertEqual(set(attributes), {"href", "data-requires-python"})
        page = json.loads(render_files("demo", [hostile], Representation.JSON))
        self.assertEqual(page["files"][0]["requires-python"], evil)


class DownloadTests(PyPITestCase):
    """GET of a file."""

    def test_file(self) -> None:
        """The bytes, by digest and name, never to be interpreted, and to be kept for ever."""
        digest = self.publish()
        for path in ("acme/one", "acme"):
            reply = self.page(FILE, path=path, sha256=digest.upper(), file_name=wheel_name())
            self.assertEqual(body_of(reply), wheel())
            self.assertEqual((reply.etag, reply.download_name), (digest, wheel_name()))
            self.assertEqual(reply.content_type, "application/octet-stream")
            self.assertIn("immutable", dict(reply.headers)["Cache-Control"])

    def test_missing(self) -> None:
        """Digest and name must both be those of one file of that project."""
        digest = self.publish()
        other = self.publish(version="2.0")
        for where in (
            {"sha256": digest, "file_name": wheel_name(version="2.0")},
            {"sha256": other, "file_name": wheel_name()},
            {"sha256": "0" * 64, "file_name": wheel_name()},
            {"sha256": "nonsense", "file_name": wheel_name()},
            {"sha256": digest, "file_name": "x"},
            {"sha256": digest, "file_name": wheel_name(), "path": "acme/two"},
        ):
            self.assertRaises(errors.FileNotFound, self.page, FILE, **where)
