"""Running unmodified Maven: plugins from the machine, everything else from the daemon."""

from __future__ import annotations

import pathlib
import zipfile
from xml.sax.saxutils import escape

from tests.support.clients import ClientTestCase, Run

PLUGIN_FOLDER = pathlib.Path("/usr/share/maven-repo")
"""Where Debian keeps Maven's plugins, as a repository."""

PLUGINS = {
    "compiler": "3.10.1",
    "deploy": "3.0.0",
    "install": "3.1.0",
    "jar": "3.3.0",
    "plugin": "3.7.1",
    "resources": "3.3.0",
    "surefire": "2.22.3",
}
"""The versions that Debian has: a build pins them."""

DEPENDENCY = "org.apache.maven.plugins:maven-dependency-plugin:3.5.0"
DEPLOY = "org.apache.maven.plugins:maven-deploy-plugin:3.0.0"

REPOSITORY_ID = "reg"


MIRROR = (
    "<mirrors><mirror><id>debian</id><mirrorOf>central</mirrorOf>"
    f"<url>{PLUGIN_FOLDER.as_uri()}</url></mirror></mirrors>"
)


def write_maven_config(folder: pathlib.Path) -> None:
    """Have Maven, when it is run in a folder, take plugins from the machine and keep what it fetches there."""
    settings = folder / ".mvn" / "machine.xml"
    settings.parent.mkdir()
    settings.write_text(
        f"<settings><localRepository>{folder / '.mvn' / 'local'}</localRepository>{MIRROR}</settings>", "utf-8"
    )
    (settings.parent / "maven.config").write_text(f"-gs\n{settings}\n")


def trust_store(case: ClientTestCase, ca_file: str) -> pathlib.Path:
    """Make a store of the one authority that Java is to trust, with the password `changeit`."""
    store = case.folder / "trust.p12"
    case.assert_works(
        case.run_program(
            case.find("keytool"), "-importcert", "-noprompt", "-alias", "ca", "-file", ca_file,
            "-keystore", str(store), "-storetype", "PKCS12", "-storepass", "changeit",
        )
    )  # fmt: skip
    return store


