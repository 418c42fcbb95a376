"""What the operator's command tells the audit trail."""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import pathlib
import pwd
from collections.abc import Iterator, Mapping

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import cli
from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.commands.instance import Instance, who_operates
from pkgregd.commands.seed import fill
from pkgregd.config import parse
from pkgregd.values import AuditAction, AuditEntry, PeriodicPlan, Principal

A = AuditAction
NOW = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
PAT = Principal("operator:pat")

TOLD: Mapping[str, tuple[str, tuple[AuditAction, ...]]] = {
    "user add": ("jane", (A.ADD_USER,)),
    "group add": ("acme", (A.ADD_GROUP,)),
    "project add": ("acme/tools", (A.ADD_PROJECT,)),
    "member add": ("jane acme --role guest", (A.SET_MEMBER,)),
    "token add": ("--kind job --project acme/tools", (A.ADD_TOKEN,)),
    "token revoke": ("TOKEN", (A.REVOKE_TOKEN,)),
    "settings set": ("acme/tools npm_enabled=false", (A.CHANGE_SETTINGS,)),
    "task run": ("tidy", (A.RUN_TASKS,)),
    "task retry": ("1", (A.RETRY_TASK,)),
    "sweep": ("", (A.SWEEP,)),
    "fsck": ("--repair", (A.REPAIR,)),
}
"""Each subcommand that changes something, with arguments, in an order in which each can."""

ELSEWHERE = {
    "audit": "changes nothing",
    "backup": "changes nothing",
    "restore": "puts the trail back with all else",
    "check": "changes nothing",
    "token list": "changes nothing",
    "task list": "changes nothing",
    "settings show": "changes nothing",
    "usage recount": "counts what there is; whatever changed it was told",
    "migrate": "changes the schema alone",
    "scrub": "notes what is known of bytes; every file is what it was",
    "seed": "see SeedTests",
    "tidy": "tells of each package that loses something; see tests.registry.test_tidy",
}


def subcommands(parser: argparse.ArgumentParser, words: str = "") -> Iterator[str]:
    """The words of every subcommand."""
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not actions:
        yield words
    for action in actions:
        for word, below in action.choices.items():
            yield from subcommands(below, f"{words} {word}".strip())


class OperatorCase(SynchronousTestCase):
    """A catalog in memory, and an operator."""

    def setUp(self) -> None:
        """Make an instance."""
        self.folder = pathlib.Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.catalog = MemoryCatalog()
        self.out = io.StringIO()
        self.instance = Instance(
            parse("", self.folder), lambda: NOW, lambda: self.catalog, MemoryBlobStore, PAT, self.out
        )

    def run_command(self, words: str) -> list[AuditEntry]:
        """Run a subcommand; returns what it told."""
        before = len(self.catalog.trail)
        arguments = cli.parse_arguments(["--config", "x.toml", *words.split()])
        self.successResultOf(arguments.run(self.instance, arguments))
        return self.catalog.trail[before:]


class TellingTests(OperatorCase):
    """Subcommand by subcommand."""

    def test_each_tells_who_did_it(self) -> None:
        """The entry names the operator's login; none that changes something is left out."""
        self.assertEqual(set(subcommands(cli.make_parser())), set(TOLD) | set(ELSEWHERE))
        plans = [PeriodicPlan(kind, 3600) for kind in ("sweep", "tidy")]
        self.successResultOf(ensureDeferred(self.catalog.plan_tasks(plans)))
        public_id = ""
        for words, (rest, actions) in TOLD.items():
            entries = self.run_command(f"{words} {rest}".replace("TOKEN", public_id))
            self.assertEqual([entry.told.action for entry in entries], list(actions), words)
            self.assertEqual({entry.principal for entry in entries}, {PAT}, words)
            public_id = entries[-1].told.subject if words == "token add" else public_id

    def test_a_dry_run_tells_nothing(self) -> None:
        """Nor does looking for faults."""
        self.assertEqual(self.run_command("sweep --dry-run"), [])
        self.assertEqual(self.run_command("fsck"), [])

    def test_the_operator_is_a_login(self) -> None:
        """A name as no user can have one; a number where the host knows no login."""
        login = pwd.getpwuid(os.getuid()).pw_name
        self.assertEqual(who_operates(os.getuid()).name, f"operator:{login}")
        self.assertEqual(who_operates(2**31 - 9).name, f"operator:{2**31 - 9}")


class PrintingTests(OperatorCase):
    """`audit`."""

    def test_prints_lines(self) -> None:
        """The same as the stream; from an entry on, if one is named."""
        self.run_command("user add jane")
        self.run_command("user add john")
        self.run_command("audit --after 1")
        (line,) = map(json.loads, self.out.getvalue().splitlines())
        self.assertEqual((line["id"], line["subject"], line["principal"]["name"]), (2, "john", "operator:pat"))


class SeedTests(OperatorCase):
    """`seed`."""

    def test_tells_what_it_makes(self) -> None:
        """Four things the first time, none the second."""
        self.successResultOf(fill(self.instance))
        told = [(entry.told.action, entry.principal) for entry in self.catalog.trail]
        self.assertEqual(told, [(action, PAT) for action in (A.ADD_USER, A.ADD_GROUP, A.ADD_PROJECT, A.ADD_TOKEN)])
        self.successResultOf(fill(self.instance))
        self.assertEqual(len(self.catalog.trail), 4)
