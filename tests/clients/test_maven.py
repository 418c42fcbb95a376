"""Maven: deploying packages, and building with them."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import pathlib
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING

from tests.support.clients import OverHttps
from tests.support.damaging import damaging_proxy
from tests.support.maven import PLUGINS, MavenTestCase
from tests.support.protecting import keeper, protect

if TYPE_CHECKING:
    _Base = MavenTestCase
else:
    _Base = object


DEBIAN_VERSIONS = {"maven-plugin-api": "3.x", "plexus-utils": "2.x"}


class FileContract(_Base):
    """Single files; what has to work over HTTP and over HTTPS with a private authority."""

    def test_deploy_and_get(self) -> None:
        """A jar arrives with the bytes it was deployed with, checksums compared, in an empty repository."""
        jar = self.write_jar()
        self.write_settings(self.private_url)
        self.assert_works(self.deploy_file(jar, "1.0"))
        shutil.rmtree(self.folder / "local")
        self.assert_works(self.get("1.0", self.private_url))
        self.assertEqual(self.local("1.0").read_bytes(), jar.read_bytes())
        self.assertIn(f"<artifactId>{self.artifact_id}</artifactId>", self.local("1.0", ".pom").read_text())

    def test_without_credentials(self) -> None:
        """Whoever has none is told so, before and after there is something."""
        jar = self.write_jar()
        self.write_settings(self.private_url, "")
        self.assert_fails(self.deploy_file(jar, "1.0"), "401", "authentication is required: send a token")
        self.assert_fails(self.get("1.0", self.private_url), "401", "authentication is required: send a token")


class MavenTests(MavenTestCase, FileContract):
    """Over HTTP, and everything that does not depend on it."""

    def test_again(self) -> None:
        """The same files again are fine; other bytes of a release are refused in words that Maven prints."""
        jar = self.write_jar()
        self.write_settings(self.private_url)
        self.assert_works(self.deploy_file(jar, "1.0"))
        self.assert_works(self.deploy_file(jar, "1.0"))
        other = self.write_jar("b.jar", "43")
        self.assert_fails(self.deploy_file(other, "1.0"), "409", "already been taken by other bytes")

    def test_protected(self) -> None:
        """Maven prints who may deploy; whoever may does."""
        protect(self.daemon, "maven", f"{self.group_id}/{self.artifact_id[:-2]}*", push="maintainer")
        self.write_settings(self.private_url)
        words = ("403", "Package protected. In this project only maintainers and above may publish")
        self.assert_fails(self.deploy_file(self.write_jar(), "1.0"), *words)
        self.assert_fails(self.deploy_file(self.write_jar(), "1.0-SNAPSHOT"), *words)
        self.write_settings(self.private_url, keeper(self.daemon))
        self.assert_works(self.deploy_file(self.write_jar(), "1.0"))

    def test_damaged_on_the_way(self) -> None:
        """What Maven takes for a success, though a jar came damaged, leaves no jar; the next deployment brings it."""
        jar = self.write_jar()
        self.write_settings(self.private_url)
        with damaging_proxy(self.host_and_port, lambda path: path.endswith(".jar")) as through:
            url = self.private_url.replace(self.host_and_port, through)
            self.assert_works(self.deploy_file(jar, "1.0", url))
        self.assert_fails(self.get("1.0", self.private_url), f"Could not find artifact {self.group_id}:")
        self.assert_works(self.deploy_file(jar, "1.0"))
        shutil.rmtree(self.folder / "local")
        self.assert_works(self.get("1.0", self.private_url))
        self.assertEqual(self.local("1.0").read_bytes(), jar.read_bytes())

    def test_without_a_pom(self) -> None:
        """What is deployed without a POM is found in a range, too."""
        self.write_settings(self.private_url)
        for version in ("1.0", "1.1"):
            self.assert_works(self.deploy_file(self.write_jar(text=version), version, "", "-DgeneratePom=false"))
        source = "public class Main { }"
        consumer = self.write_project("main", f"{self.artifact_id}-main", "1", source, (self.artifact_id, "[1.0,2.0)"))
        self.assert_works(self.mvn("compile", folder=consumer))
        found = [
            path.parent.name for path in (self.folder / "local" / self.group_id / self.artifact_id).glob("*/*.jar")
        ]
        self.assertEqual(found, ["1.1"])

    def test_tokens(self) -> None:
        """Deploy and job tokens, as a password and as a header; a wrong one is refused as such."""
        world = self.daemon.world
        for number, header in enumerate((("Deploy-Token", world.deploy), ("Job-Token", world.job))):
            self.write_settings(self.private_url, header=header)
            self.assert_works(self.deploy_file(self.write_jar(), f"1.{number}"))
            self.write_settings(self.private_url, header[1])
            self.assert_works(self.get(f"1.{number}", self.private_url))
        self.write_settings(self.private_url, "nonsense")
        self.assert_fails(self.deploy_file(self.write_jar(), "2.0"), "401")
        self.write_settings(self.private_url, world.reader)
        self.assert_fails(self.deploy_file(self.write_jar(), "2.0"), "403", "create_package")

    def test_levels(self) -> None:
        """What a project has, its group and the instance have too, for who may read it."""
        jar = self.write_jar()
        self.write_settings(self.private_url)
        self.assert_works(self.deploy_file(jar, "1.0"))
        for url in (self.group_url, self.instance_url):
            shutil.rmtree(self.folder / "local")
            self.assert_works(self.get("1.0", url))
            self.assertEqual(self.local("1.0").read_bytes(), jar.read_bytes())
        self.write_settings(self.group_url, self.daemon.world.stranger)
        shutil.rmtree(self.folder / "local")
        self.assert_fails(self.get("1.0", self.group_url), "Could not find artifact")

    def test_build(self) -> None:
        """A project is built and deployed, and another one is built with the newest release in a range."""
        name = self.artifact_id
        self.write_settings(self.private_url)
        for version in ("1.9", "1.10", "2.0"):
            source = f'public class Lib {{ public static final String ANSWER = "{version}"; }}'
            project = self.write_project("lib", name, version, source)
            self.assert_works(self.mvn("deploy", "-DskipTests", folder=project))
        shutil.rmtree(self.folder / "local")
        source = "public class Main { public static void main(String[] words) { System.out.println(Lib.ANSWER); } }"
        consumer = self.write_project("main", f"{name}-main", "1", source, (name, "[1.0,2.0)"))
        self.assert_works(self.mvn("compile", folder=consumer))
        found = [path.parent.name for path in (self.folder / "local" / self.group_id / name).glob("*/*.jar")]
        self.assertEqual(found, ["1.10"])

    def test_snapshots(self) -> None:
        """Each deployment of a snapshot is a build of its own; a build elsewhere gets the newest one."""
        name = self.artifact_id
        self.write_settings(self.private_url)
        consumer = self.write_project(
            "main", f"{name}-main", "1", "public class Main { int answer = Lib.ANSWER; }", (name, "1.0-SNAPSHOT")
        )
        for number in (1, 2):
            source = f"public class Lib {{ public static final int ANSWER = {number}; }}"
            project = self.write_project("lib", name, "1.0-SNAPSHOT", source)
            self.assert_works(self.mvn("deploy", "-DskipTests", folder=project))
            shutil.rmtree(self.folder / "local" / self.group_id)
            self.assert_works(self.mvn("compile", folder=consumer))
            folder = self.folder / "local" / self.group_id / name / "1.0-SNAPSHOT"
            builds = [path.name for path in folder.glob(f"{name}-1.0-2*-{number}.jar")]
            self.assertEqual(len(builds), 1, sorted(path.name for path in folder.iterdir()))

    def test_many_at_once(self) -> None:
        """Files of one version that come at once are all there; of one file sent in many ways one way stays."""
        folder = f"{self.daemon.packages_path('maven', self.daemon.world.private_id)}/acme/{self.artifact_id}/1.0"
        bodies = {f"{self.artifact_id}-1.0-part{number}.jar": b"%d" % number * 1000 for number in range(16)}
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda name: self.put(f"{folder}/{name}", bodies[name]), bodies))
            self.assertEqual(answers, [201] * 16)
            same = f"{folder}/{self.artifact_id}-1.0.jar"
            answers = list(pool.map(lambda body: self.put(same, body), bodies.values()))
        self.assertEqual(sorted(answers), [201] + [409] * 15)
        headers = {"PRIVATE-TOKEN": self.daemon.world.reader}
        for name, body in bodies.items():
            self.assertEqual(self.daemon.get(f"{folder}/{name}", headers)[2], body)
        self.assertEqual(self.daemon.get(same, headers)[2], list(bodies.values())[answers.index(201)])

    def put(self, path: str, body: bytes) -> int:
        """Send a file over a connection of its own; returns the status."""
        connection = http.client.HTTPConnection(self.host_and_port, timeout=60)
        with contextlib.closing(connection):
            connection.request("PUT", path, body, {"PRIVATE-TOKEN": self.daemon.world.writer})
            return connection.getresponse().status

    def test_order_is_mavens_own(self) -> None:
        """Maven's own library puts versions in the order that ours does."""
        from pkgregd.formats.maven_versions import version_key

        shuffle = Random(1)
        numbers = ["1", "1.0", "1.0.0", "1.0.1", "1.2", "1.10", "2", "2.0.0.1", "10.0"]
        endings = [
            "",
            "-alpha",
            "-alpha-1",
            "-a2",
            "-beta3",
            "-M1",
            "-rc1",
            "-CR2",
            ".RC3",
            "-SNAPSHOT",
            "-rc1-SNAPSHOT",
        ]
        endings += [
            ".Final",
            ".GA",
            "-sp1",
            ".SP2",
            "-jre",
            "-android",
            ".jre8",
            "-1",
            "-2",
            "-redhat-00001",
            ".x",
            "-x",
        ]
        endings += [".v20200101", "-20200101.101112", "+build", "-1-gabc123", "-b07", "_1", "-foo.bar"]
        versions = [number + ending for number in numbers for ending in endings]
        shuffle.shuffle(versions)
        versions.sort(key=version_key)
        libraries = ":".join(map(str, self.maven_libraries()))
        run = self.run_program(
            self.find("java"), "-cp", libraries, "org.apache.maven.artifact.versioning.ComparableVersion", *versions
        )
        output = self.assert_works(run)
        signs = re.findall(r"^ +\S+ (<|==|>) \S+$", output, re.MULTILINE)
        same = [version_key(one) == version_key(other) for one, other in itertools.pairwise(versions)]
        self.assertEqual(signs, ["==" if each else "<" for each in same], output)


