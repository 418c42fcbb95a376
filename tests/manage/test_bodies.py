"""Fields of a body: what each reader takes, and what is refused by its name."""

from __future__ import annotations

import datetime
import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import BodyTooLarge, InvalidRequest
from pkgregd.manage import bodies
from pkgregd.manage.bodies import FORM, MAX_BYTES, read_fields
from pkgregd.testing.calls import FakeBody, FakeCall, now
from pkgregd.values import Role, Visibility

READERS = {
    "name": bodies.text,
    "scopes": bodies.texts,
    "user_id": bodies.number,
    "admin": bodies.flag,
    "access_level": bodies.role,
    "visibility": bodies.visibility,
    "expires_at": bodies.day,
}


class FieldTests(SynchronousTestCase):
    """JSON and forms."""

    def read(self, body: bytes, media_type: str = "application/json", **options: object) -> dict[str, object]:
        """Read a body."""
        call = FakeCall(None, headers={"content-type": media_type}, body=FakeBody([body]))  # type: ignore[arg-type] # no remote
        return now(read_fields(call, READERS, **options))  # type: ignore[arg-type] # sets of names

    def refused(self, body: bytes, media_type: str = "application/json", **options: object) -> str:
        """Return why a body is refused."""
        error = self.assertRaises(InvalidRequest, self.read, body, media_type, **options)
        return str(error)

    def test_who_asks_is_looked_at_again(self) -> None:
        """When the body has come, before anything is made of it."""
        call = FakeCall(None, body=FakeBody([b'{"name": "x"}']))  # type: ignore[arg-type] # no remote
        now(read_fields(call, READERS))
        self.assertTrue(call.authorised_again)

    def test_json(self) -> None:
        """Each field has its type; what is null was not given, what is ignored is not there."""
        fields = {
            "name": "x", "scopes": ["a", "b"], "user_id": 7, "admin": True, "access_level": 40,
            "visibility": "internal", "expires_at": "2027-01-31", "bio": "words",
        }  # fmt: skip
        wanted = {
            "name": "x", "scopes": frozenset({"a", "b"}), "user_id": 7, "admin": True, "access_level": Role.MAINTAINER,
            "visibility": Visibility.INTERNAL, "expires_at": datetime.datetime(2027, 1, 31, tzinfo=datetime.UTC),
        }  # fmt: skip
        self.assertEqual(self.read(json.dumps(fields).encode(), ignored={"bio"}), wanted)
        self.assertEqual(self.read(b'{"name": null}'), {})
        self.assertEqual(self.read(b" "), {})

    def test_forms(self) -> None:
        """The same as curl sends it; brackets make a list."""
        body = b"name=a+b&scopes[]=a&scopes%5B%5D=b&user_id=7&admin=true&access_level=30&visibility=public"
        wanted = {
            "name": "a b", "scopes": frozenset({"a", "b"}), "user_id": 7, "admin": True, "access_level": Role.DEVELOPER,
            "visibility": Visibility.PUBLIC,
        }  # fmt: skip
        self.assertEqual(self.read(body, f"{FORM}; charset=utf-8"), wanted)
        self.assertEqual(self.read(b"scopes=a,b", FORM), {"scopes": frozenset({"a", "b"})})
        self.assertEqual(self.read(b"", FORM), {})

    def test_times(self) -> None:
        """A date begins at midnight in UTC; a time is brought to UTC."""
        moment = datetime.datetime(2027, 1, 31, 10, tzinfo=datetime.UTC)
        for text in ("2027-01-31T10:00:00Z", "2027-01-31T12:00:00+02:00", "2027-01-31 10:00:00"):
            self.assertEqual(self.read(json.dumps({"expires_at": text}).encode()), {"expires_at": moment})

    def test_what_is_refused(self) -> None:
        """Each by its name."""
        for fields in (
            {"nonsense": 1}, {"name": ""}, {"name": 1}, {"name": "x" * 256}, {"name": "a\nb"}, {"scopes": []},
            {"scopes": {}}, {"scopes": [1]}, {"user_id": 0}, {"user_id": -1}, {"user_id": "x"}, {"user_id": True},
            {"user_id": 1.5}, {"user_id": 2**63}, {"user_id": "9" * 30}, {"admin": "maybe"}, {"admin": 2},
            {"access_level": 35}, {"access_level": True}, {"access_level": [40]}, {"visibility": "secret"},
            {"visibility": ["public"]}, {"expires_at": "soon"}, {"expires_at": 1},
            {"expires_at": "0001-01-01T00:00:00+14:00"},
        ):  # fmt: skip
            (name,) = fields
            self.assertIn(name, self.refused(json.dumps(fields).encode()), fields)
        self.assertIn("user_id", self.refused(b"{}", required=("user_id",)))
        self.assertIn("user_id", self.refused(b'{"user_id": null}', required=("user_id",)))

    def test_what_is_no_body(self) -> None:
        """Neither JSON nor a form."""
        for body in (b"[]", b"1", b"{", b"\xff", b"[" * 5000, b'{"name": "a", "name": "b"}', b'{"name": "\\ud800"}'):
            self.assertTrue(self.refused(body))
        for body in (b"name", b"\xff", b"&".join([b"name=a"] * 200), b"name=%ff"):
            self.assertTrue(self.refused(body, FORM))
        self.assertRaises(BodyTooLarge, self.read, b" " * (MAX_BYTES + 1))

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
    def test_nothing_else_comes_out(self, value: object) -> None:
        """Any value of any field is read or refused, never an error of another kind."""
        for name in READERS:
            try:
                self.read(json.dumps({name: value}).encode())
            except InvalidRequest as error:
                self.assertIn(name, str(error))
