"""Tests for pkgregd.cli, pkgregd.commands and the systemd unit."""

from __future__ import annotations

import datetime
import io
import json
import os
import pathlib
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import cli
from pkgregd.auth.tokens import mint, parse, secret_sha256
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.commands import identity, seed, tokens, upkeep
from pkgregd.commands.instance import Instance, Outcome, read_duration
from pkgregd.config import HttpConfig
from pkgregd.config import parse as parse_config
from pkgregd.errors import AlreadyExists, ConfigError, InvalidRequest, NotFound, SchemaError, StorageFull
from pkgregd.testing.catalog_contract import publication_of
from pkgregd.values import (
    Level,
    NewToken,
    Principal,
    Role,
    Scope,
    TokenKind,
    TokenRecord,
    Visibility,
)

NOW = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
UNIT = pathlib.Path(__file__).parent.parent / "etc" / "pkgregd.service"
SOCKETS = UNIT.with_suffix(".socket")
ADD = ["--config", "x.toml", "token", "add", "--kind"]


def main(*argv: str) -> tuple[int, str, str]:
    """Run the command in this process: only for what ends before the reactor runs."""
    stdout, stderr = io.StringIO(), io.StringIO()
    return cli.main(argv, stdout, stderr), stdout.getvalue(), stderr.getvalue()


class RecordingCatalog:
    """The verbs that the subcommands call, in memory: takes names once, keeps tokens, remembers the order of calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.tokens: dict[str, TokenRecord] = {}
        self.problem: Exception | None = None
        self.is_closed = False

    def _add_once(self, *call: object) -> int:
        if call in self.calls:
            raise AlreadyExists(f"{call[1]} has already been taken")
        self.calls.append(call)
        return len(self.calls)

    async def add_user(self, name: str, *, is_admin: bool = False, principal: Principal) -> int:
        """See IIdentityCatalog."""
        return self._add_once("user", name, is_admin)

    async def add_group(self, path: str, visibility: Visibility, principal: Principal) -> int:
        """See IIdentityCatalog."""
        return self._add_once("group", path, visibility)

    async def add_project(self, path: str, visibility: Visibility, principal: Principal) -> int:
        """See IIdentityCatalog."""
        return self._add_once("project", path, visibility)

    async def set_member(self, user: str, path: str, role: Role, principal: Principal) -> None:
        """See IIdentityCatalog."""
        self.calls.append(("member", user, path, role))

    async def add_token(self, token: NewToken, principal: Principal) -> int:
        """See IIdentityCatalog."""
        token_id = len(self.tokens) + 1
        bearer = Principal(token.name, token.kind, token_id, scopes=token.scopes, role=token.role)
        record = TokenRecord(token.public_id, token.secret_sha256, token.name, bearer, NOW, token.expires_at)
        self.tokens[token.public_id] = record
        self.calls.append(("token", token))
        return token_id

    async def find_token(self, public_id: str) -> TokenRecord | None:
        """See IIdentityCatalog."""
        return self.tokens.get(public_id)

    async def list_tokens(self) -> tuple[TokenRecord, ...]:
        """See IIdentityCatalog."""
        return tuple(self.tokens.values())

    async def revoke_token(self, public_id: str, principal: Principal) -> bool:
        """See IIdentityCatalog."""
        if public_id not in self.tokens:
            return False
        self.tokens[public_id] = evolve(self.tokens[public_id], revoked_at=NOW)
        return True

    async def find_scope(self, level: Level, ident: int | str, user_id: int | None) -> Scope | None:
        """See IIdentityCatalog."""
        return Scope(level, 7, str(ident), Visibility.PRIVATE)

    async def check(self) -> None:
        """See ICatalog and IBlobStore."""
        if self.problem is not None:
            raise self.problem

    async def close(self) -> None:
        """See ICatalog and IBlobStore."""
        self.is_closed = True


class CommandCase(SynchronousTestCase):
    """Runs subcommands in this process, on a catalog that remembers."""

    def setUp(self) -> None:
        """Make an instance in a folder of its own."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.catalog = RecordingCatalog()
        self.blobs = RecordingCatalog()
        config = parse_config('[http]\nexternal_url = "https://packages.example.com/x"', self.folder)
        self.instance = Instance(config, lambda: NOW, lambda: self.catalog, lambda: self.blobs)

    def answer(self, *argv: str) -> Outcome:
        """Return what a subcommand answers."""
        arguments = cli.parse_arguments(["--config", "x.toml", *argv])
        return self.successResultOf(arguments.run(self.instance, arguments))

    def refusal(self, error: type[Exception], *argv: str) -> str:
        """Return the text that a subcommand is refused with."""
        arguments = cli.parse_arguments(["--config", "x.toml", *argv])
        return str(self.failureResultOf(arguments.run(self.instance, arguments), error).value)


