"""What the manual tells people to type: all shell runs against a daemon, in the order of its page."""

from __future__ import annotations

import html
import json
import pathlib
import re
import sys
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tests.formats.pypi_world import attestation, statement
from tests.support.clients import RUSTUP, ClientTestCase
from tests.support.manual import SHELL, Block, blocks, commands_of, objection, shell_of
from tests.support.maven import write_maven_config
from tests.support.nuget import write_nuget
from tests.support.packages import make_wheel, wheel_name

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
SERVED = sorted([*ROOT.glob("pkgregd/formats/*.md"), *ROOT.glob("pkgregd/web/pages/*.md")])
ENVIRONMENTS = sorted(file.stem for file in ROOT.glob("tests/clients/environments/*.txt"))

EXEMPT = {
    'dotnet nuget push Acme.Lib.1.0.0.nupkg --source pkgregd --api-key "$TOKEN"': "no SDK of .NET is to be had here",
    "dotnet add package Acme.Lib": "the same",
    "kill -HUP PID": "which process that is, is not known; tests.torture.test_workers does it",
    "npm login --registry=https://packages.example.com/api/v4/projects/acme%2Fweb/packages/npm/": (
        "somebody has to send the page's form; tests.clients.test_npm_accounts does"
    ),
    **dict.fromkeys(
        (
            "publish:",
            "id_tokens:",
            "PACKAGES_EXAMPLE_COM_ID_TOKEN:",
            "aud: packages.example.com",
            "script:",
            "- uv build",
            "- uv publish --trusted-publishing always --publish-url"
            " https://packages.example.com/api/v4/projects/acme%2Fpackages/packages/pypi",
            'TOKEN="$(curl --fail --data-urlencode "id_token=$PACKAGES_EXAMPLE_COM_ID_TOKEN"'
            ' https://packages.example.com/api/v4/job_tokens/exchange | jq -r .token)"',
            'curl --fail --header "JOB-TOKEN: $TOKEN" --upload-file tool.tar.gz'
            " https://packages.example.com/api/v4/projects/acme%2Fpackages/packages/generic/tool/1.0/tool.tar.gz",
            'curl --fail --header "JOB-TOKEN: $TOKEN" --request DELETE https://packages.example.com/api/v4/job',
        ),
        "no CI is to be had here; tests.clients.test_oidc does the same with one of its own",
    ),
    "createuser --pwprompt pkgregd": "it asks for a password; tests.support.postgresql makes the tests' own server",
    "createdb --owner pkgregd pkgregd": "the same",
    "make run": "tests.test_run runs the script behind it",
    "make test": "it is what runs this test",
    "pip install .": "it fetches what pkgregd needs; tests.test_packaging builds what it installs",
    "pkgregd --config /etc/pkgregd/pkgregd.toml migrate": "the page about operating runs it, with another file",
    "twistd -n pkgregd --config /etc/pkgregd/pkgregd.toml": "tests.support.daemon starts every daemon so",
}
"""Commands of the manual that no page's test runs, and why."""


