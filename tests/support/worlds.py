"""
Who and what every test daemon knows: made once by commands of pkgregd, and copied from then on.

Each command is a process that takes most of a second. Tests that run in several processes share what the first of them
has made in the folder that PKGREGD_TEST_TEMPLATES names.
"""

from __future__ import annotations

import fcntl
import os
import pathlib
import pickle
import tempfile
from collections.abc import Callable, Mapping

from attrs import field, frozen

from tests.support.catalogs import load_template, save_template, template_url
from tests.support.tls import Certificates, make_certificates

Run = Callable[..., str]
"""Runs `pkgregd` over a configuration, the first argument; returns what it printed."""


@frozen
class World:
    """
    Who and what there is in the catalog of every daemon.

    Attributes:
        private_id, public_id: numbers of the projects `acme/private` and `acme/public`.
        group: their group's path, itself public.
        writer: personal token of a developer of both.
        reader: personal token of a reporter of both.
        stranger: personal token of a user without any membership.
        deploy: deploy token of the private project, reading and writing; its user name is `deployer`.
        job: job token of the private project.
        user_names: of the users of further personal tokens, by token.
    """

    private_id: str
    public_id: str
    writer: str
    reader: str
    stranger: str
    deploy: str
    job: str
    group: str = "acme"
    user_names: Mapping[str, str] = field(factory=dict)

    def user_name(self, secret: str) -> str:
        """Return the name that belongs beside a token, where formats look at it."""
        known = {self.writer: "wendy", self.reader: "rob", self.stranger: "sam", self.deploy: "deployer"}
        known |= self.user_names
        return known.get(secret, "gitlab-ci-token" if secret == self.job else "nobody")


@frozen
class Template:
    """A migrated catalog with its World, and the certificates of all daemons, in a folder."""

    folder: pathlib.Path
    world: World
    certificates: Certificates


def template(engine: str, run: Run) -> Template:
    """Return the template of an engine, made by this process or by another one of the same run."""
    shared = os.environ.get("PKGREGD_TEST_TEMPLATES")
    if not shared:
        return _make(pathlib.Path(tempfile.mkdtemp(prefix="template-", dir=os.getcwd())), engine, run)
    kept = pathlib.Path(shared, f"{engine}.pickle")
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            found = pickle.loads(kept.read_bytes())  # noqa: S301 - our own, of this run
            assert isinstance(found, Template)
            load_template(engine, found.folder)
            return found
        made = _make(pathlib.Path(tempfile.mkdtemp(prefix=f"{engine}-", dir=shared)), engine, run)
        save_template(engine, made.folder)
        kept.write_bytes(pickle.dumps(made))
        return made


def _make(folder: pathlib.Path, engine: str, run_over: Run) -> Template:
    config = folder / "pkgregd.toml"
    config.write_text(f'[catalog]\nurl = "{template_url(engine)}"\n')

    def run(*arguments: str) -> str:
        return run_over(config, *arguments)

    run("migrate")
    run("group", "add", "acme", "--visibility", "public")
    private = run("project", "add", "acme/private", "--visibility", "private")
    public = run("project", "add", "acme/public", "--visibility", "public")
    for user in ("wendy", "rob", "sam"):
        run("user", "add", user)
    run("member", "add", "wendy", "acme", "--role", "developer")
    run("member", "add", "rob", "acme", "--role", "reporter")

    def personal(user: str) -> str:
        return run("token", "add", "--kind", "personal", "--user", user, "--scope", "api")

    deploy_scopes = ("--scope", "read_package_registry", "--scope", "write_package_registry")
    names = ("--name", "deployer", "--username", "deployer")
    deploy = run("token", "add", "--kind", "deploy", "--project", "acme/private", *names, *deploy_scopes)
    world = World(
        private_id=private,
        public_id=public,
        writer=personal("wendy"),
        reader=personal("rob"),
        stranger=personal("sam"),
        deploy=deploy,
        job=run("token", "add", "--kind", "job", "--project", "acme/private", "--expires", "12h"),
    )
    return Template(folder, world, make_certificates(folder))
