"""Every hostile push of the table is refused by the whole format, for a reason, and leaves nothing behind."""

from __future__ import annotations

from pkgregd.errors import BodyTooLarge, InvalidRequest, NotFound
from pkgregd.testing.calls import now
from tests.formats.nuget_hostile import Hostile, good_pushes, hostile_pushes
from tests.formats.nuget_world import FORM_HEADERS, NuGetTestCase


class HostilePushTests(NuGetTestCase):
    """The table, in memory."""

    def send(self, hostile: Hostile) -> int:
        """Push it; returns the status."""
        return self.world.request("PUT", hostile.rule, hostile.make(), headers=FORM_HEADERS).status

    def snapshot(self) -> object:
        """Look at all that a push could leave."""
        remote = self.world.remote()
        states = [now(remote.index_state(name)) for name in (None, "acme.lib")]
        return dict(self.world.blobs.contents), self.world.is_clean(), now(remote.list_names()), states

    def test_table(self) -> None:
        """The table has no entry twice, and is long enough to mean something."""
        labels = [str(hostile) for hostile in hostile_pushes()]
        self.assertEqual(sorted(set(labels)), sorted(labels))
        self.assertGreater(len(labels), 250)

    def test_refused(self) -> None:
        """Each is refused by a domain error, whose text is one printable line, and nothing is stored or listed."""
        for number, good in enumerate((None, next(good_pushes()))):
            if good is not None:
                self.send(good)  # then symbols are refused for what is wrong with them alone
            before = self.snapshot()
            for hostile in hostile_pushes():
                if number == 1 and hostile.rule == "/":
                    continue
                try:
                    status = self.send(hostile)
                except (InvalidRequest, BodyTooLarge, NotFound) as error:
                    self.assertTrue(str(error).isprintable(), f"{hostile}: {error!a}")
                    self.assertTrue(10 < len(str(error)) < 2000, hostile)
                except Exception as error:
                    self.fail(f"{hostile}: {error!r}")
                else:
                    self.fail(f"{hostile} is taken with {status}")
                self.assertEqual(self.snapshot(), before, hostile)

    def test_good_ones(self) -> None:
        """What the hostile ones are made from is taken: they are refused for what is wrong with them alone."""
        for good in good_pushes():
            self.assertEqual(self.send(good), 201, good)
