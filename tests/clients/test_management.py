"""The management API by curl: what a person or a script does to packages that clients have published."""

from __future__ import annotations

import email.utils
import hashlib
import json
import time
from typing import Any

from tests.support.clients import OverHttps, PythonClientTestCase, Run
from tests.support.packages import make_wheel, wheel_name


class ManagementTests(PythonClientTestCase):
    """Packages listed, looked at and deleted, over HTTP."""

    client = "curl"

    def setUp(self) -> None:
        """Have a token that may delete."""
        super().setUp()
        self.maintainer = self.daemon.cli(
            "token", "add", "--kind", "project", "--project", "acme/private", "--role", "maintainer",
            "--scope", "api", "--name", "maintainer",
        )  # fmt: skip
        self.packages = f"{self.daemon.url}/api/v4/projects/{self.daemon.world.private_id}/packages"
        self.name = self.package_name()

    def curl(self, *arguments: str, secret: str | None = None, header: str = "PRIVATE-TOKEN") -> Run:
        """Run curl, quiet but for errors and bodies; an empty secret asks as anonymous."""
        secret = self.maintainer if secret is None else secret
        shown = ("--header", f"{header}: {secret}") if secret else ()
        return self.run_client(
            "--silent", "--show-error", "--fail-with-body", "--cacert", self.daemon.ca_file, *shown, *arguments
        )

    def json(self, url: str) -> Any:
        """Get some JSON."""
        return json.loads(self.assert_works(self.curl(url)))

    def package(self, version: str = "1.0") -> Any:
        """The package of this test of that version."""
        (found,) = self.json(f"{self.packages}?package_name={self.name}&package_version={version}")
        return found

    def files(self, package: Any) -> Any:
        """The files of a package."""
        return self.json(f"{self.packages}/{package['id']}/package_files")

    def delete(self, url: str, *arguments: str) -> str:
        """Delete something; returns the status."""
        return self.assert_works(self.curl("--request", "DELETE", "--write-out", "%{http_code}", *arguments, url))

    def index(self) -> str:
        """The page of this test's package in the simple index, or the text of its refusal."""
        return self.curl(f"{self.upload_url(self.daemon.world.private_id)}/simple/{self.name}/").output

    def upload(self, version: str, source: str) -> Run:
        """Publish a wheel."""
        path = self.write_wheel(self.name, version, source)
        form = (f"name={self.name}", f"version={version}", f"content=@{path}")
        arguments = [part for field in form for part in ("--form", field)]
        return self.curl(*arguments, self.upload_url(self.daemon.world.private_id), secret=self.daemon.world.writer)

    def test_life_of_a_wheel(self) -> None:
        """Published, listed, fetched, deleted; other bytes never come back under its name, its own do."""
        self.assert_works(self.upload("1.0", "answer = 1\n"))
        wheel, file_name = make_wheel(self.name, "1.0", b"answer = 1\n"), wheel_name(self.name, "1.0")
        package = self.package()
        self.assertEqual((package["name"], package["package_type"], package["status"]), (self.name, "pypi", "default"))
        self.assertEqual(self.json(f"{self.packages}/{package['id']}"), package)
        (file,) = self.files(package)
        self.assertEqual((file["file_name"], file["size"]), (file_name, len(wheel)))
        self.assertEqual(file["file_sha256"], hashlib.sha256(wheel).hexdigest())

        url = f"{self.packages}/{package['id']}/package_files/{file['id']}"
        self.assert_works(self.curl("--remote-name", "--remote-header-name", f"{url}/download"))
        self.assertEqual((self.folder / file_name).read_bytes(), wheel)

        self.assertEqual(self.delete(url), "204")
        self.assert_fails(self.curl("--request", "DELETE", url), "404", "file not found")
        self.assert_fails(self.curl(f"{self.packages}/{package['id']}"), "404", "package not found")
        self.assertNotIn(file_name, self.index())
        self.assert_fails(self.upload("1.0", "answer = 2\n"), "400", "already been taken")
        self.assert_works(self.upload("1.0", "answer = 1\n"))
        self.assertIn(file_name, self.index())
        self.assertGreater(self.package()["id"], package["id"])

    def test_delete_a_version(self) -> None:
        """All files of one version go, those of another stay, and the index says so at once."""
        for version in ("1.0", "2.0"):
            self.assert_works(self.upload(version, "answer = 1\n"))
        self.assertIn(wheel_name(self.name, "1.0"), self.index())
        link = self.package()["_links"]["delete_api_path"]
        self.assertTrue(link.startswith(self.packages), link)
        self.assertEqual(self.delete(link), "204")
        self.assert_fails(self.curl("--request", "DELETE", link), "404", "package not found")
        index = self.index()
        self.assertNotIn(wheel_name(self.name, "1.0"), index)
        self.assertIn(wheel_name(self.name, "2.0"), index)
        self.assert_fails(self.upload("1.0", "answer = 2\n"), "400", "already been taken")

    def test_unless_it_changed(self) -> None:
        """What changed after the time that a script knows stays."""
        self.assert_works(self.upload("1.0", "answer = 1\n"))
        link = self.package()["_links"]["delete_api_path"]
        before = email.utils.formatdate(time.time() - 3600, usegmt=True)
        run = self.curl("--request", "DELETE", "--header", f"If-Unmodified-Since: {before}", link)
        self.assert_fails(run, "412", "changed")
        after = email.utils.formatdate(time.time() + 3600, usegmt=True)
        self.assertEqual(self.delete(link, "--header", f"If-Unmodified-Since: {after}"), "204")

    def test_who_may_not(self) -> None:
        """Deploy, job and reporter tokens may look and not delete; a stranger sees nothing, and nobody is asked."""
        self.assert_works(self.upload("1.0", "answer = 1\n"))
        world, package = self.daemon.world, self.package()
        (file,) = self.files(package)
        link = f"{self.packages}/{package['id']}"
        for url in (link, f"{link}/package_files/{file['id']}"):
            for secret, header, texts in (
                (world.deploy, "Deploy-Token", ("403", "destroy_package")),
                (world.job, "JOB-TOKEN", ("403", "destroy_package")),
                (world.reader, "PRIVATE-TOKEN", ("403", "destroy_package")),
                (world.writer, "PRIVATE-TOKEN", ("403", "destroy_package")),
                (world.stranger, "PRIVATE-TOKEN", ("404", "project not found")),
                ("", "", ("401",)),
            ):
                self.assert_fails(self.curl("--request", "DELETE", url, secret=secret, header=header), *texts)
        for secret, header in (
            (world.deploy, "Deploy-Token"),
            (world.job, "JOB-TOKEN"),
            (world.reader, "PRIVATE-TOKEN"),
        ):
            self.assert_works(self.curl(f"{link}/package_files", secret=secret, header=header))
        self.assert_fails(self.curl(link, secret=world.stranger), "404", "project not found")
        self.assert_fails(self.curl(link, secret=""), "401")
        self.assertEqual(self.package(), package)

    def test_pages(self) -> None:
        """A script follows the links from page to page, and counts."""
        for number in range(3):
            self.assert_works(self.upload(f"{number}", "answer = 1\n"))
        url, found = f"{self.packages}?package_name={self.name}&order_by=version&sort=desc&per_page=2", []
        while url:
            head = self.folder / "head"
            found += json.loads(self.assert_works(self.curl("--dump-header", str(head), url)))
            headers = dict(
                line.lower().split(": ", 1) for line in head.read_text().splitlines() if ": " in line
            )  # fmt: skip
            self.assertEqual((headers["x-total"], headers["x-total-pages"]), ("3", "2"))
            links = dict(reversed(link.split("; ")) for link in headers["link"].split(", "))
            url = links.get('rel="next"', "").strip("<>")
        self.assertEqual([package["version"] for package in found], ["2", "1", "0"])

    def test_group(self) -> None:
        """A group's list names the projects, of which the caller sees their own share."""
        self.assert_works(self.upload("1.0", "answer = 1\n"))
        url = f"{self.daemon.url}/api/v4/groups/acme/packages?package_name={self.name}"
        listed = json.loads(self.assert_works(self.curl(url, secret=self.daemon.world.reader)))
        self.assertEqual([package["project_path"] for package in listed], ["acme/private"])
        self.assertEqual(self.assert_works(self.curl(url, secret=self.daemon.world.stranger)), "[]")


class ManagementOverHttpsTests(OverHttps, ManagementTests):
    """The same over HTTPS."""
