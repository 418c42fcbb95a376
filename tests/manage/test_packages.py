"""Packages and files as scripts written for GitLab meet them."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.http.conditions import http_date
from pkgregd.manage.packages import PackageManagement
from pkgregd.testing.calls import now
from pkgregd.values import ANONYMOUS, AuditAction, PackageStatus
from tests.manage.support import URL, ManagedWorld

GROUP = "/groups/acme/packages"
PARAMETERS = sorted(
    {
        parameter.name
        for route in PackageManagement(None, []).routes()  # type: ignore[arg-type] # only listed
        if route.operation is not None
        for parameter in route.operation.parameters
        if not parameter.is_header
    }
)


class ManageCase(SynchronousTestCase):
    """A world for each test."""

    def setUp(self) -> None:
        """Make it."""
        self.world = ManagedWorld()

    def names(self, query: str = "", path: str = "") -> list[str]:
        """List packages as `name version`."""
        listed = self.world.get((path or self.world.project()) + query)
        return [f"{package['name']} {package['version']}" for package in listed]

    def refused(self, reply: Any, status: int, *texts: str) -> None:
        """Assert a refusal in the common shape that says these things."""
        self.assertEqual(reply.status, status, reply)
        fields = json.loads(reply.body)
        self.assertEqual(set(fields), {"message", "error", "error_code", "request_id"})
        self.assertTrue(fields["message"].startswith(f"{status} "), fields)
        for text in texts:
            self.assertIn(text, fields["message"])


class ListTests(ManageCase):
    """Lists of packages."""

    def test_package(self) -> None:
        """A package has GitLab's fields, whoever asks by whichever name of the project."""
        file = self.world.publish("Alpha", "1.0")
        wanted = {
            "id": file.package_id,
            "name": "Alpha",
            "version": "1.0",
            "package_type": "pypi",
            "status": "default",
            "_links": {
                "web_path": None,
                "delete_api_path": f"{URL}/api/v4{self.world.project()}/{file.package_id}",
            },
            "created_at": "2027-01-15T08:00:00.250Z",
            "last_downloaded_at": None,
            "creator_id": None,
            "tags": [],
            "pipelines": [],
            "versions": [],
        }
        self.assertEqual(self.world.get(self.world.project()), [wanted])
        self.assertEqual(self.world.get("/projects/acme%2Fprivate/packages"), [wanted])
        self.assertEqual(self.world.get(f"{self.world.project()}/{file.package_id}"), wanted)
        project = {"project_id": self.world.ids["acme/private"], "project_path": "acme/private"}
        self.assertEqual(self.world.get(GROUP), [{**wanted, **project}])

    def test_delete_api_path_deletes(self) -> None:
        """The link of a package leads to its deletion, from a group's list too."""
        self.world.publish()
        (package,) = self.world.get(GROUP)
        link = package["_links"]["delete_api_path"].removeprefix(URL + "/api/v4")
        self.assertEqual(self.world.request("DELETE", link).status, 204)

    def test_yanked(self) -> None:
        """A yanked package says why, and no other has the field."""
        for version in ("1.0", "2.0"):
            self.world.publish(version=version)
        project_id = self.world.ids["acme/private"]
        now(self.world.catalog.set_yanked(project_id, "pypi", "alpha", "1.0", "", ANONYMOUS))
        yanked, other = self.world.get(self.world.project())
        self.assertEqual(yanked["yanked_reason"], "")
        self.assertNotIn("yanked_reason", other)

    def test_hidden(self) -> None:
        """A hidden package is listed among the hidden alone, and otherwise not shown; its files are."""
        file = self.world.publish(status=PackageStatus.HIDDEN)
        self.world.publish("beta")
        self.assertEqual(self.names(), ["beta 1.0"])
        self.assertEqual(self.names("?status=default"), ["beta 1.0"])
        (hidden,) = self.world.get(self.world.project() + "?status=hidden")
        self.assertEqual((hidden["name"], hidden["status"]), ("alpha", "hidden"))
        self.refused(self.world.request("GET", f"{self.world.project()}/{file.package_id}"), 404, "package not found")
        self.assertEqual(len(self.world.get(f"{self.world.project()}/{file.package_id}/package_files")), 1)
        self.assertEqual(self.world.request("DELETE", f"{self.world.project()}/{file.package_id}").status, 204)

    def test_filters(self) -> None:
        """Type, part of a name, version, and several of them."""
        self.world.publish("Alpha", "1.0")
        self.world.publish("alphabet", "2.0", format="generic")
        self.world.publish("beta", "1.0")
        for query, names in (
            ("", ["Alpha 1.0", "alphabet 2.0", "beta 1.0"]),
            ("?package_type=pypi", ["Alpha 1.0", "beta 1.0"]),
            ("?package_type=toys", []),
            ("?package_type=maven", []),
            ("?package_name=ALPHA", ["Alpha 1.0", "alphabet 2.0"]),
            ("?package_name=", ["Alpha 1.0", "alphabet 2.0", "beta 1.0"]),
            ("?package_name=%25", []),
            ("?package_version=1.0", ["Alpha 1.0", "beta 1.0"]),
            ("?package_version=1", []),
            ("?package_name=a&package_type=pypi&package_version=1.0", ["Alpha 1.0", "beta 1.0"]),
            ("?include_versionless=true&unknown=1&pagination=keyset", ["Alpha 1.0", "alphabet 2.0", "beta 1.0"]),
            ("?status=error", []),
            ("?status=deprecated", []),
        ):  # fmt: skip
            self.assertEqual(self.names(query), names, query)
            self.assertEqual(self.names(query, GROUP), names, query)

    def test_orders(self) -> None:
        """By time unless asked otherwise; versions and types as text."""
        self.world.publish("b", "10")
        self.world.publish("a", "9", format="generic", path="acme/public")
        self.world.publish("c", "1", path="acme/public")
        for order, names in (
            ("created_at", ["b 10", "a 9", "c 1"]),
            ("name", ["a 9", "b 10", "c 1"]),
            ("version", ["c 1", "b 10", "a 9"]),
            ("type", ["a 9", "b 10", "c 1"]),
            ("project_path", ["b 10", "a 9", "c 1"]),
        ):
            self.assertEqual(self.names(f"?order_by={order}&sort=asc", GROUP), names, order)
            self.assertEqual(self.names(f"?sort=desc&order_by={order}", GROUP), names[::-1], order)
        self.assertEqual(self.names("", GROUP), ["b 10", "a 9", "c 1"])
        self.assertEqual(self.names("?sort=desc", GROUP), ["c 1", "a 9", "b 10"])

    def test_group_without_its_subgroups(self) -> None:
        """`exclude_subgroups` leaves the projects of groups below a group out."""
        self.world.publish("near")
        self.world.publish("far", path="acme/deep/down")
        self.world.publish("foreign", path="other/thing")
        self.assertEqual(self.names("", GROUP), ["near 1.0", "far 1.0"])
        self.assertEqual(self.names("?exclude_subgroups=false", GROUP), ["near 1.0", "far 1.0"])
        self.assertEqual(self.names("?exclude_subgroups=true", GROUP), ["near 1.0"])
        self.assertEqual(self.names("?exclude_subgroups=1", "/groups/acme%2Fdeep/packages"), ["far 1.0"])

    def test_malformed_values(self) -> None:
        """Every value that cannot be is refused by the name of its parameter, at both levels."""
        for name, values in (
            ("package_type", ("", "nonsense", "PyPI")),
            ("package_name", ("x" * 256, "a%00b", "a%0Ab", "%7F")),
            ("package_version", ("x" * 256, "%1b")),
            ("status", ("", "nonsense", "DEFAULT")),
            ("include_versionless", ("", "maybe")),
            ("order_by", ("", "id", "created_at;", "created_at desc".replace(" ", "%20"))),
            ("sort", ("", "up", "ASC")),
            ("page", ("", "0", "-1", "1.5", "x", "%D9%A1", "9" * 10, "9" * 5000, "1e3", "+1", "%201")),
            ("per_page", ("", "0", "-1", "all", "9" * 10)),
        ):
            for value in values:
                for path in (self.world.project(), GROUP):
                    self.refused(self.world.request("GET", f"{path}?{name}={value}"), 400, name)
        self.refused(self.world.request("GET", f"{GROUP}?exclude_subgroups=2"), 400, "exclude_subgroups")
        self.refused(self.world.request("GET", f"{self.world.project()}?order_by=project_path"), 400, "order_by")
        self.refused(self.world.request("GET", f"{self.world.project()}?sort=%ff"), 400)

    def test_what_only_the_other_level_knows(self) -> None:
        """A project has no subgroups to exclude: the parameter does not count there."""
        self.assertEqual(self.names("?exclude_subgroups=nonsense"), [])


