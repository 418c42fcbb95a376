"""curl: files of any kind, and what refusals look like from a shell."""

from __future__ import annotations

import hashlib
import json
import os

from tests.support.clients import ClientTestCase, OverHttps, Run


class CurlTests(ClientTestCase):
    """Generic files by curl over HTTP."""

    client = "curl"

    def curl(self, *arguments: str, stdin: bytes = b"") -> Run:
        """Run curl, quiet but for errors and bodies."""
        return self.run_client(
            "--silent", "--show-error", "--fail-with-body", "--cacert", self.daemon.ca_file, *arguments, stdin=stdin
        )

    def file_url(self, file_name: str, project: str | None = None) -> str:
        """Return the URL of a generic file of this test."""
        url = self.daemon.packages_url("generic", project or self.daemon.world.private_id)
        return f"{url}/curl/{self._testMethodName}/{file_name}"

    def local_file(self, size_bytes: int) -> tuple[str, bytes]:
        """Write a file of random bytes; returns its path and content."""
        data = os.urandom(size_bytes)
        path = self.folder / "local.bin"
        path.write_bytes(data)
        return str(path), data

    def token(self, secret: str | None = None, header: str = "PRIVATE-TOKEN") -> tuple[str, str]:
        """Make the arguments for a token header."""
        return "--header", f"{header}: {secret or self.daemon.world.writer}"

    def test_upload_and_download(self) -> None:
        """A file comes back byte for byte, with the name and digest that GitLab sends."""
        path, data = self.local_file(3 << 20)
        url = self.file_url("a.bin")
        answer = self.assert_works(self.curl(*self.token(), "--upload-file", path, url))
        self.assertEqual(json.loads(answer), {"message": "201 Created"})
        back = self.folder / "back.bin"
        headers = self.assert_works(self.curl(*self.token(), "--dump-header", "-", "--output", str(back), url))
        self.assertEqual(back.read_bytes(), data)
        self.assertIn(hashlib.sha256(data).hexdigest(), headers)
        self.assertRegex(headers, r'(?im)^content-disposition: attachment; filename="a\.bin"')

    def test_continue_comes_before_the_body(self) -> None:
        """curl waits for 100 Continue with a great body, and gets it when it may upload."""
        path, _ = self.local_file(2 << 20)
        said = self.assert_works(self.curl("--verbose", *self.token(), "--upload-file", path, self.file_url("c.bin")))
        self.assertIn("Expect: 100-continue", said)
        self.assertIn("HTTP/1.1 100 Continue", said)

    def test_chunked_upload(self) -> None:
        """A body of unknown length is taken."""
        data = os.urandom(300_000)
        url = self.file_url("chunked.bin")
        self.assert_works(
            self.curl(*self.token(), "--header", "Transfer-Encoding: chunked", "--upload-file", "-", url, stdin=data)
        )
        back = self.folder / "back.bin"
        self.assert_works(self.curl(*self.token(), "--output", str(back), url))
        self.assertEqual(back.read_bytes(), data)

    def test_resume_a_download(self) -> None:
        """A download that was cut goes on where it ended."""
        path, data = self.local_file(200_000)
        url = self.file_url("resume.bin")
        self.assert_works(self.curl(*self.token(), "--upload-file", path, url))
        back = self.folder / "back.bin"
        back.write_bytes(data[:70_000])
        self.assert_works(self.curl(*self.token(), "--continue-at", "-", "--output", str(back), url))
        self.assertEqual(back.read_bytes(), data)

    def test_every_place_of_a_credential(self) -> None:
        """Headers of each kind of token, Bearer, Basic, URL and netrc all let in."""
        path, _ = self.local_file(10)
        url = self.file_url("who.bin")
        self.assert_works(self.curl(*self.token(), "--upload-file", path, url))
        world = self.daemon.world
        netrc = self.folder / "netrc"
        host = self.host_and_port.partition(":")[0]
        netrc.write_text(f"machine {host} login anyone password {world.reader}\n")
        ways = {
            "PRIVATE-TOKEN": self.token(world.reader),
            "JOB-TOKEN": self.token(world.job, "JOB-TOKEN"),
            "Deploy-Token": self.token(world.deploy, "Deploy-Token"),
            "Bearer": ("--header", f"Authorization: Bearer {world.reader}"),
            "Basic": ("--user", f"anyone:{world.reader}"),
            "Basic job token": ("--user", f"gitlab-ci-token:{world.job}"),
            "Basic deploy token": ("--user", f"deployer:{world.deploy}"),
            "netrc": ("--netrc-file", str(netrc)),
        }
        for way, arguments in ways.items():
            run = self.curl(*arguments, "--output", os.devnull, url)
            self.assertEqual(run.status, 0, f"{way}: {run.output}")
        self.assert_works(self.curl("--output", os.devnull, self.with_credentials(url, "anyone", world.reader)))

    def test_project_by_path(self) -> None:
        """The encoded full path of a project serves as its number does."""
        path, data = self.local_file(10)
        self.assert_works(self.curl(*self.token(), "--upload-file", path, self.file_url("p.bin", "acme%2Fprivate")))
        run = self.curl(*self.token(), "--output", str(self.folder / "back"), self.file_url("p.bin"))
        self.assert_works(run)
        self.assertEqual((self.folder / "back").read_bytes(), data)

    def test_package_file_on_request(self) -> None:
        """`select=package_file` answers what was stored."""
        path, data = self.local_file(10)
        url = self.file_url("s.bin") + "?select=package_file"
        answer = json.loads(self.assert_works(self.curl(*self.token(), "--upload-file", path, url)))
        self.assertEqual(answer["file_name"], "s.bin")
        self.assertEqual(answer["size"], 10)
        self.assertEqual(answer["file_sha256"], hashlib.sha256(data).hexdigest())

    def test_wrong_token(self) -> None:
        """A token that is not one is told so, before the body is sent."""
        path, _ = self.local_file(2 << 20)
        run = self.curl("--verbose", *self.token("nonsense"), "--upload-file", path, self.file_url("w.bin"))
        self.assert_fails(run, "HTTP/1.1 401", "401 Unauthorized")
        self.assertNotIn("100 Continue", run.output)

    def test_reporter_may_not_upload(self) -> None:
        """Who sees the project without the right learns which right is missing."""
        path, _ = self.local_file(10)
        run = self.curl(*self.token(self.daemon.world.reader), "--upload-file", path, self.file_url("r.bin"))
        self.assert_fails(run, "403", "create_package")

    def test_stranger_and_anonymous(self) -> None:
        """A private project does not exist for a stranger, and asks the anonymous for a token."""
        url = self.file_url("x.bin")
        self.assert_fails(self.curl(*self.token(self.daemon.world.stranger), url), "404", "project not found")
        self.assert_fails(self.curl(url), "401 Unauthorized")

    def test_public_project_needs_no_token_to_read(self) -> None:
        """Everybody reads what is public."""
        path, data = self.local_file(10)
        url = self.file_url("pub.bin", self.daemon.world.public_id)
        self.assert_works(self.curl(*self.token(), "--upload-file", path, url))
        self.assert_works(self.curl("--output", str(self.folder / "back"), url))
        self.assertEqual((self.folder / "back").read_bytes(), data)

    def test_missing_file(self) -> None:
        """What is not there is 404."""
        self.assert_fails(self.curl(*self.token(), self.file_url("missing.bin")), "404")

    def test_manual(self) -> None:
        """The manual is there for everybody, with this daemon's address, compressed for whoever takes it."""
        url = f"{self.daemon.url}/help/generic"
        page = self.assert_works(self.curl("--compressed", url))
        self.assertIn(f"PKGREGD_URL:-{self.daemon.url}}}", page)
        self.assertEqual(self.assert_works(self.curl("--header", "PRIVATE-TOKEN: nonsense", url)), page)
        saved = ("--etag-save", str(self.folder / "etag"), "--output", os.devnull)
        self.assert_works(self.curl(*saved, url))
        again = ("--etag-compare", str(self.folder / "etag"), "--output", os.devnull, "--write-out", "%{http_code}")
        self.assertEqual(self.assert_works(self.curl(*again, url)), "304")
        self.assertIn("Content-Type: text/markdown", self.assert_works(self.curl("--head", f"{url}.md")))


class CurlOverHttpsTests(OverHttps, CurlTests):
    """The same over HTTPS."""
