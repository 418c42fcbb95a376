"""From bytes on a connection to a handler: routes, guards, errors, health."""

import json

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from zope.interface.verify import verifyObject

from pkgregd import errors
from pkgregd.http.front import mounts
from pkgregd.interfaces import (
    ICall,
    IRequestBody,
)
from pkgregd.testing.client import parse_replies
from pkgregd.values import (
    UNTOLD,
    AccountPermission,
    Incoming,
    IndexLookup,
    Level,
    Permission,
    Reply,
    Role,
    Route,
    Settings,
)
from tests.http.front import BASE, FrontCase, Remote


class InterfaceTests(FrontCase):
    """What handlers are given keeps its promise."""

    def test_call_and_body(self):
        """The call and its body provide their interfaces."""
        self.get()
        verifyObject(ICall, self.calls[0])
        verifyObject(IRequestBody, self.calls[0].body)

    def test_every_route_has_a_permission(self):
        """No rule is mounted without one."""
        for rule, mount in mounts([self.format], {"toy": self.format.default_limits}):
            self.assertIsInstance(mount.route.permission, Permission | AccountPermission, rule)


class PublicPageTests(FrontCase):
    """Pages that need no right."""

    pages = {"/help": "help", "/help/": "list", "/help/a.b": "page"}

    def make_page(self, text):
        """Make what answers for a page."""

        async def answer():
            if isinstance(self.result, Exception):
                raise self.result
            return Reply(200, text.encode(), "text/plain", etag=text)

        return answer

    def test_each_path_is_its_own(self):
        """What is mounted is found, by its whole path only."""
        for path, text in self.pages.items():
            self.assertEqual(self.client.request("GET", path).body, text.encode())
        for path in ("/help/a.b/", "/help//", "/help/axb", "/help/a%2Eb"):
            self.assertEqual(self.client.request("GET", path).status, 404, path)

    def test_conditions_and_methods(self):
        """HEAD and conditions work as for everything else; nothing but reading is allowed."""
        self.assertEqual(self.client.request("HEAD", "/help").headers["content-length"], "4")
        self.assertEqual(self.client.request("GET", "/help", {"If-None-Match": '"help"'}).status, 304)
        self.assertEqual(self.client.request("DELETE", "/help").status, 405)

    def test_nobody_is_asked_who_they_are(self):
        """Credentials are not looked at, and no scope is; the limits are."""
        self.world.credential_error = errors.InvalidCredentials("bad")
        self.assertEqual(self.client.request("GET", "/help", {"PRIVATE-TOKEN": "x"}).status, 200)
        self.assertEqual((self.world.headers_seen, self.world.asked), ([], []))
        self.world.limit_error = errors.RateLimited(3)
        reply = self.client.request("GET", "/help")
        self.assertEqual((reply.status, reply.headers["retry-after"]), (429, "3"))

    def test_a_page_that_fails(self):
        """An error of a page is answered like any other."""
        self.result = errors.Unavailable("later")
        self.assertEqual(self.client.request("GET", "/help").status, 503)


