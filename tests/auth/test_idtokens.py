"""ID tokens: which are good."""

from __future__ import annotations

import base64
import datetime
import re
from typing import Any
from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.exchange import _matches as matches
from pkgregd.auth.exchange import choose_project
from pkgregd.auth.idtokens import LEEWAY_SECONDS, MAX_ID_TOKEN_LETTERS, IdToken, IdTokens
from pkgregd.auth.jwks import IssuerKeys
from pkgregd.errors import InvalidIdToken
from pkgregd.testing.calls import now
from pkgregd.values import OidcIssuer, OidcRule
from tests.support.issuer import AUDIENCE, Issuer, rsa_key

START_SECONDS = 1_800_000_000


class CheckTests(SynchronousTestCase):
    """Checking tokens of two issuers."""

    def setUp(self) -> None:
        """Have two, each with keys of its own."""
        self.clock = Clock()
        self.clock.advance(START_SECONDS)
        self.issuer = Issuer()
        self.other = Issuer("https://other.test", {"r1": rsa_key("other")})
        issuers = {made.url: OidcIssuer(made.url, AUDIENCE, ()) for made in (self.issuer, self.other)}
        self.configured = issuers[self.issuer.url]
        self.tokens = IdTokens(
            {issuer: IssuerKeys(issuer, self.fetch, self.clock.seconds) for issuer in issuers.values()},
            lambda: datetime.datetime.fromtimestamp(self.clock.seconds(), datetime.UTC),
        )

    async def fetch(self, url: str) -> bytes:
        """Get a document of one of them."""
        parts = urlsplit(url)
        source = self.issuer if url.startswith(self.issuer.url) else self.other
        return source.document(parts.path)[1]

    def check(self, text: str) -> IdToken:
        """Check a token."""
        return now(self.tokens.check(text))

    def made(self, **changes: Any) -> str:
        """Make a token now."""
        return self.issuer.token(self.clock.seconds(), **changes)

    def refusal(self, text: str) -> str:
        """Say why a token is refused."""
        return str(self.assertRaises(InvalidIdToken, self.check, text))

    def test_good_tokens(self) -> None:
        """Signed with RSA or on P-256; what they say can be read."""
        for kid in ("r1", "e1"):
            found = self.check(self.made(kid=kid, jti="x", run_id=42, ref_protected=True, list=[1]))
            self.assertEqual((found.issuer, found.jti), (self.configured, "x"))
            self.assertEqual(found.expires_at.timestamp(), START_SECONDS + 300)
            texts = [found.text(name) for name in ("repository", "run_id", "ref_protected", "list", "missing")]
            self.assertEqual(texts, ["acme/tool", "42", "true", None, None])
            self.assertNotIn("acme", repr(found))

    def test_forged_signatures(self) -> None:
        """Without one, with the public key as a shared secret, by another's key, or changed afterwards."""
        good = self.made()
        head, body, mark = good.split(".")
        other_body = self.made(repository="acme/other").split(".")[1]
        stolen = self.other.token(self.clock.seconds(), iss=self.issuer.url)
        for text, word in (
            (self.issuer.forged(self.clock.seconds(), "none"), "(alg)"),
            (self.issuer.forged(self.clock.seconds(), "None"), "(alg)"),
            (self.issuer.forged(self.clock.seconds(), "HS256"), "(alg)"),
            (f"{head}.{other_body}.{mark}", "signature"),
            (f"{head}.{body}.", "signature"),
            (stolen, "signature"),
            (self.made(kid="e1", headers={"kid": "r1"}), "(alg)"),
        ):
            self.assertIn(word, self.refusal(text))

    def test_another_issuer_cannot_speak_for_this_one(self) -> None:
        """Whatever repository it claims, its tokens are its own, and rules of this one never see them."""
        found = self.check(self.other.token(self.clock.seconds(), repository="acme/tool"))
        self.assertEqual(found.issuer.issuer, self.other.url)
        for issuer in (
            "https://ci.test/",
            "https://CI.test",
            "https://ci.test.evil.test",
            "",
            1,
            None,
            ["https://ci.test"],
        ):
            self.assertIn("(iss)", self.refusal(self.made(iss=issuer)), issuer)

    def test_the_audience_is_one(self) -> None:
        """A token for us and somebody else could be shown to us by somebody else."""
        for audience in ("https://other.test", AUDIENCE + "/", [AUDIENCE, "x"], [AUDIENCE], 1):
            self.assertIn("(aud)", self.refusal(self.made(aud=audience)))
        for nothing in ("", [], None):
            self.assertIn("aud", self.refusal(self.made(aud=nothing)))

    def test_times(self) -> None:
        """Expired, not good yet, too old and good for too long; the clocks may differ by the leeway."""
        at = START_SECONDS
        for changes in (
            {"exp": at - LEEWAY_SECONDS + 1},
            {"nbf": at + LEEWAY_SECONDS, "iat": at + LEEWAY_SECONDS},
            {"nbf": None},
            {"iat": at - 3600 - LEEWAY_SECONDS},
            {"exp": at + 86_400},
            {"exp": at + 0.5},
        ):
            self.check(self.made(**changes))
        for changes, word in (
            ({"exp": at - LEEWAY_SECONDS}, "(exp)"),
            ({"nbf": at + LEEWAY_SECONDS + 1}, "nbf"),
            ({"iat": at + LEEWAY_SECONDS + 1}, "iat"),
            ({"iat": at - 3600 - LEEWAY_SECONDS - 1}, "(iat)"),
            ({"exp": at + 86_401}, "(exp)"),
            ({"exp": None}, "exp"),
            ({"iat": None}, "iat"),
            ({"exp": 10**100}, "exp"),
            ({"exp": float("inf")}, "exp"),
            ({"exp": float("nan")}, "exp"),
            ({"exp": -1}, "exp"),
            ({"iat": True}, "iat"),
            ({"nbf": [1]}, "nbf"),
        ):
            self.assertIn(word, self.refusal(self.made(**changes)), changes)

    def test_identifiers(self) -> None:
        """Without one a token could be exchanged again."""
        for jti in (None, "", 7, ["x"], "x" * 256, "a\nb", "\ud800"):
            text = self.refusal(self.made(jti=jti))
            self.assertTrue("jti" in text or "claim" in text, text)

    def test_demands_that_are_not_known(self) -> None:
        """A header that is critical and unknown is refused, and so is a token that does not name its key."""
        self.refusal(self.made(headers={"crit": ["x"], "x": 1}))
        self.refusal(self.made(headers={"kid": None}))
        self.assertIn("(kid)", self.refusal(self.made(headers={"kid": "unknown"})))

    def test_what_is_no_token(self) -> None:
        """Any other text is refused at once."""
        deep = self.made().split(".")

        deep[1] = base64.urlsafe_b64encode(b'{"a":' * 2000).decode().rstrip("=")
        nested = base64.urlsafe_b64encode(b"[" * 9000).decode().rstrip("=")
        for text in ("", "x", "a.b", "a.b.c", "....", "\u00e9.\u00e9.\u00e9", ".".join(deep), f"{nested}.{nested}.x"):
            self.refusal(text)
        self.assertIn(str(MAX_ID_TOKEN_LETTERS), self.refusal("x" * 1_000_000))

    def test_refusals_repeat_nothing(self) -> None:
        """Neither the token nor what it says is in the words."""
        secret = "s3cr3t" * 4
        for changes in ({"iss": secret}, {"aud": secret}, {"jti": secret + "\n"}, {"exp": secret}, {"sub": [secret]}):
            text = self.made(**changes)
            words = self.refusal(text)
            self.assertNotIn("s3cr3t", words)
            self.assertNotIn(text[:20], words)

    @given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
    @settings(max_examples=100, deadline=None)
    def test_any_text_is_refused(self, text: str) -> None:
        """Nothing that is thrown at it breaks it."""
        self.refusal(text)


