"""A token that is written down fails the run."""

from __future__ import annotations

import base64
import pathlib
import sqlite3
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.tokens import mint
from pkgregd.values import TokenKind
from tests.support import canary

TOKENS = [mint(kind) for kind in TokenKind]
ROOT = pathlib.Path(__file__).parents[1]

LEAKING = """
import pathlib
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase
from pkgregd.auth.tokens import mint
from pkgregd.values import TokenKind
class LeakTests(SynchronousTestCase):
    def test_leak(self):
        secret = mint(TokenKind.JOB).secret
        {leak}
"""


def ids(data: bytes) -> list[str]:
    """The public ids of the tokens in some bytes."""
    return [public_id for _, public_id in canary.tokens_in(data)]


class FindingTests(SynchronousTestCase):
    """tokens_in()."""

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=40), st.binary(max_size=40), st.sampled_from(TOKENS))
    def test_in_base64(self, before: bytes, after: bytes, token: object) -> None:
        """Wherever in the encoded bytes it begins, in both alphabets."""
        data = before + token.secret.encode() + after  # type: ignore[attr-defined]
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            self.assertIn(token.public_id, ids(b"x " + encode(data) + b"."))  # type: ignore[attr-defined]

    def test_as_it_is(self) -> None:
        """Several, and within other letters."""
        text = f"a{TOKENS[0].secret}b {TOKENS[1].secret}".encode()
        self.assertEqual(ids(text), [TOKENS[0].public_id, TOKENS[1].public_id])

    def test_what_is_none(self) -> None:
        """Neither a public id with what the log leaves, nor what only looks like a token."""
        secret = TOKENS[0].secret
        for text in (secret[:23] + "...", secret[:-1], secret[:-1] + ("a" if secret[-1] != "a" else "b"), "pkgr_job_"):
            self.assertEqual(ids(text.encode()), [])

    def test_a_long_run_of_letters(self) -> None:
        """It takes a moment, not hours: each letter is looked at a few times at most."""
        data = b"A" * 4_000_000 + base64.b64encode(TOKENS[0].secret.encode())
        self.assertEqual(ids(data), [TOKENS[0].public_id])

    def test_in_a_database(self) -> None:
        """A row that holds one is found, in the file or in the log before it."""
        self.addCleanup(canary.found.clear)
        folder = pathlib.Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        connection = sqlite3.connect(folder / "a.sqlite3", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE x (y TEXT)")
        connection.execute("INSERT INTO x VALUES (?)", (TOKENS[0].secret,))
        canary.look_at_folder(folder)
        self.assertEqual({find.public_id for find in canary.found}, {TOKENS[0].public_id})
        self.assertIn("a.sqlite3", str(canary.found[0]))
        connection.close()
        canary.found.clear()
        # or the end of this run would find it
        (folder / "a.sqlite3").unlink()

    def test_what_clients_write_themselves(self) -> None:
        """npm keeps its own command lines, in which people put tokens; that is not ours to mend."""
        self.addCleanup(canary.found.clear)
        folder = pathlib.Path(self.mktemp()).absolute()
        for name in ("_logs", "logs"):
            (folder / name).mkdir(parents=True)
            (folder / name / "a.log").write_text(TOKENS[0].secret)
        canary.look_at_folder(folder)
        self.assertEqual([str(find).split(" is in ")[1] for find in canary.found], [f"{folder}/logs/a.log, byte 0"])
        (folder / "logs" / "a.log").unlink()


class RunTests(SynchronousTestCase):
    """The runner, in a process of its own."""

    def run_with(self, leak: str) -> tuple[int, str]:
        """Run one test that leaks; returns the exit status and what was printed."""
        folder = pathlib.Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        (folder / "leaking.py").write_text(LEAKING.format(leak=leak))
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.runner", "leaking"],
            cwd=folder,
            env={"PYTHONPATH": f"{folder}:{ROOT}", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.addCleanup(self.clear, folder)
        return done.returncode, done.stdout

    def clear(self, folder: pathlib.Path) -> None:
        """Remove what the end of this run would find."""
        for path in folder.rglob("*.log"):
            path.unlink()

    def test_a_leak_into_the_log_fails(self) -> None:
        """The test passes, and the run does not; the place is named and the secret is not."""
        status, said = self.run_with("Logger().info('{x}', x=secret)")
        self.assertEqual(status, 1, said)
        self.assertIn("1 passed, 0 failed", said)
        self.assertRegex(said, r"the token [0-9A-Za-z]{12} is in .*test\.log, byte \d+")
        self.assertEqual(ids(said.encode()), [])

    def test_a_leak_into_a_file_that_is_left_fails(self) -> None:
        """In base64 too."""
        status, said = self.run_with(
            "import base64; pathlib.Path('x.log').write_bytes(b'Basic ' + base64.b64encode(b'a:' + secret.encode()))"
        )
        self.assertEqual(status, 1, said)
        self.assertIn("x.log", said)

    def test_no_leak(self) -> None:
        """A run that leaks nothing is a good one."""
        status, said = self.run_with("Logger().info('{x}', x=secret[:20])")
        self.assertEqual(status, 0, said)
