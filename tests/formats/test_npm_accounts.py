"""What npm asks about its user, through the real front in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.formats.npm_accounts import TOKENS_PER_PAGE
from pkgregd.values import TokenKind
from tests.support.accounts import REGISTRY, URL, AccountWorld

TOKENS = "/-/npm/v1/tokens"
LOGIN = "/-/user/org.couchdb.user:jane"


class NpmAccountCase(SynchronousTestCase):
    """A world with two users."""

    def setUp(self) -> None:
        """Make it."""
        self.world = AccountWorld()

    def login(self, password: str, name: str = "jane", path: str = LOGIN) -> int:
        """Log in as npm does with a name and a password; returns the status."""
        return self.world.ask("PUT", path, {"name": name, "password": password, "type": "user"}).status

    def assert_refused(self, status: int, method: str, path: str, fields: object = None, who: str = "jane") -> str:
        """Assert a refusal in npm's form; returns its words."""
        reply = self.world.ask(method, path, fields, who=who)  # type: ignore[arg-type] # what is no object, too
        self.assertEqual(reply.status, status, (path, fields, reply))
        return reply.body.decode()


class LoginTests(NpmAccountCase):
    """Logging in and out."""

    def test_with_a_password(self) -> None:
        """A personal token is good for another, which is good here, until npm logs out."""
        fields = {"name": "jane", "password": self.world.secrets["jane"]}
        answer = self.world.answer("PUT", LOGIN, fields, status=201)
        self.assertEqual((answer["ok"], answer["id"]), (True, "org.couchdb.user:jane"))
        self.world.secrets["npm"] = answer["token"]
        self.assertEqual(self.world.answer("GET", "/-/whoami", who="npm"), {"username": "jane"})
        self.assertEqual(self.world.answer("GET", "/-/npm/v1/user", who="npm")["name"], "jane")
        self.world.answer("DELETE", f"/-/user/token/{answer['token']}", who="npm")
        self.assertEqual(self.world.ask("GET", "/-/whoami", who="npm").status, 401)
        self.assertEqual(self.world.answer("GET", "/-/whoami", who="jane"), {"username": "jane"})

    def test_refusals(self) -> None:
        """Each in its place: the password, the name, the document."""
        jane = self.world.secrets["jane"]
        self.assertEqual(self.login("nonsense"), 401)
        self.assertEqual(self.login(self.world.secrets["john"]), 401)
        self.assertEqual(self.login(jane, "john"), 400)
        self.assertEqual(self.login(jane, "jane", "/-/user/jane"), 400)
        self.assertEqual(self.login(""), 400)
        for body in (b"", b"[]", b"nonsense", b"\xff", b'{"name": 1, "password": "x"}', b"[" * 5000, b"{" * 20_000):
            reply = self.world.client.request("PUT", REGISTRY + LOGIN, {}, body)
            self.assertIn(reply.status, (400, 413), body[:20])

    def test_of_whoever_is_no_user(self) -> None:
        """Deploy and job tokens know who they are, and are not exchanged; their logout revokes nothing."""
        world = self.world
        world.add_token("deploy", "read_package_registry", kind=TokenKind.DEPLOY, project="acme/private")
        self.assertEqual(world.answer("GET", "/-/whoami", who="deploy"), {"username": "token:deploy"})
        self.assertEqual(
            self.login(world.secrets["deploy"], "token:deploy", "/-/user/org.couchdb.user:token:deploy"), 401
        )
        world.answer("DELETE", f"/-/user/token/{world.secrets['deploy']}", who="deploy")
        self.assertEqual(world.ask("GET", "/-/whoami", who="deploy").status, 200)
        self.assertIn("manage_tokens", self.assert_refused(403, "GET", TOKENS, who="deploy"))

    def test_the_anonymous(self) -> None:
        """They are asked who they are, the same at every level, whether there is such a project or not."""
        for path in ("/-/whoami", "/-/npm/v1/user", TOKENS):
            for at in (
                REGISTRY,
                REGISTRY.replace("private", "missing"),
                "/api/v4/packages/npm",
                "/api/v4/groups/9/-/packages/npm",
            ):
                reply = self.world.ask("GET", path, at=at)
                self.assertEqual(reply.status, 401, (at, path))
                self.assertEqual(
                    reply.headers["www-authenticate"],
                    'bearer realm="pkgregd", error_description='
                    '"authentication is required: send a token, as /help/access tells"',
                )


