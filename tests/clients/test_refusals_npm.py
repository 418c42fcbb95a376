"""What people see when npm, pnpm, both kinds of yarn and bun are refused, as the manual tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.clients.npm_family_cases import BerryTestCase, BunTestCase, FamilyTestCase, PnpmTestCase, YarnTestCase
from tests.clients.refusals_case import NOISE, FetchContract, OfferContract
from tests.support.clients import Run
from tests.support.npm_clients import NpmTestCase

GREAT = "".join(f"// {words}\n" for words in NOISE)
WANTED = "@acme/missing"


class NpmRefusalsTests(OfferContract, FetchContract, NpmTestCase):
    """npm, which here does not try again."""

    offers = "npm publish"
    fetches = "npm install"

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        self.use(self.daemon.packages_url("npm", self.daemon.world.private_id), secret)
        return self.run_client("publish", str(self.write_package("1.0.0", GREAT if is_great else "")))

    def fetch(self, secret: str) -> Run:
        """See FetchContract."""
        self.use(self.daemon.packages_url("npm", self.daemon.world.private_id), secret)
        self.project()
        return self.in_project("install", WANTED)


if TYPE_CHECKING:
    _Base = FamilyTestCase
else:
    _Base = object


class FamilyContract(OfferContract, FetchContract, _Base):
    """What each of the others is put through."""

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """See OfferContract."""
        self.use(self.daemon.packages_url("npm", self.daemon.world.private_id), secret)
        return self.publish_only(self.write_package("1.0.0", GREAT if is_great else ""))

    def fetch(self, secret: str) -> Run:
        """See FetchContract."""
        self.use(self.daemon.packages_url("npm", self.daemon.world.private_id), secret)
        return self.add_in(self.project(), WANTED)


class PnpmRefusalsTests(FamilyContract, PnpmTestCase):
    """pnpm."""

    offers = "pnpm publish"
    fetches = "pnpm add"


class YarnRefusalsTests(FamilyContract, YarnTestCase):
    """The first yarn."""

    offers = "yarn publish"
    fetches = "yarn add"


class BerryRefusalsTests(FamilyContract, BerryTestCase):
    """The second yarn."""

    offers = "yarn npm publish"
    fetches = "yarn add (berry)"


class BunRefusalsTests(FamilyContract, BunTestCase):
    """bun."""

    offers = "bun publish"
    fetches = "bun add"
