"""A proxy that damages what is uploaded through it, as a bad memory or a bad proxy would."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from collections.abc import Callable, Iterator

_SENT_ON = ("authorization", "content-type")
_SENT_BACK = ("WWW-Authenticate", "Content-Type")
_SECONDS = 60.0


@contextlib.contextmanager
def damaging_proxy(host_and_port: str, is_damaged: Callable[[str], bool]) -> Iterator[str]:
    """
    Run a proxy in front of a daemon, on a port of its own.

    Args:
        host_and_port: of the daemon.
        is_damaged: tells from the path whether the last byte of what is uploaded there is changed.

    Yields:
        What stands for the daemon's host and port.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if is_damaged(self.path):
                body = body[:-1] + bytes([body[-1] ^ 1])
            self.pass_on(body)

        def do_GET(self) -> None:
            self.pass_on(None)

        def pass_on(self, body: bytes | None) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() in _SENT_ON}
            connection = http.client.HTTPConnection(host_and_port, timeout=_SECONDS)
            with contextlib.closing(connection):
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                data = answer.read()
            self.send_response(answer.status, answer.reason)
            for name in _SENT_BACK:
                value = answer.getheader(name)
                if value is not None:
                    self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
