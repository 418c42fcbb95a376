"""What carries a token to a whole front, and what becomes of tokens: jobs, parents, deploy tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.registry.limits import FAILURE_RATE
from pkgregd.testing.calls import now
from pkgregd.testing.client import ClientReply
from pkgregd.values import Role, TokenKind, Visibility
from tests.support.accounts import HOUR, AccountWorld

NUGET = "/api/v4/projects/acme%2Fprivate/packages/nuget/index.json"
PUBLIC = "/api/v4/projects/acme%2Fopen/packages/nuget/index.json"
USER = "/api/v4/user"


def basic(user: str, password: str) -> dict[str, str]:
    """Basic credentials."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class CredentialCase(SynchronousTestCase):
    """A front with a job, a deploy token and jane, who owns the group."""

    accepts_query_tokens = False

    def setUp(self) -> None:
        """Make it."""
        self.world = AccountWorld(accepts_query_tokens=self.accepts_query_tokens)
        now(self.world.catalog.add_project("acme/open", Visibility.PUBLIC))
        now(self.world.catalog.set_member("jane", "acme", Role.OWNER))
        self.world.add_token("job", kind=TokenKind.JOB, project="acme/private", lifetime=HOUR)
        reads = "read_package_registry"
        self.world.add_token("deploy", reads, kind=TokenKind.DEPLOY, project="acme/private")

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", fields: object = None
    ) -> ClientReply:
        """Send a request."""
        body = None if fields is None else json.dumps(fields).encode()
        return self.world.client.request(method, path, headers, body)

    def shown(self, name: str) -> dict[str, str]:
        """The header of a token."""
        header = {"job": "JOB-TOKEN", "deploy": "Deploy-Token"}.get(name, "PRIVATE-TOKEN")
        return {header: self.world.secrets[name]}

    def made(self, path: str, who: str, **fields: object) -> Any:
        """Make something, and return what is answered."""
        reply = self.ask(path, self.shown(who), "POST", fields)
        self.assertEqual(reply.status, 201, reply.body)
        return json.loads(reply.body)


class StrictTests(CredentialCase):
    """User names beside tokens."""

    def test_nuget_looks_at_user_names(self) -> None:
        """The right name passes, another does not; that a token is in a header of its own needs no name."""
        deploy_id = self.world.record(self.world.secrets["deploy"]).principal.token_id
        for name, own in (("jane", "JANE"), ("deploy", f"gitlab+deploy-token-{deploy_id}"), ("job", "gitlab-ci-token")):
            secret = self.world.secrets[name]
            self.assertEqual(self.ask(NUGET, basic(own, secret)).status, 200, name)
            self.assertEqual(self.ask(NUGET, self.shown(name)).status, 200, name)
            self.assertEqual(self.ask(NUGET, basic("anybody", secret)).status, 401, name)
            self.assertEqual(self.ask(PUBLIC, basic("anybody", secret)).status, 401, "never anonymous")
        self.assertEqual(self.ask(PUBLIC).status, 200)

    def test_other_formats_do_not(self) -> None:
        """npm and the management take any name, but that of jobs for another token."""
        self.assertEqual(self.ask(USER, basic("anybody", self.world.secrets["jane"])).status, 200)
        self.assertEqual(self.ask(USER, basic("gitlab-ci-token", self.world.secrets["jane"])).status, 401)

    def test_a_wrong_token_is_never_anonymous(self) -> None:
        """Where everybody may read, a bad token is refused in each carrier."""
        bad = "pkgr_nonsense"
        for headers in (
            {"PRIVATE-TOKEN": bad}, {"JOB-TOKEN": bad}, {"Deploy-Token": bad}, {"X-NuGet-ApiKey": bad},
            {"Authorization": f"Bearer {bad}"}, {"Authorization": bad}, basic("jane", bad),
        ):  # fmt: skip
            self.assertEqual(self.ask(PUBLIC, headers).status, 401, headers)

    def test_a_password_of_a_megabyte(self) -> None:
        """It is refused by its length, before it is decoded."""
        self.assertIn(self.ask(PUBLIC, basic("jane", "x" * 1_000_000)).status, (400, 401, 431))
        self.assertEqual(self.ask(PUBLIC, basic("jane", "x" * 4000)).status, 401)

    def test_no_passwords(self) -> None:
        """Who tries one is told what to use."""
        self.assertIn(b"there are no passwords here", self.ask(NUGET, basic("jane", "secret")).body)

    def test_too_many_wrong_tokens(self) -> None:
        """After the limit it is 429, and a good token still passes."""
        statuses = [self.ask(NUGET, {"PRIVATE-TOKEN": "x"}).status for _ in range(FAILURE_RATE.requests + 5)]
        self.assertEqual((statuses.count(401), statuses.count(429)), (FAILURE_RATE.requests, 5))
        self.assertEqual(self.ask(NUGET, self.shown("jane")).status, 200)


