"""The sections of the file: every key a field, with its default and its check beside it."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from typing import TypeVar

from attrs import evolve, field, fields, frozen

from pkgregd.config.checks import (
    MIB,
    PROXY_PROTOCOL,
    a_flag,
    a_text,
    a_url,
    accel_location,
    blobs_url,
    catalog_url,
    checked,
    client_networks,
    integer_from,
    listen_endpoints,
    number_from,
    optional,
    proxy_networks,
    seconds,
    some_texts,
    too_large_status,
    url_or_empty,
    worker_count,
)
from pkgregd.config.places import MAX_BYTES, Check, Place
from pkgregd.values import FormatLimits

T = TypeVar("T")


MAX_SECRET_FILE_BYTES = 4096
MAX_KEPT_BUILDS = 100

_FORMAT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)


def option(default: T, check: Check[T], *, repr: bool = True) -> T:
    """Make a key of a section, with its default and its check."""
    made: T = field(default=default, metadata={"check": check}, repr=repr)
    return made


def make_section(section: type[T], table: object, place: Place) -> T:
    """Make a section of its table; what is not there keeps its default."""
    return section(**checked(known_keys(section), table, place))


def known_keys(section: type) -> dict[str, Check[object]]:
    """Return the check of every key of a section, by name."""
    return {key.name: key.metadata["check"] for key in fields(section) if "check" in key.metadata}


@frozen
class HttpConfig:
    """
    `[http]`.

    Attributes:
        listen: Twisted endpoint descriptions, paths in them absolute.
        external_url: how clients reach us, without a final slash.
        workers: number of processes.
        trusted_proxies: addresses and networks of the proxies that are believed about clients, `unix` among them.
        shutdown_delay_seconds: how long the ports stay open after SIGTERM, for balancers that ask whether it is ready.
        shutdown_grace_seconds: how long running requests may take to finish after SIGTERM.

    The others: see `pkgregd.http.settings.FrontSettings`.
    """

    listen: tuple[str, ...] = option(("tcp:8080:interface=127.0.0.1",), listen_endpoints)
    external_url: str = option("http://127.0.0.1:8080", a_url)
    workers: int = option(1, worker_count)
    handshake_timeout_seconds: float = option(10.0, seconds)
    header_timeout_seconds: float = option(15.0, seconds)
    idle_timeout_seconds: float = option(75.0, seconds)
    body_min_bytes_per_second: int = option(1024, integer_from(1, 2**30))
    body_grace_seconds: float = option(30.0, seconds)
    max_body_seconds: float = option(21_600.0, seconds)
    write_stall_seconds: float = option(60.0, seconds)
    drain_max_bytes: int = option(64 * MIB, integer_from(0, MAX_BYTES))
    drain_seconds: float = option(10.0, seconds)
    max_connections: int = option(10_000, integer_from(1, 1_000_000))
    max_connections_per_address: int = option(1_000, integer_from(1, 1_000_000))
    trusted_proxies: tuple[str, ...] = option((), proxy_networks)
    shutdown_delay_seconds: float = option(0.0, number_from(0, 3600))
    shutdown_grace_seconds: float = option(30.0, number_from(0, 86_400))
    too_large_status: int = option(413, too_large_status)


def http_section(table: object, place: Place) -> HttpConfig:
    """Make the section `[http]`; where the PROXY protocol is taken somebody has to be trusted to speak it."""
    http = make_section(HttpConfig, table, place)
    if not http.trusted_proxies and any(endpoint.startswith(PROXY_PROTOCOL) for endpoint in http.listen):
        raise place.child("trusted_proxies").wrong(f"must name the proxies that connect to {PROXY_PROTOCOL} endpoints")
    return http


@frozen
class CatalogConfig:
    """
    `[catalog]`.

    Attributes:
        url: `sqlite:FILE` or `postgresql://USER:PASSWORD@HOST:PORT/NAME`.
        readers: threads that answer reads of SQLite.
        connections: to PostgreSQL, at most.
    """

    url: str = option("sqlite:pkgregd.sqlite3", catalog_url, repr=False)
    readers: int = option(3, integer_from(1, 64))
    connections: int = option(16, integer_from(2, 1000))


@frozen
class BlobsConfig:
    """
    `[blobs]`.

    Attributes:
        url: `file:FOLDER` or `s3://BUCKET/PREFIX`.
        reserve_bytes: free space below which uploads are refused.
        threads: threads that write, hash and read files.
        endpoint_url, region, access_key_id, secret_access_key: of an S3 service; empty when not given.
        ca_file: authorities that an S3 service's certificate must be of; empty for those of the system.
        staging: folder for the parts of uploads on their way to S3.
        secret_access_key_file: where secret_access_key was read from; empty when not given.
        redirect_downloads: send clients to S3 instead of streaming through, where a format does not say otherwise.
        accel_redirect: the location at which nginx in front has the folder; empty when it has not.
    """

    url: str = option("file:blobs", blobs_url)
    reserve_bytes: int = option(256 * MIB, integer_from(0, MAX_BYTES))
    threads: int = option(16, integer_from(1, 256))
    endpoint_url: str = option("", url_or_empty)
    region: str = option("", a_text)
    access_key_id: str = option("", a_text)
    secret_access_key: str = option("", a_text, repr=False)
    secret_access_key_file: str = option("", a_text)
    ca_file: str = option("", a_text)
    staging: str = option("staging", a_text)
    redirect_downloads: bool = option(False, a_flag)
    accel_redirect: str = option("", accel_location)


@frozen
class AuthConfig:
    """
    `[auth]`.

    Attributes:
        query_tokens: whether tokens are taken out of the query of an address.
    """

    query_tokens: bool = option(False, a_flag)


@frozen
class InspectionConfig:
    """`[inspection]`; see `pkgregd.registry.inspector_process.InspectionLimits`."""

    processes: int = option(2, integer_from(1, 64))
    memory_bytes: int = option(512 * MIB, integer_from(64 * MIB, MAX_BYTES))
    cpu_seconds: int = option(10, integer_from(1, 3600))
    deadline_seconds: float = option(30.0, seconds)


@frozen
class PackagesConfig:
    """
    `[packages]`.

    Attributes:
        quota_bytes: what the files of a project may have together, where its settings say nothing; None does not limit.
    """

    quota_bytes: int | None = option(None, optional(integer_from(1, MAX_BYTES)))


@frozen
class RateLimitingConfig:
    """
    `[rate_limiting]`.

    Attributes:
        shared_state: file that the processes of this host share their counts in; empty when each counts alone.
    """

    shared_state: str = option("", a_text)


@frozen
class AuditConfig:
    """
    `[audit]`.

    Attributes:
        keep_days: how long entries of the audit trail are kept; 0 for ever.
    """

    keep_days: int = option(0, integer_from(0, 36_500))


@frozen
class MetricsConfig:
    """
    `[metrics]`.

    Attributes:
        allowed: addresses and networks of those who may read them without a token, `unix` among them.
    """

    allowed: tuple[str, ...] = option(("127.0.0.0/8", "::1"), client_networks)


@frozen
class TasksConfig:
    """
    `[tasks]`.

    Attributes:
        concurrency: tasks that a process does at once.
        poll_seconds: how often it looks whether something is due.
        lease_seconds: how long a task stays with a process that does not say that it goes on.
    """

    concurrency: int = option(4, integer_from(1, 64))
    poll_seconds: float = option(5.0, number_from(0.1, 3600))
    lease_seconds: float = option(60.0, number_from(1, 3600))


@frozen
class ScrubConfig:
    """
    `[scrub]`.

    Attributes:
        interval_days: how long after all files were read it begins again; 0 for never. None is 30 days for a folder,
            and never for a bucket, whose service looks after its disks.
        bytes_per_second: how fast, at most.
    """

    interval_days: int | None = option(None, optional(integer_from(0, 3650)))
    bytes_per_second: int = option(8 * MIB, integer_from(1024, MAX_BYTES))

    def days(self, blobs_url: str) -> int:
        """Return how many days are between two readings of a store, 0 for never."""
        if self.interval_days is None:
            return 0 if blobs_url.startswith("s3:") else 30
        return self.interval_days


@frozen
class FormatConfig:
    """
    `[formats.NAME]`. What is None is left to the format.

    Attributes:
        enabled: whether the format is served.
        max_file_bytes, duplicates_allowed, duplicate_exceptions, keep_builds, redirect_downloads: see FormatLimits.
    """

    enabled: bool = option(True, a_flag)
    max_file_bytes: int | None = option(None, optional(integer_from(1, MAX_BYTES)))
    duplicates_allowed: bool | None = option(None, optional(a_flag))
    duplicate_exceptions: tuple[str, ...] | None = option(None, optional(some_texts))
    keep_builds: int | None = option(None, optional(integer_from(1, MAX_KEPT_BUILDS)))
    redirect_downloads: bool | None = option(None, optional(a_flag))

    def limits(self, default: FormatLimits) -> FormatLimits:
        """Return a format's own limits with ours over them."""

        def ours(value: T | None, theirs: T) -> T:
            return theirs if value is None else value

        return FormatLimits(
            max_file_bytes=ours(self.max_file_bytes, default.max_file_bytes),
            duplicates_allowed=ours(self.duplicates_allowed, default.duplicates_allowed),
            duplicate_exceptions=ours(self.duplicate_exceptions, default.duplicate_exceptions),
            keep_builds=ours(self.keep_builds, default.keep_builds),
            redirect_downloads=ours(self.redirect_downloads, default.redirect_downloads),
        )


