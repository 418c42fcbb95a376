"""Publishing Python packages, without HTTP."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.formatkit.names import is_printable
from pkgregd.formats.pypi import PyPIFormat
from pkgregd.formats.pypi_files import FileMetadata
from pkgregd.testing.calls import FormatWorld, body_of, cut, now
from pkgregd.testing.format_contract import FormatContract
from pkgregd.values import NO_PRECONDITION, FormatLimits, Refusal
from tests.formatkit.test_archives import make_zip
from tests.formats.pypi_world import (
    B,
    PyPITestCase,
    form,
    metadata,
    sha256,
    wheel,
    wheel_name,
)


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


FIELD_NAMES = st.sampled_from(
    ("name", "version", "filetype", "requires_python", "requires_dist", "sha256_digest", "md5_digest", "pyversion",
     "blake2_256_digest", "attestations", ":action", "protocol_version", "summary", "classifiers")
)  # fmt: skip
FIELD_VALUES = st.text() | st.sampled_from(
    ("demo", "1.0", "file_upload", "1", "[]", "bdist_wheel", ">=3.8", "x; extra == 'y'", "0" * 32, "0" * 64)
)


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
        digest = sha256(metadata("demo-pkg", "1.0", "Requires-Python: >=3.8\n"))
        self.assertEqual(FileMetadata.from_json(found.file_metadata_json), FileMetadata("bdist_wheel", ">=3.8", digest))

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

    def test_spellings_of_one_file_name(self) -> None:
        """What installers take for the same file is there once: another spelling never brings other bytes."""
        fields = [("name", "demo.pkg"), ("version", "1.0")]
        self.publish("demo-pkg")
        for stem in ("Demo.Pkg-1.0", "demo_pkg-1.0.0", "demo_pkg-1"):
            file_name = f"{stem}-py3-none-any.whl"
            data = wheel("demo-pkg", source=b"evil = 1\n")
            self.assertRaises(errors.FileSpelledOtherwise, self.post, fields, file_name, data)
        self.assertEqual(len(self.world.blobs.contents), 1)
        for build, tag in (("-1", "py3-none-any"), ("", "py2-none-any")):
            data = wheel("demo-pkg", tag=tag)
            self.assertEqual(self.post(fields, f"demo_pkg-1.0{build}-{tag}.whl", data).status, 201)
        remote = self.world.remote()
        now(remote.delete_file(now(remote.find_file("demo-pkg", "1", wheel_name("demo-pkg"))), NO_PRECONDITION))
        evil = wheel("demo-pkg", source=b"evil = 1\n")
        self.assertRaises(errors.FileWasDeleted, self.post, fields, "demo_pkg-1.0.0-py3-none-any.whl", evil)
        self.assertTrue(self.world.is_clean())

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

    def test_requirements(self) -> None:
        """Requirements that the form names are those of the archive, however they are written; naming none is fine."""
        good = [("name", "demo"), ("version", "1.0")]
        needs = ['a.b>=1,<2 ; extra == "x"', "C[z,y] (>=1.0)"]
        data = wheel(extra="".join(f"Requires-Dist: {text}\n" for text in needs))
        mismatch = errors.MetadataMismatch
        same = [("requires_dist", "c[y,z]>=1.0"), ("requires_dist", "A-B <2,>=1; extra=='x'")]
        for fields in (same[:1], [*same, ("requires_dist", "evil")], [same[0], ("requires_dist", "a.b>=1")]):
            text = self.assert_refused(mismatch, [*good, *fields], wheel_name(), data)
            self.assertIn("Requires-Dist", text)
        self.assertIn(
            "form says 'evil', archive says ''",
            self.assert_refused(mismatch, [*good, *same, ("requires_dist", "evil")], wheel_name(), data),
        )
        self.assert_refused(mismatch, [*good, same[0]], wheel_name(), wheel())
        self.assertEqual(self.post([*good, *same, ("requires_dist", "")], wheel_name(), data).status, 201)
        self.assertEqual(self.post(good, wheel_name(), data).status, 200)

    def test_what_only_describes_is_not_compared(self) -> None:
        """Summaries, classifiers and tags decide nothing: the archive's are kept, whatever the form says."""
        said = [("summary", "other"), ("classifiers", "X :: Y"), ("pyversion", "cp27")]
        fields = [("name", "demo"), ("version", "1.0"), *said]
        self.assertEqual(self.post(fields, wheel_name(), wheel(extra="Summary: ours\n")).status, 201)

    def test_signatures_are_read_past(self) -> None:
        """A GPG signature, a file of its own in the form, is not kept and disturbs nothing."""
        head = f'--{B}\r\nContent-Disposition: form-data; name="gpg_signature"; filename="x.asc"\r\n\r\n'
        signature = head.encode() + b"-----BEGIN\xff\r\n"
        body = form([("name", "demo"), ("version", "1.0")], wheel_name(), wheel())
        headers = {"Content-Type": f"multipart/form-data; boundary={B}"}
        self.assertEqual(self.world.request("POST", "", signature + body, headers=headers).status, 201)
        self.assertEqual(len(self.world.blobs.contents), 1)

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

    @settings(max_examples=60)
    @given(st.lists(st.tuples(FIELD_NAMES, FIELD_VALUES), max_size=6), st.booleans())
    def test_any_fields(self, fields: list[tuple[str, str]], has_names: bool) -> None:
        """A form with whatever values is published or refused for a reason, and a refused one leaves nothing."""
        self.world = FormatWorld(PyPIFormat())
        good = [("name", "demo"), ("version", "1.0")] if has_names else []
        try:
            self.assertEqual(self.post([*good, *fields], wheel_name(), wheel()).status, 201)
        except (errors.InvalidRequest, errors.DigestMismatch) as error:
            self.assertTrue(is_printable(str(error)), ascii(str(error)))
            self.assertEqual(self.world.blobs.contents, {})
        self.assertTrue(self.world.is_clean())

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