class QueryTests(CredentialCase):
    """Tokens in the query, where they are not taken."""

    def test_refused(self) -> None:
        """Good or bad, in any spelling, and beside a good header: the header to use is named, the token is not."""
        secret = self.world.secrets["jane"]
        for name, header in (
            ("private_token", "PRIVATE-TOKEN"), ("job_token", "JOB-TOKEN"), ("access_token", "Bearer"),
            ("private%5Ftoken", "PRIVATE-TOKEN"),
        ):  # fmt: skip
            for path in (NUGET, PUBLIC, USER, "/-/sign-in/x"):
                reply = self.ask(f"{path}?x=1&{name}={secret}", self.shown("jane"))
                self.assertEqual(reply.status, 400)
                self.assertIn(header.encode(), reply.body)
                self.assertNotIn(secret.encode(), reply.body)
        for _ in range(FAILURE_RATE.requests * 2):
            self.assertEqual(self.ask(f"{PUBLIC}?private_token=x").status, 400, "it does not count")
        self.assertEqual(self.ask(f"{PUBLIC}?my_token_private=1").status, 200)


class AcceptedQueryTests(CredentialCase):
    """The same where the operator lets them."""

    accepts_query_tokens = True

    def test_accepted(self) -> None:
        """Each parameter takes its kinds of token, and pages tell nobody where they were found."""
        jane, job, deploy = (self.world.secrets[name] for name in ("jane", "job", "deploy"))
        for query, status in (
            (f"private_token={jane}", 200), (f"job_token={job}", 200), (f"access_token={jane}", 200),
            (f"access_token={job}", 200), (f"private_token={job}", 401), (f"job_token={jane}", 401),
            (f"private_token={deploy}", 401), ("private_token=nonsense", 401),
            (f"private_token={jane}&job_token={job}", 401), (f"private_token={jane}&private_token={jane}", 401),
            (f"private_token={jane}&x=%ff", 400), ("private_token=", 401), ("x=1", 401),
        ):  # fmt: skip
            reply = self.ask(f"{NUGET}?{query}")
            self.assertEqual(reply.status, status, query)
            if status == 200:
                self.assertEqual(reply.headers["referrer-policy"], "no-referrer")
                self.assertNotIn(b"pkgr_", reply.body)
        self.assertNotIn("referrer-policy", self.ask(NUGET, self.shown("jane")).headers)

    def test_links_do_not_repeat_it(self) -> None:
        """The next page of a listing has no token in its address."""
        for number in range(3):
            self.world.add_token(f"token {number}", user="jane")
        reply = self.ask(f"/api/v4/personal_access_tokens?per_page=1&private_token={self.world.secrets['jane']}")
        self.assertIn("per_page=1", reply.headers["link"])
        self.assertNotIn("pkgr_", str(reply.headers))