class HostileTests(ManageCase):
    """Whatever is asked for."""

    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from(PARAMETERS),
        st.one_of(st.text(max_size=40), st.text("%_\\\\\"'0123456789-;", max_size=300), st.binary(max_size=20)),
    )
    def test_any_value(self, name: str, value: str | bytes) -> None:
        """Any value of any parameter is answered or refused, and a refusal names the parameter."""
        raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        query = f"?{name}={quote(raw)}"
        for path in (self.world.project(), GROUP, f"{self.world.project()}/1/package_files"):
            reply = self.world.request("GET", path + query)
            self.assertIn(reply.status, (200, 400, 404))
            if reply.status == 400:
                text = json.loads(reply.body)["message"]
                self.assertTrue(name in text or "malformed query" in text, text)

    @settings(max_examples=100, deadline=None)
    @given(
        st.sampled_from(("If-Unmodified-Since", "If-Match")),
        st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    )
    def test_any_condition(self, header: str, value: str) -> None:
        """Any condition holds, fails or does not count."""
        file = self.world.publish()
        path = f"{self.world.project()}/{file.package_id}/package_files/{file.id}"
        self.assertIn(self.world.request("DELETE", path, headers={header: value.strip()}).status, (204, 412))


class PageTests(ManageCase):
    """Numbered pages."""

    def setUp(self) -> None:
        """Have five packages."""
        super().setUp()
        for number in range(5):
            self.world.publish(f"p{number}")

    def page(self, query: str) -> tuple[list[str], dict[str, str], dict[str, str]]:
        """Get a page: its names, its X- headers without the X-, and its links by relation."""
        reply = self.world.request("GET", self.world.project() + query)
        self.assertEqual(reply.status, 200, reply)
        names = [package["name"] for package in json.loads(reply.body)]
        numbers = {
            name: reply.headers[f"x-{name}"]
            for name in ("total", "total-pages", "per-page", "page", "next-page", "prev-page")
        }
        links = {}
        for link in reply.headers["link"].split(", "):
            url, _, relation = link.partition("; ")
            links[relation.removeprefix('rel="').removesuffix('"')] = url.strip("<>")
        return names, numbers, links

    def test_defaults(self) -> None:
        """Twenty to a page, the first one first."""
        names, numbers, links = self.page("")
        self.assertEqual(names, ["p0", "p1", "p2", "p3", "p4"])
        self.assertEqual(
            numbers,
            {"total": "5", "total-pages": "1", "per-page": "20", "page": "1", "next-page": "", "prev-page": ""},
        )
        self.assertEqual(set(links), {"first", "last"})

    def test_middle(self) -> None:
        """A page in the middle knows both neighbours."""
        names, numbers, _ = self.page("?per_page=2&page=2")
        self.assertEqual(names, ["p2", "p3"])
        self.assertEqual(
            numbers,
            {"total": "5", "total-pages": "3", "per-page": "2", "page": "2", "next-page": "3", "prev-page": "1"},
        )

    def test_following_the_links(self) -> None:
        """Next by next everything comes once, under the same conditions and to the same order."""
        query, found = "?package_name=p&sort=desc&order_by=name&per_page=2&unknown=%26", []
        while query:
            names, _, links = self.page(query)
            found += names
            base, _, parameters = links.get("next", "").partition("?")
            if base:
                self.assertEqual(base, URL + "/api/v4" + self.world.project())
                self.assertNotIn("unknown", parameters)
            query = parameters and f"?{parameters}"
        self.assertEqual(found, ["p4", "p3", "p2", "p1", "p0"])

    def test_links_are_safe(self) -> None:
        """What a parameter holds cannot end a link or a header."""
        _, _, links = self.page("?package_name=%3E%3B%20rel%3D%22x%22%2C%3C%C3%A9")
        self.assertEqual(set(links), {"first", "last"})

    def test_past_the_end(self) -> None:
        """There is nothing, and the way back is to the first and the last page."""
        names, numbers, links = self.page("?per_page=2&page=999999999")
        self.assertEqual((names, numbers["total"], numbers["next-page"], numbers["prev-page"]), ([], "5", "", ""))
        self.assertIn("page=3&", links["last"])

    def test_greatest_page(self) -> None:
        """No page has more than a hundred rows, and it says so."""
        self.assertEqual(self.page("?per_page=101")[1]["per-page"], "100")

    def test_of_nothing(self) -> None:
        """An empty list has one empty page."""
        names, numbers, links = self.page("?package_name=zzz")
        self.assertEqual((names, numbers["total"], numbers["total-pages"]), ([], "0", "1"))
        self.assertEqual(set(links), {"first", "last"})
        self.assertEqual(self.page("?status=processing")[1]["total"], "0")

    def test_validators(self) -> None:
        """A list that has not changed is not sent again; one that only got longer elsewhere is."""
        path = self.world.project() + "?per_page=1"
        reply = self.world.request("GET", path)
        again = {"If-None-Match": reply.headers["etag"]}
        self.assertEqual(self.world.request("GET", path, headers=again).status, 304)
        self.world.publish("p9")
        self.assertEqual(self.world.request("GET", path, headers=again).status, 200)