class PluginTests(MavenTestCase):
    """Plugins that Maven builds and deploys, and calls by their prefix."""

    prefix = "salute"
    mojo = """
    import org.apache.maven.plugin.AbstractMojo;
    /** @goal greet
      * @requiresProject false */
    public class GreetMojo extends AbstractMojo {
        public void execute() { getLog().error("GREETINGS FROM " + getClass().getName()); }
    }
    """

    def write_plugin(self) -> pathlib.Path:
        """Write the project of a plugin whose prefix is not what its name lets expect."""
        project = self.write_project("plugin", self.artifact_id, "1.0", self.mojo)
        pom = project / "pom.xml"
        text = pom.read_text().replace(
            "<properties>", "<packaging>maven-plugin</packaging><name>Salutes</name><properties>"
        )
        # Maven gives plexus-utils 1.1, which the machine does not have, to plugins that ask for none
        needed = (
            ("org.apache.maven", "maven-plugin-api", "provided"),
            ("org.codehaus.plexus", "plexus-utils", "compile"),
        )
        dependencies = "".join(
            f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{DEBIAN_VERSIONS[name]}</version>"
            f"<scope>{scope}</scope></dependency>"
            for group, name, scope in needed
        )
        tool = (
            f"<plugin><artifactId>maven-plugin-plugin</artifactId><version>{PLUGINS['plugin']}</version>"
            f"<configuration><goalPrefix>{self.prefix}</goalPrefix></configuration></plugin>"
        )
        text = text.replace("<build><plugins>", f"<build><plugins>{tool}")
        text = text.replace("<build>", f"<dependencies>{dependencies}</dependencies><build>")
        pom.write_text(text)
        return project

    def write_plugin_settings(self) -> None:
        """Have Maven look for plugins in the private project, too, those of our group by their prefix."""
        self.write_settings(self.private_url)
        text = self.settings_file.read_text()
        found = re.search("<repositories>.*</repositories>", text, re.DOTALL)
        assert found is not None
        plugins = found[0].replace("repositor", "pluginRepositor")
        text = text.replace("</repositories>", f"</repositories>{plugins}")
        groups = f"<pluginGroups><pluginGroup>{self.group_id}</pluginGroup></pluginGroups>"
        self.settings_file.write_text(text.replace("</settings>", f"{groups}</settings>"))

    def test_called_by_its_prefix(self) -> None:
        """A plugin is deployed with the metadata that Maven makes of it, and run by the prefix that its jar says."""
        self.write_plugin_settings()
        self.assert_works(self.mvn("deploy", "-DskipTests", folder=self.write_plugin()))
        shutil.rmtree(self.folder / "local" / self.group_id)
        run = self.mvn(f"{self.prefix}:greet")
        self.assertIn("GREETINGS FROM GreetMojo", self.assert_works(run))
        path = f"{self.daemon.packages_path('maven', self.daemon.world.private_id)}/{self.group_id}/maven-metadata.xml"
        _, _, page = self.daemon.get(path, {"PRIVATE-TOKEN": self.daemon.world.reader})
        told = f"<name>Salutes</name> <prefix>{self.prefix}</prefix> <artifactId>{self.artifact_id}</artifactId>"
        self.assertIn(told, " ".join(page.decode().split()))