class TokenTests(CredentialCase):
    """Tokens through the management API."""

    def test_deploy_tokens_have_user_names(self) -> None:
        """The usual one, or the one that is given; never that of jobs."""
        path = "/api/v4/projects/acme%2Fprivate/deploy_tokens"
        scopes = ["read_package_registry"]
        usual = self.made(path, "jane", name="x", scopes=scopes)
        self.assertEqual(usual["username"], f"gitlab+deploy-token-{usual['id']}")
        given = self.made(path, "jane", name="x", scopes=scopes, username="robot")
        self.assertEqual(given["username"], "robot")
        self.assertEqual(self.ask(NUGET, basic("robot", given["token"])).status, 200)
        listed = json.loads(self.ask(path, self.shown("jane")).body)
        self.assertEqual([found["username"] for found in listed[-2:]], [usual["username"], "robot"])
        for username in ("gitlab-ci-token", "a b", "a:b", "", "x" * 256):
            fields = {"name": "x", "scopes": scopes, "username": username}
            self.assertEqual(self.ask(path, self.shown("jane"), "POST", fields).status, 400, username)

    def test_a_token_that_a_token_made(self) -> None:
        """It ends no later, and goes with it."""
        now(self.world.catalog.add_user("root", is_admin=True))
        self.world.add_token("root", user="root", lifetime=HOUR)
        john = now(self.world.catalog.find_token(self.world.secrets["john"].split("_")[2]))
        assert john is not None
        path = f"/api/v4/users/{john.principal.user_id}/personal_access_tokens"
        made = self.made(path, "root", name="x", scopes=["api"], expires_at="2099-01-01")
        self.assertEqual(made["expires_at"], (self.world.time() + HOUR).date().isoformat())
        self.assertEqual(self.ask(USER, {"PRIVATE-TOKEN": made["token"]}).status, 200)
        self.assertEqual(self.ask("/api/v4/personal_access_tokens/self", self.shown("root"), "DELETE").status, 204)
        self.assertEqual(self.ask(USER, {"PRIVATE-TOKEN": made["token"]}).status, 401)

    def test_a_token_replaces_itself(self) -> None:
        """Its bearer gets another with the same name and scopes, and is nobody with the old one from then on."""
        path = "/api/v4/personal_access_tokens/self/rotate"
        before = json.loads(self.ask("/api/v4/personal_access_tokens/self", self.shown("jane")).body)
        reply = self.ask(path, self.shown("jane"), "POST", {"expires_at": "2099-01-01"})
        self.assertEqual((reply.status, reply.headers["cache-control"]), (200, "no-store"))
        after = json.loads(reply.body)
        self.assertNotEqual(after["id"], before["id"])
        self.assertEqual((after["name"], after["scopes"]), (before["name"], before["scopes"]))
        self.assertEqual(self.ask(USER, {"PRIVATE-TOKEN": after["token"]}).status, 200)
        for again in (USER, path):
            method = "POST" if again == path else "GET"
            self.assertEqual(self.ask(again, self.shown("jane"), method).status, 401)

    def test_who_may_not_replace_itself(self) -> None:
        """A token that only reads makes none that could be kept longer, nor do those of machines."""
        path = "/api/v4/personal_access_tokens/self/rotate"
        self.world.add_token("reader", "read_api", user="jane", lifetime=HOUR)
        for name in ("reader", "job", "deploy"):
            self.assertEqual(self.ask(path, self.shown(name), "POST").status, 403, name)
        self.assertEqual(self.ask(path, method="POST").status, 401)

    def test_jobs(self) -> None:
        """The bearer sees and ends its job, a maintainer that of the project; nobody else."""
        job = json.loads(self.ask("/api/v4/job", self.shown("job")).body)
        self.assertEqual((job["status"], job["project"]["path_with_namespace"]), ("running", "acme/private"))
        self.assertIsNone(job["origin"]["repository"])
        self.assertEqual(self.ask("/api/v4/job", self.shown("jane")).status, 403)
        self.assertEqual(self.ask("/api/v4/job").status, 401)
        path = "/api/v4/projects/acme%2Fprivate/job_tokens"
        self.assertEqual(self.ask(path, self.shown("job")).status, 403)
        self.assertEqual(self.ask(path, self.shown("john")).status, 404)
        (listed,) = json.loads(self.ask(f"{path}?state=active", self.shown("jane")).body)
        self.assertEqual(listed["id"], job["id"])
        self.assertNotIn("token", listed)
        elsewhere = f"/api/v4/projects/acme%2Fopen/job_tokens/{job['id']}"
        self.assertEqual(self.ask(elsewhere, self.shown("jane"), "DELETE").status, 404)
        self.assertEqual(self.ask(f"{path}/{job['id']}", self.shown("jane"), "DELETE").status, 204)
        self.assertEqual(self.ask("/api/v4/job", self.shown("job")).status, 401)
        (ended,) = json.loads(self.ask(f"{path}?state=inactive", self.shown("jane")).body)
        self.assertEqual(ended["status"], "success")
        self.assertIsNotNone(ended["finished_at"])

    def test_a_job_ends_by_itself(self) -> None:
        """With its time, and when its bearer says so."""
        self.world.add_token("other", kind=TokenKind.JOB, project="acme/private", lifetime=HOUR)
        other = {"JOB-TOKEN": self.world.secrets["other"]}
        self.assertEqual(self.ask("/api/v4/job", other, "DELETE").status, 204)
        self.assertEqual(self.ask(NUGET, other).status, 401)
        self.assertEqual(self.ask(NUGET, self.shown("job")).status, 200)
        self.world.clock.advance(HOUR.total_seconds())
        self.assertEqual(self.ask(NUGET, self.shown("job")).status, 401)

    def test_last_use_is_shown(self) -> None:
        """In GitLab's field, null before the first."""
        record = self.world.record(self.world.secrets["jane"])
        path = "/api/v4/personal_access_tokens/self"
        self.assertIsNone(json.loads(self.ask(path, self.shown("jane")).body)["last_used_at"])
        assert record.principal.token_id is not None
        now(self.world.catalog.note_uses({record.principal.token_id: self.world.time()}))
        shown = json.loads(self.ask(path, self.shown("jane")).body)["last_used_at"]
        self.assertEqual(shown[:10], self.world.time().date().isoformat())
