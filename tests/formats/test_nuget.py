"""NuGet packages, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.formats.nuget import NuGetFormat
from pkgregd.formats.nuget_index import PAGE_BYTES, PAGE_VERSIONS, Registration
from pkgregd.formats.nuget_names import Version, canonical_version, version_key
from pkgregd.formats.nuget_nuspec import MAX_DEPENDENCIES_CHARACTERS, METADATA_DOCUMENT
from pkgregd.formats.nuget_ranges import checked_range
from pkgregd.formats.nuget_search import MAX_VERSIONS
from pkgregd.testing.calls import body_of, now
from pkgregd.testing.format_contract import FormatContract
from tests.formats.nuget_world import NuGetTestCase, nupkg, nuspec
from tests.support.archives import make_zip

ASCENDING = (
    "0.9", "1.0-a", "1.0-a.1", "1.0-a.2", "1.0-a.10", "1.0-a.b", "1.0-a-1", "1.0-b", "1.0", "1.0.0.1", "1.0.1", "1.2",
    "1.10", "2", "2147483647.0.0-0", "2147483647.0.0-99999999999",
)  # fmt: skip
PRERELEASES = (
    "1.0--2147483648", "1.0--5", "1.0--3", "1.0-0", "1.0-5", "1.0-10", "1.0-10.-1", "1.0-10.a", "1.0-2147483647",
    "1.0--", "1.0---5", "1.0--2147483649", "1.0-1-1", "1.0-10000000000", "1.0-2147483648", "1.0-9999999999", "1.0-a-1",
    "1.0-a1",
)  # fmt: skip


class NuGetContractTests(FormatContract, SynchronousTestCase):
    """NuGet is a format."""

    good_names = {"Acme.Lib": "acme.lib", "a": "a", "A_b-C.d1": "a_b-c.d1"}

    def make_format(self) -> NuGetFormat:
        """Make it."""
        return NuGetFormat()


class VersionTests(SynchronousTestCase):
    """Versions, normalised and in order."""

    def test_normalized(self) -> None:
        """Zeros that mean nothing and metadata go."""
        for text, normalized, full in (
            ("1", "1.0.0", "1.0.0"), ("1.0", "1.0.0", "1.0.0"), ("01.02.03", "1.2.3", "1.2.3"),
            ("1.2.3.0", "1.2.3", "1.2.3"), ("1.2.3.4", "1.2.3.4", "1.2.3.4"),
            ("1.0-RC.1+x.y", "1.0.0-RC.1", "1.0.0-RC.1+x.y"),
        ):  # fmt: skip
            version = Version.parse(text)
            self.assertEqual((version.normalized, version.full), (normalized, full))
            self.assertEqual(canonical_version(text), normalized.lower())

    def test_order(self) -> None:
        """By numbers, then by labels, without regard to case."""
        self.assertEqual(sorted(ASCENDING, key=version_key), list(ASCENDING))
        self.assertEqual(sorted(PRERELEASES, key=version_key), list(PRERELEASES))
        self.assertEqual(version_key("1.0-RC"), version_key("1.0.0.0-rc+x"))

    def test_labels_that_are_the_same_number(self) -> None:
        """They make the same version, as they do for clients; what is too long for a number is text."""
        for text, canonical in (
            ("1.0-a.-05", "1.0.0-a.-5"), ("1.0--0", "1.0.0-0"), ("1.0--00000000000000001", "1.0.0--1"),
            ("1.0--02147483649", "1.0.0--02147483649"), ("1.0-5A", "1.0.0-5a"),
        ):  # fmt: skip
            self.assertEqual(canonical_version(text), canonical)

    def test_bad(self) -> None:
        """What is no version is refused, and so is what clients cannot read."""
        for text in (
            "1.2147483648",
            "1.0.0.9999999999",
            "1.0-01",
            "1.0-a.00",
            "",
            "a",
            "1.",
            "1.0-",
            "1.0+",
            "1.2.3.4.5",
            "1.0-a..b",
            "1.0\n",
            "12345678901",
            "1.0-\u00e4",
            "1" * 200,
        ):
            self.assertRaises(errors.InvalidVersion, Version.parse, text)

    @given(st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(-[0-9A-Za-z.-]{1,6})?(\+[0-9a-z]{1,3})?", fullmatch=True))
    def test_canonical_is_its_own(self, text: str) -> None:
        """A canonical version stays as it is, and has the same place in the order."""
        try:
            canonical = canonical_version(text)
        except errors.InvalidVersion:
            return
        self.assertEqual(canonical_version(canonical), canonical)
        self.assertEqual(version_key(canonical), version_key(text))


class RangeTests(SynchronousTestCase):
    """Ranges of versions, as clients read them."""

    def test_ranges(self) -> None:
        """They are kept as they were written."""
        for text in (
            "1.0", "[1.0]", "(1.0)", "(1.0,)", "(,1.0]", "(, )", "( ,)", "[1.0, 2.0)", "[1.0 , 2.0-a.1 )", "1.0+x",
            "[ ,2.0]", "",
        ):  # fmt: skip
            self.assertEqual(checked_range(text), text)
        self.assertEqual([checked_range(" "), checked_range(" 1.0\n")], ["", "1.0"])

    def test_bad(self) -> None:
        """What clients cannot read is refused, and what is for projects alone."""
        for text in (
            "nonsense $(x)", "[,]", "(,)", "1.*", "*", "[1.*, 2)", "[1.0,2.0,3.0]", "[1.0", "1.0]", "[]", "[1.0-01]",
            "[1,,2]", "(,2.0", "[1.9999999999.0]", "[1\u00a0,2]", "[1,\t2]", "1" * 257, "\x85",
            "1|evil:1", "1:net45", "[1,2|3)", "[1:,2)",
        ):  # fmt: skip
            self.assertRaises(errors.InvalidVersion, checked_range, text)

    @given(st.text("[]()0123.,- *ab", max_size=12))
    def test_any_text(self, text: str) -> None:
        """A range stays as it is, or is refused."""
        try:
            found = checked_range(text)
        except errors.InvalidVersion:
            return
        self.assertEqual(checked_range(found), found)


class PushTests(NuGetTestCase):
    """Publishing."""

    def test_there_at_once(self) -> None:
        """In the flat container, with its nuspec, under any spelling."""
        data = nupkg(version="1.0")
        self.assertEqual(self.push(data).status, 201)
        self.assertEqual(self.versions(), ["1.0.0"])
        for name, version, file in (
            ("acme.lib", "1.0.0", "acme.lib.1.0.0.nupkg"),
            ("Acme.Lib", "1.0", "Acme.Lib.1.0.nupkg"),
            ("ACME.LIB", "1.0.0.0", "acme.lib.1.0.0.nupkg"),
        ):
            self.assertEqual(self.download(name, version, file), data)
        self.assertEqual(self.download("acme.lib", "1.0.0", "acme.lib.nuspec"), nuspec(version="1.0"))
        for file in ("acme.lib.2.0.0.nupkg", "other.1.0.0.nupkg", "acme.lib.1.0.0.zip", "acme.lib.x.nupkg"):
            self.assertRaises(errors.FileNotFound, self.download, "acme.lib", "1.0.0", file)

    def test_again(self) -> None:
        """The same version again is a conflict, the same bytes, too: clients have a switch for that."""
        self.publish("1.0.0")
        for data in (
            nupkg(),
            nupkg(payload=b"other"),
            nupkg("ACME.lib"),
            nupkg(version="1.0"),
            nupkg(version="1.0.0+x"),
        ):
            self.assertRaises(errors.FileExists, self.push, data)
            self.assertTrue(self.world.is_clean())

    def test_bad_packages(self) -> None:
        """Whatever is no package leaves nothing."""
        entity = b'<!DOCTYPE package [<!ENTITY a "b">]>' + nuspec()
        for data in (
            b"", b"no zip", make_zip([("x.dll", b"x")]), make_zip([("a/x.nuspec", nuspec())]),
            make_zip([("a.nuspec", nuspec()), ("b.nuspec", nuspec())]), make_zip([("a.nuspec", b"<x/>")]),
            make_zip([("a.nuspec", entity)]), make_zip([("a.nuspec", b"<package><metadata/></package>")]),
            make_zip([("a.nuspec", nuspec()), ("../x", b"x")]), make_zip([("a.nuspec", nuspec()), ("/x", b"x")]),
            make_zip([("a.nuspec", nuspec()), ("x", b"1"), ("x", b"2")]), make_zip([("a.nuspec", b" " * (2 << 20))]),
            nupkg()[:-5], b"MZ" + nupkg(), nupkg(name="../x"), nupkg(name="a" * 101), nupkg(version="x"),
            nupkg(more="<dependencies><dependency id='../x'/></dependencies>"),
            nupkg(more="<dependencies>" + "<dependency id='x'/>" * 2001 + "</dependencies>"),
            nupkg(more="<dependencies><dependency id='x' version='nonsense $(x)'/></dependencies>"),
            nupkg(more="<dependencies><group targetFramework='a&#x85;b'/></dependencies>"),
            nupkg(more="<title>a&#x85;b&#x202e;</title>"),
            nupkg(more="<releaseNotes>" + "x" * 300_000 + "</releaseNotes>"),
        ):  # fmt: skip
            self.assertRaises(errors.InvalidRequest, self.push, data)
            self.assertTrue(self.world.is_clean())
            self.assertEqual(self.world.blobs.contents, {})
        self.assertRaises(errors.MalformedBody, self.push, nupkg(), field="other")

    def test_dependencies_have_a_length(self) -> None:
        """All together are at most what the gallery of NuGet takes."""
        for count, status in ((MAX_DEPENDENCIES_CHARACTERS // 64, 201), (MAX_DEPENDENCIES_CHARACTERS // 64 + 1, 400)):
            more = "".join(f"<dependency id='{number:058}' version='1.0'/>" for number in range(count))
            data = nupkg(version=f"1.0.{count}", more=f"<dependencies>{more}</dependencies>")
            if status == 201:
                self.assertEqual(self.push(data).status, status)
            else:
                self.assertIn("32767", str(self.assertRaises(errors.InvalidRequest, self.push, data)))
        more = "<group targetFramework='net6.0'/>" * 4000
        self.assertRaises(errors.InvalidRequest, self.push, nupkg(more=f"<dependencies>{more}</dependencies>"))

    def test_what_is_read_of_every_version_is_small(self) -> None:
        """What a nuspec says stands in a document of its own."""
        self.publish("1.0.0", more=f"<tags>{'a ' * 4000}</tags>")
        (version,) = now(self.world.remote().list_versions("acme.lib"))
        self.assertLess(len(version.metadata_json), 200)

    def test_links_that_a_browser_would_run(self) -> None:
        """They are not kept."""
        self.publish(
            "1.0", more="<projectUrl>javascript:alert(1)</projectUrl><iconUrl>https://x.example.com/</iconUrl>"
        )
        entry = self.registration()["items"][0]["items"][0]["catalogEntry"]
        self.assertEqual((entry["projectUrl"], entry["iconUrl"]), ("", "https://x.example.com/"))


class RegistrationTests(NuGetTestCase):
    """What clients resolve by."""

    def test_entries(self) -> None:
        """Everything that a client needs to choose."""
        more = (
            "<tags>a b</tags><license type='expression'>MIT</license>"
            "<requireLicenseAcceptance>true</requireLicenseAcceptance>"
            "<dependencies><group targetFramework='net6.0'><dependency id='Other' version='[1.0, 2.0)'/></group>"
            "<group targetFramework='netstandard2.0'/></dependencies>"
        )
        self.publish("1.0", more=more)
        page = self.registration()["items"][0]
        self.assertEqual((page["count"], page["lower"], page["upper"]), (1, "1.0.0", "1.0.0"))
        (item,) = page["items"]
        entry = item["catalogEntry"]
        self.assertEqual((entry["id"], entry["version"], entry["listed"]), ("Acme.Lib", "1.0.0", True))
        self.assertEqual((entry["tags"], entry["licenseExpression"]), (["a", "b"], "MIT"))
        self.assertEqual((entry["requireLicenseAcceptance"], entry["minClientVersion"]), (True, "2.12"))
        groups = entry["dependencyGroups"]
        self.assertEqual([group["targetFramework"] for group in groups], ["net6.0", "netstandard2.0"])
        self.assertEqual([(each["id"], each["range"]) for each in groups[0]["dependencies"]], [("Other", "[1.0, 2.0)")])
        self.assertTrue(item["packageContent"].endswith("/download/acme.lib/1.0.0/acme.lib.1.0.0.nupkg"))

    def test_flat_dependencies(self) -> None:
        """Those without a group are for any framework."""
        self.publish("1.0", more="<dependencies><dependency id='Other'/></dependencies>")
        (group,) = self.registration()["items"][0]["items"][0]["catalogEntry"]["dependencyGroups"]
        self.assertNotIn("targetFramework", group)
        self.assertEqual(group["dependencies"][0]["range"], "(, )")

    def test_pages(self) -> None:
        """Up to two pages stand in the index; more are fetched by themselves, and are whole and in order."""
        versions = [f"1.{number}.0" for number in range(2 * PAGE_VERSIONS + 3)]
        self.publish(*versions[: 2 * PAGE_VERSIONS])
        pages = self.registration()["items"]
        self.assertEqual([len(page["items"]) for page in pages], [PAGE_VERSIONS, PAGE_VERSIONS])
        self.publish(*versions[2 * PAGE_VERSIONS :])
        pages = self.registration()["items"]
        self.assertEqual([page["count"] for page in pages], [PAGE_VERSIONS, PAGE_VERSIONS, 3])
        found = []
        for page in pages:
            self.assertNotIn("items", page)
            *_, lower, upper = page["@id"].split("/")
            rule = "/metadata/<segment:id>/page/<segment:lower>/<segment:upper>"
            whole = self.get(rule, id="acme.lib", lower=lower, upper=upper)
            self.assertEqual((whole["@id"], whole["count"]), (page["@id"], page["count"]))
            found += [item["catalogEntry"]["version"] for item in whole["items"]]
        self.assertEqual(found, versions)
        self.assertEqual(self.versions(), versions)

    def page(self, lower: str, upper: str) -> Any:
        """Read a page."""
        rule = "/metadata/<segment:id>/page/<segment:lower>/<segment:upper>"
        return self.get(rule, id="acme.lib", lower=lower, upper=f"{upper}.json")

    def test_pages_are_bounded_by_bytes(self) -> None:
        """Great nuspecs make small pages, and an index that has none of them."""
        more = f"<tags>{'a ' * 3999}</tags><description>{'b' * 8000}</description><summary>{'c' * 8000}</summary>"
        versions = [f"1.{number}.0" for number in range(3 * PAGE_BYTES // 20_000)]
        self.publish(*versions, more=more)
        pages = self.registration()["items"]
        self.assertGreater(len(pages), 2)
        found = []
        for page in pages:
            self.assertNotIn("items", page)
            whole = self.page(page["lower"], page["upper"])
            self.assertLess(len(json.dumps(whole)), 2 * PAGE_BYTES)
            found += [item["catalogEntry"]["version"] for item in whole["items"]]
        self.assertEqual(found, versions)
        self.assertRaises(errors.PackageNotFound, self.page, versions[0], versions[-1])

    def test_only_pages_are_pages(self) -> None:
        """Bounds that no page has or can have had are not found, and nothing is kept for any bounds."""
        versions = [f"1.{number}.0" for number in range(3 * PAGE_VERSIONS)]
        self.publish(*versions)
        for lower, upper in (
            ("1.0.0", f"1.{3 * PAGE_VERSIONS - 1}.0"), ("0.0.1", "1.63.0"), ("1.0.0", "1.62.1"), ("1.5.0", "1.4.0"),
            ("0.1.0", "9.0.0"),
        ):  # fmt: skip
            self.assertRaises(errors.PackageNotFound, self.page, lower, upper)
        self.assertEqual(self.world.pages.kept_bytes, 0)
        self.assertEqual(self.page("1.0.0", "1.63.0")["count"], PAGE_VERSIONS)
        kept_bytes = self.world.pages.kept_bytes
        self.assertGreater(kept_bytes, 0)
        # what a client has in an index that it read before some were published between them
        self.assertEqual(self.page("1.10.0", "1.73.0")["count"], PAGE_VERSIONS)
        self.assertEqual(self.world.pages.kept_bytes, kept_bytes)

    def test_page_of_an_earlier_index(self) -> None:
        """A client that reads the index, and the page after another push, gets what it was told of."""
        versions = [f"1.{number}.0" for number in range(3 * PAGE_VERSIONS)]
        self.publish(*versions[:-1])
        page = self.registration()["items"][-1]
        self.publish(versions[-1], "1.5.1")
        again = self.page(page["lower"], page["upper"])
        self.assertEqual((again["@id"], again["count"]), (page["@id"], page["count"]))

    def test_deleted_meanwhile(self) -> None:
        """A version that goes while a page is made is left out; a page of which all went is not there."""
        self.publish("1.0.0", "2.0.0")
        versions = now(self.world.remote().list_versions("acme.lib"))
        documents = now(self.world.remote().list_documents(versions, METADATA_DOCUMENT))
        rest = {versions[1].package_id: documents[versions[1].package_id]}
        registration = Registration("https://registry.example.com/nuget", "acme.lib")
        index = json.loads(b"".join(registration.index_layout().render(versions, versions, rest)))
        (page,) = index["items"]
        self.assertEqual((page["lower"], page["count"], len(page["items"])), ("2.0.0", 1, 1))
        layout = registration.page_layout("1.0.0", "2.0.0")
        self.assertRaises(errors.PackageNotFound, list, layout.render(versions, versions, {}))

    def test_exceptions_without_case(self) -> None:
        """However an id is written, by the publisher or by who set the exception, the exception holds for it."""
        limits = evolve(self.world.limits, duplicates_allowed=True, duplicate_exception_regex=r"Acme\..*")
        self.world.limits = limits
        self.publish("1.0.0")
        for name in ("Acme.Lib", "acme.lib"):
            with self.assertRaises(errors.FileExists):
                self.publish("1.0.0", name=name, more="<tags>other</tags>")

    def test_replaced(self) -> None:
        """Where versions may be replaced, everything tells of the new one."""
        self.world.limits = evolve(self.world.limits, duplicates_allowed=True)
        self.publish("1.0.0+a")
        self.publish("1.0+b", name="ACME.Lib", more="<packageTypes><packageType name='DotnetTool'/></packageTypes>")
        entry = self.registration()["items"][0]["items"][0]["catalogEntry"]
        self.assertEqual((entry["id"], entry["version"]), ("ACME.Lib", "1.0.0+b"))
        options = {"q": "", "semVerLevel": "2.0.0", "packageType": "DotnetTool"}
        (found,) = self.get("/query", queries=options)["data"]
        self.assertEqual([found["version"], found["versions"][0]["version"]], ["1.0.0+b", "1.0.0+b"])
        versions = self.get("/autocomplete", queries={"id": "acme.lib", "semVerLevel": "2.0.0"})["data"]
        self.assertEqual(versions, ["1.0.0+b"])

    def test_leaf(self) -> None:
        """A version by itself."""
        self.publish("1.0")
        leaf = self.get("/metadata/<segment:id>/<segment:leaf>", id="Acme.Lib", leaf="1.0.json")
        self.assertEqual(leaf["listed"], True)
        self.assertRaises(
            errors.FileNotFound, self.get, "/metadata/<segment:id>/<segment:leaf>", id="acme.lib", leaf="2.0.json"
        )

    def test_unlisted(self) -> None:
        """It is still there for who names it, and comes back."""
        self.publish("1.0", "2.0")
        for method, listed, found in (("DELETE", False, "1.0.0"), ("POST", True, "2.0.0")):
            self.world.request(method, "/<segment:id>/<segment:version>", id="ACME.Lib", version="2.0")
            entries = [item["catalogEntry"] for item in self.registration()["items"][0]["items"]]
            self.assertEqual([entry["listed"] for entry in entries], [True, listed])
            self.assertEqual(entries[1]["published"].startswith("1900"), not listed)
            self.assertEqual(self.search(), (1, [("Acme.Lib", found)]))
            self.assertEqual(self.versions(), ["1.0.0", "2.0.0"])
        self.assertRaises(
            errors.PackageNotFound,
            self.world.request, "DELETE", "/<segment:id>/<segment:version>", id="Acme.Lib", version="3.0",
        )  # fmt: skip

    def test_nothing(self) -> None:
        """A name that nobody published is not found."""
        self.assertRaises(errors.NotFound, self.registration, "nothing")
        self.assertRaises(errors.NotFound, self.versions, "nothing")

    def test_group(self) -> None:
        """A group merges its projects, at addresses of its own."""
        self.publish("1.0")
        self.publish("2.0", path="acme/two")
        (page,) = self.registration(path="acme")["items"]
        self.assertEqual([item["catalogEntry"]["version"] for item in page["items"]], ["1.0.0", "2.0.0"])

    def test_group_keeps_to_the_first(self) -> None:
        """Whoever pushes a version that another project has takes its place nowhere, and says nothing of it."""
        first = nupkg(payload=b"first")
        self.push(first, "acme/two")
        self.push(nupkg(payload=b"second", more="<title>Second</title>"))
        rule = "/download/<segment:id>/<segment:version>/<segment:file>"
        asked = {"id": "acme.lib", "version": "1.0.0", "file": "acme.lib.1.0.0.nupkg"}
        reply = self.world.request("GET", rule, path="acme", **asked)
        self.assertEqual(body_of(reply), first)
        self.assertIn(("Cache-Control", "no-cache"), reply.headers)  # it may be deleted: then the second is there
        (item,) = self.registration(path="acme")["items"][0]["items"]
        self.assertEqual(item["catalogEntry"]["title"], "")
        self.assertEqual(self.get("/query", "acme", {"q": "acme"})["data"][0]["title"], "")
        own = self.world.request("GET", rule, **asked)
        self.assertNotEqual(body_of(own), first)
        self.assertIn("immutable", dict(own.headers)["Cache-Control"])
        self.assertRaises(
            errors.FileNotFound,
            self.world.request, "GET", rule, path="acme", **{**asked, "version": "2.0", "file": "acme.lib.2.0.nupkg"},
        )  # fmt: skip

    def test_group_where_the_first_is_unlisted(self) -> None:
        """It stays the first: the group lists neither, and a search counts neither."""
        self.publish("1.0", path="acme/two")
        self.publish("1.0")
        self.world.request("DELETE", "/<segment:id>/<segment:version>", path="acme/two", id="acme.lib", version="1.0")
        (item,) = self.registration(path="acme")["items"][0]["items"]
        self.assertEqual(item["catalogEntry"]["listed"], False)
        self.assertEqual(self.search(path="acme"), (0, []))
        self.assertEqual(self.search(), (1, [("Acme.Lib", "1.0.0")]))

    def test_validators(self) -> None:
        """They move with every publish and unlisting."""
        rule = "/metadata/<segment:id>/index.json"
        self.publish("1.0")
        seen = [self.world.request("GET", rule, id="acme.lib").etag]
        self.publish("2.0")
        seen.append(self.world.request("GET", rule, id="acme.lib").etag)
        self.world.request("DELETE", "/<segment:id>/<segment:version>", id="acme.lib", version="2.0")
        seen.append(self.world.request("GET", rule, id="acme.lib").etag)
        self.assertEqual(len(set(seen)), 3)
        self.assertEqual(self.world.request("GET", rule, id="acme.lib").etag, seen[-1])


class SearchTests(NuGetTestCase):
    """Finding packages."""

    def setUp(self) -> None:
        """Publish some."""
        super().setUp()
        self.publish("1.0", "2.0-beta", name="Left.Pad", more="<tags>text</tags>")
        self.publish("0.1-beta", name="Right.Pad")
        self.publish("1.0-a.1", name="New.Tool", more="<packageTypes><packageType name='DotnetTool'/></packageTypes>")

    def found(self, text: str = "", **queries: str) -> Sequence[tuple[str, str]]:
        """Search."""
        total, found = self.search(text, **queries)
        self.assertEqual(total, len(found))
        return found

    def test_prereleases(self) -> None:
        """They are there only for who asks for them, those of SemVer 2 for who can read them."""
        self.assertEqual(self.found(), [("Left.Pad", "1.0.0")])
        pads = [("Left.Pad", "2.0.0-beta"), ("Right.Pad", "0.1.0-beta")]
        self.assertEqual(self.found(prerelease="true"), pads)
        self.assertEqual(
            self.found(prerelease="true", semVerLevel="2.0.0"), [pads[0], ("New.Tool", "1.0.0-a.1"), pads[1]]
        )

    def test_texts(self) -> None:
        """By id, tags and description; and by id alone."""
        for text, names in (
            ("left", ["Left.Pad"]),
            ("text", ["Left.Pad"]),
            ("packageid:left.PAD", ["Left.Pad"]),
            ("PackageId: left", []),
            ("id:left", ["Left.Pad"]),
            ("qqq", []),
        ):
            self.assertEqual([name for name, _ in self.found(text)], names, text)

    def test_types(self) -> None:
        """Only packages of that type."""
        options = {"prerelease": "true", "semVerLevel": "2.0.0"}
        self.assertEqual(self.found(packageType="dotnettool", **options), [("New.Tool", "1.0.0-a.1")])
        self.assertEqual(len(self.found(packageType="Dependency", **options)), 2)

    def test_filters_come_before_pieces(self) -> None:
        """What is filtered out takes nobody's place, and does not count."""
        self.publish("1.0", name="Zzz.Tool", more="<packageTypes><packageType name='DotnetTool'/></packageTypes>")
        for number in range(5):
            self.publish("1.0", name=f"Aaa{number}")
            self.publish("1.0-b", name=f"Bbb{number}")
        self.assertEqual(self.search(packageType="DotnetTool", take="3"), (1, [("Zzz.Tool", "1.0.0")]))
        self.assertEqual(self.search("bbb", take="3"), (0, []))
        total, found = self.search("bbb", take="3", prerelease="true")
        self.assertEqual((total, len(found)), (5, 3))
        for package_type in ("a b", "x" * 101):
            self.assertRaises(errors.InvalidRequest, self.search, "", packageType=package_type)
        self.assertEqual(self.search("", packageType="%"), (0, []))

    def test_unlisted_names_are_not_completed(self) -> None:
        """A name of which every version is out of sight is none to be completed."""
        self.publish("1.0", name="Gone")
        self.world.request("DELETE", "/<segment:id>/<segment:version>", id="gone", version="1.0")
        self.assertEqual(self.get("/autocomplete", queries={"q": "gone"}), {"totalHits": 0, "data": []})

    def test_newest_versions(self) -> None:
        """A search tells of so many versions of a name."""
        self.publish(*(f"1.{number}.0" for number in range(MAX_VERSIONS + 1)), name="Many")
        (found,) = self.get("/query", queries={"q": "many"})["data"]
        self.assertEqual([found["versions"][0]["version"], len(found["versions"])], ["1.1.0", MAX_VERSIONS])

    def test_pieces(self) -> None:
        """So many, from there on; a number that is none is refused."""
        total, found = self.search(prerelease="true", semVerLevel="2.0.0", skip="1", take="1")
        self.assertEqual((total, [name for name, _ in found]), (3, ["New.Tool"]))
        for queries in ({"skip": "-1"}, {"take": "x"}, {"skip": "9" * 30}):
            self.assertRaises(errors.InvalidRequest, self.search, "", **queries)

    def test_pieces_are_full(self) -> None:
        """What is passed over leaves no gap: pieces follow each other, and the first one is not empty."""
        for number in range(45):
            self.publish("1.0-beta", name=f"A{number:02}")
        for number in range(5):
            self.publish("1.0", name=f"B{number}")
        everything = [("B0", "1.0.0"), ("B1", "1.0.0"), ("B2", "1.0.0"), ("B3", "1.0.0"), ("B4", "1.0.0")]
        everything.append(("Left.Pad", "1.0.0"))
        self.assertEqual(self.search(), (6, everything))
        pieces = [self.search(skip=str(skip), take="2")[1] for skip in (0, 2, 4, 6)]
        self.assertEqual(pieces, [everything[:2], everything[2:4], everything[4:], []])
        self.assertEqual(self.search(take="0")[1], [])
        self.assertEqual(self.get("/autocomplete", queries={"take": "3"})["data"], ["B0", "B1", "B2"])

    def test_far_behind(self) -> None:
        """A piece that lies behind the end is empty."""
        self.assertEqual(self.search(skip="99999"), (1, []))

    def test_completion(self) -> None:
        """Ids that match and have such a version, and versions of an id."""
        for queries, names in (
            ({}, ["Left.Pad"]),
            ({"prerelease": "true"}, ["Left.Pad", "Right.Pad"]),
            ({"prerelease": "true", "packageType": "DotnetTool"}, []),
        ):
            found = self.get("/autocomplete", queries={"q": "pad", **queries})
            self.assertEqual((found["totalHits"], found["data"]), (len(names), names))
        self.assertEqual(self.get("/autocomplete", queries={"id": "left.PAD"})["data"], ["1.0.0"])
        versions = self.get("/autocomplete", queries={"id": "left.pad", "prerelease": "true"})["data"]
        self.assertEqual(versions, ["1.0.0", "2.0.0-beta"])

    def test_service_index(self) -> None:
        """Every kind that some client asks for is there; a group does not publish."""
        found = {entry["@type"]: entry["@id"] for entry in self.get("/index.json")["resources"]}
        for kind in ("RegistrationsBaseUrl/3.4.0", "RegistrationsBaseUrl/Versioned", "SearchQueryService/3.0.0-beta"):
            self.assertIn(kind, found)
        self.assertTrue(found["PackageBaseAddress/3.0.0"].endswith("/download/"))
        self.assertFalse(found["PackagePublish/2.0.0"].endswith("/"))
        group = {entry["@type"] for entry in self.get("/index.json", "acme")["resources"]}
        self.assertNotIn("PackagePublish/2.0.0", group)
