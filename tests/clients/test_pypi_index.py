"""What pip and uv make of an index: yanks, metadata beside wheels, versions of Python, attestations."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import sys
import zipfile
from collections.abc import Sequence

from tests.support.clients import PythonClientTestCase, Run
from tests.support.daemon import wait_until
from tests.support.packages import WHEEL_TEXT, metadata_text, wheel_name


def wheel_with(name: str, version: str, extra: str) -> bytes:
    """Make a wheel with further lines in its METADATA."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    members = {
        f"{module}.py": "answer = 42\n",
        f"{info}/METADATA": metadata_text(name, version, extra),
        f"{info}/WHEEL": WHEEL_TEXT,
    }
    members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*members, f"{info}/RECORD"))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return made.getvalue()


class IndexTestCase(PythonClientTestCase):
    """A client that installs from the private project."""

    @property
    def base_path(self) -> str:
        """Where the format is."""
        return self.daemon.packages_path("pypi", self.daemon.world.private_id)

    def install(self, *what: str) -> Run:
        """Install from the project's index into a folder of the test."""
        raise NotImplementedError

    def publish_with(self, name: str, version: str, extra: str = "", fields: Sequence[str] = ()) -> pathlib.Path:
        """Publish a wheel with further lines of METADATA, by curl."""
        path = self.folder / wheel_name(name, version)
        path.write_bytes(wheel_with(name, version, extra))
        form = [f"name={name}", f"version={version}", *fields, f"content=@{path}"]
        self.curl(*(part for each in form for part in ("--form", each)), self.upload_url(self.daemon.world.private_id))
        return path

    def curl(self, *arguments: str, secret: str | None = None) -> str:
        """Run curl with the writer's token, or another one."""
        user = f"__token__:{secret or self.daemon.world.writer}"
        common = ("--silent", "--show-error", "--fail-with-body", "--cacert", self.daemon.ca_file, "--user", user)
        return self.assert_works(self.run_program(self.find("curl"), *common, *arguments))

    def yank(self, name: str, version: str, *arguments: str) -> None:
        """Yank a version as the maintainer of the project, or undo it."""
        maintainer = self.daemon.cli(
            "token", "add", "--kind", "project", "--project", "acme/private", "--role", "maintainer",
            "--scope", "api", "--name", self._testMethodName,
        )  # fmt: skip
        url = f"{self.daemon.packages_url('pypi', self.daemon.world.private_id)}/yank/{name}/{version}"
        self.curl(*(arguments or ("--request", "DELETE")), url, secret=maintainer)

    def fetched(self, name: str) -> set[str]:
        """Return the names of what was sent of a package's files, by the access log."""
        self.daemon.get("/-/livez", {"User-Agent": self.id()})  # lines are written in order, a moment later
        wait_until(lambda: self.id() in self.daemon.log_text(), "the last line of the access log")
        lines = map(json.loads, re.findall(r"\{\"time\".*\}", self.daemon.log_text()))
        paths = [line["path"] for line in lines if line.get("status") in (200, 206) and "/files/" in line["path"]]
        return {path.rpartition("/")[2] for path in paths if name.replace("-", "_") in path}

    def installed(self, name: str) -> set[str]:
        """Return the versions of a package in the test's folder."""
        stem = name.replace("-", "_")
        found = (self.folder / "target").glob(f"{stem}-*.dist-info")
        return {path.name.removeprefix(f"{stem}-").removesuffix(".dist-info") for path in found}


class InstallerTests:
    """What every installer does; mixed in before IndexTestCase."""

    def test_yanked(self) -> None:
        """A yanked version is passed over, unless it alone is asked for; undone, it is as before."""
        name = self.package_name()
        self.publish_with(name, "1.0")
        self.publish_with(name, "2.0")
        self.yank(name, "2.0", "--request", "PUT", "--json", '{"reason": "it broke the build"}')
        self.assert_works(self.install(name))
        self.assertEqual(self.installed(name), {"1.0"})
        output = self.assert_works(self.install(f"{name}==2.0"))
        self.assertIn("it broke the build", output)
        self.assertIn("2.0", self.installed(name))
        self.yank(name, "2.0")
        shutil.rmtree(self.folder / "target")
        self.assert_works(self.install(name))
        self.assertEqual(self.installed(name), {"2.0"})

    def test_metadata(self) -> None:
        """Resolving reads METADATA alone; of wheels only what is installed is fetched."""
        name, needed = self.package_name(), f"{self.package_name()}-needed"
        self.publish_with(needed, "1.0")
        self.publish_with(needed, "2.0")
        self.publish_with(name, "1.0", f"Requires-Dist: {needed}<2\n")
        self.publish_with(name, "2.0", f"Requires-Dist: {needed}>=3\n")
        self.assert_works(self.install(name))
        self.assertEqual((self.installed(name), self.installed(needed)), ({"1.0"}, {"1.0"}))
        wheels = {wheel_name(name, "1.0"), wheel_name(needed, "1.0")}
        metadata = {f"{each}.metadata" for each in (*wheels, wheel_name(name, "2.0"))}
        wait_until(lambda: wheels <= self.fetched(name), "the lines of the access log")
        self.assertEqual(self.fetched(name), wheels | metadata)

    def test_requires_python(self) -> None:
        """A version for another Python is passed over."""
        name = self.package_name()
        self.publish_with(name, "1.0", "Requires-Python: >=3.8\n")
        self.publish_with(name, "2.0", "Requires-Python: >=99,<100\n")
        self.assert_works(self.install(name))
        self.assertEqual(self.installed(name), {"1.0"})


