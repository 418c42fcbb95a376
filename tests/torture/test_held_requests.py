"""Requests whose body is long in coming, while the right to make them goes away."""

from __future__ import annotations

import json

from tests.support.cases import DaemonTestCase
from tests.support.rawhttp import Answer, RawConnection


class HeldRequestTests(DaemonTestCase):
    """What is asked for is done for who asks when all of it is there."""

    def setUp(self) -> None:
        """Have an administrator with a token."""
        super().setUp()
        self.name = self._testMethodName.replace("_", "-")
        self.daemon.cli("user", "add", self.name, "--admin")
        self.token = self.daemon.cli("token", "add", "--kind", "personal", "--user", self.name).strip()

    def ask(self, path: str, fields: dict[str, object], *meanwhile: str) -> Answer:
        """Send all but the end of a request, run a command, and send the end."""
        body = json.dumps(fields).encode()
        headers = {"PRIVATE-TOKEN": self.token, "Content-Type": "application/json", "Content-Length": str(len(body))}
        with RawConnection(self.daemon.port, timeout_seconds=30) as connection:
            connection.send_head("POST", path, headers)
            connection.send_body([body[:1]])
            if meanwhile:
                self.daemon.cli(*meanwhile)
            connection.send_body([body[1:]])
            return connection.read_answer()

    def users(self, name: str) -> list[str]:
        """Users of that name."""
        _, _, body = self.daemon.get(f"/api/v4/users?username={name}", {"PRIVATE-TOKEN": self.daemon.world.writer})
        return [user["username"] for user in json.loads(body)]

    def test_an_administrator_whose_token_goes(self) -> None:
        """No user comes of it, who would have outlived the token."""
        answer = self.ask("/api/v4/users", {"username": "slow", "admin": True}, "token", "revoke", self.token)
        self.assertEqual(answer.status, 401, answer.body)
        self.assertEqual(self.users("slow"), [])

    def test_whose_token_stays(self) -> None:
        """The same request is done."""
        self.assertEqual(self.ask("/api/v4/users", {"username": "steady"}).status, 201)
        self.assertEqual(self.users("steady"), ["steady"])

    def test_a_token_of_npm(self) -> None:
        """Nor does a token of npm's come of one that has gone."""
        path = f"{self.daemon.packages_path('npm', self.daemon.world.private_id)}/-/npm/v1/tokens"
        fields: dict[str, object] = {"name": "ci", "password": self.daemon.world.writer}
        answer = self.ask(path, fields, "token", "revoke", self.token)
        self.assertEqual(answer.status, 401, answer.body)
