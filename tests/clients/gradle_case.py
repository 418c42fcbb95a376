"""Gradle: projects that publish and that build."""

from __future__ import annotations

import pathlib

from tests.support.clients import ClientTestCase, Run
from tests.support.maven import trust_store


class GradleTestCase(ClientTestCase):
    """Tests of Debian's Gradle, which publishes in Maven's layout by its plugin for Ivy."""

    client = "gradle"

    def setUp(self) -> None:
        """Import the private authority where Java looks for it."""
        super().setUp()
        self.trust = trust_store(self, self.daemon.ca_file)

    @property
    def url(self) -> str:
        """The repository of the private project."""
        return self.daemon.packages_url("maven", self.daemon.world.private_id)

    def credentials(self, secret: str | None) -> str:
        """Write what Gradle is told of credentials."""
        secret = self.daemon.world.writer if secret is None else secret
        return f"credentials {{ username 'anybody'; password '{secret}' }}" if secret else ""

    def write_build(self, folder: str, build: str, source: str) -> pathlib.Path:
        """Write a project of one class."""
        path = self.folder / folder
        code = path / "src" / "main" / "java"
        code.mkdir(parents=True, exist_ok=True)
        (code / f"{source.partition('class ')[2].split()[0]}.java").write_text(source)
        (path / "settings.gradle").write_text(f"rootProject.name = '{type(self).__name__.lower()}'\n")
        (path / "build.gradle").write_text(build)
        return path

    def publish(self, version: str, secret: str | None = None, answer: str = "") -> Run:
        """Publish a version of a library."""
        build = f"""
            apply plugin: 'java'
            apply plugin: 'ivy-publish'
            group = 'acme'
            version = '{version}'
            publishing {{
                publications {{ ivyJava(IvyPublication) {{ from components.java }} }}
                repositories {{ ivy {{ url '{self.url}'; layout 'maven'; {self.credentials(secret)} }} }}
            }}"""
        source = f'public class Lib {{ public static final String ANSWER = "{answer or version}"; }}'
        return self.gradle("publish", folder=self.write_build("lib", build, source))

    def build(self, wanted: str, secret: str | None = None) -> Run:
        """Build with the library."""
        build = f"""
            apply plugin: 'java'
            repositories {{ maven {{ url '{self.url}'; {self.credentials(secret)} }} }}
            dependencies {{ compile 'acme:{type(self).__name__.lower()}:{wanted}' }}
            task answer {{ doLast {{ println configurations.compile.files*.name }} }}"""
        source = "public class Main { String answer = Lib.ANSWER; }"
        return self.gradle("compileJava", "answer", folder=self.write_build("main", build, source))

    def gradle(self, *tasks: str, folder: pathlib.Path) -> Run:
        """Run tasks, with nothing kept from another run."""
        return self.run_client(
            "--no-daemon", "--quiet", "--project-dir", str(folder), "--gradle-user-home", str(self.folder / "gradle"),
            *tasks,
            env={"GRADLE_OPTS": f"-Djavax.net.ssl.trustStore={self.trust} -Djavax.net.ssl.trustStorePassword=changeit "
                 "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"},
        )  # fmt: skip
