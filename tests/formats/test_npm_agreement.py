"""What may differ between the account that a client sends of an npm package and the one in its tarball."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidRequest, MetadataMismatch
from pkgregd.formats.npm_agreement import compare
from pkgregd.formats.npm_inspection import Inspection
from pkgregd.formats.npm_manifest import Manifest
from pkgregd.formats.npm_repositories import published_form

BASE: Mapping[str, Any] = {"name": "@acme/lib", "version": "1.0.0"}


def agree(sent: Mapping[str, Any], packed: Mapping[str, Any], *, has_gyp: bool = False) -> bool:
    """Compare what is sent and packed beside name and version."""
    inside = json.dumps({**BASE, **packed}).encode()
    return compare(Manifest.of({**BASE, **sent}, "the document"), Inspection(inside, has_gyp))


class AgreementTests(SynchronousTestCase):
    """Pairs of accounts."""

    def assert_agree(self, sent: Mapping[str, Any], packed: Mapping[str, Any]) -> None:
        """Assert that a pair passes."""
        try:
            agree(sent, packed)
        except InvalidRequest as error:
            self.fail(f"{sent} and {packed}: {error}")

    def assert_differ(self, sent: Mapping[str, Any], packed: Mapping[str, Any]) -> None:
        """Assert that a pair is refused."""
        with self.assertRaises(MetadataMismatch, msg=f"{sent} and {packed}"):
            agree(sent, packed)

    def test_repositories(self) -> None:
        """A repository may be written as npm publishes it, or as its author did, and be no other."""
        for written, published in {
            "u/r": "github:u/r",
            "u/r#semver:^1": "github:u/r#semver:^1",
            "https://github.com/u/r": "git+https://github.com/u/r.git",
            "git@github.com:u/r.git#v1": "git+ssh://git@github.com/u/r.git#v1",
            "gitlab:u/r": "gitlab:u/r",
            "https://gitlab.com/g/s/r": "git+https://gitlab.com/g/s/r.git",
        }.items():
            for sent in (written, published):
                self.assert_agree({"dependencies": {"a": sent}}, {"dependencies": {"a": written}})
            for other in ("github:u/other", "github:evil/r", f"{published}x", "1.0.0", "evil/r#v1"):
                self.assert_differ({"dependencies": {"a": other}}, {"dependencies": {"a": written}})

    def test_what_is_bundled(self) -> None:
        """npm adds what is bundled to the dependencies, in any version; nothing else is added."""
        for key, value in (("bundleDependencies", ["b"]), ("bundledDependencies", ["b"]),
                           ("bundleDependencies", {"b": 1})):  # fmt: skip
            packed = {"dependencies": {"a": "1"}, key: value}
            self.assert_agree({"dependencies": {"a": "1", "b": "*"}, "bundleDependencies": ["b"]}, packed)
            self.assert_agree({"dependencies": {"a": "1"}}, packed)
            self.assert_differ({"dependencies": {"a": "1", "b": "1"}}, packed)
            self.assert_differ({"dependencies": {"a": "1", "c": "*"}}, packed)
        self.assert_differ({"dependencies": {"b": "*"}, "bundleDependencies": ["b"]}, {})
        self.assert_differ({"dependencies": {"b": "*"}}, {"bundleDependencies": True})

    def test_what_authors_get_wrong(self) -> None:
        """npm repairs lists, texts and values that are no text."""
        for packed in ("a@1 b", ["a@1", "b", 3], {"a": "1", "b": "", "c": 3}):
            self.assert_agree({"dependencies": {"a": "1", "b": ""}}, {"dependencies": packed})
        self.assert_agree({"dependencies": {"a": "1"}}, {"dependencies": {"a": "1", "//": "why"}})
        self.assert_agree({}, {"dependencies": None, "scripts": "x", "bin": 3, "version": " =v01.0.0"})
        self.assert_agree({"version": "1.0.0-beta"}, {"version": "1.0.0beta"})
        self.assert_agree({}, {"name": " @acme/lib "})
        self.assert_differ({}, {"dependencies": ["a@1"]})

    def test_slipped_in(self) -> None:
        """A dependency, peer or version that only one side has is refused, in both directions."""
        for key in ("dependencies", "optionalDependencies", "peerDependencies"):
            for one, other in (({key: {"evil": "1"}}, {}), ({key: {"a": "1"}}, {key: {"a": "2"}})):
                self.assert_differ(one, other)
                self.assert_differ(other, one)

    def test_programs(self) -> None:
        """Programs are compared as they are linked; those in a folder have to lie in it."""
        self.assert_agree({"bin": {"lib": "cli.js"}}, {"bin": "./cli.js"})
        self.assert_agree({"bin": {"a.js": "x/a.js"}}, {"bin": ["x/a.js", 3]})
        self.assert_agree({"bin": {"lib": "up.js"}}, {"bin": {"x/lib": "../../up.js"}})
        self.assert_agree({}, {"bin": {"bad name": "x.js", "up": "../x.js", "": "x", "y": ""}})
        self.assert_agree({"bin": {"a": "bin/sub/a"}}, {"directories": {"bin": "./bin/"}})
        self.assert_agree({}, {"directories": {"bin": "bin"}})
        for sent, packed in (
            ({"bin": {"sh": "evil.js"}}, {"directories": {"bin": "bin"}}),
            ({"bin": {"sh": "bin/a"}}, {"directories": {"bin": "bin"}}),
            ({"bin": {"sh": "evil.js"}}, {"bin": {"lib": "cli.js"}}),
            ({}, {"bin": {"lib": "cli.js"}}),
            ({"bin": {"lib": "other.js"}}, {"bin": "cli.js"}),
        ):
            self.assert_differ(sent, packed)

    def test_hidden_scripts(self) -> None:
        """What an installation runs is told as it is packed, but for what npm cuts off or adds."""
        self.assert_agree({"scripts": {"install": "x"}}, {"scripts": {"install": "./node_modules/.bin/x", "test": "y"}})
        self.assert_agree({"scripts": {"install": "node-gyp rebuild"}}, {})
        for sent, packed in (({}, {"postinstall": "evil"}), ({"postinstall": "good"}, {"postinstall": "evil"}),
                             ({"install": "node-gyp rebuild"}, {"install": "evil"}),
                             ({"preinstall": "x"}, {})):  # fmt: skip
            self.assert_differ({"scripts": sent}, {"scripts": packed})

    def test_conditions(self) -> None:
        """Machines, engines and peers that may be missing are those of the tarball."""
        for key, value in (("engines", {"node": ">=18"}), ("os", ["linux"]), ("cpu", ["!arm"]), ("libc", "musl"),
                           ("peerDependenciesMeta", {"a": {"optional": True}})):  # fmt: skip
            self.assert_agree({key: value}, {key: value})
            self.assert_differ({}, {key: value})
            self.assert_differ({key: value}, {key: None})
        self.assert_agree({"engines": {"node": ">=18"}}, {"engines": ["node >=18"]})

    def test_scripts(self) -> None:
        """A script is run for a binding.gyp, unless the author says otherwise."""
        self.assertTrue(agree({}, {}, has_gyp=True))
        self.assertFalse(agree({}, {"gypfile": False}, has_gyp=True))
        self.assertTrue(agree({"scripts": {"install": "x"}}, {"scripts": {"install": "x", "y": 1}}))

    @given(st.text(max_size=40), st.sampled_from(["", "github:", "https://github.com/", "git@gitlab.com:u/"]))
    def test_any_dependency(self, text: str, before: str) -> None:
        """Whatever is wanted has a published form."""
        self.assertIsInstance(published_form(before + text), str)
