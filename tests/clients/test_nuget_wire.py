"""What nuget.exe never shows: validators, challenges, bad pushes, races and memory, over a real daemon's socket."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import ssl
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tests.formats.nuget_hostile import hostile_pushes
from tests.formats.nuget_world import FORM_HEADERS, PDB_ID, SIGNATURE, SYMBOLS, form, nupkg, nuspec, pdb, snupkg
from tests.support.archives import make_zip
from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.daemon import wait_until
from tests.support.rawhttp import Answer, RawConnection, basic
from tests.support.stored import staged_files, stored_blobs

MIB = 1 << 20
GREAT_BYTES = 192 * MIB
MAX_PEAK_BYTES = 120 * MIB
RACERS = 16

SESSION: Mapping[str, str] = {
    "User-Agent": "NuGet .NET Core MSBuild Task/6.14.0 (Debian GNU/Linux 12)",
    "X-NuGet-Client-Version": "6.14.0",
    "X-NuGet-Session-Id": "6560191c-ce8c-418f-b2c3-b85d9a6d7b08",
    "Accept-Encoding": "gzip, deflate",
}


class NuGetWireTestCase(DaemonTestCase):
    """One daemon, spoken to over bare sockets."""

    def path(self, rest: str = "", project: str | None = None) -> str:
        """Return a path below the format's address."""
        return self.daemon.packages_path("nuget", project or self.daemon.world.private_id) + rest

    def put(self, rest: str, body: bytes, token: str | None = None) -> Answer:
        """Push as clients do, with the writer's key."""
        headers = {
            **FORM_HEADERS,
            "X-NuGet-ApiKey": token or self.daemon.world.writer,
            "Content-Length": str(len(body)),
        }
        with RawConnection(self.daemon.port) as connection:
            return connection.request("PUT", self.path(rest), headers, [body])

    def get(self, rest: str, **headers: str) -> Answer:
        """Read with the reader's token."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        with RawConnection(self.daemon.port) as connection:
            return connection.request("GET", self.path(rest), {"PRIVATE-TOKEN": self.daemon.world.reader, **named})


class WireTests(NuGetWireTestCase):
    """What any client may do."""

    blobs = ON_DISK

    def test_validators(self) -> None:
        """A registration has an ETag, which a publish moves and 304 answers, and is compressed for who takes that."""
        for number in range(20):
            self.assertEqual(self.put("/", form(nupkg("Validators", f"1.{number}.0"))).status, 201)
        for rest in ("/metadata/validators/index.json", "/download/validators/index.json"):
            plain = self.get(rest)
            packed = self.get(rest, accept_encoding="gzip")
            if "content-encoding" in packed.headers:
                self.assertEqual(gzip.decompress(packed.body), plain.body)
            self.assertEqual(self.get(rest, if_none_match=plain.headers["etag"]).status, 304)
        packed = self.get("/metadata/validators/index.json", accept_encoding="gzip")
        self.assertEqual(packed.headers["content-encoding"], "gzip")
        etag = packed.headers["etag"]
        self.assertEqual(self.put("/", form(nupkg("Validators", "2.0.0"))).status, 201)
        self.assertEqual(self.get("/metadata/validators/index.json", if_none_match=etag).status, 200)

    def test_challenges(self) -> None:
        """Every way to read and write says who is asked for; the public project's readers are not."""
        for method, rest in (
            ("GET", "/index.json"), ("GET", "/metadata/x/index.json"), ("GET", "/download/x/index.json"),
            ("GET", "/download/x/1.0.0/x.1.0.0.nupkg"), ("GET", "/query"), ("GET", "/autocomplete"), ("GET", "/v2"),
            ("GET", "/v2/$metadata"), ("GET", "/v2/FindPackagesById()?id='x'"), ("GET", "/v2/package/x/1.0.0"),
            ("GET", f"/symbolfiles/x.pdb/{SIGNATURE}/x.pdb"), ("PUT", "/"), ("PUT", ""), ("PUT", "/symbolpackage"),
            ("PUT", "/v2"), ("DELETE", "/x/1.0.0"), ("POST", "/x/1.0.0"), ("DELETE", "/v2/x/1.0.0"),
        ):  # fmt: skip
            status, headers, _ = self.daemon.get(self.path(rest), method=method)
            self.assertEqual((status, headers["WWW-Authenticate"]), (401, 'Basic realm="pkgregd"'), (method, rest))
        public = self.daemon.world.public_id
        for rest in ("/index.json", "/v2", "/query", "/v2/Search()?searchTerm=''"):
            self.assertEqual(self.daemon.get(self.path(rest, public))[0], 200, rest)
        for rest in ("/index.json", "/v2/$metadata"):
            headers = {"PRIVATE-TOKEN": self.daemon.world.stranger}
            self.assertEqual(self.daemon.get(self.path(rest), headers)[0], 404, rest)

    def test_by_path(self) -> None:
        """A project is named by its number or its path, in links too."""
        self.assertEqual(self.put("/", form(nupkg("By.Path"))).status, 201)
        whole = self.path("/index.json", "acme%2Fprivate")
        status, _, body = self.daemon.get(whole, {"PRIVATE-TOKEN": self.daemon.world.reader})
        self.assertEqual(status, 200)
        found = {entry["@type"]: entry["@id"] for entry in json.loads(body)["resources"]}
        address = found["PackageBaseAddress/3.0.0"] + "by.path/1.0.0/by.path.1.0.0.nupkg"
        self.assertIn("/projects/acme%2Fprivate/packages/nuget/download/", address)
        path = address.removeprefix(self.daemon.url)
        self.assertEqual(self.daemon.get(path, {"PRIVATE-TOKEN": self.daemon.world.reader})[2], nupkg("By.Path"))

    def test_refused_before_the_body(self) -> None:
        """Without the right to publish nothing of a body is read: no 100 Continue is sent."""
        for rest in ("/", "/symbolpackage/", "/v2/"):
            headers = {**FORM_HEADERS, "X-NuGet-ApiKey": self.daemon.world.reader, "Content-Length": "1000"}
            with RawConnection(self.daemon.port) as connection:
                answer = connection.request("PUT", self.path(rest), {**headers, "Expect": "100-continue"})
            self.assertEqual((answer.status, answer.interim), (403, ()))

    def test_hostile_pushes(self) -> None:
        """Each of the table is a 4xx that says why and leaves nothing; then good ones are taken."""
        stored = stored_blobs(self.daemon.folder)
        count = 0
        for hostile in hostile_pushes():
            answer = self.put(hostile.rule, hostile.make())
            self.assertIn(answer.status, range(400, 500), f"{hostile}: {answer.body!r}")
            message = json.loads(answer.body)["message"]
            self.assertTrue(message.isprintable() and len(message) > 10, f"{hostile}: {message!a}")
            count += 1
        self.assertGreater(count, 250)
        self.assertEqual(self.get("/metadata/acme.lib/index.json").status, 404)
        wait_until(lambda: stored_blobs(self.daemon.folder) == stored, "removal of refused blobs")
        self.assertEqual(staged_files(self.daemon.folder), set())
        self.assertEqual(self.put("/", form(nupkg())).status, 201)
        self.assertEqual(self.put("/symbolpackage", form(snupkg())).status, 201)

    def test_hostile_questions(self) -> None:
        """Nonsense in an address or a query is a 4xx."""
        for rest in (
            "/v2/Packages()?$filter=(((", "/v2/Packages()?$filter=" + "(" * 3000, "/v2/Packages()?$filter=%ff",
            "/v2/FindPackagesById()", "/v2/FindPackagesById()?id='../x'", "/v2/FindPackagesById()?id=" + "a" * 5000,
            "/v2/Packages(Id='..%2F',Version='1')", "/v2/Packages(Id='x',Version='..')", "/v2/Search()?$top=-1",
            "/v2/Search()?$skip=99999999999", "/v2/$batch", "/v2/x/y/z/1", "/v2/..%2f", "/v2/Search()/$value",
            "/query?take=x", "/query?skip=-1", "/autocomplete?id=a%20b", "/metadata/..%2Fx/index.json",
            "/metadata/x/index.html", "/metadata/x/page/1/2", "/metadata/x/page/1.0/x.json", "/download/x/y/z",
            "/download/x/1.0/x.1.0.exe", "/download/a%00b/index.json", f"/symbolfiles/..%2Fx/{SIGNATURE}/x",
            "/symbolfiles/x.pdb/x/x.pdb", "/symbolfiles/x.pdb/" + "f" * 5000 + "/x.pdb",
        ):  # fmt: skip
            answer = self.get(rest, symbolchecksum="SHA256:" + "0" * 64)
            self.assertIn(answer.status, (400, 404, 414, 431), f"{rest[:100]}: {answer.status}")

    def test_race(self) -> None:
        """Of many who push a version, or its symbols, at once one wins; the others are told so, and leave nothing."""
        packages = [nupkg("Race", payload=b"%d" % number) for number in range(RACERS)]
        symbols = [snupkg("Race", files={"r.pdb": pdb(b"%020d" % number)}) for number in range(RACERS)]
        for rest, bodies in (("/", packages), ("/symbolpackage", symbols)):
            answers = self.at_once(rest, bodies)
            self.assertEqual(Counter(answers), {201: 1, 409: RACERS - 1}, rest)
        winner = self.get("/download/race/1.0.0/race.1.0.0.snupkg").body
        number = symbols.index(winner)
        for each in range(RACERS):
            guid = (b"%020d" % each)[:16]
            signature = (guid[3::-1] + guid[5:3:-1] + guid[7:5:-1] + guid[8:]).hex() + "ffffffff"
            checksum = "SHA256:" + hashlib.sha256(pdb(bytes(20))).hexdigest()
            answer = self.get(f"/symbolfiles/r.pdb/{signature}/r.pdb", symbolchecksum=checksum)
            self.assertEqual(answer.status, 200 if guid == (b"%020d" % number)[:16] else 404)

    def at_once(self, rest: str, bodies: Sequence[bytes]) -> list[int]:
        """Push all of them at the same time; returns the statuses."""
        answers: list[int] = []
        barrier = threading.Barrier(len(bodies))

        def run(body: bytes) -> None:
            barrier.wait()
            answers.append(self.put(rest, form(body)).status)

        threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def test_great_symbols(self) -> None:
        """A great PDB is taken out of its package in little memory, stored or deflated, and sent in ranges."""
        self.assertEqual(self.put("/", form(nupkg("Great"))).status, 201)
        self.assertEqual(self.put("/", form(nupkg("Great", "2.0.0"))).status, 201)
        noise = os.urandom(MIB)
        for version, method, body in (
            ("1.0.0", zipfile.ZIP_STORED, noise * (GREAT_BYTES // MIB)),
            ("2.0.0", zipfile.ZIP_DEFLATED, (noise[: MIB // 16] + bytes(MIB)) * 64),
        ):
            great = pdb(PDB_ID[:15] + version[:1].encode() + bytes(4), body)
            spec = nuspec("Great", version, SYMBOLS)
            package = form(make_zip([("Great.nuspec", spec), ("great.pdb", great)], method))
            self.daemon.reset_peak()
            answer = self.put("/symbolpackage", package)
            self.assertEqual(answer.status, 201, answer.body)
            self.assertLess(self.daemon.peak_bytes(), MAX_PEAK_BYTES)
            checksum = "SHA256:" + hashlib.sha256(pdb(bytes(20), body)).hexdigest()
            signature = SIGNATURE[:30] + version[:1].encode().hex() + "ffffffff"
            rest = f"/symbolfiles/great.pdb/{signature}/great.pdb"
            self.assertEqual(hashlib.sha256(self.get(rest, symbolchecksum=checksum).body).digest(),
                             hashlib.sha256(great).digest())  # fmt: skip
            piece = self.get(rest, symbolchecksum=checksum, range="bytes=1000-1999")
            self.assertEqual((piece.status, piece.body), (206, great[1000:2000]))


class SessionTests(NuGetWireTestCase):
    """The requests of whole sessions as they were recorded, with the headers of `dotnet`, each over one connection."""

    external_scheme = "https"

    def setUp(self) -> None:
        """Connect with TLS, as the client's user would."""
        super().setUp()
        context = ssl.create_default_context(cafile=self.daemon.ca_file)
        self.connection = RawConnection(self.daemon.tls_port, tls=context)
        self.addCleanup(self.connection.close)

    def ask(self, address: str, **headers: str) -> Answer:
        """Get an absolute address: without credentials at first, then with them, as these clients do."""
        path = address.removeprefix(self.daemon.https_url)
        self.assertTrue(path.startswith("/"), address)
        refused = self.connection.request("GET", path, {**SESSION, "Host": "localhost", **headers})
        self.assertEqual((refused.status, refused.headers["www-authenticate"]), (401, 'Basic realm="pkgregd"'), path)
        shown = {"Authorization": basic("rob", self.daemon.world.reader)}
        return self.connection.request("GET", path, {**SESSION, "Host": "localhost", **shown, **headers})

    def ask_json(self, address: str) -> dict[str, object]:
        """Get a document that may be compressed."""
        answer = self.ask(address)
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"))
        is_packed = answer.headers.get("content-encoding") == "gzip"
        found: dict[str, object] = json.loads(gzip.decompress(answer.body) if is_packed else answer.body)
        return found

    def resources(self) -> dict[str, str]:
        """Read the service index."""
        listed = self.ask_json(self.daemon.https_url + self.path("/index.json"))["resources"]
        assert isinstance(listed, list)
        return {entry["@type"]: entry["@id"] for entry in listed}

    def push(self, address: str, data: bytes, key: str | None = None) -> Answer:
        """Push in chunks, with a slash behind the address and the key in its header."""
        path = address.removeprefix(self.daemon.https_url) + "/"
        sent = {
            **SESSION, **FORM_HEADERS, "Host": "localhost", "Transfer-Encoding": "chunked",
            "X-NuGet-ApiKey": key or self.daemon.world.writer, "X-NuGet-Protocol-Version": "4.1.0",
        }  # fmt: skip
        return self.connection.request("PUT", path, sent, chunks(form(data)))

    def test_push_restore_and_delete(self) -> None:
        """A push with its symbols; a restore; what is asked before an update; a deletion."""
        found = self.resources()
        data = nupkg("Session.Lib", more="<dependencies><dependency id='Session.Base' version='1.0.0'/></dependencies>")
        for address, package in (
            (found["PackagePublish/2.0.0"], nupkg("Session.Base")),
            (found["PackagePublish/2.0.0"], data),
            (found["SymbolPackagePublish/4.9.0"], snupkg("Session.Lib", files={"Session.Lib.pdb": pdb()})),
        ):
            self.assertEqual(self.push(address, package).status, 201, address)
            self.assertEqual(self.push(address, package).status, 409, address)
        base = found["PackageBaseAddress/3.0.0"]
        self.assertEqual(self.ask_json(f"{base}session.lib/index.json"), {"versions": ["1.0.0"]})
        content = self.ask(f"{base}session.lib/1.0.0/session.lib.1.0.0.nupkg")
        self.assertEqual((content.status, content.body), (200, data))
        self.assertNotIn("content-encoding", content.headers)
        again = self.ask(
            f"{base}session.lib/1.0.0/session.lib.1.0.0.nupkg", **{"If-None-Match": content.headers["etag"]}
        )
        self.assertEqual(again.status, 304)
        self.assertEqual(self.ask(f"{base}session.other/index.json").status, 404)
        registration = self.ask_json(found["RegistrationsBaseUrl/3.6.0"] + "session.lib/index.json")
        entry = registration["items"][0]["items"][0]  # type: ignore[index]
        (group,) = entry["catalogEntry"]["dependencyGroups"]
        self.assertEqual(group["dependencies"][0]["range"], "1.0.0")
        self.assertEqual(self.ask(entry["packageContent"]).body, data)
        needed = group["dependencies"][0]["id"].lower()
        self.assertEqual(self.ask(f"{found['RegistrationsBaseUrl/3.6.0']}{needed}/index.json").status, 200)
        for kind in ("VulnerabilityInfo/6.7.0", "RepositorySignatures/5.0.0"):
            self.assertNotIn(kind, found)  # a client that finds none asks for none
        self.daemon.cli("member", "add", "rob", "acme/private", "--role", "maintainer")
        path = found["PackagePublish/2.0.0"].removeprefix(self.daemon.https_url) + "/Session.Lib/1.0.0"
        key = {"X-NuGet-ApiKey": self.daemon.world.reader, "Content-Length": "0", "Host": "localhost"}
        self.assertEqual(self.connection.request("DELETE", path, {**SESSION, **key}).status, 204)
        self.assertEqual(self.connection.request("POST", path, {**SESSION, **key}).status, 200)

    def test_push_without_a_key(self) -> None:
        """It is asked for after the first chunks, on the connection that then closes; the second try has it."""
        address = self.resources()["PackagePublish/2.0.0"]
        path = address.removeprefix(self.daemon.https_url) + "/"
        plain = {**SESSION, **FORM_HEADERS, "Host": "localhost", "Transfer-Encoding": "chunked"}
        body = form(nupkg("Without.Key"))
        refused = self.connection.request("PUT", path, plain, chunks(body))
        self.assertEqual((refused.status, refused.headers["www-authenticate"]), (401, 'Basic realm="pkgregd"'))
        context = ssl.create_default_context(cafile=self.daemon.ca_file)
        with RawConnection(self.daemon.tls_port, tls=context) as connection:
            shown = {"Authorization": basic("wendy", self.daemon.world.writer)}
            self.assertEqual(connection.request("PUT", path, {**plain, **shown}, chunks(body)).status, 201)


def chunks(data: bytes) -> Iterator[bytes]:
    """Cut a body into the chunks that were recorded: the head, two pieces, the end."""
    for piece in (data[:150], data[150:-50], data[-50:]):
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
