"""verdaccio, the registry of npm packages that people run beside the public one."""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench.peers import INSTALL_SECONDS, Peer, ask_json
from bench.settings import GREAT_BYTES, PEERS

PACKAGE = pathlib.Path(__file__).with_name("environments") / "verdaccio" / "package.json"
"""Which one is installed."""

FOLDER = PEERS / "verdaccio"
PROGRAM = FOLDER / "node_modules" / "verdaccio" / "bin" / "verdaccio"

# signed tokens, which cost it little: a token of the usual kind holds the password, whose slow hash each request pays
CONFIG = """
storage: {folder}/storage
auth: {{ htpasswd: {{ file: {folder}/htpasswd, max_users: 10 }} }}
uplinks: {{}}
packages: {{ '**': {{ access: $authenticated, publish: $authenticated, unpublish: $authenticated }} }}
server: {{ keepAliveTimeout: 60 }}
security: {{ api: {{ jwt: {{ sign: {{ expiresIn: 7d }} }} }} }}
max_body_size: 1gb
web: {{ enable: false }}
log: {{ type: stdout, format: pretty, level: warn }}
listen: 127.0.0.1:{port}
"""


class Verdaccio(Peer):
    """verdaccio without uplinks and web pages, its own storage on disk; authorised by the signed token of a login."""

    name = "verdaccio"
    npm_path = ""

    def start(self) -> None:
        """Start it and log in."""
        super().start()
        user = {"name": "bench", "password": "bench-bench"}
        self.secret: str = ask_json(self, "PUT", "/-/user/org.couchdb.user:bench", user)["token"]

    @property
    def token(self) -> Mapping[str, str]:
        """What authorises a request."""
        return {"Authorization": f"Bearer {self.secret}"}

    def drop_great_blobs(self) -> None:
        """Make room on the disk."""
        for file in (self.folder / "storage").rglob("*.tgz"):
            if file.stat().st_size > GREAT_BYTES // 32:
                file.unlink()

    def multiply(self, name: str, versions: Sequence[str]) -> None:
        """
        Have a name with one version have those, as if each had been published.

        Done in the file where it keeps what it knows of a name: each publish takes it a twentieth of a second.
        """
        path = self.folder / "storage" / name / "package.json"
        known = json.loads(path.read_text())
        ((old, fields),) = known["versions"].items()
        known["versions"] = {
            version: _fields_of(version, json.dumps(fields).replace(old, version)) for version in versions
        }
        known["_attachments"] = {
            f"{name}-{version}.tgz": {"shasum": fields["dist"]["shasum"], "version": version}
            for version, fields in known["versions"].items()
        }
        known["dist-tags"] = {"latest": versions[-1]}
        path.write_text(json.dumps(known, indent="\t"))

    def _prepare(self) -> Sequence[str]:
        config = self.folder / "config.yaml"
        config.write_text(CONFIG.format(folder=self.folder, port=self.port))
        return ["node", str(PROGRAM), "--config", str(config)]


def _fields_of(version: str, text: str) -> dict[str, Any]:
    """Give a version digests of its own, which compress as badly as any."""
    fields: dict[str, Any] = json.loads(text)
    sha512 = hashlib.sha512(version.encode()).digest()
    fields["dist"] |= {"integrity": f"sha512-{base64.b64encode(sha512).decode()}", "shasum": sha512[:20].hex()}
    return fields


def install_verdaccio() -> bool:
    """
    Install it unless it is there.

    Returns:
        Whether it is. Why not has been told.
    """
    if PROGRAM.exists():
        return True
    print(f"installing verdaccio in {FOLDER}", file=sys.stderr)
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE, FOLDER)
        npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(npm, cwd=FOLDER, timeout=INSTALL_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"left out: verdaccio cannot be installed: {error}", file=sys.stderr)
        return False
    return True
