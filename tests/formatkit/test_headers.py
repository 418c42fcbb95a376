"""Promises, conditions and negotiation in request headers."""

from __future__ import annotations

import base64
import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidRequest
from pkgregd.formatkit.headers import best_media_type, promised_digests, write_precondition
from pkgregd.formats.pypi_index import Representation, choose_representation
from pkgregd.values import Digest, Precondition

SHA256 = bytes(range(32))
SHA512 = bytes(range(64))

JSON, HTML_V1, HTML = Representation.JSON, Representation.HTML_V1, Representation.HTML
JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"


def encoded(raw: bytes) -> str:
    """Write base64."""
    return base64.b64encode(raw).decode()


class PromisedDigestsTests(SynchronousTestCase):
    """promised_digests()."""

    def promised(self, **headers: str) -> tuple[Digest, ...]:
        """Read headers given with underscores."""
        by_name = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        return promised_digests(lambda name: by_name.get(name.lower()))

    def test_nothing_promised(self) -> None:
        """Without headers nothing is promised, nor by algorithms that nobody here knows."""
        self.assertEqual(self.promised(), ())
        self.assertEqual(self.promised(Repr_Digest="crc32c=:AAAA:, sha3-256=::"), ())
        self.assertEqual(self.promised(Digest="unixsum=30637"), ())

    def test_structured_fields(self) -> None:
        """RFC 9530: a dictionary of byte sequences, with optional white space."""
        text = f"sha-256=:{encoded(SHA256)}: ,\tsha-512=:{encoded(SHA512)}:"
        wanted = {Digest("sha256", SHA256.hex()), Digest("sha512", SHA512.hex())}
        self.assertEqual(set(self.promised(Repr_Digest=text)), wanted)
        self.assertEqual(set(self.promised(Content_Digest=text, Repr_Digest=text)), wanted)

    def test_malformed_structured_fields(self) -> None:
        """What is not such a dictionary, or no digest of that length."""
        good = encoded(SHA256)
        for text in (
            "", ",", good, f"sha-256={good}", f"sha-256=:{good}", f"SHA-256=:{good}:", f"sha-256=:{good}:;a=1",
            f"sha-256=:{good}:,", "sha-256=:AAAA:", "sha-256=:A:", f'sha-256="{good}"', f"sha-512=:{good}:",
        ):  # fmt: skip
            self.assertRaises(InvalidRequest, self.promised, Repr_Digest=text)

    def test_contradictions(self) -> None:
        """Two digests of one algorithm cannot both hold."""
        self.promised(X_Checksum_Sha256=SHA256.hex(), Repr_Digest=f"sha-256=:{encoded(SHA256)}:")
        self.assertRaises(
            InvalidRequest,
            self.promised,
            X_Checksum_Sha256="0" * 64,
            Repr_Digest=f"sha-256=:{encoded(SHA256)}:",
        )

    @given(st.sampled_from(["Repr_Digest", "Digest", "Content_MD5", "X_Checksum_Sha1"]), st.text(max_size=30))
    def test_any_text(self, name: str, text: str) -> None:
        """Any text is a promise or malformed."""
        with contextlib.suppress(InvalidRequest):
            self.promised(**{name: text})


class WritePreconditionTests(SynchronousTestCase):
    """write_precondition()."""

    def test_lists(self) -> None:
        """Strong tags are compared, others stay demands that nothing meets."""
        sha = "a" * 64
        headers = {"If-Match": f'"{sha}" , W/"{sha}",\t"*","x"'}
        found = write_precondition(headers.get)
        self.assertEqual(found, Precondition(sha256_any_of=(sha, f'W/"{sha}"', '"*"', '"x"')))

    def test_no_demand_is_lost(self) -> None:
        """A header that was sent always demands something."""
        self.assertEqual(write_precondition({}.get), Precondition())
        self.assertTrue(write_precondition({"If-Match": 'W/"x"'}.get).sha256_any_of)
        self.assertEqual(write_precondition({"If-Match": " * "}.get).sha256_any_of, ("*",))
        self.assertTrue(write_precondition({"If-None-Match": "*"}.get).absent)


class ChooseRepresentationTests(SynchronousTestCase):
    """Negotiation of the simple index, with the Accept headers of real clients."""

    def test_clients(self) -> None:
        """pip, uv, poetry, a browser, curl, and old pips."""
        for accept, wanted in (
            (f"{JSON_TYPE}, {HTML_TYPE}; q=0.1, text/html; q=0.01", JSON),
            (f"{JSON_TYPE}, {HTML_TYPE};q=0.2, text/html;q=0.01", JSON),
            (f"{JSON_TYPE}, */*;q=0.1", JSON),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
            ("*/*", HTML),
            (None, HTML),
            ("", HTML),
            ("text/html", HTML),
        ):
            self.assertIs(choose_representation(accept), wanted, accept)

    def test_quality(self) -> None:
        """The greatest quality wins, zero excludes, the most special range decides."""
        for accept, wanted in (
            (f"{JSON_TYPE};q=0.5, text/html", HTML),
            (f"{JSON_TYPE};q=0, */*", HTML),
            (f"text/html;q=0, {HTML_TYPE};q=0, */*;q=0.1", JSON),
            (f"{JSON_TYPE}, text/html", JSON),
            ("application/*", JSON),
            ("text/*", HTML),
            ("application/vnd.pypi.simple.latest+json", JSON),
            ("application/vnd.pypi.simple.latest+html", HTML_V1),
            (f"{JSON_TYPE.upper()}", JSON),
            (f"{HTML_TYPE};q=0.3;x=y", HTML_V1),
        ):
            self.assertIs(choose_representation(accept), wanted, accept)

    def test_nothing_fits(self) -> None:
        """A client that takes none of them gets none."""
        for accept in ("application/json", "image/*", "text/html;q=0", "*/*;q=0", "text/plain, application/xml"):
            self.assertIsNone(choose_representation(accept), accept)

    def test_malformed_parts_do_not_count(self) -> None:
        """Nonsense beside a sound range is passed over; nonsense alone is like no header."""
        self.assertIs(choose_representation(f"garbage, {JSON_TYPE}"), JSON)
        self.assertIs(choose_representation(f"text/html;q=2, {JSON_TYPE};q=0.1"), JSON)
        self.assertIs(choose_representation(";;;,,"), HTML)

    @given(st.text(max_size=40))
    def test_any_text(self, accept: str) -> None:
        """Any header leads to an offer or to none."""
        self.assertIn(best_media_type(accept, {"a/b": "x", "a/c": "y"}, "a/c"), ("x", "y", None))
