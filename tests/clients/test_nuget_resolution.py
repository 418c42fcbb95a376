"""NuGet: which version nuget.exe takes, and from where, when there is a choice."""

from __future__ import annotations

import json
import pathlib

from pkgregd.formats.nuget_names import version_key
from tests.support.clients import ClientTestCase, Run
from tests.support.nuget import nuget_exe, push_package

DISPUTED = ("1.0.0-a.9", "1.0.0-a.10", "1.0.0-a.-5", "1.0.0-a.3000000000", "1.0.0-a.20000000000")


class NuGetResolutionTests(ClientTestCase):
    """nuget.exe with sources, some with credentials."""

    client = "mono"

    def setUp(self) -> None:
        """Find nuget.exe."""
        super().setUp()
        self.exe = nuget_exe()
        self.assertTrue(self.exe.exists(), f"there is no {self.exe}: run `make test`")
        self.installs = 0

    def package(self, name: str) -> str:
        """Return an id for this test alone."""
        return f"{type(self).__name__}.{self._testMethodName}.{name}"

    def publish(self, name: str, *versions: str, project: str = "", more: str = "", payload: bytes = b"42") -> None:
        """Push versions of a package of this test."""
        world = self.daemon.world
        for version in versions:
            status = push_package(
                self.daemon, project or world.private_id, world.writer, self.package(name), version, more, payload
            )
            self.assertEqual(status, 201)

    def needing(self, name: str, versions: str) -> str:
        """Write the part of a nuspec that needs a package of this test."""
        return f'<dependencies><dependency id="{self.package(name)}" version="{versions}" /></dependencies>'

    @property
    def project_url(self) -> str:
        """The source of the private project."""
        return self.daemon.packages_url("nuget", self.daemon.world.private_id) + "/index.json"

    @property
    def group_url(self) -> str:
        """The source of the group of both projects."""
        return self.url_of_group(self.daemon.world.group)

    def url_of_group(self, path: str) -> str:
        """The source of a group."""
        return f"{self.daemon.url}/api/v4/groups/{path}/-/packages/nuget/index.json"

    def write_config(self, *sources: tuple[str, str]) -> None:
        """Write the configuration of a user with these sources, each with its token or without credentials."""
        added = "".join(
            f'<add key="source{number}" value="{url}" protocolVersion="3" />' for number, (url, _) in enumerate(sources)
        )
        credentials = "".join(
            f'<source{number}><add key="Username" value="{self.daemon.world.user_name(token)}" />'
            f'<add key="ClearTextPassword" value="{token}" /></source{number}>'
            for number, (_, token) in enumerate(sources)
            if token
        )
        (self.folder / "nuget.config").write_text(
            f"<configuration><packageSources><clear />{added}</packageSources>"
            f"<packageSourceCredentials>{credentials}</packageSourceCredentials>"
            f'<config><add key="globalPackagesFolder" value="{self.folder / "global"}" /></config></configuration>'
        )

    def install(self, name: str, *options: str) -> tuple[Run, pathlib.Path]:
        """Install a package from whichever source has it, into a new folder, with nothing remembered of indexes."""
        self.installs += 1
        out = self.folder / f"out{self.installs}"
        run = self.run_client(
            str(self.exe), "install", self.package(name), "-OutputDirectory", str(out), "-NoCache", "-NonInteractive",
            "-ConfigFile", str(self.folder / "nuget.config"), *options,
            env={"NUGET_HTTP_CACHE_PATH": str(self.folder / f"remembered{self.installs}")},
        )  # fmt: skip
        return run, out

    def installed(self, name: str, *options: str) -> list[str]:
        """Install a package; returns the versions that are there afterwards, behind their names."""
        run, out = self.install(name, *options)
        self.assert_works(run)
        return sorted(path.name.removeprefix(self.package("")) for path in out.iterdir())

    def test_unlisted_by_its_version(self) -> None:
        """Whoever names it gets it, and so does what needs it; `nuget install` takes it into account in any case."""
        self.daemon.cli("member", "add", "rob", "acme/private", "--role", "maintainer")
        self.publish("Lib", "1.0.0", "2.0.0")
        self.publish("App", "1.0.0", more=self.needing("Lib", "[2.0]"))
        path = self.daemon.packages_path("nuget", self.daemon.world.private_id)
        headers = {"PRIVATE-TOKEN": self.daemon.world.reader}
        self.assertEqual(self.daemon.get(f"{path}/{self.package('Lib')}/2.0.0", headers, "DELETE")[0], 204)
        completed = json.loads(self.daemon.get(f"{path}/autocomplete?id={self.package('Lib')}", headers)[2])
        self.assertEqual(completed["data"], ["1.0.0"])
        self.write_config((self.project_url, self.daemon.world.reader))
        self.assertEqual(self.installed("Lib", "-Version", "1.0.0"), ["Lib.1.0.0"])
        self.assertEqual(self.installed("Lib", "-Version", "2.0.0"), ["Lib.2.0.0"])
        self.assertEqual(self.installed("App"), ["App.1.0.0", "Lib.2.0.0"])

    def test_prereleases_are_in_the_order_of_the_client(self) -> None:
        """Also where labels have signs, or do not fit into the client's numbers: each is the newest in its turn."""
        self.write_config((self.project_url, self.daemon.world.reader))
        for version in sorted(DISPUTED, key=version_key):
            self.publish("Lib", version)
            self.assertEqual(self.installed("Lib", "-PreRelease"), [f"Lib.{version}"])

    def test_versions_that_the_client_cannot_read(self) -> None:
        """They are refused, so the others stay installable."""
        self.publish("Lib", "1.0.0")
        world, name = self.daemon.world, self.package("Lib")
        for version in ("1.9999999999.0", "1.0.0-01"):
            self.assertEqual(push_package(self.daemon, world.private_id, world.writer, name, version), 400)
        status = push_package(
            self.daemon, world.private_id, world.writer, name, "1.1.0", self.needing("Lib", "nonsense $(x)")
        )
        self.assertEqual(status, 400)
        self.write_config((self.project_url, world.reader))
        self.assertEqual(self.installed("Lib"), ["Lib.1.0.0"])

    def test_spellings_of_a_label(self) -> None:
        """Labels that are the same number make one version, which is installed as it was written."""
        self.publish("Lib", "1.0.0-a.-05")
        self.write_config((self.project_url, self.daemon.world.reader))
        self.assertEqual(self.installed("Lib", "-PreRelease"), ["Lib.1.0.0-a.-05"])
        status = push_package(
            self.daemon, self.daemon.world.private_id, self.daemon.world.writer, self.package("Lib"), "1.0.0-a.-5"
        )
        self.assertEqual(status, 409)

    def test_pages(self) -> None:
        """Registrations in pages, for their number and for their size, are read as a whole."""
        great = f"<tags>{'a ' * 3999}</tags><summary>{'b' * 8000}</summary>"
        self.publish("Many", *(f"1.{number}.0" for number in range(130)))
        self.publish("Great", *(f"1.{number}.0" for number in range(40)), more=great)
        self.write_config((self.project_url, self.daemon.world.reader))
        self.assertEqual(self.installed("Many"), ["Many.1.129.0"])
        self.assertEqual(self.installed("Many", "-Version", "1.70.0"), ["Many.1.70.0"])
        self.assertEqual(self.installed("Great"), ["Great.1.39.0"])

    def test_group_anonymously(self) -> None:
        """What public projects have, with all that it needs; whoever asks for more is asked who it is."""
        world = self.daemon.world
        self.publish("Needed", "2.0.0", project=world.public_id)
        self.publish("Lib", "1.0.0", project=world.public_id, more=self.needing("Needed", "2.0.0"))
        self.publish("Private", "1.0.0")
        self.write_config((self.group_url, ""))
        self.assertEqual(self.installed("Lib"), ["Lib.1.0.0", "Needed.2.0.0"])
        self.assert_fails(self.install("Private")[0], "401")

    def test_group_beside_another_source(self) -> None:
        """A package of one source needs one of the other; without credentials it gives up where some are hidden."""
        world = self.daemon.world
        self.publish("Needed", "2.0.0", project=world.public_id)
        self.publish("Lib", "1.0.0", more=self.needing("Needed", "2.0.0"))
        public_url = self.daemon.packages_url("nuget", world.public_id) + "/index.json"
        self.write_config((public_url, ""), (self.group_url, world.reader))
        self.assertEqual(self.installed("Lib"), ["Lib.1.0.0", "Needed.2.0.0"])
        self.write_config((self.project_url, world.reader), (self.group_url, world.stranger))
        self.assertEqual(self.installed("Lib"), ["Lib.1.0.0", "Needed.2.0.0"])
        self.write_config((self.project_url, world.reader), (self.group_url, ""))
        self.assert_fails(self.install("Lib")[0], "401")

    def test_group_that_hides_nothing(self) -> None:
        """Without credentials the client passes it over for what it has not; it is asked once something is hidden."""
        self.daemon.cli("group", "add", "open", "--visibility", "public")
        self.daemon.cli("member", "add", "wendy", "open", "--role", "developer")
        public = self.daemon.cli("project", "add", "open/all", "--visibility", "public")
        private = self.daemon.cli("project", "add", "open/some", "--visibility", "private")
        self.publish("Needed", "2.0.0", project=public)
        self.publish("Lib", "1.0.0", more=self.needing("Needed", "2.0.0"))
        project, group = (self.project_url, self.daemon.world.reader), (self.url_of_group("open"), "")
        for sources in ((group, project), (project, group)):
            self.write_config(*sources)
            self.assertEqual(self.installed("Lib"), ["Lib.1.0.0", "Needed.2.0.0"])
        self.write_config(group)
        self.assert_fails(self.install("Nothing")[0], "Unable to find package")
        self.publish("Hidden", "1.0.0", project=private)
        self.write_config(group, project)
        self.assert_fails(self.install("Lib")[0], "401")

    def test_group_keeps_to_the_first(self) -> None:
        """A version that two projects have is that of the first one."""
        world = self.daemon.world
        self.publish("Lib", "1.0.0", payload=b"first")
        other = self.daemon.cli("project", "add", "acme/other", "--visibility", "private")
        self.publish("Lib", "1.0.0", project=other, payload=b"second")
        self.write_config((self.group_url, world.reader))
        run, out = self.install("Lib")
        self.assert_works(run)
        answer = out / f"{self.package('Lib')}.1.0.0" / "content" / "answer.txt"
        self.assertEqual(answer.read_bytes(), b"first")
