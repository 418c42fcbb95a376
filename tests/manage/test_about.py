"""Which version it is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.manage.support import ManagedWorld


class AboutTests(SynchronousTestCase):
    """GitLab's two addresses."""

    def test_the_version_is_for_those_who_have_a_token(self) -> None:
        """Whoever has one may know; who has none is asked for it."""
        world = ManagedWorld()
        told = {"version": "1.2.3", "revision": ""}
        self.assertEqual(world.get("/version"), told)
        self.assertEqual(world.get("/metadata"), {**told, "enterprise": False, "kas": {"enabled": False}})
        for path in ("/version", "/metadata"):
            self.assertEqual(world.request("GET", path, who="").status, 401)