class PipIndexTests(InstallerTests, IndexTestCase):
    """pip."""

    client = "pip"

    def install(self, *what: str) -> Run:
        """Install by pip."""
        return self.run_client(
            "install", "--no-cache-dir", "--disable-pip-version-check", "--cert", self.daemon.ca_file, "--upgrade",
            "--target", str(self.folder / "target"),
            "--index-url", self.index_url(self.daemon.world.private_id), *what,
            env={"PIP_CONFIG_FILE": os.devnull},
        )  # fmt: skip


class UvIndexTests(InstallerTests, IndexTestCase):
    """uv."""

    client = "uv"

    def uv(self, *arguments: str, **environment: str) -> Run:
        """Run uv without caches and configuration."""
        base = {"UV_NO_CACHE": "1", "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
        return self.run_client(*arguments, env={**base, "SSL_CERT_FILE": self.daemon.ca_file, **environment})

    def install(self, *what: str) -> Run:
        """Install by uv."""
        return self.uv(
            "pip", "install", "--python", sys.executable, "--target", str(self.folder / "target"), "--upgrade",
            "--default-index", self.index_url(self.daemon.world.private_id), *what,
        )  # fmt: skip

    def test_attestations(self) -> None:
        """An attestation that lies beside a wheel is sent by uv, and served."""
        name = self.package_name()
        path = self.write_wheel(name, "1.0")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        stated = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": path.name, "digest": {"sha256": sha256}}],
            "predicateType": "https://example.com/publish/v1",
            "predicate": None,
        }
        attestation = {
            "version": 1,
            "verification_material": {"certificate": "YQ==", "transparency_entries": []},
            "envelope": {
                "statement": base64.b64encode(json.dumps(stated).encode()).decode(),
                "signature": "YQ==",
            },
        }
        beside = path.with_name(f"{path.name}.publish.attestation")
        beside.write_text(json.dumps(attestation))
        url = self.upload_url(self.daemon.world.private_id)
        token = self.daemon.world.writer
        self.assert_works(self.uv("publish", "--publish-url", url, str(path), str(beside), UV_PUBLISH_TOKEN=token))
        page = json.loads(self.curl("--header", "Accept: application/vnd.pypi.simple.v1+json", f"{url}/simple/{name}/"))
        (file,) = page["files"]
        served = json.loads(self.curl(file["provenance"]))
        self.assertEqual(served["attestation_bundles"][0]["attestations"], [attestation])
        by_name = self.curl(f"{url}/integrity/{name}/1.0/{path.name}/provenance")
        self.assertEqual(json.loads(by_name), served)


class CurlIndexTests(IndexTestCase):
    """Pages as they travel, by curl."""

    client = "curl"

    def test_pages_over_http(self) -> None:
        """Every address answers, with validators that a second request can use."""
        name = self.package_name()
        path = self.publish_with(name, "1.0", "Keywords: two\n")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        authorization = base64.b64encode(f"__token__:{self.daemon.world.reader}".encode()).decode()
        credentials = {"Authorization": f"Basic {authorization}"}
        status, headers, _ = self.daemon.get(f"{self.base_path}/simple/{name.upper()}", credentials)
        self.assertEqual((status, headers["Location"]), (301, f"{name}/"))
        for where in (
            f"/simple/{name.upper()}/",
            f"/pypi/{name}/json",
            f"/pypi/{name}/1.0/json",
            f"/files/{sha256}/{path.name}",
            f"/files/{sha256}/{path.name}.metadata",
        ):
            status, headers, body = self.daemon.get(self.base_path + where, credentials)
            self.assertEqual((status, bool(body)), (200, True), where)
            again, _, rest = self.daemon.get(
                self.base_path + where, {**credentials, "If-None-Match": headers["ETag"] or ""}
            )
            self.assertEqual((again, rest), (304, b""), where)
        for where in (f"/pypi/{name}/9.9/json", "/pypi/nobody/json", "/simple/nobody/", f"/files/{sha256}/x.metadata"):
            self.assertEqual(self.daemon.get(self.base_path + where, credentials)[0], 404, where)
        status, _, body = self.daemon.get(f"{self.base_path}/pypi/{name}/json", credentials)
        (file,) = json.loads(body)["urls"]
        data = self.daemon.get(file["url"].removeprefix(self.daemon.url), credentials)[2]
        self.assertEqual(hashlib.sha256(data).hexdigest(), sha256)

    def test_who_may_yank(self) -> None:
        """A developer may not, and is told which right is missing; nothing changes."""
        name = self.package_name()
        self.publish_with(name, "1.0")
        url = f"{self.upload_url(self.daemon.world.private_id)}/yank/{name}/1.0"
        for method in ("PUT", "DELETE"):
            run = self.run_client(
                "--silent", "--fail-with-body", "--user", f"__token__:{self.daemon.world.reader}",
                "--request", method, url,
            )  # fmt: skip
            self.assert_fails(run, "destroy_package")
