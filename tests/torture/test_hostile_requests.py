"""Requests that no client sends, at every route of every format: each is answered, and none with a 5xx."""

from __future__ import annotations

import http.client
import os
import random
import re
from collections import Counter
from collections.abc import Mapping
from urllib.parse import quote

from attrs import frozen

from pkgregd.http.mounts import Mount
from tests.support.cases import DaemonTestCase
from tests.test_routes import whole_table

REQUESTS_PER_ROUTE = int(os.environ.get("PKGREGD_HOSTILE_REQUESTS", "60"))
SEED = int(os.environ.get("PKGREGD_HOSTILE_SEED", "20261128"))

WORDS = (
    "a", "A", "lib", "lib-1.0.0.tgz", "@acme%2Flib", "@acme/lib", "@", "@/", "@a", "1", "1.0", "1.0.0", "1.0.0.json",
    "1.0.0+x", "1.0-SNAPSHOT", "1.0-20261128.101112-1", "-SNAPSHOT", "-", "--", "-rev", "1-x", "..", "%2e%2e",
    "%2F", "%00", "%ff", "a%0ab", "sp%61ce", "a%20b", "%E2%80%AE", "%7B%7D", "x" * 300, "9" * 40, "1e9", "latest",
    "~", "con", "_", "com", "config.json", "index.json", "maven-metadata.xml", "maven-metadata.xml.sha1", "lib-1.0.pom",
    "lib-1.0.jar.asc", "a.sha1", ".sha1", "lib.1.0.0.nupkg", "lib.nuspec", "lib.pdb", "F" * 40, "download", "yank",
    "org.couchdb.user:a", "__proto__", "constructor", "simple", "json", "*", "()", "'", '%22', "%3Cb%3E",
)  # fmt: skip

BODIES = (
    b"", b"{}", b"[]", b"null", b"{", b"true", b'"1.0.0"', b'"latest"', b"\xff" * 50, b"0" * 40, b"[" * 5000,
    b'{"a":' * 5000,
    b'{"a": 1, "a": 2}', b'{"name": "\\ud800"}', b'{"n": 1e999}', b'{"password": "x", "name": "a"}', b"token=x",
    b"<project/>", b"<metadata/>", b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"<a>" * 3000,
    b"PK\x03\x04" + b"\0" * 100, b"PK\x05\x06" + b"\0" * 18, b"\x1f\x8b\x08" + b"\0" * 30, b"BSJB" + b"\xff" * 40,
    b"\x02\0\0\0{}\x01\0\0\0x", b"\xff\xff\xff\xff", b"\0\0\0\0\0\0\0\0",
    b'{"name": "lib", "versions": {"1.0.0": {"deprecated": "x"}}}',
    b'{"name": 1, "versions": [], "_attachments": {"x": {"data": "QUJD"}}}',
    b'{"_attachments": {"lib-1.0.0.tgz": {"data": "QUJD", "length": 3}}, "dist-tags": {"latest": 3}, "versions": '
    b'{"1.0.0": {"name": "lib", "version": "1.0.0", "dist": {"integrity": 5, "shasum": []}}}}',
    b'--b\r\nContent-Disposition: form-data; name="package"; filename="p"\r\n\r\nxx\r\n--b--\r\n',
    b'--b\r\nContent-Disposition: form-data; name="content"; filename="a-1.0.tar.gz"\r\n\r\nxx\r\n--b--\r\n',
    b"--b\r\n\r\n", b"--b--\r\n",
)  # fmt: skip

QUERIES = (
    "?q=%00", "?q=%25_%5c&skip=1&take=5", "?take=99999999999999999999", "?skip=-1", "?id=x%0a", "?text=%ff", "?size=x",
    "?from=9999999", "?per_page=0&page=99999", "?page=-1", "?prerelease=TRUE&semVerLevel=9", "?q=" + "a%20" * 200,
    "?session=x", "?$filter=Id%20eq%20'a'", "?id='a'", "?$top=x", "?a&a=&=b&%", "?status=nonsense",
)  # fmt: skip

HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Type": (
        "application/json", "multipart/form-data; boundary=b", "multipart/form-data", "text/xml", "a/b; c=\xff", "",
        "application/x-www-form-urlencoded", "application/octet-stream",
    ),
    "Accept": ("application/vnd.npm.install-v1+json;q=x", "*/*;q=1.5.5", "", "application/json;q=0", "a" * 3000),
    "If-None-Match": ("*", '"', 'W/"x"', ","),
    "Range": ("bytes=0-0", "bytes=-1", "bytes=9-1", "x", "bytes=" + "1-2," * 300),
    "X-Checksum-Sha1": ("x", "0" * 40),
    "Symbolchecksum": ("SHA256:x", "x"),
    "User-Agent": ("\xff\xfe", "a" * 3000),
}  # fmt: skip


@frozen
class HostileRequest:
    """
    One request.

    Attributes:
        rule: the route's.
    """

    rule: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None


class RequestMaker:
    """
    Makes requests out of what has no meaning, or too many.

    Args:
        seed: the same one makes the same requests.
        project, group: what is in sight.
        tokens: one of which most requests show.
    """

    def __init__(self, seed: int, project: str, group: str, tokens: tuple[str, ...]) -> None:
        self._random = random.Random(seed)
        self._scopes = {"projects": project, "groups": group}
        self._tokens = tokens

    def make(self, rule: str, mount: Mount) -> HostileRequest:
        """Make a request for a route."""
        pick = self._random.choice
        scope = next((value for word, value in self._scopes.items() if f"/{word}/" in rule), "")
        path = rule.replace("<scope:scope>", quote(scope, safe=""))
        path = re.sub(r"<segment:\w+>", lambda _: pick(WORDS).replace("/", "%2F"), path)
        path = re.sub(
            r"<path:\w+>", lambda _: "/".join(self._random.choices(WORDS, k=self._random.randint(1, 6))), path
        )
        path = re.sub(r"<number:\w+>", lambda _: pick(("1", "2", "99999")), path)
        if self._random.random() < 0.4:
            path += pick(QUERIES)
        method = pick(mount.route.methods)
        headers = {name: pick(values) for name, values in HEADERS.items() if self._random.random() < 0.3}
        if self._random.random() < 0.95:
            headers["PRIVATE-TOKEN"] = pick(self._tokens)
        return HostileRequest(rule, method, path, headers, None if method == "GET" else pick(BODIES))


class HostileRequestTests(DaemonTestCase):
    """Every route, with a fixed seed."""

    def send(self, connection: http.client.HTTPConnection, request: HostileRequest) -> int:
        """Send a request; returns the status of its answer, which comes whole."""
        try:
            connection.request(request.method, request.path, request.body, dict(request.headers))
            answer = connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError) as error:
            self.fail(f"{error!r} after {request}")
        if answer.will_close:
            connection.close()
        return answer.status

    def test_no_route_breaks(self) -> None:
        """No answer is a 5xx, none is missing, and most of the routes are met by requests that get past the token."""
        world = self.daemon.world
        maintainer = self.daemon.cli(
            "token", "add", "--kind", "project", "--project", "acme/private", "--role", "maintainer", "--scope", "api",
        ).strip()  # fmt: skip
        maker = RequestMaker(SEED, world.private_id, world.group, (maintainer, maintainer, world.writer))
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        self.addCleanup(connection.close)
        statuses: Counter[int] = Counter()
        for rule, mount in whole_table():
            for _ in range(REQUESTS_PER_ROUTE):
                request = maker.make(rule, mount)
                status = self.send(connection, request)
                statuses[status] += 1
                self.assertLess(status, 500, request)
        self.assertLess(statuses[429] + statuses[401], statuses.total() / 4, statuses)
        self.assertGreater(statuses[200], 0, statuses)
        self.assertGreater(statuses[400], statuses.total() / 10, statuses)
