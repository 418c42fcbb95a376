"""Who may read what is measured."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.manage.metrics import MEDIA_TYPE, PATH
from tests.manage.support import ManagedWorld

VARYING = re.compile(rb"(?<=X-Request-Id: )\w+|(?<=\"request_id\": \")\w+|(?<=Date: )[^\r]+")
PROXIED = {"X-Forwarded-For": "198.51.100.7"}


class MetricsTests(SynchronousTestCase):
    """`/-/metrics`: the world's client comes from 192.0.2.1."""

    def test_from_an_address_that_may(self) -> None:
        """A network that is configured needs no token."""
        world = ManagedWorld(metrics_allowed=("192.0.2.0/24",))
        reply = world.request("GET", PATH, who="")
        self.assertEqual((reply.status, reply.body), (200, world.metrics.page))
        self.assertEqual(reply.headers["content-type"], MEDIA_TYPE)
        self.assertEqual(reply.headers["cache-control"], "no-store")

    def test_hidden_elsewhere(self) -> None:
        """Others are told what they are told of a page that there is not, with a token or without."""
        world = ManagedWorld(metrics_allowed=("127.0.0.0/8", "::1", "unix"))
        world.add_user("wendy")
        for who in ("", "wendy"):
            self.assertEqual(world.request("GET", PATH, who=who).status, 404)
            hidden = bytes(world.client.transport.received)
            world.client.request("GET", "/-/missing")
            missing = bytes(world.client.transport.received)
            self.assertEqual(*(VARYING.sub(b"x", answer) for answer in (hidden, missing)))

    def test_administrators(self) -> None:
        """Their tokens do, also those that only read."""
        world = ManagedWorld()
        world.add_user("auditor", is_admin=True, scope="read_api")
        for who in ("root", "auditor"):
            self.assertEqual(world.request("GET", PATH, who=who).status, 200)

    def test_relayed(self) -> None:
        """What a proxy brings that nobody trusts is not let in for the proxy's address."""
        world = ManagedWorld(metrics_allowed=("192.0.2.1",))
        for headers in (PROXIED, {"Via": "1.1 x"}, {"Forwarded": "for=198.51.100.7"}, {"X-Real-IP": "198.51.100.7"}):
            self.assertEqual(world.request("GET", PATH, who="", headers=headers).status, 404)
        self.assertEqual(world.request("GET", PATH, headers=PROXIED).status, 200)

    def test_requests_are_measured(self) -> None:
        """By whose route it was, what came of it, and whether it was known who asked."""
        world = ManagedWorld()
        world.request("GET", "/version")
        world.request("GET", "/version", who="")
        world.client.request("GET", "/-/missing?token=x")
        told = [(table, status, refusal, known) for table, _, status, _, _, refusal, known in world.metrics.requests]
        self.assertEqual(
            told,
            [
                ("manage_about", 200, None, True),
                ("manage_about", 401, "authentication_required", False),
                ("none", 404, None, False),
            ],
        )
