"""npm: logging in and out, and tokens."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from typing import Any

from tests.support.clients import CLIENT_SECONDS, OverHttps, Run, clean_environment
from tests.support.npm_clients import NpmTestCase


class AccountCase(NpmTestCase):
    """Logging in, with a name and a password or on a page."""

    def setUp(self) -> None:
        """Begin with a personal token of a user's, and without one in npm's configuration."""
        super().setUp()
        self.registry = self.daemon.packages_url("npm", self.daemon.world.private_id)
        self.token = self.daemon.world.writer
        self.use(self.registry, "")

    def type_at(self, *command: str, answers: dict[bytes, str]) -> Run:
        """Run npm at a terminal, and type each answer when it is asked for."""
        ours, theirs = pty.openpty()
        running = subprocess.Popen(
            (self.program, *command),
            cwd=self.folder,
            env=clean_environment(self.home, {}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.addCleanup(os.close, ours)
        output, waiting = b"", dict(answers)
        while piece := self.read_terminal(ours):
            output += piece
            for prompt in [prompt for prompt in waiting if prompt in output]:
                os.write(ours, waiting.pop(prompt).encode() + b"\r")
        return Run(running.wait(CLIENT_SECONDS), output.decode("utf-8", "replace"))

    def read_terminal(self, terminal: int) -> bytes:
        """Read what comes next; nothing when the program is gone."""
        try:
            return os.read(terminal, 4096)
        except OSError:
            return b""

    def login(self, user: str, password: str) -> Run:
        """Log in with a name and a password."""
        answers = {b"Username:": user, b"Password:": password}
        return self.type_at("login", "--auth-type=legacy", answers=answers)

    def sign_in_on_the_page(self, password: str) -> tuple[Run, str]:
        """Log in as npm likes best, sending the page's form as a browser would; returns the page, too."""
        running = subprocess.Popen(
            (self.program, "login"),
            cwd=self.folder,
            env=clean_environment(self.home, {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert running.stdout is not None
        self.addCleanup(running.stdout.close)
        lines = []
        for line in running.stdout:
            lines.append(line)
            if re.match(r"https?://\S+/-/sign-in/", line):
                break
        data = f"token={password}"
        page = self.run_program(
            "curl", "--silent", "--cacert", str(self.daemon.ca_file), "--data", data, lines[-1].strip()
        )
        lines += running.stdout.readlines()
        return Run(running.wait(CLIENT_SECONDS), "".join(lines)), self.assert_works(page)

    def whoami(self) -> str:
        """Ask who npm is."""
        return self.assert_works(self.run_client("whoami")).strip()

    def read_json(self, run: Run) -> Any:
        """What npm wrote."""
        return json.loads(self.assert_works(run))

    def shown_token(self) -> str:
        """The token in npm's configuration."""
        found = re.search(r":_authToken=\"?(\w+)", (self.home / ".npmrc").read_text())
        assert found is not None
        return found[1]


class AccountTests(AccountCase):
    """Over HTTP."""

    def test_log_in_and_out(self) -> None:
        """With a name and a token for a password: npm gets a token of its own, works with it, and gives it up."""
        run = self.login("wendy", self.token)
        self.assertEqual(run.status, 0, run.output)
        self.assertIn("Logged in on", run.output)
        own = self.shown_token()
        self.assertNotEqual(own, self.token)
        self.assertEqual(self.whoami(), "wendy")
        self.assert_works(self.publish("1.0.0"))
        self.assert_works(self.run_client("logout"))
        self.assertNotIn("_authToken", (self.home / ".npmrc").read_text())
        self.use(self.registry, own)
        self.assert_fails(self.run_client("whoami"), "E401")
        self.use(self.registry, self.token)
        self.assertEqual(self.whoami(), "wendy")

    def test_log_in_with_a_bad_password(self) -> None:
        """npm says what a password is here."""
        self.assert_fails(self.login("wendy", "secret"), "E401", "personal access token")
        self.assert_fails(self.login("rob", self.token), "E401", "personal access token")
        reads = ("token", "add", "--kind", "personal", "--user", "wendy", "--scope", "read_api")
        self.assert_fails(self.login("wendy", self.daemon.cli(*reads).strip()), "E401", "the scope api")

    def test_log_in_on_a_page(self) -> None:
        """Even while npm still shows a token that is no longer good."""
        self.use(self.registry, "pkgr_usr_old")
        run, page = self.sign_in_on_the_page(self.token)
        self.assertEqual(run.status, 0, run.output)
        self.assertIn("Logged in on", run.output)
        self.assertIn("wendy", page)
        self.assertEqual(self.whoami(), "wendy")
        self.assertNotEqual(self.shown_token(), self.token)

    def test_log_in_at_the_instance(self) -> None:
        """Where packages of a scope are looked up."""
        self.use(f"{self.daemon.url}/api/v4/packages/npm", "")
        run, _ = self.sign_in_on_the_page(self.token)
        self.assertEqual(run.status, 0, run.output)
        self.assertEqual(self.whoami(), "wendy")

    def test_tokens(self) -> None:
        """One for a pipeline is made, listed, used and revoked; one that only reads publishes nothing."""
        self.use(self.registry, self.token)
        create = ("token", "create", "--json", f"--password={self.token}", "--name")
        writes = "--packages-and-scopes-permission=read-write"
        made = self.read_json(self.run_client(*create, "pipeline", "--expires=7", writes))
        listed = {token["name"]: token for token in self.read_json(self.run_client("token", "list", "--json"))}
        self.assertEqual(listed["pipeline"]["expires"], made["expires"])
        self.assertFalse(listed["pipeline"]["readonly"])
        reads = self.read_json(self.run_client(*create, "reader", "--packages-and-scopes-permission=read-only"))
        self.use(self.registry, reads["token"])
        self.assertEqual(self.whoami(), "wendy")
        self.assert_fails(self.publish("1.0.0"), "E403", "create_package")
        self.assert_fails(self.run_client("token", "list"), "E403", "manage_tokens")
        self.use(self.registry, made["token"])
        self.assert_works(self.publish("1.0.0"))
        self.assertIn("Removed 1 token", self.assert_works(self.run_client("token", "revoke", reads["token"])))
        self.assertIn(
            "Removed 1 token", self.assert_works(self.run_client("token", "revoke", listed["pipeline"]["key"]))
        )
        self.assert_fails(self.run_client("whoami"), "E401")

    def test_token_that_cannot_be(self) -> None:
        """A wrong password, and a bound that there is not."""
        self.use(self.registry, self.token)
        self.assert_fails(self.run_client("token", "create", "--password=secret"), "E401", "personal access token")
        create = ("token", "create", f"--password={self.token}")
        self.assert_fails(self.run_client(*create, "--cidr=192.0.2.0/24"), "E400", "cidr_whitelist")
        self.assert_fails(self.run_client(*create, "--packages-and-scopes-permission=no-access"), "E400", "read-only")


class AccountHttpsTests(OverHttps, AccountTests):
    """Over HTTPS."""