class FileTests(ManageCase):
    """The files of a package."""

    def setUp(self) -> None:
        """Have a package of three files, and another."""
        super().setUp()
        self.file = self.world.publish(file_name="b.zip", data=b"bytes", algorithms=("md5", "sha1"))
        self.world.publish(file_name="c/d.zip", data=b"y")
        self.world.publish(file_name="a.zip", data=b"zz")
        self.other = self.world.publish("beta")
        self.path = f"{self.world.project()}/{self.file.package_id}/package_files"

    def test_file(self) -> None:
        """A file has GitLab's fields; a digest that nobody computed is null."""
        first, second, _ = self.world.get(self.path)
        self.assertEqual(
            first,
            {
                "id": self.file.id,
                "package_id": self.file.package_id,
                "created_at": "2027-01-15T08:00:00.250Z",
                "file_name": "b.zip",
                "size": 5,
                "file_md5": hashlib.md5(b"bytes").hexdigest(),
                "file_sha1": hashlib.sha1(b"bytes").hexdigest(),
                "file_sha256": hashlib.sha256(b"bytes").hexdigest(),
                "pipelines": [],
            },
        )
        self.assertEqual((second["file_name"], second["file_md5"], second["file_sha1"]), ("c/d.zip", None, None))

    def test_orders_and_pages(self) -> None:
        """By number unless asked otherwise, in pages like packages."""
        for query, names in (
            ("", ["b.zip", "c/d.zip", "a.zip"]),
            ("?order_by=created_at&sort=desc", ["a.zip", "c/d.zip", "b.zip"]),
            ("?order_by=file_name", ["a.zip", "b.zip", "c/d.zip"]),
            ("?order_by=file_name&per_page=2&page=2", ["c/d.zip"]),
        ):
            self.assertEqual([file["file_name"] for file in self.world.get(self.path + query)], names, query)
        reply = self.world.request("GET", self.path + "?per_page=2&order_by=id")
        self.assertEqual((reply.headers["x-total"], reply.headers["x-next-page"]), ("3", "2"))
        self.assertIn(f'<{URL}/api/v4{self.path}?order_by=id&page=2&per_page=2>; rel="next"', reply.headers["link"])
        self.refused(self.world.request("GET", self.path + "?order_by=size"), 400, "order_by")

    def test_download(self) -> None:
        """The bytes come with validators and a name, whole, in part or not at all."""
        path = f"{self.path}/{self.file.id}/download"
        reply = self.world.request("GET", path)
        self.assertEqual((reply.status, reply.body), (200, b"bytes"))
        self.assertEqual(reply.headers["content-disposition"], 'attachment; filename="b.zip"')
        self.assertEqual(reply.headers["etag"], f'"{self.file.blob.sha256.hex}"')
        self.assertEqual(self.world.events.texts, ["pull_package: alpha 1.0 b.zip"])
        for headers, status, body in (
            ({"Range": "bytes=1-2"}, 206, b"yt"),
            ({"If-None-Match": reply.headers["etag"]}, 304, b""),
            ({"Range": "bytes=9-"}, 416, b""),
        ):
            reply = self.world.request("GET", path, headers=headers)
            self.assertEqual((reply.status, reply.body), (status, body))
        reply = self.world.request("HEAD", path)
        self.assertEqual((reply.status, reply.headers["content-length"]), (200, "5"))
        self.assertEqual(len(self.world.events.texts), 1)

    def test_download_name_is_the_last_part(self) -> None:
        """A file in a directory is saved under its own name."""
        file = self.world.get(self.path + "?order_by=file_name&sort=desc")[0]
        reply = self.world.request("GET", f"{self.path}/{file['id']}/download")
        self.assertEqual(reply.headers["content-disposition"], 'attachment; filename="d.zip"')

    def test_through_another_package_or_project(self) -> None:
        """A file is there in its own package of its own project only, for reading and for deletion."""
        elsewhere = self.world.publish(path="acme/public")
        for path in (
            f"{self.world.project()}/{self.other.package_id}/package_files/{self.file.id}",
            f"{self.world.project('acme/public')}/{self.file.package_id}/package_files/{self.file.id}",
            f"{self.world.project('acme/public')}/{elsewhere.package_id}/package_files/{self.file.id}",
            f"{self.path}/{elsewhere.id}",
            f"{self.path}/999",
            f"{self.world.project()}/999/package_files/{self.file.id}",
        ):
            self.refused(self.world.request("GET", path + "/download"), 404, "not found")
            self.refused(self.world.request("DELETE", path), 404, "not found")
        for number in (elsewhere.package_id, 999, 10**17):
            for path in (f"{self.world.project()}/{number}", f"{self.world.project()}/{number}/package_files"):
                self.refused(self.world.request("GET", path), 404, "package not found")
        self.refused(self.world.request("DELETE", f"{self.world.project()}/{elsewhere.package_id}"), 404)
        self.assertEqual(len(self.world.get(self.path)), 3)
        self.assertEqual(self.world.events.texts, [])

    def test_numbers_that_are_none(self) -> None:
        """What is not a number is no package, and one without end is refused."""
        for path in ("/1x", "/-1", "/+1", "/one", "/1/package_files/x/download", "/1/package_files/x"):
            self.assertEqual(self.world.request("GET", self.world.project() + path).status, 404, path)
        self.assertEqual(self.world.request("GET", self.world.project() + "/" + "9" * 400).status, 400)


