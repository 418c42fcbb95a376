"""The second version of NuGet's protocol, without HTTP."""

from __future__ import annotations

import base64
import hashlib
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.formats.nuget_facts import Facts
from pkgregd.formats.nuget_feed import render_dependencies, render_metadata, render_service
from pkgregd.formats.nuget_nuspec import METADATA_DOCUMENT, Dependency, DependencyGroup, Nuspec
from pkgregd.formats.nuget_rows import CHUNK_BYTES, CHUNK_ROWS
from pkgregd.formats.nuget_v2 import MAX_FEED_BYTES, MAX_NAMES, MAX_READ_BYTES, MAX_TOP
from pkgregd.testing.calls import WRITER, body_of, now
from pkgregd.values import ANONYMOUS, NO_PRECONDITION, Coordinates, Publication, Reply, Visibility
from tests.formats.nuget_world import FORM_HEADERS, NuGetTestCase, form, nupkg, snupkg

ATOM = "{http://www.w3.org/2005/Atom}"
D = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"
M = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"


def parse(document: bytes) -> ElementTree.Element:
    """Read a document of ours."""
    return ElementTree.fromstring(document)  # noqa: S314 - it is ours


class FeedTestCase(NuGetTestCase):
    """A world that is asked by the second version."""

    def ask(self, resource: str, path: str = "acme/one", **queries: str) -> Reply:
        """Ask for a resource; `_filter` is `$filter`."""
        named = {name.replace("_", "$") if name.startswith("_") else name: text for name, text in queries.items()}
        return self.world.request("GET", "/v2/<segment:resource>", path=path, queries=named, resource=resource)

    def feed(self, resource: str, path: str = "acme/one", **queries: str) -> ElementTree.Element:
        """Return a feed."""
        reply = self.ask(resource, path, **queries)
        self.assertEqual((reply.status, (reply.content_type or "").split(";")[0]), (200, "application/atom+xml"))
        return parse(body_of(reply))

    def found(self, resource: str, path: str = "acme/one", **queries: str) -> list[str]:
        """Return the ids and versions of a feed."""
        entries = self.feed(resource, path, **queries).findall(f"{ATOM}entry/{M}properties")
        return [f"{entry.findtext(f'{D}Id')} {entry.findtext(f'{D}Version')}" for entry in entries]

    def count(self, resource: str, **queries: str) -> str:
        """Return a count."""
        rule = "/v2/<segment:resource>/<segment:option>"
        named = {name.replace("_", "$") if name.startswith("_") else name: text for name, text in queries.items()}
        reply = self.world.request("GET", rule, queries=named, resource=resource, option="$count")
        return body_of(reply).decode()


