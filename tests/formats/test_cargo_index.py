"""The index, downloads, yanks, searches and owners, without HTTP."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pkgregd import errors
from pkgregd.testing.calls import body_of, now
from pkgregd.values import ANONYMOUS, AccountPermission, Level, Reply, Role, Visibility
from tests.formats.cargo_world import (
    DOWNLOAD,
    ELSEWHERE,
    FILE,
    OURS,
    OWNERS,
    SEARCH,
    SHORT_DOWNLOAD,
    VERSION,
    CargoTestCase,
    crate,
    dependency,
    frame,
    metadata,
)

MEMBERS_CONFIG = "/members/config.json"
TOY = "http://registry.example.com/api/v4/projects/1/packages/toy"


class IndexTests(CargoTestCase):
    """What resolvers read."""

    def test_config(self) -> None:
        """Everything is at the format's own address; a token is asked for unless the project is public."""
        found = json.loads(body_of(self.world.request("GET", "/config.json")))
        self.assertEqual(found, {"dl": TOY, "api": TOY, "auth-required": False})
        now(self.world.catalog.add_project("acme/three", Visibility.PRIVATE))
        found = json.loads(body_of(self.world.request("GET", "/config.json", path="acme/three")))
        self.assertTrue(found["auth-required"])

    def test_config_of_members(self) -> None:
        """A group has a second index, whose every part asks for a token; a project has none."""
        found = json.loads(body_of(self.world.request("GET", MEMBERS_CONFIG, path="acme")))
        self.assertEqual(found, {"dl": f"{TOY}/members", "api": f"{TOY}/members", "auth-required": True})
        self.assertFalse(json.loads(body_of(self.world.request("GET", "/config.json", path="acme")))["auth-required"])
        self.assertRaises(AssertionError, self.world.request, "GET", MEMBERS_CONFIG)
        crate = {"first": "de", "second": "mo", "name": "demo"}
        self.publish()
        for rule, arguments in {
            MEMBERS_CONFIG: {},
            f"/members{FILE}": crate,
            f"/members{SHORT_DOWNLOAD}": {"name": "demo", "version": "1.0.0"},
            f"/members{SEARCH}": {},
            f"/members{OWNERS}": {"name": "demo"},
        }.items():
            arguments = {"path": "acme", **arguments}
            self.assertEqual(self.world.request("GET", rule, **arguments).status, 200)
            anonymous = {"principal": ANONYMOUS, **arguments}
            self.assertRaises(errors.AuthenticationRequired, self.world.request, "GET", rule, **anonymous)

    def test_config_of_the_instance(self) -> None:
        """It has an index for everybody and one for those with a token, and no more than that."""
        found = json.loads(body_of(self.world.request("GET", "/config.json", path="", principal=ANONYMOUS)))
        self.assertEqual(found, {"dl": TOY, "auth-required": False})
        found = json.loads(body_of(self.world.request("GET", MEMBERS_CONFIG, path="")))
        self.assertEqual(found, {"dl": f"{TOY}/members", "auth-required": True})
        permission = self.world.route("GET", MEMBERS_CONFIG, Level.INSTANCE).permission
        self.assertIs(permission, AccountPermission.READ_USER)
        self.assertRaises(AssertionError, self.world.request, "GET", SEARCH, path="")

    def test_crates_of_the_instance(self) -> None:
        """A crate is in the group whose name is its first word, whichever groups there are, and in no other."""
        for group in ("acme-tools", "tools"):
            now(self.world.catalog.add_group(group, Visibility.PUBLIC))
            now(self.world.catalog.add_project(f"{group}/p", Visibility.PUBLIC))
        self.publish("acme-tools-x")
        self.publish("acme_tools-x", "9.0.0", path="acme-tools/p")
        self.publish("acme-tools-x", "9.0.0", path="tools/p")
        self.publish("tools", path="tools/p")
        self.assertEqual([line["vers"] for line in self.index("acme-tools-x", "")], ["1.0.0"])
        self.assertEqual([line["vers"] for line in self.index("tools", "")], ["1.0.0"])
        arguments = {"path": "", "name": "acme-tools-x", "version": "9.0.0"}
        self.assertRaises(errors.NotFound, self.world.request, "GET", SHORT_DOWNLOAD, **arguments)
        reply = self.world.request("GET", SHORT_DOWNLOAD, **{**arguments, "version": "1.0.0"})
        self.assertEqual(reply.status, 200)

    def test_the_crate_download_at_the_instance(self) -> None:
        """Its index file has the path of a download, and is the group `download`'s all the same."""
        route = self.world.route("GET", SHORT_DOWNLOAD, Level.INSTANCE)
        assert route.owner is not None
        self.assertEqual(route.owner({"name": "do", "version": "wn"}), "download")
        self.assertEqual(route.owner({"name": "Do-x", "version": "1.0.0"}), "do")

    def test_line(self) -> None:
        """A line has what the crate and the request say, and only what is used of newer syntax."""
        toml = (
            'links = "z"\nrust-version = "1.70"\n[dependencies]\nbase = { version = "1", registry-index = "OURS" }\n'
            'other = { version = "2", package = "real", optional = true, default-features = false, features = ["b", '
            '"a"] }\n[features]\ndefault = ["x"]\nx = ["base/y"]\nnew = ["dep:other"]\nweak = ["other?/z"]\n'
        ).replace("OURS", OURS)
        other = dependency(
            "real", "^2", explicit_name_in_toml="other", optional=True, default_features=False, features=["a", "b"],
            registry="https://public.example.com/index",
        )  # fmt: skip
        features = {"default": ["x"], "x": ["base/y"], "new": ["dep:other"], "weak": ["other?/z"]}
        said = {"links": "z", "rust_version": "1.70", "deps": [other, dependency()], "features": features}
        data = self.publish(more=toml, said=said)
        plain = {"target": None, "kind": "normal"}
        self.assertEqual(
            self.index(),
            [
                {
                    "name": "demo", "vers": "1.0.0", "cksum": hashlib.sha256(data).hexdigest(), "yanked": False, "v": 2,
                    "links": "z", "rust_version": "1.70",
                    "features": {"default": ["x"], "x": ["base/y"]},
                    "features2": {"new": ["dep:other"], "weak": ["other?/z"]},
                    "deps": [
                        {"name": "base", "req": "^1", "features": [], "optional": False, "default_features": True,
                         "registry": None, **plain},
                        {"name": "other", "package": "real", "req": "^2", "features": ["a", "b"], "optional": True,
                         "default_features": False, "registry": "https://public.example.com/index", **plain},
                    ],
                }
            ],
        )  # fmt: skip
        self.assertEqual(body_of(self.page()).count(b"\n"), 1)

    def test_plain_line(self) -> None:
        """Without newer syntax a line is of the first version, which every cargo reads."""
        self.publish()
        (line,) = self.index()
        self.assertEqual(set(line), {"name", "vers", "deps", "features", "cksum", "yanked"})

    def test_order_and_validators(self) -> None:
        """All versions are there, in their order; each publish moves the ETag of this crate alone."""
        self.publish("other")
        other = self.page("other").etag
        etags = set()
        for version in ("1.10.0", "1.9.0", "2.0.0-rc.1", "2.0.0", "1.9.1+b"):
            self.publish(version=version)
            etags.add(self.page().etag)
        self.assertEqual([line["vers"] for line in self.index()], ["1.9.0", "1.9.1+b", "1.10.0", "2.0.0-rc.1", "2.0.0"])
        self.assertEqual(len(etags), 5)
        self.assertEqual(self.page("other").etag, other)
        self.assertEqual(self.page().content_type, "text/plain; charset=utf-8")

    def test_many_versions(self) -> None:
        """No version is left out however many there are, and one more changes a page that is kept."""
        for number in range(150):
            self.publish(version=f"1.{number}.0")
        self.assertEqual(len(self.index()), 150)
        self.publish(version="1.77.1")
        self.assertEqual([line["vers"] for line in self.index()][77:79], ["1.77.0", "1.77.1"])

    def test_spellings(self) -> None:
        """Case does not count; under another spelling there is nothing, so that cargo can say what was meant."""
        self.publish("Demo-Crate")
        self.assertEqual(self.index("demo-crate")[0]["name"], "Demo-Crate")
        self.assertRaises(errors.PackageNotFound, self.index, "demo_crate")
        self.assertRaises(errors.PackageNotFound, self.index, "absent")

    def test_short_names(self) -> None:
        """Names of up to three letters have their files elsewhere."""
        for name, rule, more in (
            ("a", "/1/<segment:name>", {}), ("ab", "/2/<segment:name>", {}),
            ("abc", "/3/<segment:first>/<segment:name>", {"first": "a"}),
        ):  # fmt: skip
            self.publish(name)
            reply = self.world.request("GET", rule, name=name, **more)
            self.assertEqual(json.loads(body_of(reply))["name"], name)

    def test_wrong_folders(self) -> None:
        """A file is asked for where it belongs, or the request is malformed."""
        self.publish()
        for rule, arguments in (
            (FILE, {"first": "xx", "second": "mo", "name": "demo"}),
            (FILE, {"first": "1", "second": "d", "name": "demo"}),
            ("/1/<segment:name>", {"name": "demo"}), ("/2/<segment:name>", {"name": "d"}),
            ("/3/<segment:first>/<segment:name>", {"first": "x", "name": "abc"}),
            (FILE, {"first": "ab", "second": "c", "name": "abc"}),
            (FILE, {"first": "..", "second": "mo", "name": "demo"}),
            (FILE, {"first": "{name}", "second": "mo", "name": "demo"}),
            (FILE, {"first": "de", "second": "mo", "name": "d/"}),
        ):  # fmt: skip
            self.assertRaises(errors.InvalidRequest, self.world.request, "GET", rule, **arguments)

    def test_group(self) -> None:
        """A group shows what its projects have; of one version that several have, what was published last."""
        self.publish("demo", "1.0.0")
        newer = self.publish("demo", "1.0.0", path="acme/two", source=b"// two\n")
        self.publish("demo", "2.0.0", path="acme/two")
        lines = self.index(path="acme")
        self.assertEqual([line["vers"] for line in lines], ["1.0.0", "2.0.0"])
        self.assertEqual(lines[0]["cksum"], hashlib.sha256(newer).hexdigest())
        self.assertEqual(body_of(self.world.request("GET", DOWNLOAD, path="acme", name="demo", version="1.0.0")), newer)