class UsageTests(SynchronousTestCase):
    """Arguments that are wrong, and where options may stand."""

    def test_wrong_arguments_are_status_2(self) -> None:
        """Nothing is done, the usage goes to stderr, stdout stays empty."""
        for argv in (
            [],
            ["check"],
            ["--config", "x.toml"],
            ["--config", "x.toml", "chek"],
            ["--config", "x.toml", "user"],
            ["--config", "x.toml", "user", "add"],
            ["--config", "x.toml", "user", "add", "a", "b"],
            ["--config", "x.toml", "user", "add", "a", "--adm"],
            ["--config", "x.toml", "project", "add", "a/b", "--visibility", "secret"],
            ["--config", "x.toml", "member", "add", "a", "b"],
            ["--config", "x.toml", "member", "add", "a", "b", "--role", "king"],
            ["--config", "x.toml", "member", "add", "a", "b", "--role", "30"],
            ["--conf", "x.toml", "check"],
        ):
            status, stdout, stderr = main(*argv)
            self.assertEqual((status, stdout), (2, ""), argv)
            self.assertIn("usage: pkgregd", stderr)

    def test_help_is_a_result(self) -> None:
        """Help goes to stdout with status 0."""
        for argv in (["--help"], ["token", "--help"], ["token", "add", "--help"]):
            status, stdout, stderr = main(*argv)
            self.assertEqual((status, stderr), (0, ""))
            self.assertIn("usage: pkgregd", stdout)

    def test_options_before_or_behind(self) -> None:
        """--json and --config mean the same on either side of the subcommand."""
        for argv in (
            ["--config", "x.toml", "--json", "token", "list"],
            ["--config", "x.toml", "token", "list", "--json"],
            ["--json", "token", "list", "--config", "x.toml"],
            ["token", "list", "--json", "--config", "x.toml"],
        ):
            arguments = cli.parse_arguments(argv)
            self.assertEqual((arguments.config, arguments.json), ("x.toml", True))
        self.assertIs(cli.parse_arguments(["--config", "x.toml", "token", "list"]).json, False)

    def test_tokens_must_fit_their_kind(self) -> None:
        """Each kind takes its own owner, scopes and role."""
        for argv in (
            ["personal"],
            ["personal", "--project", "a/b"],
            ["personal", "--user", "u", "--group", "g"],
            ["personal", "--user", "u", "--role", "owner"],
            ["personal", "--user", "u", "--scope", "write_package_registry"],
            ["project"],
            ["project", "--group", "g"],
            ["group", "--project", "a/b"],
            ["deploy", "--scope", "read_package_registry"],
            ["deploy", "--project", "a/b"],
            ["deploy", "--project", "a/b", "--group", "a", "--scope", "read_package_registry"],
            ["deploy", "--project", "a/b", "--scope", "api"],
            ["deploy", "--group", "a", "--scope", "read_package_registry", "--role", "owner"],
            ["job"],
            ["job", "--group", "a"],
            ["job", "--project", "a/b", "--scope", "api"],
            ["job", "--project", "a/b", "--user", "u"],
            ["job", "--project", "a/b", "--expires", "0s"],
            ["job", "--project", "a/b", "--expires", "tomorrow"],
            ["job", "--project", "a/b", "--name", ""],
            ["job", "--project", "a/b", "--name", "a\nb"],
            ["job", "--project", "a/b", "--name", "x" * 256],
            ["root", "--user", "u"],
        ):
            status, stdout, stderr = main(*ADD, *argv)
            self.assertEqual((status, stdout), (2, ""), argv)
            self.assertIn("usage: pkgregd token add", stderr)

    def test_a_broken_configuration_is_status_1(self) -> None:
        """A refusal is one line on stderr, and no traceback."""
        status, stdout, stderr = main("--config", "/nowhere/x.toml", "token", "list")
        self.assertEqual((status, stdout), (1, ""))
        self.assertEqual(stderr, "pkgregd: /nowhere/x.toml: cannot be read: No such file or directory\n")

    def test_durations(self) -> None:
        """A number and a unit, not zero, not endless."""
        self.assertEqual(read_duration("30d"), datetime.timedelta(days=30))
        self.assertEqual(read_duration("12h"), datetime.timedelta(hours=12))
        self.assertEqual(read_duration("5m"), datetime.timedelta(minutes=5))
        self.assertEqual(read_duration("60s"), datetime.timedelta(seconds=60))
        for text in ("", "30", "d", "0d", "-1d", "1.5h", "1 d", "1w", "1D", "1d\n", "1000000d", "\u0663d"):
            self.assertRaises(ValueError, read_duration, text)

    @given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,8}[smhdw]?", fullmatch=True))
    @settings(max_examples=200, deadline=None)
    def test_any_duration_can_be_added_to_now(self, text: str) -> None:
        """What is taken for a length of time leads to a time that exists."""
        try:
            duration = read_duration(text)
        except ValueError:
            return
        self.assertGreater(NOW + duration, NOW)


