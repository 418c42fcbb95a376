"""Names, versions, requirements and platforms of crates."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidName, InvalidRequest, InvalidVersion
from pkgregd.formats.cargo_names import (
    canonical_name,
    canonical_version,
    demand_free,
    file_name,
    index_path,
    owner_of,
    version_key,
)
from pkgregd.formats.cargo_requirements import normal_requirement, normal_target

IN_ORDER = (
    "0.0.0", "0.9.0", "1.0.0-0", "1.0.0-1", "1.0.0-9", "1.0.0-10", "1.0.0--", "1.0.0-alpha", "1.0.0-alpha.1",
    "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0",
    "1.10.0", "18446744073709551615.0.0",
)  # fmt: skip

NUMBERS = st.integers(0, 30).map(str)
IDENTIFIERS = st.from_regex(r"\A(?:0|[1-9][0-9]{0,2}|[a-z-][a-z0-9-]{0,3})\Z")
VERSIONS = st.builds(
    lambda numbers, before: ".".join(numbers) + ("-" + ".".join(before) if before else ""),
    st.tuples(NUMBERS, NUMBERS, NUMBERS),
    st.lists(IDENTIFIERS, max_size=3),
)


class NameTests(SynchronousTestCase):
    """Names of crates."""

    def test_owners(self) -> None:
        """The first word of a name is its owner at the instance, in any spelling."""
        for name, owner in {
            "acme": "acme", "acme-x": "acme", "Acme_x-y": "acme", "ACME--x": "acme", "acmex": "acmex", "a-": "a",
        }.items():  # fmt: skip
            self.assertEqual(owner_of(name), owner)
        for name in ("", "-x", "_", "1-x", "a/b", "a.b-c"):
            self.assertRaises(InvalidName, owner_of, name)

    def test_index_paths(self) -> None:
        """Short names have folders of their own, and all is lower case."""
        for name, path in {
            "a": "1/a", "aB": "2/ab", "Abc": "3/a/abc", "abcd": "ab/cd/abcd", "Cargo_x": "ca/rg/cargo_x",
            "a-b-c": "a-/b-/a-b-c",
        }.items():  # fmt: skip
            self.assertEqual(index_path(name), path)

    def test_reserved(self) -> None:
        """Keywords, crates of the language and devices are no new crate's, in any spelling."""
        for name in ("fn", "std", "proc-macro", "Proc_Macro", "TEST", "nul", "COM1", "lpt9", "self"):
            self.assertRaises(InvalidName, demand_free, name)
        for name in ("fns", "std2", "macros", "com10"):
            demand_free(name)

    def test_bad_names(self) -> None:
        """A letter comes first, and 64 characters are enough."""
        for name in ("1a", "_a", "-a", "a.b", "a+b", "a" * 65, "download/x", "a\n"):
            self.assertRaises(InvalidName, canonical_name, name)


class VersionTests(SynchronousTestCase):
    """Versions of crates."""

    def test_order(self) -> None:
        """Versions sort as Semantic Versioning says."""
        keys = [version_key(version) for version in IN_ORDER]
        self.assertEqual(sorted(keys), keys)
        self.assertEqual(len(set(keys)), len(keys))

    @given(VERSIONS, VERSIONS)
    def test_order_is_total(self, one: str, other: str) -> None:
        """Any two can be compared, and only a version is equal to itself."""
        self.assertEqual(version_key(one) == version_key(other), one == other)
        self.assertEqual(version_key(one) < version_key(other), version_key(other) > version_key(one))

    @given(VERSIONS, st.from_regex(r"\A[0-9A-Za-z-]{1,5}(\.[0-9A-Za-z-]{1,5}){0,2}\Z"))
    def test_build_metadata(self, version: str, build: str) -> None:
        """Build metadata makes no other version, and no other file."""
        built = f"{version}+{build}"
        self.assertEqual(canonical_version(built), version)
        self.assertEqual(version_key(built), version_key(version))
        self.assertEqual(file_name("x", built), f"x-{version}.crate")

    def test_bad_versions(self) -> None:
        """What is no version of Semantic Versioning is refused."""
        for version in (
            "", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0+", "1.0.0-a..b", "1.0.0\n",
            " 1.0.0", "1.0.0-\u0661", "1.0.0/..", "1.0.0+a+b", "1" * 5000 + ".0.0", "18446744073709551616.0.0",
        ):  # fmt: skip
            self.assertRaises(InvalidVersion, canonical_version, version)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Any text is a version or refused."""
        try:
            canonical_version(text)
        except InvalidVersion:
            return
        version_key(text)


class RequirementTests(SynchronousTestCase):
    """Requirements and platforms in the spelling that cargo sends."""

    def test_requirements(self) -> None:
        """What authors write comes to what cargo makes of it, and that stays."""
        for written, sent in {
            "1": "^1", "1.2": "^1.2", "1.2.3": "^1.2.3", "^1.2": "^1.2", "~1.2": "~1.2", "=1.2.3": "=1.2.3",
            "*": "*", " * ": "*", "1.*": "1.*", "1.x": "1.*", "1.2.*": "1.2.*", "1.*.*": "1.*", ">=1,<2": ">=1, <2",
            ">= 1.2.0 ,  < 2": ">=1.2.0, <2", "1.0.0-rc.1": "^1.0.0-rc.1", "=1.0.0+build": "=1.0.0",
            "^1.*": "^1", "1.0.0+x": "^1.0.0", "1.0.0-x": "^1.0.0-x", "0": "^0", "> 1.2": ">1.2",
            "<=1.2.3-a-b": "<=1.2.3-a-b",
        }.items():  # fmt: skip
            self.assertEqual(normal_requirement(written), sent, written)
            self.assertEqual(normal_requirement(sent), sent, written)

    def test_bad_requirements(self) -> None:
        """What cargo cannot read is refused."""
        for text in (
            "",
            ",",
            "1,",
            "a",
            "==1",
            "01",
            "1.2.3.4",
            "1.*.2",
            '1"',
            "1\n",
            "1 2",
            ">=1 <2",
            "1," * 99 + "1",
        ):
            self.assertRaises(InvalidRequest, normal_requirement, text)
        self.assertRaises(InvalidRequest, normal_requirement, ">=1," * 1000 + ">=1")

    @given(st.text(alphabet="0123456789.,<>=~^*xX- +ab"))
    def test_any_requirement(self, text: str) -> None:
        """Any text is refused, or comes to a spelling that stays."""
        try:
            found = normal_requirement(text)
        except InvalidRequest:
            return
        self.assertEqual(normal_requirement(found), found)

    def test_targets(self) -> None:
        """Spaces outside of quotes and last commas mean nothing."""
        for written, sent in {
            "cfg( all( unix, not(windows),) )": "cfg(all(unix,not(windows)))",
            'cfg(target_os = "a b")': 'cfg(target_os="a b")',
            "x86_64-pc-windows-msvc": "x86_64-pc-windows-msvc",
        }.items():  # fmt: skip
            self.assertEqual(normal_target(written), sent)
        for text in ("", "a\nb", "a\u202e", "x" * 5000):
            self.assertRaises(InvalidRequest, normal_target, text)
