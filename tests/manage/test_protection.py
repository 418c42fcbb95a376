"""Protection rules as scripts written for GitLab meet them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pkgregd.testing.client import ClientReply
from pkgregd.values import Role, TokenKind
from tests.manage.test_packages import ManageCase

PATTERN, TYPE = "package_name_pattern", "package_type"
PUSH, DELETE = "minimum_access_level_for_push", "minimum_access_level_for_delete"
RULE = {PATTERN: "Acme_*", TYPE: "pypi", PUSH: "maintainer"}


class ProtectionCase(ManageCase):
    """A world with a maintainer."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.world.add_user("mia", "acme", Role.MAINTAINER)
        self.rules = self.world.project() + "/protection/rules"

    def ask(self, method: str, body: object = None, which: object = "", who: str = "mia") -> ClientReply:
        """Ask for something about the rules of the private project."""
        return self.world.request(method, f"{self.rules}/{which}" if which != "" else self.rules, who, body=body)

    def add(self, **more: object) -> Any:
        """Add a rule; returns what is told of it."""
        reply = self.ask("POST", {**RULE, **more})
        self.assertEqual(reply.status, 201, reply)
        return json.loads(reply.body)


class RuleTests(ProtectionCase):
    """The life of rules."""

    def test_life(self) -> None:
        """Added, listed, changed and deleted, with GitLab's fields."""
        rule = self.add()
        wanted = {
            "id": rule["id"],
            "project_id": self.world.ids["acme/private"],
            PATTERN: "Acme_*",
            TYPE: "pypi",
            PUSH: "maintainer",
            DELETE: None,
        }
        self.assertEqual(rule, wanted)
        self.assertEqual(self.world.get(self.rules, "mia"), [wanted])
        reply = self.ask("PATCH", {DELETE: "owner"}, rule["id"])
        self.assertEqual((reply.status, json.loads(reply.body)), (200, {**wanted, DELETE: "owner"}))
        for unset in ("", None):
            reply = self.ask("PATCH", {PUSH: unset, DELETE: "admin"}, rule["id"])
            self.assertEqual(json.loads(reply.body), {**wanted, PUSH: None, DELETE: "admin"})
            self.ask("PATCH", {PUSH: "admin"}, rule["id"])
        reply = self.ask("PATCH", {TYPE: "npm", PATTERN: "@acme/*"}, rule["id"])
        changed = {TYPE: "npm", PATTERN: "@acme/*", PUSH: "admin", DELETE: "admin"}
        self.assertEqual(json.loads(reply.body), {**wanted, **changed})
        self.assertEqual(self.ask("DELETE", which=rule["id"]).status, 204)
        self.assertEqual(self.world.get(self.rules, "mia"), [])

    def test_pages(self) -> None:
        """A list is paged like any other."""
        for number in range(3):
            self.add(**{PATTERN: f"a{number}"})
        reply = self.world.request("GET", f"{self.rules}?per_page=2&page=2", "mia")
        self.assertEqual([rule[PATTERN] for rule in json.loads(reply.body)], ["a2"])
        self.assertEqual(reply.headers["x-total"], "3")

    def test_what_is_refused(self) -> None:
        """Each malformed rule by the field that is wrong."""
        for body, text in (
            ({}, PATTERN),
            ({PATTERN: "a"}, TYPE),
            ({PATTERN: "a", TYPE: "pypi"}, PUSH),
            ({**RULE, PUSH: None}, "at least one"),
            ({**RULE, PUSH: ""}, "at least one"),
            ({**RULE, PUSH: "developer"}, PUSH),
            ({**RULE, DELETE: "maintainer"}, DELETE),
            ({**RULE, TYPE: "conan"}, TYPE),
            ({**RULE, PATTERN: ""}, PATTERN),
            ({**RULE, PATTERN: "a" * 256}, PATTERN),
            ({**RULE, PATTERN: "\u0430cme*"}, PATTERN),
            ({**RULE, PATTERN: ["a"]}, PATTERN),
            ({**RULE, PATTERN: "@acme/*"}, "no name fits"),
            ({**RULE, PATTERN: "a?"}, "no name fits"),
            ({**RULE, "nonsense": 1}, "nonsense"),
            ([], "object"),
        ):  # fmt: skip
            self.refused(self.ask("POST", body), 400, text)
        self.assertEqual(self.world.get(self.rules, "mia"), [])

    def test_what_cannot_be(self) -> None:
        """A second rule for the same names, however they are written, and a rule about nothing are 422."""
        rule = self.add()
        for pattern in ("Acme_*", "ACME-*", "acme._-*"):
            self.refused(self.ask("POST", {**RULE, PATTERN: pattern}), 422, "already been taken")
        other = self.add(**{PATTERN: "b*"})
        self.refused(self.ask("PATCH", {PATTERN: "acme.*"}, other["id"]), 422, "already been taken")
        self.refused(self.ask("PATCH", {PUSH: ""}, rule["id"]), 422, "at least one")

    def test_what_is_not_there(self) -> None:
        """A rule that is gone, or of another project, is not found."""
        rule = self.add()
        self.rules = self.world.project("acme/public") + "/protection/rules"
        for number in (rule["id"], 99, 0, 10**17):
            self.refused(self.ask("PATCH", {PUSH: "owner"}, number), 404, "rule not found")
            self.refused(self.ask("DELETE", which=number), 404, "rule not found")

    def test_who_may(self) -> None:
        """Maintainers and above with their own tokens; a machine cannot take the rule away that binds it."""
        rule = self.add()
        self.world.add_user("dev", "acme", Role.DEVELOPER)
        self.world.add_token("bot", TokenKind.PROJECT, "api", project="acme/private", role=Role.OWNER)
        self.world.add_token("job", TokenKind.JOB, project="acme/private")
        for who, status in (("", 401), ("dev", 403), ("bot", 403), ("job", 403)):
            for method, body, which in (
                ("GET", None, ""), ("POST", RULE, ""), ("PATCH", {PUSH: "owner"}, rule["id"]),
                ("DELETE", None, rule["id"]),
            ):  # fmt: skip
                self.assertEqual(self.ask(method, body, which, who).status, status, (who, method))
        self.assertEqual(self.world.get(self.rules, "mia"), [rule])


