"""Every hostile upload of the table is refused by the whole format, for a reason, and leaves nothing behind."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidRequest
from pkgregd.formats.pypi import PyPIFormat
from pkgregd.testing.calls import FormatWorld, body_of, now
from tests.formats.pypi_world import B, form
from tests.support.hostile_archives import Hostile, good_uploads, hostile_uploads


class HostileUploadTests(SynchronousTestCase):
    """The table, in memory."""

    def setUp(self) -> None:
        """Make the world."""
        self.world = FormatWorld(PyPIFormat())

    def upload(self, hostile: Hostile) -> int:
        """Post it; returns the status."""
        body = form(hostile.fields, hostile.file_name, hostile.make())
        headers = {"Content-Type": f"multipart/form-data; boundary={B}"}
        return self.world.request("POST", "", body, headers=headers).status

    def test_table(self) -> None:
        """The table has no entry twice, and is long enough to mean something."""
        labels = [str(hostile) for hostile in hostile_uploads()]
        self.assertEqual(sorted(set(labels)), sorted(labels))
        self.assertGreater(len(labels), 400)

    def test_refused(self) -> None:
        """Each is refused by a domain error, whose text is one printable line, and nothing is stored or listed."""
        before = self.snapshot()
        for hostile in hostile_uploads():
            try:
                status = self.upload(hostile)
            except InvalidRequest as error:
                self.assertTrue(str(error).isprintable(), f"{hostile}: {error!a}")
                self.assertGreater(len(str(error)), 10, hostile)
            except Exception as error:
                self.fail(f"{hostile}: {error!r}")
            else:
                self.fail(f"{hostile} is taken with {status}")
            self.assertEqual(self.snapshot(), before, hostile)

    def snapshot(self) -> object:
        """Look at all that an upload could leave."""
        names = self.world.request("GET", "/simple/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
        state = now(self.world.remote().index_state("demo"))
        return dict(self.world.blobs.contents), self.world.is_clean(), body_of(names), state

    def test_good_ones(self) -> None:
        """What the hostile ones are made from is taken: they are refused for what is wrong with them alone."""
        for good in good_uploads():
            self.assertEqual(self.upload(good), 201, good)
