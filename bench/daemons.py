"""pkgregd, of this checkout or another, as a server to measure."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from bench.load import Call, Pieces, make_call
from bench.settings import GREAT_BYTES, MIB
from bench.wares import Wheel
from tests.support.catalogs import SQLITE
from tests.support.daemon import COMMAND_SECONDS, Daemon, clean_environment
from tests.support.packages import upload_form

LAUNCHER = pathlib.Path(__file__).with_name("launch.py")
LIMITED = ("generic", "pypi", "maven")
SETTINGS = "\n".join(f"[formats.{name}]\nmax_file_bytes = {2 * GREAT_BYTES + MIB}" for name in LIMITED)


class Pkgregd:
    """
    One daemon with its own catalog and blobs, configured as it comes.

    Args:
        name: what tables call it.
        checkout: whose code runs.
        settings: more of its configuration.
        engine: what its catalog is kept in.
        beside: whose catalog and blobs it shares, if any.
        http: more of its section [http].
    """

    def __init__(
        self,
        name: str,
        checkout: pathlib.Path,
        settings: str = "",
        *,
        engine: str = SQLITE,
        beside: Pkgregd | None = None,
        http: str = "",
    ) -> None:
        self.name = name
        self.checkout = checkout
        # -P: the folder of the launcher is nobody's package
        program = [sys.executable, "-P", str(LAUNCHER), str(checkout)]
        self._daemon = Daemon(f"{SETTINGS}\n{settings}", http=http, program=program, engine=engine)
        if beside is not None:
            text = self._daemon.config.read_text()
            for mine in ("sqlite:pkgregd.sqlite3", "file:blobs"):
                scheme, _, name = mine.partition(":")
                text = text.replace(f'"{mine}"', f'"{scheme}:{beside.folder / name}"')
            self._daemon.config.write_text(text)
        world = self._daemon.world
        self.secret = world.writer
        self.other_secret = world.reader
        self.token: Mapping[str, str] = {"PRIVATE-TOKEN": self.secret}
        self.npm_path = self.packages_path("npm")
        self._generic = self.packages_path("generic")
        self._kept: set[pathlib.Path] = set()
        self._pypi = self.packages_path("pypi")

    def start(self) -> None:
        """Start it on a catalog of its own revision and wait until it is ready."""
        subprocess.run(
            [sys.executable, "-m", "pkgregd.cli", "--config", str(self._daemon.config), "migrate"],
            cwd=self.folder,
            env=clean_environment(self.folder, {"PYTHONPATH": str(self.checkout)}),
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=True,
        )
        self._daemon.start()

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._daemon.close()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._daemon.process.pid

    @property
    def port(self) -> int:
        """Where it speaks plain HTTP."""
        return self._daemon.port

    @property
    def folder(self) -> pathlib.Path:
        """Where it keeps everything."""
        return self._daemon.folder

    @property
    def catalog_url(self) -> str:
        """Where its catalog is."""
        return self._daemon.catalog_url

    @property
    def project_id(self) -> int:
        """Number of the project that everything is published to."""
        return int(self._daemon.world.private_id)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute SQL on its catalog."""
        return self._daemon.query(statement)

    def packages_path(self, format: str) -> str:
        """Return the URL path of a format at the project that everything is published to."""
        return self._daemon.packages_path(format, self._daemon.world.private_id)

    def file_path(self, name: str, file_name: str) -> str:
        """Return the URL path of a generic file."""
        return f"{self._generic}/{name}/1.0/{file_name}"

    def open_file_path(self, name: str, file_name: str) -> str:
        """Return the URL path of a generic file at the project that everybody may read."""
        return f"{self._daemon.packages_path('generic', self._daemon.world.public_id)}/{name}/1.0/{file_name}"

    def by_path(self, url_path: str) -> str:
        """Return the same URL path with the path of the project instead of its number."""
        return url_path.replace(f"/projects/{self._daemon.world.private_id}/", "/projects/acme%2Fprivate/")

    def upload_file(self, name: str, file_name: str, body: Pieces) -> Call:
        """Make the raw upload of a generic file."""
        return make_call("PUT", self.file_path(name, file_name), self.token, body)

    def upload_wheel(self, wheel: Wheel) -> Call:
        """Make the form in which twine uploads a wheel."""
        form = upload_form(wheel.name, wheel.version, wheel.file_name, wheel.sha256, wheel.pieces)
        return make_call("POST", self._pypi, {**self.token, **form.headers}, form.pieces)

    def download_file(self, name: str, file_name: str) -> Call:
        """Make the download of a generic file."""
        return make_call("GET", self.file_path(name, file_name), self.token)

    def index_path(self, name: str) -> str:
        """Return the URL path of the page of a Python package's files; without a name, that of all names."""
        return f"{self._pypi}/simple/{name}/" if name else f"{self._pypi}/simple/"

    def index(self, name: str, headers: Mapping[str, str] | None = None) -> Call:
        """Make the request of such a page."""
        statuses = frozenset({304 if "If-None-Match" in (headers or {}) else 200})
        return make_call("GET", self.index_path(name), {**self.token, **(headers or {})}, (), statuses)

    def entity_tag(self, name: str) -> str:
        """Ask for the ETag of that page."""
        return str(self._daemon.get(self.index_path(name), self.token)[1]["ETag"])

    def keep_blobs(self) -> None:
        """Have drop_great_blobs() leave what is there now."""
        self._kept |= self._great_blobs()

    def drop_great_blobs(self) -> None:
        """Make room on the disk behind the daemon's back."""
        for file in self._great_blobs() - self._kept:
            file.unlink()

    def _great_blobs(self) -> set[pathlib.Path]:
        return {
            file
            for file in (self.folder / "blobs").rglob("*")
            if file.is_file() and file.stat().st_size > GREAT_BYTES // 32
        }
