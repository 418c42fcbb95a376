"""
Runs trial over the named tests and counts what it found.

    python -m tests.support.runner tests

The last line of stdout is `N passed, N failed, N skipped`, which also goes to the
file named by PKGREGD_TEST_SUMMARY. The exit status is 1 after a failure, and after
a skip when PKGREGD_REQUIRE_CLIENTS=1: then everything that can run has to. It is 1 as well
if a token is found in a log or database that the run left behind; see tests.support.canary.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import pathlib
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import NoReturn

from attrs import frozen
from twisted.trial.reporter import TestResult, TreeReporter
from twisted.trial.runner import TestLoader, TrialRunner

from tests.support import canary
from tests.support.cases import release_daemon

WORKING_FOLDER = os.environ.get("PKGREGD_TEST_FOLDER", "_trial_temp")

LEAVING_SECONDS = 20.0
"""How long what the tests left behind may take to end."""


@frozen
class Summary:
    """How many tests came out how."""

    passed: int
    failed: int
    skipped: int

    @classmethod
    def of(cls, result: TestResult) -> Summary:
        """Count a result of trial; a test that fails as expected has passed."""
        return cls(
            result.successes + len(result.expectedFailures),
            len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses),
            len(result.skips),
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def exit_status(self, *, skips_allowed: bool) -> int:
        """Return 0 if all is well; a run in which nothing passed is not."""
        return int(self.failed > 0 or self.passed == 0 or (self.skipped > 0 and not skips_allowed))


def run(names: Sequence[str]) -> Summary:
    """Run the tests of those names, everything below a package included."""
    runner = TrialRunner(TreeReporter, workingDirectory=WORKING_FOLDER)
    result = runner.run(TestLoader().loadByNames(list(names), recurse=True))
    assert isinstance(result, TestResult)
    return Summary.of(result)


def exit_status(summary: Summary) -> int:
    """Return the exit status of a run, with skips allowed or not."""
    return summary.exit_status(skips_allowed=os.environ.get("PKGREGD_REQUIRE_CLIENTS") != "1")


def write_summary(summary: Summary) -> None:
    """Write the last line, to where the environment says as well."""
    if path := os.environ.get("PKGREGD_TEST_SUMMARY"):
        pathlib.Path(path).write_text(f"{summary}\n")
    sys.stdout.write(f"{summary}\n")
    sys.stdout.flush()


def leave(status: int) -> NoReturn:
    """
    End the process, whatever the tests left running in it.

    A thread that hangs would keep it for ever after its last line. Such threads are told, and passed over.
    """
    deadline = time.monotonic() + LEAVING_SECONDS
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive() and thread.ident is not None:
                frame = sys._current_frames().get(thread.ident)
                sys.stderr.write(f"{thread.name} does not end:\n{''.join(traceback.format_stack(frame))}")
    ending = threading.Thread(target=atexit._run_exitfuncs, daemon=True)  # servers of the tests' own are stopped there
    ending.start()
    ending.join(LEAVING_SECONDS)
    if ending.is_alive():
        faulthandler.dump_traceback()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(names: Sequence[str]) -> int:
    """Run, write the summary, return the exit status."""
    summary = run(names)
    release_daemon()
    canary.look_at_folder(pathlib.Path(WORKING_FOLDER))
    for find in canary.found:
        sys.stdout.write(f"{find}\n")
    write_summary(summary)
    return exit_status(summary) or int(bool(canary.found))


if __name__ == "__main__":
    leave(main(sys.argv[1:] or ["tests"]))
