"""The keys of an issuer: when they are fetched, and which are taken."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.jwks import COOLDOWN_SECONDS, FRESH_SECONDS, MAX_KEYS, MAX_STALE_SECONDS, IssuerKeys, parse_keys
from pkgregd.errors import InvalidIdToken, Unavailable
from pkgregd.testing.calls import now
from pkgregd.values import OidcIssuer, OidcRule
from tests.support.issuer import AUDIENCE, DISCOVERY, JWKS, Issuer, ec_key, public, rsa_key

RULES = (OidcRule((("repository", "acme/tool"),), "acme/private"),)
BOTH = ("RS256", "ES256")


class IssuerKeysTests(SynchronousTestCase):
    """Finding keys over a network that does what the test says."""

    def setUp(self) -> None:
        """Have an issuer that is asked for the first time."""
        self.issuer = Issuer()
        self.clock = Clock()
        self.gate: Deferred[None] | None = None
        self.keys = IssuerKeys(OidcIssuer(self.issuer.url, AUDIENCE, RULES), self.fetch, self.clock.seconds)

    async def fetch(self, url: str) -> bytes:
        """Get a document of the issuer."""
        status, body = self.issuer.document(urlsplit(url).path)
        if self.gate is not None:
            await self.gate
        if status != 200:
            raise Unavailable(f"it answers {status}")
        return body

    def fetches(self) -> int:
        """How often keys were fetched."""
        return self.issuer.asked.count(JWKS)

    def test_found_by_discovery(self) -> None:
        """Where the keys are is asked below the issuer; then they are known for a while."""
        self.assertEqual(now(self.keys.find("r1")).algorithm, "RS256")
        self.assertEqual(now(self.keys.find("e1")).algorithm, "ES256")
        self.assertEqual(self.issuer.asked, [DISCOVERY, JWKS])

    def test_a_configured_address_is_not_looked_for(self) -> None:
        """With jwks_url nothing else is asked."""
        issuer = OidcIssuer(self.issuer.url, AUDIENCE, RULES, jwks_url=self.issuer.url + JWKS)
        now(IssuerKeys(issuer, self.fetch, self.clock.seconds).find("r1"))
        self.assertEqual(self.issuer.asked, [JWKS])

    def test_a_thousand_unknown_keys_are_one_fetch(self) -> None:
        """Who invents keys does not make us ask the issuer; after the cooldown it is asked once more."""
        for number in range(1000):
            self.assertRaises(InvalidIdToken, now, self.keys.find(f"invented {number}"))
        self.assertEqual(self.fetches(), 1)
        self.clock.advance(COOLDOWN_SECONDS)
        self.assertRaises(InvalidIdToken, now, self.keys.find("invented"))
        self.assertEqual(self.fetches(), 2)

    def test_many_at_once_are_one_fetch(self) -> None:
        """All wait for the same answer; one that leaves takes nothing from the others."""
        self.gate = Deferred()
        asking = [ensureDeferred(self.keys.find(kid)) for kid in ("r1", "r1", "e1", "r1")]
        asking[0].cancel()
        self.failureResultOf(asking[0])
        gate, self.gate = self.gate, None
        gate.callback(None)
        for found in asking[1:]:
            self.successResultOf(found)
        self.assertEqual(self.issuer.asked, [DISCOVERY, JWKS])

    def test_rotated_keys(self) -> None:
        """A new key is found after the cooldown; one that the issuer took back is known no longer than an hour."""
        now(self.keys.find("r1"))
        self.issuer.keys = {"r2": rsa_key("r2")}
        self.assertRaises(InvalidIdToken, now, self.keys.find("r2"))
        self.clock.advance(COOLDOWN_SECONDS)
        now(self.keys.find("r2"))
        self.assertRaises(InvalidIdToken, now, self.keys.find("r1"))
        self.issuer.keys = {"r3": rsa_key("r1")}
        self.clock.advance(FRESH_SECONDS - 1)
        now(self.keys.find("r2"))
        self.clock.advance(1)
        self.assertRaises(InvalidIdToken, now, self.keys.find("r2"))

    def test_old_keys_stay_while_the_issuer_is_down(self) -> None:
        """Known keys are good for a day without an answer; one that is not known cannot be told from a new one."""
        now(self.keys.find("r1"))
        self.issuer.answers[JWKS] = (503, b"")
        self.clock.advance(FRESH_SECONDS)
        now(self.keys.find("r1"))
        self.assertRaises(Unavailable, now, self.keys.find("r2"))
        self.assertEqual(self.fetches(), 2)
        self.clock.advance(MAX_STALE_SECONDS)
        self.assertRaises(Unavailable, now, self.keys.find("r1"))
        del self.issuer.answers[JWKS]
        self.clock.advance(COOLDOWN_SECONDS)
        now(self.keys.find("r1"))

    def test_answers_that_are_none(self) -> None:
        """A page, something else in JSON, another issuer's words or a set without a usable key are no answer."""
        elsewhere = {"issuer": self.issuer.url, "jwks_uri": "https://other.test/keys"}
        for path, status, body in (
            (JWKS, 200, b"<!DOCTYPE html><html></html>"),
            (JWKS, 200, b"[]"),
            (JWKS, 200, b"[" * 50_000),
            (JWKS, 200, b'{"keys": {}}'),
            (JWKS, 200, b'{"keys": []}'),
            (JWKS, 200, b'{"keys": [1, {}, {"kid": 1}, {"kid": "r1", "kty": "RSA", "n": "!", "e": "AQAB"}]}'),
            (JWKS, 200, json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode()),
            (JWKS, 500, b""),
            (DISCOVERY, 404, b""),
            (DISCOVERY, 200, b"\xff"),
            (DISCOVERY, 200, json.dumps({"issuer": "https://ci.test/", "jwks_uri": "https://ci.test/keys"}).encode()),
            (DISCOVERY, 200, json.dumps({"issuer": self.issuer.url}).encode()),
            (DISCOVERY, 200, json.dumps(elsewhere).encode()),
        ):
            self.issuer.answers = {path: (status, body)}
            self.clock.advance(COOLDOWN_SECONDS)
            self.assertRaises(Unavailable, now, self.keys.find("r1"))
        self.issuer.answers = {}
        self.assertRaises(Unavailable, now, self.keys.find("r1"))
        self.clock.advance(COOLDOWN_SECONDS)
        now(self.keys.find("r1"))


