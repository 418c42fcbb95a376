"""npm packages, without HTTP."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

from attrs import evolve
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.formats.npm import NpmFormat
from pkgregd.testing.calls import FormatWorld, body_of, cut
from pkgregd.testing.format_contract import FormatContract
from pkgregd.values import Digest, Refusal, Tag
from tests.formats.npm_hostile import hostile_documents
from tests.support.npm import make_document, make_package, make_provenance, make_tarball, with_provenance

WHERE = "/<path:where>"
TAGS = "/-/package/<path:name>/dist-tags"
TAG = f"{TAGS}/<segment:tag>"
ATTESTATIONS = "/-/npm/v1/attestations/<path:what>"
SHORT = {"Accept": "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"}


def unpacked_bytes(tarball: bytes) -> int:
    """Count the bytes of all files."""
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        return sum(member.size for member in archive)


class NpmContractTests(FormatContract, SynchronousTestCase):
    """npm is a format."""

    good_names = {"lib": "lib", "@acme/lib": "@acme/lib", "a.b_c-d~e": "a.b_c-d~e", "@a.b/-c": "@a.b/-c"}
    other_statuses = {"file_exists": 403}

    def make_format(self) -> NpmFormat:
        """Make it."""
        return NpmFormat()

    def test_words_of_the_client(self) -> None:
        """Every client finds the reason; a version that is taken is refused in the words that they look for."""
        reply = NpmFormat().render_error(Refusal(409, "file_exists", "it is there", "r"))
        assert isinstance(reply.body, bytes)
        fields = json.loads(reply.body)
        self.assertEqual(fields["error"], fields["message"])
        self.assertIn("You cannot publish over the previously published versions", fields["error"])


class NpmTestCase(SynchronousTestCase):
    """A world with npm packages."""

    def setUp(self) -> None:
        """Make the world."""
        self.world = FormatWorld(NpmFormat())

    def publish(
        self, version: str = "1.0.0", name: str = "@acme/lib", project: str = "acme/one",
        tags: Mapping[str, str] | None = None, **fields: Any,
    ) -> bytes:  # fmt: skip
        """Publish a package; returns its tarball."""
        manifest = {"name": name, "version": version, **fields}
        tarball = make_package(manifest)
        document = json.dumps(make_document(manifest, tarball, tags)).encode()
        reply = self.world.request("PUT", WHERE, document, path=project, where=name)
        self.assertEqual(reply.status, 200)
        return tarball

    def document(
        self, name: str = "@acme/lib", project: str = "acme/one", headers: Mapping[str, str] | None = None
    ) -> Any:
        """Read the document of a name."""
        reply = self.world.request("GET", WHERE, path=project, headers=headers, where="@acme/lib")
        return json.loads(body_of(reply))

    def get(self, where: str, project: str = "acme/one") -> bytes:
        """Read a path."""
        return body_of(self.world.request("GET", WHERE, path=project, where=where))

    def refused(
        self, error: type[Exception] | tuple[type[Exception], ...], document: object, where: str = "@acme/lib"
    ) -> str:
        """Assert that a document is refused and nothing is left of it; returns why."""
        before = dict(self.world.blobs.contents)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        text = str(self.assertRaises(error, self.world.request, "PUT", WHERE, body, where=where))
        self.assertTrue(text.isprintable(), text)
        self.assertTrue(self.world.is_clean())
        self.assertEqual(self.world.blobs.contents, before)
        return text


class PublishTests(NpmTestCase):
    """Publishing."""

    def test_published_and_fetched(self) -> None:
        """A version is there at once: in both documents, by itself, by its tag, and as a tarball in both spellings."""
        tarball = self.publish(description="Pads", dependencies={"a": "^1.0.0"}, engines={"node": ">=18"})
        for file in ("lib-1.0.0.tgz", "@acme/lib-1.0.0.tgz"):
            self.assertEqual(self.get(f"@acme/lib/-/{file}"), tarball)
        full, short = self.document(), self.document(headers=SHORT)
        for document in (full, short):
            self.assertEqual((document["name"], document["dist-tags"]), ("@acme/lib", {"latest": "1.0.0"}))
            version = document["versions"]["1.0.0"]
            self.assertEqual((version["dependencies"], version["engines"]), ({"a": "^1.0.0"}, {"node": ">=18"}))
            digest = hashlib.sha512(tarball).digest()
            self.assertEqual(version["dist"]["integrity"], f"sha512-{base64.b64encode(digest).decode()}")
            self.assertEqual(version["dist"]["shasum"], hashlib.sha1(tarball, usedforsecurity=False).hexdigest())
            self.assertTrue(version["dist"]["tarball"].endswith("/@acme/lib/-/lib-1.0.0.tgz"))
            self.assertEqual(version["dist"]["fileCount"], 2)
            self.assertEqual(version["dist"]["unpackedSize"], unpacked_bytes(tarball))
            self.assertNotIn("readme", version)
        self.assertEqual(full["versions"]["1.0.0"]["description"], "Pads")
        self.assertNotIn("description", short["versions"]["1.0.0"])
        self.assertRegex(full["time"]["1.0.0"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
        self.assertRegex(full["_rev"], r"\A1-[0-9a-f]{32}\Z")
        for where in ("@acme/lib/1.0.0", "@acme/lib/latest"):
            self.assertEqual(json.loads(self.get(where)), full["versions"]["1.0.0"])

    def test_of_lost_bytes_one_digest_is_known(self) -> None:
        """Where the catalog has lost the others there is the one that names the bytes, which npm takes as well."""
        sha256 = Digest("sha256", hashlib.sha256(self.publish()).hexdigest())
        self.successResultOf(ensureDeferred(self.world.catalog.set_digests(sha256, {"sha256": sha256.hex})))
        dist = self.document()["versions"]["1.0.0"]["dist"]
        self.assertEqual(dist["integrity"], f"sha256-{base64.b64encode(bytes.fromhex(sha256.hex)).decode()}")
        self.assertNotIn("shasum", dist)

    def test_attachments_first(self) -> None:
        """The tarball may come before all else, in any cuts."""
        manifest = {"name": "lib", "version": "1.0.0"}
        tarball = make_package(manifest)
        document = make_document(manifest, tarball)
        moved = {"_attachments": document.pop("_attachments"), **document}
        pieces = cut(json.dumps(moved).encode(), *range(0, 2000, 7))
        self.world.request("PUT", WHERE, *pieces, where="lib")
        self.assertEqual(self.get("lib/-/lib-1.0.0.tgz"), tarball)

    def test_a_version_does_not_change(self) -> None:
        """The same bytes again are fine; others are refused, also after the version was unpublished."""
        tarball = self.publish()
        self.publish()
        manifest = {"name": "@acme/lib", "version": "1.0.0"}
        other = make_document(manifest, make_package(manifest, b"other"))
        self.refused(errors.FileExists, other)
        self.world.request("DELETE", WHERE, where="@acme/lib/-/lib-1.0.0.tgz/-rev/1-x")
        self.refused(errors.FileWasDeleted, other)
        self.assertEqual(self.publish(), tarball)

    def test_install_scripts(self) -> None:
        """Whether a script runs is told from the tarball, whatever is said."""
        self.publish(scripts={"postinstall": "node x.js"})
        self.assertIs(self.document(headers=SHORT)["versions"]["1.0.0"]["hasInstallScript"], True)
        self.publish("1.1.0", scripts={"test": "x"})
        self.assertNotIn("hasInstallScript", self.document()["versions"]["1.1.0"])
        manifest = {"name": "@acme/lib", "version": "2.0.0"}
        files = {"p/package.json": json.dumps(manifest).encode(), "p/binding.gyp": b"{}"}
        document = make_document({**manifest, "hasInstallScript": False}, make_tarball(files))
        self.refused(errors.MetadataMismatch, document)

    def test_what_npm_normalises(self) -> None:
        """What clients write otherwise than package.json has it is the same."""
        inside = {"name": "@acme/lib", "version": "v1.0.0+build", "bin": "./cli.js",
                  "dependencies": {"a": "1", "b": "1"}, "optionalDependencies": {"b": "1"}}  # fmt: skip
        sent = {"name": "@acme/lib", "version": "1.0.0", "bin": {"lib": "cli.js"},
                "dependencies": {"a": "1"}, "optionalDependencies": {"b": "1"}}  # fmt: skip
        document = make_document(sent, make_package(inside))
        self.world.request("PUT", WHERE, json.dumps(document).encode(), where="@acme/lib")
        self.assertEqual(self.document()["versions"]["1.0.0"]["bin"], {"lib": "cli.js"})

    def test_provenance_is_told(self) -> None:
        """The bundle that comes beside a tarball is told as it came, and a version tells where."""
        manifest = {"name": "@acme/lib", "version": "1.0.0", "dist": {"attestations": {"url": "x"}}}
        tarball = make_package(manifest)
        bundle = make_provenance("@acme/lib", "1.0.0", tarball)
        document = with_provenance(make_document(manifest, tarball), bundle)
        self.world.request("PUT", WHERE, json.dumps(document).encode(), where="@acme/lib")
        for headers in (None, SHORT):
            told = self.document(headers=headers)["versions"]["1.0.0"]["dist"]["attestations"]
            self.assertEqual(told["provenance"], {"predicateType": "https://slsa.dev/provenance/v1"})
            self.assertTrue(told["url"].endswith("/packages/toy/-/npm/v1/attestations/@acme%2Flib@1.0.0"), told)
        reply = self.world.request("GET", ATTESTATIONS, what="@acme/lib@1.0.0")
        (attestation,) = json.loads(body_of(reply))["attestations"]
        self.assertEqual(attestation, {"predicateType": "https://slsa.dev/provenance/v1", "bundle": bundle})

    def test_without_provenance(self) -> None:
        """Whatever a client says of attestations, none are told of a version that came without any."""
        self.publish(dist={"attestations": {"url": "x"}})
        self.assertNotIn("attestations", self.document()["versions"]["1.0.0"]["dist"])
        for what in ("@acme/lib@1.0.0", "@acme/lib@9.0.0", "nothing@1.0.0"):
            self.assertRaises(errors.FileNotFound, self.world.request, "GET", ATTESTATIONS, what=what)
        self.assertRaises(errors.InvalidRequest, self.world.request, "GET", ATTESTATIONS, what="@acme/lib")
        self.assertRaises(errors.NotFound, self.world.request, "GET", "/-/npm/v1/keys")

    def test_provenance_of_something_else(self) -> None:
        """A bundle has to be one, and to speak of this very tarball, name and version."""
        manifest = {"name": "@acme/lib", "version": "1.0.0"}
        tarball = make_package(manifest)
        document = make_document(manifest, tarball)
        good = make_provenance("@acme/lib", "1.0.0", tarball)
        envelope = good["dsseEnvelope"]
        for bundle, error in (
            (make_provenance("@acme/lib", "1.0.0", b"other"), errors.DigestMismatch),
            (make_provenance("@acme/other", "1.0.0", tarball), errors.MetadataMismatch),
            (make_provenance("@acme/lib", "1.0.1", tarball), errors.MetadataMismatch),
            (make_provenance("@acme/lib", "1.0.0", tarball, subject=[]), errors.MalformedBody),
            (make_provenance("@acme/lib", "1.0.0", tarball, subject=[{"name": "x"}] * 2), errors.MalformedBody),
            (make_provenance("@acme/lib", "1.0.0", tarball, predicateType="no URI"), errors.MalformedBody),
            (make_provenance("@acme/lib", "1.0.0", tarball, _type="x"), errors.MalformedBody),
            ({**good, "mediaType": "application/json"}, errors.MalformedBody),
            ({**good, "dsseEnvelope": {**envelope, "payload": "x"}}, errors.MalformedBody),
            ({**good, "dsseEnvelope": {**envelope, "payload": "/w=="}}, errors.MalformedBody),
            ({**good, "dsseEnvelope": {**envelope, "payloadType": "text/plain"}}, errors.MalformedBody),
            ({**good, "dsseEnvelope": {**envelope, "signatures": []}}, errors.MalformedBody),
            ("[" * 1000, errors.MalformedBody),
            ("{}", errors.MalformedBody),
            ("no json", errors.MalformedBody),
            (json.dumps(good)[:-1] + ',"mediaType":"x"}', errors.MalformedBody),
        ):
            self.refused(error, with_provenance(document, bundle))

    def test_readme(self) -> None:
        """The readme of what a name stands for is in its document, wherever the client said it, and not too long."""
        manifest = {"name": "@acme/lib", "version": "1.0.0"}
        for version, inside, beside, wanted in (
            ("1.0.0", {"readme": "# One", "readmeFilename": "README.md"}, {}, ("# One", "README.md")),
            ("2.0.0", {"readme": ""}, {"readme": "# Two \u00e9\U0001f600"}, ("# Two \u00e9\U0001f600", "")),
            ("3.0.0", {"readme": "\x01" * 100_000}, {}, ("\x01" * 65536, "")),
        ):
            manifest["version"] = version
            document = make_document(manifest, make_package(manifest))
            document["versions"][version] |= {"readme": "", **inside}
            self.world.request("PUT", WHERE, json.dumps({**document, **beside}).encode(), where="@acme/lib")
            told = self.document()
            self.assertEqual((told["readme"], told["readmeFilename"]), wanted)
        self.world.request("PUT", TAG, b'"1.0.0"', name="@acme/lib", tag="latest")
        self.assertEqual(self.document()["readme"], "# One")
        self.assertNotIn("readme", self.document(headers=SHORT))
        self.world.request("DELETE", TAG, name="@acme/lib", tag="latest")
        self.assertEqual(len(self.document()["readme"]), 65536)

    def test_times(self) -> None:
        """A document tells when the first of its versions came, and when it was changed last."""
        self.publish("1.0.0")
        self.publish("2.0.0", tags={})
        time = self.document()["time"]
        self.assertEqual(list(time)[:2], ["created", "modified"])
        self.assertEqual(time["created"], time["1.0.0"])
        self.assertGreaterEqual(time["modified"], time["2.0.0"])

    def test_hostile_documents(self) -> None:
        """Every document that is not what it says is refused, for a reason, and leaves nothing."""
        for hostile in hostile_documents():
            if hostile.threat in ("T31", "T34"):
                continue  # for a daemon, which reads archives in a process with limits
            try:
                text = self.refused((errors.InvalidRequest, errors.DigestMismatch), hostile.make())
            except Exception as error:
                self.fail(f"{hostile}: {error!r}")
            self.assertGreater(len(text), 10, hostile)
            for word in hostile.says:
                self.assertIn(word, text, hostile)
        self.assertRaises(errors.PackageNotFound, self.document)

    def test_wrong_digests(self) -> None:
        """A digest that is not the tarball's is refused, each by itself."""
        manifest = {"name": "@acme/lib", "version": "1.0.0"}
        for key, value in (("shasum", "0" * 40), ("integrity", f"sha512-{base64.b64encode(bytes(64)).decode()}")):
            document = make_document(manifest, make_package(manifest))
            document["versions"]["1.0.0"]["dist"][key] = value
            self.refused(errors.DigestMismatch, document)

    def test_too_large(self) -> None:
        """The limit is that of the tarball, decoded."""
        manifest = {"name": "@acme/lib", "version": "1.0.0"}
        tarball = make_package(manifest)
        self.world.limits = evolve(self.world.limits, max_file_bytes=len(tarball) - 1)
        self.refused(errors.BodyTooLarge, make_document(manifest, tarball))
        self.world.limits = evolve(self.world.limits, max_file_bytes=len(tarball))
        self.publish()

    def test_bad_paths(self) -> None:
        """What the path gives away is refused before the body is read."""
        for where in ("Lib", "@acme", "lib/1.0.0", "@acme/lib/-/lib-1.0.0.tgz", "node_modules"):
            self.assertRaises(errors.InvalidRequest, self.world.request, "PUT", WHERE, b"{}", where=where)
            self.assertFalse(self.world.last_body.was_touched, where)