class DeletionTests(ManageCase):
    """What deletions leave."""

    def setUp(self) -> None:
        """Have a package of two files."""
        super().setUp()
        self.first = self.world.publish(file_name="a.zip", data=b"x")
        self.second = self.world.publish(file_name="b.zip", data=b"y")
        self.path = f"{self.world.project()}/{self.first.package_id}"

    def test_package(self) -> None:
        """A deletion answers 204 without a body, tells once of the whole, and a second one finds nothing."""
        reply = self.world.request("DELETE", self.path)
        self.assertEqual((reply.status, reply.body), (204, b""))
        self.refused(self.world.request("DELETE", self.path), 404, "package not found")
        self.refused(self.world.request("GET", self.path), 404)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.world.events.texts, ["delete_package: alpha 1.0"])
        entry = self.world.catalog.trail[-1]
        self.assertEqual((entry.told.action, entry.principal.name), (AuditAction.DELETE_PACKAGE, "root"))
        assert entry.principal.origin is not None
        self.assertEqual(entry.principal.origin.address, "192.0.2.1")
        self.assertRegex(entry.principal.origin.request_id, "^[0-9a-f]{16}$")

    def test_files_one_by_one(self) -> None:
        """The package goes with its last file."""
        for file in (self.first, self.second):
            path = f"{self.path}/package_files/{file.id}"
            self.assertEqual(self.world.request("DELETE", path).status, 204)
            self.refused(self.world.request("DELETE", path), 404, "file not found")
            self.refused(self.world.request("GET", path + "/download"), 404, "file not found")
        self.refused(self.world.request("GET", self.path), 404, "package not found")
        self.refused(self.world.request("GET", self.path + "/package_files"), 404, "package not found")
        self.assertEqual(
            self.world.events.texts, ["delete_package: alpha 1.0 a.zip", "delete_package: alpha 1.0 b.zip"]
        )

    def test_unless_it_changed(self) -> None:
        """A package or file that is newer than the time that the client knows stays."""
        file = f"{self.path}/package_files/{self.second.id}"
        for path in (self.path, file):
            for since in (http_date(self.first.created_at), "2027-01-15T08:00:00.250Z"):
                reply = self.world.request("DELETE", path, headers={"If-Unmodified-Since": since})
                self.refused(reply, 412, "has changed")
        self.assertEqual(len(self.world.get(self.path + "/package_files")), 2)
        self.assertEqual(self.world.events.texts, [])
        since = {"If-Unmodified-Since": http_date(self.second.created_at)}
        self.assertEqual(self.world.request("DELETE", file, headers=since).status, 204)
        since = {"If-Unmodified-Since": "2027-01-15T09:00:00+01:00"}
        self.assertEqual(self.world.request("DELETE", self.path, headers=since).status, 204)

    def test_only_the_bytes_that_the_client_knows(self) -> None:
        """`If-Match` names the bytes that may be deleted, and then no time counts; no tag stands for a package."""
        file = f"{self.path}/package_files/{self.second.id}"
        etag = self.world.request("GET", file + "/download").headers["etag"]
        other = f'"{self.first.blob.sha256.hex}"'
        for path, tags in (
            (file, other), (file, "W/" + etag), (file, etag.strip('"')), (file, ""), (file, '"x", "y"'),
            (self.path, etag), (self.path, ""), (self.path, self.world.request("GET", self.path).headers["etag"]),
        ):  # fmt: skip
            self.refused(self.world.request("DELETE", path, headers={"If-Match": tags}), 412)
        self.assertEqual(len(self.world.get(self.path + "/package_files")), 2)
        headers = {"If-Match": f"{other}, {etag}", "If-Unmodified-Since": http_date(self.first.created_at)}
        self.assertEqual(self.world.request("DELETE", file, headers=headers).status, 204)
        self.assertEqual(self.world.request("DELETE", self.path, headers={"If-Match": "*"}).status, 204)

    def test_what_is_no_time_does_not_count(self) -> None:
        """As the standard demands, a condition that cannot be read is none."""
        for text in ("yesterday", "0", "Fri, 99 Foo 2027 08:00:00 GMT", "x" * 500, "9999-12-31T23:59:59-23:59", "\xff"):
            file = self.world.publish("gamma")
            path = f"{self.world.project()}/{file.package_id}"
            self.assertEqual(self.world.request("DELETE", path, headers={"If-Unmodified-Since": text}).status, 204)
