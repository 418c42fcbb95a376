"""What a daemon works with, opened as the configuration says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from attrs import evolve, field, frozen

from pkgregd.blobs import open_blob_store
from pkgregd.catalog import open_catalog
from pkgregd.config import Config, FormatConfig
from pkgregd.errors import ConfigError
from pkgregd.http.settings import FrontSettings
from pkgregd.interfaces import IBlobStore, IBuildFormat, ICatalog, IMetrics, IPackageFormat
from pkgregd.metrics import open_metrics
from pkgregd.plugin import find_formats, read_manuals
from pkgregd.registry.inspector_process import InspectionLimits
from pkgregd.registry.tasks import TaskKind, TaskSettings
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import FormatLimits


@frozen
class Parts:
    """
    What a daemon works with; tests put others in.

    Attributes:
        manuals: the manual page of each format, by its name.
        metrics: where what happens is noted.
        more_tasks: what is done beside the daemon's own tasks.
    """

    catalog: ICatalog
    blobs: IBlobStore
    formats: Sequence[IPackageFormat]
    limits_by_format: Mapping[str, FormatLimits]
    manuals: Mapping[str, str] = field(factory=dict, repr=False)
    metrics: IMetrics = UNMEASURED
    more_tasks: Sequence[TaskKind] = ()


def make_parts(reactor: Any, config: Config) -> Parts:
    """
    Open what the configuration names.

    Raises:
        ConfigError, SchemaError, Unavailable: fit to be printed.
    """
    known = find_formats()
    config.require_formats(known)
    config.require_builds([name for name, made in known.items() if IBuildFormat.providedBy(made)])
    enabled = {name: made for name, made in known.items() if config.formats.get(name, FormatConfig()).enabled}
    if not enabled:
        raise ConfigError("no format is enabled")
    redirects = config.blobs.redirect_downloads
    limits = {
        name: config.formats.get(name, FormatConfig()).limits(evolve(made.default_limits, redirect_downloads=redirects))
        for name, made in enabled.items()
    }
    manuals = read_manuals(enabled)
    metrics = open_metrics(reactor, version("pkgregd"))
    catalog = open_catalog(
        reactor, config.catalog.url, config.folder, config.catalog.readers, config.catalog.connections, metrics
    )
    blobs = open_blob_store(
        reactor,
        config.blobs.url,
        config.folder,
        reserve_bytes=config.blobs.reserve_bytes,
        threads=config.blobs.threads,
        s3=config.blobs,
        measures=metrics,
    )
    return Parts(catalog, blobs, list(enabled.values()), limits, manuals, metrics)


def front_settings(config: Config) -> FrontSettings:
    """Take the front's settings from the configuration."""
    http = config.http
    return FrontSettings(
        handshake_timeout_seconds=http.handshake_timeout_seconds,
        header_timeout_seconds=http.header_timeout_seconds,
        idle_timeout_seconds=http.idle_timeout_seconds,
        body_min_bytes_per_second=http.body_min_bytes_per_second,
        body_grace_seconds=http.body_grace_seconds,
        max_body_seconds=http.max_body_seconds,
        write_stall_seconds=http.write_stall_seconds,
        drain_max_bytes=http.drain_max_bytes,
        drain_seconds=http.drain_seconds,
        max_connections=http.max_connections,
        max_connections_per_address=http.max_connections_per_address,
        too_large_status=http.too_large_status,
        trusted_proxies=http.trusted_proxies,
        accel_redirect=config.blobs.accel_redirect,
    )


def inspection_limits(config: Config) -> InspectionLimits:
    """Take the limits of archive readers from the configuration."""
    inspection = config.inspection
    return InspectionLimits(
        processes=inspection.processes,
        memory_bytes=inspection.memory_bytes,
        cpu_seconds=inspection.cpu_seconds,
        deadline_seconds=inspection.deadline_seconds,
    )


def task_settings(config: Config) -> TaskSettings:
    """Take from the configuration how a daemon goes about tasks."""
    tasks = config.tasks
    return TaskSettings(
        concurrency=tasks.concurrency, poll_seconds=tasks.poll_seconds, lease_seconds=tasks.lease_seconds
    )