class RoutingTests(FrontCase):
    """Which request meets which handler."""

    def test_arguments(self):
        """Segments are decoded once and passed by name."""
        self.get("/a%20b/c%2Fd/e")
        call = self.calls[0]
        self.assertEqual(dict(call.arguments), {"name": "a b", "file": "c/d/e"})
        self.assertEqual(call.base_url, "https://registry.test" + BASE)
        self.assertEqual(call.remote, Remote("toy", 7))

    def test_scope_by_number_and_by_path(self):
        """A project is a number or an encoded path; a group has its own prefix."""
        self.get()
        self.client.request("GET", "/api/v4/projects/acme%2Ftools/packages/toy/n/f")
        self.client.request("GET", "/api/v4/groups/acme/-/packages/toy/n/f")
        asked = [entry[:2] for entry in self.world.asked if isinstance(entry[0], Level)]
        self.assertEqual(asked, [(Level.PROJECT, 7), (Level.PROJECT, "acme/tools"), (Level.GROUP, "acme")])
        self.assertEqual(
            [call.base_url for call in self.calls],
            [
                "https://registry.test" + BASE,
                "https://registry.test/api/v4/projects/acme%2Ftools/packages/toy",
                "https://registry.test/api/v4/groups/acme/-/packages/toy",
            ],
        )

    def test_spellings_of_a_scope(self):
        """However a path or number is written, the base URL, by which pages are kept, is the same."""
        for number in ("7", "007"):
            self.client.request("GET", f"/api/v4/projects/{number}/packages/toy/n/f")
            self.assertEqual(self.calls[-1].base_url, "https://registry.test" + BASE)
        for path in ("acme%2Ftools", "%61cme%2ftools", "ACME%2FTools"):
            self.client.request("GET", f"/api/v4/projects/{path}/packages/toy/n/f")
            self.assertEqual(self.calls[-1].base_url, "https://registry.test/api/v4/projects/acme%2Ftools/packages/toy")

    def test_instance(self):
        """At the instance the name tells the group whose packages they are; a name of nobody's is nowhere."""
        self.client.request("GET", "/api/v4/packages/toy/acme-x/f")
        (call,) = self.calls
        self.assertEqual(self.world.asked[0][:2], (Level.GROUP, "acme"))
        self.assertEqual((call.scope.level, dict(call.arguments)), (Level.GROUP, {"name": "acme-x", "file": "f"}))
        self.assertEqual(call.base_url, "https://registry.test/api/v4/packages/toy")
        self.assertEqual((self.world.foreseen[0].level, self.world.foreseen[0].ident), (Level.GROUP, "acme"))
        self.world.asked.clear()
        self.client.request("GET", "/api/v4/packages/toy/x/f")
        self.assertEqual(self.world.asked[0][:2], (Level.GROUP, ""))

    def test_no_instance_without_owners(self):
        """A route that does not tell whose packages it is about cannot be mounted there."""
        levels = frozenset({Level.INSTANCE})
        self.assertRaises(TypeError, Route, ("GET",), "/x", Permission.READ_PACKAGE, self.handle, levels)

    def test_argument_names_are_free(self):
        """A format may call its arguments what it likes, `f`, `self` and `request` included."""
        reply = self.client.request("GET", BASE + "-odd/a/b/c")
        self.assertEqual(reply.status, 404)
        reply = self.client.request("POST", BASE + "/odd/a/b/c")
        self.assertEqual((reply.status, dict(self.calls[-1].arguments)), (200, {"f": "a", "self": "b", "request": "c"}))

    def test_trailing_slash_is_another_rule(self):
        """A directory is not a file, and nothing is redirected."""
        self.assertEqual(self.get("/n/a/b/").body, b"list of a/b")
        self.assertEqual(self.get("/n/").status, 404)
        self.assertEqual(self.get("/n").status, 404)

    def test_query(self):
        """The last value of a parameter counts, and only what the query says."""
        self.get("/n/f?a=1&a=%C3%A9&b=")
        call = self.calls[0]
        self.assertEqual((call.query("a"), call.query("b"), call.query("c")), ("\xe9", "", None))
        self.get("/n/f?a=%ff")
        self.assertRaises(errors.InvalidRequest, self.calls[1].query, "a")
        self.get("/n/f?" + "&".join(f"p{n}=1" for n in range(200)))
        self.assertRaises(errors.InvalidRequest, self.calls[2].query, "a")
        self.get("/n/f?a=x%00")
        self.assertRaises(errors.InvalidRequest, self.calls[3].query, "a")

    def test_hostile_paths(self):
        """Nothing that climbs, hides or confuses reaches a handler."""
        for path in (
            "/%2F%2F..%2F..%2Fetc%2Fpasswd", "/..%5c..%5c/x", "/n/%252e%252e/x", "/n/./b", "/n/../b", "//n/f", "/n//f",
            "/a%00b/f", "/%c0%ae%c0%ae/f", "/n/a%0d%0ab", "/n/%", "/n/%zz", "/./n/f", "/n/f/..", "/..",
        ):  # fmt: skip
            reply = self.get(path)
            self.assertIn(reply.status, (400, 404), path)
            self.assertIn("request_id", json.loads(reply.body))
        self.assertEqual(self.calls, [])

    def test_one_spelling(self):
        """Two slashes at the beginning are not one: the rules of a proxy in front would not see whose path it is."""
        for path in ("//-/livez", "///-/livez", "/" + BASE + "/n/f"):
            reply = self.client.request("GET", path)
            self.assertEqual(reply.status, 404, path)
            self.assertIn("request_id", json.loads(reply.body))
        self.assertEqual(self.calls, [])

    def test_unknown_pages_and_methods(self):
        """What is not there is 404; what is there answers its own methods only."""
        self.assertEqual(self.client.request("GET", "/nowhere").status, 404)
        reply = self.client.request("DELETE", BASE + "/n/f")
        self.assertEqual((reply.status, reply.headers["allow"]), (405, "GET, HEAD, PUT"))

    @settings(max_examples=200, deadline=None)
    @given(st.text("/%.2eF5cabn0;=@:", max_size=40))
    def test_any_path(self, tail):
        """Whatever is asked, nothing is answered with 5xx."""
        reply = self.client.request("GET", BASE + "/" + tail)
        self.assertIn(reply.status, (200, 400, 404))

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=120))
    def test_any_bytes(self, raw):
        """Whatever comes over the wire, nothing is answered with 5xx."""
        self.client.reconnect()
        self.client.transport.send(raw + b"\r\n\r\n")
        for reply in parse_replies(bytes(self.client.transport.received)):
            self.assertIn(reply.status, (200, 400, 404, 405, 414, 417, 431, 501, 505))


