"""Names, versions and file names of Python packages."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import parse_tag
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidArchive, InvalidFileName, InvalidName, InvalidVersion, MetadataMismatch
from pkgregd.formatkit.wheels import WheelFacts
from pkgregd.formats.pypi_names import (
    MAX_WHEEL_TAGS,
    SDIST,
    WHEEL,
    FileName,
    canonical_name,
    canonical_version,
    demand_dist_info,
    demand_ending,
    demand_tags,
    file_key,
    parse_version,
)


class NameTests(SynchronousTestCase):
    """canonical_name()."""

    def test_one_name_in_many_spellings(self) -> None:
        """Case, and runs of dashes, dots and underscores, do not count."""
        for name in ("a-b", "A.B", "a_b", "a--b", "a-_.b"):
            self.assertEqual(canonical_name(name), "a-b")

    def test_lengths_and_ends(self) -> None:
        """A name has bounds, and begins and ends with a letter or digit."""
        self.assertEqual(canonical_name("a" * 200), "a" * 200)
        for name in ("a" * 201, "-a", "a-", ".a", "a.", "_a", "a_", ""):
            self.assertRaises(InvalidName, canonical_name, name)


class VersionTests(SynchronousTestCase):
    """parse_version() and canonical_version()."""

    def test_one_version_in_many_spellings(self) -> None:
        """Trailing zeros, a leading v, other words for pre-releases and leading zeros do not count."""
        for spellings in (
            ("1", "1.0", "1.0.0", "v1", "01.0"),
            ("1rc1", "1.0.RC1", "1.0c1", "1.0-rc.1"),
            ("1.post1", "1.0-1", "1.0.post1"),
            ("1!2", "1!2.0"),
            ("1+a.b", "1.0+A-b"),
        ):
            self.assertEqual({canonical_version(text) for text in spellings}, {canonical_version(spellings[0])})
        self.assertNotEqual(canonical_version("1.0+a"), canonical_version("1.0+b"))

    def test_not_versions(self) -> None:
        """What packaging itself would let through, or break on, is refused too."""
        for text in (
            "",
            "1.0\n",
            " 1.0",
            "1.0 ",
            "1" * 5000,
            "1.0.0-\u0661",
            "latest",
            "1..0",
            "1.0/..",
            "1,0",
            "1\x00",
        ):
            self.assertRaises(InvalidVersion, parse_version, text)

    @given(st.text(max_size=30) | st.from_regex(r"[0-9a-z.!+_-]{1,30}", fullmatch=True))
    def test_any_text(self, text: str) -> None:
        """Any text is a version, with a canonical form of its own, or is refused."""
        with contextlib.suppress(InvalidVersion):
            canonical = canonical_version(text)
            self.assertEqual(canonical_version(canonical), canonical)


class FileNameTests(SynchronousTestCase):
    """FileName."""

    def test_kinds(self) -> None:
        """Wheels and source distributions, by their endings."""
        for text, kind in (
            ("demo-1.0-py3-none-any.whl", WHEEL),
            ("demo_pkg-1.0-1build-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", WHEEL),
            ("demo-1!1.0+local-py2.py3-none-any.whl", WHEEL),
            ("demo-1.0.tar.gz", SDIST),
            ("demo-1.0.zip", SDIST),
        ):
            self.assertEqual(FileName.parse(text).filetype, kind)

    def test_not_taken(self) -> None:
        """Other files, and names that could lead elsewhere."""
        for text in (
            "", "demo", "demo-1.0.egg", "demo-1.0.tar.bz2", "demo-1.0.exe", "../demo-1.0.tar.gz", "a/demo-1.0.tar.gz",
            "demo-1.0.tar.gz\n", "demo-1.0-py3-none-any\n.whl", "demo-1.0-py3-none.whl", "demo--py3-none-any.whl",
            "de__mo-1.0-py3-none-any.whl", "demo-1.0-x-py3-none-any.whl", "-1.0-py3-none-any.whl",
            "d\u00e9mo-1.0.tar.gz",
            "a" * 252 + ".whl", ".tar.gz", "demo 1.0.tar.gz", "demo-1.0.whl", "demo-1.0-py3..py2-none-any.whl",
            f"demo-{'1' * 129}-py3-none-any.whl", "_-1.0-py3-none-any.whl", "C:\\demo-1.0.tar.gz",
        ):  # fmt: skip
            self.assertRaises(InvalidFileName, FileName.parse, text)

    def test_tag_explosion(self) -> None:
        """A short name that stands for very many tags is refused before they are made."""
        eight = ".".join(f"p{number}" for number in range(8))
        self.assertEqual(FileName.parse(f"d-1-{eight}-{eight}-{eight}.whl").filetype, WHEEL)
        nine = eight + ".p8"
        error = self.assertRaises(InvalidFileName, FileName.parse, f"d-1-{nine}-{eight}-{eight}.whl")
        self.assertIn(str(MAX_WHEEL_TAGS), str(error))

    def test_belongs(self) -> None:
        """A file belongs to a package in any spelling; old tools did not normalise."""
        for text, name, version in (
            ("demo_pkg-1.0-py3-none-any.whl", "Demo.Pkg", "1"),
            ("demo-pkg-1.0.0.tar.gz", "demo-pkg", "1.0"),
            ("Demo.Pkg-1.0.zip", "demo_pkg", "1.0"),
            ("demo-1.0-1.tar.gz", "demo", "1.0.post1"),
            ("demo-1-2.tar.gz", "demo-1", "2"),
            ("demo-1-2.tar.gz", "demo", "1.post2"),
        ):
            FileName.parse(text).demand(name, version)

    def test_belongs_elsewhere(self) -> None:
        """Another name or version is refused, and both are told."""
        for text in ("demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"):
            file = FileName.parse(text)
            self.assertIn("evil", str(self.assertRaises(MetadataMismatch, file.demand, "evil", "1.0")))
            self.assertIn("1.1", str(self.assertRaises(MetadataMismatch, file.demand, "demo", "1.1")))
        self.assertRaises(MetadataMismatch, FileName.parse("demo.tar.gz").demand, "demo", "1")

    def test_dist_info(self) -> None:
        """The directory in a wheel is the one that installers look for."""
        file = FileName.parse("demo_pkg-1.0-py3-none-any.whl")
        for folder in ("demo_pkg-1.0.dist-info", "Demo.Pkg-1.0.0.dist-info"):
            demand_dist_info(folder, file)
        for folder in (
            "evil-1.0.dist-info",
            "demo_pkg-2.0.dist-info",
            "demo_pkg.dist-info",
            "-.dist-info",
            ".dist-info",
        ):
            self.assertRaises(MetadataMismatch, demand_dist_info, folder, file)

    def test_tags(self) -> None:
        """WHEEL lists what the file name stands for, in any order, and no other build."""
        file = FileName.parse("demo-1.0-2x-py2.py3-none-any.whl")
        for build in ("", "2x"):
            demand_tags(WheelFacts(parse_tag("py3.py2-none-any"), build), file)
        for tags, build in (("py3-none-any", ""), ("py2.py3.py4-none-any", ""), ("py2.py3-none-any", "2")):
            self.assertRaises(MetadataMismatch, demand_tags, WheelFacts(parse_tag(tags), build), file)

    def test_endings(self) -> None:
        """A zip file ends like one, and a tar.gz does not."""
        for is_zip, text in ((True, "demo-1.0.zip"), (False, "demo-1.0.tar.gz")):
            demand_ending(is_zip, FileName.parse(text))
            self.assertRaises(InvalidArchive, demand_ending, not is_zip, FileName.parse(text))

    @given(st.text(max_size=30) | st.from_regex(r"[a-zA-Z0-9_.!+-]{1,40}(\.whl|\.tar\.gz|\.zip)", fullmatch=True))
    def test_any_text(self, text: str) -> None:
        """Any text is a file name that can be compared with a package, or is refused."""
        with contextlib.suppress(InvalidFileName, MetadataMismatch):
            FileName.parse(text).demand("demo", "1.0")


class FileKeyTests(SynchronousTestCase):
    """file_key()."""

    def test_same_file(self) -> None:
        """Spellings of name and version do not count, and neither does the order of tags."""
        for one, other in (
            ("demo_pkg-1.0-py3-none-any.whl", "Demo.Pkg-1.0.0-py3-none-any.whl"),
            ("a-1-py2.py3-none-any.whl", "a-1-py3.py2-none-any.whl"),
            ("a-1-py2.py3-none-any.whl", "a-1-PY3.py2.py3-None-any.whl"),
            ("a-1-1-py3-none-any.whl", "a-1-01-py3-none-any.whl"),
            ("demo-pkg-1.0.tar.gz", "demo_pkg-1.0.0.tar.gz"),
        ):
            self.assertEqual(file_key(one), file_key(other))

    def test_other_file(self) -> None:
        """Builds, tags and kinds do."""
        names = (
            "a-1-py3-none-any.whl", "a-1-py2-none-any.whl", "a-1-1-py3-none-any.whl", "a-1-2-py3-none-any.whl",
            "a-1-1a-py3-none-any.whl", "a-1-cp311-abi3-manylinux_2_17_x86_64.whl", "a-1.tar.gz", "a-1.zip",
        )  # fmt: skip
        self.assertEqual(len({file_key(name) for name in names}), len(names))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Every text has a key, whatever rows of other versions hold."""
        self.assertIsInstance(file_key(text), str)
