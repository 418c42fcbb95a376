"""Asking for credentials."""

from __future__ import annotations

from functools import partial

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import AuthenticationRequired, FileNotFound, InvalidRequest
from pkgregd.formatkit.challenges import ask_who
from pkgregd.formats.generic import GenericFormat
from pkgregd.interfaces import ICall
from pkgregd.testing.calls import WRITER, FakeCall, FormatWorld, now
from pkgregd.values import ANONYMOUS, Reply


class AskTests(SynchronousTestCase):
    """What the anonymous are told of what is not found."""

    def test_who_is_asked(self) -> None:
        """Only the anonymous, only at a group, and only for what is not found."""
        world = FormatWorld(GenericFormat())

        async def fail(error: Exception, call: ICall) -> Reply:
            raise error

        for path, principal, error, expected in (
            ("acme", ANONYMOUS, FileNotFound(), AuthenticationRequired),
            ("acme", WRITER, FileNotFound(), FileNotFound),
            ("acme/one", ANONYMOUS, FileNotFound(), FileNotFound),
            ("acme", ANONYMOUS, InvalidRequest("no"), InvalidRequest),
        ):
            call = evolve(FakeCall(world.remote(path)), principal=principal)
            raised = self.assertRaises(expected, now, ask_who(partial(fail, error), call))
            self.assertIs(type(raised), expected)