class GuardTests(FrontCase):
    """Everything that ends a request before its body."""

    def assert_refused(self, reply, status):
        """The refusal is complete, closes, and came without an interim reply or a handler."""
        self.assertEqual((reply.status, reply.is_complete, reply.headers["connection"]), (status, True, "close"))
        statuses = [answer.status for answer in parse_replies(bytes(self.client.transport.received))]
        self.assertEqual(statuses, [status])
        self.assertEqual(self.calls, [])

    def test_before_the_body(self):
        """Each guard answers a client that waits with its 10 GiB."""
        ten_gib = 10 << 30
        for attribute, error, status in (
            ("credential_error", errors.InvalidCredentials(), 401),
            ("demand_error", errors.AuthenticationRequired(), 401),
            ("demand_error", errors.PermissionDenied("create_package"), 403),
            ("demand_error", errors.ProjectNotFound(), 404),
            ("limit_error", errors.RateLimited(1.2), 429),
        ):
            setattr(self.world, attribute, error)
            self.assert_refused(self.put(ten_gib, Expect="100-continue"), status)
            setattr(self.world, attribute, None)
        self.assert_refused(self.put(ten_gib, Expect="100-continue"), 413)
        self.assertEqual(self.checks, [])

    def set(self, **values):
        """Have settings hold at the project."""
        self.world.scope = evolve(self.world.scope, settings=Settings(values))

    def test_a_format_that_is_switched_off(self):
        """It answers 404 and says so, to those who passed the guards before, and before the size is looked at."""
        for values, what in (({"toy_enabled": False}, "Toy"), ({"packages_enabled": False}, "the package registry")):
            self.set(**values)
            for reply in (self.put(10 << 30, Expect="100-continue"), self.get()):
                message = json.loads(reply.body)["error"]
                self.assertEqual((reply.status, json.loads(reply.body)["error_code"]), (404, "switched_off"))
                self.assertTrue(message.startswith(f"{what} is switched off in this project"), message)
                self.client.reconnect()
            self.assertEqual(self.calls, [])
            self.world.demand_error = errors.ProjectNotFound()
            self.assertNotIn(b"switched", self.get().body)
            self.world.demand_error = None
        self.set(other_enabled=False, toy_enabled=True)
        self.assertEqual(self.get().status, 200)

    def test_a_limit_that_is_set(self):
        """It counts instead of the configured one, and the refusal tells it and what to raise."""
        self.set(toy_max_file_size=5)
        refused = self.put(6, Expect="100-continue")
        self.assert_refused(refused, 413)
        remedy = "ask an administrator to raise toy_max_file_size of the project"
        text = f"the file is too large: the limit is 5 bytes; {remedy}"
        self.assertEqual(json.loads(refused.body)["error"], text)
        self.set(toy_max_file_size=2000)
        self.client.reconnect()
        self.assert_passes_check(1500)

    def assert_passes_check(self, size_bytes):
        """Fail unless a body of this size gets as far as the route's own check."""
        self.check_error = errors.FileExists("f")
        self.assertEqual(self.put(size_bytes, Expect="100-continue").status, 400)

    def test_what_is_told_of_the_files(self):
        """The length of a bare body is that of its file; where there is none nothing is known."""
        self.put(7)
        self.assertEqual(self.world.incoming, [Incoming(7, 7)])
        self.client.reconnect()
        self.client.request("PUT", BASE + "/n/f", {"Transfer-Encoding": "chunked"})
        self.assertEqual(self.world.incoming[1:], [UNTOLD])

    def test_the_check_runs_before_the_body(self):
        """What URL and headers alone can refuse is refused early, in the format's words."""
        self.check_error = errors.FileExists("f")
        self.assert_refused(self.put(500, Expect="100-continue"), 400)

    def test_challenge_and_retry(self):
        """401 challenges, 429 and 503 say when to come back, 413 and 507 never do."""
        for error, name in (
            (errors.InvalidCredentials(), "www-authenticate"),
            (errors.RateLimited(1.2), "retry-after"),
            (errors.Unavailable("busy"), "retry-after"),
        ):
            self.result = error
            self.assertIn(name, self.get().headers)
        for error in (errors.BodyTooLarge(5), errors.StorageFull(), errors.QuotaExceeded(1, 1, 2)):
            self.result = error
            self.assertNotIn("retry-after", self.get().headers)
        self.result = errors.RateLimited(1.2)
        self.assertEqual(self.get().headers["retry-after"], "2")

    def test_credentials(self):
        """Only credential headers are shown, and a repeated one is refused and counted."""
        self.get(Authorization="Bearer x", User_Agent="me")
        self.assertEqual(self.world.headers_seen[-1], {"authorization": "Bearer x"})
        self.client.reconnect()
        self.client.transport.send(
            b"GET " + BASE.encode() + b"/n/f HTTP/1.1\r\nHost: x\r\nPrivate-Token: a\r\nPrivate-Token: a\r\n\r\n"
        )
        self.assertEqual(parse_replies(bytes(self.client.transport.received))[0].status, 401)
        self.assertEqual(self.world.failures, ["192.0.2.1"])

    def test_order(self):
        """The scope is not looked up for a caller who is over the limit or not authenticated."""
        self.world.limit_error = errors.RateLimited(1)
        self.get()
        self.world.credential_error = errors.InvalidCredentials()
        self.get()
        self.assertEqual(self.world.asked, [])

    def test_what_a_route_foresees(self):
        """The catalog is told before anything is asked; an argument that is refused later foresees nothing."""
        self.get("/n/f")
        self.get("/bad/f")
        found = [(seen.level, seen.ident, seen.format, seen.lookup) for seen in self.world.foreseen]
        self.assertEqual(found, [(Level.PROJECT, 7, "toy", IndexLookup("n")), (Level.PROJECT, 7, "toy", None)])

    def test_a_handler_demands_more(self):
        """What only the body tells apart is asked of the same policy, about the same scope."""
        self.get()
        self.world.demand_error = errors.PermissionDenied("destroy_package")
        self.assertRaises(errors.PermissionDenied, self.calls[0].demand, Permission.DESTROY_PACKAGE)
        self.assertEqual(self.world.asked[-1][1:], (Permission.DESTROY_PACKAGE, self.calls[0].scope))

    def test_the_level_that_was_asked_for(self):
        """It decides the refusal, whether or not there is something of that name."""
        self.world.scope, self.world.demand_error = None, errors.GroupNotFound()
        for path, level in ((BASE, Level.PROJECT), ("/api/v4/groups/9/-/packages/toy", Level.GROUP)):
            self.client.request("GET", path + "/n/f")
            self.assertIs(self.world.levels[-1], level)

    def test_authorising_again(self):
        """A handler that has waited for a body asks again who it is for, and what that is worth by now."""
        self.get(Authorization="Bearer x")
        call = self.calls[0]
        self.world.principal = evolve(self.world.principal, is_admin=True)
        self.world.scope = evolve(self.world.scope, role=Role.GUEST)
        self.successResultOf(ensureDeferred(call.authorise_again()))
        self.assertEqual((call.principal.is_admin, call.scope.role), (True, Role.GUEST))
        self.world.demand_error = errors.PermissionDenied("read_package")
        self.failureResultOf(ensureDeferred(call.authorise_again()), errors.PermissionDenied)
        self.world.credential_error = errors.InvalidCredentials()
        self.failureResultOf(ensureDeferred(call.authorise_again()), errors.InvalidCredentials)

    def test_account_routes(self):
        """They concern no project: none is looked for, at any level, and the policy is asked about the caller alone."""
        for base in (BASE, "/api/v4/groups/9/-/packages/toy", "/api/v4/packages/toy"):
            reply = self.client.request(
                "POST", base + "/-/tokens", {"Authorization": "Bearer x", "Content-Length": "0"}
            )
            self.assertEqual(reply.status, 200)
            looked, asked = self.world.asked[-2:]
            self.assertEqual(looked[:2], (Level.INSTANCE, ""))
            self.assertEqual(asked, ("alice", AccountPermission.MANAGE_TOKENS))
            self.assertEqual(self.calls[-1].account, ("account", "alice", "192.0.2.1"))
            self.assertEqual(self.calls[-1].base_url, "https://registry.test" + base)
        self.world.demand_error = errors.PermissionDenied("manage_tokens")
        self.assertEqual(self.client.request("POST", BASE + "/-/tokens", {"Content-Length": "0"}).status, 403)

    def test_who_signs_in_is_nobody_yet(self):
        """A credential beside it may be out of date, and is not looked at; limits are those of the address."""
        self.world.credential_error = errors.InvalidCredentials()
        reply = self.client.request("POST", BASE + "/-/sign-in", {"Authorization": "Bearer x", "Content-Length": "0"})
        self.assertEqual((reply.status, self.world.headers_seen), (200, []))
        self.assertEqual(self.world.asked[-1], ("anonymous", AccountPermission.SIGN_IN))
        self.world.limit_error = errors.RateLimited(1)
        self.assertEqual(self.client.request("POST", BASE + "/-/sign-in", {"Content-Length": "0"}).status, 429)

    def test_chunked_body_is_limited(self):
        """A body without a length is stopped at the format's limit."""

        async def read(call):
            return Reply(200, await call.body.read_all(10_000))

        self.result = read
        body = b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n"
        reply = self.client.request("PUT", BASE + "/n/f", {"Transfer-Encoding": "chunked"}, body)
        self.assertEqual(reply.status, 413)


