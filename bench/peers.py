"""The servers that pkgregd is measured beside: nginx as the floor, devpi-server and pypiserver as what people run."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from bench.load import Call, Pieces, make_call
from bench.settings import PEERS
from bench.wares import Wheel
from tests.support.daemon import clean_environment, free_ports, wait_until
from tests.support.packages import upload_form

PEER_PACKAGES = ("devpi-server", "pypiserver[cache]", "passlib", "waitress")
INSTALL_SECONDS = 600
START_SECONDS = 60.0
JSON_INDEX = "application/vnd.pypi.simple.v1+json"

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/unused;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
        client_max_body_size 0;
        location / {{
            dav_methods PUT;
            create_full_put_path on;
        }}
    }}
}}
"""


class Peer:
    """
    A server in a process of its own.

    Args:
        folder: where everything it writes goes.
    """

    name: str

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True)
        command = self._prepare()
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_until(self._answers, self.name, START_SECONDS)

    def close(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    @property
    def pid(self) -> int:
        """Its first process."""
        assert self._process is not None
        return self._process.pid

    def _prepare(self) -> Sequence[str]:
        """Write what it needs; returns the command that runs it."""
        raise NotImplementedError

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "output").read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


class Nginx(Peer):
    """nginx that takes files by WebDAV PUT and serves them: no names checked, no digest computed, nothing synced."""

    name = "nginx"

    @staticmethod
    def program() -> str | None:
        """Return where nginx is installed, None if it is not."""
        return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

    token: Mapping[str, str] = {}

    def file_path(self, name: str, file_name: str) -> str:
        """Return the URL path of a file."""
        return f"/{name}/{file_name}"

    def upload_file(self, name: str, file_name: str, body: Pieces) -> Call:
        """Make the upload of a file."""
        return make_call("PUT", self.file_path(name, file_name), self.token, body)

    def download_file(self, name: str, file_name: str) -> Call:
        """Make the download of a file."""
        return make_call("GET", self.file_path(name, file_name), self.token)

    def stored(self, name: str, file_name: str) -> pathlib.Path:
        """Return where an uploaded file lies."""
        return self.folder / "files" / name / file_name

    def drop_great_blobs(self) -> None:
        """Make room on the disk."""
        for file in (self.folder / "files").rglob("great*"):
            file.unlink()

    def _prepare(self) -> Sequence[str]:
        program = self.program()
        assert program is not None
        (self.folder / "files").mkdir()
        user = "user root;" if os.geteuid() == 0 else ""
        config = self.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=self.folder, port=self.port, user=user))
        return [program, "-p", str(self.folder), "-c", str(config), "-e", str(self.folder / "error.log")]


class Devpi(Peer):
    """devpi-server with one index that takes and serves wheels, offline; authorised by the token of a login."""

    name = "devpi-server"
    index_formats: Mapping[str, str] = {"HTML": "text/html", "JSON": JSON_INDEX}

    def start(self) -> None:
        """Start it, log in and make the index."""
        super().start()
        login = ask_json(self, "POST", "/+login", {"user": "root", "password": "bench"})
        secret = base64.b64encode(f"root:{login['result']['password']}".encode()).decode("ascii")
        self._token = {"X-Devpi-Auth": secret}
        ask_json(self, "PUT", "/root/bench", {"type": "stage", "bases": [], "volatile": True}, self._token)

    def upload_wheel(self, wheel: Wheel) -> Call:
        """Make the form in which twine uploads a wheel."""
        return _form("/root/bench/", self._token, wheel)

    def index(self, name: str, headers: Mapping[str, str] | None = None) -> Call:
        """Make the request of the page of a package's files."""
        return make_call("GET", f"/root/bench/+simple/{name}/", {**self._token, **(headers or {})})

    def _prepare(self) -> Sequence[str]:
        state = str(self.folder / "server")
        init = [str(PEERS / "bin" / "devpi-init"), "--serverdir", state, "--root-passwd", "bench", "--no-root-pypi"]
        subprocess.run(init, env=environment(self.folder), capture_output=True, timeout=START_SECONDS, check=True)
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [str(PEERS / "bin" / "devpi-server"), "--serverdir", state, "--offline-mode", *address]

    _token: Mapping[str, str] = {}


class PyPIServer(Peer):
    """pypiserver under waitress with its folder cached; it asks for no password, which is the least it can cost."""

    name = "pypiserver"
    index_formats: Mapping[str, str] = {"HTML": "text/html"}

    def upload_wheel(self, wheel: Wheel) -> Call:
        """Make the form in which twine uploads a wheel."""
        return _form("/", {}, wheel)

    def index(self, name: str, headers: Mapping[str, str] | None = None) -> Call:
        """Make the request of the page of a package's files."""
        return make_call("GET", f"/simple/{name}/", headers or {})

    def _prepare(self) -> Sequence[str]:
        (self.folder / "packages").mkdir()
        address = ["--interface", "127.0.0.1", "--port", str(self.port)]  # takes waitress if there
        access = ["--authenticate", ".", "--passwords", ".", "--disable-fallback", "--backend", "cached-dir"]
        return [str(PEERS / "bin" / "pypi-server"), "run", *address, *access, str(self.folder / "packages")]


def ask_json(
    peer: Peer, method: str, path: str, fields: Mapping[str, object], token: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Send a peer JSON; returns the JSON that it answers."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{peer.port}{path}",
        data=json.dumps(fields).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json", **(token or {})},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 # our own peer
        found: dict[str, Any] = json.load(answer)
        return found


def environment(home: pathlib.Path) -> dict[str, str]:
    """Make the environment of a peer, which knows nothing of our code."""
    return {name: value for name, value in clean_environment(home).items() if name != "PYTHONPATH"}


def install_peers() -> bool:
    """
    Install the Python peers unless they are there.

    Returns:
        Whether they are. Why not has been told.
    """
    programs = [PEERS / "bin" / name for name in ("devpi-server", "pypi-server")]
    if all(program.exists() for program in programs):
        return True
    print(f"installing {', '.join(PEER_PACKAGES)} in {PEERS}", file=sys.stderr)
    pip = [str(PEERS / "bin" / "python"), "-m", "pip", "install", "--quiet", *PEER_PACKAGES]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], timeout=INSTALL_SECONDS, check=True)
        subprocess.run(pip, timeout=INSTALL_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"left out: devpi-server and pypiserver cannot be installed: {error}", file=sys.stderr)
        return False
    return True


def start_peer(peer: Peer) -> bool:
    """Start a peer; returns whether it runs. Why not has been told."""
    try:
        peer.start()
    except (AssertionError, TimeoutError, OSError, subprocess.SubprocessError) as error:
        peer.close()
        print(f"left out: {peer.name} does not start: {error}", file=sys.stderr)
        return False
    return True


def _form(path: str, headers: Mapping[str, str], wheel: Wheel) -> Call:
    form = upload_form(wheel.name, wheel.version, wheel.file_name, wheel.sha256, wheel.pieces)
    return make_call("POST", path, {**headers, **form.headers}, form.pieces)
