"""NuGet packages, without HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.formats.nuget import NuGetFormat
from pkgregd.formats.nuget_index import PAGE_VERSIONS
from pkgregd.formats.nuget_names import Version, canonical_version, version_key
from pkgregd.testing.format_contract import FormatContract
from tests.formats.nuget_world import NuGetTestCase, nupkg, nuspec
from tests.support.archives import make_zip

ASCENDING = (
    "0.9", "1.0-a", "1.0-a.1", "1.0-a.2", "1.0-a.10", "1.0-a.b", "1.0-a-1", "1.0-b", "1.0", "1.0.0.1", "1.0.1", "1.2",
    "1.10", "2",
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
        self.assertEqual(version_key("1.0-RC"), version_key("1.0.0.0-rc+x"))

    def test_bad(self) -> None:
        """What is no version is refused."""
        for text in (
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
            nupkg(more="<title>a&#x85;b&#x202e;</title>"),
            nupkg(more="<releaseNotes>" + "x" * 300_000 + "</releaseNotes>"),
        ):  # fmt: skip
            self.assertRaises(errors.InvalidRequest, self.push, data)
            self.assertTrue(self.world.is_clean())
            self.assertEqual(self.world.blobs.contents, {})
        self.assertRaises(errors.MalformedBody, self.push, nupkg(), field="other")

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
        """A piece that lies beyond what is gone through is there, too, and empty behind the end."""
        self.assertEqual(self.search(skip="99999"), (3, []))

    def test_completion(self) -> None:
        """Ids that match and have such a version, and versions of an id."""
        for queries, ids in (
            ({}, ["Left.Pad"]),
            ({"prerelease": "true"}, ["Left.Pad", "Right.Pad"]),
            ({"prerelease": "true", "packageType": "DotnetTool"}, []),
        ):
            self.assertEqual(self.get("/autocomplete", queries={"q": "pad", **queries})["data"], ids)
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
