"""nginx in front of a daemon, as a real proxy."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

from tests.support.daemon import clean_environment, free_ports, wait_until
from tests.support.rawhttp import RawConnection

STOP_SECONDS = 20.0

_CONFIG = """daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
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


def nginx_program() -> str | None:
    """Return where nginx is installed, None if it is not."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


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
        config.write_text(_CONFIG.format(folder=folder, port=self.port, target=target))
        self._process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")],
            env=clean_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, "nginx")

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
