"""npm: publishing, installing, and everything else that it asks of a registry."""

from __future__ import annotations

import gzip
import http.client
import json
from typing import TYPE_CHECKING

from tests.support.clients import OverHttps
from tests.support.npm import make_document, make_package, make_provenance, with_provenance
from tests.support.npm_clients import NpmTestCase
from tests.support.protecting import keeper, protect

if TYPE_CHECKING:
    _Base = NpmTestCase
else:
    _Base = object

ATTESTATIONS_PROGRAM = """
const [modules, registry, token, wanted] = [process.argv[1] + "/npm/node_modules/", ...process.argv.slice(2)]
require(modules + "sigstore")
require.cache[require.resolve(modules + "sigstore")].exports = { verify: async () => {} }  // nobody signed it
const pacote = require(modules + "pacote")
const options = { registry, verifyAttestations: true, [registry.replace(/^http:/, "") + ":_authToken"]: token }
pacote.manifest(wanted, options).then(found => {
  console.log(JSON.stringify(found._attestationBundles.map(({ bundle }) => bundle)))
})
"""
"""What `npm audit signatures` does about one package; the command itself asks somebody else for keys first."""


class PublishContract(_Base):
    """What has to work over HTTP and over HTTPS with a private authority."""

    def test_publish_and_install(self) -> None:
        """A package arrives in an empty project, with its program, and again by `npm ci` from the lock file."""
        self.assert_works(self.publish("1.0.0", bin={"it": "index.js"}, description="A thing"))
        self.project()
        self.assert_works(self.in_project("install", self.name))
        self.assertEqual(self.installed_version(), "1.0.0")
        answer = self.run_program("node", "-p", f"require('./project/node_modules/{self.name}')")
        self.assertEqual(self.assert_works(answer).strip(), "42")
        self.assertTrue((self.folder / "project" / "node_modules" / ".bin" / "it").exists())
        lock = json.loads((self.folder / "project" / "package-lock.json").read_text())
        locked = lock["packages"][f"node_modules/{self.name}"]
        self.assertTrue(locked["resolved"].startswith(self.daemon.url), locked)
        self.assertTrue(locked["integrity"].startswith("sha512-"))
        self.assert_works(self.run_client("cache", "clean", "--force"))
        self.assert_works(self.in_project("ci"))
        self.assertEqual(self.installed_version(), "1.0.0")

    def test_without_credentials(self) -> None:
        """Whoever has no token, or a wrong one, is told so."""
        self.assert_works(self.publish("1.0.0"))
        registry = self.daemon.packages_url("npm", self.daemon.world.private_id)
        self.project()
        for token in ("", "nonsense"):
            self.use(registry, token)
            self.assert_fails(self.in_project("install", self.name), "E401", "Unable to authenticate", "send a token")
        self.use(registry, "nonsense")
        self.assert_fails(self.publish("2.0.0"), "E401")
        self.use(registry, self.daemon.world.reader)
        self.assert_fails(self.publish("2.0.0"), "E403", "create_package")


