"""`seed`: a user, a project and a token to try everything with."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import tempfile
from argparse import Namespace
from collections.abc import Awaitable

from attrs import frozen

from pkgregd.auth.tokens import mint, parse, secret_sha256
from pkgregd.commands.instance import Instance, Outcome
from pkgregd.errors import AlreadyExists, ConfigError, InvalidCredentials, NotFound
from pkgregd.values import Level, MintedToken, NewToken, TokenKind, Visibility

ROOT = "root"
GROUP = "demo"
PROJECT = "demo/packages"
TOKEN_FILE = "root-token"  # noqa: S105 - the name of a file


async def seed(instance: Instance, arguments: Namespace) -> Outcome:
    """
    Make the administrator `root`, the private project `demo/packages` and root's token, whatever of them is missing.

    The schema is brought up to date first. Answers commands to paste.
    """
    from pkgregd.catalog import migrate  # brings in the migrations

    config = instance.config
    migrate(config.catalog.url, config.folder)
    return await fill(instance)


async def fill(instance: Instance) -> Outcome:
    """Do all of seed() that needs no migration."""
    catalog, config, who = instance.catalog, instance.config, instance.operator
    await _unless_there(catalog.add_user(ROOT, is_admin=True, principal=who))
    await _unless_there(catalog.add_group(GROUP, Visibility.PRIVATE, who))
    await _unless_there(catalog.add_project(PROJECT, Visibility.PRIVATE, who))
    project = await catalog.find_scope(Level.PROJECT, PROJECT, None)
    if project is None:
        raise NotFound(f"the project {PROJECT} went away meanwhile")
    token_file = config.folder / TOKEN_FILE
    notes = await _ensure_token(instance, keep_token(token_file), token_file)
    commands = client_commands(config.http.external_url, project.id, token_file)
    lines = [line for command in commands for line in (f"# {command.purpose}", command.text, "")]
    data = {
        "project_id": project.id,
        "project": PROJECT,
        "token_file": str(token_file),
        "commands": {command.name: command.text for command in commands},
    }
    return Outcome("\n".join(lines).rstrip("\n"), data, notes)


async def _unless_there(adding: Awaitable[int]) -> None:
    with contextlib.suppress(AlreadyExists):
        await adding


def keep_token(path: pathlib.Path) -> MintedToken:
    """
    Return the token in a file, making both if there is no such file.

    The file appears whole, readable by its owner only, and before anything is stored: what a crash
    leaves is a token that the next run stores.

    Raises:
        ConfigError: the file holds something else, or cannot be read or written.
    """
    try:
        if not path.exists():
            _write_new(path, mint(TokenKind.PERSONAL).secret)
        secret = path.read_text("ascii").strip()
        return MintedToken(secret, parse(secret), secret_sha256(secret))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, InvalidCredentials):
        raise ConfigError(f"{path}: does not hold a token; remove the file to get a new one") from None


def _write_new(path: pathlib.Path, secret: str) -> None:
    """Make a file of one line with mode 0600; one that another process made first is kept."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


async def _ensure_token(instance: Instance, token: MintedToken, path: pathlib.Path) -> tuple[str, ...]:
    """Store the token unless it is there; returns what the operator should know."""
    record = await instance.catalog.find_token(token.public_id)
    if record is None:
        await instance.catalog.add_token(
            NewToken(
                token.public_id,
                token.secret_sha256,
                TokenKind.PERSONAL,
                ROOT,
                scopes=frozenset({"api"}),
                user=ROOT,
            ),
            instance.operator,
        )
        return ()
    if record.revoked_at is not None or record.secret_sha256 != token.secret_sha256:
        return (f"the token in {path} is not valid any more; remove the file and run seed again for a new one",)
    return ()


@frozen
class ClientCommand:
    """
    A command to paste.

    Attributes:
        name: for programs.
        purpose: for people.
        text: one line of shell.
    """

    name: str
    purpose: str
    text: str


def client_commands(external_url: str, project_id: int, token_file: pathlib.Path) -> tuple[ClientCommand, ...]:
    """Return what to type to publish to a project and to install from it. The token stays in its file."""
    token = f"$(cat {shlex.quote(str(token_file))})"
    packages = f"{external_url}/api/v4/projects/{project_id}/packages"
    scheme, _, rest = packages.partition("://")
    index = f'"{scheme}://__token__:{token}@{rest}/pypi/simple"'
    curl = f'curl --fail --header "PRIVATE-TOKEN: {token}"'
    return (
        ClientCommand(
            "curl_upload", "publish a file", f"{curl} --upload-file hello.txt {packages}/generic/hello/1.0/hello.txt"
        ),
        ClientCommand("curl_download", "fetch it", f"{curl} --remote-name {packages}/generic/hello/1.0/hello.txt"),
        ClientCommand(
            "twine",
            "publish Python packages",
            f'twine upload --repository-url {packages}/pypi --username __token__ --password "{token}" dist/*',
        ),
        ClientCommand("pip", "install one", f"pip install --index-url {index} NAME"),
        ClientCommand(
            "uv_publish",
            "publish with uv",
            f'uv publish --publish-url {packages}/pypi --token "{token}" dist/*',
        ),
        ClientCommand("uv_install", "install with uv", f"uv pip install --default-index {index} NAME"),
    )
