"""Gradle: publishing to a Maven repository, and building with what is in it."""

from __future__ import annotations

import contextlib
import http.client

from tests.clients.gradle_case import GradleTestCase
from tests.support.clients import OverHttps


class GradleTests(GradleTestCase):
    """Over HTTP."""

    def test_publish_and_build(self) -> None:
        """Versions are published and the newest that fits is built with; what is refused is told."""
        for version in ("1.9", "1.10", "2.0"):
            self.assert_works(self.publish(version))
        output = self.assert_works(self.build("1.+"))
        self.assertIn(f"{type(self).__name__.lower()}-1.10.jar", output)
        self.assert_fails(self.publish("2.0", answer="other"), "409")
        self.assert_fails(self.publish("3.0", secret="nonsense"), "401")
        self.assert_fails(self.build("1.9", secret=""), "401")


class HalfBuildTests(GradleTestCase):
    """What is being deployed while somebody builds."""

    def put(self, artifact: str, version: str, file_version: str, needed: str = "") -> None:
        """Publish a jar, and a POM if it is to need something."""
        folder = f"{self.daemon.packages_path('maven', self.daemon.world.private_id)}/acme/{artifact}/{version}"
        files = {".jar": f"{artifact} {file_version}".encode()}
        if needed:
            files[".pom"] = (
                "<project><modelVersion>4.0.0</modelVersion><groupId>acme</groupId>"
                f"<artifactId>{artifact}</artifactId><version>{version}</version><dependencies>{needed}</dependencies>"
                "</project>"
            ).encode()
        for ending, data in files.items():
            connection = http.client.HTTPConnection(self.host_and_port, timeout=60)
            with contextlib.closing(connection):
                path = f"{folder}/{artifact}-{file_version}{ending}"
                connection.request("PUT", path, data, {"PRIVATE-TOKEN": self.daemon.world.writer})
                self.assertEqual(connection.getresponse().status, 201)

    def test_dependencies_of_a_half_build(self) -> None:
        """Until a POM is there a build gets the one before with what that one needs, of snapshots and in ranges."""
        needed = (
            "<dependency><groupId>acme</groupId><artifactId>half-base</artifactId><version>1</version></dependency>"
        )
        self.put("half-base", "1", "1", " ")
        self.put("half-snap", "1.0-SNAPSHOT", "1.0-20261128.080000-1", needed)
        self.put("half-snap", "1.0-SNAPSHOT", "1.0-20261128.090000-2")
        self.put("half-rel", "1.0", "1.0", needed)
        self.put("half-rel", "1.1", "1.1")
        build = f"""
            repositories {{ maven {{ url '{self.url}'; {self.credentials(None)} }} }}
            configurations {{ snap; rel }}
            dependencies {{ snap 'acme:half-snap:1.0-SNAPSHOT'; rel 'acme:half-rel:1.+' }}
            task answer {{ doLast {{
                println configurations.snap.files.collect {{ it.name + '=' + it.text }}
                println configurations.rel.files.collect {{ it.name + '=' + it.text }}
            }} }}"""
        output = self.assert_works(self.gradle("answer", folder=self.write_build("half", build, "class Main { }")))
        self.assertIn("half-snap-1.0-SNAPSHOT.jar=half-snap 1.0-20261128.080000-1", output)
        self.assertIn("half-rel-1.0.jar=half-rel 1.0,", output)
        self.assertEqual(output.count("half-base-1.jar"), 2, output)


class GradleHttpsTests(OverHttps, GradleTests):
    """The same over HTTPS."""
