"""What is set at projects and groups, by the management API, and what follows from it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.plugin import find_formats
from pkgregd.testing.calls import now
from pkgregd.testing.client import parse_replies
from pkgregd.values import Role
from tests.manage.support import ManagedWorld

GIB = 1 << 30


class SettingsCase(SynchronousTestCase):
    """A world with all formats."""

    quota_bytes: int | None = None

    def setUp(self) -> None:
        """Make it."""
        self.world = ManagedWorld(formats=tuple(find_formats().values()), quota_bytes=self.quota_bytes)
        for role in Role:
            self.world.add_user(role.name.lower(), "acme", role)
        self.world.add_user("stranger")

    def address(self, path: str) -> str:
        """Return where the settings of a place are."""
        number = self.world.ids[path]
        is_group = path in ("acme", "acme/deep")
        return f"/groups/{number}/-/packages/settings" if is_group else f"/projects/{number}/packages/settings"

    def change(self, path: str = "acme/private", who: str = "root", method: str = "PUT", **changes: Any) -> Any:
        """Change some; returns what holds then."""
        status, fields = self.try_change(path, who, method, **changes)
        self.assertEqual(status, 200, fields)
        return fields

    def try_change(
        self, path: str = "acme/private", who: str = "root", method: str = "PUT", **changes: Any
    ) -> tuple[int, Any]:
        """Try to; returns status and answer."""
        body = json.dumps(changes).encode()
        reply = self.world.request(method, self.address(path), who, {"Content-Type": "application/json"}, body)
        return reply.status, json.loads(reply.body)

    def put(self, name: str, body: bytes, who: str = "developer", path: str = "acme/private") -> tuple[int, Any]:
        """Upload a generic file of version 1."""
        # past the description, which tells of the management's refusals and not of a format's own
        address = f"/api/v4{self.world.project(path)}/generic/{name}/1/f"
        reply = self.world.client.request("PUT", address, {"PRIVATE-TOKEN": self.world.tokens[who]}, body)
        return reply.status, json.loads(reply.body)

    def get(self, name: str, who: str = "reporter", path: str = "acme/private") -> int:
        """Download it; returns the status."""
        return self.world.request("GET", f"{self.world.project(path)}/generic/{name}/1/f", who).status


class ShowTests(SettingsCase):
    """What is shown, and to whom."""

    def test_everything_is_configured_at_first(self) -> None:
        """All settings are there with what holds, nothing is own or inherited, and usage stands beside."""
        self.put("a", b"abc")
        shown = self.world.get(self.address("acme/private"), "maintainer")
        wanted = {
            "packages_enabled": True,
            "quota_bytes": None,
            "generic_enabled": True,
            "generic_max_file_size": 5 * GIB,
            "generic_duplicates_allowed": True,
            "generic_duplicate_exception_regex": "",
            "npm_enabled": True,
            "npm_max_file_size": GIB // 2,
            "own": [],
            "inherited": {},
            "usage": {"file_bytes": 3, "reserved_bytes": 0},
        }
        self.assertEqual({name: shown.get(name) for name in wanted}, wanted)
        self.assertNotIn("npm_duplicates_allowed", shown)
        self.assertNotIn("usage", self.world.get(self.address("acme"), "owner"))

    def test_where_it_comes_from(self) -> None:
        """The project's own, those of the nearest group that has it, and null inherits again."""
        self.change("acme", npm_enabled=False, quota_bytes=10)
        self.change("acme/deep", quota_bytes=5)
        shown = self.change("acme/deep/down", npm_enabled=True, method="PATCH")
        self.assertEqual((shown["own"], shown["inherited"]), (["npm_enabled"], {"quota_bytes": "acme/deep"}))
        self.assertEqual((shown["npm_enabled"], shown["quota_bytes"]), (True, 5))
        shown = self.change("acme/deep/down", npm_enabled=None)
        self.assertEqual((shown["own"], shown["inherited"]["npm_enabled"]), ([], "acme"))
        self.assertFalse(shown["npm_enabled"])

    def test_who_may(self) -> None:
        """Maintainers of a project and owners of a group, with a user's own token."""
        for path, who, status in (
            ("acme/private", "maintainer", 200),
            ("acme/private", "developer", 403),
            ("acme/private", "stranger", 404),
            ("acme/private", "", 401),
            ("acme", "owner", 200),
            ("acme", "maintainer", 403),
        ):
            self.assertEqual(self.world.request("GET", self.address(path), who).status, status, (path, who))
            self.assertEqual(self.try_change(path, who, npm_enabled=False)[0], status, (path, who))

    def test_bodies_are_strict(self) -> None:
        """What is no setting of these formats, or not of its kind, is refused by its name, and nothing is changed."""
        for changes in (
            {"npm_enable": True},
            {"npm_duplicates_allowed": True},
            {"conan_enabled": True},
            {"usage": {}},
            {"npm_enabled": "perhaps"},
            {"npm_enabled": 1.5},
            {"quota_bytes": 0},
            {"quota_bytes": -1},
            {"quota_bytes": 1.5},
            {"quota_bytes": True},
            {"quota_bytes": 2**63},
            {"npm_max_file_size": "many"},
            {"generic_duplicate_exception_regex": "("},
            {"generic_duplicate_exception_regex": "a" * 256},
            {"generic_duplicate_exception_regex": "(a)\\1"},
            {"generic_duplicate_exception_regex": 7},
            {"generic_duplicate_exception_regex": "a\nb"},
        ):
            status, answer = self.try_change(**changes, generic_enabled=False)
            self.assertEqual(status, 400, changes)
            self.assertIn(next(iter(changes)), answer["error"])
        self.assertEqual(self.world.get(self.address("acme/private"))["own"], [])

    def test_limits_are_raised_by_administrators_alone(self) -> None:
        """Whoever may change settings may lower them, also from unlimited; not raise them, nor take them away."""
        self.change(who="maintainer", quota_bytes=100, npm_max_file_size=50)
        for changes in ({"quota_bytes": 101}, {"quota_bytes": None}, {"npm_max_file_size": 51}):
            status, answer = self.try_change(who="owner", **changes)
            missing = f"the permission to raise {next(iter(changes))} is missing: ask an administrator"
            self.assertEqual((status, answer["error"]), (403, missing))
        self.change(who="maintainer", quota_bytes=99, npm_enabled=False)
        self.change(who="root", quota_bytes=None, npm_max_file_size=GIB)
        self.change("acme", "owner", quota_bytes=7)
        self.change(who="maintainer", quota_bytes=7)
        self.change(who="maintainer", quota_bytes=None)


