"""One structured line per request. It never holds a credential, a query string or a body."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from twisted.logger import Logger

if TYPE_CHECKING:
    from pkgregd.http.request import FrontRequest

MAX_PATH_CHARACTERS = 512
MAX_AGENT_CHARACTERS = 200


class AccessLog:
    """
    Writes `event="http.request"` with the fields, and the line as JSON in `line`.

    Args:
        log: where to.
    """

    def __init__(self, log: Logger | None = None) -> None:
        self._log = log or Logger(namespace="pkgregd.access")

    def finished(self, request: FrontRequest, *, aborted: bool) -> None:
        """Tell of a request's end; aborted when its client left before the reply was complete."""
        agent = request.header(b"user-agent") or b""
        fields: dict[str, object] = {
            "request_id": request.request_id,
            "address": request.address,
            "method": request.method.decode("ascii"),
            "path": request.path.decode("ascii")[:MAX_PATH_CHARACTERS],
            "status": request.status if request.has_begun else 499,
            "aborted": aborted,
            "received_bytes": request.body.received_bytes,
            "sent_bytes": request.sent_bytes,
            "milliseconds": round((time.perf_counter() - request.started_at) * 1000, 2),
            "agent": agent.decode("latin-1")[:MAX_AGENT_CHARACTERS],
            **request.log_fields,
        }
        self._log.info("{line}", event="http.request", line=json.dumps(fields), **fields)

    def refused(self, address: str, status: int, reason: str) -> None:
        """Tell of a message that never became a request."""
        fields: dict[str, object] = {"address": address, "status": status, "reason": reason}
        self._log.info("{line}", event="http.refused", line=json.dumps(fields), **fields)