class MavenTestCase(ClientTestCase):
    """
    Tests of Maven; every test has a local repository of its own, and names for itself alone.

    Attributes:
        group_id: whose path is that of the group of the daemon's projects.
    """

    client = "mvn"
    group_id = "acme"

    def setUp(self) -> None:
        """Import the private authority where Java looks for it."""
        super().setUp()
        self.trust = trust_store(self, self.daemon.ca_file)

    @property
    def artifact_id(self) -> str:
        """Return a name for this test alone."""
        return f"{type(self).__name__}-{self._testMethodName}".replace("_", "-").lower()

    # --- addresses

    @property
    def private_url(self) -> str:
        """The repository of the private project."""
        return self.daemon.packages_url("maven", self.daemon.world.private_id)

    @property
    def group_url(self) -> str:
        """The repository of the group."""
        return f"{self.daemon.url}/api/v4/groups/{self.daemon.world.group}/-/packages/maven"

    @property
    def instance_url(self) -> str:
        """The repository of the whole daemon."""
        return f"{self.daemon.url}/api/v4/packages/maven"

    # --- files

    def write_settings(self, url: str, secret: str | None = None, *, header: tuple[str, str] | None = None) -> None:
        """
        Write the settings of a user.

        Args:
            url: what is resolved from, beside Debian's plugins.
            secret: sent as a password; none at all if empty. That of the writer if None.
            header: sent instead, with every request.
        """
        server = ""
        if header is not None:
            name, value = map(escape, header)
            server = (
                "<configuration><httpHeaders><property>"
                f"<name>{name}</name><value>{value}</value></property></httpHeaders></configuration>"
            )
        elif secret != "":
            password = self.daemon.world.writer if secret is None else secret
            server = f"<username>anybody</username><password>{escape(password)}</password>"
        servers = f"<servers><server><id>{REPOSITORY_ID}</id>{server}</server></servers>" if server else ""
        self.settings_file.write_text(
            f"""<settings>
            <localRepository>{self.folder / "local"}</localRepository>
            {servers}
            {MIRROR}
            <profiles><profile><id>p</id>
            <repositories><repository><id>{REPOSITORY_ID}</id><url>{escape(url)}</url>
            <releases><checksumPolicy>fail</checksumPolicy></releases>
            <snapshots><enabled>true</enabled><updatePolicy>always</updatePolicy><checksumPolicy>fail</checksumPolicy></snapshots>
            </repository></repositories></profile></profiles>
            <activeProfiles><activeProfile>p</activeProfile></activeProfiles>
            </settings>""",
            "utf-8",
        )

    @property
    def settings_file(self) -> pathlib.Path:
        """Where they are."""
        return self.folder / "settings.xml"

    def write_jar(self, name: str = "a.jar", text: str = "42") -> pathlib.Path:
        """Write a jar with one file in it."""
        path = self.folder / name
        with zipfile.ZipFile(path, "w") as jar:
            jar.writestr("answer.txt", text)
        return path

    def write_project(
        self, folder: str, artifact_id: str, version: str, source: str, dependency: tuple[str, str] | None = None
    ) -> pathlib.Path:
        """Write a project of one class `Main`, which may need one other package."""
        plugins = "".join(
            f"<plugin><artifactId>maven-{name}-plugin</artifactId><version>{number}</version></plugin>"
            for name, number in PLUGINS.items()
            if name != "plugin"
        )
        needed = ""
        if dependency is not None:
            needed = (
                f"<dependencies><dependency><groupId>{self.group_id}</groupId><artifactId>{dependency[0]}</artifactId>"
                f"<version>{dependency[1]}</version></dependency></dependencies>"
            )
        path = self.folder / folder
        code = path / "src" / "main" / "java"
        code.mkdir(parents=True, exist_ok=True)
        (code / f"{source.partition('class ')[2].split()[0]}.java").write_text(source)
        (path / "pom.xml").write_text(
            f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
            <groupId>{self.group_id}</groupId><artifactId>{artifact_id}</artifactId><version>{version}</version>
            <properties><maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target>
            <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
            <distributionManagement>
            <repository><id>{REPOSITORY_ID}</id><url>{escape(self.private_url)}</url></repository>
            </distributionManagement>{needed}
            <build><plugins>{plugins}</plugins></build></project>"""
        )
        return path

    # --- running

    def mvn(self, *arguments: str, folder: pathlib.Path | None = None) -> Run:
        """Run Maven in a folder, where nothing asks a question."""
        where = ("-f", str(folder / "pom.xml")) if folder is not None else ()
        return self.run_client(
            "-B", "-ntp", "-q", "-s", str(self.settings_file), *where, *arguments,
            env={"MAVEN_OPTS": f"-Djavax.net.ssl.trustStore={self.trust} -Djavax.net.ssl.trustStorePassword=changeit "
                 "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"},
        )  # fmt: skip

    def deploy_file(self, jar: pathlib.Path, version: str, url: str = "", *settings: str) -> Run:
        """Deploy one jar, for which Maven writes a POM."""
        return self.mvn(
            f"{DEPLOY}:deploy-file", f"-Durl={url or self.private_url}", f"-DrepositoryId={REPOSITORY_ID}",
            f"-DgroupId={self.group_id}", f"-DartifactId={self.artifact_id}", f"-Dversion={version}", "-Dpackaging=jar",
            f"-Dfile={jar}", *settings,
        )  # fmt: skip

    def get(self, version: str, url: str) -> Run:
        """Resolve a package into the local repository."""
        return self.mvn(
            f"{DEPENDENCY}:get", f"-Dartifact={self.group_id}:{self.artifact_id}:{version}",
            f"-DremoteRepositories={REPOSITORY_ID}::default::{url}", "-Dtransitive=false",
        )  # fmt: skip

    def local(self, version: str, ending: str = ".jar") -> pathlib.Path:
        """Return where the local repository has a file."""
        folder = self.folder / "local" / self.group_id / self.artifact_id / version
        return folder / f"{self.artifact_id}-{version}{ending}"

    def maven_libraries(self) -> list[pathlib.Path]:
        """Return Maven's own libraries."""
        return sorted((pathlib.Path(self.program).resolve().parents[1] / "lib").glob("*.jar"))
