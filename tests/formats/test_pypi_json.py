"""The JSON API, without HTTP."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve

from pkgregd import errors
from pkgregd.formats.pypi_json import ProjectDocument
from pkgregd.formats.pypi_names import canonical_version
from pkgregd.testing.calls import body_of, now
from pkgregd.values import NO_PRECONDITION, Reply
from tests.formatkit.test_archives import make_zip
from tests.formats.pypi_world import BASE, TOY, PyPITestCase, metadata, sha256, wheel, wheel_name

PROJECT = "/pypi/<segment:name>/json"
RELEASE = "/pypi/<segment:name>/<segment:version>/json"


class JsonTests(PyPITestCase):
    """Documents of names and versions."""

    def ask(self, name: str = "demo", version: str | None = None, path: str = "acme/one") -> Reply:
        """Ask for a document."""
        if version is None:
            return self.page(PROJECT, path=path, name=name)
        return self.page(RELEASE, path=path, name=name, version=version)

    def document(self, *where: str, **more: str) -> Any:
        """Read a document."""
        return json.loads(body_of(self.ask(*where, **more)))

    def yank(self, version: str, reason: str | None = "") -> None:
        """Yank a version."""
        now(self.world.remote().yank("demo", canonical_version(version), reason))

    def test_document(self) -> None:
        """What the package says, its versions in order, and every file with absolute addresses."""
        extra = "Summary: \u00fcber\nRequires-Dist: x\nRequires-Python: >=3.8\n\nLong."
        for version in ("10.0", "9.0"):
            self.publish(version=version, extra=extra)
        reply = self.ask("Demo")
        self.assertEqual(reply.content_type, "application/json")
        found = json.loads(body_of(reply))
        self.assertEqual(list(found), ["info", "last_serial", "releases", "urls", "vulnerabilities"])
        self.assertEqual((list(found["releases"]), found["vulnerabilities"]), (["9.0", "10.0"], []))
        info = found["info"]
        self.assertEqual((info["name"], info["version"], info["summary"]), ("demo", "10.0", "\u00fcber"))
        self.assertEqual((info["description"], info["requires_dist"]), ("Long.", ["x"]))
        self.assertEqual((info["requires_python"], info["yanked"], info["yanked_reason"]), (">=3.8", False, None))
        self.assertEqual(found["urls"], found["releases"]["10.0"])
        (file,) = found["urls"]
        data = wheel(version="10.0", extra=extra)
        self.assertEqual(file["url"], f"{TOY}/files/{sha256(data)}/{wheel_name(version='10.0')}")
        self.assertEqual((file["digests"], file["size"]), ({"sha256": sha256(data)}, len(data)))
        self.assertEqual((file["packagetype"], file["python_version"]), ("bdist_wheel", "py3"))
        self.assertRegex(file["upload_time_iso_8601"], rf"\A{file['upload_time']}\.\d+Z\Z")

    def test_release(self) -> None:
        """A version has a document of its own, in any spelling of it, without the others."""
        self.publish(extra="Summary: one\n")
        self.publish(version="2.0", extra="Summary: two\n")
        found = self.document("demo", "v1.0.0")
        self.assertEqual((found["info"]["version"], found["info"]["summary"]), ("1.0", "one"))
        self.assertNotIn("releases", found)
        self.assertEqual([file["filename"] for file in found["urls"]], [wheel_name()])
        self.assertNotEqual(self.ask("demo", "1.0").etag, self.ask("demo", "2.0").etag)

    def test_which_version_speaks(self) -> None:
        """The greatest that is neither yanked nor a pre-release; else the greatest not yanked, else the greatest."""
        for version in ("1.0", "2.0", "3.0rc1", "3.0.dev1"):
            self.publish(version=version)
        spoke = [self.document()["info"]["version"]]
        for version in ("2.0", "1.0", "3.0rc1", "3.0.dev1"):
            self.yank(version, "why")
            spoke.append(self.document()["info"]["version"])
        self.assertEqual(spoke, ["2.0", "1.0", "3.0rc1", "3.0.dev1", "3.0rc1"])
        info = self.document()["info"]
        self.assertEqual((info["yanked"], info["yanked_reason"]), (True, "why"))
        self.assertEqual({file["yanked_reason"] for file in self.document()["releases"]["1.0"]}, {"why"})

    def test_a_wheel_speaks_before_a_source_distribution(self) -> None:
        """Of one version's files the wheel's metadata counts; a source distribution's if there is no other."""
        info = metadata(extra="Summary: from the sdist\n")
        self.post([("name", "demo"), ("version", "1.0")], "demo-1.0.zip", make_zip([("demo-1.0/PKG-INFO", info)]))
        found = self.document()
        self.assertEqual(found["info"]["summary"], "from the sdist")
        self.assertEqual(found["urls"][0]["python_version"], "source")
        self.publish(extra="Summary: from the wheel\n")
        self.assertEqual(self.document()["info"]["summary"], "from the wheel")

    def test_serial_grows(self) -> None:
        """Every change moves the number up, and the ETag with it."""
        self.publish()
        self.publish(version="2.0")
        remote = self.world.remote()
        seen = [(self.document()["last_serial"], self.ask().etag)]
        file = now(remote.find_file("demo", "2", wheel_name(version="2.0")))
        for change in (
            lambda: self.yank("1.0"),
            lambda: self.yank("1.0", None),
            lambda: now(remote.delete_file(file, NO_PRECONDITION)),
        ):
            change()
            seen.append((self.document()["last_serial"], self.ask().etag))
        serials = [serial for serial, _ in seen]
        self.assertEqual(serials, sorted(set(serials)))
        self.assertEqual(len({etag for _, etag in seen}), len(seen))

    def test_made_once_per_change(self) -> None:
        """A document is kept until something changes, and not mistaken for another one."""
        self.publish()
        first = body_of(self.ask())
        self.assertIs(body_of(self.ask()), first)
        self.assertNotEqual(body_of(self.ask("demo", "1.0")), first)
        self.yank("1.0")
        self.assertNotEqual(body_of(self.ask()), first)

    def test_group(self) -> None:
        """A group's documents have the files of all its projects."""
        self.publish()
        self.publish(version="2.0", path="acme/two")
        self.assertEqual(list(self.document(path="acme")["releases"]), ["1.0", "2.0"])

    def test_not_there(self) -> None:
        """Unknown names and versions are not found, bad ones refused."""
        self.publish()
        self.assertRaises(errors.PackageNotFound, self.document, "other")
        self.assertRaises(errors.PackageNotFound, self.document, "demo", "2.0")
        self.assertRaises(errors.InvalidName, self.document, "a b")
        self.assertRaises(errors.InvalidVersion, self.document, "demo", "x")

    def test_rows_without_documents(self) -> None:
        """Files published before metadata was kept have a document with what the rows know."""
        self.publish()
        (row,) = now(self.world.remote().list_files("demo"))
        old = evolve(row, file_metadata_json='{"filetype": "bdist_wheel", "requires_python": ">=3.8"}')
        document = ProjectDocument("demo", None, BASE, None)
        self.assertIsNone(document.choose([old]))
        found = json.loads(document.render([old], None))
        self.assertEqual((found["info"]["requires_python"], found["info"]["summary"]), (">=3.8", None))
        self.assertEqual(found["last_serial"], 0)
