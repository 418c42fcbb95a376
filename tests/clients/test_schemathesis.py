"""schemathesis asks everything that the management's description allows, and much that it does not."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import sys
from typing import Any

from tests.support.clients import ClientTestCase

SUPPORT = pathlib.Path(__file__).parents[1] / "support"
EXAMPLES = os.environ.get("PKGREGD_FUZZING_EXAMPLES", "8")
SECONDS = os.environ.get("PKGREGD_FUZZING_SECONDS", "")
TAGS = ("manage_packages", "manage_people", "manage_places", "manage_tokens")
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "unsupported_method", "use_after_free",
)  # fmt: skip
"""
Not positive_data_acceptance, since names are taken, scopes unknown and days past; nor ignored_auth, since the limit of
failed credentials answers 429 soon.
"""

ARGUMENTS = ("project", "group", "token_id", "user_id", "package_id", "file_id")
OTHERS = 3
"""How many other users there are."""

TEXTS = ("project", "group")
"""Those that may be paths, and so are texts: a dictionary of numbers would not be looked at."""

PLACES = 8
"""How many groups with a project there are; all but the first two may be removed by whoever may."""


class SchemathesisTests(ClientTestCase):
    """Nothing breaks, nothing is answered that is not described, and what is malformed is refused."""

    client = "schemathesis"
    environment = "schemathesis"
    settings = '[[rate_limits]]\nprefix = "/"\nauthenticated = "100000/1s"\nanonymous = "100000/1s"\n'
    root = ""

    def setUp(self) -> None:
        """Have things of this test's own: groups, projects, packages, users and tokens."""
        super().setUp()
        self.agent = f"schemathesis-{self._testMethodName}"
        if not vars(type(self)).get("root"):
            self.daemon.cli("user", "add", "boss", "--admin")
            type(self).root = self.daemon.cli("token", "add", "--kind", "personal", "--user", "boss", "--scope", "api")
        user = self.make("/users", username=self._testMethodName)
        own = json.loads(self.ask("GET", "/personal_access_tokens/self"))
        token = self.make(f"/users/{user['id']}/personal_access_tokens", name="fuzzing", scopes=["api"])
        self.secret, self.user_id = token["token"], user["id"]
        self.kept = [token["id"], own["id"]]
        self.numbers: dict[str, list[int]] = {name: [] for name in ARGUMENTS}
        self.numbers["user_id"].append(user["id"])
        for number in range(OTHERS):
            other = self.make("/users", username=f"{self._testMethodName}-{number}")
            token = self.make(f"/users/{other['id']}/personal_access_tokens", name="x", scopes=["read_api"])
            self.numbers["user_id"].append(other["id"])
            self.numbers["token_id"].append(token["id"])
        for number in range(PLACES):
            self.make_place(f"{self._testMethodName}-{number}", 30 if number % 2 else 50)
        self.kept += self.numbers["group"][:2] + self.numbers["project"][:2]

    def make_place(self, name: str, role: int) -> None:
        """Make a group with a project, a package with a file, and a token of each."""
        group = self.make("/groups", path=name, visibility="public")
        project = self.make("/projects", path="app", namespace_id=group["id"], visibility="public")
        self.make(f"/groups/{group['id']}/members", user_id=self.user_id, access_level=role)
        for kind, owner in (("project", project), ("group", group)):
            self.numbers[kind].append(owner["id"])
            for tokens, scope in (("deploy_tokens", "read_package_registry"), ("access_tokens", "read_api")):
                made = self.make(f"/{kind}s/{owner['id']}/{tokens}", name="x", scopes=[scope])
                self.numbers["token_id"].append(made["id"])
        self.ask("PUT", f"/projects/{project['id']}/packages/generic/thing/1.0/thing.txt", b"thing")
        (package,) = json.loads(self.ask("GET", f"/projects/{project['id']}/packages"))
        (file,) = json.loads(self.ask("GET", f"/projects/{project['id']}/packages/{package['id']}/package_files"))
        self.numbers["package_id"].append(package["id"])
        self.numbers["file_id"].append(file["id"])

    def make(self, path: str, /, **fields: object) -> Any:
        """Make something as an administrator."""
        return json.loads(self.ask("POST", path, json.dumps(fields).encode()))

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Ask the daemon something as an administrator."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=30)
        try:
            headers = {"PRIVATE-TOKEN": self.root, "Content-Type": "application/json"}
            connection.request(method, "/api/v4" + path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            self.assertLess(answer.status, 300, text)
            return text
        finally:
            connection.close()

    def configuration(self) -> str:
        """Fill in what there is."""
        written = {
            name: [str(one) for one in there] if name in TEXTS else there for name, there in self.numbers.items()
        }
        known = [f"[dictionaries.{name}]\nvalues = {json.dumps(there)}\n" for name, there in written.items()]
        bound = [f'"path.{name}" = {{ dictionary = "{name}", probability = 0.9 }}\n' for name in self.numbers]
        text = (SUPPORT / "fuzzing.toml").read_text()
        hooks = json.dumps(str(SUPPORT / "fuzzing.py"))
        return text.replace("HOOKS", hooks).replace("NUMBERS", "".join([*known, "[parameters]\n", *bound]))

    def fuzz(self, secret: str) -> set[str]:
        """Run it; returns the methods and rules that something was done by."""
        (self.folder / "fuzzing.toml").write_text(self.configuration())
        shown = ("--header", f"PRIVATE-TOKEN: {secret}") if secret else ()
        bounds = ("--max-time", SECONDS) if SECONDS else ()
        tags = [argument for tag in TAGS for argument in ("--include-tag", tag)]
        run = self.run_client(
            "--config-file", "fuzzing.toml", "run", f"{self.daemon.http_url}/api/openapi.json",
            "--url", self.daemon.http_url, "--header", f"User-Agent: {self.agent}", *shown, *tags, *bounds,
            "--checks", ",".join(CHECKS),
            # the run would end its own token
            "--exclude-operation-id", "revoke_own_token", "--exclude-operation-id", "rotate_own_token",
            "--seed", "1", "--max-examples", EXAMPLES, "--generation-database", "none", "--no-color",
            env={"FUZZING_KEPT": json.dumps(self.kept)},
        )  # fmt: skip
        self.assert_works(run)
        return self.rules_that_did_something()

    def rules_that_did_something(self) -> set[str]:
        """Read the access log of this run; no limit may have stood before what was to be tried."""
        found = [json.loads(line) for line in self.daemon.log_text().splitlines() if line.startswith("\t{")]
        asked = [line for line in found if line.get("agent") == self.agent and "route" in line]
        self.assertNotIn(429, {line["status"] for line in asked})
        sys.stdout.write(f"\n  {len(asked)} requests\n")
        return {f"{line['method']} {line['route']}" for line in asked if line["status"] < 300}

    def test_administrator(self) -> None:
        """Who may do everything: nearly every route has done something."""
        done = self.fuzz(self.root)
        self.assertGreater(len(done), 50, done)

    def test_developer(self) -> None:
        """Who owns some groups, and is a developer in others."""
        done = self.fuzz(self.secret)
        self.assertGreater(len(done), 40, done)

    def test_nobody(self) -> None:
        """Who shows nothing changes nothing."""
        done = self.fuzz("")
        self.assertGreater(len(done), 5, done)
        self.assertEqual({rule for rule in done if not rule.startswith("GET ")}, set())
