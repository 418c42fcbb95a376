"""A steady load of small requests of several kinds, which notes what was answered, when, and what was promised."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from attrs import define, field, frozen

from tests.support.daemon import Daemon

PAUSE_SECONDS = 0.03
TIMEOUT_SECONDS = 30.0


@frozen
class Asked:
    """
    One request.

    Attributes:
        kind: of those in KINDS.
        ended_at: by time.monotonic().
        status: 0 for a connection that broke.
        retry_after: the header; empty without.
    """

    kind: str
    ended_at: float
    seconds: float
    status: int
    retry_after: str


@define
class SteadyLoad:
    """
    Asks until it is left: usable as a context manager.

    Args:
        project_id: where to upload to.
        secret: of somebody who may.

    Attributes:
        asked: everything, in the order of the ends.
        promised: what was acknowledged: bytes by path.
    """

    daemon: Daemon
    project_id: str
    secret: str
    asked: list[Asked] = field(factory=list)
    promised: dict[str, bytes] = field(factory=dict)
    _number: int = 0
    _is_over: threading.Event = field(factory=threading.Event)
    _threads: list[threading.Thread] = field(factory=list)

    def __enter__(self) -> SteadyLoad:
        for work in (self._upload, self._upload, self._download, self._index, self._token, self._ready, self._alive):
            self._threads.append(threading.Thread(target=self._repeat, args=(work,), daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def count(self, kind: str, status: int, since: float = 0.0) -> int:
        """Return how many requests of a kind were answered so, from a time on."""
        return sum(
            1 for each in list(self.asked) if (each.kind, each.status) == (kind, status) and each.ended_at > since
        )

    def first(self, kind: str, status: int, since: float) -> float:
        """Return how long after a time the first request of a kind was answered so; infinite for never."""
        ends = (each.ended_at for each in list(self.asked) if (each.kind, each.status) == (kind, status))
        return min((end - since for end in ends if end > since), default=float("inf"))

    def _repeat(self, work: Callable[[], None]) -> None:
        while not self._is_over.wait(PAUSE_SECONDS):
            work()

    def ask(self, kind: str, method: str, path: str, body: bytes | None = None, *, open_to_all: bool = False) -> bytes:
        """Send one request, and note it; returns what came."""
        headers: Mapping[str, str] = {} if open_to_all else {"PRIVATE-TOKEN": self.secret}
        began_at = time.monotonic()
        status, retry_after, answer = 0, "", b""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            answer = response.read()
            status, retry_after = response.status, response.headers["Retry-After"] or ""
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        ended_at = time.monotonic()
        self.asked.append(Asked(kind, ended_at, ended_at - began_at, status, retry_after))
        return answer if status < 400 else b""

    def _path(self, name: str) -> str:
        return f"{self.daemon.packages_path('generic', self.project_id)}/load/1.0/{name}"

    def _upload(self) -> None:
        self._number += 1
        path = self._path(f"{threading.get_ident()}-{self._number}")
        data = path.encode() * 10
        if self.ask("upload", "PUT", path, data):
            self.promised[path] = data

    def _download(self) -> None:
        promised = list(self.promised.items())
        if promised:
            path, data = promised[-1]
            answer = self.ask("download", "GET", path)
            if answer not in (b"", data):
                self.asked.append(Asked("download", time.monotonic(), 0.0, 0, "wrong bytes"))

    def _index(self) -> None:
        self.ask("index", "GET", f"{self.daemon.packages_path('pypi', self.project_id)}/simple/")

    def _token(self) -> None:
        self.ask("token", "GET", "/api/v4/personal_access_tokens/self")

    def _ready(self) -> None:
        self.ask("ready", "GET", "/-/readyz", open_to_all=True)

    def _alive(self) -> None:
        self.ask("alive", "GET", "/-/livez", open_to_all=True)


KINDS = ("upload", "download", "index", "token")
"""What needs the database."""
