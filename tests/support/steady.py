"""Clients that ask without a pause while something is done to the daemon, and every failure that they meet."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Mapping
from types import TracebackType

from tests.support.daemon import wait_until

REQUESTS_PER_CONNECTION = 20


class SteadyLoad:
    """
    Threads that ask for one path over and over; a context manager.

    Half of them have a new connection for each request. The others keep theirs for some, and leave it when told so by
    `Connection: close`; a request that fails is never repeated.

    Args:
        tls: of https clients, of which the last thread is one.
        tls_port: their port.

    Attributes:
        failures: what was seen that no client should see.
        answers: how many requests were answered with 200.
    """

    def __init__(
        self,
        port: int,
        path: str,
        headers: Mapping[str, str],
        *,
        clients: int = 4,
        tls: ssl.SSLContext | None = None,
        tls_port: int = 0,
    ) -> None:
        self._port, self._path, self._headers = port, path, dict(headers)
        self._tls, self._tls_port = tls, tls_port
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number, clients)) for number in range(clients)]
        self._lock = threading.Lock()
        self.failures: list[str] = []
        self.answers = 0

    def __enter__(self) -> SteadyLoad:
        for thread in self._threads:
            thread.start()
        self.more(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Wait until so many more were answered, or one failed."""
        enough = self.answers + count
        wait_until(lambda: self.answers >= enough or bool(self.failures), f"{count} answers", 60)

    def _connect(self, is_last: bool) -> http.client.HTTPConnection:
        if is_last and self._tls is not None:
            return http.client.HTTPSConnection("localhost", self._tls_port, timeout=60, context=self._tls)
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)

    def _ask(self, number: int, clients: int) -> None:
        per_connection = 1 if number % 2 else REQUESTS_PER_CONNECTION
        while not self._is_over.is_set():
            connection = self._connect(number == clients - 1)
            try:
                self._ask_over(connection, per_connection)
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.failures.append(repr(error))
            finally:
                connection.close()

    def _ask_over(self, connection: http.client.HTTPConnection, count: int) -> None:
        for _ in range(count):
            if self._is_over.is_set():
                return
            connection.request("GET", self._path, headers=self._headers)
            answer = connection.getresponse()
            answer.read()
            with self._lock:
                if answer.status == 200:
                    self.answers += 1
                else:
                    self.failures.append(f"status {answer.status}")
            if answer.will_close:
                return
