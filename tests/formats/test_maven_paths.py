"""Paths and versions of Maven packages."""

from __future__ import annotations

import itertools
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidRequest, InvalidVersion
from pkgregd.formats.maven_paths import (
    Artifact,
    Build,
    artifact_of,
    check_version,
    owner_of,
    parse_file,
    split_checksum,
)
from pkgregd.formats.maven_plugins import Plugin
from pkgregd.formats.maven_versions import version_key

ASCENDING = (
    "0-alpha", "1-a1", "1-alpha2", "1-beta", "1-b2", "1-milestone", "1-m3", "1-rc", "1-cr2", "1-SNAPSHOT", "1", "1-sp",
    "1-abc", "1-xyz", "1-1", "1-2", "1.0.1-SNAPSHOT", "1.0.1", "1.1", "1.2", "1.10", "2", "10",
)  # fmt: skip
"""Of each pair Maven's own ComparableVersion says the same."""

EQUAL = (
    ("1", "1.0", "1.0.0", "1-ga", "1-final", "1.0-release", "1-0"),
    ("1-rc", "1-cr", "1.0-RC"),
    ("1-a1", "1-alpha-1"),
)

parts = st.sampled_from(
    ["0", "1", "2", "10", "a", "alpha", "beta", "cr", "rc", "m", "sp", "ga", "final", "snapshot", "x", ".", "-"]
)
texts = st.text("01289.-abmxrcSNAPSHOT_+", max_size=20) | st.lists(parts, max_size=9).map("".join)


class VersionTests(SynchronousTestCase):
    """Maven's order."""

    def test_order(self) -> None:
        """Each is older than the next."""
        for older, newer in itertools.pairwise(ASCENDING):
            self.assertLess(version_key(older), version_key(newer), (older, newer))

    def test_equal(self) -> None:
        """Some ways to write a version mean the same."""
        for group in EQUAL:
            for one, other in itertools.pairwise(group):
                self.assertEqual(version_key(one), version_key(other), (one, other))

    @settings(max_examples=400)
    @given(texts, texts, texts)
    def test_any_texts_have_an_order(self, one: str, two: str, three: str) -> None:
        """Every text has a place: to turn two around turns their order around, and of three none goes in circles."""
        first, second, third = map(version_key, (one, two, three))
        self.assertEqual(first < second, second > first)
        self.assertFalse(first < second and second < first)
        self.assertEqual(first, version_key(one))
        self.assertEqual(sum((first < third, first == third, first > third)), 1)
        if first <= second <= third:
            self.assertLessEqual(first, third)

    @given(st.lists(texts, max_size=30), st.randoms(use_true_random=False))
    def test_sorted_the_same_from_anywhere(self, versions: list[str], random: Random) -> None:
        """However versions come, they are listed in one order."""
        shuffled = list(versions)
        random.shuffle(shuffled)
        self.assertEqual(*(sorted(each, key=lambda text: (version_key(text), text)) for each in (versions, shuffled)))

    @given(texts, st.sampled_from([".0", "-0", ".ga", "-final", ".0.0", "-release"]))
    def test_what_means_nothing(self, version: str, ending: str) -> None:
        """Zeros and words for a release at the end change nothing."""
        if version[-1:].isdigit():
            self.assertEqual(version_key(version), version_key(version + ending))

    @given(st.integers(0, 99), st.integers(0, 99), st.sampled_from(["alpha", "beta", "rc", "SNAPSHOT"]))
    def test_numbers_and_previews(self, number: int, more: int, qualifier: str) -> None:
        """Numbers are compared as such, and a preview is older than its release and newer than the release before."""
        self.assertLess(version_key(f"1.{number}"), version_key(f"1.{number + more + 1}"))
        self.assertLess(version_key(f"1.{number}-{qualifier}"), version_key(f"1.{number}"))
        self.assertLess(version_key(f"1.{number}"), version_key(f"1.{number + 1}-{qualifier}"))

    def test_nested_without_end(self) -> None:
        """However often letters and digits take turns, versions are compared; new ones may not do it that often."""
        deep = "1a" * 127
        self.assertLess(version_key(f"{deep}1"), version_key(f"{deep}2"))
        self.assertRaises(InvalidVersion, check_version, deep)
        digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
        self.assertEqual(
            check_version(f"1.0.0-alpha.1-20261128.093000-{digest}"), f"1.0.0-alpha.1-20261128.093000-{digest}"
        )