class PageTests(ClientTestCase):
    """
    Each page by a shell in an empty folder, beside `var/` as `make run` leaves it.

    Pages that publish what a build has made find themselves in the project of a package `hello`, whose wheel lies
    in `dist/`; in `signed/` are further versions that have attestations. Maven has its plugins from the machine.
    """

    client = "bash"

    def setUp(self) -> None:
        """Prepare the folder."""
        super().setUp()
        self.daemon.cli("seed")
        (self.folder / "var").symlink_to(self.daemon.folder)
        (self.folder / "pyproject.toml").write_text('[project]\nname = "hello"\nversion = "1.0"\n')
        write_maven_config(self.folder)
        for folder in ("dist", "signed"):
            (self.folder / folder).mkdir()
        self.write_wheel("dist", "1.0")
        for version in ("1.1", "1.2", "1.3"):
            path = self.write_wheel("signed", version)
            attested = attestation(statement(path.name, path.read_bytes()))
            path.with_name(f"{path.name}.publish.attestation").write_text(json.dumps(attested))

    def write_wheel(self, folder: str, version: str) -> pathlib.Path:
        """Write a wheel of `hello`."""
        path = self.folder / folder / wheel_name("hello", version)
        path.write_bytes(make_wheel("hello", version))
        return path

    def run_shell(self, script: str, **settings: str) -> None:
        """Run the shell of a page; the first command that fails fails the test."""
        self.assertNotEqual(script, "", "the page shows no shell")
        places = (pathlib.Path(sys.executable).parent, self.programs_apart(script))
        environment = {
            "PATH": ":".join([*map(str, places), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]),
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "UV_NO_CACHE": "1",
            "UV_NO_SYSTEM_CONFIG": "1",
            "UV_PYTHON": sys.executable,
            "UV_PYTHON_DOWNLOADS": "never",
            "VIRTUALENV_NO_PERIODIC_UPDATE": "1",
            **RUSTUP,
        }
        self.assert_works(self.run_client("-euxo", "pipefail", "-c", script, env={**environment, **settings}))

    def programs_apart(self, script: str) -> pathlib.Path:
        """
        Make a folder of the clients in a script that are not where all programs are.

        They are those that have environments of their own, without their pythons, and cargo with its compiler.
        """
        folder = pathlib.Path(self.mktemp()).absolute()
        folder.mkdir()
        for name in ENVIRONMENTS:
            if re.search(rf"(?m)^[^#\n]*\b{re.escape(name)} ", script):
                (folder / name).symlink_to(self.find(name, name))
        write_nuget(folder)
        if re.search(r"(?m)^[^#\n]*\bcargo ", script):
            for name in ("cargo", "rustc"):
                (folder / name).symlink_to(self.find(name))
        return folder

    def run_served(self, name: str) -> None:
        """Run a page as the daemon serves it, where nothing has to be filled in, and see that a browser shows it."""
        status, _, served = self.daemon.get(f"/help/{name}.md")
        self.assertEqual(status, 200)
        text = served.decode()
        status, _, page = self.daemon.get(f"/help/{name}")
        self.assertEqual(status, 200)
        shown = html.unescape(page.decode())
        for block in blocks(text):
            self.assertIn(f"<code>{block.text}</code>", shown)
        self.run_shell(shell_of(text))

    def test_readme(self) -> None:
        """The tour in the README."""
        self.run_shell(shell_of(README.read_text("utf-8")), PKGREGD_URL=self.daemon.url)


def _test_of(page: pathlib.Path) -> Callable[[PageTests], None]:
    def test(self: PageTests) -> None:
        self.run_served(page.stem)

    test.__doc__ = f"{page.relative_to(ROOT)}."
    return test


RUN_ELSEWHERE = ("backup",)
"""Pages whose shell needs more than a folder: tests.clients.test_backup runs it."""

for _page in (page for page in SERVED if page.stem not in RUN_ELSEWHERE):
    setattr(PageTests, f"test_{_page.stem}", _test_of(_page))


class BlockTests(SynchronousTestCase):
    """No block of code stands in the manual that no test runs or reads."""

    def test_every_page(self) -> None:
        """Each block is shell, a configuration, an answer in JSON, or exempt for a reason."""
        self.assertLessEqual({"generic", "pypi", "access"}, {page.stem for page in SERVED})
        found = [
            f"{page.relative_to(ROOT)}:{block.line} {why}"
            for page in (README, *SERVED)
            for block in blocks(page.read_text("utf-8"))
            if (why := objection(block, EXEMPT)) is not None
        ]
        self.assertEqual(found, [])

    def test_exempt_commands(self) -> None:
        """Each command that is exempt stands in the manual."""
        pages = [page.read_text("utf-8") for page in (README, *SERVED)]
        rest = [block for page in pages for block in blocks(page) if block.language != SHELL]
        self.assertLessEqual(set(EXEMPT), {command for block in rest for command in commands_of(block)})

    def test_what_is_objected_to(self) -> None:
        """Commands in other blocks than shell, answers with an ellipsis and settings that are none are found."""
        for language, text in (
            ("", "pip install hello\n"),
            ("text", "make run\npip install hello\n"),
            ("console", "$ pip install hello\n"),
            ("bash", "pip install hello\n"),
            ("ini", "[global]\nindex-url = x\n"),
            ("json", '{"name": "hello", ...}\n'),
            ("toml", "[formats.pypi]\nenable = true\n"),
        ):
            self.assertIsNotNone(objection(Block(language, text, 1), EXEMPT), text)
        for language, text in (("sh", "x\n"), ("", "make run  # serves\n\n"), ("json", "[]\n"), ("toml", "[http]\n")):
            self.assertIsNone(objection(Block(language, text, 1), EXEMPT), text)

    def test_where_blocks_are_found(self) -> None:
        """Fences of any kind, indented blocks and those in lists are blocks, and one in another is not."""
        text = "# a\n\n```sh\nb\n```\n\n    c\n\n* d\n\n  ~~~ text\n  e\n  ~~~\n\n````\n```sh\nf\n```\n````\n"
        wanted = [("sh", "b\n", 3), ("", "c\n", 7), ("text", "e\n", 11), ("", "```sh\nf\n```\n", 15)]
        self.assertEqual([(block.language, block.text, block.line) for block in blocks(text)], wanted)
