"""What every format does, as tests that each of them passes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import pkgregd.formats
from pkgregd.errors import InvalidName
from pkgregd.formatkit.names import is_printable
from pkgregd.interfaces import IPackageFormat
from pkgregd.values import ANYTHING, AccountPermission, Level, Permission, Refusal, fits

if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    _Base = object

MALICIOUS_NAMES = (
    "", " ", ".", "..", "/", "../x", "a/../b", "a/..", "a//b", "a\\b", "a b", " a", "a\n", "\na", "a\x00b", "a\tb",
    "a\x1b[2J", "a\x9b31m", "a\u202eb", "a\u2066b", "a\u200bb", "a\ufeff", "a\u2028b", "\u212aubernetes",
    "re\u017fquests", "f\u043eo", "e\u0301", "\u0130", "a%2fb", "a%00", "a?b", "a#b", "a;b", 'a"b', "a<b", "a&b", "a:b",
    "\ud800", "a" * 5000, "\uff0e\uff0e",
)  # fmt: skip
"""Names that no format takes."""

REQUEST_METHODS = frozenset({"GET", "PUT", "POST", "PATCH", "DELETE"})
"""HEAD comes with GET."""

CONVERTERS = frozenset({"segment", "path"})
RUN_LANGUAGE = "sh"
SHOWN_LANGUAGES = frozenset({RUN_LANGUAGE, "json", "xml", "http", "text", "toml", "ini"})
"""Languages of the blocks in manual pages; those in `sh` are run, in order and in one folder, by a test."""

_ARGUMENT = re.compile(r"<([a-z]+):([a-z0-9_]+)>")
_FENCE = re.compile(r"^```(.*)$", re.MULTILINE)
_HOST = re.compile(r"https?://([^/\s\"'`)>]+)")


class FormatContract(_Base):
    """
    What every IPackageFormat does. Subclasses supply make_format().

    Attributes:
        good_names: names as users write them, by their canonical form.
        other_statuses: statuses that render_error() changes, by the refusal's code.
    """

    good_names: ClassVar[Mapping[str, str]]
    other_statuses: ClassVar[Mapping[str, int]] = {}

    def make_format(self) -> IPackageFormat:
        """Make a format."""
        raise NotImplementedError

    def test_interface(self) -> None:
        """Everything that the interface asks for is there."""
        verifyObject(IPackageFormat, self.make_format())

    def test_identity(self) -> None:
        """Name, title and limits are fit to be shown and configured."""
        made = self.make_format()
        self.assertRegex(made.name, r"\A[a-z][a-z0-9]*\Z")
        self.assertTrue(made.title)
        self.assertGreater(made.default_limits.max_file_bytes, 0)

    # ------------------------------------------------------------------ names

    def test_good_names(self) -> None:
        """Names that users know come to their canonical form, and stay there."""
        made = self.make_format()
        for name, canonical in self.good_names.items():
            self.assertEqual(made.canonical_name(name), canonical)
            self.assertEqual(made.canonical_name(canonical), canonical)

    def test_malicious_names(self) -> None:
        """Names that could mean something else somewhere are refused, and the message is one plain line."""
        made = self.make_format()
        for name in MALICIOUS_NAMES:
            error = self.assertRaises(InvalidName, made.canonical_name, name)
            self.assertTrue(is_printable(str(error)), ascii(name))
            self.assertLess(len(str(error)), 2000)

    @settings(suppress_health_check=[HealthCheck.differing_executors])  # one test, run for each format
    @given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9._+@/-]{1,40}", fullmatch=True)))
    @example("a\n")
    def test_canonical_names_are_total_and_idempotent(self, name: str) -> None:
        """Any text is either refused as a name, or has a canonical form that is its own."""
        made = self.make_format()
        try:
            canonical = made.canonical_name(name)
        except InvalidName:
            return
        self.assertEqual(made.canonical_name(canonical), canonical)
        self.assertTrue(canonical.isascii() and is_printable(canonical))

    # --------------------------------------------------------------- patterns

    def is_ever_published(self, name: str) -> bool:
        """Whether clients make such a name; patterns for others may be refused as mistakes."""
        return True

    @settings(suppress_health_check=[HealthCheck.differing_executors])  # one test, run for each format
    @given(st.from_regex(r"[A-Za-z0-9._@/-]{1,20}", fullmatch=True), st.data())
    def test_no_spelling_slips_past_a_pattern(self, name: str, data: st.DataObject) -> None:
        """A name fits itself as a pattern, its beginning and its end with a star, and a star alone."""
        made = self.make_format()
        try:
            canonical = made.canonical_name(name)
            if not self.is_ever_published(name):
                raise InvalidName(name)
        except InvalidName:
            name = data.draw(st.sampled_from(sorted(self.good_names)))
            canonical = made.canonical_name(name)
        self.assertEqual(made.canonical_pattern(name), canonical)
        at = data.draw(st.integers(0, len(name)))
        for pattern in (name[:at] + ANYTHING, ANYTHING + name[at:], name[:at] + ANYTHING + name[at:], ANYTHING):
            found = made.canonical_pattern(pattern)
            is_split = pattern.count(ANYTHING) == 1 and pattern[:1] != ANYTHING != pattern[-1:]
            # a star between two separators that a name has as one stands for letters that are not there
            self.assertTrue(fits(found, canonical) or is_split, (pattern, found, canonical))

    def test_patterns_that_no_name_fits(self) -> None:
        """A rule for nothing would be taken for a rule: it is refused."""
        made = self.make_format()
        for pattern in ("a b*", "a?", "[a]*", "a:b", "\u0430*", "a\n", "*\x00", "a%2f*", "\uff0a"):
            self.assertRaises(InvalidName, made.canonical_pattern, pattern)

    # ------------------------------------------------------------------ routes

    def test_routes_are_the_same_each_time(self) -> None:
        """Two formats, asked twice, answer the same things."""
        made = self.make_format()
        shown = [[(route.methods, route.path, route.permission, route.levels) for route in made.routes()] for _ in "12"]
        self.assertEqual(shown[0], shown[1])
        self.assertEqual(len(made.routes()), len(self.make_format().routes()))

    def test_routes_are_well_formed(self) -> None:
        """Paths begin with a slash or are empty, use known converters, and name no argument twice."""
        for route in self.make_format().routes():
            self.assertTrue(not route.path or route.path.startswith("/"), route.path)
            self.assertNotIn("//", route.path)
            arguments = _ARGUMENT.findall(route.path)
            self.assertEqual(_ARGUMENT.sub("", route.path).count("<"), 0, route.path)
            self.assertLessEqual({converter for converter, _ in arguments}, CONVERTERS)
            names = [name for _, name in arguments]
            self.assertEqual(len(names), len(set(names)), route.path)
            self.assertNotIn("scope", names)
            self.assertTrue(set(route.methods) and set(route.methods) <= REQUEST_METHODS, route.path)
            self.assertTrue(route.levels)
            self.assertGreaterEqual(route.body_overhead_bytes, 0)

    def test_every_route_has_the_permission_of_its_methods(self) -> None:
        """Reading asks for reading, publishing and deleting for more, and only at a project; accounts are apart."""
        for route in self.make_format().routes():
            if isinstance(route.permission, AccountPermission):
                continue
            self.assertIsInstance(route.permission, Permission)
            if route.permission is Permission.READ_PACKAGE:
                self.assertEqual(set(route.methods), {"POST"} if route.is_question else {"GET"}, route.path)
            else:
                self.assertNotIn("GET", route.methods, route.path)
                self.assertEqual(route.levels, {Level.PROJECT}, route.path)
            if "DELETE" in route.methods:
                self.assertIs(route.permission, Permission.DESTROY_PACKAGE)

    def test_no_two_routes_collide(self) -> None:
        """A method of a path is there once at a level."""
        seen: set[tuple[str, str, Level]] = set()
        for route in self.make_format().routes():
            shape = _ARGUMENT.sub(r"<\1>", route.path)
            for key in ((method, shape, level) for method in route.methods for level in route.levels):
                self.assertNotIn(key, seen)
                seen.add(key)

    # ------------------------------------------------------------------ errors

    def test_errors_keep_their_status(self) -> None:
        """A dressed error has the refusal's status, unless the ecosystem wants another, and says why."""
        made = self.make_format()
        codes = {400: "bad_request", 401: "authentication_required", 404: "not_found", 409: "file_exists", 500: "x"}
        for status, code in codes.items():
            refusal = Refusal(status, code, 'because of "this"', "request-id-7")
            reply = made.render_error(refusal)
            if reply is None:
                self.assertNotIn(code, self.other_statuses)
                continue
            self.assertEqual(reply.status, self.other_statuses.get(code, status))
            assert isinstance(reply.body, bytes)
            self.assertIn(b"because of", reply.body)
            if reply.content_type == "application/json":
                json.loads(reply.body)

    # ------------------------------------------------------------------ manual

    def manual(self) -> str:
        """Return the manual page."""
        folder = Path(next(iter(pkgregd.formats.__path__)))
        return (folder / f"{self.make_format().name}.md").read_text("utf-8")

    def test_manual_page(self) -> None:
        """There is a page with a title, and every block in it says what it is; some are commands to run."""
        text = self.manual()
        self.assertTrue(text.startswith("# "))
        fences = _FENCE.findall(text)
        self.assertEqual(len(fences) % 2, 0)
        self.assertLessEqual(set(fences[::2]), SHOWN_LANGUAGES)
        self.assertEqual(set(fences[1::2]), {""})
        self.assertIn(RUN_LANGUAGE, fences[::2])

    def test_manual_page_names_no_foreign_host(self) -> None:
        """Examples talk to this server alone, and never mix it with another index."""
        text = self.manual()
        hosts = {host.rpartition("@")[2].partition(":")[0] for host in _HOST.findall(text)}
        foreign = {host for host in hosts if host != "127.0.0.1" and not host.endswith("example.com")}
        self.assertEqual({host for host in foreign if not host.startswith("$")}, set())
        self.assertNotIn("--extra-index-url", text)
