"""Many uploads at once into projects with a quota: those that fit are published, and never one more."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import partial

from tests.support.blobs import ON_DISK
from tests.support.cases import DaemonTestCase
from tests.support.daemon import Daemon, wait_until
from tests.support.packages import make_wheel, small_form
from tests.support.rawhttp import Answer, RawConnection
from tests.support.stored import stored_blobs
from tests.torture.test_races import race

UPLOADS = 50
FIT = 17
SIZE_BYTES = 100_000


class QuotaCase(DaemonTestCase):
    """Uploads into the private project, whose quota each test sets."""

    def set_quota(self, quota_bytes: int | str) -> None:
        """Set the quota over what is used already."""
        if isinstance(quota_bytes, int):
            quota_bytes += self.used()
        self.daemon.cli("settings", "set", "acme/private", f"quota_bytes={quota_bytes}")

    def usage(self) -> tuple[int, int]:
        """Return what is used and what is reserved."""
        usage = json.loads(self.daemon.cli("settings", "show", "acme/private", "--json"))["usage"]
        return usage["file_bytes"], usage["reserved_bytes"]

    def used(self) -> int:
        """Return what is used."""
        return self.usage()[0]

    def assert_counted(self) -> None:
        """Fail unless the count is right."""
        recounted = json.loads(self.daemon.cli("usage", "recount", "--json"))
        self.assertEqual(recounted["corrected"], [])

    def path(self, name: str) -> str:
        """Return the URL path of a generic file."""
        return self.daemon.packages_path("generic", self.daemon.world.private_id) + f"/{name}/1.0/f"

    def put(self, name: str, body: bytes, *, port: int = 0, is_chunked: bool = False) -> Answer:
        """Upload a generic file."""
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer}
        pieces = [body]
        if is_chunked:
            headers["Transfer-Encoding"] = "chunked"
            pieces = [b"%x\r\n%s\r\n" % (len(body), body), b"0\r\n\r\n"]
        else:
            headers["Content-Length"] = str(len(body))
        with RawConnection(port or self.daemon.port) as connection:
            return connection.request("PUT", self.path(name), headers, pieces)

    def assert_refused_well(self, answers: list[Answer]) -> None:
        """Fail unless each refusal says why, and asks nobody to come back by himself."""
        for answer in answers:
            if answer.status != 201:
                self.assertEqual(json.loads(answer.body)["error_code"], "quota_exceeded")
                self.assertNotIn("retry-after", answer.headers)


class ParallelTests(QuotaCase):
    """One daemon."""

    blobs = ON_DISK

    def test_exactly_those_that_fit(self) -> None:
        """Of fifty files of a known size at once exactly seventeen are published, whichever, and nothing is left."""
        self.set_quota(FIT * SIZE_BYTES + SIZE_BYTES - 1)
        before, used = stored_blobs(self.daemon.folder), self.used()
        bodies = [bytes([number]) * SIZE_BYTES for number in range(UPLOADS)]
        answers = race([partial(self.put, f"fit{number}", body) for number, body in enumerate(bodies)])
        self.assertEqual(Counter(answer.status for answer in answers), {201: FIT, 413: UPLOADS - FIT})
        self.assert_refused_well(answers)
        self.assertEqual(self.usage(), (used + FIT * SIZE_BYTES, 0))
        self.assertEqual(len(stored_blobs(self.daemon.folder) - before), FIT)
        self.assert_counted()

    def test_refused_before_a_byte_is_sent(self) -> None:
        """A client that waits for the word gets the refusal instead."""
        self.set_quota(10)
        headers = {"PRIVATE-TOKEN": self.daemon.world.writer, "Content-Length": "11", "Expect": "100-continue"}
        with RawConnection(self.daemon.port) as connection:
            connection.send_head("PUT", self.path("wait"), headers)
            answer = connection.read_answer()
        self.assertEqual((answer.status, answer.interim), (413, ()))
        self.assert_refused_well([answer])

    def test_without_a_length(self) -> None:
        """Chunked bodies are cut in the middle; what they held is free again, and one that fits is published."""
        self.set_quota(3 << 20)
        used = self.used()
        answers = race([partial(self.put, f"chunked{n}", b"x" * (4 << 20), is_chunked=True) for n in range(8)])
        self.assertEqual(Counter(answer.status for answer in answers), {413: 8})
        self.assert_refused_well(answers)
        wait_until(lambda: self.usage() == (used, 0), "release of what was reserved")
        self.assertEqual(self.put("chunked", b"x" * (3 << 20), is_chunked=True).status, 201)
        self.assertEqual(self.usage(), (used + (3 << 20), 0))

    def test_many_without_a_length(self) -> None:
        """However they come, there is never more than the quota."""
        self.set_quota(FIT * SIZE_BYTES)
        used = self.used()
        puts = [partial(self.put, f"any{n}", bytes([n]) * SIZE_BYTES, is_chunked=True) for n in range(UPLOADS)]
        answers = race(puts)
        published = [answer.status for answer in answers].count(201)
        self.assertEqual(published + [answer.status for answer in answers].count(413), UPLOADS)
        self.assertLessEqual(published, FIT)
        wait_until(lambda: self.usage() == (used + published * SIZE_BYTES, 0), "release of what was reserved")
        self.assert_counted()

    def test_forms(self) -> None:
        """What a form adds to its file does not count in the end."""
        wheels = [make_wheel("quota", f"{number}.0", b"x = %d\n" % number) for number in range(2)]
        self.set_quota(len(wheels[0]))
        used = self.used()
        path = self.daemon.packages_path("pypi", self.daemon.world.private_id)
        statuses = []
        for number, wheel in enumerate(wheels):
            form = small_form("quota", f"{number}.0", wheel)
            with RawConnection(self.daemon.port) as connection:
                headers = {"PRIVATE-TOKEN": self.daemon.world.writer, **form.headers}
                statuses.append(connection.request("POST", path, headers, form).status)
        self.assertEqual((statuses, self.usage()), ([201, 413], (used + len(wheels[0]), 0)))

    def test_a_client_that_leaves(self) -> None:
        """What was reserved for it is free again."""
        self.set_quota(1000)
        used = self.used()
        with RawConnection(self.daemon.port) as connection:
            headers = {"PRIVATE-TOKEN": self.daemon.world.writer, "Content-Length": "1000"}
            connection.send_head("PUT", self.path("leaves"), headers)
            connection.socket.sendall(b"x" * 10)
            wait_until(lambda: self.usage() == (used, 1000), "the reservation")
            self.assertEqual(self.put("waits", b"x").status, 413)
        wait_until(lambda: self.usage() == (used, 0), "release of what was reserved")
        self.assertEqual(self.put("waits", b"x" * 1000).status, 201)

    def test_gitlabs_words_are_for_files_alone(self) -> None:
        """A quota is no limit of one file: its refusal stays what it is."""
        self.set_quota("1")
        answer = self.put("any", b"xx")
        self.assertEqual(answer.status, 413)
        self.set_quota("inherit")
        self.assertEqual(self.put("any", b"xx").status, 201)


class TwoDaemonTests(QuotaCase):
    """Two daemons over one database and one folder of blobs."""

    def absolute(self, url: str) -> str:
        """Return a URL that means the same in the configuration of another daemon."""
        kind, _, name = url.partition(":")
        return f"{kind}:{self.daemon.folder / name}" if kind in ("sqlite", "file") else url

    def test_exactly_those_that_fit(self) -> None:
        """Whichever daemon they come to, together no more than fit are published, and no fewer."""
        second = Daemon()
        text = second.config.read_text()
        configs = (text, self.daemon.config.read_text())
        urls = [re.findall(r'^url = "(.*)"$', config, re.MULTILINE) for config in configs]
        for own, shared in zip(*urls, strict=True):
            text = text.replace(f'url = "{own}"', f'url = "{self.absolute(shared)}"')
        second.config.write_text(text)
        second.start()
        try:
            self.set_quota(FIT * SIZE_BYTES)
            used = self.used()
            ports = (self.daemon.port, second.port)
            puts = [partial(self.put, f"two{n}", bytes([n]) * SIZE_BYTES, port=ports[n % 2]) for n in range(UPLOADS)]
            answers = race(puts)
        finally:
            second.close()
        self.assertEqual(Counter(answer.status for answer in answers), {201: FIT, 413: UPLOADS - FIT})
        self.assertEqual(self.usage(), (used + FIT * SIZE_BYTES, 0))
        self.assert_counted()


class GitLabTests(QuotaCase):
    """A daemon that refuses as GitLab does."""

    settings = "[formats.generic]\nmax_file_bytes = 1000\n"
    http = "too_large_status = 400"

    def test_a_file_that_is_too_large(self) -> None:
        """400 with GitLab's words, by its length and in the middle."""
        for is_chunked in (False, True):
            answer = self.put("large", b"x" * 1001, is_chunked=is_chunked)
            self.assertEqual(answer.status, 400)
            self.assertEqual(json.loads(answer.body)["message"], "400 Bad Request - File is too large")