class FeedTests(FeedTestCase):
    """Feeds, entries and counts."""

    def setUp(self) -> None:
        """Publish some."""
        super().setUp()
        self.publish("1.0", "1.2", "2.0-beta", "2.1-beta.2", name="Left.Pad", more="<tags>text</tags>")
        self.publish("0.1-beta", name="Right.Pad")

    def test_versions_of_an_id(self) -> None:
        """In their order, unlisted ones too; those of SemVer 2 for who can read them."""
        old = ["Left.Pad 1.0.0", "Left.Pad 1.2.0", "Left.Pad 2.0.0-beta"]
        self.world.request("DELETE", "/v2/<segment:id>/<segment:version>", id="left.pad", version="1.2")
        for resource in ("FindPackagesById()", "FindPackagesById"):
            self.assertEqual(self.found(resource, id="'LEFT.Pad'"), old)
        self.assertEqual(
            self.found("FindPackagesById()", id="'Left.Pad'", semVerLevel="2.0.0"), [*old, "Left.Pad 2.1.0-beta.2"]
        )
        self.assertEqual(self.found("FindPackagesById()", id="left.pad", _orderby="Version desc"), old[::-1])
        self.assertEqual(self.found("FindPackagesById()", id="'left.pad'", _filter="IsLatestVersion"), old[:1])
        self.assertEqual(self.found("FindPackagesById()", id="'nothing'"), [])

    def test_packages(self) -> None:
        """By a filter, with an id in it or without."""
        for condition, expected in {
            "tolower(Id) eq 'left.pad' and IsLatestVersion": ["Left.Pad 1.2.0"],
            "Id eq 'Left.Pad' and Version eq '1.0.0'": ["Left.Pad 1.0.0"],
            "IsAbsoluteLatestVersion": ["Left.Pad 2.0.0-beta", "Right.Pad 0.1.0-beta"],
            "IsLatestVersion": ["Left.Pad 1.2.0"],
            "substringof('right', tolower(Id))": ["Right.Pad 0.1.0-beta"],
            "Tags eq 'text' and not IsPrerelease": ["Left.Pad 1.0.0", "Left.Pad 1.2.0"],
            "NormalizedVersion eq '0.1.0-BETA' and Listed": ["Right.Pad 0.1.0-beta"],
            "Title eq 'x' or Authors eq 'nobody'": [],
        }.items():
            self.assertEqual(self.found("Packages()", _filter=condition), expected, condition)
        self.assertEqual(len(self.found("Packages")), 4)

    def test_search(self) -> None:
        """Releases of what is listed, unless prereleases are asked for; newest ones by a filter."""
        self.assertEqual(self.found("Search()", searchTerm="'pad'"), ["Left.Pad 1.0.0", "Left.Pad 1.2.0"])
        newest = {"searchTerm": "'pad'", "_filter": "IsLatestVersion", "includePrerelease": "false"}
        self.assertEqual(self.found("Search()", **newest), ["Left.Pad 1.2.0"])
        newest |= {"_filter": "IsAbsoluteLatestVersion", "includePrerelease": "true", "semVerLevel": "2.0.0"}
        both = ["Left.Pad 2.1.0-beta.2", "Right.Pad 0.1.0-beta"]
        self.assertEqual(self.found("Search()", **newest, targetFramework="''"), both)
        self.world.request("DELETE", "/<segment:id>/<segment:version>", id="left.pad", version="2.1-beta.2")
        self.assertEqual(self.found("Search()", **newest)[0], "Left.Pad 2.0.0-beta")
        self.assertEqual(self.found("Search()", searchTerm="'qqq'"), [])

    def test_recorded_questions(self) -> None:
        """What clients of both generations ask before they list, install or update."""
        newest = {"_filter": "IsLatestVersion", "_orderby": "Version desc", "_top": "1", "id": "'Left.Pad'"}
        self.assertEqual(self.found("FindPackagesById()", **newest), ["Left.Pad 1.2.0"])
        newest["_filter"] = "IsAbsoluteLatestVersion"
        self.assertEqual(self.found("FindPackagesById()", **newest), ["Left.Pad 2.0.0-beta"])
        listing = {"_orderby": "Id", "_top": "30", "searchTerm": "''", "targetFramework": "''"}
        latest = {**listing, "_filter": "IsLatestVersion", "includePrerelease": "false"}
        self.assertEqual(self.found("Search()", **latest, _skip="0"), ["Left.Pad 1.2.0"])
        self.assertEqual(self.found("Search()", **latest, _skip="30"), [])
        everything = {**listing, "includePrerelease": "true", "semVerLevel": "2.0.0"}
        self.assertEqual(len(self.found("Search()", **everything)), 5)

    def test_pieces(self) -> None:
        """$skip and $top count versions; a count is that of all."""
        everything = {"searchTerm": "''", "includePrerelease": "true"}
        self.assertEqual(self.found("Search()", **everything, _skip="1", _top="2"),
                         ["Left.Pad 1.2.0", "Left.Pad 2.0.0-beta"])  # fmt: skip
        self.assertEqual(self.found("Search()", **everything, _skip="9"), [])
        self.assertEqual(self.found("Search()", **everything, _top="0"), [])
        self.assertEqual(self.count("Search()", **everything, _skip="1", _top="1"), "4")
        self.assertEqual(self.count("FindPackagesById()", id="'left.pad'"), "3")
        self.assertEqual(self.count("Packages", _filter="IsPrerelease"), "2")

    def test_goes_on(self) -> None:
        """A feed that is cut says where it goes on; one that was asked for no more does not."""
        self.publish(*(f"1.{number}.0" for number in range(MAX_TOP + 2)), name="Many")
        for queries in ({"id": "'many'"}, {"id": "'many'", "_top": str(MAX_TOP + 1)}):
            feed = self.feed("FindPackagesById()", **queries)
            self.assertEqual(len(feed.findall(f"{ATOM}entry")), MAX_TOP)
            (link,) = (each.get("href", "") for each in feed.findall(f"{ATOM}link") if each.get("rel") == "next")
            self.assertIn("/v2/FindPackagesById()?id=%27many%27", link)
            self.assertTrue(link.endswith(f"%24skip={MAX_TOP}"))
            self.assertEqual("%24top=1&" in link, "_top" in queries)
        rest = self.found("FindPackagesById()", id="'many'", _skip=str(MAX_TOP))
        self.assertEqual(rest, [f"Many 1.{MAX_TOP}.0", f"Many 1.{MAX_TOP + 1}.0"])
        for piece in ({"_top": str(MAX_TOP)}, {"_skip": str(MAX_TOP)}):
            links = self.feed("FindPackagesById()", id="'many'", **piece).findall(f"{ATOM}link")
            self.assertEqual([link.get("rel") for link in links], ["self"])

    def test_too_many_names(self) -> None:
        """What would go through all of a great registry is refused, not cut."""
        file = now(self.world.remote().find_file("left.pad", "1.0.0", "left.pad.1.0.0.nupkg"))
        for number in range(MAX_NAMES):
            name = f"n{number}"
            where = Coordinates("nuget", 1, name, name, "1.0.0-x", "1.0.0-x", f"{name}.1.0.0-x.nupkg")
            facts = Facts(name, "1.0.0-x", ["Dependency"], 9)
            wanted = Publication(where, file.blob, package_metadata_json=facts.to_json(), traits=facts.traits)
            now(self.world.catalog.publish(wanted, WRITER))
        self.assertRaises(errors.InvalidRequest, self.found, "Packages()", _filter="IsLatestVersion")
        self.assertRaises(errors.InvalidRequest, self.count, "Search()", includePrerelease="true")
        self.assertEqual(self.count("Search()"), "2")
        self.assertEqual(len(self.found("Search()", searchTerm="'left'")), 2)
        self.assertEqual(len(self.found("Packages()", _top="2")), 2)

    def put_great(self, name: str, versions: int, size_bytes: int) -> None:
        """Have versions of which so much is said to be kept, and less is."""
        file = now(self.world.remote().find_file("left.pad", "1.0.0", "left.pad.1.0.0.nupkg"))
        for number in range(versions):
            version = f"1.{number}.0"
            where = Coordinates("nuget", 1, name, name, version, version, f"{name}.{version}.nupkg")
            nuspec = Nuspec(name, version, {"tags": f"t{number % 2}"})
            facts = Facts(name, version, ["Dependency"], size_bytes)
            documents = {METADATA_DOCUMENT: nuspec.to_json().encode()}
            kept = facts.to_json()
            wanted = Publication(where, file.blob, package_metadata_json=kept, documents=documents, traits=facts.traits)
            now(self.world.catalog.publish(wanted, WRITER))

    def test_feeds_are_bounded_by_bytes(self) -> None:
        """Great nuspecs make small feeds that say where they go on, also for who asked for no more than many."""
        self.put_great("great", 5, MAX_FEED_BYTES // 2)
        for queries in ({}, {"_top": "4"}):
            feed = self.feed("FindPackagesById()", id="'great'", **queries)
            self.assertEqual(len(feed.findall(f"{ATOM}entry")), 2)
            (link,) = (each.get("href", "") for each in feed.findall(f"{ATOM}link") if each.get("rel") == "next")
            self.assertTrue(link.endswith("%24skip=2"))
        self.put_great("greater", 2, MAX_FEED_BYTES + 1)
        self.assertEqual(self.found("FindPackagesById()", id="'greater'"), ["greater 1.0.0"])

    def test_filters_of_texts_go_on_by_and_by(self) -> None:
        """Only so many nuspecs are read at once, and only so much for one question; other filters read none."""
        self.put_great("many", 3 * CHUNK_ROWS, CHUNK_BYTES // 8)
        found = self.found("Packages()", _filter="Id eq 'many' and Tags eq 't1'", _top="2", _skip="94")
        self.assertEqual(found, ["many 1.189.0", "many 1.191.0"])
        self.put_great("most", 9, MAX_READ_BYTES // 8)
        for condition in ("Tags eq 't1'", "Id eq 'most' and substringof('x', Description)"):
            self.assertRaises(errors.InvalidRequest, self.found, "Packages()", _filter=condition)
        self.assertEqual(self.count("Packages()", _filter="Id eq 'most' and not IsPrerelease"), "9")

    def test_refused(self) -> None:
        """What cannot be asked is a bad request; what is not there is not found."""
        for resource, queries in (
            ("FindPackagesById()", {}), ("FindPackagesById()", {"id": "''"}), ("FindPackagesById()", {"id": "'../x'"}),
            ("FindPackagesById()", {"id": "'x' or 1"}), ("Packages()", {"_filter": "1 eq 1"}),
            ("Packages()", {"_filter": "Id eq '../x'"}), ("Packages()", {"_filter": "("}),
            ("Search()", {"_skip": "-1"}), ("Search()", {"_top": "x"}), ("Search()", {"_skip": "9" * 30}),
            ("Search()", {"searchTerm": "x" * 300}), ("Packages(Id='a b',Version='1')", {}),
            ("Packages(Id='x',Version='y')", {}),
        ):  # fmt: skip
            self.assertRaises(errors.InvalidRequest, self.ask, resource, **queries)
        for resource in (
            "Users()",
            "$batch",
            "Packages(Id='x')",
            "Packages(1)",
            "x" * 1000,
            "Packages(Id='x',Version='1')",
        ):
            self.assertRaises(errors.NotFound, self.ask, resource)

    def test_symbols_alone(self) -> None:
        """A version of which only its symbols are left is not there."""
        self.publish("3.0", name="Left.Pad")
        self.push_symbols(snupkg("Left.Pad", "3.0"))
        self.assertEqual(self.found("Packages()", _filter="IsLatestVersion"), ["Left.Pad 3.0.0"])
        file = now(self.world.remote().find_file("left.pad", "3.0.0", "left.pad.3.0.0.nupkg"))
        now(self.world.catalog.delete_file(file.id, WRITER, NO_PRECONDITION))
        self.assertEqual(self.found("Packages()", _filter="IsLatestVersion"), ["Left.Pad 1.2.0"])
        self.assertRaises(errors.PackageNotFound, self.ask, "Packages(Id='Left.Pad',Version='3.0')")

    def test_group(self) -> None:
        """A group merges its projects."""
        self.publish("3.0", name="Left.Pad", path="acme/two")
        found = self.found("FindPackagesById()", "acme", id="'left.pad'")
        self.assertEqual(found[-1], "Left.Pad 3.0.0")
        self.assertEqual(self.found("Search()", "acme", searchTerm="'qqq'"), [])

    def test_anonymously(self) -> None:
        """Who finds nothing at a group is asked who it is where something is hidden, and has an empty feed else."""
        nothing = {"id": "'nothing'"}
        self.world.principal = ANONYMOUS
        self.assertEqual(self.found("FindPackagesById()", "acme", **nothing), [])
        now(self.world.catalog.add_project("acme/private", Visibility.PRIVATE))
        self.world.principal = WRITER
        self.publish("1.0", name="Hidden", path="acme/private")
        self.assertEqual(self.found("FindPackagesById()", "acme", **nothing), [])
        self.world.principal = ANONYMOUS
        self.assertRaises(errors.AuthenticationRequired, self.ask, "FindPackagesById()", "acme", **nothing)
        self.assertEqual(self.found("FindPackagesById()", **nothing), [])
        self.assertEqual(len(self.found("FindPackagesById()", "acme", id="'left.pad'")), 3)


class EntryTests(FeedTestCase):
    """What is told of a version."""

    HOSTILE = "</d:Id>]]>&lt;script&gt;\"'&amp;"

    def entry(self, resource: str = "Packages(Id='Acme.Lib',Version='1.0')") -> ElementTree.Element:
        """Return an entry."""
        reply = self.ask(resource)
        self.assertEqual(reply.content_type, "application/atom+xml; type=entry; charset=utf-8")
        return parse(body_of(reply))

    def test_properties(self) -> None:
        """Everything that a client reads, the digest included."""
        data = nupkg(
            more="<title>A title</title><tags>a b</tags><requireLicenseAcceptance>true</requireLicenseAcceptance>"
            "<dependencies><group targetFramework='net45'><dependency id='Other' version='[1.0, 2.0)'/></group>"
            "<group targetFramework='net6.0'/></dependencies>"
        )
        self.push(data)
        entry = self.entry()
        properties = entry.find(f"{M}properties")
        assert properties is not None
        for name, expected in {
            "Id": "Acme.Lib", "Version": "1.0.0", "NormalizedVersion": "1.0.0", "Title": "A title", "Authors": "Ann",
            "Tags": "a b", "Dependencies": "Other:[1.0, 2.0):net45|::net6.0", "MinClientVersion": "2.12",
            "PackageHash": base64.b64encode(hashlib.sha512(data).digest()).decode(), "PackageHashAlgorithm": "SHA512",
            "PackageSize": str(len(data)), "IsLatestVersion": "true", "Listed": "true", "IsPrerelease": "false",
            "RequireLicenseAcceptance": "true",
        }.items():  # fmt: skip
            self.assertEqual(properties.findtext(f"{D}{name}"), expected, name)
        content = entry.find(f"{ATOM}content")
        assert content is not None
        self.assertTrue(content.get("src", "").endswith("/v2/package/Acme.Lib/1.0.0"))
        rule = "/v2/package/<segment:id>/<segment:version>"
        self.assertEqual(body_of(self.world.request("GET", rule, id="Acme.Lib", version="1.0")), data)
        self.assertRaises(errors.FileNotFound, self.world.request, "GET", rule, id="Acme.Lib", version="2.0")

    def test_unlisted(self) -> None:
        """Its time says so."""
        self.publish("1.0")
        self.world.request("DELETE", "/v2/package/<segment:id>/<segment:version>", id="acme.lib", version="1.0")
        properties = self.entry().find(f"{M}properties")
        assert properties is not None
        self.assertEqual(properties.findtext(f"{D}Published"), "1900-01-01T00:00:00.000")
        self.assertEqual(properties.findtext(f"{D}Listed"), "false")

    def test_escaped(self) -> None:
        """Whatever a nuspec says stays text."""
        more = "".join(f"<{name}>{self.HOSTILE.replace('<', '&lt;').replace(']]>', ']]&gt;')}</{name}>"
                       for name in ("title", "summary", "tags", "copyright"))  # fmt: skip
        self.push(nupkg(more=more))
        expected = self.HOSTILE.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        for element in (self.entry(), self.feed("FindPackagesById()", id="'acme.lib'")):
            properties = element.find(f".//{M}properties")
            assert properties is not None
            for name in ("Title", "Summary", "Tags", "Copyright"):
                self.assertEqual(properties.findtext(f"{D}{name}"), expected)

    def test_pushed_by_any_address(self) -> None:
        """The second version has addresses of its own."""
        for number, rule in enumerate(("/v2", "/v2/", "/v2/package", "/v2/package/")):
            body = form(nupkg(version=f"{number}.0"))
            self.assertEqual(self.world.request("PUT", rule, body, headers=FORM_HEADERS).status, 201)
        self.assertEqual(len(self.versions()), 4)


class DocumentTests(SynchronousTestCase):
    """Documents that are always the same."""

    def test_service(self) -> None:
        """There is one collection."""
        found = parse(render_service("http://x.example.com/a%2Fb/v2"))
        (collection,) = found.iter("{http://www.w3.org/2007/app}collection")
        self.assertEqual(collection.get("href"), "Packages")

    def test_schema(self) -> None:
        """Clients look for functions, their parameters, and properties."""
        found = parse(render_metadata())
        edm = "{http://schemas.microsoft.com/ado/2006/04/edm}"
        functions = {
            each.get("Name"): {parameter.get("Name") for parameter in each.iter(f"{edm}Parameter")}
            for each in found.iter(f"{edm}FunctionImport")
        }
        self.assertEqual(set(functions), {"Search", "FindPackagesById"})
        for parameters in functions.values():
            self.assertIn("semVerLevel", parameters)
        self.assertIn("IsAbsoluteLatestVersion", {each.get("Name") for each in found.iter(f"{edm}Property")})

    def test_dependencies(self) -> None:
        """Groups without a framework, and without dependencies."""
        groups = [DependencyGroup("", [Dependency("A", ""), Dependency("B", "1.0")]), DependencyGroup("net45", [])]
        self.assertEqual(render_dependencies(groups), "A::|B:1.0:|::net45")
