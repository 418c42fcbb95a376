"""What is measured of a daemon."""

from __future__ import annotations

import enum


class Outcome(enum.Enum):
    """
    How a verb of the catalog ended.

    DONE: it did what it is for. REFUSED: it said why not, which is an answer, too. UNAVAILABLE: the database is busy,
    full or away. LEFT: whoever asked did not wait. FAILED: a bug.
    """

    DONE = "done"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    LEFT = "left"
    FAILED = "failed"


class Tally(enum.Enum):
    """What is counted one by one, and has no kinds."""

    CONNECTION_WAITS = "connection_waits"
    CONNECTIONS_OPENED = "connections_opened"
    CONNECTIONS_BROKEN = "connections_broken"
    VERB_REPEATS = "verb_repeats"
    S3_RETRIES = "s3_retries"
    TASK_FAILURES = "task_failures"


class Gauge(enum.Enum):
    """What goes up and down."""

    CLIENT_CONNECTIONS = "client_connections"
    UPLOADS = "uploads"
    DOWNLOADS = "downloads"
    CATALOG_WAITING = "catalog_waiting"
    CATALOG_CONNECTIONS_IDLE = "catalog_connections_idle"
    CATALOG_CONNECTIONS_BUSY = "catalog_connections_busy"