class DownloadTests(CargoTestCase):
    """Crates themselves."""

    def get(self, name: str, version: str, rule: str = DOWNLOAD) -> Reply:
        """Ask for a crate."""
        return self.world.request("GET", rule, name=name, version=version)

    def test_both_addresses(self) -> None:
        """A crate is at both, in any spelling of its name, under a name of its own, and never changes."""
        data = self.publish("demo-crate", "1.0.0+b")
        for rule in (DOWNLOAD, SHORT_DOWNLOAD):
            for name in ("demo-crate", "demo_crate", "Demo-Crate"):
                reply = self.get(name, "1.0.0+b", rule)
                self.assertEqual(body_of(reply), data)
                self.assertEqual(reply.etag, hashlib.sha256(data).hexdigest())
                self.assertEqual(reply.download_name, "demo-crate-1.0.0+b.crate")

    def test_not_there(self) -> None:
        """Other names, versions and build metadata are not found, and neither is what is no version."""
        self.publish("demo", "1.0.0+b")
        for name, version in (
            ("demo", "1.0.0"), ("demo", "1.0.0+c"), ("demo", "1.0.1"), ("other", "1.0.0"), ("demo", "latest"),
        ):  # fmt: skip
            self.assertRaises(errors.PackageNotFound, self.get, name, version)
        self.assertRaises(errors.InvalidName, self.get, "a b", "1.0.0")

    def test_a_crate_called_download(self) -> None:
        """The address of its index file looks like that of a crate `do`, and is not."""
        self.publish("download")
        self.assertEqual(json.loads(body_of(self.get("do", "wn", SHORT_DOWNLOAD)))["name"], "download")
        self.assertEqual(body_of(self.get("download", "1.0.0", SHORT_DOWNLOAD)), crate("download"))

    def test_foresight(self) -> None:
        """What the daemon reads beforehand is what the handler asks, and wrong addresses foresee nothing wrong."""
        for rule in (DOWNLOAD, SHORT_DOWNLOAD):
            foresee = self.world.route("GET", rule).foresee
            assert foresee is not None
            lookup: Any = foresee({"name": "De-mo", "version": "1.0.0+b"})
            self.assertEqual(
                (lookup.canonical_name, lookup.canonical_version, lookup.file_name),
                ("de_mo", "1.0.0", "De-mo-1.0.0.crate"),
            )
            self.assertIsNone(foresee({"name": "do", "version": "wn"}))
        foresee = self.world.route("GET", FILE).foresee
        assert foresee is not None
        self.assertIsNone(foresee({"name": "a b"}))


