"""Generic files, without HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.formats.generic import GenericFormat
from pkgregd.testing.calls import FormatWorld, body_of, now
from pkgregd.testing.format_contract import FormatContract
from pkgregd.values import FormatLimits, PackageStatus, Refusal, Reply

FILE = "/<segment:name>/<segment:version>/<path:file>"
VERSIONS = "/<segment:name>/"
TOP = "/<segment:name>/<segment:version>/"
DIRECTORY = "/<segment:name>/<segment:version>/<path:dir>/"

ABC = hashlib.sha256(b"abc").hexdigest()
REFUSES = FormatLimits(max_file_bytes=1 << 20, duplicates_allowed=False)


def base64_of(algorithm: str, data: bytes) -> str:
    """Digest bytes as headers carry it."""
    return base64.b64encode(hashlib.new(algorithm, data).digest()).decode()


class GenericContractTests(FormatContract, SynchronousTestCase):
    """The generic format is a format."""

    good_names = {"a": "a", "My.Tool_1+x-y": "My.Tool_1+x-y", "...x": "...x", "-": "-"}
    other_statuses = {"file_exists": 400}

    def make_format(self) -> GenericFormat:
        """Make the generic format."""
        return GenericFormat()

    def test_gitlab_words_for_a_duplicate(self) -> None:
        """A script that looks for GitLab's text finds it."""
        reply = GenericFormat().render_error(Refusal(409, "file_exists", "taken", "r"))
        assert reply is not None
        assert isinstance(reply.body, bytes)
        self.assertEqual(json.loads(reply.body)["message"], "400 Bad request - Duplicate package is not allowed")


class GenericTestCase(SynchronousTestCase):
    """A world with the generic format."""

    limits = FormatLimits(max_file_bytes=1 << 20)

    def setUp(self) -> None:
        """Make the world."""
        self.world = FormatWorld(GenericFormat(), self.limits)

    def put(
        self, *pieces: bytes, file: str = "a.bin", version: str = "1.0", name: str = "tool", path: str = "acme/one",
        headers: dict[str, str] | None = None, **queries: str,
    ) -> Reply:  # fmt: skip
        """Upload a file."""
        return self.world.request(
            "PUT", FILE, *pieces, path=path, headers=headers, queries=queries, name=name, version=version, file=file
        )

    def get(self, file: str = "a.bin", version: str = "1.0", name: str = "tool", path: str = "acme/one") -> Reply:
        """Ask for a file."""
        return self.world.request("GET", FILE, path=path, name=name, version=version, file=file)

    def content(self, **where: str) -> bytes:
        """Read a file."""
        return body_of(self.get(**where))

    def listing(self, rule: str, path: str = "acme/one", **arguments: str) -> Any:
        """Read a listing."""
        return json.loads(body_of(self.world.request("GET", rule, path=path, **arguments)))

    def assert_nothing_stored(self) -> None:
        """Fail if the store holds anything."""
        self.assertEqual(self.world.blobs.contents, {})
        self.assertTrue(self.world.is_clean())


