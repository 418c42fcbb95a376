"""CI systems: their ID tokens exchanged over the network, and published with, by uv and by curl."""

from __future__ import annotations

import atexit
import concurrent.futures
import functools
import http.client
import json
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tests.support.clients import PythonClientTestCase, Run
from tests.support.daemon import Daemon
from tests.support.issuer import AUDIENCE, JWKS, REQUEST_TOKEN, IssuerServer

BAD = ("html", "huge", "slow", "redirect", "down")
EXCHANGE = "/api/v4/job_tokens/exchange"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


@functools.cache
def server() -> IssuerServer:
    """The issuer of this run; issuers whose keys cannot be had answer below it."""
    made = IssuerServer(time.time)
    atexit.register(made.close)
    made.slow.add("/slow/keys")
    made.issuer.answers = {
        "/html/keys": (200, b"<!DOCTYPE html><html></html>"),
        "/huge/keys": (200, b'{"keys": [' + b" " * 50_000_000 + b"]}"),
        "/slow/keys": (200, b"{}"),
        "/redirect/keys": (302, (made.issuer.url + JWKS).encode()),
    }
    return made


def settings() -> str:
    """The tables of all issuers."""
    url = server().issuer.url
    rule = '[[oidc.rules]]\nclaims = {{ repository = "acme/tool", ref = "refs/tags/*" }}\nproject = "{}"\n'
    tables = f'[[oidc]]\nissuer = "{url}"\naudience = "{AUDIENCE}"\nallow_http = true\n'
    tables += rule.format("acme/private") + rule.format("acme/public") + rule.format("acme/missing")
    for name in BAD:
        keys = "http://127.0.0.1:1/keys" if name == "down" else f"{url}/{name}/keys"
        tables += (
            f'[[oidc]]\nissuer = "{url}/{name}"\naudience = "{AUDIENCE}"\njwks_url = "{keys}"\nallow_http = true\n'
        )
        tables += rule.format("acme/private")
    return tables