class CommandTests(CargoTestCase):
    """yank, owner and search."""

    def yank(self, method: str = "DELETE", **where: str) -> Reply:
        """Yank a version, or undo it."""
        path = f"{VERSION}/{'yank' if method == 'DELETE' else 'unyank'}"
        return self.world.request(method, path, **{"name": "demo", "version": "1.0.0", **where})

    def search(self, path: str = "acme/one", **queries: str) -> Any:
        """Search."""
        return json.loads(body_of(self.world.request("GET", SEARCH, path=path, queries=queries)))

    def test_yank(self) -> None:
        """A yanked version says so in the index and can be fetched; twice is as good as once, and it can be undone."""
        data = self.publish()
        self.publish(version="1.1.0")
        for method, wanted in (("DELETE", True), ("DELETE", True), ("PUT", False), ("PUT", False)):
            self.assertEqual(json.loads(body_of(self.yank(method))), {"ok": True})
            self.assertEqual([line["yanked"] for line in self.index()], [wanted, False])
            reply = self.world.request("GET", DOWNLOAD, name="demo", version="1.0.0")
            self.assertEqual(body_of(reply), data)
        for where in ({"version": "3.0.0"}, {"name": "other"}):
            self.assertRaises(errors.PackageNotFound, self.yank, **where)
        self.assertRaises(errors.InvalidVersion, self.yank, version="x")

    def test_owners(self) -> None:
        """Maintainers own the crates of their project, and nobody is made an owner here."""
        self.publish()
        for user, role in (("mary", Role.MAINTAINER), ("dave", Role.DEVELOPER)):
            now(self.world.catalog.add_user(user))
            now(self.world.catalog.set_member(user, "acme/one", role))
        (owner,) = json.loads(body_of(self.world.request("GET", OWNERS, name="demo")))["users"]
        self.assertEqual((owner["login"], owner["name"]), ("mary", "mary"))
        self.assertIsInstance(owner["id"], int)
        self.assertRaises(errors.PackageNotFound, self.world.request, "GET", OWNERS, name="other")
        for method in ("PUT", "DELETE"):
            error = self.assertRaises(errors.InvalidRequest, self.world.request, method, OWNERS, name="demo")
            self.assertIn("the maintainers of the project acme/one", str(error))

    def test_search(self) -> None:
        """Names, descriptions and keywords are searched; shown is the greatest version that is to be used."""
        self.publish("demo", "1.9.0")
        for version in ("1.10.0", "2.0.0-rc.1"):
            self.publish("demo", version, said={"description": "The newest"})
        self.publish("demo", "1.11.0")
        self.yank(version="1.11.0")
        self.publish("other-demo", said={"description": None, "keywords": ["special"]})
        found = self.search(q="demo")
        self.assertEqual(found["meta"], {"total": 2})
        self.assertEqual(
            found["crates"],
            [
                {"name": "demo", "max_version": "1.10.0", "description": "The newest"},
                {"name": "other-demo", "max_version": "1.0.0", "description": None},
            ],
        )
        self.assertEqual([each["name"] for each in self.search(q="special")["crates"]], ["other-demo"])
        self.assertEqual([each["name"] for each in self.search(per_page="1", page="2")["crates"]], ["other-demo"])
        self.assertEqual(self.search(q="nothing"), {"crates": [], "meta": {"total": 0}})
        self.assertEqual(self.search("acme", q="demo")["meta"], {"total": 2})

    def test_bad_searches(self) -> None:
        """Numbers are numbers, and a query has an end; more than a page can have is cut."""
        for queries in (
            {"per_page": "x"}, {"per_page": "0"}, {"page": "-1"}, {"page": "\u0661"}, {"q": "x" * 1000},
            {"page": "9" * 5000}, {"per_page": ""},
        ):  # fmt: skip
            self.assertRaises(errors.InvalidRequest, self.search, **queries)
        self.assertEqual(self.search(per_page="999999")["crates"], [])

    def test_only_pre_releases(self) -> None:
        """Where there is nothing better, the greatest there is is shown."""
        self.publish("demo", "1.0.0-a")
        self.publish("demo", "1.0.0-b")
        self.assertEqual(self.search()["crates"][0]["max_version"], "1.0.0-b")


