"""The description of what is answered: whole, true to the table of routes, and served."""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import evolve
from openapi_spec_validator import OpenAPIV31SpecValidator
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.http.credentials import HEADERS
from pkgregd.http.guards import OPEN_PERMISSIONS, SECURITY_SCHEMES
from pkgregd.http.openapi import describe, sentence_of
from pkgregd.http.ratelimits import limit_headers
from pkgregd.http.refusals import STATUSES, common_reply
from pkgregd.registry.access import FOR_EVERYBODY
from pkgregd.values import AccountPermission, Answer, Operation, Rate, Refusal, Shape, Verdict
from pkgregd.web.api import PATH, api_page, document_pages
from pkgregd.web.help import help_pages
from tests.support.described import Description, description
from tests.test_routes import whole_table
from tests.web.outline import Outline
from tests.web.test_help import HelpCase

ARGUMENT = re.compile(r"<\w+:(\w+)>")
PASSED = Verdict("packages", Rate(1000, 15), 990, 0.15, None)
REFUSED = Verdict("packages", Rate(1000, 15), 0, 15.0, 1.2)


class SeamTests(SynchronousTestCase):
    """What routes say of themselves."""

    def test_every_route_is_described(self) -> None:
        """Those beside the formats by an operation, those of the formats by a sentence."""
        for rule, mount in whole_table():
            if mount.format is None:
                self.assertIsNotNone(
                    mount.route.operation, f"the route {rule} has no description: see values.Operation"
                )
            sentence = sentence_of(mount.route)
            self.assertRegex(
                sentence, r"^[A-Z].*[.]$", f"the route {rule} has no sentence: see its handler's docstring"
            )

    def test_two_shapes_of_one_name(self) -> None:
        """They are noticed before anything is served."""
        (rule, mount), _ = whole_table()[:2]
        rules = []
        for kind in ("string", "integer"):
            answer = Answer(200, "a toy", Shape("Toy", {"type": kind}, None))
            route = evolve(mount.route, operation=Operation("show", (answer,)))
            rules.append((f"{rule}/{kind}", evolve(mount, route=route)))
        describe(rules[:1], "http://a", "1")
        self.assertRaises(ValueError, describe, rules, "http://a", "1")


class DocumentTests(SynchronousTestCase):
    """The whole document."""

    def setUp(self) -> None:
        """Have it."""
        self.description = description()
        self.document = self.description.document

    def operations(self) -> dict[tuple[str, str], Any]:
        """What is described, by method and path."""
        paths = self.document["paths"]
        return {(method.upper(), path): said for path, methods in paths.items() for method, said in methods.items()}

    def test_standard(self) -> None:
        """It is OpenAPI, and JSON."""
        self.assertEqual([str(error) for error in OpenAPIV31SpecValidator(self.document).iter_errors()], [])
        self.assertEqual(json.loads(json.dumps(self.document)), self.document)

    def test_nothing_is_missing_and_nothing_is_made_up(self) -> None:
        """Methods, paths, arguments, permissions and security are those of the table of routes, both ways."""
        wanted = {}
        for rule, mount in whole_table():
            path = ARGUMENT.sub("{}", rule)
            for method in mount.route.methods:
                open_to_all = mount.route.permission in FOR_EVERYBODY | {AccountPermission.NOTHING}
                needs_none = mount.route.permission is AccountPermission.SIGN_IN
                query = {one.name for one in mount.route.operation.parameters} if mount.route.operation else set()
                wanted[method, path] = (
                    mount.route.permission.value, len(ARGUMENT.findall(rule)), query, open_to_all, needs_none
                )  # fmt: skip
        found = {}
        for (method, path), said in self.operations().items():
            arguments = [one["name"] for one in said.get("parameters", ()) if one["in"] == "path"]
            self.assertEqual(arguments, re.findall(r"\{(\w+)\}", path))
            found[method, re.sub(r"\{\w+\}", "{}", path)] = (
                said["x-permission"],
                len(arguments),
                {one["name"] for one in said.get("parameters", ()) if one["in"] != "path"},
                {} in said["security"],
                said["security"] == [],
            )
        self.assertEqual(found, wanted)

    def test_operation_ids(self) -> None:
        """Each is one, and fit for the name of a function."""
        ids = [said["operationId"] for said in self.operations().values()]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual([one for one in ids if not re.fullmatch(r"[a-z]\w*", one)], [])

    def test_security(self) -> None:
        """Every header that carries a token is there; open is what the policy leaves open."""
        headers = {scheme.get("name", "Authorization").lower().encode() for scheme in SECURITY_SCHEMES.values()}
        self.assertEqual(headers, set(HEADERS))
        self.assertEqual(OPEN_PERMISSIONS - {AccountPermission.NOTHING}, FOR_EVERYBODY)

    def test_statuses(self) -> None:
        """Every status that an error has is explained; nobody is promised that something breaks."""
        described = {status for said in self.operations().values() for status in said["responses"]}
        self.assertNotIn("500", described)
        self.assertNotIn("default", described)
        self.assertLessEqual(described, {str(status) for _, status, _ in STATUSES} | {
            "200", "201", "202", "204", "206", "304", "405", "406", "414", "416", "417", "431", "2XX", "3XX"
        })  # fmt: skip
        for where, said in self.operations().items():  # what no route has a say in
            self.assertLessEqual({"400", "413", "414", "417", "429", "431", "503"}, said["responses"].keys(), where)

    def test_limits(self) -> None:
        """Headers of rate limits are described once, and named by whatever is answered once the caller is known."""
        passed, refused = ({name for name, _ in limit_headers(verdict)} for verdict in (PASSED, REFUSED))
        components = self.document["components"]
        self.assertEqual({name for name in components["headers"] if name.startswith("RateLimit-")}, refused)
        for where, said in self.operations().items():
            for status, response in said["responses"].items():
                response = (
                    components["responses"][response["$ref"].rpartition("/")[2]] if "$ref" in response else response
                )
                found = {name for name in response.get("headers", ()) if name.startswith("RateLimit-")}
                wanted = refused if status == "429" else set() if status in ("405", "414", "417", "431") else passed
                self.assertEqual(found, wanted, (where, status))

    def test_refusal(self) -> None:
        """The common refusal is what it is described as."""
        schema = {"$ref": "#/components/schemas/Refusal"}
        made = json.loads(_refusal(404))
        self.assertEqual(self.description.errors(schema, made), [])

    def test_examples(self) -> None:
        """Each fits its schema."""
        count = 0
        for said in self.operations().values():
            bodies = [said.get("requestBody", {}), *said["responses"].values()]
            for content in (content for body in bodies for content in body.get("content", {}).items()):
                if "example" in content[1] and "json" in content[0]:
                    count += 1
                    errors = self.description.errors(content[1]["schema"], content[1]["example"])
                    self.assertEqual(errors, [], (said["operationId"], content[0]))
        self.assertGreater(count, 50)

    def test_ignored(self) -> None:
        """What is taken and not kept is listed beside the operation, and is a field of the body."""
        said = self.operations()["POST", "/api/v4/users"]
        self.assertIn("email", said["x-ignored"])
        for name in said["x-ignored"]:
            self.assertIn(name, said["requestBody"]["content"]["application/json"]["schema"]["properties"])


