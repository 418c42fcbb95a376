"""
What people see when their client is refused: a daemon that refuses in every way, and contracts for commands.

The page `refusals` of the manual has a table of what each command shows, which is what the contracts go by.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import pathlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import evolve, frozen

from pkgregd.auth.tokens import mint
from pkgregd.values import TokenKind
from tests.support.clients import ClientTestCase, Run
from tests.support.daemon import Daemon, wait_until

PAGE = pathlib.Path(__file__).parents[2] / "pkgregd" / "web" / "pages" / "refusals.md"

LIMIT_BYTES = 64 << 10
FORMATS = ("cargo", "generic", "maven", "npm", "nuget", "pypi")

NOISE = [os.urandom(32).hex() for _ in range(5000)]
"""Words that no archive makes smaller than the limit."""

MOST_REQUESTS = 12
"""More refusals of one kind than this in one run are a client that does not give up."""

MOST_SECONDS = 60.0
"""How long one run may last."""

HOLDER = "holder"
"""What the user agent of our own requests is."""

WHY = "why"
STATUS = "status"
WAITS = "waits"
ITSELF = "itself: "
"""Words of the table: our own sentence is shown; the number alone; it waits and goes on; it asks nobody."""

NOTHING = "-"
"""Stands in the table where a command cannot be refused."""


@frozen
class Situation:
    """
    One way to be refused.

    Attributes:
        column: of the table.
        status, code: what the daemon's log says.
        who: whose token is shown: a name of the daemon's world, `guest`, `nobody` or `nonsense`, which nobody has.
        told: part of our own sentence, what to do included.
        project: where.
        is_great: whether what is published is above the limit.
    """

    column: str
    status: int
    code: str
    who: str
    told: str
    project: str = "private"
    is_great: bool = False


NO_TOKEN = Situation("no token", 401, "authentication_required", "nobody", "authentication is required: send a token")
BAD_TOKEN = Situation("bad token", 401, "invalid_credentials", "nonsense", "not valid: send a token that is whole")
MAY_NOT_READ = Situation(
    "right missing", 403, "permission_denied", "guest", "read_package is missing: you need the role reporter"
)
MAY_NOT_PUBLISH = Situation(
    "right missing", 403, "permission_denied", "reader", "create_package is missing: you need the role developer"
)
MISSING = Situation("not there", 404, "not_found", "reader", "not found: look at its name and version")
HIDDEN = Situation("not there", 404, "not_found", "stranger", "project not found: look at its number or path")
TOO_LARGE = Situation(
    "too large", 413, "body_too_large", "writer",
    f"the limit is {LIMIT_BYTES} bytes (64 KiB); ask an administrator to raise", is_great=True,
)  # fmt: skip
TOO_OFTEN = Situation("too often", 429, "rate_limited", "writer", "too many requests: try again in", "busy")

OFFERING = (NO_TOKEN, BAD_TOKEN, MAY_NOT_PUBLISH, HIDDEN, TOO_LARGE, TOO_OFTEN)
FETCHING = (NO_TOKEN, BAD_TOKEN, MAY_NOT_READ, MISSING, HIDDEN, TOO_OFTEN)


def rows() -> Mapping[str, Mapping[str, str]]:
    """Read what the manual says that each command shows, by command and column."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = next(row for row in table if row[:2] == ["command", NO_TOKEN.column])
    after = itertools.takewhile(lambda row: len(row) == len(head), table[table.index(head) + 2 :])
    return {row[0].strip("`"): dict(zip(head[1:], row[1:], strict=True)) for row in after}


class StrictDaemon(Daemon):
    """
    A daemon over HTTPS with small limits.

    Attributes:
        guest: token of a user who sees the private project, and reads nothing there.
        projects: numbers of the private project, of `busy` that takes one request an hour of each user, and of
            `slow` that takes one every two seconds.
    """

    def __init__(self) -> None:
        sizes = "".join(f"[formats.{name}]\nmax_file_bytes = {LIMIT_BYTES}\n" for name in FORMATS)
        super().__init__(sizes, external_scheme="https")
        self.cli("user", "add", "gus")
        self.cli("member", "add", "gus", "acme/private", "--role", "guest")
        self.guest = self.cli("token", "add", "--kind", "personal", "--user", "gus", "--scope", "api")
        self.world = evolve(self.world, user_names={self.guest: "gus"})
        self.projects = {"private": self.world.private_id}
        for name, rate in (("busy", "1/3600s"), ("slow", "1/2s")):
            self.projects[name] = self.cli("project", "add", f"acme/{name}", "--visibility", "private")
            with self.config.open("a") as config:
                prefix = f"/api/v4/projects/{self.projects[name]}/packages/"
                config.write(f'[[rate_limits]]\nprefix = "{prefix}"\nauthenticated = "{rate}"\n')

    def secret(self, who: str) -> str:
        """Return a token, see Situation; empty for nobody."""
        known = {"nobody": "", "nonsense": mint(TokenKind.PERSONAL).secret, "guest": self.guest}
        return known[who] if who in known else str(getattr(self.world, who))

    def requests_since(self, offset: int) -> Sequence[Mapping[str, Any]]:
        """Return what clients asked since the log had a length, holding not counted."""
        lines = (line[line.find("{") :] for line in self.log_text()[offset:].splitlines() if '"request_id"' in line)
        return [request for request in map(json.loads, lines) if request["agent"] != HOLDER]

    @contextlib.contextmanager
    def at(self, project: str) -> Iterator[None]:
        """Let the name of the private project mean another one meanwhile."""
        world = self.world
        self.world = evolve(world, private_id=self.projects[project])
        try:
            yield
        finally:
            self.world = world

    def use_up(self, project: str) -> None:
        """Leave the writer nothing to ask of a project."""
        headers = {"PRIVATE-TOKEN": self.world.writer, "User-Agent": HOLDER}
        path = f"{self.packages_path('generic', self.projects[project])}/a/1/b"
        wait_until(lambda: self.get(path, headers)[0] == TOO_OFTEN.status, "the end of a limit")

    @contextlib.contextmanager
    def held(self, project: str, offset: int) -> Iterator[None]:
        """Take every request that a project's limit admits, until a client has come too late for one."""
        ended = threading.Event()

        def hold() -> None:
            while not ended.wait(0.02) and not any(
                request["status"] == TOO_OFTEN.status for request in self.requests_since(offset)
            ):
                self.use_up(project)

        self.use_up(project)
        holder = threading.Thread(target=hold)
        holder.start()
        try:
            yield
        finally:
            ended.set()
            holder.join()


