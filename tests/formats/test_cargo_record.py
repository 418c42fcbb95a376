"""What is read of requests and manifests: whatever comes is read or refused, and what is read agrees with itself."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidRequest
from pkgregd.formats.cargo_agreement import agreed
from pkgregd.formats.cargo_manifest import inspect_crate
from pkgregd.formats.cargo_metadata import index_line
from pkgregd.formats.cargo_publish import read_claim
from pkgregd.formats.cargo_record import record_of
from tests.formats.cargo_world import ELSEWHERE, OURS, crate, manifest, metadata
from tests.support.archives import member, tar_gz

BASE_URL = "https://registry.example.com/api/v4/projects/1/packages/toy"

WORDS = st.sampled_from(["demo", "1.0.0", "^1", "normal", "dev", "a", "", "a b", "\n", "cfg(unix)", OURS])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=8),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(WORDS | st.text(max_size=8), some, max_size=3),
    max_leaves=12,
)
KEYS = (
    "name", "vers", "deps", "features", "links", "rust_version", "version_req", "optional", "default_features",
    "target", "kind", "registry", "explicit_name_in_toml", "artifact", "description", "keywords",
)  # fmt: skip
OBJECTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6)

NAMES = st.from_regex(r"\A[a-z][a-z0-9_-]{0,8}x\Z")
FEATURES = st.from_regex(r"\A[a-z][a-z0-9]{0,5}\Z")
DEPENDENCIES = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["1", "^1.2", ">= 1, < 2", "*", "1.*", "=1.2.3", "~0.3"]),
        "optional": st.booleans(),
        "default-features": st.booleans(),
        "features": st.lists(FEATURES, max_size=3),
        "package": NAMES,
        "registry-index": st.sampled_from([OURS, ELSEWHERE]),
    }
)
SECTIONS = st.dictionaries(
    st.tuples(
        st.sampled_from(["", "cfg( unix )", "x86_64-pc-windows-msvc"]), st.sampled_from(["", "dev-", "build-"]), NAMES
    ),
    DEPENDENCIES,
    max_size=4,
)


def toml_of(sections: dict[tuple[str, str, str], dict[str, Any]], features: dict[str, list[str]]) -> str:
    """Write dependencies and features as Cargo.toml has them."""
    lines = []
    for (target, kind, name), wanted in sections.items():
        lines.append("[" + (f'target."{target}".' if target else "") + f"{kind}dependencies.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in wanted.items()]
    return "\n".join([*lines, "[features]", *(f"{name} = {json.dumps(some)}" for name, some in features.items()), ""])


def said_of(sections: dict[tuple[str, str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the same dependencies as cargo sends them, but for the spelling of requirements and platforms."""
    return [
        {
            "name": wanted["package"], "explicit_name_in_toml": name, "version_req": wanted["version"],
            "optional": wanted["optional"], "default_features": wanted["default-features"],
            "features": wanted["features"], "kind": kind.rstrip("-") or "normal", "target": target or None,
            "registry": None if wanted["registry-index"] == OURS else wanted["registry-index"],
        }
        for (target, kind, name), wanted in sections.items()
    ]  # fmt: skip


class TotalTests(SynchronousTestCase):
    """Nothing that comes breaks a reader."""

    @given(OBJECTS, st.lists(OBJECTS, max_size=2))
    def test_any_request(self, fields: dict[str, Any], dependencies: list[dict[str, Any]]) -> None:
        """Any JSON is a request about a crate, or refused."""
        for said in (fields, {**metadata(), **fields}, metadata(deps=dependencies)):
            try:
                claim = read_claim(json.dumps(said).encode())
            except InvalidRequest as error:
                self.assertTrue(str(error).isprintable())
                continue
            self.assertNotIn("\n", json.dumps(index_line(claim.record)))

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are refused, or are such a request."""
        try:
            read_claim(data)
        except InvalidRequest:
            return

    @given(st.text(alphabet='[]{}="\\.#\n ,abdenps1-', max_size=60))
    def test_any_manifest(self, text: str) -> None:
        """Whatever stands in Cargo.toml is read or refused."""
        for toml in (text.encode(), manifest(more=text)):
            data = tar_gz(member(b"demo-1.0.0/Cargo.toml", toml))
            try:
                inspect_crate(io.BytesIO(data), name="demo", version="1.0.0")
            except InvalidRequest as error:
                self.assertTrue(str(error).isprintable(), str(error))

    @given(OBJECTS)
    def test_any_answer(self, answer: dict[str, Any]) -> None:
        """An inspector that hostile bytes took over gets nothing into the index."""
        claim = record_of(metadata())
        for found in ({}, answer, {"record": answer}, {"record": {**metadata(), **answer}}):
            try:
                record = agreed(claim, found, BASE_URL)
            except InvalidRequest:
                continue
            self.assertEqual((record.name, record.version, record.dependencies), ("demo", "1.0.0", ()))


class AgreementTests(SynchronousTestCase):
    """What cargo makes of a manifest agrees with it."""

    @given(SECTIONS, st.dictionaries(FEATURES, st.lists(FEATURES, max_size=3), max_size=3))
    def test_same(self, sections: Any, features: dict[str, list[str]]) -> None:
        """The same dependencies and features, written in both ways, agree, and come into the index whole."""
        claim = record_of(metadata(deps=said_of(sections), features=features))
        answer = inspect_crate(io.BytesIO(crate(more=toml_of(sections, features))), name="demo", version="1.0.0")
        record = agreed(claim, json.loads(json.dumps(answer)), BASE_URL)
        self.assertEqual(record, claim)
        self.assertEqual(len(index_line(record)["deps"]), len(sections))

    @given(SECTIONS.filter(bool), st.data())
    def test_different(self, sections: Any, data: st.DataObject) -> None:
        """One dependency less on either side is found."""
        said = said_of(sections)
        said.pop(data.draw(st.integers(0, len(said) - 1)))
        claim = record_of(metadata(deps=said))
        whole = record_of(metadata(deps=said_of(sections)))
        answer = inspect_crate(io.BytesIO(crate(more=toml_of(sections, {}))), name="demo", version="1.0.0")
        self.assertRaises(InvalidRequest, agreed, claim, answer, BASE_URL)
        bare = inspect_crate(io.BytesIO(crate()), name="demo", version="1.0.0")
        self.assertRaises(InvalidRequest, agreed, whole, bare, BASE_URL)

    def test_own_tests_only(self) -> None:
        """A dependency without a version that is for the crate's own tests is not spoken of."""
        data = crate(more="[dev-dependencies.helper]\noptional = false\n")
        answer = inspect_crate(io.BytesIO(data), name="demo", version="1.0.0")
        self.assertEqual(answer["record"]["deps"], [])
