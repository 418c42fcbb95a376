"""Every route of the management does what is said of it, with every parameter and every body that is said to be one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidRequest
from pkgregd.manage import people, places, protection, tokens
from pkgregd.manage.bodies import FORM, Body
from pkgregd.testing.calls import FakeBody, FakeCall, now
from tests.manage.support import ManagedWorld
from tests.support.described import description

API = "/api/v4"
JSON = "application/json"
BODIES = [
    body for module in (people, places, protection, tokens) for body in vars(module).values() if isinstance(body, Body)
]
KEYSET_ALONE = ("pagination", "id_after", "id_before", "cursor")
ENDLESS = ("follow",)
"""What makes an answer go on for ever: see tests.manage.test_audit."""

VALUES = {"string": "x", "integer": "1", "boolean": "true"}


def operations() -> Iterator[tuple[str, str, Any]]:
    """List method, path and what is said of it, of everything that the management answers."""
    for path, methods in description().document["paths"].items():
        for method, said in methods.items():
            if said["tags"][0].startswith("manage_"):
                yield method.upper(), path, said


class OperationTests(SynchronousTestCase):
    """Each one, of a world in memory whose handlers may read nothing that is not described."""

    def setUp(self) -> None:
        """Have something of everything."""
        self.world = ManagedWorld()
        self.world.publish()
        self.world.add_user("grace")
        (user,) = self.world.get("/users?username=grace")
        self.user_id = user["id"]
        for owner in ("groups/acme", "projects/acme%2Fprivate"):
            for kind, scope in (("deploy_tokens", "read_package_registry"), ("access_tokens", "api")):
                body = json.dumps({"name": "x", "scopes": [scope]}).encode()
                reply = self.world.request("POST", f"/{owner}/{kind}", headers={"Content-Type": JSON}, body=body)
                self.assertEqual(reply.status, 201, reply)

    def target(self, path: str, said: Any) -> str:
        """Fill a path, and give it every parameter; of two ways to page the one by numbers."""
        group, project = str(self.world.ids["acme"]), str(self.world.ids["acme/private"])
        path = path.removeprefix(API).replace("{group}", group).replace("{project}", project)
        path = path.replace("{user_id}", str(self.user_id))
        given = {}
        parameters = said.get("parameters", ())
        left_out = ENDLESS + (KEYSET_ALONE if any(one["name"] == "page" for one in parameters) else ())
        for one in parameters:
            if one["in"] == "query" and one["name"] not in left_out:
                schema = one["schema"].get("anyOf", [one["schema"]])[0]
                examples = schema.get("enum") or schema.get("examples") or [VALUES[schema["type"]]]
                given[one["name"]] = examples[0]
        return f"{re.sub('{[^}]*}', '1', path)}?{urlencode(given)}"

    def test_every_parameter_and_example(self) -> None:
        """With all parameters and each example of a body, nothing is refused as malformed that is described."""
        count = 0
        for method, path, said in operations():
            content = said.get("requestBody", {}).get("content", {"": {}})
            for media_type, one in content.items():
                example = one.get("example")
                body = None if example is None else example if media_type == FORM else json.dumps(example)
                headers = {"Content-Type": media_type} if media_type else {}
                raw = None if body is None else body.encode()
                reply = self.world.request(method, self.target(path, said), headers=headers, body=raw)
                self.assertNotIn(reply.status, (400, 405, 500), (method, path, reply))
                count += 1
        self.assertGreater(count, 80)

    def test_a_parameter_that_cannot_be(self) -> None:
        """Each alone, and beside all the others, is refused by its name."""
        count = 0
        for method, path, said in operations():
            for one in said.get("parameters", ()):
                schema = one["schema"]
                if one["in"] != "query":
                    continue
                value = "\x01" if schema.get("type") == "string" and "enum" not in schema else "nonsense"
                name, target = one["name"], self.target(path, said)
                for query in (target.partition("?")[0] + "?", f"{target}&"):
                    reply = self.world.request(method, f"{query}{name}={quote(value)}")
                    if not re.search(r"\{\w+_id\}", path):
                        self.assertEqual(reply.status, 400, (method, path, name))
                    self.assertIn(reply.status, (400, 404), (method, path, name))
                    count += 1
        self.assertGreater(count, 100)


class BodyTests(SynchronousTestCase):
    """What bodies are said to be is what is taken."""

    @settings(max_examples=300, deadline=None)
    @given(
        st.sampled_from(BODIES),
        st.dictionaries(
            st.sampled_from(sorted({name for body in BODIES for name in body.fields} | {"bio", "nonsense"})),
            st.one_of(
                st.none(), st.booleans(), st.integers(-2, 60), st.floats(allow_nan=False), st.text(max_size=3),
                st.sampled_from(["1", "40", "true", "FALSE", "public", "2027-01-31", "a,b", "²", 2**63, 2**63 - 1, ""]),
                st.lists(st.one_of(st.text(max_size=2), st.integers()), max_size=3),
            ),
            max_size=4,
        ),
    )  # fmt: skip
    def test_whatever_is_taken_fits(self, body: Body, fields: dict[str, object]) -> None:
        """No body is read that the schema does not have, be it JSON or a form."""
        form = {name if not isinstance(value, list) else f"{name}[]": value for name, value in fields.items()}
        texts = {
            name: [str(one) for one in value] if isinstance(value, list) else str(value) for name, value in form.items()
        }
        for media_type, sent, read in (
            (JSON, json.dumps(fields), fields),
            (FORM, urlencode(texts, doseq=True), {name: value for name, value in texts.items() if value != []}),
        ):
            pieces = [sent.encode()] if sent else []
            call = FakeCall(None, headers={"content-type": media_type}, body=FakeBody(pieces))  # type: ignore[arg-type] # no remote
            try:
                now(body.read(call))
            except InvalidRequest:
                continue
            self.assertEqual(description().errors(body.described.schemas[media_type], read), [], (media_type, sent))
