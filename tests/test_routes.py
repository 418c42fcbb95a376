"""The whole table of routes as a daemon mounts it: nothing is open by accident, and no two rules meet."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.http.front import mounts
from pkgregd.http.mounts import Mount
from pkgregd.manage.about import AboutManagement
from pkgregd.manage.audit import AuditManagement
from pkgregd.manage.exchange import ExchangeRoutes, OAuthRoutes
from pkgregd.manage.jobs import JobManagement
from pkgregd.manage.metrics import MetricsRoutes
from pkgregd.manage.packages import PackageManagement
from pkgregd.manage.people import PeopleManagement
from pkgregd.manage.places import PlaceManagement
from pkgregd.manage.protection import ProtectionManagement
from pkgregd.manage.settings import SettingsManagement
from pkgregd.manage.tokens import TokenManagement
from pkgregd.plugin import find_formats
from pkgregd.registry.settings import PlaceSettings, known_settings
from pkgregd.values import AccountPermission, Permission
from pkgregd.web.signin import SignInPages

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def whole_table() -> list[tuple[str, Mount]]:
    """Mount every format that is installed, and every other table of routes."""
    formats = find_formats()
    limits = {name: made.default_limits for name, made in formats.items()}
    nothing: Any = None
    tables = [
        PackageManagement(nothing, list(formats)),
        PlaceManagement(nothing),
        PeopleManagement(nothing),
        ProtectionManagement(nothing, list(formats.values())),
        TokenManagement(nothing, nothing, nothing),
        JobManagement(nothing, nothing),
        AboutManagement(""),
        ExchangeRoutes(),
        OAuthRoutes(),
        SettingsManagement(PlaceSettings(nothing, known_settings(list(formats.values()), limits, None))),
        AuditManagement(nothing, nothing),
        MetricsRoutes(nothing, ()),
        SignInPages(),
    ]
    return mounts(formats.values(), limits, tables)


class RouteTableTests(SynchronousTestCase):
    """Every rule of a daemon."""

    def test_every_rule_has_a_permission(self) -> None:
        """No rule is mounted without one, and the management is among them."""
        names = set()
        for rule, mount in whole_table():
            self.assertIsInstance(mount.route.permission, Permission | AccountPermission, rule)
            names.add(mount.table.name)
        self.assertEqual(names & {"manage_packages", "generic", "pypi"}, {"manage_packages", "generic", "pypi"})

    def test_reading_changes_nothing(self) -> None:
        """No rule with a changing method is content with the right to read, but for questions with a body."""
        for rule, mount in whole_table():
            if CHANGING & set(mount.route.methods) and not mount.route.is_question:
                self.assertIsNot(mount.route.permission, Permission.READ_PACKAGE, rule)

    def test_no_rule_is_mounted_twice(self) -> None:
        """Each method of a path has one handler."""
        seen = set()
        for rule, mount in whole_table():
            for method in mount.route.methods:
                self.assertNotIn((rule, method), seen)
                seen.add((rule, method))

    def test_numbers_are_no_formats(self) -> None:
        """No format is named by digits alone: its URLs would be those of a package."""
        for name in find_formats():
            self.assertFalse(name.isdigit(), name)