class WriteTests(SynchronousTestCase):
    """What goes to which stream."""

    def written(self, outcome: Outcome, *, as_json: bool) -> tuple[int, str, str]:
        """Write an outcome."""
        stdout, stderr = io.StringIO(), io.StringIO()
        return cli.write(outcome, stdout, stderr, as_json=as_json), stdout.getvalue(), stderr.getvalue()

    def test_text_or_json(self) -> None:
        """The same answer, for people or for programs; notes are no result."""
        outcome = Outcome("7", {"id": 7}, notes=("two\nlines",))
        self.assertEqual(self.written(outcome, as_json=False), (0, "7\n", "pkgregd: two lines\n"))
        status, stdout, stderr = self.written(outcome, as_json=True)
        self.assertEqual((status, json.loads(stdout), stderr), (0, {"id": 7}, "pkgregd: two lines\n"))

    def test_a_refused_outcome_is_status_1(self) -> None:
        """The result is still written."""
        self.assertEqual(self.written(Outcome("bad", {}, is_refused=True), as_json=False), (1, "bad\n", ""))

    def test_nothing_to_say(self) -> None:
        """Without a text nothing is written, as JSON always a document."""
        self.assertEqual(self.written(Outcome("", []), as_json=False), (0, "", ""))
        self.assertEqual(self.written(Outcome("", []), as_json=True), (0, "[]\n", ""))


class IdentityTests(CommandCase):
    """Users, groups, projects and members."""

    def test_add(self) -> None:
        """The answer is the id; what is not said is private and no administrator."""
        self.assertEqual(self.answer("user", "add", "alice").text, "1")
        self.assertEqual(
            self.answer("user", "add", "root", "--admin").data, {"id": 2, "name": "root", "is_admin": True}
        )
        self.assertEqual(self.answer("group", "add", "acme").text, "3")
        outcome = self.answer("project", "add", "acme/tools", "--visibility", "public")
        self.assertEqual((outcome.text, outcome.data), ("4", {"id": 4, "path": "acme/tools", "visibility": "public"}))
        self.answer("member", "add", "alice", "acme", "--role", "Maintainer")
        self.assertEqual(
            self.catalog.calls,
            [
                ("user", "alice", False),
                ("user", "root", True),
                ("group", "acme", Visibility.PRIVATE),
                ("project", "acme/tools", Visibility.PUBLIC),
                ("member", "alice", "acme", Role.MAINTAINER),
            ],
        )

    def test_what_is_there_is_refused(self) -> None:
        """The catalog's refusal is the command's."""
        self.answer("user", "add", "alice")
        self.refusal(AlreadyExists, "user", "add", "alice")