class AnyRuleTests(ProtectionCase):
    """Whatever is sent is answered."""

    @given(st.dictionaries(st.sampled_from((PATTERN, TYPE, PUSH, DELETE)), st.text() | st.none() | st.integers()))
    def test_any_rule(self, fields: dict[str, object]) -> None:
        """A body of any values is a rule, or refused."""
        self.assertIn(self.ask("POST", {**RULE, **fields}).status, (201, 400, 422))


class ObeyedTests(ProtectionCase):
    """Deletions by the management."""

    def test_deletions(self) -> None:
        """A package and a file that are kept for owners are not deleted by a maintainer, and are by an owner."""
        self.world.add_user("olga", "acme", Role.OWNER)
        self.world.add_token("bot", TokenKind.PROJECT, "api", project="acme/private", role=Role.MAINTAINER)
        self.add(**{PATTERN: "al*", PUSH: None, DELETE: "owner"})
        file = self.world.publish()
        package = f"{self.world.project()}/{file.package_id}"
        for path in (package, f"{package}/package_files/{file.id}"):
            for who in ("mia", "bot"):
                self.refused(
                    self.world.request("DELETE", path, who), 403, "403 Forbidden - Package is deletion protected.",
                    "only owners and above may delete al*",
                )  # fmt: skip
        self.assertEqual(self.world.events.texts, [])
        self.assertEqual(self.world.request("DELETE", f"{package}/package_files/{file.id}", "olga").status, 204)

    def test_hidden_stays_hidden(self) -> None:
        """Who may not see the project is not told that there is a rule, nor a package."""
        self.world.add_user("eve")
        self.add(**{PATTERN: "*", PUSH: None, DELETE: "admin"})
        file = self.world.publish()
        seen = set()
        for number in (file.package_id, 99):
            reply = self.world.request("DELETE", f"{self.world.project()}/{number}", "eve")
            self.refused(reply, 404, "project not found")
            seen.add(reply.body.replace(reply.headers["x-request-id"].encode(), b"ID"))
        self.assertEqual(len(seen), 1)