class ParseTests(SynchronousTestCase):
    """Which keys are taken."""

    def parse(self, *keys: object, algorithms: tuple[str, ...] = BOTH) -> dict[str, str]:
        """The algorithms of the keys that are taken."""
        found = parse_keys(json.dumps({"keys": keys}).encode(), algorithms)
        return {kid: key.algorithm for kid, key in found.items()}

    def test_good_keys(self) -> None:
        """RSA and P-256, with or without their use and algorithm; only the algorithms that are configured."""
        keys = [public("r", rsa_key("r1")), {**public("e", ec_key("e1")), "alg": "ES256"}]
        self.assertEqual(self.parse(*keys), {"r": "RS256", "e": "ES256"})
        self.assertEqual(self.parse(*keys, algorithms=("ES256",)), {"e": "ES256"})

    def test_keys_that_are_left_out(self) -> None:
        """Weak, of other curves, for other uses and algorithms, shared and private ones."""
        good = public("k", rsa_key("r1"))
        other_curve = ec.generate_private_key(ec.SECP384R1())
        for bad in (
            public("k", rsa_key("weak", 1024)),
            public("k", other_curve),
            {**good, "use": "enc"},
            {**good, "alg": "RS512"},
            {**good, "alg": "HS256"},
            {**good, "kid": None},
            {**good, "e": "AA"},
            {"kid": "k", "kty": "oct", "k": "c2VjcmV0"},
            {"kid": "k", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
            {**good, "d": good["n"]},
        ):
            self.assertEqual(self.parse(bad), {}, bad)
