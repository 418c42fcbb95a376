"""Routes that belong to no format: mounted beside the formats, behind the same guards."""

import json

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pkgregd import errors
from pkgregd.http.front import TABLE_LIMITS, make_factory
from pkgregd.http.settings import FrontSettings
from pkgregd.interfaces import IAuthorisedCall, ICall, IRouteTable
from pkgregd.testing.client import MemoryClient
from pkgregd.values import Level, Permission, Reply, Route
from tests.http.front import FrontCase, Remote

PROJECT = "/api/v4/projects/acme%2Ftools"


@implementer(IRouteTable)
class ThingTable:
    """Things of projects and groups, where a format of that name could have been."""

    name = "things"
    challenge = None

    def __init__(self, case):
        self.case = case

    def routes(self):
        """One for each, and one by its number."""
        read, both = Permission.READ_PACKAGE, frozenset({Level.PROJECT, Level.GROUP})
        return (
            Route(("GET",), "/packages", read, self.case.handle, both),
            Route(("GET",), "/packages/<number:thing_id>/<segment:part>", read, self.case.handle),
            Route(("DELETE",), "/packages/<number:thing_id>", Permission.DESTROY_PACKAGE, self.case.handle),
        )

    def render_error(self, refusal):
        """Dress one error."""
        return Reply(400, b"taken", "text/plain") if refusal.code == "file_exists" else None


class TableTests(FrontCase):
    """A table beside a format."""

    def setUp(self):
        """Put a front with both together."""
        super().setUp()
        self.table = ThingTable(self)
        self.client = MemoryClient(
            make_factory(
                Clock(),
                formats=[self.format],
                limits_by_format={"toy": self.format.default_limits},
                authenticator=self.world,
                policy=self.world,
                catalog=self.world,
                remotes=self.world,
                accounts=self.world,
                request_limits=self.world,
                readiness=lambda: succeed([]),
                external_url="https://registry.test/",
                settings=FrontSettings(),
                tables=[self.table],
            )
        )

    def test_provides_its_interface(self):
        """A table needs less than a format, and its handlers get less."""
        verifyObject(IRouteTable, self.table)
        verifyObject(IRouteTable, self.format)
        self.client.request("GET", PROJECT + "/packages")
        verifyObject(IAuthorisedCall, self.calls[0])
        self.assertFalse(ICall.providedBy(self.calls[0]))

    def test_levels_and_base_url(self):
        """The same route serves projects and groups; its base is theirs, by number or path as the client chose."""
        for base in (PROJECT, "/api/v4/groups/9"):
            self.assertEqual(self.client.request("GET", base + "/packages").status, 200)
            self.assertEqual(self.calls[-1].base_url, "https://registry.test" + base)
        self.assertEqual([call.scope.level for call in self.calls], [Level.PROJECT, Level.GROUP])

    def test_numbers(self):
        """Digits become an int, whatever number stands for the project."""
        self.client.request("GET", "/api/v4/projects/7/packages/0042/a%20b")
        self.assertEqual(dict(self.calls[0].arguments), {"thing_id": 42, "part": "a b"})

    def test_words_are_left_to_formats(self):
        """What is not a number is a format or nothing: no rule takes another's requests."""
        self.assertEqual(self.client.request("GET", PROJECT + "/packages/toy/1/f").status, 200)
        self.assertEqual(self.calls[-1].remote, Remote("toy", 7))
        for path in ("/packages/", "/packages/toy", "/packages/1a/x", "/packages/-1/x", "/packages/%31/x"):
            self.assertEqual(self.client.request("GET", PROJECT + path).status, 404, path)
        self.assertEqual(len(self.calls), 1)

    def test_number_without_end(self):
        """No number costs more than its digits."""
        for digits, status in (("9" * 18, 200), ("9" * 19, 400), ("0" * 5000, 400)):
            self.assertEqual(self.client.request("GET", f"{PROJECT}/packages/{digits}/x").status, status)

    def test_guards(self):
        """Each guard ends a request before its handler; nothing challenges."""
        for attribute, error, status in (
            ("credential_error", errors.InvalidCredentials(), 401),
            ("limit_error", errors.RateLimited(1.2), 429),
            ("demand_error", errors.AuthenticationRequired(), 401),
            ("demand_error", errors.PermissionDenied("destroy_package"), 403),
            ("demand_error", errors.ProjectNotFound(), 404),
        ):
            setattr(self.world, attribute, error)
            reply = self.client.request("DELETE", PROJECT + "/packages/5")
            self.assertEqual(reply.status, status)
            self.assertNotIn("www-authenticate", reply.headers)
            setattr(self.world, attribute, None)
        self.assertEqual(self.calls, [])

    def test_permission_of_the_route(self):
        """The route's own permission is asked for, at the scope of the path."""
        self.client.request("DELETE", PROJECT + "/packages/5")
        self.assertEqual(self.world.asked[0][:2], (Level.PROJECT, "acme/tools"))
        self.assertEqual(self.world.asked[1][1], Permission.DESTROY_PACKAGE)

    def test_body_is_bounded(self):
        """Nobody sends a file where none is taken."""
        reply = self.client.request(
            "DELETE", PROJECT + "/packages/5", {"Content-Length": str(TABLE_LIMITS.max_file_bytes + 1)}
        )
        self.assertEqual((reply.status, self.calls), (413, []))
        self.assertEqual(self.client.request("DELETE", PROJECT + "/packages/5", body=b"{}").status, 200)

    def test_errors(self):
        """The table dresses what it knows; the rest is the common JSON."""
        self.result = errors.FileExists("f")
        self.assertEqual(self.client.request("GET", PROJECT + "/packages").body, b"taken")
        self.result = errors.PackageNotFound()
        reply = self.client.request("GET", PROJECT + "/packages")
        self.assertEqual((reply.status, json.loads(reply.body)["error_code"]), (404, "not_found"))

    def test_methods(self):
        """Routes of one path share it."""
        reply = self.client.request("POST", PROJECT + "/packages/5")
        self.assertEqual((reply.status, reply.headers["allow"]), (405, "DELETE"))
