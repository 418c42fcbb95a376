"""python-gitlab, a library for GitLab's API, drives the management."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, ClassVar

import gitlab
from gitlab.const import AccessLevel

from tests.support.cases import DaemonTestCase
from tests.support.clients import OverHttps
from tests.support.described import DescribedSession


class GitlabLibraryTests(DaemonTestCase):
    """The library, unmodified, in this process; each answer that it gets is as it is described."""

    root_token: ClassVar[str] = ""

    def setUp(self) -> None:
        """Be an administrator, in a group of this test's own."""
        super().setUp()
        self.name = self._testMethodName.replace("_", "-")
        if not vars(type(self)).get("root_token"):
            self.daemon.cli("user", "add", "boss", "--admin")
            token = self.daemon.cli("token", "add", "--kind", "personal", "--user", "boss").strip()
            type(self).root_token = token
        self.root = self.library(self.root_token)
        self.group = self.root.groups.create({"name": self.name, "path": self.name, "visibility": "private"})

    def library(self, token: str) -> gitlab.Gitlab:
        """The library with a personal or access token."""
        library = gitlab.Gitlab(
            self.daemon.url, private_token=token, ssl_verify=self.daemon.ca_file, session=DescribedSession()
        )
        library.auth()
        return library

    def person(self, name: str) -> tuple[Any, gitlab.Gitlab]:
        """Add a user with a token; returns what root sees, and what the user has."""
        fields = {"username": f"{self.name}-{name}", "email": "a@example.com", "name": name, "reset_password": True}
        user = self.root.users.create(fields)
        token = user.personal_access_tokens.create({"name": "library", "scopes": ["api"]})
        return user, self.library(token.token)

    def project(self, name: str = "app", **fields: Any) -> Any:
        """Add a project to the group."""
        return self.root.projects.create({"name": name, "namespace_id": self.group.id, **fields})

    def assert_refused(self, status: int, words: str, function: Any, *arguments: Any) -> None:
        """Assert that the library says what is wrong."""
        error = self.assertRaises(gitlab.GitlabError, function, *arguments)
        self.assertEqual(error.response_code, status, error)
        self.assertIn(words, str(error))

    def test_who_am_i(self) -> None:
        """A user knows itself; whoever has no token, or a bad one, is told so."""
        self.assertTrue(self.root.user.is_admin)
        self.assertEqual(self.root.version(), (version("pkgregd"), ""))
        _, ann = self.person("ann")
        self.assertEqual((ann.user.username, ann.user.is_admin), (f"{self.name}-ann", False))
        library = gitlab.Gitlab(self.daemon.url, private_token="nonsense", ssl_verify=self.daemon.ca_file)
        error = self.assertRaises(gitlab.GitlabAuthenticationError, library.auth)
        self.assertIn("credentials are not valid", str(error))

    def test_groups_and_projects(self) -> None:
        """Made, found where they lie, made visible, removed with all that is in them."""
        deep = self.root.groups.create({"name": "deep", "path": "deep", "parent_id": self.group.id})
        project = self.project(visibility="internal", description="is ignored")
        inner = self.root.projects.create({"name": "Inner App", "namespace_id": deep.id})
        self.assertEqual(inner.path_with_namespace, f"{self.name}/deep/Inner-App")
        self.assertEqual([found.full_path for found in self.group.subgroups.list()], [deep.full_path])
        self.assertEqual([found.id for found in self.group.projects.list()], [project.id])
        every = self.group.projects.list(include_subgroups=True, order_by="id", sort="asc")
        self.assertEqual([found.id for found in every], [project.id, inner.id])
        self.assertEqual(self.root.projects.get(f"{self.name}/app").id, project.id)
        project.visibility = "public"
        project.save()
        anonymous = gitlab.Gitlab(self.daemon.url, ssl_verify=self.daemon.ca_file)
        self.assertIn(project.id, [found.id for found in anonymous.projects.list(get_all=True)])
        self.assertNotIn(inner.id, [found.id for found in anonymous.projects.list(get_all=True)])
        self.assert_refused(409, "exists already", self.project)
        self.group.delete()
        for gone in (project, inner):
            self.assert_refused(404, "not found", self.root.projects.get, gone.id)
        self.assertNotIn(self.name, [found.full_path for found in self.root.groups.list(get_all=True)])

    def test_members(self) -> None:
        """Added, found with what they inherit, changed and removed; nobody hands out more than he has."""
        ann, as_ann = self.person("ann")
        bob, _ = self.person("bob")
        project = self.project()
        self.assert_refused(404, "project not found", as_ann.projects.get, project.id)
        member = project.members.create({"user_id": ann.id, "access_level": AccessLevel.MAINTAINER})
        self.assertEqual((member.username, member.access_level), (ann.username, 40))
        inherited = {found.username for found in project.members_all.list()}
        self.assertEqual(inherited, {ann.username, "boss"})
        own = as_ann.projects.get(project.id)
        self.assert_refused(403, "owner", own.members.create, {"user_id": bob.id, "access_level": AccessLevel.OWNER})
        own.members.create({"username": bob.username, "access_level": AccessLevel.DEVELOPER})
        self.assert_refused(409, "already", own.members.create, {"user_id": bob.id, "access_level": AccessLevel.GUEST})
        changed = own.members.get(bob.id)
        changed.access_level = AccessLevel.REPORTER
        changed.save()
        self.assertEqual(own.members.get(bob.id).access_level, 20)
        changed.delete()
        self.assert_refused(404, "member", own.members.get, bob.id)
        self.assert_refused(409, "last owner", self.group.members.delete, self.root.user.id)

    def test_deploy_tokens(self) -> None:
        """Of projects and groups: shown once, good, listed, revoked."""
        project = self.project()
        for owner in (project, self.group):
            made = owner.deploytokens.create({"name": "fleet", "scopes": ["read_package_registry"]})
            path = f"/api/v4/projects/{project.id}/packages/pypi/simple/"
            self.assertEqual(self.daemon.get(path, {"Deploy-Token": made.token})[0], 200)
            (listed,) = owner.deploytokens.list()
            self.assertEqual((listed.name, listed.scopes, listed.revoked), ("fleet", ["read_package_registry"], False))
            self.assertFalse(hasattr(listed, "token"))
            self.assertIn(made.id, [found.id for found in self.root.deploytokens.list(get_all=True)])
            made.delete()
            self.assertTrue(owner.deploytokens.get(made.id).revoked)
            self.assertEqual(self.daemon.get(path, {"Deploy-Token": made.token})[0], 401)
        self.assert_refused(400, "scopes", project.deploytokens.create, {"name": "x", "scopes": ["api"]})

    def test_access_tokens(self) -> None:
        """Of projects and groups: with a role, rotated, revoked; they make no others."""
        project = self.project()
        for owner in (project, self.group):
            fields = {"name": "bot", "scopes": ["api"], "access_level": 30, "expires_at": "2099-01-31"}
            made = owner.access_tokens.create(fields)
            self.assertEqual((made.access_level, made.expires_at, made.active), (30, "2099-01-31", True))
            bot = self.library(made.token)
            self.assertEqual(bot.projects.get(project.id).id, project.id)
            self.assert_refused(403, "administer", bot.projects.get(project.id).access_tokens.create, fields)
            again = owner.access_tokens.get(made.id)
            again.rotate()
            self.assertNotEqual(again.token, made.token)
            self.assertRaises(gitlab.GitlabAuthenticationError, self.library, made.token)
            self.library(again.token)
            self.assertEqual(
                [(found.active, found.revoked) for found in owner.access_tokens.list()], [(False, True), (True, False)]
            )
            self.assertEqual(len(owner.access_tokens.list(state="active")), 1)
            owner.access_tokens.delete(owner.access_tokens.list(state="active")[0].id)
            self.assertEqual(owner.access_tokens.list(state="active"), [])

    def test_personal_tokens(self) -> None:
        """Users see and revoke their own; administrators everybody's."""
        _, as_ann = self.person("ann")
        own = as_ann.personal_access_tokens.list()
        self.assertEqual([token.name for token in own], ["library"])
        self.assertEqual(as_ann.personal_access_tokens.get("self").id, own[0].id)
        bobs = self.person("bob")[0]
        self.assertEqual(as_ann.personal_access_tokens.list(user_id=bobs.id), [])
        (of_bob,) = self.root.personal_access_tokens.list(user_id=bobs.id)
        self.assert_refused(404, "no such token", as_ann.personal_access_tokens.get, of_bob.id)
        self.assert_refused(404, "no such token", as_ann.personal_access_tokens.delete, of_bob.id)
        self.root.personal_access_tokens.delete(own[0].id)
        self.assertRaises(gitlab.GitlabAuthenticationError, as_ann.auth)
        self.assert_refused(
            403,
            "administer_instance",
            self.person("eve")[1].users.create,
            {"username": "x", "name": "x", "email": "x", "reset_password": True},
        )

    def test_users(self) -> None:
        """Found by name, made administrators, removed with their tokens."""
        ann, as_ann = self.person("ann")
        (found,) = self.root.users.list(username=ann.username.upper())
        self.assertEqual(found.id, ann.id)
        user = self.root.users.get(ann.id)
        user.admin = True
        user.save()
        as_ann.auth()
        self.assertTrue(as_ann.user.is_admin)
        self.assert_refused(400, "your own user", as_ann.users.delete, ann.id)
        self.root.users.delete(ann.id)
        self.assertRaises(gitlab.GitlabAuthenticationError, as_ann.auth)
        self.assert_refused(404, "no such user", self.root.users.get, ann.id)

    def test_packages(self) -> None:
        """Generic packages go up and down; packages and files are listed and deleted."""
        project = self.project()
        file = self.write("thing.bin", b"\0\1\2" * 1000)
        project.generic_packages.upload(package_name="thing", package_version="1.0", file_name="thing.bin", path=file)
        data = project.generic_packages.download(package_name="thing", package_version="1.0", file_name="thing.bin")
        self.assertEqual(data, b"\0\1\2" * 1000)
        (package,) = project.packages.list(package_type="generic", package_name="hin")
        self.assertEqual((package.name, package.version), ("thing", "1.0"))
        self.assertEqual([found.id for found in self.group.packages.list()], [package.id])
        (stored,) = package.package_files.list()
        self.assertEqual((stored.file_name, stored.size), ("thing.bin", 3000))
        stored.delete()
        self.assertEqual(project.packages.list(), [])

    def test_protection_rules(self) -> None:
        """Added, listed, changed and deleted; who is kept from something is told so in GitLab's words."""
        dev, as_dev = self.person("dev")
        mia, as_mia = self.person("mia")
        project = self.project()
        project.members.create({"user_id": dev.id, "access_level": AccessLevel.DEVELOPER})
        project.members.create({"user_id": mia.id, "access_level": AccessLevel.MAINTAINER})
        by_dev, by_mia = as_dev.projects.get(project.id), as_mia.projects.get(project.id)
        fields = {"package_name_pattern": "thing-*", "package_type": "generic"}
        push, delete = "minimum_access_level_for_push", "minimum_access_level_for_delete"
        rule = by_mia.package_protection_rules.create({**fields, push: "maintainer"})
        self.assertEqual((rule.package_name_pattern, rule.package_type), ("thing-*", "generic"))
        self.assertEqual((rule.attributes[push], rule.attributes[delete]), ("maintainer", None))
        rules = by_mia.package_protection_rules
        self.assert_refused(422, "already been taken", rules.create, {**fields, push: "owner"})
        self.assert_refused(400, push, rules.create, {**fields, push: "developer"})
        self.assert_refused(403, "administer", by_dev.package_protection_rules.list)

        def upload(project: Any, version: str = "1.0") -> None:
            file = self.write("thing.bin", b"x")
            project.generic_packages.upload(
                package_name="thing-a", package_version=version, file_name="thing.bin", path=file
            )

        self.assert_refused(403, "Package protected. In this project only maintainers and above", upload, by_dev)
        upload(by_mia)
        rule.minimum_access_level_for_delete = "owner"
        rule.save()
        (listed,) = by_mia.package_protection_rules.list()
        self.assertEqual((listed.id, listed.attributes[delete]), (rule.id, "owner"))
        (package,) = by_mia.packages.list()
        words = "Package is deletion protected. In this project only owners and above"
        self.assert_refused(403, words, package.delete)
        self.assert_refused(403, words, package.package_files.list()[0].delete)
        rule.minimum_access_level_for_push = ""
        rule.save()
        upload(by_dev, "2.0")
        listed.delete()
        package.delete()
        self.assertEqual(by_mia.package_protection_rules.list(), [])
        self.assert_refused(404, "rule not found", listed.delete)

    def test_keyset(self) -> None:
        """Walks through packages, projects, groups and users, page by page, while packages are published."""
        project = self.project()

        def publish(number: int) -> None:
            file = self.write("thing.bin", b"x")
            project.generic_packages.upload(
                package_name=f"p{number}", package_version="1", file_name="thing.bin", path=file
            )

        for number in range(5):
            publish(number)
        style = {"iterator": True, "pagination": "keyset", "per_page": 2}
        seen = []
        for place in (project, self.group):
            for package in place.packages.list(order_by="id", **style):
                seen.append(package.name)
                if len(seen) in (1, 4):
                    publish(len(seen) + 10)
        self.assertEqual(seen, ["p0", "p1", "p2", "p3", "p4", "p11", "p14"] * 2)
        (package, *_) = project.packages.list(order_by="name", get_all=True)
        self.assertEqual(package.pipelines.list(pagination="keyset"), [])
        ids = [found.id for found in self.root.projects.list(order_by="id", sort="asc", **style)]
        self.assertEqual(ids, sorted(ids))
        self.assertIn(project.id, ids)
        groups = [found.full_path for found in self.root.groups.list(**style)]
        self.assertEqual(groups, [found.full_path for found in self.root.groups.list(get_all=True)])
        users = [found.id for found in self.root.users.list(order_by="id", **style)]
        self.assertEqual(users, [found.id for found in self.root.users.list(get_all=True)])
        self.assert_refused(
            400, "order_by", lambda: project.packages.list(order_by="name", get_all=True, pagination="keyset")
        )

    def write(self, name: str, data: bytes) -> str:
        """Write a file; returns its path."""
        path = f"{self.mktemp()}-{name}"
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_fields(self) -> None:
        """What neither GitLab nor this registry knows is refused by its name."""
        self.assert_refused(400, "nonsense", lambda: self.project(nonsense=1))
        self.assert_refused(400, "namespace_id", self.root.projects.create, {"name": "x"})
        self.assert_refused(400, "visibility", lambda: self.project(visibility="secret"))


class GitlabLibraryOverHttpsTests(OverHttps, GitlabLibraryTests):
    """The same over HTTPS."""