def blobs_section(table: object, place: Place) -> BlobsConfig:
    """Make the section `[blobs]`, with the secret out of its file."""
    blobs = make_section(BlobsConfig, table, place)
    if blobs.url.startswith("s3:") and not blobs.endpoint_url:
        raise place.child("endpoint_url").wrong("must be given for s3, such as https://s3.example.com")
    if blobs.accel_redirect and not blobs.url.startswith("file:"):
        raise place.child("accel_redirect").wrong("is for file: stores; clients are sent to s3 by redirect_downloads")
    if not blobs.secret_access_key_file:
        return blobs
    here = place.child("secret_access_key_file")
    if blobs.secret_access_key:
        raise here.wrong("cannot be given together with secret_access_key")
    return evolve(blobs, secret_access_key=read_secret(place.folder / blobs.secret_access_key_file, here))


def read_secret(path: pathlib.Path, place: Place) -> str:
    """Read a file that holds one secret."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_SECRET_FILE_BYTES + 1)
    except OSError as error:
        raise place.wrong(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise place.wrong(f"{path} is not UTF-8 text") from None
    secret = text.strip()
    if not secret or len(text) > MAX_SECRET_FILE_BYTES or not secret.isprintable():
        raise place.wrong(f"{path} must hold one line, the secret, of at most {MAX_SECRET_FILE_BYTES} letters")
    return secret


def format_sections(table: object, place: Place) -> Mapping[str, FormatConfig]:
    """Make a section for each format that is configured."""
    if not isinstance(table, dict):
        raise place.must_be("tables headed [formats.NAME]", table)
    for name in table:
        if not _FORMAT_NAME.fullmatch(name):
            raise place.child(name).wrong("is not the name of a format")
    return {name: make_section(FormatConfig, section, place.child(name)) for name, section in table.items()}