class NpmTests(NpmTestCase, PublishContract):
    """Over HTTP, and everything that does not depend on it."""

    def test_again(self) -> None:
        """A version that is there is not published over, in the words of the client and of the registry."""
        self.assert_works(self.publish("1.0.0"))
        text = "You cannot publish over the previously published versions"
        self.assert_fails(self.publish("1.0.0", code="other"), text)
        self.assert_fails(self.publish("1.0.0", "--force", code="other"), text)

    def test_what_npm_rewrites(self) -> None:
        """Repositories in short words, and what is bundled or written carelessly, are published as npm repairs it."""
        written = {"short": "user/repository", "host": "gitlab:user/repository#v1", "page": "https://github.com/u/r",
                   "ssh": "git@bitbucket.org:u/r.git", "plain": "^1.0.0"}  # fmt: skip
        fields = {"dependencies": written, "bundleDependencies": ["packed"], "optionalDependencies": ["one@1"],
                  "peerDependencies": {"peer": "user/peer"}, "bin": ["./index.js"], "engines": {"node": ">=18"},
                  "scripts": {"test": 3, "install": "./node_modules/.bin/it"},
                  "peerDependenciesMeta": {"peer": {"optional": True}}, "os": ["linux"]}  # fmt: skip
        self.assert_works(self.publish("1.0.0", **fields))
        wanted = self.view("dependencies")
        self.assertEqual(wanted["short"], "github:user/repository")
        self.assertEqual(wanted["page"], "git+https://github.com/u/r.git")
        self.assertEqual(wanted["ssh"], "git+ssh://git@bitbucket.org/u/r.git")
        self.assertEqual(wanted["packed"], "*")
        self.assertEqual(self.view("optionalDependencies"), {"one": "1"})
        self.assert_works(self.publish("1.1.0", "--tag", "v1-lts"))
        self.assertEqual(self.view("dist-tags"), {"latest": "1.0.0", "v1-lts": "1.1.0"})

    def test_tags(self) -> None:
        """Tags come with a version, move, go, and are installed by."""
        self.assert_works(self.publish("1.0.0"))
        self.assert_works(self.publish("2.0.0-rc.1", "--tag", "next"))
        self.assertEqual(self.view("dist-tags"), {"latest": "1.0.0", "next": "2.0.0-rc.1"})
        self.assert_works(self.run_client("dist-tag", "add", f"{self.name}@1.0.0", "stable"))
        self.assertIn("stable: 1.0.0", self.assert_works(self.run_client("dist-tag", "ls", self.name)))
        self.assert_fails(self.run_client("dist-tag", "rm", self.name, "stable"), "E403", "destroy_package")
        self.use_maintainer()
        self.assert_works(self.run_client("dist-tag", "rm", self.name, "stable"))
        self.assertNotIn("stable", self.assert_works(self.run_client("dist-tag", "ls", self.name)))
        self.project()
        self.assert_works(self.in_project("install", f"{self.name}@next"))
        self.assertEqual(self.installed_version(), "2.0.0-rc.1")

    def test_deprecate(self) -> None:
        """A deprecation is shown to whoever installs, and taken back."""
        self.assert_works(self.publish("1.0.0"))
        self.assert_works(self.publish("2.0.0"))
        deprecate = ("deprecate", f"{self.name}@1", "use the second one")
        self.assert_fails(self.run_client(*deprecate), "E403", "destroy_package")
        self.use_maintainer()
        self.assert_works(self.run_client(*deprecate))
        self.project()
        self.assertIn("use the second one", self.assert_works(self.in_project("install", f"{self.name}@1")))
        self.assertEqual(self.view("versions"), ["1.0.0", "2.0.0"])
        self.assert_works(self.run_client("deprecate", f"{self.name}@1", ""))
        self.assertNotIn("second", self.assert_works(self.run_client("view", f"{self.name}@1")))

    def test_unpublish(self) -> None:
        """A version goes and never comes back with other bytes; then all of them go."""
        for version in ("1.0.0", "2.0.0", "3.0.0"):
            self.assert_works(self.publish(version))
        self.use_maintainer()
        self.assert_works(self.run_client("unpublish", f"{self.name}@2.0.0"))
        self.assertEqual(self.view("versions"), ["1.0.0", "3.0.0"])
        self.assert_fails(self.publish("2.0.0", "--tag", "old", code="other"), "E403", "cannot be used again")
        self.assert_works(self.run_client("unpublish", "--force", self.name))
        self.assert_fails(self.run_client("view", self.name), "E404")

    def test_protected(self) -> None:
        """Who may not publish, tag, deprecate or unpublish is told who may; the rule's own people may."""
        self.assert_works(self.publish("1.0.0"))
        protect(self.daemon, "npm", f"{self.name.upper()[:-3]}*", push="owner", delete="owner")
        pushed = ("E403", "Package protected. In this project only owners and above may publish")
        self.assert_fails(self.publish("2.0.0"), *pushed)
        self.assert_fails(self.run_client("dist-tag", "add", f"{self.name}@1.0.0", "stable"), *pushed)
        self.use_maintainer()
        self.assert_fails(self.run_client("deprecate", self.name, "old"), *pushed)
        self.assert_fails(
            self.run_client("unpublish", "--force", self.name),
            "E403", "Package is deletion protected. In this project only owners and above may delete",
        )  # fmt: skip
        self.assertEqual(self.view("versions"), ["1.0.0"])
        self.use(self.daemon.packages_url("npm", self.daemon.world.private_id), keeper(self.daemon))
        self.assert_works(self.publish("2.0.0"))
        self.assert_works(self.run_client("unpublish", "--force", self.name))

    def test_questions(self) -> None:
        """Who am I, is anybody there, whose is it, is anything known against it."""
        self.assert_works(self.publish("1.0.0"))
        self.daemon.cli("user", "add", "mary")
        self.daemon.cli("member", "add", "mary", "acme/private", "--role", "maintainer")
        self.assertEqual(self.assert_works(self.run_client("whoami")).strip(), "wendy")
        self.assert_works(self.run_client("ping"))
        self.assertIn("mary", self.assert_works(self.run_client("owner", "ls", self.name)))
        self.project()
        self.assert_works(self.in_project("install", self.name))
        self.assertIn("found 0 vulnerabilities", self.assert_works(self.in_project("audit", "--audit=true")))

    def test_readme_and_times(self) -> None:
        """npm shows the readme that it published, and when."""
        self.assert_works(self.publish("1.0.0"))
        self.assert_works(self.publish("1.1.0"))
        self.assertEqual(self.view("readme").strip(), "# A package")
        self.assertEqual(self.view("readmeFilename"), "README.md")
        self.assertEqual(self.view("dist.fileCount"), 3)
        times = self.view("time")
        self.assertEqual(times["created"], times["1.0.0"])
        self.assertEqual(set(times), {"created", "modified", "1.0.0", "1.1.0"})

    def test_attestations(self) -> None:
        """npm finds the provenance of a version, and that it speaks of the tarball; nobody signed it here."""
        manifest = {"name": self.name, "version": "1.0.0"}
        tarball = make_package(manifest)
        bundle = make_provenance(self.name, "1.0.0", tarball)
        document = json.dumps(with_provenance(make_document(manifest, tarball), bundle)).encode()
        registry = self.daemon.packages_url("npm", self.daemon.world.private_id)
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port)
        path = f"{self.daemon.packages_path('npm', self.daemon.world.private_id)}/{self.name.replace('/', '%2f')}"
        connection.request("PUT", path, document, {"PRIVATE-TOKEN": self.daemon.world.writer})
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        root = self.assert_works(self.run_client("root", "--global")).strip()
        words = (root, f"{registry}/", self.daemon.world.reader, f"{self.name}@1.0.0")
        answer = self.run_program(self.find("node"), "-e", ATTESTATIONS_PROGRAM, *words)
        self.assertEqual(json.loads(self.assert_works(answer)), [bundle])

    def test_group(self) -> None:
        """A package is installed from the group, and from the instance, where its scope is the group's path."""
        self.assert_works(self.publish("1.0.0"))
        group = f"{self.daemon.url}/api/v4/groups/{self.daemon.world.group}/-/packages/npm"
        for registry in (group, f"{self.daemon.url}/api/v4/packages/npm"):
            self.use(registry, self.daemon.world.reader)
            self.project()
            self.assert_works(self.in_project("install", self.name))
            self.assertEqual(self.installed_version(), "1.0.0")
            self.assertTrue(self.view("dist.tarball").startswith(registry))

    def test_tokens_of_a_project_at_its_private_group(self) -> None:
        """What a pipeline has for its own project is good where that project's packages are looked up."""
        self.daemon.cli("group", "add", "closed")
        project = self.daemon.cli("project", "add", "closed/app").strip()
        self.daemon.cli("project", "add", "closed/other")
        self.name = "@closed/lib"
        job = self.daemon.cli("token", "add", "--kind", "job", "--project", "closed/app").strip()
        deploy = self.daemon.cli(
            "token", "add", "--kind", "deploy", "--project", "closed/app", "--scope", "read_package_registry"
        ).strip()
        other = self.daemon.cli("token", "add", "--kind", "job", "--project", "closed/other").strip()
        self.use(self.daemon.packages_url("npm", project), job)
        self.assert_works(self.publish("1.0.0"))
        for registry in ("/api/v4/groups/closed/-/packages/npm", "/api/v4/packages/npm"):
            for token in (job, deploy):
                self.use(self.daemon.url + registry, token)
                self.project()
                self.assert_works(self.in_project("install", self.name))
                self.assertEqual(self.installed_version(), "1.0.0")
            self.use(self.daemon.url + registry, other)
            self.assert_fails(self.run_client("view", self.name), "E404")

    def test_document_by_hand(self) -> None:
        """A document is compressed for who takes that, and not sent again to who has it."""
        self.assert_works(self.publish("1.0.0", description="x" * 5000))
        path = f"{self.daemon.packages_path('npm', self.daemon.world.private_id)}/{self.name.replace('/', '%2F')}"
        headers = {"PRIVATE-TOKEN": self.daemon.world.reader, "Accept-Encoding": "gzip"}
        status, found, body = self.daemon.get(path, headers)
        self.assertEqual((status, found["Content-Encoding"]), (200, "gzip"))
        self.assertEqual(json.loads(gzip.decompress(body))["name"], self.name)
        status, _, body = self.daemon.get(path, {**headers, "If-None-Match": found["ETag"]})
        self.assertEqual((status, body), (304, b""))
        self.assertEqual(self.daemon.get(path)[0], 401)

    def test_asking(self) -> None:
        """Who is asking, whether anybody is there, and what there is."""
        self.assertEqual(self.assert_works(self.run_client("whoami")).strip(), "wendy")
        self.assert_works(self.run_client("ping"))
        self.assert_works(self.publish("1.0.0", description="quite unheard of"))
        output = self.assert_works(self.run_client("search", "--json", "unheard"))
        self.assertEqual([found["name"] for found in json.loads(output)], [self.name])


class NpmHttpsTests(OverHttps, NpmTestCase, PublishContract):
    """The same over HTTPS."""
