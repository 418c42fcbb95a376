"""Yanking, without HTTP."""

from __future__ import annotations

import json
from itertools import pairwise

from pkgregd import errors
from pkgregd.testing.calls import body_of
from pkgregd.values import Reply
from tests.formatkit.test_archives import make_zip
from tests.formats.pypi_world import Links, PyPITestCase, metadata, wheel, wheel_name

YANK = "/yank/<segment:name>/<segment:version>"


class YankTests(PyPITestCase):
    """PUT and DELETE of a yank."""

    def yank(self, body: object = None, version: str = "1.0", name: str = "demo") -> Reply:
        """Yank with a body, or without one."""
        pieces = [] if body is None else [body if isinstance(body, bytes) else json.dumps(body).encode()]
        return self.world.request("PUT", YANK, *pieces, name=name, version=version)

    def unyank(self, version: str = "1.0", name: str = "demo") -> Reply:
        """Undo it."""
        return self.world.request("DELETE", YANK, name=name, version=version)

    def shown(self) -> tuple[list[object], list[object]]:
        """What both kinds of page say of each file."""
        in_json = [file.get("yanked") for file in self.index()["files"]]
        in_html = [attributes.get("data-yanked") for attributes, _ in Links(body_of(self.page(name="demo"))).found]
        return in_json, in_html

    def test_every_file_of_the_version(self) -> None:
        """A yank reaches all files of a version and no other, in any spelling, and files stay to be downloaded."""
        self.publish()
        self.post([("name", "demo"), ("version", "1")], "demo-1.0.zip", make_zip([("demo-1.0/PKG-INFO", metadata())]))
        self.publish(version="2.0")
        self.assertEqual(self.yank({"reason": "broken <b>"}, name="Demo", version="v1.0.0").status, 204)
        self.assertEqual(self.shown(), (["broken <b>"] * 2 + [None], ["broken <b>"] * 2 + [None]))
        self.assertEqual(self.index()["versions"], ["1.0", "2.0"])
        self.assertEqual(len(self.index(path="acme")["files"]), 3)

    def test_reasons(self) -> None:
        """Without a reason a file is just yanked; a second yank changes the reason; undoing is complete."""
        self.publish()
        for body in (None, {}, {"reason": ""}, {"reason": None}, b" \n"):
            self.assertEqual(self.yank(body).status, 204)
            self.assertEqual(self.shown(), ([True], [""]))
        self.yank({"reason": "why"})
        self.assertEqual(self.shown(), (["why"], ["why"]))
        for _ in "12":
            self.assertEqual(self.unyank().status, 204)
            self.assertEqual(self.shown(), ([None], [None]))

    def test_validators(self) -> None:
        """Every change moves the ETag, a repetition does not."""
        self.publish()
        etags = [self.page(name="demo").etag]
        for change in (self.yank, self.yank, self.unyank, self.unyank):
            change()
            etags.append(self.page(name="demo").etag)
        self.assertEqual([a == b for a, b in pairwise(etags)], [False, True, False, True])

    def test_published_again(self) -> None:
        """The same bytes again leave a yank as it is."""
        self.publish()
        self.yank()
        self.assertEqual(self.post([("name", "demo"), ("version", "1.0")], wheel_name(), wheel()).status, 200)
        self.assertEqual(self.shown()[0], [True])

    def test_not_there(self) -> None:
        """An unknown name or version is not found, and a bad one is refused."""
        self.publish()
        for change in (self.yank, self.unyank):
            self.assertRaises(errors.PackageNotFound, change, version="2.0")
            self.assertRaises(errors.PackageNotFound, change, name="other")
            self.assertRaises(errors.InvalidVersion, change, version="x y")
            self.assertRaises(errors.InvalidName, change, name="a b")

    def test_bodies(self) -> None:
        """A reason is one line of text with an end; nothing else is taken."""
        self.publish()
        self.assertEqual(self.yank({"reason": "x" * 1000}).status, 204)
        for body in (
            {"reason": "x" * 1001}, {"reason": "a\nb"}, {"reason": "a\u202eb"}, {"reason": "\x1b[2J"}, {"reason": 1},
            {"reason": ["x"]}, {"other": 1}, [], "text", b"{", b"\xff", b'{"reason": "a", "reason": "b"}',
        ):  # fmt: skip
            self.assertRaises(errors.MalformedBody, self.yank, body)
        self.assertRaises(errors.BodyTooLarge, self.yank, b" " * (1 << 20))
        self.assertEqual(self.shown()[0], ["x" * 1000])