class TidyTests(MavenTestCase):
    """Builds of snapshots that newer ones have taken the place of, removed by the operator's command."""

    settings = "[formats.maven]\nkeep_builds = 1\n"

    def builds(self) -> list[str]:
        """Return the numbers of the builds that are there, in the order in which their jars came."""
        rows = self.daemon.query(
            f"SELECT file_name FROM package_files WHERE file_name LIKE '{self.artifact_id}-1.0-%.jar' ORDER BY id"  # noqa: S608 - a name of the test's own
        )
        return [name.removesuffix(".jar").rpartition("-")[2] for (name,) in rows]

    def let_settle(self) -> None:
        """Have all files come two hours earlier than they did."""
        self.daemon.query("UPDATE package_files SET created_at = created_at - 7200000000")

    def test_builds_go_and_the_newest_is_resolved(self) -> None:
        """What is being deployed stays; then all builds but the last go, and Maven gets that one."""
        self.write_settings(self.private_url)
        for number in (1, 2, 3):
            self.assert_works(self.deploy_file(self.write_jar(text=f"build {number}"), "1.0-SNAPSHOT"))
        self.assertEqual(json.loads(self.daemon.cli("--json", "tidy"))["builds"], 0)
        self.let_settle()
        would = json.loads(self.daemon.cli("--json", "tidy", "--dry-run"))
        self.assertEqual((would["is_dry_run"], would["builds"], would["files"]), (True, 2, 4))
        self.assertEqual(self.builds(), ["1", "2", "3"])
        told = self.daemon.cli("tidy").splitlines()
        (package,) = would["named"]
        name = f"acme/{self.artifact_id}"
        self.assertEqual(told[0], f"acme/private maven {name} 1.0-SNAPSHOT: {' '.join(package['builds'])}")
        self.assertIn("builds: 2", told)
        self.assertEqual(self.builds(), ["3"])
        shutil.rmtree(self.folder / "local")
        self.assert_works(self.get("1.0-SNAPSHOT", self.private_url))
        (jar,) = (self.folder / "local" / name / "1.0-SNAPSHOT").glob("*-3.jar")
        self.assertIn(b"build 3", jar.read_bytes())
        self.assert_works(self.deploy_file(self.write_jar(text="build 4"), "1.0-SNAPSHOT"))
        self.assertEqual(self.builds(), ["3", "4"])


class MavenHttpsTests(OverHttps, MavenTestCase, FileContract):
    """Over HTTPS."""
