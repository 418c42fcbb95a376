"""Names, versions and tags of npm packages, and which document is asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.formats.npm import NpmFormat
from pkgregd.formats.npm_document import Representation, choose_representation, dist_tags
from pkgregd.formats.npm_names import Place, canonical_version, check_tag, owner_of, version_key

SHORT = {"Accept": "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"}


class NameTests(SynchronousTestCase):
    """Names, versions, tags and paths."""

    def test_bad_names(self) -> None:
        """What npm refuses for new packages is refused."""
        for name in ("Lib", "@Acme/lib", ".lib", "_lib", "@acme", "@acme/", "@/lib", "a/b", "@a/b/c", "node_modules",
                     "-", "favicon.ico", "@acme/node_modules", "a" * 215, "lib!", "l\u00efb"):  # fmt: skip
            self.assertRaises(errors.InvalidName, NpmFormat().canonical_name, name)

    def test_versions(self) -> None:
        """Semantic versions are compared without their build metadata; everything else is refused."""
        for version, canonical in {"1.0.0": "1.0.0", "1.2.3-rc.1+x.y": "1.2.3-rc.1", "0.0.0-0a": "0.0.0-0a"}.items():
            self.assertEqual(canonical_version(version), canonical)
        for version in ("1", "1.0", "v1.0.0", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0+", "1.0.0-a..b", "1.0.0\n", "",
                        "1.0.0 ", "\u0661.0.0", "1.0.0-" + "a" * 250, "9" * 17 + ".0.0", "latest"):  # fmt: skip
            self.assertRaises(errors.InvalidVersion, canonical_version, version)

    def test_order(self) -> None:
        """Versions are in the order of the specification's own example."""
        ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
                   "1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0"]  # fmt: skip
        backwards = list(reversed(ordered))
        self.assertEqual(sorted(backwards, key=version_key), ordered)

    def test_tags(self) -> None:
        """A tag cannot be taken for a range of versions."""
        for tag in ("latest", "next", "release-1.x", "vnext", "_a", "v17-lts", "1-lts", "1.2.3.4", "01", "~", "V1"):
            self.assertEqual(check_tag(tag), tag)
        for tag in ("1", "1.0.0", "v1", "x", "X", "^1", "~1", "*", "", "a b", "a/b", "a" * 129, ".", "..",
                    "1.2", "1.x", "v1.2.3-lts", "1.2.3-a+b"):  # fmt: skip
            self.assertRaises(errors.InvalidRequest, check_tag, tag)

    def test_latest(self) -> None:
        """Without a tag the greatest version is the latest, before a pre-release."""
        self.assertEqual(dist_tags(["1.0.0", "2.0.0-a"], {}), {"latest": "1.0.0"})
        self.assertEqual(dist_tags(["1.0.0-a", "2.0.0-a"], {}), {"latest": "2.0.0-a"})
        self.assertEqual(dist_tags(["1.0.0", "2.0.0"], {"latest": "1.0.0"}), {"latest": "1.0.0"})

    def test_whose(self) -> None:
        """At the instance a scope is the path of a group."""
        self.assertEqual(owner_of("@acme/lib"), "acme")
        self.assertRaises(errors.InvalidName, owner_of, "lib")
        self.assertEqual(Place.parse("@acme/lib/-/lib-1.0.0.tgz"), Place("@acme/lib", ("-", "lib-1.0.0.tgz")))

    def test_representations(self) -> None:
        """What has the greater weight is chosen; everything is told to whoever asks for neither."""
        full, short = Representation.FULL, Representation.SHORT
        for accept, wanted in {
            None: full, "": full, "*/*": full, "application/json": full, SHORT["Accept"]: short, short.value: short,
            f"application/json, {short.value};q=0.5": full, f"{short.value}; q=nonsense": full,
            f"{short.value};q=0": full,
        }.items():  # fmt: skip
            self.assertIs(choose_representation(accept), wanted, accept)

    @given(st.text(";,=q.01 /*", max_size=30))
    def test_any_accept(self, accept: str) -> None:
        """Whatever is asked for, there is an answer."""
        self.assertIn(choose_representation(f"{Representation.SHORT.value};q{accept}"), Representation)