def _refusal(status: int) -> bytes:
    return bytes(common_reply(Refusal(status, "rate_limited", "try again", "r")).body)  # type: ignore[arg-type] # bytes


class CheckTests(SynchronousTestCase):
    """Whoever holds answers against the document notices what is wrong with them."""

    def test_what_is_noticed(self) -> None:
        """A status, a media type, a header and a field that are not described; and an address that is not there."""
        check = Description(description().document).check
        good = {"content-type": "application/json"}
        path = "/api/v4/projects/1/deploy_tokens/2"
        body = {
            "id": 1, "name": "x", "revoked": False, "scopes": [], "username": "x", "expires_at": None, "expired": False,
        }  # fmt: skip
        check("GET", path, 200, good, json.dumps(body).encode())
        check("HEAD", path, 200, good, b"")
        for status, headers, fields in (
            (201, good, body),
            (500, good, body),
            (200, {"content-type": "text/html"}, body),
            (200, good, {**body, "more": 1}),
            (200, good, {**body, "expires_at": "soon"}),
            (404, good, body),
        ):
            self.assertRaises(AssertionError, check, "GET", path, status, headers, json.dumps(fields).encode())
        self.assertRaises(AssertionError, check, "GET", "/api/v4/projects", 200, good, b"[]")
        told = {name.lower(): value for name, value in limit_headers(REFUSED)}
        check("GET", path, 429, {**good, **told, "retry-after": "2"}, _refusal(429))
        for more in ({}, {"retry-after": "soon"}, {"retry-after": "2", "ratelimit-limit": "many"},
                     {"retry-after": "2", "ratelimit-policy": "x"}):  # fmt: skip
            self.assertRaises(AssertionError, check, "GET", path, 429, {**good, **told, **more}, _refusal(429))
        self.assertRaises(AssertionError, check, "GET", "/api/v4/nothing", 200, good, b"[]")


class ServedTests(HelpCase):
    """The document and its page, as everybody gets them."""

    def setUp(self) -> None:
        """Put them together as a daemon does."""
        super().setUp()
        self.document = describe(whole_table(), "https://registry.test/base", "1.0")
        pages = {**help_pages({}, "https://registry.test/base", [api_page(self.document)])}
        self.client = self.client_with({**pages, **document_pages(self.document)})

    def test_document(self) -> None:
        """It is JSON, names the daemon's own address, and can be asked for again with its tag."""
        reply = self.get(PATH)
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "application/json"))
        self.assertEqual(json.loads(reply.body), self.document)
        self.assertEqual(self.document["servers"], [{"url": "https://registry.test/base"}])
        self.assertEqual(self.get(PATH, If_None_Match=reply.headers["etag"]).status, 304)
        self.assertLess(len(self.get(PATH, Accept_Encoding="gzip").body), len(reply.body) / 10)

    def test_page(self) -> None:
        """It has each operation of the management, and leads to the document."""
        html = self.get("/help/api").body.decode()
        for path, methods in self.document["paths"].items():
            for method in methods:
                self.assertIn(f"<code>{method.upper()} {path}</code>", html)
        outline = Outline(html)
        self.assertIn(f"https://registry.test/base{PATH}", outline.links)
        self.assertEqual(len(outline.ids), len(set(outline.ids)))
        self.assertIn("api", Outline(self.get("/help/").body.decode()).links)