class RuleTests(SynchronousTestCase):
    """From claims to a project."""

    def shown(self, *rules: OidcRule, **claims: object) -> IdToken:
        """A good token of an issuer with these rules."""
        issuer = OidcIssuer("https://ci.test", AUDIENCE, rules)
        return IdToken(issuer, "x", datetime.datetime.now(datetime.UTC), claims)

    def refusal(self, shown: IdToken, wanted: str | None = None) -> str:
        """Why there is no project."""
        return str(self.assertRaises(InvalidIdToken, choose_project, shown, wanted))

    def test_all_claims_must_match(self) -> None:
        """The first that does not is named."""
        rule = OidcRule((("repository", "acme/tool"), ("ref", "refs/tags/*")), "acme/packages")
        good = {"repository": "acme/tool", "ref": "refs/tags/v1"}
        self.assertEqual(choose_project(self.shown(rule, **good), None), "acme/packages")
        for changes, word in (
            ({"ref": "refs/heads/main"}, "ref"),
            ({"ref": None}, "ref"),
            ({"ref": ["refs/tags/v1"]}, "ref"),
            ({"repository": "acme/tools"}, "repository"),
            ({"repository": "Acme/tool"}, "repository"),
            ({"repository": "evil/acme/tool"}, "repository"),
        ):
            text = self.refusal(self.shown(rule, **{**good, **changes}))
            self.assertIn(f"the claim {word} does not match", text)

    def test_a_renamed_repository_is_another(self) -> None:
        """A rule with the number of a repository does not take one that has got its name."""
        rule = OidcRule((("repository", "acme/tool"), ("repository_id", "7")), "acme/packages")
        choose_project(self.shown(rule, repository="acme/tool", repository_id=7), None)
        text = self.refusal(self.shown(rule, repository="acme/tool", repository_id=8))
        self.assertIn("repository_id", text)

    def test_the_first_rule_or_the_one_that_is_wanted(self) -> None:
        """Who wants a project gets it from the rules that match, and from no other."""
        rules = [OidcRule((("repository", "*"),), path) for path in ("acme/one", "acme/two")]
        shown = self.shown(*rules, repository="x")
        self.assertEqual(choose_project(shown, None), "acme/one")
        self.assertEqual(choose_project(shown, "Acme/Two"), "acme/two")
        self.assertIn("that it wants", self.refusal(shown, "acme/three"))

    def test_a_path_of_claims(self) -> None:
        """A claim may be the path, where the rule says so; what makes no path gives nothing."""
        rule = OidcRule((("project_path", "acme/*"),), "{project_path}")
        self.assertEqual(choose_project(self.shown(rule, project_path="acme/tool"), None), "acme/tool")
        inside = OidcRule((("name", "*"),), "acme/{name}")
        self.assertEqual(choose_project(self.shown(inside, name="tool"), None), "acme/tool")
        for name in ("", "../other/x", "a//b", "/a", "a/", "\ud800", "a b", "\u00e9", "x" * 300, "a\n", "."):
            self.refusal(self.shown(inside, name=name))
        number = OidcRule((("project_id", "*"),), "{project_id}")
        self.refusal(self.shown(number, project_id=12))

    def test_patterns(self) -> None:
        """A star stands for any letters, also none; nothing else has a meaning."""
        for pattern, text, expected in (
            ("a", "a", True), ("a", "ab", False), ("a*", "a", True), ("a*", "a/b", True), ("*a", "ba", True),
            ("a*a", "a", False), ("a*a", "aa", True), ("*", "", True), ("a*b*c", "aXbYc", True),
            ("a*b*c", "acb", False), ("a*bc*c", "abc", False), ("?", "x", False), ("[a]", "a", False),
            ("a.c", "abc", False), ("*a*b*", "xaxbx", True),
        ):  # fmt: skip
            self.assertEqual(matches(pattern, text), expected, (pattern, text))
        self.assertFalse(matches("*", None))
        self.assertFalse(matches("*a" * 500 + "b", "a" * 12_000))

    @given(st.lists(st.sampled_from(["a", "b", "ab", "*"]), max_size=8), st.text("ab", max_size=10))
    @settings(max_examples=300, deadline=None)
    def test_patterns_are_what_they_say(self, pieces: list[str], text: str) -> None:
        """The same as a regular expression that takes longer."""

        pattern = "".join(pieces)
        slow = re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None
        self.assertEqual(matches(pattern, text), slow)
