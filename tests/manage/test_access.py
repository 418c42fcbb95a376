"""Who may do what by the management API: every kind of principal on every route."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.manage.packages import PackageManagement
from pkgregd.values import Level, Permission, Role, TokenKind
from tests.manage.support import ManagedWorld

READ = frozenset({"read"})
ALL = frozenset({"read", "destroy"})
NOTHING: frozenset[str] = frozenset()

SIGHT = "in sight"
"""Knows that the project is there, and may not even read its packages."""

PRINCIPALS: Mapping[str, tuple[frozenset[str], frozenset[str], frozenset[str], str]] = {
    # who: what of the private project, of the internal one, of the public one; and whether they see the private one
    "": (NOTHING, NOTHING, READ, ""),
    "stranger": (NOTHING, READ, READ, ""),
    "guest": (NOTHING, READ, READ, SIGHT),
    "reporter": (READ, READ, READ, SIGHT),
    "developer": (READ, READ, READ, SIGHT),
    "maintainer": (ALL, ALL, ALL, SIGHT),
    "owner": (ALL, ALL, ALL, SIGHT),
    "owner who reads": (READ, READ, READ, SIGHT),
    "root": (ALL, ALL, ALL, SIGHT),
    "deploy reader": (READ, NOTHING, READ, SIGHT),
    "deploy writer": (NOTHING, NOTHING, READ, SIGHT),
    "deploy of another": (NOTHING, NOTHING, READ, ""),
    "job": (READ, NOTHING, READ, SIGHT),
    "project maintainer": (ALL, NOTHING, READ, SIGHT),
    "project reporter": (READ, NOTHING, READ, SIGHT),
    "group maintainer": (ALL, ALL, ALL, SIGHT),
    "group of another": (NOTHING, NOTHING, READ, ""),
}
"""Reading an internal project is a right of users; a token of a project or group has none outside of that."""

PROJECTS = ("acme/private", "acme/internal", "acme/public")


class AccessCase(SynchronousTestCase):
    """A world with every kind of principal."""

    def setUp(self) -> None:
        """Make them."""
        self.world = world = ManagedWorld()
        world.add_user("stranger")
        for role in Role:
            world.add_user(role.name.lower(), "acme", role)
        world.add_token("owner who reads", TokenKind.PERSONAL, "read_api", user="owner")
        reads, writes = "read_package_registry", "write_package_registry"
        world.add_token("deploy reader", TokenKind.DEPLOY, reads, project="acme/private")
        world.add_token("deploy writer", TokenKind.DEPLOY, writes, project="acme/private")
        world.add_token("deploy of another", TokenKind.DEPLOY, reads, writes, project="other/thing")
        world.add_token("job", TokenKind.JOB, project="acme/private")
        for name, role in (("project maintainer", Role.MAINTAINER), ("project reporter", Role.REPORTER)):
            world.add_token(name, TokenKind.PROJECT, "api", project="acme/private", role=role)
        world.add_token("group maintainer", TokenKind.GROUP, "api", group="acme", role=Role.MAINTAINER)
        world.add_token("group of another", TokenKind.GROUP, "api", group="other", role=Role.OWNER)
        self.assertEqual(set(world.tokens) - set(PRINCIPALS), set())


class ProjectMatrixTests(AccessCase):
    """Every principal on every route of a project."""

    def expected(self, who: str, project: int, right: str) -> int:
        """The status of a request that needs a right."""
        *rights, sight = PRINCIPALS[who]
        if right in rights[project]:
            return 204 if right == "destroy" else 200
        if not who:
            return 401
        is_private = PROJECTS[project] == "acme/private"
        is_user = who in ("stranger", "guest", "reporter", "developer", "owner who reads")
        sees = sight if is_private else PROJECTS[project] == "acme/public" or is_user
        return 403 if sees else 404

    def routes(self, project: str) -> list[tuple[str, str, str]]:
        """Method, path and needed right of each route; packages and files are new ones each time."""
        found = []
        for route in self.table().routes():
            if Level.PROJECT not in route.levels:
                continue
            for number, method in enumerate(route.methods):
                file = self.world.publish(f"p{len(found)}-{number}", path=project)
                path = f"/projects/{self.world.ids[project]}{route.path}"
                path = path.replace("<number:package_id>", str(file.package_id))
                found.append((method, path.replace("<number:file_id>", str(file.id)), route.permission.value[:-8]))
        return found

    def table(self) -> PackageManagement:
        """The routes; nothing of them is called."""
        return PackageManagement(None, [])  # type: ignore[arg-type] # only listed

    def test_matrix(self) -> None:
        """Everyone gets what is theirs, and otherwise the answer that fits what they may know."""
        for project, path in enumerate(PROJECTS):
            for who in PRINCIPALS:
                routes = self.routes(path)
                self.assertEqual(len(routes), 7)
                for method, url, right in routes:
                    reply = self.world.request(method, url, who)
                    self.assertEqual(reply.status, self.expected(who, project, right), (who, method, url, reply))
                    if reply.status == 403:
                        self.assertIn(f"{right}_package is missing".encode(), reply.body)

    def test_a_refused_deletion_changes_nothing(self) -> None:
        """Who may not delete leaves everything where it is."""
        file = self.world.publish()
        package = f"{self.world.project()}/{file.package_id}"
        for who, (rights, *_) in PRINCIPALS.items():
            if "destroy" not in rights:
                for path in (package, f"{package}/package_files/{file.id}"):
                    self.assertGreaterEqual(self.world.request("DELETE", path, who).status, 400)
        self.assertEqual(len(self.world.get(f"{package}/package_files")), 1)
        self.assertEqual(self.world.events.texts, [])

    def test_missing_and_hidden_are_one(self) -> None:
        """Who may not see a project gets the answer of one that is not there, byte for byte but the id."""
        file = self.world.publish()
        for who in ("", "stranger", "deploy of another", "group of another"):
            for method, path in (
                ("GET", "packages"),
                ("GET", f"packages/{file.package_id}"),
                ("DELETE", f"packages/{file.package_id}"),
                ("GET", f"packages/{file.package_id}/package_files"),
                ("DELETE", f"packages/{file.package_id}/package_files/{file.id}"),
                ("GET", f"packages/{file.package_id}/package_files/{file.id}/download"),
                ("GET", "packages/999"),
                ("GET", "packages?page=0"),
            ):
                seen = []
                for project in ("acme%2Fprivate", "acme%2Fmissing"):
                    reply = self.world.request(method, f"/projects/{project}/{path}", who)
                    body = reply.body.replace(reply.headers["x-request-id"].encode(), b"ID")
                    headers = {
                        name: reply.headers[name] for name in reply.headers if name not in ("x-request-id", "date")
                    }
                    seen.append((reply.status, headers, body))
                self.assertEqual(seen[0], seen[1])
                self.assertEqual(seen[0][0], 404 if who else 401)

    def test_bad_token_is_not_anonymous(self) -> None:
        """A token that is not one is refused even where nobody needs any."""
        self.world.tokens["forger"] = "pkgr_nonsense"
        self.assertEqual(self.world.request("GET", self.world.project("acme/public"), "forger").status, 401)


class GroupTests(AccessCase):
    """What a group's list shows to whom."""

    def setUp(self) -> None:
        """Have a package in every project."""
        super().setUp()
        self.everywhere = [*PROJECTS, "acme/deep/down", "other/thing"]
        for path in self.everywhere:
            self.world.publish(path.rpartition("/")[2], path=path)

    def shown(self, who: str, group: str = "acme") -> list[str] | int:
        """The projects whose packages are listed, or the status of a refusal."""
        path = f"/groups/{group}/packages"
        status = self.world.request("GET", path, who).status
        if status != 200:
            return status
        listed = self.world.get(path, who)
        total = self.world.request("GET", path, who).headers["x-total"]
        self.assertEqual(total, str(len(listed)), "a count tells of nothing that is not shown")
        return [package["project_path"] for package in listed]

    def test_everyone_sees_what_they_may_read(self) -> None:
        """Of a public group everybody sees the projects that they may read, and only those are counted."""
        everything = self.everywhere[:4]
        for who, projects in (
            ("", ["acme/public"]),
            ("stranger", ["acme/internal", "acme/public"]),
            ("guest", ["acme/internal", "acme/public"]),
            ("reporter", everything),
            ("owner", everything),
            ("owner who reads", everything),
            ("root", everything),
            ("deploy reader", ["acme/private", "acme/public"]),
            ("deploy writer", ["acme/public"]),
            ("deploy of another", ["acme/public"]),
            ("job", ["acme/private", "acme/public"]),
            ("group maintainer", everything),
            ("group of another", ["acme/public"]),
        ):
            self.assertEqual(self.shown(who), projects, who)

    def test_private_group(self) -> None:
        """A private group is there for those who may read it."""
        for who, projects in (
            ("", 401),
            ("stranger", 404),
            ("guest", 403),
            ("reporter", ["acme/deep/down"]),
            ("deploy reader", 404),
            ("group maintainer", ["acme/deep/down"]),
            ("root", ["acme/deep/down"]),
        ):
            self.assertEqual(self.shown(who, "acme%2Fdeep"), projects, who)
        self.assertEqual(self.shown("", "missing"), 401)
        self.assertEqual(self.shown("stranger", "missing"), 404)


class RouteTableTests(SynchronousTestCase):
    """What the routes themselves promise."""

    def test_deletion_needs_its_own_permission(self) -> None:
        """Only GET gets by with the right to read."""
        for route in PackageManagement(None, []).routes():  # type: ignore[arg-type] # only listed
            wanted = Permission.READ_PACKAGE if route.methods == ("GET",) else Permission.DESTROY_PACKAGE
            self.assertIs(route.permission, wanted, route.path)
