"""Lists that go on behind the last row: keyset pagination, as scripts written for GitLab meet it."""

from __future__ import annotations

import json
import re
from typing import Any

from pkgregd.testing.calls import now
from pkgregd.values import ANONYMOUS, NO_PRECONDITION, PackageStatus, Visibility
from tests.manage.support import URL
from tests.manage.test_packages import GROUP, ManageCase

_NEXT = re.compile(r'<([^>]*)>; rel="next"')


class KeysetCase(ManageCase):
    """A world, and walks through its lists."""

    def page(self, path: str, who: str = "root") -> tuple[list[Any], str | None, dict[str, str]]:
        """What a page shows, the path of the next one, and its headers."""
        reply = self.world.request("GET", path, who)
        self.assertEqual(reply.status, 200, (path, reply))
        link = reply.headers.get("link", "")
        if not link:
            return json.loads(reply.body), None, dict(reply.headers)
        match = _NEXT.fullmatch(link)
        assert match is not None, link
        return json.loads(reply.body), match[1].removeprefix(f"{URL}/api/v4"), dict(reply.headers)

    def walk(self, path: str, who: str = "root") -> list[Any]:
        """Everything that the pages show, one after the other."""
        seen: list[Any] = []
        following: str | None = path
        while following is not None:
            shown, following, _ = self.page(following, who)
            self.assertTrue(shown or not seen, "a link led to an empty page")
            seen += shown
        return seen


class PackageTests(KeysetCase):
    """Packages of projects and groups."""

    def setUp(self) -> None:
        """Have five packages in two projects."""
        super().setUp()
        for number, path in enumerate(("acme/private", "acme/public") * 3):
            self.world.publish(f"p{number}", path=path)

    def test_walks(self) -> None:
        """Each package once, in both directions, with whatever filter; no page says how many there are."""
        project = self.world.project()
        for query, names in (
            ("", ["p0", "p2", "p4"]),
            ("&order_by=id", ["p0", "p2", "p4"]),
            ("&sort=asc", ["p0", "p2", "p4"]),
            ("&sort=desc", ["p4", "p2", "p0"]),
            ("&package_name=p2&package_type=pypi&include_versionless=true", ["p2"]),
            ("&id_after=1", ["p2", "p4"]),
            ("&id_after=0&id_before=5", ["p0", "p2"]),
            ("&id_after=1&sort=desc", ["p4", "p2"]),
            ("&status=error", []),
            ("&package_version=9", []),
        ):
            for size in (1, 2, 3, 100):
                path = f"{project}?pagination=keyset&per_page={size}{query}"
                self.assertEqual([package["name"] for package in self.walk(path)], names, path)
        every = [package["name"] for package in self.walk(f"{GROUP}?pagination=keyset&per_page=4")]
        self.assertEqual(every, [f"p{number}" for number in range(6)])

    def test_headers(self) -> None:
        """A link to the next page repeats what was asked; the last page has none, and nothing is counted."""
        project = self.world.project()
        _, _, headers = self.page(f"{project}?pagination=keyset&per_page=2&package_type=pypi&sort=asc")
        self.assertEqual(
            headers["link"],
            f'<{URL}/api/v4{project}?package_type=pypi&sort=asc&pagination=keyset&per_page=2&id_after=3>; rel="next"',
        )
        self.assertEqual(headers["x-per-page"], "2")
        self.assertEqual([name for name in headers if name.startswith(("x-total", "x-page", "x-next"))], [])
        _, following, _ = self.page(f"{project}?pagination=keyset&per_page=3")
        self.assertIsNone(following)

    def test_while_packages_come_and_go(self) -> None:
        """Publishes and deletions between the pages make nobody miss what stays, or see it twice."""
        seen, following = [], f"{self.world.project()}?pagination=keyset&per_page=1"
        number = 10
        while following and number < 20:
            shown, following, _ = self.page(following)
            seen += [package["name"] for package in shown]
            if number < 13:
                self.world.publish(f"p{number}")
            if number == 10:
                now(self.world.catalog.delete_package(self.world.ids["acme/private"], 1, ANONYMOUS, NO_PRECONDITION))
            number += 1
        self.assertEqual(seen, ["p0", "p2", "p4", "p10", "p11", "p12"])

    def test_what_is_refused(self) -> None:
        """Another order, numbered pages, and what only one of the styles has."""
        for query, text in (
            ("pagination=keyset&order_by=name", "order_by"),
            ("pagination=keyset&order_by=created_at", "order_by"),
            ("pagination=keyset&page=1", "page is not for"),
            ("pagination=keyset&sort=up", "sort"),
            ("pagination=keyset&id_after=-1", "id_after"),
            ("pagination=keyset&id_after=x", "id_after"),
            ("pagination=keyset&id_before=" + "9" * 19, "id_before"),
            ("pagination=cursor", "pagination"),
            ("id_after=1", "for pagination=keyset"),
            ("pagination=offset&id_before=3", "for pagination=keyset"),
            ("order_by=id", "order_by=id is for pagination=keyset"),
        ):
            for path in (self.world.project(), GROUP):
                self.refused(self.world.request("GET", f"{path}?{query}"), 400, text)
        self.assertEqual(len(self.world.get(f"{self.world.project()}?pagination=legacy")), 3)

    def test_only_what_may_be_read(self) -> None:
        """A group's walk leads through the projects that the caller may read."""
        self.world.add_user("eve")
        found = self.walk(f"{GROUP}?pagination=keyset&per_page=1", "eve")
        self.assertEqual([package["name"] for package in found], ["p1", "p3", "p5"])

    def test_pipelines(self) -> None:
        """There are none; a page of them is of one to twenty."""
        file = self.world.publish()
        path = f"{self.world.project()}/{file.package_id}/pipelines"
        for query in ("", "?per_page=20", "?pagination=keyset&cursor=abc"):
            shown, following, headers = self.page(path + query)
            self.assertEqual((shown, following, headers["x-per-page"]), ([], None, "20"))
        for query in ("per_page=21", "per_page=0", "per_page=x", "pagination=offset"):
            self.refused(self.world.request("GET", f"{path}?{query}"), 400, query.partition("=")[0])
        self.refused(self.world.request("GET", f"{self.world.project()}/99/pipelines"), 404, "package not found")
        hidden = self.world.publish("beta", status=PackageStatus.HIDDEN)
        self.refused(
            self.world.request("GET", f"{self.world.project()}/{hidden.package_id}/pipelines"), 404, "package not found"
        )