class TokenTests(NpmAccountCase):
    """`npm token`."""

    def create(self, **fields: object) -> dict[str, object]:
        """Create a token as jane."""
        answer = self.world.answer("POST", TOKENS, {"password": self.world.secrets["jane"], **fields}, who="jane")
        assert isinstance(answer, dict)
        return answer

    def test_create_list_and_revoke(self) -> None:
        """A new token is told once; the list has only its beginning; it goes by its key or as a whole."""
        for as_whole in (False, True):
            made = self.create(name="ci", expires=7)
            self.assertEqual(
                (made["name"], made["readonly"], made["expires"]), ("ci", True, "2027-01-22T08:00:00.000Z")
            )
            listed = self.world.answer("GET", TOKENS, who="jane")
            self.assertEqual([token["name"] for token in listed["objects"]], ["ci", "jane"])
            self.assertNotIn("next", listed["urls"])
            self.assertTrue(str(made["token"]).startswith(listed["objects"][0]["token"]))
            self.assertNotIn(made["token"], str(listed))
            key = made["token"] if as_whole else made["key"]
            self.assertEqual(self.world.ask("DELETE", f"{TOKENS}/token/{key}", who="jane").status, 204)
            self.assertEqual(len(self.world.answer("GET", TOKENS, who="jane")["objects"]), 1)

    def test_what_it_may(self) -> None:
        """It reads, unless it is said that it may write, in the words of old and new clients."""
        for fields, is_read_only in (
            ({}, True), ({"readonly": True}, True), ({"readonly": False}, False),
            ({"packages_and_scopes_permission": "read-only", "packages_all": True}, True),
            ({"packages_and_scopes_permission": "read-write", "bypass_2fa": True}, False),
            ({"packages_and_scopes_permission": "read-write", "readonly": True}, True),
        ):  # fmt: skip
            made = self.create(**fields)
            self.assertIs(made["readonly"], is_read_only, fields)
            self.world.secrets["made"] = str(made["token"])
            scopes = self.world.record(str(made["token"])).principal.scopes
            self.assertEqual(scopes, frozenset({"read_api" if is_read_only else "api"}))
            if is_read_only:
                self.assertIn("manage_tokens", self.assert_refused(403, "GET", TOKENS, who="made"))

    def test_many(self) -> None:
        """They come in pages."""
        for number in range(TOKENS_PER_PAGE):
            self.world.add_token(f"token {number}", user="jane")
        first = self.world.answer("GET", TOKENS, who="jane")
        self.assertEqual(len(first["objects"]), TOKENS_PER_PAGE)
        rest = self.world.answer("GET", first["urls"]["next"].removeprefix(URL + REGISTRY), who="jane")
        self.assertEqual([token["name"] for token in rest["objects"]], ["jane"])
        self.assertEqual(rest["urls"], {})

    def test_refusals(self) -> None:
        """What cannot be done is not done by halves."""
        password = self.world.secrets["jane"]
        for fields in (
            {"cidr_whitelist": ["192.0.2.0/24"]}, {"packages": ["x"]}, {"scopes": ["@acme"]}, {"orgs": ["acme"]},
            {"expires": 0}, {"expires": 366}, {"expires": "7"}, {"expires": True}, {"expires": 1.5}, {"name": "a\nb"},
            {"packages_and_scopes_permission": "no-access"}, {"readonly": "true"}, {"cidr": ["192.0.2.0/24"]},
        ):  # fmt: skip
            self.assert_refused(400, "POST", TOKENS, {"password": password, **fields})
        self.assert_refused(400, "POST", TOKENS, {})
        self.assertIn("personal access token", self.assert_refused(401, "POST", TOKENS, {"password": "nonsense"}))
        self.assert_refused(401, "POST", TOKENS, {"password": self.world.secrets["john"]})
        for key in ("0" * 12, self.world.secrets["john"], "pkgr_usr_", "x"):
            self.assert_refused(404, "DELETE", f"{TOKENS}/token/{key}")
        for page in ("-1", "x", "9" * 9):
            self.assert_refused(400, "GET", f"{TOKENS}?page={page}")
        self.assertEqual(len(self.world.answer("GET", TOKENS, who="jane")["objects"]), 1)
