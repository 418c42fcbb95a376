"""How the tests are divided and ended: nothing is forgotten, and nothing hangs."""

from __future__ import annotations

import pathlib
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.support import lanes

DEADLINE_SECONDS = 60

HANGS = """
import threading
from tests.support import runner
runner.LEAVING_SECONDS = 0.1
threading.Thread(target=threading.Event().wait, name="the one that hangs").start()
print("3 passed")
runner.leave(3)
"""


def module_of(path: pathlib.Path) -> str:
    """Return the name of a module of tests."""
    return ".".join(path.relative_to(lanes.ROOT).with_suffix("").parts)


class ShareTests(SynchronousTestCase):
    """Shares of all tests."""

    def test_nothing_is_forgotten(self) -> None:
        """Every module of tests belongs to exactly one share."""
        together, alone = lanes.shares()
        names = [name for share in [*together, *alone] for name in share.names]
        for path in sorted(lanes.TESTS.rglob("test_*.py")):
            module = module_of(path)
            owners = [name for name in names if module == name or module.startswith(name + ".")]
            self.assertEqual(len(owners), 1, module)

    def test_what_runs_alone_is_there(self) -> None:
        """The names of modules that run alone, or early, are those of modules."""
        known = {
            ".".join(path.relative_to(lanes.ROOT).with_suffix("").parts) for path in lanes.TESTS.rglob("test_*.py")
        }
        self.assertEqual(lanes.ALONE - known, set())
        for name in lanes.EARLY:
            self.assertTrue(any(module.startswith(name) for module in known), name)


class EndTests(SynchronousTestCase):
    """The end of a run."""

    def test_a_thread_that_hangs(self) -> None:
        """It is named, and the process ends with its own status."""
        done = subprocess.run(
            [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=lanes.ROOT
        )
        self.assertEqual((done.returncode, done.stdout), (3, "3 passed\n"))
        self.assertIn("the one that hangs does not end", done.stderr)
        self.assertIn("in wait\n", done.stderr)

    def test_a_share_that_finds_no_test(self) -> None:
        """It has failed."""
        outcome = lanes.run_share(lanes.Share(("tests.nowhere",)), 0)
        self.assertTrue(outcome.status)
        self.assertEqual(outcome.summary.passed, 0)
        self.assertTrue(outcome.summary.failed)
