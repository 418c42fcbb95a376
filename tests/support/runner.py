"""
Runs trial over the named tests and counts what it found.

    python -m tests.support.runner tests

The last line of stdout is `N passed, N failed, N skipped`, which also goes to the
file named by PKGREGD_TEST_SUMMARY. The exit status is 1 after a failure, and after
a skip when PKGREGD_REQUIRE_CLIENTS=1: then everything that can run has to. It is 1 as well
if a token is found in a log or database that the run left behind; see tests.support.canary.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence

from attrs import frozen
from twisted.trial.reporter import TestResult, TreeReporter
from twisted.trial.runner import TestLoader, TrialRunner

from tests.support import canary
from tests.support.cases import release_daemon

WORKING_FOLDER = "_trial_temp"


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


def main(names: Sequence[str]) -> int:
    """Run, write the summary, return the exit status."""
    summary = run(names)
    release_daemon()
    canary.look_at_folder(pathlib.Path(WORKING_FOLDER))
    for find in canary.found:
        sys.stdout.write(f"{find}\n")
    if path := os.environ.get("PKGREGD_TEST_SUMMARY"):
        pathlib.Path(path).write_text(f"{summary}\n")
    sys.stdout.write(f"{summary}\n")
    status = summary.exit_status(skips_allowed=os.environ.get("PKGREGD_REQUIRE_CLIENTS") != "1")
    return status or int(bool(canary.found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["tests"]))