class TokenTests(CommandCase):
    """Tokens."""

    def added(self, *argv: str) -> NewToken:
        """Return what a token is stored as."""
        secret = self.answer("token", "add", "--kind", *argv).text
        _, token = self.catalog.calls[-1]
        assert isinstance(token, NewToken)
        self.assertEqual((parse(secret), secret_sha256(secret)), (token.public_id, token.secret_sha256))
        return token

    def test_defaults_of_each_kind(self) -> None:
        """The least that must be said makes a token that is of use."""
        personal = self.added("personal", "--user", "u")
        self.assertEqual((personal.kind, personal.user, personal.scopes), (TokenKind.PERSONAL, "u", {"api"}))
        self.assertEqual((personal.role, personal.expires_at), (None, None))
        project = self.added("project", "--project", "a/b")
        self.assertEqual((project.project, project.role, project.scopes), ("a/b", Role.DEVELOPER, {"api"}))
        group = self.added("group", "--group", "a", "--role", "reporter", "--scope", "read_api")
        self.assertEqual((group.group, group.role, group.scopes), ("a", Role.REPORTER, {"read_api"}))
        deploy = self.added("deploy", "--group", "a", *(f"--scope={scope}" for scope in tokens.DEPLOY_SCOPES))
        self.assertEqual((deploy.group, deploy.role, deploy.scopes), ("a", None, set(tokens.DEPLOY_SCOPES)))
        job = self.added("job", "--project", "7")
        self.assertEqual((job.project, job.scopes, job.role), ("7", frozenset(), None))
        self.assertEqual(job.expires_at, NOW + datetime.timedelta(hours=1))

    def test_name_and_expiry(self) -> None:
        """Both can be chosen; a token without a name is told apart by its id."""
        token = self.added("job", "--project", "a/b", "--expires", "60s", "--name", "nightly build")
        self.assertEqual((token.name, token.expires_at), ("nightly build", NOW + datetime.timedelta(minutes=1)))
        token = self.added("personal", "--user", "u")
        self.assertEqual(token.name, f"personal-{token.public_id}")

    def test_the_secret_stands_alone(self) -> None:
        """The answer is the secret and nothing else; as JSON it has the rest beside it."""
        outcome = self.answer("token", "add", "--kind", "job", "--project", "a/b")
        self.assertEqual(parse(outcome.text), next(iter(self.catalog.tokens)))
        data = json.loads(json.dumps(outcome.data))
        self.assertEqual((data["token"], data["expires_at"]), (outcome.text, "2030-01-02T04:04:05Z"))

    def test_list(self) -> None:
        """Every token in one line with its state, whatever its name; never a secret."""
        secrets = [
            self.answer("token", "add", "--kind", "personal", "--user", "u", "--name", "laptop").text,
            self.answer("token", "add", "--kind", "job", "--project", "a/b", "--expires", "1s").text,
            self.answer("token", "add", "--kind", "personal", "--user", "u").text,
        ]
        first, second, third = self.catalog.tokens
        self.catalog.tokens[second] = evolve(self.catalog.tokens[second], expires_at=NOW)
        self.catalog.tokens[third] = evolve(self.catalog.tokens[third], revoked_at=NOW, name="a\nb\x1b[2J")
        outcome = self.answer("token", "list")
        heading, *lines = outcome.text.split("\n")
        self.assertEqual(
            heading.split(), ["public_id", "kind", "state", "expires_at", "last_used_at", "scopes", "name"]
        )
        self.assertEqual(lines[0].split(), [first, "personal", "active", "-", "-", "api", "laptop"])
        self.assertEqual(lines[1].split()[:5], [second, "job", "expired", "2030-01-02T03:04:05Z", "-"])
        self.assertEqual(lines[2].split(), [third, "personal", "revoked", "-", "-", "api", repr("a\nb\x1b[2J")])
        self.assertEqual(len(lines), 3)
        for secret in secrets:
            self.assertNotIn(secret[-49:], outcome.text + json.dumps(outcome.data))
            self.assertNotIn(secret_sha256(secret), outcome.text + json.dumps(outcome.data))

    def test_revoke_by_id_or_secret(self) -> None:
        """Both name the token; the secret is not repeated."""
        for name in (lambda secret: secret, parse):
            secret = self.answer("token", "add", "--kind", "personal", "--user", "u").text
            outcome = self.answer("token", "revoke", name(secret))
            self.assertEqual(outcome.text, parse(secret))
            self.assertNotIn(secret, json.dumps(outcome.data))
            self.assertEqual(self.catalog.tokens[parse(secret)].revoked_at, NOW)

    def test_revoke_what_is_not_there(self) -> None:
        """An unknown id, and a text that is no token, are refused without repeating it."""
        self.assertEqual(self.refusal(NotFound, "token", "revoke", "a" * 12), "no token has this id")
        mistyped = mint(TokenKind.JOB).secret[:-1] + "-"
        self.assertNotIn(mistyped[20:40], self.refusal(InvalidRequest, "token", "revoke", mistyped))