class UploadTests(GenericTestCase):
    """PUT of a file."""

    def test_created(self) -> None:
        """The answer is GitLab's, and the bytes are there, in whatever pieces they came."""
        reply = self.put(b"ab", b"", b"c")
        self.assertEqual((reply.status, json.loads(body_of(reply))), (201, {"message": "201 Created"}))
        self.assertEqual(reply.etag, ABC)
        self.assertEqual(self.content(), b"abc")
        self.assertTrue(self.world.is_clean())

    def test_empty_file(self) -> None:
        """A file may be empty."""
        self.assertEqual(self.put().status, 201)
        self.assertEqual(self.content(), b"")

    def test_package_file_on_request(self) -> None:
        """`select=package_file` answers the row; a path is one name with encoded slashes, as GitLab stores it."""
        reply = self.put(b"abc", file="d/e+f~1.bin", select="package_file", headers={"X-Checksum-Md5": _md5(b"abc")})
        shown = json.loads(body_of(reply))
        self.assertEqual(reply.status, 200)
        self.assertEqual(shown["file_name"], "d%2Fe+f~1.bin")
        self.assertEqual((shown["size"], shown["file_sha256"], shown["file_store"]), (3, ABC, 1))
        self.assertEqual((shown["file_md5"], shown["file_sha1"]), (_md5(b"abc"), None))
        self.assertTrue(shown["file"]["url"].endswith("/packages/toy/tool/1.0/d/e%2Bf~1.bin"))
        self.assertRegex(shown["created_at"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")

    def test_unknown_options_are_refused(self) -> None:
        """A misspelt option is not passed over."""
        self.assertRaises(errors.InvalidRequest, self.put, b"abc", select="everything")
        self.assertRaises(errors.InvalidRequest, self.put, b"abc", status="secret")
        self.assertRaises(errors.InvalidRequest, self.put, b"abc", headers={"Content-Encoding": "gzip"})
        self.assert_nothing_stored()

    def test_hidden(self) -> None:
        """A hidden package is downloadable and listed by its own URL only; a later upload shows it again."""
        self.put(b"abc", status="hidden")
        self.assertEqual(self.content(), b"abc")
        self.assertRaises(errors.PackageNotFound, self.listing, VERSIONS, name="tool")
        self.assertEqual(len(self.listing(TOP, name="tool", version="1.0")["files"]), 1)
        self.put(b"x", file="b.bin")
        self.assertRaises(errors.PackageNotFound, self.listing, VERSIONS, name="tool")
        self.put(b"x", file="b.bin", status="default")
        self.assertEqual(len(self.listing(VERSIONS, name="tool")["versions"]), 1)
        found = now(self.world.remote().find_file("tool", "1.0", "a.bin"))
        self.assertIs(found.status, PackageStatus.DEFAULT)

    def test_replaces(self) -> None:
        """Without a rule against it other bytes take the place of a file."""
        self.put(b"abc")
        self.assertEqual(self.put(b"other").status, 201)
        self.assertEqual(self.content(), b"other")

    def test_bad_coordinates(self) -> None:
        """Names, versions and paths outside their grammar are refused before the body."""
        for name in ("a b", "a/b", "ä", "a\n", "", "..", "~a", "a" * 256):
            self.assertRaises(errors.InvalidName, self.put, b"x", name=name)
        for version in ("1..0", "..", ".", "1/0", "1 0", "1.0\n", "", "1~0", "\u0661.0", "1" * 256):
            self.assertRaises(errors.InvalidVersion, self.put, b"x", version=version)
        for file in ("a//b", "../a", "a/./b", "~a", "a~", "d/~a", "a b", "a\x00", "", "a" * 256, "a/" * 600 + "a"):
            self.assertRaises(errors.InvalidFileName, self.put, b"x", file=file)
        self.assertFalse(self.world.last_body.was_touched)
        self.assert_nothing_stored()

    def test_good_coordinates(self) -> None:
        """Everything that GitLab takes is taken."""
        for name, version, file in (
            ("My.package-1+2_3", "v1.2.3-rc.1+build_5", "a~b.tar.gz"),
            ("a", "1", ".hidden"),
            ("a", "1", "d.1/e-2/f+3"),
            ("a" * 255, "1" * 255, "/".join(["s" * 200] * 5)),
        ):
            self.assertEqual(self.put(b"x", name=name, version=version, file=file).status, 201)
            self.assertEqual(self.content(name=name, version=version, file=file), b"x")


class PromiseTests(GenericTestCase):
    """Digests that the client promises."""

    def promises(self, data: bytes) -> list[dict[str, str]]:
        """List every way to promise a digest of bytes."""
        return [
            {"X-Checksum-Sha256": hashlib.sha256(data).hexdigest().upper()},
            {"X-Checksum-Sha1": hashlib.sha1(data).hexdigest()},
            {"X-Checksum-Sha512": hashlib.sha512(data).hexdigest()},
            {"X-Checksum-Md5": _md5(data)},
            {"Content-MD5": base64_of("md5", data)},
            {"Repr-Digest": f"sha-256=:{base64_of('sha256', data)}:"},
            {"Content-Digest": f"unixsum=:AA==:, sha-512=:{base64_of('sha512', data)}:"},
            {"Digest": f"SHA-256={base64_of('sha256', data)},md5={base64_of('md5', data)}"},
        ]

    def test_kept(self) -> None:
        """A promise that holds lets the file in."""
        for headers in self.promises(b"abc"):
            self.assertEqual(self.put(b"a", b"bc", headers=headers).status, 201, headers)

    def test_broken(self) -> None:
        """A promise that does not hold leaves nothing, neither a file nor a blob."""
        for headers in self.promises(b"abd"):
            self.assertRaises(errors.DigestMismatch, self.put, b"abc", headers=headers)
            self.assertRaises(errors.FileNotFound, self.get)
        self.assert_nothing_stored()

    def test_malformed(self) -> None:
        """What is not a digest is refused before the body."""
        for headers in (
            {"X-Checksum-Sha256": "abc"},
            {"X-Checksum-Sha256": f"{ABC}, {ABC}"},
            {"Repr-Digest": f"sha-256={base64_of('sha256', b'abc')}"},
            {"Content-Digest": "sha-256=:AAAA:"},
            {"Content-MD5": "!!!"},
            {"X-Checksum-Sha256": ABC, "Repr-Digest": f"sha-256=:{base64_of('sha256', b'x')}:"},
        ):
            self.assertRaises(errors.InvalidRequest, self.put, b"abc", headers=headers)
            self.assertFalse(self.world.last_body.was_touched)
        self.assert_nothing_stored()


class PreconditionTests(GenericTestCase):
    """If-Match and If-None-Match of writes."""

    def test_only_if_absent(self) -> None:
        """`If-None-Match: *` creates, and never replaces, not even by equal bytes."""
        headers = {"If-None-Match": "*"}
        self.assertEqual(self.put(b"abc", headers=headers).status, 201)
        self.assertRaises(errors.PreconditionFailed, self.put, b"abc", headers=headers)

    def test_only_if_unchanged(self) -> None:
        """`If-Match` replaces the bytes that the client has seen, and no others."""
        headers = {"If-Match": f'"{ABC}", "other"'}
        self.assertRaises(errors.PreconditionFailed, self.put, b"new", headers=headers)
        self.put(b"abc")
        self.assertEqual(self.put(b"new", headers=headers).status, 201)
        self.assertRaises(errors.PreconditionFailed, self.put, b"newer", headers=headers)
        self.assertEqual(self.put(b"newer", headers={"If-Match": "*"}).status, 201)
        self.assertEqual(self.content(), b"newer")

    def test_weak_and_quoted_star_never_match(self) -> None:
        """A weak tag compares to nothing, and a star between quotes is a tag like others."""
        self.put(b"abc")
        for tag in (f'W/"{ABC}"', '"*"', '""', f'"{ABC.upper()}"'):
            self.assertRaises(errors.PreconditionFailed, self.put, b"x", headers={"If-Match": tag})

    def test_malformed(self) -> None:
        """A condition that cannot be understood is not passed over."""
        for headers in ({"If-Match": ABC}, {"If-Match": ""}, {"If-None-Match": f'"{ABC}"'}, {"If-None-Match": ""}):
            self.assertRaises(errors.InvalidRequest, self.put, b"x", headers=headers)

    def test_delete_under_a_condition(self) -> None:
        """A file is deleted if it is still the one that the client has seen."""
        self.put(b"abc")
        where = {"name": "tool", "version": "1.0", "file": "a.bin"}
        other = {"If-Match": f'"{"0" * 64}"'}
        self.assertRaises(errors.PreconditionFailed, self.world.request, "DELETE", FILE, headers=other, **where)
        self.assertEqual(self.world.request("DELETE", FILE, headers={"If-Match": f'"{ABC}"'}, **where).status, 204)
        self.assertRaises(errors.FileNotFound, self.get)
        self.assertRaises(errors.FileNotFound, self.world.request, "DELETE", FILE, **where)


class DuplicateTests(GenericTestCase):
    """Files that are there already, where duplicates are refused."""

    limits = FormatLimits(max_file_bytes=1 << 20, duplicates_allowed=False, duplicate_exceptions=("nightly*",))

    def test_refused_before_the_body(self) -> None:
        """The URL alone gives a duplicate away: the body is not touched."""
        self.put(b"abc")
        self.assertRaises(errors.FileExists, self.put, b"other")
        self.assertFalse(self.world.last_body.was_touched)
        self.assertEqual(self.content(), b"abc")

    def test_promised_equal_bytes_are_a_retry(self) -> None:
        """Who says that the bytes are the same succeeds, if they are."""
        self.put(b"abc")
        headers = {"X-Checksum-Sha256": ABC}
        self.assertEqual(self.put(b"abc", headers=headers).status, 201)
        self.assertRaises(errors.DigestMismatch, self.put, b"other", headers=headers)

    def test_exceptions(self) -> None:
        """The configured patterns turn the rule around."""
        for version in ("nightly", "nightly-2"):
            self.put(b"abc", version=version)
            self.assertEqual(self.put(b"other", version=version).status, 201)

    def test_other_paths_and_projects_are_no_duplicates(self) -> None:
        """A duplicate is the same path of the same version in the same project."""
        self.put(b"abc")
        for where in ({"file": "b.bin"}, {"version": "2"}, {"name": "other"}, {"path": "acme/two"}, {"file": "A.bin"}):
            self.assertEqual(self.put(b"x", **where).status, 201)


class DownloadTests(GenericTestCase):
    """GET of a file."""

    def test_headers(self) -> None:
        """The reply carries what clients verify and cache by, and a name to save it under."""
        self.put(b"abc", file="d/a.bin")
        reply = self.get(file="d/a.bin")
        self.assertEqual(reply.etag, ABC)
        self.assertEqual(dict(reply.headers)["X-Checksum-SHA256"], ABC)
        self.assertEqual((reply.content_type, reply.download_name), ("application/octet-stream", "a.bin"))
        self.assertIsNotNone(reply.last_modified)

    def test_missing(self) -> None:
        """What is not there is not found."""
        self.put(b"abc", file="d/a.bin")
        for file in ("d", "a.bin", "d/a", "D/a.bin"):
            self.assertRaises(errors.FileNotFound, self.get, file=file)

    def test_through_the_group(self) -> None:
        """A group serves what its projects have, the newest where several have it."""
        self.put(b"one")
        self.put(b"two", path="acme/two")
        self.put(b"only", file="only.bin", path="acme/two")
        self.assertEqual(self.content(path="acme"), b"two")
        self.assertEqual(self.content(path="acme", file="only.bin"), b"only")


class ListingTests(GenericTestCase):
    """Listings."""

    def test_versions(self) -> None:
        """Versions are listed oldest first, each once."""
        for version, file in (("2.0", "a"), ("1.0", "a"), ("2.0", "b")):
            self.put(b"x", version=version, file=file)
        shown = self.listing(VERSIONS, name="tool")
        self.assertEqual([entry["version"] for entry in shown["versions"]], ["2.0", "1.0"])
        self.assertEqual(shown["versions"][0]["url"], "2.0/")

    def test_directories(self) -> None:
        """A listing shows one level: its files, and the directories below."""
        for file in ("top+1.bin", "d/a.bin", "d/e/b.bin", "dd/c.bin"):
            self.put(b"abc", file=file)
        top = self.listing(TOP, name="tool", version="1.0")
        self.assertEqual([entry["name"] for entry in top["directories"]], ["d", "dd"])
        (file,) = top["files"]
        self.assertEqual(
            (file["file_name"], file["url"], file["size"], file["sha256"]), ("top+1.bin", "top%2B1.bin", 3, ABC)
        )
        below = self.listing(DIRECTORY, name="tool", version="1.0", dir="d")
        self.assertEqual([entry["url"] for entry in below["directories"]], ["e/"])
        self.assertEqual([entry["file_name"] for entry in below["files"]], ["a.bin"])

    def test_group(self) -> None:
        """The listing of a group shows what a download there would send."""
        self.put(b"one")
        self.put(b"abc", path="acme/two")
        (file,) = self.listing(TOP, path="acme", name="tool", version="1.0")["files"]
        self.assertEqual(file["sha256"], ABC)

    def test_nothing_there(self) -> None:
        """An empty place is not found, and a bad one is refused."""
        self.put(b"x", file="d/a")
        self.assertRaises(errors.PackageNotFound, self.listing, VERSIONS, name="other")
        self.assertRaises(errors.PackageNotFound, self.listing, TOP, name="tool", version="2")
        self.assertRaises(errors.PackageNotFound, self.listing, DIRECTORY, name="tool", version="1.0", dir="d/a")
        self.assertRaises(errors.InvalidFileName, self.listing, DIRECTORY, name="tool", version="1.0", dir="../d")

    def test_validator_follows_the_content(self) -> None:
        """The ETag of a listing moves when the listing does."""
        self.put(b"x")
        first = self.world.request("GET", TOP, name="tool", version="1.0").etag
        self.assertEqual(self.world.request("GET", TOP, name="tool", version="1.0").etag, first)
        self.put(b"y")
        self.assertNotEqual(self.world.request("GET", TOP, name="tool", version="1.0").etag, first)


class AnyRequestTests(SynchronousTestCase):
    """Whatever the URL and headers hold."""

    @given(
        st.text(max_size=12), st.text(max_size=12), st.text(max_size=12),
        st.dictionaries(
            st.sampled_from(["if-match", "if-none-match", "repr-digest", "digest", "content-md5", "x-checksum-sha1"]),
            st.text(st.characters(max_codepoint=255), max_size=20),
        ),
    )  # fmt: skip
    def test_upload_ends_in_a_domain_error_or_a_file(
        self, name: str, version: str, file: str, headers: dict[str, str]
    ) -> None:
        """Nothing else than a refusal or a stored file comes of it."""
        world = FormatWorld(GenericFormat(), REFUSES)
        try:
            reply = world.request("PUT", FILE, b"x", headers=headers, name=name, version=version, file=file)
        except (errors.InvalidRequest, errors.DigestMismatch, errors.PreconditionFailed):
            self.assertEqual(world.blobs.contents, {})
        else:
            self.assertEqual(reply.status, 201)


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()
