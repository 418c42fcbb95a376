"""Which builds of a snapshot newer ones have taken the place of."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.formats.maven import MavenFormat
from pkgregd.formats.maven_builds import superseded_builds
from pkgregd.formats.maven_metadata import age_of
from pkgregd.formats.maven_paths import FilePath, artifact_of
from pkgregd.values import FileRecord

NAME, VERSION = "com/acme/lib", "1.0-SNAPSHOT"
START = datetime.datetime(2026, 11, 28, 9, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
LATER = START + 1000 * MINUTE
"""When everything has settled."""


def record(number: int, file_name: str, minute: int) -> FileRecord:
    """Make the record of a file that came in a minute after START."""
    return FileRecord(number, 1, file_name, 10, {}, START + minute * MINUTE)


def stem(build: int, minute: int | None = None) -> str:
    """Return how the files of a build begin whose time is a minute after START."""
    moment = START + (build if minute is None else minute) * MINUTE
    return f"lib-1.0-{moment:%Y%m%d.%H%M%S}-{build}"


def build_files(build: int, endings: Sequence[str] = (".jar", ".pom", ".jar.asc")) -> list[FileRecord]:
    """Make the files of a build that came in the minute of its number."""
    return [record(10 * build + number, stem(build) + ending, build) for number, ending in enumerate(endings)]


class SupersededTests(SynchronousTestCase):
    """superseded_builds()."""

    def choose(
        self, files: Sequence[FileRecord], keep: int = 1, settled_before: datetime.datetime = LATER
    ) -> list[tuple[str, list[int]]]:
        """Return the numbers of builds that may go, and of their files."""
        found = superseded_builds(NAME, VERSION, files, keep, settled_before)
        return [(build.name.rpartition("-")[2], [file.id for file in build.files]) for build in found]

    def test_whole_builds_go_oldest_first(self) -> None:
        """Of five builds with two to keep three go, each with all of its files."""
        files = [file for build in (3, 1, 5, 2, 4) for file in build_files(build)]
        self.assertEqual(self.choose(files, 2), [("1", [10, 11, 12]), ("2", [20, 21, 22]), ("3", [30, 31, 32])])
        self.assertEqual(self.choose(files, 5), [])
        self.assertEqual(self.choose([]), [])
        self.assertEqual(superseded_builds(NAME, VERSION, files, 4, LATER)[0].size_bytes, 30)

    def test_a_build_that_is_being_deployed(self) -> None:
        """It stays, and none goes in its favour; also an old one that gets a file now."""
        files = [file for build in (1, 2, 3) for file in build_files(build)]
        now = START + 3 * MINUTE
        self.assertEqual(self.choose(files, 1, now), [("1", [10, 11, 12])])
        late = [*files, record(99, stem(1) + "-sources.jar", 3)]
        self.assertEqual(self.choose(late, 1, now), [])

    def test_what_metadata_leads_to(self) -> None:
        """A build stays that has the newest of some kind of file, but not for a signature alone."""
        files = [
            *build_files(1, (".jar", ".pom", "-linux.jar")),
            *build_files(2, (".jar", ".pom", "-windows.jar")),
            *build_files(3, (".jar", ".pom", ".module.asc")),
            *build_files(4, (".jar", ".pom")),
        ]
        self.assertEqual([name for name, _ in self.choose(files)], ["3"])

    def test_builds_that_are_half(self) -> None:
        """A newer build without a POM does not take the place of one that metadata leads to for some kind of file."""
        main = (".jar", ".pom")
        endings = {1: (*main, "-linux.jar"), 2: main, 3: ("-linux.jar",), 4: main}
        files = [file for build, each in endings.items() for file in build_files(build, each)]
        self.assertEqual([build for build, _ in self.choose(files)], ["2"])

    def test_files_without_a_build(self) -> None:
        """They are left alone, and so is what is not named as Maven does."""
        names = ("lib-1.0-SNAPSHOT.jar", "other.txt", "lib-1.0-20261128.jar", "ivy-1.0-20261128.090100-1.xml")
        files = [record(number, name, 0) for number, name in enumerate(names, 100)]
        self.assertEqual(self.choose([*files, *build_files(1), *build_files(2)]), [("1", [10, 11, 12])])

    def test_by_the_time_of_the_build(self) -> None:
        """As in metadata the time in the name counts before the number."""
        files = [
            record(1, f"{stem(1, 9)}.jar", 1),
            record(2, f"{stem(2, 3)}.jar", 2),
        ]
        self.assertEqual(self.choose(files), [("2", [2])])

    def test_the_format_says_which_versions_have_builds(self) -> None:
        """Snapshots have, releases have not."""
        made = MavenFormat()
        self.assertEqual((made.has_builds("1.0-SNAPSHOT"), made.has_builds("1.0")), (True, False))
        files = [*build_files(1), *build_files(2)]
        self.assertEqual(len(made.superseded(NAME, VERSION, files, 1, LATER)), 1)

    @given(
        st.lists(
            st.tuples(st.integers(1, 8), st.sampled_from([".jar", ".pom", "-a.jar", ".jar.asc"]), st.integers(0, 5)),
            unique_by=lambda each: each[:2],
        ),
        st.permutations(range(8)),
        st.integers(1, 4),
        st.integers(0, 60),
        st.integers(0, 40),
    )
    def test_whatever_there_is(
        self, made: list[tuple[int, str, int]], order: list[int], keep: int, settled: int, seen: int
    ) -> None:
        """Builds go whole, enough settled ones stay, metadata leads to what stays, and the oldest files suffice."""
        # the files of a build come within five minutes, and builds in any order
        files = sorted(
            (
                record(number, stem(build) + ending, 6 * order[build - 1] + minute)
                for number, (build, ending, minute) in enumerate(made)
            ),
            key=lambda file: (file.created_at, file.id),
        )
        before = START + settled * MINUTE
        found = superseded_builds(NAME, VERSION, files, keep, before)
        gone = {file.id for build in found for file in build.files}
        builds: dict[str, list[FileRecord]] = {}
        newest: dict[tuple[str, str], tuple[tuple[str, int], FileRecord]] = {}
        for file in files:
            artifact = artifact_of(FilePath(NAME, VERSION, file.file_name))
            assert artifact is not None
            builds.setdefault(artifact.version, []).append(file)
            if not artifact.extension.endswith(".asc"):
                kind, age = (artifact.classifier, artifact.extension), age_of(artifact.build)
                if kind not in newest or age > newest[kind][0]:
                    newest[kind] = (age, file)
        for build in builds.values():
            self.assertIn(len([file for file in build if file.id in gone]), (0, len(build)))
            if any(file.created_at >= before for file in build):
                self.assertTrue(all(file.id not in gone for file in build))
        settled_builds = [build for build in builds.values() if all(file.created_at < before for file in build)]
        staying = [build for build in settled_builds if build[0].id not in gone]
        self.assertGreaterEqual(len(staying), min(keep, len(settled_builds)))
        self.assertTrue(gone.isdisjoint(file.id for _, file in newest.values()))
        oldest = files[:seen]
        if oldest:
            border = min(before, oldest[-1].created_at - 6 * MINUTE)
            of_some = superseded_builds(NAME, VERSION, oldest, keep, border)
            self.assertLessEqual({build.name for build in of_some}, {build.name for build in found})
