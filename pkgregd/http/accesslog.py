"""One line of JSON per request. It never holds a credential, a query string or a body."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pkgregd.clockwork import Gathering
from pkgregd.secrecy import without_secrets

if TYPE_CHECKING:
    from pkgregd.http.request import FrontRequest

MAX_PATH_CHARACTERS = 512
MAX_AGENT_CHARACTERS = 200
MAX_SEARCHED_CHARACTERS = 2048
"""Of an agent, how much is searched for secrets: more than any that begins in what is written, and little enough."""

CLIENT_LEFT = 499
"""Stands for the status of a request whose client left before it was answered."""


class AccessLog:
    """
    Writes `event="http.requests"` with the fields of each request in `requests`, and the lines as JSON in `lines`.

    Lines are gathered for a moment: a logger's formatting costs more than a small request, and so many share it.

    Args:
        clock: for gathering.
        log: where to.
    """

    def __init__(self, clock: IReactorTime, log: Logger | None = None) -> None:
        self._log = log or Logger(namespace="pkgregd.access")
        self._lines: Gathering[Mapping[str, object]] = Gathering(clock, self._write)
        self._second = (0, "")

    def finished(self, request: FrontRequest, *, aborted: bool) -> None:
        """Tell of a request's end; aborted when its client left before the reply was complete."""
        agent = request.header(b"user-agent") or b""
        self._lines.add(
            {
                "time": self._now(),
                "request_id": request.request_id,
                "address": request.address,
                "method": request.method.decode("ascii"),
                "path": _without_secrets(request.path.decode("ascii"))[:MAX_PATH_CHARACTERS],
                "status": request.status or CLIENT_LEFT,
                "aborted": aborted,
                "received_bytes": request.body.received_bytes,
                "sent_bytes": request.sent_bytes,
                "milliseconds": round((time.perf_counter() - request.started_at) * 1000, 2),
                "agent": without_secrets(agent[:MAX_SEARCHED_CHARACTERS].decode("latin-1"))[:MAX_AGENT_CHARACTERS],
                **request.log_fields,
            }
        )

    def refused(self, address: str, status: int, reason: str, request_id: str | None = None) -> None:
        """Tell of a message that never became a request; it has an id if it was answered."""
        known = {} if request_id is None else {"request_id": request_id}
        self._lines.add({"time": self._now(), **known, "address": address, "status": status, "refused": reason})

    def flush(self) -> None:
        """Write what was gathered."""
        self._lines.flush()

    def _write(self, gathered: Sequence[Mapping[str, object]]) -> None:
        lines = "\n".join(map(json.dumps, gathered))
        self._log.info("{lines}", event="http.requests", lines=lines, requests=gathered)

    def _now(self) -> str:
        """Return the time to the millisecond, in UTC; its greater part is made once per second."""
        now = time.time()
        second = int(now)
        if self._second[0] != second:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return f"{self._second[1]}.{int((now - second) * 1000):03d}Z"


def _without_secrets(path: str) -> str:
    """Take tokens out of a path, where npm has one when it logs out, however it is escaped."""
    decoded = unquote(path) if "%" in path else path
    cleaned = without_secrets(decoded)
    return path if cleaned == decoded else cleaned
