"""What an installation holds: the wheel, built of the source distribution as a packager would."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import clean_environment, script

ROOT = pathlib.Path(__file__).parents[1]
NOT_SOURCE = shutil.ignore_patterns(
    ".*", "_trial_temp*", "*.egg-info", "__pycache__", "build", "dist", "var", "tests", "dropin.cache"
)


@functools.cache
def built_wheel() -> pathlib.Path:
    """Build sdist and wheel in a copy of the sources, once in a run."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="build-", dir=os.getcwd()))
    shutil.copytree(ROOT, folder / "source", ignore=NOT_SOURCE)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(folder / "source")],
        env=clean_environment(folder),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


class WheelTests(SynchronousTestCase):
    """The wheel's content."""

    def test_everything_and_nothing_else_is_in_it(self) -> None:
        """Every module, manual page and migration is there, the plugins are, and nothing that would shadow Twisted."""
        with zipfile.ZipFile(built_wheel()) as archive:
            names = {name for name in archive.namelist() if ".dist-info/" not in name}
        patterns = (
            "pkgregd/**/*.py",
            "pkgregd/**/*.md",
            "pkgregd/**/*.css",
            "pkgregd/**/*.mako",
            "twisted/plugins/*.py",
        )
        wanted = {str(file.relative_to(ROOT)) for pattern in patterns for file in ROOT.glob(pattern)}
        self.assertEqual(wanted - names, set())
        self.assertEqual(names - wanted, {"pkgregd/py.typed"})
        self.assertEqual({name for name in names if name.startswith("twisted/") and "__init__" in name}, set())
        self.assertLessEqual({"twisted/plugins/pkgregd_plugin.py", "twisted/plugins/pkgregd_formats.py"}, names)

    def test_command_and_licence(self) -> None:
        """The operator's command is an entry point, and the licence travels along."""
        with zipfile.ZipFile(built_wheel()) as archive:
            by_name = {name.rpartition("/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
            self.assertIn("pkgregd = pkgregd.cli:main", archive.read(by_name["entry_points.txt"]).decode())
            self.assertIn("LICENSE", by_name)


class EditableTests(SynchronousTestCase):
    """The installation that the tests themselves run from."""

    def test_plugins_are_found_from_anywhere(self) -> None:
        """`twistd` knows pkgregd in a folder that has nothing to do with it."""
        done = subprocess.run(
            [script("twistd"), "--help"],
            cwd="/",
            env=clean_environment(pathlib.Path("/nonexistent")),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^\s+pkgregd\s")