class ConsequenceTests(SettingsCase):
    """What a daemon does after a change, at once."""

    def test_a_format_that_is_switched_off(self) -> None:
        """Is not there for reading or writing, says so to those who may know, and comes back with everything."""
        self.assertEqual(self.put("a", b"abc")[0], 201)
        missing = self.world.request("GET", "/projects/999/packages/generic/a/1/f", "stranger")
        self.change(generic_enabled=False)
        status, answer = self.put("b", b"abc")
        self.assertEqual((status, answer["error_code"]), (404, "switched_off"))
        self.assertIn("is switched off in this project", answer["error"])
        self.assertEqual(self.get("a"), 404)
        hidden = self.world.request("GET", f"{self.world.project()}/generic/a/1/f", "stranger")
        ids = [reply.headers["x-request-id"].encode() for reply in (missing, hidden)]
        self.assertEqual(missing.body.replace(ids[0], b""), hidden.body.replace(ids[1], b""))
        self.assertEqual(self.get("a", path="acme/public"), 404)
        (package,) = self.world.get(self.world.project(), "reporter")
        file = f"{self.world.project()}/{package['id']}/package_files/1"
        self.assertEqual(self.world.request("GET", f"{file}/download", "reporter").status, 404)
        self.change(generic_enabled=None)
        self.assertEqual((self.get("a"), self.world.request("GET", f"{file}/download").status), (200, 200))

    def test_no_registry_at_all(self) -> None:
        """Every format is switched off, the list of packages too, and the settings can still be changed."""
        self.put("a", b"abc")
        self.change(who="maintainer", packages_enabled=False)
        self.assertEqual(self.get("a"), 404)
        self.assertEqual(self.world.request("GET", self.world.project(), "owner").status, 404)
        self.assertEqual(self.world.get(f"/groups/{self.world.ids['acme']}/packages", "owner"), [])
        self.change(who="maintainer", packages_enabled=True)
        self.assertEqual((self.get("a"), len(self.world.get(self.world.project(), "owner"))), (200, 1))

    def test_what_changes_while_a_body_comes(self) -> None:
        """Whoever has lost his right by its end publishes nothing, and leaves nothing behind."""

        def revoke() -> None:
            self.assertTrue(now(self.world.catalog.revoke_token(self.world.tokens["developer"].split("_")[2])))

        for number, (change, undo, status) in enumerate(
            (
                (lambda: None, lambda: None, 201),
                (partial(self.change, generic_enabled=False), partial(self.change, generic_enabled=None), 404),
                (revoke, lambda: None, 401),
            )
        ):
            address = f"/api/v4{self.world.project()}/generic/a{number}/1/f"
            fields = {"PRIVATE-TOKEN": self.world.tokens["developer"], "Content-Length": "3"}
            self.assertEqual(self.world.client.request("PUT", address, fields, b"ab").status, 0)
            transport = self.world.client.transport
            change()
            transport.send(b"c")
            self.assertEqual(parse_replies(bytes(transport.received), ["PUT"])[-1].status, status)
            undo()
            self.assertEqual(self.get(f"a{number}"), 200 if status == 201 else 404)
        self.assertEqual(len(self.world.blobs.contents), 1)

    def test_a_size_limit(self) -> None:
        """A greater file is refused by its length, and one without a length in the middle."""
        self.change("acme", generic_max_file_size=5)
        self.assertEqual(self.put("a", b"12345")[0], 201)
        status, answer = self.put("b", b"123456")
        self.assertEqual((status, answer["error_code"]), (413, "body_too_large"))
        self.assertIn("the limit is 5 bytes; ask an administrator to raise generic_max_file_size", answer["error"])
        address = f"{self.world.project()}/generic/c/1/f"
        chunked = self.world.request(
            "PUT", address, "developer", {"Transfer-Encoding": "chunked"}, b"6\r\n123456\r\n0\r\n\r\n"
        )
        self.assertEqual((chunked.status, json.loads(chunked.body)["error_code"]), (413, "body_too_large"))

    def test_duplicates(self) -> None:
        """The exception toggles the rule both ways, and is of whole names or versions."""
        for is_allowed, first, second in ((False, 201, 400), (True, 400, 201)):
            self.change(generic_duplicates_allowed=is_allowed, generic_duplicate_exception_regex="tool-[a-z]+")
            for number, name in enumerate(("tool-a", "tool-a2")):
                name += "y" * is_allowed if number == 0 else "-x" * is_allowed
                self.assertEqual(self.put(name, b"old")[0], 201)
                self.assertEqual(self.put(name, b"new")[0], (first, second)[number], name)

    def test_a_quota(self) -> None:
        """It is told in the refusal, deleting makes room, and usage is shown."""
        self.change(who="maintainer", quota_bytes=10)
        self.assertEqual(self.put("a", b"123456")[0], 201)
        status, answer = self.put("b", b"12345")
        self.assertEqual((status, answer["error_code"]), (413, "quota_exceeded"))
        self.assertIn("the project's quota of 10 bytes has room for 4 more, and this needs 5", answer["error"])
        self.assertEqual(self.put("b", b"1234")[0], 201)
        self.assertEqual(self.world.get(self.address("acme/private"))["usage"], {"file_bytes": 10, "reserved_bytes": 0})
        deleted = self.world.request("DELETE", f"{self.world.project()}/generic/a/1/f", "maintainer")
        self.assertEqual(deleted.status, 204)
        self.assertEqual(self.put("c", b"123456")[0], 201)
        self.assertEqual(self.put("d", b"1", path="acme/public")[0], 201)