class SettingsTests(SynchronousTestCase):
    """`settings` and `usage`, on a catalog in memory."""

    def setUp(self) -> None:
        """Make a project in a group."""
        self.catalog = MemoryCatalog()
        self.get(self.catalog.add_group("acme", Visibility.PRIVATE))
        self.project_id = self.get(self.catalog.add_project("acme/tools", Visibility.PRIVATE))
        config = parse_config("[packages]\nquota_bytes = 100\n[formats.npm]\nenabled = false\n", pathlib.Path("/"))
        self.instance = Instance(config, lambda: NOW, lambda: self.catalog, lambda: RecordingCatalog())

    def get(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run to the end."""
        return self.successResultOf(ensureDeferred(coroutine))

    def answer(self, *argv: str) -> Outcome:
        """Return what a subcommand answers."""
        arguments = cli.parse_arguments(["--config", "x.toml", *argv])
        outcome: Outcome = self.get(arguments.run(self.instance, arguments))
        return outcome

    def test_set_and_show(self) -> None:
        """What holds comes with where it is set; beside a project is its usage, and of what is not served nothing."""
        self.answer("settings", "set", "acme", "quota_bytes=7", "pypi_enabled=false")
        self.answer("settings", "set", "acme/tools", "pypi_enabled=true", "generic_duplicate_exception_regex=a=b")
        outcome = self.answer("settings", "show", "acme/tools")
        for line in (
            "quota_bytes = 7  # acme",
            "pypi_enabled = true  # acme/tools",
            "generic_duplicate_exception_regex = a=b  # acme/tools",
            "generic_enabled = true  # configuration",
            "0 bytes are used, 0 reserved",
        ):
            self.assertIn(line, outcome.text.splitlines())
        self.assertNotIn("npm", outcome.text)
        self.assertEqual(outcome.data["usage"], {"file_bytes": 0, "reserved_bytes": 0})
        self.answer("settings", "set", "acme", "quota_bytes=inherit")
        self.assertIn("quota_bytes = 100  # configuration", self.answer("settings", "show", "acme").text)
        self.assertNotIn("bytes are used", self.answer("settings", "show", "acme").text)

    def test_what_is_refused(self) -> None:
        """Places and settings that are not there, and values of another kind; nothing is changed."""
        for error, path, change in (
            (NotFound, "acme/none", "quota_bytes=1"),
            (InvalidRequest, "acme", "npm_enabled=true"),
            (InvalidRequest, "acme", "pypi_enabled=yes"),
            (InvalidRequest, "acme", "quota_bytes=0"),
            (InvalidRequest, "acme", "quota_bytes=-1"),
            (InvalidRequest, "acme", "maven_duplicate_exception_regex=("),
        ):
            argv = ["--config", "x.toml", "settings", "set", path, change, "generic_enabled=false"]
            arguments = cli.parse_arguments(argv)
            self.failureResultOf(ensureDeferred(arguments.run(self.instance, arguments)), error)
        self.assertEqual(self.answer("settings", "show", "acme").data["set_at"], {})

    def test_recount(self) -> None:
        """It corrects, tells what it corrected, and then there is nothing to correct."""
        self.get(self.catalog.publish(publication_of(b"abc", self.project_id), Principal()))
        self.catalog._usages[self.project_id] = 8
        outcome = self.answer("usage", "recount")
        self.assertEqual(outcome.text, f"{self.project_id}: 8 were counted, there are 3")
        self.assertEqual(outcome.notes, ("1 projects recounted, 1 corrected",))
        self.assertEqual(self.answer("usage", "recount").data, {"projects": 1, "corrected": []})


class SeedTests(CommandCase):
    """What `seed` makes, apart from the schema."""

    def fill(self) -> Outcome:
        """Seed once."""
        return self.successResultOf(seed.fill(self.instance))

    @property
    def token_file(self) -> pathlib.Path:
        """The file that root's token is in."""
        return self.folder / "root-token"

    def test_everything_is_made(self) -> None:
        """A user, a group, a project and a token that only the owner of the file can read."""
        outcome = self.fill()
        secret = self.token_file.read_text().removesuffix("\n")
        *added, (_, token) = self.catalog.calls
        self.assertEqual(
            added,
            [
                ("user", "root", True),
                ("group", "demo", Visibility.PRIVATE),
                ("project", "demo/packages", Visibility.PRIVATE),
            ],
        )
        self.assertEqual((token.kind, token.user, token.scopes), (TokenKind.PERSONAL, "root", {"api"}))
        self.assertEqual((token.public_id, token.secret_sha256), (parse(secret), secret_sha256(secret)))
        self.assertEqual(stat.S_IMODE(self.token_file.stat().st_mode), 0o600)
        self.assertEqual(os.listdir(self.folder), ["root-token"])
        self.assertNotIn(secret, outcome.text + json.dumps(outcome.data))
        self.assertEqual(outcome.data["project_id"], 7)

    def test_twice_is_once(self) -> None:
        """A second run changes nothing and says the same."""
        first, calls, secret = self.fill(), list(self.catalog.calls), self.token_file.read_text()
        self.assertEqual(self.fill(), first)
        self.assertEqual(self.catalog.calls, calls)
        self.assertEqual(self.token_file.read_text(), secret)

    def test_a_run_that_was_killed_is_finished(self) -> None:
        """A token that was written and not stored, or whose database was removed, is stored by the next run."""
        self.fill()
        self.catalog.tokens.clear()
        self.fill()
        self.assertEqual(list(self.catalog.tokens), [parse(self.token_file.read_text().strip())])

    def test_a_revoked_token_stays_revoked(self) -> None:
        """The operator's decision stands, and is pointed out."""
        self.fill()
        self.answer("token", "revoke", self.token_file.read_text().strip())
        outcome = self.fill()
        self.assertEqual(len(self.catalog.tokens), 1)
        self.assertIn(str(self.token_file), outcome.notes[0])

    def test_another_file_of_that_name_is_left_alone(self) -> None:
        """What is no token is neither replaced nor stored."""
        for content in (b"", b"hello\n", b"\xff"):
            self.token_file.write_bytes(content)
            error = self.failureResultOf(seed.fill(self.instance), ConfigError).value
            self.assertIn(str(self.token_file), str(error))
            self.assertEqual(self.token_file.read_bytes(), content)
        self.assertEqual(self.catalog.tokens, {})

    def test_commands_can_be_pasted(self) -> None:
        """A shell makes of every command what it should, with a folder that has a space in its name."""
        file = self.folder / "a b'c" / "root-token"
        file.parent.mkdir()
        file.write_text("SECRET\n")
        packages = "https://packages.example.com/x/api/v4/projects/7/packages"
        index = packages.replace("://", "://__token__:SECRET@") + "/pypi/simple"
        expected = {
            "curl_upload": ["--header", "PRIVATE-TOKEN: SECRET", f"{packages}/generic/hello/1.0/hello.txt"],
            "curl_download": ["--header", "PRIVATE-TOKEN: SECRET", f"{packages}/generic/hello/1.0/hello.txt"],
            "twine": ["--repository-url", f"{packages}/pypi", "--username", "__token__", "--password", "SECRET"],
            "pip": ["--index-url", index],
            "uv_publish": ["--publish-url", f"{packages}/pypi", "--token", "SECRET"],
            "uv_install": ["--default-index", index],
        }
        commands = seed.client_commands("https://packages.example.com/x", 7, file)
        self.assertEqual([command.name for command in commands], list(expected))
        for command in commands:
            _, _, rest = command.text.partition(" ")
            run = subprocess.run(
                ["/bin/sh", "-c", f"printf '%s\\n' {rest}"], capture_output=True, text=True, check=True
            )
            words = run.stdout.splitlines()
            for word in expected[command.name]:
                self.assertIn(word, words)


class CheckTests(CommandCase):
    """`check`."""

    def test_every_part_is_named(self) -> None:
        """Each part that would fail says why, and one that fails does not hide another."""
        self.catalog.problem, self.blobs.problem = SchemaError("run pkgregd migrate"), StorageFull()
        outcome = self.answer("check")
        self.assertTrue(outcome.is_refused)
        self.assertIn("catalog: run pkgregd migrate\nblobs: the server has no space", outcome.text)
        reasons = {part["name"]: part["reason"] for part in outcome.data["parts"]}
        self.assertEqual(list(reasons), ["endpoints", "formats", "catalog", "blobs"])
        self.assertIsNone(reasons["endpoints"])

    def test_endpoints(self) -> None:
        """A kind that nobody knows, a port that is none and a missing certificate are found."""
        for listen, reason in (
            ("tpc:8080", "http.listen[1]: tpc:8080: Unknown endpoint type: 'tpc'"),
            ("tcp:http:x=1", "http.listen[1]: tcp:http:x=1: "),
            ("ssl:8443:privateKey=missing.pem", "No such file or directory"),
        ):
            config = parse_config(f'[http]\nlisten = ["{listen}"]', self.folder)
            error = self.failureResultOf(upkeep.check_endpoints(config), ConfigError).value
            self.assertIn(reason, str(error))

    def test_builds_of_a_format_without_any(self) -> None:
        """To keep some is a mistake that the check names."""
        config = parse_config("[formats.generic]\nkeep_builds = 3", self.folder)
        error = self.failureResultOf(upkeep.check_formats(config), ConfigError).value
        self.assertIn("formats.generic.keep_builds: only these formats have builds: maven", str(error))


class TidyTests(CommandCase):
    """`tidy`, as far as it needs no packages; tests.clients.test_maven has some."""

    def test_without_a_rule(self) -> None:
        """Nothing is looked at, and a note says why."""
        outcome = self.answer("tidy", "--dry-run")
        self.assertEqual(outcome.notes, ("keep_builds is not set for any format: all builds are kept",))
        self.assertEqual((outcome.data["packages"], outcome.data["is_dry_run"], outcome.data["named"]), (0, True, []))
        self.assertFalse(outcome.is_refused)


class InstanceTests(CommandCase):
    """Opening and closing."""

    def test_opened_once_when_asked_for(self) -> None:
        """Only what was used is opened, once, and closed."""
        opened: list[str] = []

        def make_catalog() -> RecordingCatalog:
            opened.append("catalog")
            return self.catalog

        instance = Instance(self.instance.config, lambda: NOW, make_catalog, lambda: self.fail("not asked for"))
        self.assertEqual(opened, [])
        self.assertIs(instance.catalog, instance.catalog)
        self.successResultOf(instance.close())
        self.assertEqual((opened, self.catalog.is_closed), (["catalog"], True))

    def test_identity_commands_are_coroutines_of_the_parser(self) -> None:
        """The parser leads to the subcommand that its words say."""
        for words, run in (("user add x", identity.add_user), ("token list", tokens.list_tokens)):
            self.assertIs(cli.parse_arguments(["--config", "x.toml", *words.split()]).run, run)


class ProcessTests(SynchronousTestCase):
    """The command as a process of its own, over a real catalog."""

    def setUp(self) -> None:
        """Write a configuration."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        (self.folder / "pkgregd.toml").write_text("[blobs]\nreserve_bytes = 0\n")

    def run_command(self, *argv: str, status: int = 0) -> str:
        """Run it in another folder than that of the file; returns stdout."""
        command: Sequence[str] = (sys.executable, "-m", "pkgregd.cli", "--config", f"{self.folder}/pkgregd.toml", *argv)
        environment = {**os.environ, "PYTHONPATH": str(UNIT.parent.parent)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd="/")
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(done.stderr != "", status != 0 and not done.stdout, done.stderr)
        return done.stdout

    def test_from_nothing_to_a_revoked_token(self) -> None:
        """An operator's first steps."""
        self.run_command("check", status=1)
        self.assertTrue(self.run_command("migrate"))
        self.assertEqual(json.loads(self.run_command("--json", "check"))["is_ok"], True)
        self.run_command("user", "add", "alice")
        self.run_command("user", "add", "alice", status=1)
        self.run_command("group", "add", "acme")
        project_id = json.loads(self.run_command("project", "add", "acme/tools", "--json"))["id"]
        self.run_command("member", "add", "alice", "acme/tools", "--role", "developer")
        secret = self.run_command("token", "add", "--kind", "job", "--project", str(project_id)).rstrip("\n")
        [row] = json.loads(self.run_command("token", "list", "--json"))
        self.assertEqual((row["public_id"], row["project_id"]), (parse(secret), project_id))
        self.run_command("token", "revoke", secret)
        [row] = json.loads(self.run_command("token", "list", "--json"))
        self.assertEqual(row["state"], "revoked")

    def test_seed_and_upkeep(self) -> None:
        """Seeding twice gives the same; sweep and fsck find nothing wrong with it."""
        first = self.run_command("seed")
        self.assertIn("http://127.0.0.1:8080/api/v4/projects/", first)
        self.assertEqual(self.run_command("seed"), first)
        self.run_command("sweep", "--json")
        self.run_command("fsck", "--json")


class UnitTests(SynchronousTestCase):
    """`etc/pkgregd.service`."""

    def commands(self, key: str) -> list[str]:
        """Return the words of the unit's one command under a key."""
        [line] = [line for line in UNIT.read_text().splitlines() if line.startswith(f"{key}=")]
        return shlex.split(line.partition("=")[2])

    def test_the_daemon_is_started_with_options_it_has(self) -> None:
        """twistd knows every option before the name of the plug-in, and the plug-in gets --config."""
        program, *argv = self.commands("ExecStart")
        self.assertEqual(os.path.basename(program), "twistd")
        before, behind = argv[: argv.index("pkgregd")], argv[argv.index("pkgregd") + 1 :]
        options = ServerOptions()
        options.parseOptions(before)
        self.assertTrue(options["nodaemon"])
        self.assertEqual(behind, ["--config", "/etc/pkgregd/pkgregd.toml"])

    def test_the_command_before_is_ours(self) -> None:
        """What runs before the daemon is a subcommand that exists."""
        program, *argv = self.commands("ExecStartPre")
        self.assertEqual(os.path.basename(program), "pkgregd")
        self.assertIs(cli.parse_arguments(argv).run, upkeep.migrate)

    def test_systemd_is_told(self) -> None:
        """systemd waits for what the daemon says, looks after it, and reloads it by the signal it obeys."""
        self.assertEqual(self.commands("Type"), ["notify"])
        self.assertEqual(self.commands("ExecReload"), ["/bin/kill", "-HUP", "$MAINPID"])
        self.assertEqual(self.commands("KillMode"), ["mixed"])

    def test_the_socket_is_one_of_the_configuration(self) -> None:
        """What systemd opens is what the daemon listens on as it comes."""
        [line] = [line for line in SOCKETS.read_text().splitlines() if line.startswith("ListenStream=")]
        host, _, port = line.partition("=")[2].rpartition(":")
        self.assertEqual(HttpConfig().listen, (f"tcp:{port}:interface={host}",))

    def test_systemd_understands_it(self) -> None:
        """systemd finds nothing to say against the unit, once its programs are there."""
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not installed")
        folder = pathlib.Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        copies = [folder / UNIT.name, folder / SOCKETS.name]
        for copy, unit in zip(copies, (UNIT, SOCKETS), strict=True):
            copy.write_text(
                unit.read_text()
                .replace("/opt/pkgregd/bin/pkgregd", "/bin/true")
                .replace("/opt/pkgregd/bin/twistd", "/bin/true")
            )
        done = subprocess.run(
            ["systemd-analyze", "verify", *map(str, copies)], capture_output=True, text=True, timeout=60
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