class ChangeTests(NpmTestCase):
    """Tags, deprecation and unpublishing."""

    def test_tags(self) -> None:
        """Tags come with a version, move and go; the document follows."""
        self.publish("1.0.0")
        self.publish("2.0.0", tags={"next": "2.0.0"})
        self.assertEqual(self.document()["dist-tags"], {"latest": "1.0.0", "next": "2.0.0"})
        reply = self.world.request("PUT", TAG, b'"2.0.0"', name="@acme/lib", tag="latest")
        self.assertEqual(reply.status, 204)
        self.world.request("DELETE", TAG, name="@acme/lib", tag="next")
        for tags in (
            self.document()["dist-tags"],
            json.loads(body_of(self.world.request("GET", TAGS, name="@acme/lib"))),
        ):
            self.assertEqual(tags, {"latest": "2.0.0"})
        for body, tag, error in (
            (b"2.0.0", "a", errors.MalformedBody),
            (b'"9.0.0"', "a", errors.PackageNotFound),
            (b'"x"', "a", errors.InvalidVersion),
            (b'"2.0.0"', "1.x", errors.InvalidRequest),
        ):
            self.assertRaises(error, self.world.request, "PUT", TAG, body, name="@acme/lib", tag=tag)
        self.assertRaises(errors.NotFound, self.world.request, "DELETE", TAG, name="@acme/lib", tag="next")
        self.assertRaises(errors.PackageNotFound, self.world.request, "GET", TAGS, name="nothing")

    def test_deprecate(self) -> None:
        """The document comes back with a text at some versions; an empty one takes it back."""
        self.publish("1.0.0")
        self.publish("2.0.0")
        for text in ("use 2", "use 3", ""):
            document = self.document()
            document["versions"]["1.0.0"]["deprecated"] = text
            self.world.request("PUT", WHERE, json.dumps(document).encode(), where="@acme/lib")
            versions = self.document(headers=SHORT)["versions"]
            self.assertEqual(versions["1.0.0"].get("deprecated", ""), text)
            self.assertNotIn("deprecated", versions["2.0.0"])
        for text in (1, "x" * 1001, "\x1b[2J"):
            document["versions"]["1.0.0"]["deprecated"] = text
            self.refused(errors.InvalidRequest, document)

    def test_deprecate_all_or_none(self) -> None:
        """What a document says of its versions is done in one change, and one bad reason leaves all as they were."""
        for number in range(5):
            self.publish(f"{number}.0.0")
        document = self.document()
        for fields in document["versions"].values():
            fields["deprecated"] = "all are old"
        document["versions"]["4.0.0"]["deprecated"] = "\x1b[2J"
        self.refused(errors.InvalidRequest, document)
        self.assertNotIn("deprecated", json.dumps(self.document()))
        document["versions"]["4.0.0"]["deprecated"] = "this one most"
        self.world.request("PUT", WHERE, json.dumps(document).encode(), where="@acme/lib")
        reasons = [fields["deprecated"] for fields in self.document()["versions"].values()]
        self.assertEqual(reasons, ["all are old"] * 4 + ["this one most"])

    def test_deprecate_what_is_gone(self) -> None:
        """Versions that were deleted meanwhile are passed over; a document of nothing that is here is refused."""
        self.publish("1.0.0")
        gone = {"versions": {"9.0.0": {"deprecated": "x"}}}
        self.refused(errors.PackageNotFound, gone)
        both = {"versions": {**gone["versions"], "1.0.0": {"name": "whatever", "deprecated": "y"}}}
        self.world.request("PUT", WHERE, json.dumps(both).encode(), where="@acme/lib")
        self.assertEqual(self.document()["versions"]["1.0.0"]["deprecated"], "y")

    def test_great_documents(self) -> None:
        """To deprecate, a document of many mebibytes comes back; of every version but the first little is kept."""
        self.publish("1.0.0")
        document = self.document()
        filler = {f"field {number}": ["x" * 50, {"}": '"', "deprecated": "no"}] for number in range(25)}
        document["versions"] |= {f"2.0.{number}": {**filler, "deprecated": "old"} for number in range(5000)}
        document["versions"]["1.0.0"]["deprecated"] = "old, too"
        document["time"] = {"x": "y" * 5_000_000}
        body = json.dumps(document).encode()
        self.assertGreater(len(body), 12 << 20)
        self.world.request("PUT", WHERE, *cut(body, *range(0, len(body), 100_000)), where="@acme/lib")
        self.assertEqual(self.document()["versions"]["1.0.0"]["deprecated"], "old, too")

    def test_document_with_a_version_less(self) -> None:
        """What comes before a tarball is deleted is read past, whatever it is; what `npm owner` sends is refused."""
        self.publish()
        where = "@acme/lib/-rev/1-x"
        for body in (b"", b"no json", b"[" * 70_000, json.dumps({**self.document(), "maintainers": []}).encode()):
            self.assertEqual(self.world.request("PUT", WHERE, body, where=where).status, 200)
        owners = json.dumps({"_id": "@acme/lib", "_rev": "1-x", "maintainers": [{"name": "mary"}]}).encode()
        with self.assertRaises(errors.InvalidRequest) as caught:
            self.world.request("PUT", WHERE, owners, where=where)
        self.assertIn("acme/one", str(caught.exception))
        self.assertEqual(list(self.document()["versions"]), ["1.0.0"])

    def test_unpublish(self) -> None:
        """A version goes with its tags, and then all of them."""
        for version in ("1.0.0", "2.0.0"):
            self.publish(version)
        self.world.request("DELETE", WHERE, where="@acme/lib/-/@acme/lib-2.0.0.tgz/-rev/1-x")
        self.assertEqual(list(self.document()["versions"]), ["1.0.0"])
        self.assertEqual(self.document()["dist-tags"], {"latest": "1.0.0"})
        for where in ("@acme/lib", "@acme/lib/-/lib-1.0.0.tgz", "@acme/lib/x/-rev/1"):
            self.assertRaises(errors.PkgregdError, self.world.request, "DELETE", WHERE, where=where)
        self.publish("3.0.0")
        doubled = "api/v4/projects/1/packages/npm/@acme/lib/-/lib-3.0.0.tgz/-rev/1-x"  # as npm 9 has it
        self.world.request("DELETE", WHERE, where=doubled)
        self.assertEqual(list(self.document()["versions"]), ["1.0.0"])
        known = self.document()["_rev"]
        self.publish("4.0.0")
        where = f"@acme/lib/-rev/{known}"
        self.assertEqual(len(self.document()["versions"]), 2)
        self.assertRaises(errors.PreconditionFailed, self.world.request, "DELETE", WHERE, where=where)
        self.world.request("DELETE", WHERE, where=f"@acme/lib/-rev/{self.document()['_rev']}")
        self.assertRaises(errors.PackageNotFound, self.document)
        self.assertRaises(errors.PackageNotFound, self.world.request, "DELETE", WHERE, where="nothing/-rev/1-x")