class RegistryTests(CargoTestCase):
    """Which registry a dependency is of."""

    def test_other_registries(self) -> None:
        """Another registry is named by both sides alike, but for a slash."""
        more = f'[dependencies]\nbase = {{ version = "1", registry-index = "{ELSEWHERE}" }}\n'
        self.publish(more=more, said={"deps": [dependency(registry=ELSEWHERE.rstrip("/"))]})
        self.assertEqual(self.index()[0]["deps"][0]["registry"], ELSEWHERE.rstrip("/"))

    def test_escapes_in_our_address(self) -> None:
        """The registry itself is known at any spelling of its path, and at another name of its host."""
        more = f'[dependencies]\nbase = {{ version = "1", registry-index = "{OURS.replace("toy", "%74oy")}" }}\n'
        self.publish(more=more, said={"deps": [dependency()]})

    def test_default_registry(self) -> None:
        """What Cargo.toml leaves to cargo's default registry is not said to be of this one, however it is named."""
        data = crate(more='[dependencies]\nbase = "1"\n')
        for registry in (OURS, None):
            body = frame(metadata(deps=[dependency(registry=registry)]), data)
            self.assertIn("the default registry", self.assert_refused(errors.MetadataMismatch, body))
        body = frame(metadata(deps=[dependency(registry="https://public.example.com/index")]), data)
        self.assertEqual(self.put(body).status, 200)