class OidcTests(PythonClientTestCase):
    """A daemon that believes a CI system."""

    client = "uv"

    def make_daemon(self) -> Daemon:
        """One that knows the issuers of this run."""
        return Daemon(settings(), external_scheme="https")

    def ask(
        self, method: str, path: str, fields: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send a request with some JSON, or with a form if the fields are text; returns status and answer."""
        body = None if fields is None else fields if isinstance(fields, str) else json.dumps(fields)
        kind = "application/x-www-form-urlencoded" if isinstance(fields, str) else "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": kind, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def id_token(self, **changes: object) -> str:
        """What the CI would give its job now."""
        return server().issuer.token(time.time(), **changes)

    def exchange(self, token: str, **fields: object) -> tuple[int, Any]:
        """Exchange an ID token."""
        return self.ask("POST", EXCHANGE, {"id_token": token, **fields})

    def test_exchange_publish_and_end(self) -> None:
        """The job's token publishes to its project alone, tells of its job, and is refused once that has ended."""
        status, answer = self.exchange(self.id_token(run_id="99"))
        self.assertEqual((status, answer["expires_in"]), (201, 900))
        self.assertEqual(answer["project"], {"path_with_namespace": "acme/private"})
        shown = {"JOB-TOKEN": answer["token"]}
        private, public = (
            f"{self.daemon.packages_path('generic', project)}/{self.package_name()}/1/a.txt"
            for project in (self.daemon.world.private_id, self.daemon.world.public_id)
        )
        self.assertEqual(self.ask("PUT", private, "x", shown)[0], 201)
        self.assertEqual(self.ask("PUT", public, "x", shown)[0], 403)
        status, job = self.ask("GET", "/api/v4/job", headers=shown)
        self.assertEqual((status, job["status"], job["ref"]), (200, "running", "refs/tags/v1"))
        self.assertEqual((job["origin"]["repository"], job["origin"]["run_id"]), ("acme/tool", "99"))
        self.assertEqual(self.ask("GET", "/api/v4/job", headers={"PRIVATE-TOKEN": self.daemon.world.writer})[0], 403)
        self.assertEqual(self.ask("DELETE", "/api/v4/job", headers=shown)[0], 204)
        self.assertEqual(self.ask("GET", "/api/v4/job", headers=shown)[0], 401)
        self.assertEqual(self.ask("PUT", private, "x", shown)[0], 401)
        listed = json.loads(self.daemon.cli("--json", "token", "list"))
        (row,) = [row for row in listed if (row["origin"] or {}).get("run_id") == "99"]
        self.assertEqual((row["state"], row["origin"]["subject"]), ("revoked", "repo:acme/tool"))

    def test_the_operator_ends_a_job(self) -> None:
        """`token revoke` works from the next request on."""
        secret = self.exchange(self.id_token())[1]["token"]
        self.assertEqual(self.ask("GET", "/api/v4/job", headers={"JOB-TOKEN": secret})[0], 200)
        self.daemon.cli("token", "revoke", secret)
        self.assertEqual(self.ask("GET", "/api/v4/job", headers={"JOB-TOKEN": secret})[0], 401)

    def test_a_project_of_choice(self) -> None:
        """Of the rules that match the job may choose; a project that is not there is not made."""
        chosen = self.exchange(self.id_token(), project="acme/public")[1]
        self.assertEqual(chosen["project"]["path_with_namespace"], "acme/public")
        token = self.id_token()
        self.assertEqual(self.exchange(token, project="acme/missing")[0], 404)
        self.assertEqual(self.exchange(token, project="acme/private")[0], 201)

    def test_replay_by_many_at_once(self) -> None:
        """Of twenty who show the same token at once, one gets a job; later ones are told that it was exchanged."""
        token = self.id_token()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            statuses = [status for status, _ in pool.map(self.exchange, [token] * 20)]
        self.assertEqual((statuses.count(201), statuses.count(401)), (1, 19))

    def test_refusals_count(self) -> None:
        """They say what is wrong without repeating it, and too many of them are 429."""
        secret = uuid.uuid4().hex
        status, answer = self.exchange(self.id_token(ref=f"refs/heads/{secret}"))
        self.assertEqual((status, answer["error_code"]), (401, "invalid_id_token"))
        self.assertIn("the claim ref does not match", answer["error"])
        self.assertNotIn(secret, json.dumps(answer))
        self.assertEqual(self.exchange("x" * 1_000_000)[0], 413)
        self.assertEqual(self.exchange("x" * 40_000)[0], 400)
        self.assertEqual(self.ask("POST", EXCHANGE, {"id_token": 1})[0], 400)
        statuses = [self.exchange("x.y.z")[0] for _ in range(40)]
        self.assertEqual(set(statuses), {401, 429})
        self.assertEqual(statuses[-1], 429)
        self.daemon.stop()
        self.daemon.start()  # the count is the address's, and others ask from it

    def test_issuers_whose_keys_cannot_be_had(self) -> None:
        """A page, 50 MB, silence, a redirect and nobody at all: 503 within the deadline, and the daemon lives."""
        url = server().issuer.url
        for name in BAD:
            began_at = time.monotonic()
            status, answer = self.exchange(self.id_token(iss=f"{url}/{name}"))
            self.assertEqual((status, answer["error_code"]), (503, "unavailable"), name)
            self.assertLess(time.monotonic() - began_at, 30, name)
            began_at = time.monotonic()
            self.assertEqual(self.exchange(self.id_token(iss=f"{url}/{name}"))[0], 503)
            self.assertLess(time.monotonic() - began_at, 5, "it is not asked again at once")
        self.assertEqual(self.exchange(self.id_token())[0], 201)

    def test_as_oauth_writes_it(self) -> None:
        """RFC 8693: a form, an access token, and errors in its words."""
        form = {"grant_type": GRANT, "subject_token": self.id_token(), "subject_token_type": ID_TOKEN}
        status, answer = self.ask("POST", "/oauth/token", urlencode(form))
        self.assertEqual((status, answer["token_type"], answer["expires_in"]), (200, "Bearer", 900))
        job = self.ask("GET", "/api/v4/job", headers={"Authorization": f"Bearer {answer['access_token']}"})
        self.assertEqual(job[0], 200)
        status, answer = self.ask("POST", "/oauth/token", urlencode(form))
        self.assertEqual((status, answer["error"]), (400, "invalid_grant"))
        status, answer = self.ask("POST", "/oauth/token", urlencode({**form, "grant_type": "password"}))
        self.assertEqual((status, answer["error"]), (400, "invalid_request"))

    # --- uv

    def publish_with_uv(self, environment: Mapping[str, str]) -> Run:
        """Run `uv publish` without any stored secret."""
        base = {"UV_NO_CACHE": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_PYTHON": sys.executable}
        base["SSL_CERT_FILE"] = self.daemon.ca_file
        wheel = self.write_wheel(self.package_name(), "1.0")
        url = self.upload_url(self.daemon.world.private_id)
        arguments = ("publish", "--trusted-publishing", "always", "--publish-url", url, str(wheel))
        return self.run_client(*arguments, env={**base, **environment})

    def test_uv_in_an_action(self) -> None:
        """uv asks for the audience, has the runner's server make an ID token for it, and publishes."""
        runner = {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{server().issuer.url}/mint?version=1",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
        }
        self.assert_works(self.publish_with_uv(runner))
        self.assertEqual(len(self.published_files(self.package_name())), 1)

    def test_uv_in_a_pipeline(self) -> None:
        """uv takes the ID token out of the variable that is named after the audience."""
        name = "".join(letter if letter.isalnum() else "_" for letter in AUDIENCE.upper()) + "_ID_TOKEN"
        self.assert_works(self.publish_with_uv({"GITLAB_CI": "true", name: self.id_token()}))
        self.assertEqual(len(self.published_files(self.package_name())), 1)

    def test_uv_that_may_not(self) -> None:
        """uv shows why."""
        name = "".join(letter if letter.isalnum() else "_" for letter in AUDIENCE.upper()) + "_ID_TOKEN"
        run = self.publish_with_uv({"GITLAB_CI": "true", name: self.id_token(ref="refs/heads/main")})
        self.assert_fails(run, "the claim ref does not match")
        self.assertEqual(self.published_files(self.package_name()), set())

    def test_burning(self) -> None:
        """PyPI's way to give a token back ends the job, and tells nobody whether there was one."""
        status, answer = self.ask("POST", "/_/oidc/mint-token", {"token": self.id_token()})
        self.assertEqual((status, answer["success"]), (200, True))
        for token in (answer["token"], "nonsense"):
            self.assertEqual(self.ask("POST", "/_/oidc/burn-token", {"token": token}), (202, None))
        self.assertEqual(self.ask("GET", "/api/v4/job", headers={"JOB-TOKEN": answer["token"]})[0], 401)
        self.assertEqual(self.ask("GET", "/_/oidc/audience"), (200, {"audience": AUDIENCE}))