class ErrorTests(FrontCase):
    """What a client reads when something is wrong."""

    def test_common_shape(self):
        """JSON with GitLab's message, a word for programs, and the id from the header."""
        self.result = errors.PackageNotFound()
        reply = self.get()
        fields = json.loads(reply.body)
        self.assertEqual(fields["message"], f"404 Not Found - {self.result}")
        self.assertEqual(fields["error_code"], "not_found")
        self.assertIn(fields["error"], fields["message"])
        self.assertEqual(fields["request_id"], reply.headers["x-request-id"])
        self.assertEqual(reply.headers["content-type"], "application/json")

    def status_line(self):
        """Return the first line of the last reply."""
        return bytes(self.client.transport.received).partition(b"\r\n")[0]

    def test_the_status_line_says_why(self):
        """Clients that show nothing of a body show this line, however the format dresses the error."""
        self.result = errors.PackageNotFound()
        self.get()
        self.assertEqual(self.status_line(), f"HTTP/1.1 404 Not Found - {self.result}".encode())
        self.result = errors.FileExists("f")
        self.get()
        self.assertEqual(self.status_line(), f"HTTP/1.1 400 Bad Request - {self.result}".encode())

    def test_the_status_line_stays_a_line(self):
        """Whatever an error quotes, it is printable and short there."""
        self.result = errors.InvalidRequest("a\r\nSet-Cookie: b\x7f\u00e9\u2028" + "x" * 10_000)
        self.assertNotIn("set-cookie", self.get().headers)
        self.assertRegex(self.status_line(), rb"^HTTP/1\.1 400 Bad Request - a\?\?Set-Cookie: b\?\?\?x{100,300}$")

    def test_a_format_dresses_its_own(self):
        """The ecosystem's own status and words."""
        self.result = errors.FileExists("f")
        self.assertEqual((self.get().status, self.get().body), (400, b"taken"))

    def test_a_bug_is_500_with_an_id(self):
        """A bug says nothing about itself to the client and everything to the log."""
        self.result = ZeroDivisionError("secret detail")
        reply = self.get()
        self.assertEqual(reply.status, 500)
        self.assertNotIn(b"secret", reply.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_path_refused_by_a_converter(self):
        """A malformed path is refused in the same shape."""
        reply = self.get("/n/%ff")
        self.assertEqual((reply.status, json.loads(reply.body)["error_code"]), (400, "bad_request"))

    def test_the_client_leaves_during_a_read(self):
        """Its handler is cancelled."""
        cancelled = []
        waiting = Deferred(lambda _: cancelled.append(True))

        async def wait(call):
            await waiting
            return Reply()

        self.result = wait
        self.get()
        self.client.transport.hang_up()
        self.assertEqual(cancelled, [True])

    def test_the_client_leaves_during_a_write(self):
        """Its handler goes on to the end."""
        cancelled = []
        done = []
        waiting = Deferred(lambda _: cancelled.append(True))

        async def wait(call):
            await waiting
            done.append(True)
            return Reply()

        self.result = wait
        self.put(0)
        self.client.transport.hang_up()
        waiting.callback(None)
        self.assertEqual((cancelled, done), ([], [True]))


class HealthTests(FrontCase):
    """For supervisors and balancers."""

    def test_alive(self):
        """Alive needs nothing."""
        self.reasons = ["catalog: down"]
        self.assertEqual(self.client.request("GET", "/-/livez").status, 200)

    def test_ready(self):
        """Ready says why not."""
        self.assertEqual(json.loads(self.client.request("GET", "/-/readyz").body)["status"], "ready")
        self.reasons = ["catalog: down"]
        reply = self.client.request("GET", "/-/readyz")
        self.assertEqual((reply.status, json.loads(reply.body)["reasons"]), (503, ["catalog: down"]))
