"""Nothing that looks like a secret gets into a log."""

from __future__ import annotations

import base64
import io
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, LogPublisher, eventAsText, jsonFileLogObserver, textFileLogObserver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.tokens import mint
from pkgregd.secrecy import install, without_secrets
from pkgregd.values import TokenKind

TOKENS = [mint(kind).secret for kind in TokenKind]
TOKEN = TOKENS[0]
BASIC = base64.b64encode(f"jane:{TOKEN}".encode()).decode()


def hidden_part(token: str) -> str:
    """What nobody may see of a token."""
    return token.rpartition("_")[2]


class TextTests(SynchronousTestCase):
    """without_secrets()."""

    def test_tokens(self) -> None:
        """Of every kind, anywhere, escaped or not; the public id stays."""
        for token in TOKENS:
            for text in (token, f"a {token}.", f"/x/{token}/y", f"x{token}x", token.replace("_", "%5F"), token.upper()):
                cleaned = without_secrets(text)
                self.assertNotIn(hidden_part(token).lower(), cleaned.lower(), text)
                self.assertIn(token.split("_")[2].lower(), cleaned.lower())

    def test_credentials(self) -> None:
        """By the header, the scheme, the parameter or the place in a URL before them."""
        for text in (
            f"Authorization: Basic {BASIC}", "authorization: Bearer hushhushhush", "Authorization: hushhushhush",
            f"{{'authorization': 'Basic {BASIC}'}}", "(b'Private-Token', b'hushhushhush')",
            "PRIVATE-TOKEN: hushhushhush",
            "JOB-TOKEN:hushhushhush", '{"Deploy-Token": "hushhushhush"}', "X-NuGet-ApiKey: hushhushhush",
            "Cookie: hushhushhush", f"got Basic {BASIC}", "Bearer hushhushhushhushhush",
            "/x?private_token=hushhushhush",
            "/x?a=b&password=hushhushhush&c=d", "?access_token=hushhushhush", "https://jane:hushhushhush@host/path",
            "postgresql://u:hushhushhush@h/d", "secret_access_key=hushhushhush", "?X-Amz-Signature=hushhushhush",
            r'{\"authorization\": \"hushhushhush\"}',
        ):  # fmt: skip
            cleaned = without_secrets(text)
            self.assertNotIn("hushhushhush", cleaned, text)
            self.assertNotIn(BASIC, cleaned)

    def test_the_rest_stays(self) -> None:
        """What surrounds a secret, and what only sounds like one."""
        for text in (
            "https://host:8080/api/v4/projects/1", "token abcdefghijkl refused: revoked", "basic usage", "pkgr_", "x=y",
            "the authorization scheme is not supported: use Bearer or Basic", "http://[::1]:8080/@scope/name",
        ):  # fmt: skip
            self.assertEqual(without_secrets(text), text)
        self.assertEqual(without_secrets("/x?a=b&password=hush&c=d"), "/x?a=b&password=...&c=d")
        self.assertEqual(without_secrets("https://jane:hush@host/path"), "https://jane:...@host/path")

    @settings(max_examples=200, deadline=None)
    @given(st.text(), st.text(), st.sampled_from(TOKENS))
    def test_whatever_surrounds_a_token(self, before: str, after: str, token: str) -> None:
        """It is found."""
        self.assertNotIn(hidden_part(token), without_secrets(f"{before} {token} {after}"))

    def test_long_texts(self) -> None:
        """Hostile ones take time in proportion to their length."""
        for piece in ("authorization: ", "://", "token=", "basic ", "pkgr_", "://a:b", "'", " "):
            began_at = time.process_time()
            without_secrets(piece * (200_000 // len(piece)))
            self.assertLess(time.process_time() - began_at, 2, piece)


class Revealing:
    """An object whose words are a secret."""

    def __repr__(self) -> str:
        return f"<{TOKEN}>"


class LogTests(SynchronousTestCase):
    """install()."""

    def setUp(self) -> None:
        """Have observers of both kinds, added afterwards as twistd does."""
        self.publisher = LogPublisher()
        self.events: list[LogEvent] = []
        self.text, self.json = io.StringIO(), io.StringIO()
        remove = install(self.publisher)
        self.addCleanup(remove)
        for observer in (self.events.append, textFileLogObserver(self.text), jsonFileLogObserver(self.json)):
            self.publisher.addObserver(observer)
        self.log = Logger(observer=self.publisher)

    def assert_clean(self) -> None:
        """Nothing came through, in no form."""
        for written in (self.text.getvalue(), self.json.getvalue(), *map(eventAsText, self.events)):
            self.assertTrue(written)
            self.assertNotIn(hidden_part(TOKEN), written)
            self.assertNotIn(BASIC, written)

    def test_values(self) -> None:
        """In the format, in values, inside of collections, as bytes, and in the words of objects."""
        self.log.info(f"plain {TOKEN}")
        self.log.info("{value}", value=TOKEN)
        self.log.info("{value}", value={"headers": [("authorization", f"Basic {BASIC}")], "bytes": TOKEN.encode()})
        self.log.info("{value}", value=(1, (TOKEN,)))
        self.assert_clean()

    def test_objects(self) -> None:
        """What only the text shows is taken out of the text."""
        events = self.events
        self.log.info("{value!r}", value=Revealing())
        for written in (self.text.getvalue(), eventAsText(events[0])):
            self.assertNotIn(hidden_part(TOKEN), written)

    def test_failures(self) -> None:
        """The traceback comes without what the exception says."""
        try:
            raise ValueError(f"no such token {TOKEN}")
        except ValueError:
            self.log.failure("it failed", Failure())
        self.assertIn("ValueError", self.text.getvalue())
        self.assertIn("Traceback", self.text.getvalue())
        self.assertNotIn(hidden_part(TOKEN), self.text.getvalue())

    def test_the_rest_is_as_it_was(self) -> None:
        """An event without a secret keeps its values, the very same."""
        value = {"a": [1, "x"], "b": object()}
        self.log.info("{value}", value=value)
        self.assertIs(self.events[0]["value"], value)
        self.assertEqual(self.events[0]["log_format"], "{value}")
