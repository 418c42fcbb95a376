"""nginx in front of a daemon, as a real proxy."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from unittest import SkipTest

from tests.support.daemon import clean_environment, free_ports, wait_until
from tests.support.rawhttp import RawConnection
from tests.support.samples import FOLDER, lay_certificates, sample
from tests.support.tls import Certificates

STOP_SECONDS = 20.0

_PLACES = """daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
"""
_CONFIG = (
    _PLACES
    + """  client_max_body_size 0;
  upstream daemon {{ server 127.0.0.1:{target}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://daemon; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""
)


def nginx_program() -> str | None:
    """Return where nginx is installed, None if it is not."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def demand_nginx() -> str:
    """Return its path; skip the test without it, or fail where clients have to be there."""
    program = nginx_program()
    if program is None:
        if os.environ.get("PKGREGD_REQUIRE_CLIENTS") == "1":
            raise AssertionError("nginx is not installed")
        raise SkipTest("nginx is not installed")
    return program


class NginxProxy:
    """
    One nginx, running.

    Args:
        program: its path.
        folder: where it keeps everything; made.
        target: port that it passes requests on to.
    """

    def __init__(self, program: str, folder: pathlib.Path, target: int) -> None:
        folder.mkdir(parents=True)
        (self.port,) = free_ports(1)
        config = folder / "nginx.conf"
        config.write_text(self._config(folder, target))
        self._process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")],
            env=clean_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, "nginx")

    def _config(self, folder: pathlib.Path, target: int) -> str:
        return _CONFIG.format(folder=folder, port=self.port, target=target)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"nginx exits {self._process.returncode}")
        try:
            RawConnection(self.port).close()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(STOP_SECONDS)


def complaints(program: str, folder: pathlib.Path, certificates: Certificates) -> str:
    """Have nginx look at the sample as it is; returns what it says, with its exit status if that is not 0."""
    folder.mkdir(parents=True)
    lay_certificates(folder, certificates)
    config = folder / "nginx.conf"
    config.write_text(f"{_PLACES.format(folder=folder)}  include {FOLDER / 'nginx.conf'};\n}}\n")
    done = subprocess.run(
        [program, "-t", "-q", "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")],
        env=clean_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STOP_SECONDS,
        check=False,
    )
    return done.stderr + (f"exit status {done.returncode}" if done.returncode else "")


class SampleNginx(NginxProxy):
    """
    One nginx with the sample, running.

    Args:
        blobs: the folder that it sends files from.
    """

    def __init__(
        self, program: str, folder: pathlib.Path, target: int, certificates: Certificates, blobs: pathlib.Path
    ) -> None:
        self._certificates = certificates
        self._blobs = blobs
        super().__init__(program, folder, target)

    def _config(self, folder: pathlib.Path, target: int) -> str:
        lay_certificates(folder, self._certificates)
        text = sample(
            "nginx.conf",
            {
                "    listen [::]:443 ssl http2;\n": "",
                "listen 443": f"listen 127.0.0.1:{self.port}",
                "server 127.0.0.1:8080;": f"server 127.0.0.1:{target};",
                "/var/lib/pkgregd/blobs/": f"{self._blobs}/",
            },
        )
        return f"{_PLACES.format(folder=folder)}{text}\n}}\n"