class PlaceTests(KeysetCase):
    """Projects, groups and users."""

    def walked(self, path: str, field: str, who: str = "root") -> list[Any]:
        """A field of everything that a walk shows, which has to be what numbered pages show."""
        separator = "&" if "?" in path else "?"
        wanted = [found[field] for found in self.world.get(f"{path}{separator}per_page=100", who)]
        for size in (1, 2, 100):
            keyset = f"{path}{separator}pagination=keyset&per_page={size}"
            self.assertEqual([found[field] for found in self.walk(keyset, who)], wanted, keyset)
        return wanted

    def test_walks(self) -> None:
        """Projects by number, groups by path or number, users by number; of everything, or of a group."""
        self.world.add_user("ann")
        self.world.add_user("bob")
        now(self.world.catalog.add_group("Zoo", Visibility.PRIVATE))
        self.assertEqual(len(self.walked("/projects", "id")), 5)
        self.assertEqual(self.walked("/projects?order_by=id&sort=asc", "id"), sorted(self.walked("/projects", "id")))
        self.walked("/projects?visibility=private&sort=desc", "id")
        self.assertEqual(len(self.walked("/projects", "id", "")), 1)
        self.assertEqual(self.walked("/groups", "full_path"), ["acme", "acme/deep", "other", "Zoo"])
        self.walked("/groups?order_by=name&sort=asc", "full_path")
        self.walked("/groups?order_by=id&sort=desc", "id")
        self.walked("/groups/acme/projects?include_subgroups=true", "id")
        self.walked("/groups/acme/descendant_groups", "id")
        self.assertEqual(self.walked("/users", "username"), ["root", "ann", "bob"])
        self.assertEqual(self.walked("/users?search=O", "username"), ["root", "bob"])
        found = self.walk("/users?pagination=keyset&order_by=id&sort=desc&per_page=1")
        self.assertEqual([user["username"] for user in found], ["bob", "ann", "root"])

    def test_what_is_refused(self) -> None:
        """Paths the other way round, a number for paths, a path for numbers, and what is no cursor."""
        for path, text in (
            ("/groups?pagination=keyset&sort=desc", "sort"),
            ("/groups?pagination=keyset&id_after=1", "id_after"),
            ("/projects?pagination=keyset&cursor=YQ==", "cursor"),
            ("/groups?pagination=keyset&cursor=%00", "cursor"),
            ("/groups?pagination=keyset&cursor=YQ", "cursor"),
            ("/groups?pagination=keyset&cursor=_w==", "cursor"),
            ("/groups?pagination=keyset&cursor=", "cursor"),
            ("/groups?pagination=keyset&cursor=" + "YWFh" * 1000, "cursor"),
            ("/users?pagination=keyset&order_by=name", "order_by"),
            ("/users?pagination=keyset&page=2", "page"),
            ("/projects?pagination=nonsense", "pagination"),
        ):
            self.refused(self.world.request("GET", path), 400, text)