class AuditTests(NpmTestCase):
    """Questions about what is known against packages."""

    def test_answers(self) -> None:
        """Nothing is; what is asked about is read past, within a limit."""
        path = "/-/npm/v1/security/advisories/bulk"
        self.assertEqual(body_of(self.world.request("POST", path, b'{"a":["1"]}')), b"{}")
        report = json.loads(body_of(self.world.request("POST", "/-/npm/v1/security/audits/quick", b"{}")))
        self.assertEqual(report["advisories"], {})
        self.assertRaises(errors.BodyTooLarge, self.world.request, "POST", path, b" " * (9 << 20))


class ReadTests(NpmTestCase):
    """Documents at a group, validators, search."""

    def test_group(self) -> None:
        """A group has what its projects have."""
        self.publish("1.0.0")
        self.publish("2.0.0", project="acme/two")
        self.assertEqual(list(self.document(project="acme")["versions"]), ["1.0.0", "2.0.0"])
        self.assertTrue(self.get("@acme/lib/-/lib-2.0.0.tgz", "acme"))

    def test_validators(self) -> None:
        """The tag of a document changes with everything that it shows, and with nothing else."""

        def etag(headers: Mapping[str, str] | None = None) -> str | None:
            return self.world.request("GET", WHERE, headers=headers, where="@acme/lib").etag

        self.publish("1.0.0")
        seen = [etag(), etag(SHORT)]
        self.assertEqual(etag(), seen[0])
        self.publish("2.0.0")
        seen.append(etag())
        self.world.request("PUT", TAG, b'"1.0.0"', name="@acme/lib", tag="latest")
        seen.append(etag())
        self.assertEqual(self.document()["dist-tags"], {"latest": "1.0.0"})
        self.assertEqual(len(set(seen)), 4)

    def test_what_is_not_there(self) -> None:
        """Names, versions, tags and files of what nobody published."""
        self.publish()
        for where in ("nothing", "@acme/lib/2.0.0", "@acme/lib/beta", "@acme/lib/-/lib-2.0.0.tgz", "@acme/lib/a/b"):
            self.assertRaises(errors.NotFound, self.get, where)
        for where in ("Lib", "@acme/lib/-/other-1.0.0.tgz", "@acme/lib/-/lib-1.0.0.zip"):
            self.assertRaises(errors.InvalidRequest, self.get, where)

    def test_search(self) -> None:
        """Names are found by what was said of them."""
        self.publish(description="Pads to the left", keywords=["string"])
        self.publish("2.0.0-a", description="Pads")
        self.publish(name="other")

        def search(**queries: str) -> Any:
            return json.loads(body_of(self.world.request("GET", "/-/v1/search", queries=queries)))

        found = search(text="pads")
        self.assertEqual(found["total"], 1)
        self.assertEqual(found["objects"][0]["package"]["name"], "@acme/lib")
        self.assertEqual(search()["total"], 2)
        self.assertEqual(len(search(size="1", **{"from": "1"})["objects"]), 1)
        self.assertRaises(errors.InvalidRequest, search, size="-1")

    def test_a_tag_that_came_meanwhile(self) -> None:
        """Whoever reads tags of a version that was not there a moment ago is answered all the same."""
        self.publish("1.0.0", description="first")
        self.publish("1.1.0", description="second")

        async def list_tags(*arguments: object) -> tuple[Tag, ...]:
            return (Tag("latest", "2.0.0", "2.0.0", 1),)

        self.patch(self.world.catalog, "list_tags", list_tags)
        (found,) = json.loads(body_of(self.world.request("GET", "/-/v1/search")))["objects"]
        self.assertEqual(found["package"]["description"], "second")
        self.assertEqual(list(self.document()["versions"]), ["1.0.0", "1.1.0"])
        self.assertRaises(errors.PackageNotFound, self.get, "@acme/lib/latest")

    def test_small_questions_stay_small(self) -> None:
        """For tags, a version by its tag and a search all versions are read once, and then those that changed."""
        for number in range(200):
            self.publish(f"1.{number}.0", description=f"number {number}")
        asked: list[str | None] = []
        list_files = self.world.catalog.list_files

        def listed(ids: Any, format: str, name: str, version: str | None = None, *, listed_only: bool = True) -> Any:
            asked.append(version)
            return list_files(ids, format, name, version, listed_only=listed_only)

        self.patch(self.world.catalog, "list_files", listed)

        def ask() -> tuple[str, str]:
            tags = json.loads(body_of(self.world.request("GET", TAGS, name="@acme/lib")))
            tagged = json.loads(self.get("@acme/lib/latest"))
            reply = self.world.request("GET", "/-/v1/search", queries={"text": "number"})
            (found,) = json.loads(body_of(reply))["objects"]
            self.assertEqual({tags["latest"], tagged["version"]}, {found["package"]["version"]})
            return tags["latest"], found["package"]["description"]

        self.assertEqual(ask(), ("1.199.0", "number 199"))
        self.assertEqual(asked, [None, "1.199.0", None])
        asked.clear()
        self.publish("1.200.0", description="number 200")
        asked.clear()
        self.assertEqual(ask(), ("1.200.0", "number 200"))
        self.assertNotIn(None, asked)

    def test_asking(self) -> None:
        """Somebody is there, and knows who asks."""
        self.assertEqual(body_of(self.world.request("GET", "/-/ping")), b"{}")
        self.assertEqual(json.loads(body_of(self.world.request("GET", "/-/whoami"))), {"username": "writer"})
