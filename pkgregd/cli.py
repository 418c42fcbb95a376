"""
`pkgregd`, the operator's command.

Results go to stdout and everything else to stderr. The exit status is 0, 1 when
something was refused, 2 when the arguments are wrong. Of `sweep`, `fsck` and `scrub` 1 means that something is not as
it should be, and 2 also that they could not find out.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TextIO, TypeVar

from pkgregd.commands import audit, backup, identity, integrity, seed, settings, tasks, tokens, upkeep
from pkgregd.commands.instance import Instance, Outcome, UsageError, read_duration, who_operates
from pkgregd.config import Config, load
from pkgregd.errors import PkgregdError
from pkgregd.values import Role, TaskState, TokenKind, Visibility

T = TypeVar("T")

OK, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130
MAX_ID_DIGITS = 18
STATEMENT_SECONDS = 3600.0
"""No client waits for what `fsck` asks of a database with millions of rows."""

SWEEP_GRACE = datetime.timedelta(days=1)


def main(argv: Sequence[str] | None = None, stdout: TextIO | None = None, stderr: TextIO | None = None) -> int:
    """
    Run the command once; it uses the reactor up.

    Args:
        argv: the arguments without the name of the program; those of the process by default.
        stdout, stderr: the streams of the process by default.

    Returns:
        The exit status.
    """
    stdout, stderr = stdout or sys.stdout, stderr or sys.stderr
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            arguments = parse_arguments(argv)
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else USAGE
    try:
        outcome = run(load(arguments.config), arguments, stdout, stderr)
    except PkgregdError as error:
        print(f"pkgregd: {_one_line(str(error))}", file=stderr)
        return int(arguments.failure)
    except KeyboardInterrupt:
        return INTERRUPTED
    return write(outcome, stdout, stderr, as_json=arguments.json)


def write(outcome: Outcome, stdout: TextIO, stderr: TextIO, *, as_json: bool) -> int:
    """Write what a subcommand answered; returns the exit status."""
    for note in outcome.notes:
        print(f"pkgregd: {_one_line(note)}", file=stderr)
    text = json.dumps(outcome.data, indent=2) if as_json and outcome.data is not None else outcome.text
    if text:
        print(text, file=stdout, flush=True)
    return REFUSED if outcome.is_refused else OK


def _one_line(text: str) -> str:
    return " ".join(text.split())


def run(config: Config, arguments: argparse.Namespace, stdout: TextIO, stderr: TextIO | None = None) -> Outcome:
    """
    Run the subcommand on the reactor.

    Raises:
        KeyboardInterrupt: the reactor was stopped before the subcommand was done.
    """

    async def use(reactor: Any) -> Outcome:
        instance = open_instance(reactor, config, stdout, stderr)
        try:
            answer: Outcome = await arguments.run(instance, arguments)
        finally:
            await instance.close()
        return answer

    return on_reactor(use)


def open_instance(reactor: Any, config: Config, stdout: TextIO, stderr: TextIO | None = None) -> Instance:
    """Make the Instance of a configuration; what it opens is imported when it is asked for."""

    def make_catalog() -> Any:
        from pkgregd.catalog import open_catalog

        return open_catalog(
            reactor,
            config.catalog.url,
            config.folder,
            config.catalog.readers,
            config.catalog.connections,
            statement_seconds=STATEMENT_SECONDS,
        )

    def make_blobs() -> Any:
        from pkgregd.blobs import open_blob_store

        blobs = config.blobs
        return open_blob_store(
            reactor, blobs.url, config.folder, reserve_bytes=blobs.reserve_bytes, threads=blobs.threads, s3=blobs
        )

    operator = who_operates(os.getuid())

    def clock() -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    return Instance(config, clock, make_catalog, make_blobs, operator, stdout, stderr)


def on_reactor(work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on the real reactor, once in a process; returns and raises what it does."""
    from twisted.internet.task import react

    results: list[T] = []
    errors: list[Exception] = []

    async def keep(reactor: Any) -> None:
        try:
            results.append(await work(reactor))
        except Exception as error:  # raised again below, where react() does not log it
            errors.append(error)

    with contextlib.suppress(SystemExit):  # react() always ends so
        react(keep)
    if errors:
        raise errors[0]
    if not results:
        raise KeyboardInterrupt
    return results[0]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """
    Read the arguments.

    Returns:
        With `config`, `json`, `run` (the coroutine function of the subcommand) and the subcommand's own.

    Raises:
        SystemExit: after help or the usage was printed.
    """
    parser = make_parser()
    defaults = argparse.Namespace(config=None, json=False, check_request=None, failure=REFUSED)
    arguments = parser.parse_args(argv, defaults)
    if arguments.config is None:
        arguments.subparser.error("--config FILE is needed")
    if arguments.check_request is not None:
        try:
            arguments.check_request(arguments)
        except UsageError as error:
            arguments.subparser.error(str(error))
    return arguments


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command."""
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    # Suppressed defaults: an option before the subcommand is not forgotten for want of one behind it.
    common.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="the configuration")
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON")
    parser = argparse.ArgumentParser(
        prog="pkgregd", description="Administer a package registry.", parents=[common], allow_abbrev=False
    )
    subcommands = _Subcommands(parser, common)
    subcommands.add("check", upkeep.check)
    subcommands.add("migrate", upkeep.migrate)
    subcommands.add("seed", seed.seed)
    sweep = subcommands.add("sweep", upkeep.sweep)
    sweep.add_argument("--grace", metavar="TIME", type=_duration, default=SWEEP_GRACE, help="least age, 1d by default")
    sweep.add_argument("--dry-run", action="store_true", help="remove nothing")
    subcommands.add("tidy", upkeep.tidy).add_argument("--dry-run", action="store_true", help="remove nothing")
    fsck = subcommands.add("fsck", integrity.fsck)
    fsck.add_argument("--repair", action="store_true", help="repair what can be repaired")
    fsck.add_argument("--verify", action="store_true", help="read all bytes")
    fsck.add_argument(
        "--grace", metavar="TIME", type=_duration, default=SWEEP_GRACE, help="age of unknown objects, 1d by default"
    )
    scrub = subcommands.add("scrub", integrity.scrub)
    for reading in (fsck, scrub):
        reading.add_argument("--bytes-per-second", metavar="N", type=_rate, help="read no faster")
    for judging in (sweep, fsck, scrub):
        judging.set_defaults(failure=USAGE)

    subcommands.add("backup", backup.back_up).add_argument("file", metavar="FILE", help="is not there yet")
    subcommands.add("restore", backup.restore).add_argument("file", metavar="FILE", help="made by backup")

    trail = subcommands.add("audit", audit.print_trail)
    trail.add_argument("--after", metavar="ID", type=_entry, default=0, help="begin behind this entry")
    trail.add_argument("--follow", action="store_true", help="go on with what is done from now on")

    user = subcommands.add("user add", identity.add_user)
    user.add_argument("name", metavar="NAME")
    user.add_argument("--admin", action="store_true", help="let the user administer the instance")
    for words, path, add in (
        ("group add", "PATH", identity.add_group),
        ("project add", "GROUP/NAME", identity.add_project),
    ):
        place = subcommands.add(words, add)
        place.add_argument("path", metavar=path)
        place.add_argument(
            "--visibility", type=_visibility, default=Visibility.PRIVATE, metavar="private|internal|public"
        )
    member = subcommands.add("member add", identity.add_member)
    member.add_argument("user", metavar="USER")
    member.add_argument("path", metavar="GROUP_OR_PROJECT")
    member.add_argument("--role", type=_role, required=True, metavar="ROLE", help=_ROLES)

    subcommands.add("settings show", settings.show_settings).add_argument("path", metavar="GROUP_OR_PROJECT")
    change = subcommands.add("settings set", settings.set_settings)
    change.add_argument("path", metavar="GROUP_OR_PROJECT")
    change.add_argument(
        "changes", metavar="NAME=VALUE", nargs="+", type=_change, help="NAME=inherit takes back what was set"
    )
    subcommands.add("usage recount", settings.recount_usage)

    listing = subcommands.add("task list", tasks.list_tasks)
    listing.add_argument("--state", type=_task_state, metavar=_TASK_STATES)
    listing.add_argument("--kind", metavar="KIND", type=_task_kind)
    subcommands.add("task run", tasks.run_tasks).add_argument("kind", metavar="KIND", type=_task_kind)
    subcommands.add("task retry", tasks.retry_task).add_argument("id", metavar="ID", type=_task_id)

    token = subcommands.add("token add", tokens.add_token)
    token.set_defaults(check_request=tokens.check_request)
    token.add_argument("--kind", type=_kind, required=True, metavar=_KINDS)
    for owner in ("user", "project", "group"):
        token.add_argument(f"--{owner}", metavar=owner.upper())
    token.add_argument("--scope", action="append", default=[], metavar="SCOPE", help="may be repeated")
    token.add_argument("--role", type=_role, metavar="ROLE", help=f"{_ROLES}; developer by default")
    token.add_argument("--expires", type=_duration, metavar="TIME", help="30d, 12h or 60s from now")
    token.add_argument("--name", metavar="NAME")
    token.add_argument("--username", metavar="NAME", help="user name of a deploy token")
    subcommands.add("token list", tokens.list_tokens)
    subcommands.add("token revoke", tokens.revoke_token).add_argument("token", metavar="ID_OR_SECRET")
    return parser


class _Subcommands:
    """Adds subcommands of one or two words, each with the common options behind it too."""

    def __init__(self, parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
        self._common = common
        self._first_words = parser.add_subparsers(metavar="SUBCOMMAND", required=True)
        self._second_words: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}

    def add(self, words: str, run: Callable[..., Coroutine[Any, Any, Outcome]]) -> argparse.ArgumentParser:
        first, _, second = words.partition(" ")
        summary = (run.__doc__ or "").strip().partition("\n")[0]
        if second and first not in self._second_words:
            parent = self._first_words.add_parser(first, allow_abbrev=False, help=f"see pkgregd {first} --help")
            self._second_words[first] = parent.add_subparsers(metavar="SUBCOMMAND", required=True)
        subparsers = self._second_words[first] if second else self._first_words
        subparser = subparsers.add_parser(
            second or first, parents=[self._common], allow_abbrev=False, help=summary, description=summary
        )
        subparser.set_defaults(run=run, subparser=subparser)
        return subparser


_ROLES = ", ".join(role.name.lower() for role in Role)
_KINDS = "|".join(kind.value for kind in TokenKind)
_TASK_STATES = "|".join(state.value for state in TaskState)


def _role(text: str) -> Role:
    try:
        return Role[text.upper()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"must be one of {_ROLES}") from None


def _kind(text: str) -> TokenKind:
    try:
        return TokenKind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be one of {_KINDS.replace('|', ', ')}") from None


def _task_state(text: str) -> TaskState:
    try:
        return TaskState(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be one of {_TASK_STATES.replace('|', ', ')}") from None


def _task_kind(text: str) -> str:
    if re.fullmatch(r"[a-z_]{1,100}", text, re.ASCII) is None:
        raise argparse.ArgumentTypeError("must be the kind of a task, such as sweep; `task list` shows them")
    return text


def _change(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("must be NAME=VALUE, such as quota_bytes=1000000000")
    return name, value


def _visibility(text: str) -> Visibility:
    try:
        return Visibility(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be one of private, internal, public") from None


def _entry(text: str) -> int:
    return _number(text, "the number of an entry, or 0")


def _task_id(text: str) -> int:
    return _number(text, "the number of a task, as `task list` shows it")


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS):
        raise argparse.ArgumentTypeError(f"must be {what}")
    return int(text)


def _rate(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS and int(text)):
        raise argparse.ArgumentTypeError("must be a number of bytes from 1")
    return int(text)


def _duration(text: str) -> datetime.timedelta:
    try:
        return read_duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a length of time such as 30d, 12h or 60s") from None


if __name__ == "__main__":
    sys.exit(main())
