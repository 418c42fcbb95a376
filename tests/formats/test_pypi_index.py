"""The simple index, without HTTP."""

from __future__ import annotations

import json

from attrs import evolve

from pkgregd import errors
from pkgregd.formats.pypi import list_files
from pkgregd.formats.pypi_files import FileMetadata
from pkgregd.formats.pypi_index import Representation, choose_representation, files_layout
from pkgregd.registry.listings import Listing
from pkgregd.testing.calls import WRITER, FakeCall, body_of, now
from pkgregd.values import ANONYMOUS, NO_PRECONDITION, PackageFile, Principal, Reply, Visibility
from tests.formatkit.test_archives import make_zip
from tests.formats.pypi_world import (
    BASE,
    FILES,
    JSON,
    NAMES,
    Links,
    PyPITestCase,
    metadata,
    wheel,
    wheel_name,
)


def page_of(base_url: str, file: PackageFile, representation: Representation) -> bytes:
    """Write the page of a name with one file."""
    layout = files_layout("demo", base_url, representation)
    page = Listing(layout, {file.canonical_version: [file]}).page()
    assert page is not None
    return page.body


class IndexTests(PyPITestCase):
    """The simple index."""

    def test_html(self) -> None:
        """A page has a link for each file, relative, with its digest."""
        digest = self.publish("demo-pkg", "1.0", extra="Requires-Python: >=3.8,<4\n")
        reply = self.page(name="Demo_Pkg")
        self.assertEqual(reply.content_type, "text/html; charset=utf-8")
        ((attributes, text),) = Links(body_of(reply)).found
        self.assertEqual(text, wheel_name("demo-pkg"))
        self.assertEqual(attributes["href"], f"../../files/{digest}/{wheel_name('demo-pkg')}#sha256={digest}")
        self.assertEqual(attributes["data-requires-python"], ">=3.8,<4")
        self.assertIn(b"&gt;=3.8,&lt;4", body_of(reply))

    def test_json(self) -> None:
        """The same in JSON, with what PEP 700 adds."""
        digest = self.publish(version="1.10")
        self.publish(version="1.9")
        page = self.index("DEMO")
        self.assertEqual((page["name"], page["meta"]), ("demo", {"api-version": "1.3"}))
        self.assertEqual(page["versions"], ["1.9", "1.10"])
        file = page["files"][1]
        self.assertEqual((file["filename"], file["hashes"]), (wheel_name(version="1.10"), {"sha256": digest}))
        self.assertEqual(file["size"], len(wheel(version="1.10")))
        self.assertRegex(file["upload-time"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
        self.assertNotIn("requires-python", file)

    def test_names(self) -> None:
        """The list of names leads to their pages, with or without the slash behind `simple`."""
        self.publish("demo-pkg")
        self.publish("Another.One")
        links = Links(body_of(self.page(NAMES))).found
        self.assertEqual(
            [(a["href"], text) for a, text in links], [("another-one/", "Another.One"), ("demo-pkg/", "demo-pkg")]
        )
        links = Links(body_of(self.page("/simple"))).found
        self.assertEqual(links[0][0]["href"], "simple/another-one/")
        page = json.loads(body_of(self.page(NAMES, headers=JSON)))
        self.assertEqual(page["projects"], [{"name": "Another.One"}, {"name": "demo-pkg"}])
        self.assertNotEqual(self.page(NAMES).etag, self.page("/simple").etag)

    def test_empty(self) -> None:
        """No names are an empty list, a name without files is not found, and a bad one is refused."""
        self.assertEqual(Links(body_of(self.page(NAMES))).found, [])
        self.assertRaises(errors.PackageNotFound, body_of, self.page(name="demo"))
        self.assertRaises(errors.InvalidName, self.page, name="a b")

    def test_redirect(self) -> None:
        """Without its slash a page leads to the one with it, on whatever address the client uses."""
        reply = self.page("/simple/<segment:name>", name="Demo.Pkg")
        self.assertEqual((reply.status, reply.headers), (301, (("Location", "demo-pkg/"),)))
        self.assertRaises(errors.InvalidName, self.page, "/simple/<segment:name>", name="a\r\nX: y")

    def test_negotiation(self) -> None:
        """Each representation has its own type and validator; a client that takes none gets 406."""
        self.publish()
        replies = [self.page(name="demo", headers={"Accept": kind.value.partition(";")[0]}) for kind in Representation]
        self.assertEqual([reply.content_type for reply in replies], [kind.value for kind in Representation])
        self.assertEqual(len({reply.etag for reply in replies}), 3)
        refused = self.page(name="demo", headers={"Accept": "image/png"})
        self.assertEqual(refused.status, 406)
        for reply in (*replies, refused, self.page(NAMES)):
            self.assertIn(("Vary", "Accept"), reply.headers)

    def test_accept(self) -> None:
        """What real clients send, and the corners of it: weights count, `latest` is the newest that there is."""
        v1 = "application/vnd.pypi.simple.v1"
        for accept, chosen in (
            (f"{v1}+json, {v1}+html; q=0.1, text/html; q=0.01", Representation.JSON),
            (f"{v1}+json, {v1}+html;q=0.2, text/html;q=0.01", Representation.JSON),
            (f"{v1}+json;q=0.1, text/html;q=0.9", Representation.HTML),
            ("application/vnd.pypi.simple.latest+json", Representation.JSON),
            ("application/vnd.pypi.simple.latest+html, text/html;q=0.5", Representation.HTML_V1),
            ("*/*", Representation.HTML),
            ("text/*;q=0.1, application/*;q=0.2", Representation.JSON),
            (f"{v1}+json;q=0, */*", Representation.HTML),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Representation.HTML),
            ("application/json", None),
            ("application/vnd.pypi.simple.v2+json", None),
            (None, Representation.HTML),
        ):
            self.assertIs(choose_representation(accept), chosen, accept)

    def test_validators(self) -> None:
        """The ETag moves with every publish of that name, and only then."""
        self.publish()
        first = self.page(name="demo")
        self.publish("other")
        self.assertEqual(self.page(name="demo").etag, first.etag)
        self.publish(version="2.0")
        second = self.page(name="demo")
        self.assertNotEqual(second.etag, first.etag)
        self.assertIsNotNone(second.last_modified)
        remote = self.world.remote()
        now(remote.delete_file(now(remote.find_file("demo", "2", wheel_name(version="2.0"))), NO_PRECONDITION))
        third = self.page(name="demo")
        self.assertEqual(len({page.etag for page in (first, second, third)}), 3)
        self.assertEqual(self.index()["versions"], ["1.0"])

    def test_page_is_made_once_per_change(self) -> None:
        """A page that was made is sent again until something is published."""
        self.publish()
        first = body_of(self.page(name="demo"))
        self.assertIs(body_of(self.page(name="demo")), first)
        self.publish(version="2.0")
        self.assertIn(wheel_name(version="2.0").encode(), body_of(self.page(name="demo")))

    def test_group(self) -> None:
        """A group's index has the files of all its projects; of one file name the newest."""
        self.publish()
        newest = self.publish(path="acme/two", source=b"x = 2\n")
        self.publish(version="2.0", path="acme/two")
        files = {file["filename"]: file["hashes"]["sha256"] for file in self.index(path="acme")["files"]}
        self.assertEqual(set(files), {wheel_name(), wheel_name(version="2.0")})
        self.assertEqual(files[wheel_name()], newest)
        self.assertEqual(len(Links(body_of(self.page(NAMES, path="acme"))).found), 1)

    def test_group_shows_what_may_be_read(self) -> None:
        """Names, files and validators of a group are those of the projects that the caller may read."""
        now(self.world.catalog.add_project("acme/secret", Visibility.PRIVATE))
        self.publish()
        self.publish("hidden", path="acme/secret")
        self.publish(version="2.0", path="acme/secret")

        def ask(rule: str, name: str = "", principal: Principal = ANONYMOUS) -> Reply:
            remote = self.world.remote("acme", principal)
            call = FakeCall(remote, {"name": name}, {"accept": JSON["Accept"]}, principal=principal)

            async def answer() -> Reply:
                return await self.world.route("GET", rule).handler(call)

            return now(answer())

        self.assertEqual(json.loads(body_of(ask(NAMES)))["projects"], [{"name": "demo"}])
        self.assertEqual(json.loads(body_of(ask(FILES, "demo")))["versions"], ["1.0"])
        self.assertRaises(errors.PackageNotFound, body_of, ask(FILES, "hidden"))
        self.assertEqual(json.loads(body_of(ask(FILES, "demo", WRITER)))["versions"], ["1.0", "2.0"])
        self.assertNotEqual(ask(FILES, "demo").etag, ask(FILES, "demo", WRITER).etag)

    def test_order(self) -> None:
        """Files come by version, as versions are ordered, and then by name, whenever they were published."""
        for version in ("10.0", "9.0", "2.0rc1", "2.0"):
            self.publish(version=version)
        sdist = make_zip([("demo-9.0/PKG-INFO", metadata(version="9.0"))])
        self.post([("name", "demo"), ("version", "9")], "demo-9.0.zip", sdist)
        page = self.index()
        self.assertEqual(page["versions"], ["2.0rc1", "2.0", "9.0", "10.0"])
        names = [wheel_name(version=version) for version in ("2.0rc1", "2.0", "9.0", "10.0")]
        names.insert(3, "demo-9.0.zip")
        self.assertEqual([file["filename"] for file in page["files"]], names)

    def test_a_page_belongs_to_its_address(self) -> None:
        """A page may hold absolute links: it is not shared between addresses of one project."""
        self.publish()
        remote = self.world.remote()
        replies = []
        for base_url in ("https://a.example.com/1", "https://a.example.com/acme%2Fone"):
            call = FakeCall(remote, {"name": "demo"}, base_url=base_url)
            replies.append(now(list_files(call)))
        self.assertNotEqual(replies[0].etag, replies[1].etag)

    def test_rows_of_other_versions(self) -> None:
        """Files published before metadata was kept stay in the index, and so do those of a version that knows more."""
        self.publish()
        (row,) = now(self.world.remote().list_files("demo"))
        for text in ('{"filetype": "bdist_wheel", "requires_python": ">=3.8"}', '{"filetype": "sdist", "later": 1}'):
            old = evolve(row, file_metadata_json=text)
            (file,) = json.loads(page_of(BASE, old, Representation.JSON))["files"]
            self.assertNotIn("core-metadata", file)
            self.assertEqual(len(Links(page_of(BASE, old, Representation.HTML)).found), 1)

    def test_nothing_breaks_out_of_the_page(self) -> None:
        """Whatever the rows hold, an attribute stays an attribute: the writer escapes by itself."""
        self.publish()
        (row,) = now(self.world.remote().list_files("demo"))
        evil = '>=3"><a href="http://evil.example.com/">\'&'
        hostile: PackageFile = evolve(
            row,
            file_name=f"{evil}.whl",
            file_metadata_json=FileMetadata("bdist_wheel", evil, evil, has_provenance=True).to_json(),
            yanked_reason=evil,
        )
        ((attributes, text),) = Links(page_of(f"{BASE}{evil}", hostile, Representation.HTML)).found
        self.assertEqual((text, attributes["data-requires-python"]), (f"{evil}.whl", evil))
        self.assertEqual((attributes["data-yanked"], attributes["data-core-metadata"]), (evil, f"sha256={evil}"))
        added = ("requires-python", "core-metadata", "dist-info-metadata", "yanked", "provenance")
        self.assertEqual(set(attributes), {"href", *(f"data-{name}" for name in added)})
        page = json.loads(page_of(BASE, hostile, Representation.JSON))
        self.assertEqual((page["files"][0]["requires-python"], page["files"][0]["yanked"]), (evil, evil))