if TYPE_CHECKING:
    _Base = ClientTestCase
else:
    _Base = object


class RefusalsContract(_Base):
    """What a command that is refused is put through; its row of the table says what it shows."""

    shared_by: ClassVar[str] = "refusals"
    daemon: StrictDaemon

    def make_daemon(self) -> Daemon:
        """See DaemonTestCase."""
        return StrictDaemon()

    def assert_shown(self, command: str, run: Callable[[str, Situation], Run], situations: Sequence[Situation]) -> None:
        """
        Fail unless a command shows in each situation what the table says.

        Args:
            run: runs it with a token, in a folder for this run alone.
        """
        row = rows()[command]
        found = []
        base = self.folder
        for number, situation in enumerate(situations):
            self.folder = base / str(number)
            self.folder.mkdir()
            cell = row[situation.column]
            see = self.objection_to_waiting if cell == WAITS else self.objection
            objection = see(run, situation, cell)
            if objection is not None:
                found.append(f"{command}, {situation.column} as {situation.who}, {cell!r}: {objection}")
        self.assertEqual(found, [], "\n\n".join(found))

    def objection(self, run: Callable[[str, Situation], Run], situation: Situation, cell: str) -> str | None:
        """Tell what is wrong with what a command shows, if anything is."""
        if situation.project == "busy":
            self.daemon.use_up("busy")
        offset, begun_at = len(self.daemon.log_text()), time.monotonic()
        with self.daemon.at(situation.project):
            done = run(self.daemon.secret(situation.who), situation)
        if time.monotonic() - begun_at > MOST_SECONDS:
            return "it hangs"
        if done.status == 0:
            return f"it exits with 0\n{done.output}"
        if not cell.startswith(ITSELF):
            asked = self.refused_since(offset, situation)
            if not 1 <= asked <= MOST_REQUESTS:
                return f"{asked} requests were refused\n{done.output}"
        return None if shows(done.output, cell, situation) else done.output

    def refused_since(self, offset: int, situation: Situation) -> int:
        """Count the requests that were refused as they should be, once the first of them is in the log."""
        expected = (situation.status, situation.code)

        def count() -> int:
            requests = self.daemon.requests_since(offset)
            return sum((request["status"], request.get("error")) == expected for request in requests)

        with contextlib.suppress(TimeoutError):
            wait_until(lambda: count() > 0, "a refusal", 5)
        return count()

    def objection_to_waiting(self, run: Callable[[str, Situation], Run], situation: Situation, cell: str) -> str | None:
        """Tell what is wrong with a command that should wait as long as it is told, and then go on."""
        for attempt in range(5):
            self.folder = self.folder / str(attempt)
            self.folder.mkdir()
            offset = len(self.daemon.log_text())
            with self.daemon.held("slow", offset), self.daemon.at("slow"):
                done = run(self.daemon.secret(situation.who), situation)
            if self.refused_since(offset, situation):
                break  # else it came just in time
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: self.daemon.requests_since(offset)[-1]["status"] != situation.status, "going on", 5)
        requests = self.daemon.requests_since(offset)
        times = [datetime.datetime.fromisoformat(request["time"]) for request in requests]
        late = [request["status"] == situation.status for request in requests]
        if not any(late) or late[-1]:
            return f"it does not go on: {[request['status'] for request in requests]}\n{done.output}"
        begun = late.index(True)
        if (times[begun + 1] - times[begun]).total_seconds() < 0.9:
            return f"it does not wait: {times}"
        return None


class OfferContract(RefusalsContract):
    """
    What a command that publishes is put through. Subclasses are ClientTestCases.

    Attributes:
        offers: the command, as the manual has it.
    """

    offers: ClassVar[str]

    def offer(self, secret: str, *, is_great: bool) -> Run:
        """Publish something small, or above the limit, to the private project; without a token if it is empty."""
        raise NotImplementedError

    def test_offering(self) -> None:
        """Who publishes sees what the manual says."""
        self.assert_shown(
            self.offers, lambda secret, situation: self.offer(secret, is_great=situation.is_great), OFFERING
        )


class FetchContract(RefusalsContract):
    """
    What a command that installs is put through. Subclasses are ClientTestCases.

    Attributes:
        fetches: the command, as the manual has it.
    """

    fetches: ClassVar[str]

    def fetch(self, secret: str) -> Run:
        """Install something that is not in the private project; without a token if it is empty."""
        raise NotImplementedError

    def test_fetching(self) -> None:
        """Who installs sees what the manual says."""
        self.assert_shown(self.fetches, lambda secret, situation: self.fetch(secret), FETCHING)


def shows(output: str, cell: str, situation: Situation) -> bool:
    """Whether an output is what a cell says, and no more, however its lines are broken and coloured."""
    text = " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).split())
    if cell == WHY:
        return situation.told in text
    wanted = [str(situation.status)] if cell == STATUS else re.findall("`([^`]+)`", cell)
    return situation.told not in text and any(re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) for words in wanted)
