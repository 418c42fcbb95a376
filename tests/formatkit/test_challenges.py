"""Asking for credentials."""

from __future__ import annotations

import re
from functools import partial

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import AuthenticationRequired, FileNotFound, InvalidRequest, PkgregdError
from pkgregd.formatkit.challenges import ask_who
from pkgregd.formats.generic import GenericFormat
from pkgregd.interfaces import ICall
from pkgregd.testing.calls import WRITER, FakeCall, FormatWorld, now
from pkgregd.values import ANONYMOUS, Principal, Reply, Visibility


class AskTests(SynchronousTestCase):
    """What the anonymous are told of what is not found."""

    def test_who_is_asked(self) -> None:
        """Only the anonymous, only at a group with something hidden, and only for what is not found."""
        world = FormatWorld(GenericFormat())

        async def fail(error: Exception, call: ICall) -> Reply:
            raise error

        def raised(path: str, principal: Principal, error: Exception) -> type[Exception]:
            call = evolve(FakeCall(world.remote(path, principal)), principal=principal)
            return type(self.assertRaises(PkgregdError, now, ask_who(partial(fail, error), call)))

        for has_hidden in (False, True):
            for path, principal, error, expected in (
                ("acme", ANONYMOUS, FileNotFound(), AuthenticationRequired if has_hidden else FileNotFound),
                ("acme", WRITER, FileNotFound(), FileNotFound),
                ("acme/one", ANONYMOUS, FileNotFound(), FileNotFound),
                ("acme", ANONYMOUS, InvalidRequest("no"), InvalidRequest),
            ):
                self.assertIs(raised(path, principal, error), expected, (has_hidden, path))
            if not has_hidden:
                self.publish_privately(world)

    def publish_privately(self, world: FormatWorld) -> None:
        """Have a project of the group that is not for everybody, with a package."""
        now(world.catalog.add_project("acme/private", Visibility.PRIVATE))
        arguments = {"package_name": "x", "package_version": "1", "file_name": "f"}
        rule = next(route.path for route in world.format.routes() if "PUT" in route.methods)
        names = re.findall(r"<\w+:(\w+)>", rule)
        values = dict(zip(names, arguments.values(), strict=False))
        self.assertEqual(world.request("PUT", rule, b"data", path="acme/private", **values).status, 201)
