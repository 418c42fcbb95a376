"""Every metric by its name."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client import Gauge as GaugeMetric

from pkgregd.values import Gauge, Tally

REQUEST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
VERB_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
S3_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

TALLIES = {
    Tally.CONNECTION_WAITS: ("pkgregd_catalog_connection_waits", "Verbs that had to wait for a connection"),
    Tally.CONNECTIONS_OPENED: ("pkgregd_catalog_connections_opened", "Connections to the database that were opened"),
    Tally.CONNECTIONS_BROKEN: ("pkgregd_catalog_connections_broken", "Connections to the database that broke"),
    Tally.VERB_REPEATS: ("pkgregd_catalog_repeats", "Verbs run again after a collision or a broken connection"),
    Tally.S3_RETRIES: ("pkgregd_s3_retries", "Requests to the S3 service that were tried again"),
    Tally.TASK_FAILURES: ("pkgregd_task_failures", "Turns of tasks that failed, or were lost"),
}

GAUGES = {
    Gauge.CLIENT_CONNECTIONS: ("pkgregd_http_connections", "Connections of clients"),
    Gauge.UPLOADS: ("pkgregd_uploads_in_progress", "Request bodies that are being read"),
    Gauge.DOWNLOADS: ("pkgregd_downloads_in_progress", "Files that are being sent"),
    Gauge.CATALOG_WAITING: ("pkgregd_catalog_waiting", "Verbs that wait for a connection or a thread"),
    Gauge.CATALOG_CONNECTIONS_IDLE: ("pkgregd_catalog_connections_idle", "Connections to the database without work"),
    Gauge.CATALOG_CONNECTIONS_BUSY: ("pkgregd_catalog_connections_busy", "Connections to the database with work"),
}


class Names:
    """
    The metrics.

    Args:
        registry: that they are in; None where a folder of files is read instead.
    """

    def __init__(self, registry: CollectorRegistry | None) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(name, meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, bounds: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, meaning, labels, buckets=bounds, registry=registry)

        def gauge(name: str, meaning: str, mode: Any, *labels: str) -> GaugeMetric:
            return GaugeMetric(name, meaning, labels, registry=registry, multiprocess_mode=mode)

        self.requests = counter("pkgregd_http_requests", "Requests that ended", "table", "method", "status")
        self.request_seconds = histogram(
            "pkgregd_http_request_seconds", "From the head of a request to the end of its reply", REQUEST_BOUNDS,
            "table", "method",
        )  # fmt: skip
        self.received_bytes = counter("pkgregd_http_received_bytes", "Bytes of request bodies", "table")
        self.sent_bytes = counter("pkgregd_http_sent_bytes", "Bytes of reply bodies", "table")
        self.refusals = counter("pkgregd_http_refusals", "Refusals by the code of the error", "table", "code", "caller")
        self.verbs = counter("pkgregd_catalog_verbs", "Verbs of the catalog by how they ended", "verb", "outcome")
        self.verb_seconds = histogram(
            "pkgregd_catalog_verb_seconds", "What verbs of the catalog took, waiting included", VERB_BOUNDS, "verb"
        )
        self.events = counter("pkgregd_package_events", "What happened to packages", "event", "format")
        self.s3_requests = counter("pkgregd_s3_requests", "Tries of requests to the S3 service", "kind", "outcome")
        self.s3_seconds = histogram(
            "pkgregd_s3_request_seconds", "What the S3 service took to begin its answer", S3_BOUNDS, "kind"
        )
        self.lag_seconds = histogram(
            "pkgregd_reactor_lag_seconds", "How late the reactor is for an appointment four times a second", LAG_BOUNDS
        )
        self.tallies = {tally: counter(*named) for tally, named in TALLIES.items()}
        self.gauges = {which: gauge(*named, "livesum") for which, named in GAUGES.items()}
        self.resident_bytes = gauge("pkgregd_process_resident_bytes", "Memory of the process", "liveall")
        self.open_files = gauge("pkgregd_process_open_files", "File descriptors of the process", "liveall")
        self.max_files = gauge("pkgregd_process_max_files", "How many file descriptors it may have", "liveall")
        self.cpu_seconds = counter("pkgregd_process_cpu_seconds", "Processor time of the process")
        self.started_at = gauge("pkgregd_process_start_time_seconds", "When the process began, since 1970", "liveall")
        self.build = gauge("pkgregd_build_info", "What runs: always 1", "livemax", "version", "python")