class ConfiguredTests(SettingsCase):
    """A quota for every project."""

    quota_bytes = 4

    def test_the_configured_quota(self) -> None:
        """It holds where nothing is set, and is what settings are measured against."""
        self.assertEqual(self.put("a", b"12345")[0], 413)
        self.assertEqual(self.try_change(who="owner", quota_bytes=5)[0], 403)
        self.change(who="root", quota_bytes=5)
        self.assertEqual(self.put("a", b"12345")[0], 201)


class SwitchTests(SynchronousTestCase):
    """GitLab's switches of a project's packages, which are settings here."""

    def test_what_would_be_ignored_is_refused(self) -> None:
        """As things are they may be sent along; anything else is refused with where it is set."""
        world = ManagedWorld()
        path = "/projects/acme%2Fprivate"
        kept = {"packages_enabled": True, "package_registry_access_level": "enabled", "visibility": "internal"}
        self.assertEqual(world.request("PUT", path, body=kept).status, 200)
        for name, value in (("packages_enabled", False), ("package_registry_access_level", "public")):
            reply = world.request("PUT", path, body={name: value, "visibility": "public"})
            self.assertEqual(reply.status, 400)
            self.assertIn(f"{name} is not changed here: see PUT /projects/:id/packages/settings".encode(), reply.body)
        self.assertEqual(world.get(path)["visibility"], "internal")