class PathTests(SynchronousTestCase):
    """What a path says."""

    def test_parts(self) -> None:
        """Group, artifact, version and file."""
        path = parse_file("com/acme/lib/1.0/lib-1.0.jar")
        self.assertEqual((path.name, path.version, path.file_name), ("com/acme/lib", "1.0", "lib-1.0.jar"))
        self.assertEqual((path.group_id, path.artifact_id, path.is_pom), ("com.acme", "lib", False))
        self.assertTrue(parse_file("a/b/1/b-1.pom").is_pom)
        self.assertTrue(parse_file("a/b/1-SNAPSHOT/b-1-20260101.010203-7.pom").is_pom)

    def test_file_names(self) -> None:
        """Version, build, classifier and extension."""
        build = Build("20260101.010203", 7)
        for path, expected in (
            ("a/b/1.0/b-1.0.jar", Artifact("1.0", None, "", "jar")),
            ("a/b/1.0/b-1.0-sources.jar.asc", Artifact("1.0", None, "sources", "jar.asc")),
            ("a/b/1.0/b-1.0.tar.gz", Artifact("1.0", None, "", "tar.gz")),
            ("a/b-1/1.0/b-1-1.0.jar", Artifact("1.0", None, "", "jar")),
            ("a/b/1-SNAPSHOT/b-1-SNAPSHOT.jar", Artifact("1-SNAPSHOT", None, "", "jar")),
            ("a/b/1-SNAPSHOT/b-1-20260101.010203-7.jar", Artifact("1-20260101.010203-7", build, "", "jar")),
            ("a/b/1-SNAPSHOT/b-1-20260101.010203-7-x.jar", Artifact("1-20260101.010203-7", build, "x", "jar")),
            ("a/b/1.0/b-1.0-hadoop2.6.jar", Artifact("1.0", None, "hadoop2.6", "jar")),
            ("a/b/1.0/b-1.0-hadoop2.6.jar.asc", Artifact("1.0", None, "hadoop2.6", "jar.asc")),
            ("a/b/1.0/b-1.0-x.y.tar.gz.asc.sigstore.json", Artifact("1.0", None, "x.y", "tar.gz.asc.sigstore.json")),
            ("a/b/1.0/b-1.0-bin.tar.bz2", Artifact("1.0", None, "bin", "tar.bz2")),
            ("a/b/1.0/b-1.0-bin.tar.", None),
            ("a/b/1.0/b-1.0-bin", None),
            ("a/b/1.0/b-1.0.asc", Artifact("1.0", None, "", "asc")),
            ("a/b/1.0/b-1.0-x.asc", None),
            ("a/b/1.0/b-1.1.jar", None),
            ("a/b/1.0/b-1.0", None),
            ("a/b/1.0/b-1.0x.jar", None),
            ("a/b/1.0/b-1.0.", None),
            ("a/b/1.0/ivy-1.0.xml", None),
            ("a/b/1-SNAPSHOT/b-2-20260101.010203-7.jar", None),
            ("a/b/1-SNAPSHOT/b-1-20260101.010203.jar", None),
        ):
            self.assertEqual(artifact_of(parse_file(path)), expected, path)

    def test_checksums(self) -> None:
        """The last ending counts; an ending alone is a name."""
        self.assertEqual(split_checksum("a.jar.sha1"), ("a.jar", "sha1"))
        self.assertEqual(split_checksum("a.jar.asc.md5"), ("a.jar.asc", "md5"))
        self.assertEqual(split_checksum("a.sha1.sha512"), ("a.sha1", "sha512"))
        self.assertEqual(split_checksum("a.jar"), ("a.jar", None))
        self.assertEqual(split_checksum(".sha1"), (".sha1", None))

    def test_owners(self) -> None:
        """The group at the path of the groupId, whatever is asked for."""
        for path, owner in (
            ("com/acme/lib/1.0/lib-1.0.jar.sha1", "com/acme"),
            ("com/acme/lib/maven-metadata.xml", "com/acme"),
            ("com/acme/lib/1-SNAPSHOT/maven-metadata.xml.sha1", "com/acme"),
        ):
            self.assertEqual(owner_of(path), owner, path)
        for path in ("x", "a/b/c", "lib/maven-metadata.xml"):
            self.assertRaises(InvalidRequest, owner_of, path)

    @given(st.text("aB1.-_/+~%", max_size=60))
    def test_any_path(self, path: str) -> None:
        """A path is refused, or comes out as it went in."""
        try:
            found = parse_file(path)
        except InvalidRequest:
            return
        self.assertEqual(f"{found.name}/{found.version}/{found.file_name}", path)
        artifact_of(found)
        self.assertTrue(path.startswith(owner_of(path)))

    def test_prefixes_of_plugins(self) -> None:
        """As Maven derives them."""
        for artifact_id, prefix in (
            ("maven-jar-plugin", "jar"), ("hello-maven-plugin", "hello"), ("maven-plugin-plugin", "plugin"),
            ("other", "other"), ("x-plugin", "x"),
        ):  # fmt: skip
            self.assertEqual(Plugin(artifact_id, "").prefix, prefix)
