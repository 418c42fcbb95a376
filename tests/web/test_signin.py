"""The page on which clients are signed in, through the real front in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pkgregd.interfaces import IRouteTable
from pkgregd.web.signin import PATH, SignInPages
from tests.support.accounts import AccountWorld


class SignInPageTests(SynchronousTestCase):
    """From the address that a client prints to the client's token."""

    def setUp(self) -> None:
        """Make a world."""
        self.world = AccountWorld()

    def test_provides(self) -> None:
        """It is a table of routes."""
        verifyObject(IRouteTable, SignInPages())

    def test_sign_in(self) -> None:
        """The page says who waits, takes a token, and lets the client go on; what comes later changes nothing."""
        page, done = self.world.start_login()
        shown = self.world.client.request("GET", page)
        self.assertEqual(shown.status, 200)
        for words in (b"192.0.2.1", b"<strong>npm/11.0.0</strong>", b'type="password"', b'method="post"'):
            self.assertIn(words, shown.body)
        waiting = self.world.ask("GET", done)
        self.assertEqual((waiting.status, waiting.headers["retry-after"]), (202, "2"))
        sent = self.world.send_form(page, self.world.secrets["jane"])
        self.assertEqual(sent.status, 200)
        self.assertIn(b"<strong>jane</strong>", sent.body)
        self.assertNotIn(self.world.secrets["jane"].encode(), sent.body)
        self.assertIn(b"already", self.world.client.request("GET", page).body)
        token = self.world.answer("GET", done)["token"]
        self.assertEqual(self.world.record(token).principal.name, "jane")
        self.assertEqual(self.world.ask("GET", done).status, 404)

    def test_a_bad_token(self) -> None:
        """The page says so and asks again; a browser is not made to ask by itself."""
        page, done = self.world.start_login()
        for secret in ("", "nonsense", "<script>"):
            sent = self.world.send_form(page, secret)
            self.assertEqual(sent.status, 400 if not secret else 403)
            self.assertNotIn("www-authenticate", sent.headers)
            self.assertNotIn(b"<script", sent.body)
        self.assertIn(b'method="post"', sent.body)
        self.assertEqual(self.world.ask("GET", done).status, 202)

    def test_forms_that_are_none(self) -> None:
        """They are refused in words."""
        page, _ = self.world.start_login()
        for form in (b"", b"token", b"\xff", b"a=b", b"token=a&token=b", b"&".join([b"a=b"] * 9), b"token=%ff"):
            reply = self.world.client.request("POST", page, {}, form)
            self.assertEqual(reply.status, 400, form)
            self.assertIn(b"<h1>Bad Request</h1>", reply.body)
        self.assertEqual(self.world.client.request("POST", page, {}, b"token=" + b"x" * 9000).status, 413)

    def test_nobody_waits(self) -> None:
        """An address that was never handed out, or too long ago, says what to do."""
        page, _ = self.world.start_login()
        self.world.clock.advance(600)
        for path in (page, f"{PATH}/nothing"):
            for reply in (self.world.client.request("GET", path), self.world.send_form(path, "x")):
                self.assertEqual(reply.status, 404)
                self.assertIn(b"start again in the client", reply.body)

    def test_what_a_client_calls_itself_is_only_text(self) -> None:
        """It cannot become part of the page."""
        self.world.client.request(
            "POST",
            "/api/v4/packages/npm/-/v1/login",
            {"User-Agent": "<b onclick='x'>", "Content-Length": "2"},
            b"{}",
        )
        (public_id,) = self.world.catalog.sign_ins.waiting()
        page = self.world.client.request("GET", f"{PATH}/{public_id}")
        self.assertNotIn(b"onclick", page.body)
        self.assertIn(b"<strong>nothing</strong>", page.body)

    def test_looking_without_a_body_takes_nothing(self) -> None:
        """HEAD does not use up the token, which comes but once."""
        page, done = self.world.start_login()
        self.world.send_form(page, self.world.secrets["jane"])
        self.assertEqual(self.world.ask("HEAD", done).status, 202)
        self.assertIn("token", self.world.answer("GET", done))

    def test_headers(self) -> None:
        """No cache keeps the page, no other page frames it, and nothing runs in it."""
        page, _ = self.world.start_login()
        for reply in (self.world.client.request("GET", page), self.world.send_form(page, self.world.secrets["jane"])):
            self.assertEqual(reply.headers["cache-control"], "no-store")
            self.assertIn("default-src 'none'", reply.headers["content-security-policy"])
            self.assertIn("frame-ancestors 'none'", reply.headers["content-security-policy"])
            self.assertEqual(reply.headers["referrer-policy"], "no-referrer")

    def test_a_stale_credential_does_not_matter(self) -> None:
        """Whoever signs in may still send the credential that is no longer good."""
        reply = self.world.client.request(
            "POST",
            "/api/v4/packages/npm/-/v1/login",
            {"Authorization": "Bearer old", "Content-Length": "2"},
            b"{}",
        )
        self.assertEqual(reply.status, 200)
